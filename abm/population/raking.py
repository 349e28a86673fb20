"""Raking (iterative proportional fitting): survey records to known marginal totals.

Weights are multiplied, variable by variable, by what is missing to the target, until all targets
are met. What is reached is the set of weights that meets the targets and is closest to the first
weights in the Kullback-Leibler sense. Targets that contradict each other, or that ask for people
whom the records lack, are reported by name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from abm.errors import PopulationError, require
from abm.population.microdata import _weights, check_frame, draw

__all__ = ["Raked", "fit_table", "rake"]

Marginal = Mapping[Any, float]


@dataclass(frozen=True)
class Raked:
    """Weights that meet marginal targets.

    Attributes
    ----------
    frame
        The records.
    weights
        Shape (n_rows,); they sum to `total`.
    fit
        One row per target: variable, category, target, before, fitted, error (relative to the
        total).
    rounds
        Rounds that were needed.
    """

    frame: pl.DataFrame
    weights: NDArray[np.float64]
    fit: pl.DataFrame
    rounds: int
    variables: tuple[str | tuple[str, ...], ...] = ()
    """Columns of each marginal, in the order of `fit`."""

    @property
    def total(self) -> float:
        """Sum of the weights."""
        return float(self.weights.sum())

    @property
    def error(self) -> float:
        """Largest difference between fitted and target, relative to the total."""
        return float(self.fit["error"].abs().max() or 0.0)  # type: ignore[arg-type]

    @property
    def effective_size(self) -> float:
        """Kish's (sum w)**2 / sum w**2: how many equally weighted records these are worth."""
        return float(self.weights.sum() ** 2 / (self.weights**2).sum())

    def draw(self, n: int, *, rng: np.random.Generator, method: str = "systematic") -> pl.DataFrame:
        """n people with these weights, integerised; see `abm.population.draw`."""
        return draw(self.frame, n, weights=self.weights, rng=rng, method=method)

    def fit_of(self, people: pl.DataFrame) -> pl.DataFrame:
        """The fit table with a column `drawn`: how people drawn from it meet the targets."""
        check_frame("people", people)
        drawn: list[float] = []
        for columns in self.variables:
            names = (columns,) if isinstance(columns, str) else tuple(columns)
            found = Counter(_labels(people, names))
            wanted = self.fit.filter(pl.col("variable") == " x ".join(names))["category"]
            drawn += [found[name] * self.total / max(people.height, 1) for name in wanted]
        return self.fit.with_columns(drawn=pl.Series(drawn, dtype=pl.Float64))


def rake(
    frame: pl.DataFrame,
    marginals: Mapping[str | tuple[str, ...], Marginal],
    *,
    weights: str | ArrayLike | None = None,
    tolerance: float = 1e-9,
    max_rounds: int = 10_000,
) -> Raked:
    """Weights with which the records have the given marginal totals.

    Parameters
    ----------
    frame
        One row per respondent.
    marginals
        Column -> {category: total}; a tuple of columns -> {(category, category): total} for a joint
        table. Totals are counts or shares, >= 0; every variable's targets must have the same sum.
    weights
        First weights: a column, one per row, or `None` for 1 each.
    tolerance
        Largest error that is accepted, relative to the total.
    max_rounds
        Rounds after which targets that are not met are called infeasible.

    Raises
    ------
    PopulationError
        Targets with different sums; a category without a target; a target that no record with a
        positive weight can meet; targets that cannot be met together. Names them.

    References
    ----------
    Deming & Stephan (1940), Annals of Mathematical Statistics 11.

    Examples
    --------
    >>> frame = pl.DataFrame({"sex": ["f", "f", "m"], "age": ["old", "young", "old"]})
    >>> raked = rake(frame, {"sex": {"f": 5, "m": 5}, "age": {"old": 8, "young": 2}})
    >>> raked.weights.round(6).tolist()
    [3.0, 2.0, 5.0]
    """
    _check_asked(frame, marginals)
    require(tolerance >= 0, PopulationError, f"tolerance = {tolerance}, expected tolerance >= 0")
    values = _weights(frame, weights)
    tables = [_table(frame, name, targets, values) for name, targets in marginals.items()]
    require(bool(tables), PopulationError, "marginals is empty, expected at least one variable")
    _check_sums(tables)
    total = float(tables[0].target.sum())
    before = values * (total / values.sum())
    fitted, rounds = _fit_weights(tables, before, tolerance * total, max_rounds)
    fit = _fit(tables, before, fitted, total)
    _check_met(fit, tolerance, rounds)
    return Raked(frame, fitted, fit, rounds, tuple(marginals))


