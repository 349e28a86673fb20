"""Columns: named arrays of one length that can grow, shrink and be checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from abm.errors import PopulationError, require

__all__ = [
    "Columns",
    "as_column",
    "fitted",
    "from_series",
    "in_type",
    "is_one",
    "objects",
    "to_series",
]

_AT_ONCE = 65_536  # texts that are turned into Python objects at a time
_NAMES = 100_000  # different texts that are looked up, so that equal ones are one object


class Columns:
    """Arrays of one length n, by name, in room that grows by a quarter when it is full.

    Examples
    --------
    >>> columns = Columns(2)
    >>> columns.put("age", as_column("age", [30, 40], 2))
    >>> columns.grown(1, {"age": np.array([50])})["age"].tolist(), columns["age"].tolist()
    ([30, 40, 50], [30, 40])
    """

    def __init__(self, n: int) -> None:
        self.n = n
        self._room: dict[str, NDArray[Any]] = {}
        self._shown: dict[str, NDArray[Any]] = {}

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._shown[name]

    def __contains__(self, name: object) -> bool:
        return name in self._shown

    def __iter__(self) -> Iterator[str]:
        return iter(self._shown)

    def __getstate__(self) -> dict[str, Any]:
        return {"n": self.n, "columns": dict(self._shown)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        # Copies have no spare room, and what is shown is what is kept.
        self.n = state["n"]
        self._room, self._shown = dict(state["columns"]), dict(state["columns"])

    def put(self, name: str, values: NDArray[Any]) -> None:
        """Add or replace a column; `values` is kept, not copied."""
        self._room[name] = self._shown[name] = values

    def copy(self) -> Columns:
        """The same columns in a holder of their own: what is put there is not put here."""
        made = Columns(self.n)
        made._room, made._shown = dict(self._room), dict(self._shown)
        return made

    def kept(self, rows: NDArray[np.int64]) -> Columns:
        """These rows, in this order; these columns stay as they are."""
        made = Columns(int(rows.size))
        for name, values in self._shown.items():
            made.put(name, values[rows])
        return made

    def grown(self, extra: int, values: dict[str, NDArray[Any]]) -> Columns:
        """With `extra` rows more at the end; these columns stay as they are.

        Room to grow is shared, so of two that have grown from the same columns the first is spoilt.

        Parameters
        ----------
        values
            All columns of the newcomers, in the types and shapes of `fitted`.
        """
        made = Columns(self.n + extra)
        for name, array in self._room.items():
            room = array
            if len(array) < made.n:
                size = max(len(array) + len(array) // 4, made.n)
                room = np.empty((size, *array.shape[1:]), array.dtype)
                room[: self.n] = array[: self.n]
            room[self.n : made.n] = values[name]
            made._room[name], made._shown[name] = room, room[: made.n]
        return made


def as_column(name: str, values: Any, n: int) -> NDArray[Any]:
    """A writable array of length n from an array, a series, a sequence, or one value for all.

    Text becomes an object array (fixed-width text would cut longer values off in silence), in which
    equal texts are one object: a category takes 8 bytes per agent.
    """
    require(
        not isinstance(values, (set, frozenset, Mapping)),
        PopulationError,
        f"column {name!r} is a {type(values).__name__}, expected values in the order of the rows",
        column=name,
    )
    if isinstance(values, pl.Series):
        array = from_series(values.alias(name))
    elif is_one(values):
        array = np.full(n, values, dtype=object if isinstance(values, (str, bytes)) else None)
    else:
        array = _array(values)
    require(
        array.ndim >= 1 and len(array) == n,
        PopulationError,
        f"column {name!r} has shape {array.shape}, expected {n} rows",
        column=name,
    )
    return array


def fitted(name: str, values: Any, like: NDArray[Any], n: int) -> NDArray[Any]:
    """Values for n rows of a column that is there, in its type; one value serves all.

    Parameters
    ----------
    like
        The column: its type, and the shape of a row.

    Raises
    ------
    PopulationError
        Another number of rows, another shape of a row, or values that the type would change.

    Examples
    --------
    >>> fitted("age", [3, 4], np.zeros(9, np.int8), 2)
    array([3, 4], dtype=int8)
    """
    given = as_column(name, values, n)
    shape = (n, *like.shape[1:])
    if is_one(values) and given.shape != shape:
        given = np.broadcast_to(given.reshape(n, *[1] * (like.ndim - 1)), shape)
    require(
        given.shape == shape,
        PopulationError,
        f"column {name!r}: values of shape {given.shape}, expected {shape}",
        column=name,
    )
    return in_type(name, given, like.dtype)


def in_type(name: str, values: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Values in the type of a column, refused if that would change them.

    Numbers are rounded to floats of fewer bits; whole numbers and times stay what they are.

    Examples
    --------
    >>> in_type("age", np.array([3]), np.dtype("uint8"))
    array([3], dtype=uint8)
    >>> in_type("age", np.array([300]), np.dtype("uint8"))
    Traceback (most recent call last):
    abm.errors.PopulationError: column 'age' holds uint8 and cannot take 300; make the column ...
    """
    if values.dtype == dtype:
        return values
    if values.dtype.kind == "O" and dtype.kind in "mM":
        values = _times(name, values, dtype)
    require(
        _alike(values, dtype),
        PopulationError,
        f"column {name!r} holds {dtype} and cannot take values of type {values.dtype}",
        column=name,
    )
    with np.errstate(all="ignore"):
        made = values.astype(dtype)
    if not np.can_cast(values.dtype, dtype, "safe"):
        wrong = np.argwhere(_changed(values, made))
        require(
            len(wrong) == 0,
            PopulationError,
            f"column {name!r} holds {dtype} and cannot take "
            f"{values[tuple(wrong[0])] if len(wrong) else 0}; make the column of a wider type when "
            "the population is made",
            column=name,
        )
    return made


