"""A table of agents: columns by name, rows by number, mask or expression, ids that stay."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from abm.errors import PopulationError, require
from abm.population.columns import Columns, as_column, fitted, in_type, to_series

__all__ = ["Selection", "Table", "is_free_name"]

_RESERVED = {"ids", "keys", "model", "key", "unique_id", "now"}
Selection = Any  # None, a mask, row numbers, a slice, or a Polars expression


class Table:
    """Columns of one length as attributes and items, with ids and keys; the base of `Population`.

    Attributes
    ----------
    ids : int64 array, shape (n,)
        Ascending; an id is never used again.
    keys : uint64 array, shape (n,)
        Keys as counter words of `abm.rng.uniform`; texts are hashed.
    """

    ids: NDArray[np.int64]
    keys: NDArray[np.uint64]
    _columns: Columns
    _state: Columns

    def catch_up(self, written: int | None = None) -> None:
        """Bring the columns up to date; called before they are read or written.

        Parameters
        ----------
        written
            The only row that will be written, -1 for none; any if `None`.
        """

    # ------------------------------------------------------------------ columns

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(self._columns)

    @property
    def n(self) -> int:
        """Number of agents."""
        return int(self._columns.n)

    def __len__(self) -> int:
        return self.n

    def __repr__(self) -> str:
        return f"Population({self.n} agents, columns {list(self.columns)})"

    def __contains__(self, name: object) -> bool:
        return name in self._columns

    def __getitem__(self, name: str) -> NDArray[Any]:
        require(
            name in self._columns,
            PopulationError,
            f"no column {name!r}; the population has {list(self.columns)}",
            column=name,
        )
        self.catch_up()
        return self._columns[name]

    def __setitem__(self, name: str, values: Any) -> None:
        """Fill a column in place, or add a new one."""
        if name in self._columns:
            self._fill(name, values)
            return
        require(
            is_free_name(self, name),
            PopulationError,
            f"column name {name!r} is taken, empty, or starts with an underscore; rename it",
            column=name,
        )
        self._columns.put(name, as_column(name, values, self.n))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if name in ("ids", "keys"):
            return self._hidden(name)
        if name in self._columns:
            self.catch_up()
            return self._columns[name]
        raise AttributeError(f"no column {name!r}; the population has {list(self.columns)}")

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self._columns:
            self._fill(name, value)
        elif name == "model":
            object.__setattr__(self, name, value)
        else:
            raise PopulationError(
                f"no column {name!r}; add one with population[{name!r}] = values. "
                f"The population has {list(self.columns)}",
                column=name,
            )

    def _hidden(self, name: str) -> NDArray[Any]:
        """What belongs to rows and is no column of the user; made when first needed."""
        if name not in self._state:
            named = name in ("ids", "keys")
            made = self._row_numbers(name) if named else np.zeros(self.n, dtype=np.int64)
            self._state.put(name, made)
        return self._state[name]

    def _row_numbers(self, name: str) -> NDArray[Any]:
        """The ids or keys of a population in which nobody came or left yet."""
        return np.arange(self.n, dtype=np.int64 if name == "ids" else np.uint64)

    def _ids_at(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Ids of some rows; while these are the row numbers, no column of them is made."""
        return self._state["ids"][rows] if "ids" in self._state else rows.copy()

    def _keys_at(self, rows: NDArray[np.int64]) -> NDArray[np.uint64]:
        """Keys of some rows; while these are the row numbers, no column of them is made."""
        return self._state["keys"][rows] if "keys" in self._state else rows.astype(np.uint64)

    def _id_of(self, row: int) -> int:
        return int(self._state["ids"][row]) if "ids" in self._state else int(row)

    def _key_of(self, row: int) -> int:
        return int(self._state["keys"][row]) if "keys" in self._state else int(row)

    def _fill(self, name: str, values: Any) -> None:
        self.catch_up()
        column = self._columns[name]
        column[...] = fitted(name, values, column, self.n)

    def write_rows(self, rows: NDArray[np.int64], name: str, values: Any) -> None:
        """Write a column in some rows; values of a type that the column cannot hold are refused."""
        column = self[name]
        column[rows] = fitted(name, values, column, rows.size)

    def cell(self, row: int, name: str) -> Any:
        """Read one cell; cheaper than `table[name][row]` under a cohort of many agents."""
        self.catch_up(-1)
        return self._column_at(row, name)[row]

    def _column_at(self, row: int, name: str) -> NDArray[Any]:
        """A column, if it is there and has this row."""
        if name not in self._columns or not 0 <= row < self._columns.n:
            raise PopulationError(
                f"no cell of row {row!r} and column {name!r}; the population has rows "
                f"0..{self.n - 1} and columns {list(self.columns)}",
                column=name,
            )
        return self._columns[name]

    def write(self, row: int, name: str, value: Any) -> None:
        """Write one cell; a value that the column's type would change is refused."""
        self.catch_up(row)
        column = self._column_at(row, name)
        as_it_is = type(value) is float and column.dtype == np.float64  # the most frequent
        try:
            column[row] = value if as_it_is else _cell_of(name, value, column)
        except (TypeError, ValueError) as error:
            raise PopulationError(
                f"column {name!r} holds {column.dtype} in cells of shape {column.shape[1:]} and "
                f"cannot take {value!r}: {error}",
                column=name,
            ) from error

    def frame(self, *names: str, with_keys: bool = False) -> pl.DataFrame:
        """The columns as a Polars frame; all, or those named. `with_keys` puts id and key first.

        Examples
        --------
        >>> from abm.population import Population
        >>> Population(age=[30, 40]).frame(with_keys=True).columns
        ['id', 'key', 'age']
        """
        series = [to_series(name, self[name].copy()) for name in names or self.columns]
        if with_keys:
            series = [pl.Series("id", self.ids), pl.Series("key", self.keys), *series]
        return pl.DataFrame(series)

    # ------------------------------------------------------------------ rows

    def rows(self, selection: Selection = None) -> NDArray[np.int64]:
        """Row numbers, ascending for masks and expressions, of a selection.

        Parameters
        ----------
        selection
            `None` for all, a truth value per row, row numbers, a slice, or a Polars expression.

        Examples
        --------
        >>> from abm.population import Population
        >>> Population(age=[30, 40, 50]).rows(pl.col("age") > 35).tolist()
        [1, 2]
        """
        if isinstance(selection, pl.Expr):
            selection = self._mask(selection)
        if selection is None:
            return np.arange(self.n)
        if isinstance(selection, slice):
            return np.arange(self.n)[selection]
        return _numbers(np.atleast_1d(np.asarray(selection)), self.n)

    def _mask(self, expression: pl.Expr) -> NDArray[np.bool_]:
        roots = [name for name in expression.meta.root_names() if name in self]
        try:
            found = self.frame(*dict.fromkeys(roots)).select(expression).to_series()
        except pl.exceptions.PolarsError as error:
            raise PopulationError(
                f"rows: {expression}: {error}; the columns are {list(self.columns)}"
            ) from error
        require(
            found.dtype == pl.Boolean and len(found) == self.n,
            PopulationError,
            f"rows: {expression} must give one truth value per row",
        )
        return found.fill_null(False).to_numpy()

    def rows_of(self, ids: ArrayLike) -> NDArray[np.int64]:
        """Present rows of these ids.

        Raises
        ------
        PopulationError
            Somebody with one of these ids was removed or never was.
        """
        wanted = np.atleast_1d(np.asarray(ids, dtype=np.int64))
        place, found = wanted, (wanted >= 0) & (wanted < self.n)
        if "ids" in self._state:
            place = np.searchsorted(self.ids, wanted)
            found = place < self.n
            found[found] = self.ids[place[found]] == wanted[found]
        require(
            bool(found.all()),
            PopulationError,
            f"{int((~found).sum())} ids are not in the population (removed, or never there), "
            f"among them {wanted[~found][:5].tolist()}",
            ids=wanted[~found][:5].tolist(),
        )
        return place.astype(np.int64)


