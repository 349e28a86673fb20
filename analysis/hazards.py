"""Cox regression: how much likelier an event is where a covariate is one larger.

Spells say who was at risk from when to when, with which covariates, and whether the event ended
them; `abm.analysis.exposure.exposure_spells` makes them from records of exposures and adoptions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numba import njit
from numpy.typing import NDArray
from scipy import stats

from abm.analysis.arrays import as_labels
from abm.analysis.intervals import check_level
from abm.analysis.partial_likelihood import Spells, largest, score_residuals
from abm.errors import AnalysisError, require

__all__ = ["Cox", "cox_regression"]

Array = NDArray[np.float64]
NAN = float("nan")


@dataclass(frozen=True)
class Cox:
    """A Cox regression.

    Attributes
    ----------
    table
        One row per covariate: `covariate`, `log_hazard` (coefficient), `standard_error`,
        `estimate` (hazard ratio per unit) with `low` and `high`, `p_value`, `level`, `n` (events).
    concordance
        Share of pairs at risk together in which the one that adopted first has the higher fitted
        risk, equal risks counting half: 1/2 says nothing, 1 perfect. Who is at risk when another
        adopts and does not adopt itself at that moment makes a pair, even if observed no longer.
    n_spells, n_events
        Rows and adoptions.
    reason
        Why estimates are undefined; empty otherwise.
    """

    table: pl.DataFrame
    concordance: float
    n_spells: int
    n_events: int
    reason: str = ""


def cox_regression(
    spells: pl.DataFrame,
    covariates: Sequence[str] = ("exposures",),
    *,
    cluster: str | None = None,
    start: str = "start",
    stop: str = "stop",
    event: str = "adopted",
    level: float = 0.95,
) -> Cox:
    """Cox's proportional hazards with covariates that may change between the spells of an agent.

    Parameters
    ----------
    spells
        One row per spell, at risk after `start` and up to `stop`, so that an agent who goes from
        one spell to the next at the moment of an event counts once; rows of one agent do not
        overlap.
    covariates
        Columns of numbers, such as `exposures`; make indicators for kinds.
    cluster
        Column of units that are alike within (replications, agents with several adoptions):
        standard errors are then the robust ones of Lin and Wei.

    Returns
    -------
    Fit by Efron's approximation of ties, with Wald intervals of the log hazard. Undefined, with the
    reason, without an adoption, where a covariate does not vary or is a combination of others, and
    where covariates separate those who adopt so that the likelihood grows without end.

    Raises
    ------
    AnalysisError
        A column is missing, undefined or no number, or a spell has no length.

    References
    ----------
    Cox (1972), Journal of the Royal Statistical Society B 34, 187-220; Efron (1977), Journal of the
    American Statistical Association 72, 557-565; Harrell et al. (1982), JAMA 247, 2543-2546; Lin
    and Wei (1989), Journal of the American Statistical Association 84, 1074-1078.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> x = rng.integers(0, 2, 2000)
    >>> spells = pl.DataFrame({"start": np.zeros(2000), "stop": rng.exponential(1 / 0.53**x),
    ...                        "adopted": True, "x": x})
    >>> row = cox_regression(spells, ["x"]).table.row(0, named=True)
    >>> row["low"] < 0.53 < row["high"]
    True
    """
    check_level(level)
    names = list(covariates)
    needed = [start, stop, event, *names, *([cluster] if cluster else [])]
    _check_spells(spells, needed, names, start, stop)
    exog = spells.select(pl.col(names).cast(pl.Float64)).to_numpy()
    begin, finish = (spells[c].cast(pl.Float64).to_numpy() for c in (start, stop))
    happened = spells[event].cast(pl.Boolean).to_numpy()
    n_events = int(happened.sum())
    reason = _unfit(exog, names, n_events)
    coefficients = errors = np.full(len(names), np.nan)
    if not reason:
        groups = None if cluster is None else as_labels(spells[cluster].to_numpy(), cluster)[1]
        coefficients, errors, reason = _fitted(begin, finish, happened, exog, groups)
    if reason:
        table = _cox_table(names, coefficients, errors, level, n_events)
        return Cox(table, NAN, len(exog), n_events, reason)
    risk = exog @ coefficients
    table = _cox_table(names, coefficients, errors, level, n_events)
    return Cox(table, _concordance(begin, finish, happened, risk), len(exog), n_events)


def _unfit(exog: Array, names: list[str], n_events: int) -> str:
    """Why there is nothing to fit; empty otherwise."""
    if n_events == 0:
        return "nobody adopted"
    flat = [name for name, column in zip(names, exog.T, strict=True) if np.ptp(column) == 0]
    if flat:
        return f"{flat} do not vary"
    scaled = (exog - exog.mean(axis=0)) / exog.std(axis=0)
    if np.linalg.matrix_rank(scaled, tol=1e-7 * np.sqrt(len(exog))) < len(names):
        return f"{names} cannot be told apart: one is a combination of the others"
    return ""


def _fitted(
    begin: Array,
    finish: Array,
    happened: NDArray[np.bool_],
    exog: Array,
    groups: NDArray[np.int64] | None,
) -> tuple[Array, Array, str]:
    """Log hazards, their standard errors, and why they are undefined."""
    # Centred and scaled: the hazard ratio of a count in the hundreds does not overflow.
    scale = exog.std(axis=0)
    x = np.ascontiguousarray((exog - exog.mean(axis=0)) / scale)
    spells = Spells(x, begin, finish, happened)
    at, certain = largest(spells)
    # Of covariates with variance 1 an event tells about 1; a millionth of that is a flat ridge.
    if not np.isfinite(certain).all() or np.linalg.eigvalsh(certain)[0] < 1e-6:
        nothing = np.full(exog.shape[1], np.nan)
        return nothing, nothing, "the likelihood grows without end: covariates separate who adopts"
    variance = np.linalg.inv(certain)
    if groups is not None:
        left = score_residuals(spells, at)
        summed = np.zeros((int(groups.max()) + 1, x.shape[1]))
        np.add.at(summed, groups, left)
        variance = variance @ (summed.T @ summed) @ variance
    return at / scale, np.sqrt(np.diag(variance)) / scale, ""


def _cox_table(
    names: list[str], coefficients: Array, errors: Array, level: float, n_events: int
) -> pl.DataFrame:
    half = float(stats.norm.ppf((1 + level) / 2)) * errors
    return pl.DataFrame(
        {
            "covariate": names,
            "log_hazard": coefficients,
            "standard_error": errors,
            "estimate": np.exp(coefficients),
            "low": np.exp(coefficients - half),
            "high": np.exp(coefficients + half),
            "p_value": 2 * stats.norm.sf(np.abs(coefficients / errors)),
            "level": np.full(len(names), level),
            "n": [n_events] * len(names),
        }
    )


def _is_number(kind: pl.DataType) -> bool:
    return kind.is_numeric() or kind == pl.Boolean


def _check_spells(
    spells: pl.DataFrame, names: list[str], covariates: list[str], start: str, stop: str
) -> None:
    missing = [name for name in names if name not in spells.columns]
    require(not missing, AnalysisError, f"the spells lack {missing}; they have {spells.columns}")
    words = [name for name in covariates if not _is_number(spells.schema[name])]
    require(
        bool(covariates) and not words,
        AnalysisError,
        f"covariates {covariates}, of which {words} hold no numbers; expected one or more columns "
        "of numbers: make indicators for kinds",
    )
    undefined = [
        name
        for name in names
        if spells[name].null_count()
        or (spells.schema[name].is_float() and not spells[name].is_finite().all())
    ]
    require(not undefined, AnalysisError, f"{undefined} are undefined in some spells: fill or drop")
    empty = spells.filter(pl.col(start) >= pl.col(stop)).height
    require(empty == 0, AnalysisError, f"{empty} spells have no length, expected start < stop")


def _concordance(begin: Array, finish: Array, happened: NDArray[np.bool_], risk: Array) -> float:
    """Harrell's C over pairs of an event and a spell at risk then that has none at that moment."""
    order = np.argsort(risk, kind="stable")
    # Risks that differ by rounding only are equal.
    rises = np.concatenate([[0], np.diff(risk[order]) > 1e-12]) if risk.size else np.empty(0)
    rank = np.empty(risk.size, dtype=np.int64)
    rank[order] = np.cumsum(rises)
    enter = np.argsort(begin, kind="stable")
    leave = np.lexsort((~happened, finish))  # at one moment, those with the event go first
    good, pairs = _pairs(begin, finish, happened, rank, enter, leave)
    return good / pairs if pairs else NAN


