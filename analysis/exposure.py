"""Exposure and adoption: does being exposed once more make adoption likelier?

Records of exposures and adoptions become spells: an agent's time from one exposure to the next,
ended by adoption, by the next exposure or by the end of observation. Everything else is read off
the spells: the curve of adoption by number of exposures, and a Cox regression in which exposure
changes with time. An exposure acts from after its own instant on, so an adoption at the very moment
of an exposure counts for what came before.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numba import njit
from numpy.typing import NDArray
from scipy import stats

from abm.analysis.intervals import check_level, wilson_interval
from abm.errors import AnalysisError, require

__all__ = ["Cox", "adoption_curve", "cox_regression", "exposure_spells"]

Array = NDArray[np.float64]
NAN = float("nan")


def exposure_spells(
    exposures: pl.DataFrame,
    adoptions: pl.DataFrame,
    *,
    end: float,
    start: float = 0.0,
    agents: Sequence[Any] | None = None,
    agent: str = "agent",
    time: str = "time",
) -> pl.DataFrame:
    """Spells of constant exposure, for `adoption_curve` and `cox_regression`.

    Parameters
    ----------
    exposures
        One row per exposure: columns `agent` and `time`.
    adoptions
        One row per adopting agent: `agent` and `time` of its first adoption.
    start, end
        Window of observation. Later exposures and adoptions are not seen.
    agents
        All agents at risk; by default those with an exposure or an adoption. Only they may have
        records.

    Returns
    -------
    One row per spell, ordered by agent and time: `agent`, `start`, `stop` (start < stop),
    `exposures` so far and `adopted` (at `stop`). An agent that adopted by `start` has none.

    Raises
    ------
    AnalysisError
        A column is missing, a record lacks its agent or time, an agent adopts twice or is not among
        `agents`, or the window is empty.

    References
    ----------
    Andersen and Gill (1982), Annals of Statistics 10, 1100-1120: at risk from `start` to `stop`,
    with a covariate that changes between spells.

    Examples
    --------
    >>> seen = pl.DataFrame({"agent": [1, 1, 2], "time": [1.0, 3.0, 2.0]})
    >>> done = pl.DataFrame({"agent": [1], "time": [4.0]})
    >>> exposure_spells(seen, done, end=5.0).rows()  # doctest: +NORMALIZE_WHITESPACE
    [(1, 0.0, 1.0, 0, False), (1, 1.0, 3.0, 1, False), (1, 3.0, 4.0, 2, True),
     (2, 0.0, 2.0, 0, False), (2, 2.0, 5.0, 1, False)]
    """
    _check_records(exposures, adoptions, agent, time, start, end)
    who = _agents(exposures, adoptions, agents, agent)
    moment = pl.col(time).cast(pl.Float64)
    adopted = adoptions.select(agent, moment.alias("_adopted"))
    leave = who.join(adopted, on=agent, how="left").with_columns(
        _end=pl.min_horizontal(pl.col("_adopted").fill_null(end), pl.lit(end))
    )
    spells = _begun(exposures, who, agent, time, start).join(leave, on=agent)
    return _ended(spells, agent, end).select(agent, "start", "stop", "exposures", "adopted")


def _check_records(
    exposures: pl.DataFrame,
    adoptions: pl.DataFrame,
    agent: str,
    time: str,
    start: float,
    end: float,
) -> None:
    for name, frame in (("exposures", exposures), ("adoptions", adoptions)):
        missing = [column for column in (agent, time) if column not in frame.columns]
        require(not missing, AnalysisError, f"{name} lack {missing}; they have {frame.columns}")
        empty = frame.select(
            pl.col(agent).is_null() | pl.col(time).cast(pl.Float64).fill_null(NAN).is_nan()
        )
        undefined = int(empty.to_series().sum())
        require(
            undefined == 0,
            AnalysisError,
            f"{undefined} {name} lack their agent or time, expected none: leave out who has none",
        )
    require(start < end, AnalysisError, f"window [{start}, {end}], expected start < end")
    require(
        not adoptions[agent].is_duplicated().any(),
        AnalysisError,
        "an agent adopts twice, expected its first adoption only",
    )


def _begun(
    exposures: pl.DataFrame, who: pl.DataFrame, agent: str, time: str, start: float
) -> pl.DataFrame:
    """When spells begin, and how many exposures begin each."""
    moment = pl.col(time).cast(pl.Float64)
    # Several exposures at one instant open one spell; those before the window count from its start.
    opened = (
        exposures.select(agent, moment.clip(start, None).alias("start"))
        .group_by(agent, "start")
        .len("_more")
    )
    births = who.select(agent, pl.lit(start).alias("start"), pl.lit(0, pl.UInt32).alias("_more"))
    spells = pl.concat([births, opened.select(births.columns).cast(births.schema)])
    return spells.group_by(agent, "start").agg(pl.col("_more").sum()).sort(agent, "start")


def _ended(spells: pl.DataFrame, agent: str, end: float) -> pl.DataFrame:
    """Each spell until the next one, adoption or the end of observation; those of no length go."""
    adopted = (pl.col("_adopted") == pl.col("stop")) & (pl.col("_adopted") <= end)
    return (
        spells.sort(agent, "start")
        .with_columns(
            exposures=pl.col("_more").cum_sum().over(agent).cast(pl.Int64),
            _next=pl.col("start").shift(-1).over(agent),
        )
        .with_columns(stop=pl.min_horizontal(pl.col("_next").fill_null(end), "_end"))
        .filter(pl.col("start") < pl.col("stop"))
        .with_columns(adopted=adopted.fill_null(False))
    )


def adoption_curve(spells: pl.DataFrame, *, level: float = 0.95) -> pl.DataFrame:
    """Adoption by number of exposures: how many that reached k exposures adopted before the next.

    Parameters
    ----------
    spells
        As `exposure_spells` makes them.

    Returns
    -------
    One row per number of exposures: `exposures`, `n` (agents who reached it), `adopted`, `estimate`
    (adopted over n) with Wilson's `low` and `high`, `time` (their time at it) and `rate` (adoptions
    per unit of that time), `level`. Concave if the estimate grows ever more slowly. A number of
    exposures that nobody reached has no row, so nothing is undefined.

    References
    ----------
    Romero, Meeder and Kleinberg (2011), WWW '11, 695-704 (k-exposure curves).

    Examples
    --------
    >>> seen = pl.DataFrame({"agent": [1, 2], "time": [1.0, 2.0]})
    >>> done = pl.DataFrame({"agent": [1], "time": [4.0]})
    >>> curve = adoption_curve(exposure_spells(seen, done, end=5.0))
    >>> curve.select("exposures", "n", "adopted", "estimate", "time").rows()
    [(0, 2, 0, 0.0, 3.0), (1, 2, 1, 0.5, 6.0)]
    """
    check_level(level)
    needed = ("exposures", "adopted", "start", "stop")
    missing = [name for name in needed if name not in spells.columns]
    require(not missing, AnalysisError, f"the spells lack {missing}; they have {spells.columns}")
    table = (
        spells.group_by("exposures")
        .agg(
            n=pl.len(),
            adopted=pl.col("adopted").sum().cast(pl.Int64),
            time=(pl.col("stop") - pl.col("start")).sum(),
        )
        .sort("exposures")
    )
    made = [
        wilson_interval(k, n, level=level)
        for k, n in zip(table["adopted"], table["n"], strict=True)
    ]
    return table.with_columns(
        estimate=pl.Series([e.estimate for e in made], dtype=pl.Float64),
        low=pl.Series([e.low for e in made], dtype=pl.Float64),
        high=pl.Series([e.high for e in made], dtype=pl.Float64),
        rate=pl.col("adopted") / pl.col("time"),
        level=pl.lit(level),
    ).select("exposures", "n", "adopted", "estimate", "low", "high", "time", "rate", "level")


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
        One row per spell; rows of one agent do not overlap.
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
        coefficients, errors, reason = _phreg(begin, finish, happened, exog, spells, cluster)
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


def _phreg(
    begin: Array,
    finish: Array,
    happened: NDArray[np.bool_],
    exog: Array,
    spells: pl.DataFrame,
    cluster: str | None,
) -> tuple[Array, Array, str]:
    """Log hazards, their standard errors, and why they are undefined."""
    from statsmodels.duration.hazard_regression import PHReg

    # Centred and scaled: the hazard ratio of a count in the hundreds does not overflow.
    scale = exog.std(axis=0)
    model = PHReg(finish, (exog - exog.mean(axis=0)) / scale, happened, entry=begin, ties="efron")
    groups = None if cluster is None else spells[cluster].rank("dense").to_numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what they warn of is found below
        fit = model.fit(groups=groups)
        certain = -np.asarray(model.hessian(fit.params))
    # Of covariates with variance 1 an event tells about 1; a millionth of that is a flat ridge.
    if not np.isfinite(certain).all() or np.linalg.eigvalsh(certain)[0] < 1e-6:
        nothing = np.full(exog.shape[1], np.nan)
        return nothing, nothing, "the likelihood grows without end: covariates separate who adopts"
    return np.asarray(fit.params) / scale, np.asarray(fit.bse) / scale, ""


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


def _agents(
    exposures: pl.DataFrame, adoptions: pl.DataFrame, agents: Sequence[Any] | None, agent: str
) -> pl.DataFrame:
    if agents is None:
        both = pl.concat([exposures[agent], adoptions[agent].cast(exposures.schema[agent])])
        return pl.DataFrame({agent: both.unique().sort()})
    known = pl.Series(agent, list(agents), dtype=exposures.schema[agent])
    for name, frame in (("exposures", exposures), ("adoptions", adoptions)):
        others = frame.filter(~pl.col(agent).is_in(known.implode()))[agent].unique().sort()
        require(
            others.is_empty(),
            AnalysisError,
            f"{name} of {others.len()} agents such as {others.head(3).to_list()}, not among "
            "`agents`, expected all who are at risk",
        )
    return pl.DataFrame({agent: known.unique().sort()})


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
