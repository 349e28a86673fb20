"""What every figure needs of its table: the columns it names, and orders to draw them in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from abm.errors import AnalysisError, require

__all__ = ["column", "defined", "need", "ordered", "part", "shown"]


def need(table: pl.DataFrame, *names: str | None) -> None:
    """Refuse a table without these columns or without rows. `None` stands for a column not used."""
    missing = [name for name in names if name is not None and name not in table.columns]
    require(
        not missing,
        AnalysisError,
        f"the table of the figure lacks the columns {missing}; it has {table.columns}",
        missing=missing,
    )
    require(table.height > 0, AnalysisError, "the table of the figure is empty")


def ordered(table: pl.DataFrame, name: str | None, order: Sequence[Any] | None = None) -> list[Any]:
    """Values of a column in the given order, or of appearance; `[None]` without a column."""
    if name is None:
        return [None]
    found = table[name].unique(maintain_order=True).to_list()
    if order is None:
        return found
    unknown = [value for value in found if value not in order]
    require(
        not unknown,
        AnalysisError,
        f"the order {list(order)} of column {name!r} lacks its values {unknown}",
    )
    return [value for value in order if value in found]


def part(table: pl.DataFrame, **where: Any) -> pl.DataFrame:
    """Rows where each named column has the given value."""
    for name, value in where.items():
        table = table.filter(pl.col(name) == value)
    return table


def column(table: pl.DataFrame, name: str) -> NDArray[np.float64]:
    """A column as floats; null is nan."""
    return table[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()


def defined(table: pl.DataFrame, name: str) -> NDArray[np.float64]:
    """The finite values of a column; refuses a column that has none."""
    values = column(table, name)
    known = values[np.isfinite(values)]
    require(known.size > 0, AnalysisError, f"column {name!r} has no defined value to draw")
    return known


def shown(value: Any, names: Mapping[Any, str] | None) -> str:
    """How a value is written in the figure: a given name, or its own text with spaces."""
    if names is not None and value in names:
        return names[value]
    if isinstance(value, float):
        return f"{value:g}"
    return str(value).replace("_", " ")