def _within(value: float, holds: np.dtype[Any]) -> bool:
    """Whether a number of Python's own is one of the column's kind, and not beyond it."""
    low, high = _limits(holds, type(value) is int)
    return low <= value <= high


@lru_cache(maxsize=64)
def _limits(holds: np.dtype[Any], whole: bool) -> tuple[float, float]:
    """Least and largest number of a type; none if it is of another kind."""
    if holds.kind in ("iu" if whole else "f"):
        info: Any = np.iinfo(holds) if whole else np.finfo(holds)
        return (int if whole else float)(info.min), (int if whole else float)(info.max)
    return math.inf, -math.inf


def _cell_of(name: str, value: Any, column: NDArray[Any]) -> Any:
    """A value in the type of a column; whole floats and 0 and 1 may stand for whole and truth."""
    holds = column.dtype
    if holds.kind in "OV" or (type(value) in (int, float) and _within(value, holds)):
        return value
    given = np.asarray(value)
    if holds.kind in "iub" and given.dtype.kind in "iuf":
        with np.errstate(all="ignore"):
            made = given.astype(holds)
        require(
            bool(np.all(made == given)),
            PopulationError,
            f"column {name!r} holds {holds} and would turn {value!r} into something else; make the "
            "column of another type when the population is made",
            column=name,
        )
        return made
    try:
        return in_type(name, given, holds)
    except PopulationError as error:
        raise PopulationError(
            f"column {name!r} holds {holds} and cannot take {value!r}", column=name
        ) from error


def is_free_name(table: Table, name: str) -> bool:
    """Whether a column may have this name."""
    taken = name in _RESERVED or hasattr(type(table), name)
    return bool(name) and not name.startswith("_") and not taken


def _numbers(array: NDArray[Any], n: int) -> NDArray[np.int64]:
    if array.dtype == bool:
        require(
            array.shape == (n,),
            PopulationError,
            f"rows: a mask of shape {array.shape}, expected ({n},)",
        )
        return np.flatnonzero(array)
    require(
        array.size == 0 or array.dtype.kind in "iu",
        PopulationError,
        f"rows of type {array.dtype}, expected truth values, row numbers or a Polars expression",
    )
    require(
        array.ndim == 1,
        PopulationError,
        f"rows of shape {array.shape}, expected a list of row numbers, such as [3]",
    )
    numbers = array.astype(np.int64)
    outside = numbers[(numbers < 0) | (numbers >= n)]
    require(
        outside.size == 0,
        PopulationError,
        f"rows {outside[:5].tolist()} are outside 0..{n - 1}",
        rows=outside[:5].tolist(),
    )
    return numbers