@njit(cache=True)
def _pairs(
    begin: Array,
    finish: Array,
    happened: NDArray[np.bool_],
    rank: NDArray[np.int64],
    enter: NDArray[np.int64],
    leave: NDArray[np.int64],
) -> tuple[float, int]:
    """Pairs in the right order, equal ones counting half, and all pairs.

    Time moves on from event to event; a Fenwick tree holds how many of each rank are at risk.
    """
    size = rank.max() + 1 if rank.size else 0
    tree = np.zeros(size + 1, dtype=np.int64)
    good, pairs, at_risk, come, gone = 0.0, 0, 0, 0, 0
    for place in range(leave.size):
        i = leave[place]
        if not happened[i]:
            continue
        now = finish[i]
        while come < enter.size and begin[enter[come]] < now:
            _add(tree, rank[enter[come]], 1)
            at_risk += 1
            come += 1
        while gone < leave.size and (
            finish[leave[gone]] < now or (finish[leave[gone]] == now and happened[leave[gone]])
        ):
            _add(tree, rank[leave[gone]], -1)
            at_risk -= 1
            gone += 1
        below, with_it = _below(tree, rank[i]), _below(tree, rank[i] + 1)
        good += below + (with_it - below) / 2
        pairs += at_risk
    return good, pairs


@njit(cache=True)
def _add(tree: NDArray[np.int64], rank: int, change: int) -> None:
    place = rank + 1
    while place < tree.size:
        tree[place] += change
        place += place & -place


@njit(cache=True)
def _below(tree: NDArray[np.int64], rank: int) -> int:
    """How many are held with a smaller rank."""
    held, place = 0, rank
    while place > 0:
        held += tree[place]
        place -= place & -place
    return held