def fit_table(
    people: pl.DataFrame,
    marginals: Mapping[str | tuple[str, ...], Marginal],
    *,
    weights: str | ArrayLike | None = None,
) -> pl.DataFrame:
    """How people, however they were made, meet marginal targets.

    Parameters
    ----------
    people
        One row per person.
    marginals
        As for `rake`; each variable's targets are scaled to the total of the weights.
    weights
        A column, one per row, or `None` for 1 each.

    Returns
    -------
    One row per target: variable, category, target, found, error (relative to the total).

    Raises
    ------
    PopulationError
        A column that is not there, a target that is no number >= 0, or a category of the people
        without a target.

    Examples
    --------
    >>> people = pl.DataFrame({"sex": ["f", "f", "m", "f"]})
    >>> fit_table(people, {"sex": {"f": 0.5, "m": 0.5}}).rows()
    [('sex', 'f', 2.0, 3.0, 0.25), ('sex', 'm', 2.0, 1.0, -0.25)]
    """
    _check_asked(people, marginals)
    values = _weights(people, weights)
    total = float(values.sum())
    parts = []
    for name, targets in marginals.items():
        table = _table(people, name, targets, values, empty_is_refused=False)
        sum_of_targets = float(table.target.sum())
        require(sum_of_targets > 0, PopulationError, f"the targets of {table.name!r} sum to 0")
        wanted = table.target * (total / sum_of_targets)
        found = np.bincount(table.cell, values, wanted.size)
        parts.append(_rows(table, target=wanted, found=found, error=(found - wanted) / total))
    require(bool(parts), PopulationError, "marginals is empty, expected at least one variable")
    return pl.concat(parts)


def _fit_weights(
    tables: Sequence[_Table], before: NDArray[np.float64], largest: float, max_rounds: int
) -> tuple[NDArray[np.float64], int]:
    """Multiply until no target is missed by more than `largest`, or nothing improves any more.

    Targets that can be met bring the gap down at least as 1 / rounds. So if it has not fallen by a
    tenth while the rounds doubled, they cannot.
    """
    weights, rounds, check, last = before.copy(), 0, 256, np.inf
    while rounds < max_rounds:
        gap = _worst(tables, weights)
        if gap <= largest:
            break
        if rounds == check:
            if gap > 0.9 * last:
                break
            check, last = 2 * check, gap
        for table in tables:
            have = np.bincount(table.cell, weights, table.target.size)
            factor = np.divide(table.target, have, out=np.zeros_like(have), where=have > 0)
            weights *= factor[table.cell]
        rounds += 1
    return weights, rounds


def _check_asked(frame: Any, marginals: Any) -> None:
    """Refuse a frame and marginals of another kind."""
    check_frame("frame", frame)
    good = isinstance(marginals, Mapping)
    wrong = [name for name in marginals if not isinstance(marginals[name], Mapping)] if good else []
    require(
        good and not wrong,
        PopulationError,
        f"marginals{wrong[:1] or ''} is no mapping, expected {{column: {{category: total}}}}",
    )


@dataclass(frozen=True)
class _Table:
    name: str
    labels: Sequence[str]
    target: NDArray[np.float64]
    cell: NDArray[np.int64]