def _alike(values: NDArray[Any], dtype: np.dtype[Any]) -> bool:
    """Whether values are of a kind that the type may hold."""
    whole = values.dtype.kind in "iu" and dtype.kind in "iu"
    return values.size == 0 or whole or bool(np.can_cast(values.dtype, dtype, "same_kind"))


def _times(name: str, values: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Python's dates and spans of time as NumPy's, in microseconds as Python has them."""
    try:
        return values.astype(f"{dtype.kind}8[us]")
    except (TypeError, ValueError) as error:
        raise PopulationError(
            f"column {name!r} holds {dtype} and cannot take these values: {error}", column=name
        ) from error


def _changed(values: NDArray[Any], made: NDArray[Any]) -> NDArray[np.bool_]:
    """Which values are others in their new type; for floats, which are beyond it."""
    kind = made.dtype.kind
    if kind in "fc":
        beyond: NDArray[np.bool_] = ~np.isfinite(made) & np.isfinite(values)
        return beyond
    if kind in "mM":
        return (made != values) & ~np.isnat(values)  # type: ignore[no-any-return]
    if kind in "iub":
        return (made != values) | ((made < 0) != (values < 0))  # type: ignore[no-any-return]
    return np.zeros(made.shape, dtype=bool)


def is_one(values: Any) -> bool:
    """Whether this is one value for all rather than one per row."""
    return isinstance(values, (str, bytes)) or not hasattr(values, "__len__") or _flat(values)


def _flat(values: Any) -> bool:
    return isinstance(values, np.ndarray) and values.ndim == 0


def _array(values: Sequence[Any] | NDArray[Any]) -> NDArray[Any]:
    if isinstance(values, np.ndarray):
        return _texts(values, len(values)) if values.dtype.kind in "US" else values.copy()
    items = list(values)
    if items and all(isinstance(item, (tuple, list)) for item in items):
        return _table_of(items)
    if any(isinstance(item, (str, bytes, tuple, list, dict)) or item is None for item in items):
        return objects(items)
    return np.array(items)


def _table_of(items: list[Any]) -> NDArray[Any]:
    """Rows of numbers of one length as shape (n, k); anything else as objects."""
    try:
        table = np.array(items)
    except ValueError:
        return objects(items)
    return table if table.ndim == 2 and table.dtype.kind in "fiub" else objects(items)


def objects(items: Sequence[Any]) -> NDArray[Any]:
    """An array of Python objects, one per item, even where the items are tuples of one length."""
    return np.fromiter(items, dtype=object, count=len(items))


def _texts(values: Any, n: int) -> NDArray[Any]:
    """Texts of an array or a series as objects; equal ones are one, if there are not too many."""
    made: NDArray[Any] = np.empty(n, dtype=object)
    names: dict[Any, Any] = {}
    for first in range(0, n, _AT_ONCE):
        part = values[first : first + _AT_ONCE]
        items = part.tolist() if isinstance(part, np.ndarray) else part.to_list()
        if len(names) < _NAMES:
            items = [names.setdefault(item, item) for item in items]
        made[first : first + _AT_ONCE] = items
    return made


def from_series(series: pl.Series) -> NDArray[Any]:
    """A writable array from a Polars series; times in a zone are the same instants in UTC.

    Raises
    ------
    PopulationError
        Integers or truth values with missing entries, or integers of 128 bits, which no NumPy
        column can hold.
    """
    holes = series.null_count()
    kind = series.dtype
    require(
        holes == 0 or not (kind.is_integer() or kind == pl.Boolean),
        PopulationError,
        f"column {series.name!r} of type {kind} has {holes} missing values; drop those rows, "
        "fill them (fill_null), or cast the column to Float64 to have nan",
        column=series.name,
    )
    require(
        kind != pl.Int128,
        PopulationError,
        f"column {series.name!r} of type {kind}: NumPy has none of 128 bits; cast it to Int64",
        column=series.name,
    )
    if kind.is_numeric() or kind == pl.Boolean or kind.is_temporal():
        return np.array(series.to_numpy())
    if isinstance(kind, pl.Array):
        return np.array(series.to_numpy())
    if kind in (pl.String, pl.Categorical, pl.Enum):
        return _texts(series, len(series))
    return objects(series.to_list())


def to_series(name: str, values: NDArray[Any]) -> pl.Series:
    """A Polars series; objects that Polars has no type for stay Python objects.

    Dates come as days or in their own unit; units that Polars lacks become the next finer one.
    """
    if values.dtype.kind in "mM":
        values = values.astype(_polars_unit(values.dtype))
    if values.dtype != object:
        return pl.Series(name, values)
    items = values.tolist()
    if any(isinstance(item, complex) for item in items):
        return pl.Series(name, items, dtype=pl.Object)
    try:
        return pl.Series(name, items)
    except (TypeError, ValueError, pl.exceptions.PolarsError):
        return pl.Series(name, values.tolist(), dtype=pl.Object)


def _polars_unit(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """A unit of time that Polars has: at least as fine, but for those finer than nanoseconds."""
    unit, kind = np.datetime_data(dtype)[0], dtype.kind
    if kind == "M" and unit in ("Y", "M", "W", "D"):
        unit = "D"
    elif unit in ("Y", "M", "W", "D", "h", "m", "s", "generic"):
        unit = "ms"
    elif unit in ("ps", "fs", "as"):
        unit = "ns"
    return np.dtype(f"{kind}8[{unit}]")
