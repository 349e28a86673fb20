"""Tables beside the answers: what a run decided, in the file that replays it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from abm.errors import LedgerError, require
from abm.ledger.store import Ledger

if TYPE_CHECKING:
    import polars as pl

__all__ = ["read_table", "write_tables"]

_OURS = frozenset({"answers", "failures", "policies", "questions"})


def write_tables(ledger: Ledger, tables: Mapping[str, pl.DataFrame]) -> None:
    """Write tables into a ledger in one transaction; a table of the same name is replaced.

    Parameters
    ----------
    tables
        Name -> frame of integers, floats, truth values and texts, nulls allowed.

    Raises
    ------
    LedgerError
        The name is one of the ledger's own, or a column has another type.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import polars as pl
    >>> path = Path(tempfile.mkdtemp()) / "ledger.sqlite"
    >>> with Ledger(path) as ledger:
    ...     write_tables(ledger, {"decisions": pl.DataFrame({"choice": ["yes"], "n": [3]})})
    >>> read_table(path, "decisions").rows()
    [('yes', 3)]
    """
    for name, frame in tables.items():
        require(
            name.isidentifier() and name.lower() not in _OURS | {"sqlite_master"},
            LedgerError,
            f"a table in a ledger cannot be called {name!r}; rename it",
        )
        columns = ", ".join(f'"{column}" {_kind(name, column, frame)}' for column in frame.columns)
        marks = ", ".join("?" * frame.width)
        with ledger.transaction() as base:
            base.execute(f'DROP TABLE IF EXISTS "{name}"')
            base.execute(f'CREATE TABLE "{name}" ({columns})')
            base.executemany(f'INSERT INTO "{name}" VALUES ({marks})', frame.rows())


def read_table(path: str | os.PathLike[str], name: str) -> pl.DataFrame:
    """A table that `write_tables` wrote, with its columns and types."""
    import polars as pl

    kinds: dict[str, Any] = {
        "INTEGER": pl.Int64,
        "REAL": pl.Float64,
        "BOOLEAN": pl.Boolean,
        "TEXT": pl.String,
    }
    with Ledger(path, create=False, read_only=True) as ledger:
        found = ledger.rows(f'SELECT name, type FROM pragma_table_info("{name}")')
        require(
            bool(found) and name not in _OURS,
            LedgerError,
            f"{ledger} has no table {name!r}",
            path=ledger.path,
        )
        rows = ledger.rows(f'SELECT * FROM "{name}" ORDER BY rowid')
    columns = list(zip(*rows, strict=True)) if rows else [() for _ in found]
    data = {
        column: pl.Series(
            column,
            [bool(v) if kind == "BOOLEAN" and v is not None else v for v in values],
            dtype=kinds[kind],
        )
        for (column, kind), values in zip(found, columns, strict=True)
    }
    return pl.DataFrame(data)


def _kind(table: str, column: str, frame: pl.DataFrame) -> str:
    import polars as pl

    dtype = frame.schema[column]
    if dtype.is_integer():
        return "INTEGER"
    if dtype.is_float():
        return "REAL"
    require(
        dtype in (pl.Boolean, pl.String) and '"' not in column,
        LedgerError,
        f"table {table!r}: column {column!r} of type {dtype}, expected integers, floats, truth "
        "values or texts",
    )
    return "BOOLEAN" if dtype == pl.Boolean else "TEXT"
