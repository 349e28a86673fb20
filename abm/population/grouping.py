"""Distinct rows of a set of field columns: what has to be asked once."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from abm.errors import PopulationError, require
from abm.population.columns import as_column

__all__ = ["Groups", "field_columns", "group", "mappings"]


class Groups(NamedTuple):
    """Distinct field values and who has them.

    Attributes
    ----------
    columns
        Field -> value of each group, shape (n,), in order of first appearance.
    n
        Number of groups.
    member
        Group of each row, shape (n_rows,).
    """

    columns: dict[str, NDArray[Any]]
    n: int
    member: NDArray[np.int64]

    def fields(self, some: slice | NDArray[np.int64] = slice(None)) -> list[dict[str, Any]]:
        """Plain values of some groups, or of all, one mapping each."""
        return mappings(self.columns, np.arange(self.n)[some])


def mappings(columns: Mapping[str, NDArray[Any]], rows: NDArray[np.int64]) -> list[dict[str, Any]]:
    """One mapping of plain values per row.

    Examples
    --------
    >>> mappings({"age": np.array([30, 40])}, np.array([1]))
    [{'age': 40}]
    """
    if not columns:
        return [{} for _ in range(rows.size)]
    names, chosen = list(columns), [array[rows].tolist() for array in columns.values()]
    return [dict(zip(names, values, strict=True)) for values in zip(*chosen, strict=True)]


def group(columns: Mapping[str, Any], n_rows: int) -> Groups:
    """Group rows whose fields are equal to the bit (1 and 1.0, or 0.0 and -0.0, are different).

    Parameters
    ----------
    columns
        Field -> values, shape (n_rows,), or one value for all.

    Examples
    --------
    >>> group({"age": [30, 40, 30], "topic": "parks"}, 3).fields()
    [{'age': 30, 'topic': 'parks'}, {'age': 40, 'topic': 'parks'}]
    """
    arrays = field_columns(columns, n_rows)
    if not arrays or n_rows == 0:
        return Groups({}, int(n_rows > 0), np.zeros(n_rows, dtype=np.int64))
    codes = pl.DataFrame([_codes(str(i), array) for i, array in enumerate(arrays.values())])
    found = (
        codes.with_row_index("row")
        .group_by([str(i) for i in range(len(arrays))], maintain_order=True)
        .agg("row")["row"]
    )
    rows = found.explode().to_numpy()
    sizes = found.list.len().to_numpy()
    member = np.empty(n_rows, dtype=np.int64)
    member[rows] = np.repeat(np.arange(sizes.size), sizes)
    firsts = rows[np.cumsum(sizes) - sizes]
    chosen = {name: array[firsts] for name, array in arrays.items()}
    return Groups(chosen, int(sizes.size), member)


def field_columns(columns: Mapping[str, Any], n_rows: int) -> dict[str, NDArray[Any]]:
    """Field -> values, shape (n_rows,), from columns or single values.

    Raises
    ------
    PopulationError
        A column has another length, or more than one value per row.
    """
    arrays = {name: as_column(name, values, n_rows) for name, values in columns.items()}
    for name, array in arrays.items():
        require(
            array.ndim == 1,
            PopulationError,
            f"field {name!r} has shape {array.shape}, expected one value per row",
            field=name,
        )
    return arrays


def _codes(name: str, array: NDArray[Any]) -> pl.Series:
    """Values that are equal exactly when the field values are the same bits or the same object."""
    if array.dtype.kind == "f" and array.dtype.itemsize <= 8:
        return pl.Series(name, array.view(f"i{array.dtype.itemsize}"))
    if array.dtype != object and array.dtype.kind != "f":
        return pl.Series(name, array)
    values = array.tolist()
    if all(type(value) is str for value in values):
        with suppress(UnicodeEncodeError):  # half characters, which Polars cannot hold
            return pl.Series(name, values, dtype=pl.String)
    seen: dict[Any, int] = {}
    return pl.Series(name, [seen.setdefault(_identity(value), len(seen)) for value in values])


def _identity(value: Any) -> tuple[type, Any]:
    if isinstance(value, (list, tuple)):
        return tuple, tuple(_identity(item) for item in value)
    if isinstance(value, (float, np.floating)):
        return float, float(value).hex()
    if isinstance(value, (dict, set)):  # no field can be one, as its question will say
        return type(value), id(value)
    return type(value), value
