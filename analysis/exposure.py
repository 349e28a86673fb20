"""Exposure and adoption: does being exposed once more make adoption likelier?

Records of exposures and adoptions become spells: an agent's time from one exposure to the next,
ended by adoption, by the next exposure or by the end of observation. Everything else is read off
the spells: the curve of adoption by number of exposures, and a Cox regression in which exposure
changes with time. An exposure acts from after its own instant on, so an adoption at the very moment
of an exposure counts for what came before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from abm.analysis.hazards import Cox, cox_regression
from abm.analysis.intervals import check_level, wilson_interval
from abm.errors import AnalysisError, require

__all__ = ["Cox", "adoption_curve", "cox_regression", "exposure_spells"]

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