def _table(
    frame: pl.DataFrame,
    name: str | tuple[str, ...],
    targets: Marginal,
    weights: NDArray[np.float64],
    *,
    empty_is_refused: bool = True,
) -> _Table:
    columns = (name,) if isinstance(name, str) else tuple(name)
    shown = " x ".join(columns)
    require(
        len(set(columns)) == len(columns),
        PopulationError,
        f"marginal {shown!r}: a column appears more than once",
    )
    absent = [column for column in columns if column not in frame.columns]
    require(
        not absent,
        PopulationError,
        f"marginal {shown!r}: no columns {absent}; the frame has {frame.columns}",
    )
    labels = [_label(category) for category in targets]
    require(
        len(set(labels)) == len(labels),
        PopulationError,
        f"marginal {shown!r}: categories {labels} are not distinct when written out",
    )
    target = _numbers(shown, targets)
    bad = [f"{label} = {value}" for label, value in zip(labels, target, strict=True)
           if not (np.isfinite(value) and value >= 0)]  # fmt: skip
    require(not bad, PopulationError, f"marginal {shown!r}: {bad}, expected finite totals >= 0")
    cell = _cells(shown, labels, _labels(frame, columns), weights)
    have = np.bincount(cell, weights, len(labels))
    lacking = [labels[i] for i in np.flatnonzero((have == 0) & (target > 0))]
    require(
        not (lacking and empty_is_refused),
        PopulationError,
        f"marginal {shown!r}: no record with a positive weight is {lacking}, but its target is "
        "positive; merge categories, or add records",
    )
    return _Table(shown, labels, target, cell)


def _cells(
    shown: str, labels: list[str], found: list[str], weights: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Place of each record among the labels; 0 for one without weight that has none."""
    place = {label: i for i, label in enumerate(labels)}
    counted = (cell for cell, w in zip(found, weights, strict=True) if w > 0)
    unknown = sorted({cell for cell in counted if cell not in place})
    require(
        not unknown,
        PopulationError,
        f"marginal {shown!r}: no target for {unknown}, which the records have; give it one "
        f"(0 removes it). Targets are given for {labels}",
    )
    return np.array([place.get(name, 0) for name in found], dtype=np.int64)


def _numbers(shown: str, targets: Marginal) -> NDArray[np.float64]:
    try:
        return np.array(list(targets.values()), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise PopulationError(f"marginal {shown!r}: {error}, expected one total each") from error


def _labels(frame: pl.DataFrame, columns: tuple[str, ...]) -> list[str]:
    if len(columns) == 1:
        return [_label(value) for value in frame[columns[0]].to_list()]
    return [_label(row) for row in frame.select(columns).rows()]


def _label(category: Any) -> str:
    if isinstance(category, tuple):
        return " x ".join(map(str, category))
    return str(category)


def _check_sums(tables: Sequence[_Table]) -> None:
    sums = {table.name: float(table.target.sum()) for table in tables}
    first = next(iter(sums.values()))
    require(first > 0, PopulationError, f"the targets of {next(iter(sums))!r} sum to 0")
    require(
        all(abs(value - first) <= 1e-9 * first for value in sums.values()),
        PopulationError,
        f"the targets have different sums, so they cannot be met together: {sums}; "
        "scale them to one total",
        sums=sums,
    )


def _worst(tables: Sequence[_Table], weights: NDArray[np.float64]) -> float:
    gaps = [np.abs(np.bincount(t.cell, weights, t.target.size) - t.target).max() for t in tables]
    return float(max(gaps))


def _fit(
    tables: Sequence[_Table],
    before: NDArray[np.float64],
    fitted: NDArray[np.float64],
    total: float,
) -> pl.DataFrame:
    parts = []
    for table in tables:
        first, have = (np.bincount(table.cell, w, table.target.size) for w in (before, fitted))
        error = (have - table.target) / total
        parts.append(_rows(table, target=table.target, before=first, fitted=have, error=error))
    return pl.concat(parts)


def _rows(table: _Table, **values: NDArray[Any]) -> pl.DataFrame:
    names = {"variable": [table.name] * len(table.labels), "category": list(table.labels)}
    return pl.DataFrame({**names, **values})


def _check_met(fit: pl.DataFrame, tolerance: float, rounds: int) -> None:
    missed = fit.filter(pl.col("error").abs() > tolerance).sort("error")
    names = [
        f"{row['variable']} = {row['category']}: {row['fitted']:.6g} of {row['target']:.6g}"
        for row in missed.rows(named=True)
    ]
    require(
        not names,
        PopulationError,
        f"after {rounds} rounds these targets are not met together: {'; '.join(names[:8])}. "
        "The records lack combinations of categories that the targets need: merge categories, drop "
        "a marginal, or raise the tolerance",
        fit=fit,
    )
