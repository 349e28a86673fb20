"""Households whose people meet targets too: one weight per household, fitted to both levels.

Iterative proportional updating: for each target in turn, the weights of all households that have
such a household, or at least one such person, are multiplied by what is missing. Households are
then drawn whole, so that who lives with whom is as in the data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from abm.errors import PopulationError, require
from abm.population.microdata import _weights, check_frame, draw
from abm.population.raking import Marginal, _check_sums, _Table, _table

__all__ = ["FittedHouseholds", "fit_households"]

Marginals = Mapping[str | tuple[str, ...], Marginal]


@dataclass(frozen=True)
class FittedHouseholds:
    """Household weights that meet targets for households and for people.

    Attributes
    ----------
    households, persons
        The records.
    by
        Column of both with the household's id.
    weights
        One per household, shape (n_households,).
    fit
        One row per target: level, variable, category, target, before, fitted, error (relative to
        the number of households, or of people).
    rounds
        Rounds that were needed.
    """

    households: pl.DataFrame
    persons: pl.DataFrame
    by: str
    weights: NDArray[np.float64]
    fit: pl.DataFrame
    rounds: int

    @property
    def error(self) -> float:
        """Largest relative difference between fitted and target."""
        return float(self.fit["error"].abs().max() or 0.0)  # type: ignore[arg-type]

    def draw(
        self, n: int, *, rng: np.random.Generator, method: str = "systematic"
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """n households by weight, integerised, and everybody who lives in them.

        Returns
        -------
        The households with a column `home` that numbers them from 0, and the persons, home after
        home, with the `home` they live in. `copy` counts the copies of a household in the data.

        Examples
        --------
        >>> homes = pl.DataFrame({"id": [1, 2], "kind": ["single", "couple"]})
        >>> people = pl.DataFrame({"id": [1, 2, 2], "sex": ["f", "f", "m"]})
        >>> fitted = fit_households(homes, people, by="id",
        ...                         household_marginals={"kind": {"single": 10, "couple": 5}})
        >>> drawn, living = fitted.draw(15, rng=np.random.default_rng(1))
        >>> drawn.height, living.height, living.filter(pl.col("sex") == "m").height
        (15, 20, 5)
        """
        homes = draw(self.households, n, weights=self.weights, rng=rng, method=method)
        homes = homes.with_columns(home=pl.Series(np.arange(n, dtype=np.int64)))
        row = {key: i for i, key in enumerate(self.households[self.by].to_list())}
        source = np.array([row[key] for key in homes[self.by].to_list()], dtype=np.int64)
        of = _homes(self.households, self.persons, self.by)
        order = np.argsort(of, kind="stable")
        size = np.bincount(of, minlength=self.households.height)
        first, lived = (np.cumsum(size) - size)[source], size[source]
        within = np.arange(lived.sum()) - np.repeat(np.cumsum(lived) - lived, lived)
        home = np.repeat(np.arange(n), lived)
        living = self.persons[order[np.repeat(first, lived) + within]].with_columns(
            home=pl.Series(home, dtype=pl.Int64), copy=homes["copy"].gather(home)
        )
        return homes, living


def fit_households(
    households: pl.DataFrame,
    persons: pl.DataFrame,
    *,
    by: str,
    household_marginals: Marginals | None = None,
    person_marginals: Marginals | None = None,
    weights: str | ArrayLike | None = None,
    tolerance: float = 1e-7,
    max_rounds: int = 20_000,
) -> FittedHouseholds:
    """Household weights with which households and their people have given marginal totals.

    Parameters
    ----------
    households
        One row per household of the data; ids in the column `by` are distinct.
    persons
        One row per person; `by` names the household.
    household_marginals, person_marginals
        Targets, as for `abm.population.rake`; counts, not shares, since the two levels are counted
        together. At least one of the two.
    weights
        First weights of the households: a column, one per row, or `None` for 1 each.
    tolerance
        Largest error that is accepted, relative to the number of households or people.
    max_rounds
        Rounds after which targets that are not met are called infeasible.

    Raises
    ------
    PopulationError
        As `abm.population.rake`; and households without an id of their own, or persons whose
        household is not there.

    References
    ----------
    Ye, Konduri, Pendyala, Sana & Waddell (2009), 88th Annual Meeting of the Transportation Research
    Board: iterative proportional updating.

    Examples
    --------
    >>> homes = pl.DataFrame({"id": [1, 2, 3]})
    >>> people = pl.DataFrame({"id": [1, 2, 2, 3, 3], "age": ["old", "old", "old", "old", "child"]})
    >>> fitted = fit_households(homes, people, by="id",
    ...                         person_marginals={"age": {"old": 12, "child": 4}})
    >>> (people.join(homes.with_columns(w=fitted.weights), on="id")
    ...        .group_by("age").agg(pl.col("w").sum().round(4)).sort("age").rows())
    [('child', 4.0), ('old', 12.0)]
    """
    home = _homes(households, persons, by)
    first = _weights(households, weights)
    levels = [
        ("household", households, household_marginals or {}, np.arange(households.height)),
        ("person", persons, person_marginals or {}, home),
    ]
    targets = []
    for level, frame, marginals, of in levels:
        tables = [_table(frame, name, given, first[of]) for name, given in marginals.items()]
        if tables:
            _check_sums(tables)
        targets += [t for table in tables for t in _targets(level, table, of, first.size)]
    require(
        bool(targets),
        PopulationError,
        "household_marginals and person_marginals are both empty, expected at least one variable",
    )
    start = first * _scale(targets, first)
    fitted, rounds = _update(targets, start, tolerance, max_rounds)
    fit = _fit(targets, start, fitted)
    _check(fit, tolerance, rounds)
    return FittedHouseholds(households, persons, by, fitted, fit, rounds)


@dataclass(frozen=True)
class _Target:
    level: str
    variable: str
    category: str
    wanted: float
    total: float
    rows: NDArray[np.int64]
    """Households that have at least one."""
    times: NDArray[np.float64]
    """How many they have."""

    def found(self, weights: NDArray[np.float64]) -> float:
        return float(self.times @ weights[self.rows])

    def error(self, weights: NDArray[np.float64]) -> float:
        return (self.found(weights) - self.wanted) / self.total


def _homes(households: pl.DataFrame, persons: pl.DataFrame, by: str) -> NDArray[np.int64]:
    """Row of the household of each person."""
    for name, frame in (("households", households), ("persons", persons)):
        check_frame(name, frame)
        require(
            by in frame.columns,
            PopulationError,
            f"by = {by!r}, expected a column of {name}: {frame.columns}",
        )
    taken = sorted({"home", "copy"} & {*households.columns, *persons.columns})
    require(not taken, PopulationError, f"columns {taken} are written by draw; rename them")
    require(
        households[by].n_unique() == households.height,
        PopulationError,
        f"households: ids in {by!r} are not distinct, expected one row per household",
    )
    row = {key: i for i, key in enumerate(households[by].to_list())}
    strangers = [key for key in persons[by].unique().to_list() if key not in row]
    require(
        not strangers,
        PopulationError,
        f"persons: {len(strangers)} households in {by!r} are not among the households, for example "
        f"{strangers[:3]}",
        households=strangers[:3],
    )
    return np.array([row[key] for key in persons[by].to_list()], dtype=np.int64)


def _targets(level: str, table: _Table, of: NDArray[np.int64], n: int) -> Sequence[_Target]:
    total = float(table.target.sum())
    made = []
    for place, (label, wanted) in enumerate(zip(table.labels, table.target, strict=True)):
        times = np.bincount(of[table.cell == place], minlength=n).astype(np.float64)
        rows = np.flatnonzero(times)
        made.append(_Target(level, table.name, label, float(wanted), total, rows, times[rows]))
    return made


def _scale(targets: Sequence[_Target], weights: NDArray[np.float64]) -> float:
    """Factor that gives the first variable its total."""
    first = [t for t in targets if (t.level, t.variable) == (targets[0].level, targets[0].variable)]
    return targets[0].total / sum(t.found(weights) for t in first)


def _update(
    targets: Sequence[_Target], before: NDArray[np.float64], tolerance: float, max_rounds: int
) -> tuple[NDArray[np.float64], int]:
    """Update until no target is missed by more than `tolerance`, or nothing improves any more."""
    weights, rounds, check, last = before.copy(), 0, 512, np.inf
    while rounds < max_rounds:
        gap = max(abs(target.error(weights)) for target in targets)
        if gap <= tolerance:
            break
        if rounds == check:
            if gap > 0.9 * last:
                break
            check, last = 2 * check, gap
        for target in targets:
            found = target.found(weights)
            if found > 0:
                weights[target.rows] *= target.wanted / found
        rounds += 1
    return weights, rounds


def _fit(
    targets: Sequence[_Target], before: NDArray[np.float64], fitted: NDArray[np.float64]
) -> pl.DataFrame:
    rows: list[dict[str, Any]] = [
        {
            "level": target.level,
            "variable": target.variable,
            "category": target.category,
            "target": target.wanted,
            "before": target.found(before),
            "fitted": target.found(fitted),
            "error": target.error(fitted),
        }
        for target in targets
    ]
    return pl.DataFrame(rows)


def _check(fit: pl.DataFrame, tolerance: float, rounds: int) -> None:
    missed = fit.filter(pl.col("error").abs() > tolerance).sort("error")
    names = [
        f"{row['level']} {row['variable']} = {row['category']}: {row['fitted']:.6g} of "
        f"{row['target']:.6g}"
        for row in missed.rows(named=True)
    ]
    require(
        not names,
        PopulationError,
        f"after {rounds} rounds these targets are not met together: {'; '.join(names[:8])}. The "
        "households lack combinations that the targets need: merge categories, drop a marginal, or "
        "raise the tolerance",
        fit=fit,
    )
