"""Figures of the exposure arms: from tidy tables to figures, nothing else."""

from __future__ import annotations

import math
from collections.abc import Sequence

import polars as pl
from matplotlib.figure import Figure

from abm.analysis.figures import effect_forest, stacked_shares, trajectories
from abm.models.opinion_network.summaries import CHANGES

__all__ = ["NAMES", "differences_figure", "shares_figure", "trajectories_figure"]

NAMES = {
    "none": "none (placebo)",
    "like_minded": "like-minded",
    "more_extreme": "more extreme",
    "more_moderate": "more moderate",
    "embedded": "embedded model",
    "truth": "truth (exact rule)",
    "rule": "rule twin",
    "asked": "citizens who are asked",
    "all": "all citizens",
}
"""How values are written in figures and tables."""

AXES = {
    "more_extreme": "more extreme (%)",
    "more_moderate": "more moderate (%)",
    "flipped": "flipped (%)",
    "variance": "variance of opinions",
}


def shares_figure(table: pl.DataFrame, group: str, arms: Sequence[str]) -> Figure:
    """Who changed how, per arm and answerer, in one group of citizens."""
    return stacked_shares(
        table.filter(pl.col("group") == group),
        panel="answerer",
        xlabel=f"share of {NAMES[group]} (%)",
        ylabel="exposure",
        order={"outcome": CHANGES, "arm": arms},
        names=NAMES,
    )


def differences_figure(
    table: pl.DataFrame, group: str, control: str, arms: Sequence[str]
) -> Figure:
    """Differences to a control arm in percentage points, with intervals."""
    kinds = CHANGES[:3]
    mine = table.filter(
        (pl.col("group") == group)
        & (pl.col("control") == control)
        & pl.col("outcome").is_in(list(kinds))
    ).with_columns(pl.col("estimate", "low", "high") * 100)
    return effect_forest(
        mine,
        series="answerer",
        panel="outcome",
        xlabel=f"difference to exposure {NAMES.get(control, control)!r}, "
        f"{NAMES[group]} (percentage points)",
        ylabel="exposure",
        order={"outcome": kinds, "arm": [arm for arm in arms if arm != control]},
        names=NAMES,
    )


def trajectories_figure(table: pl.DataFrame, arms: Sequence[str]) -> Figure:
    """Daily shares in per cent and the variance: arms as lines, answerers as panels."""
    share = pl.col("variable").is_in(list(CHANGES))
    scaled = [
        pl.when(share).then(pl.col(name) * 100).otherwise(pl.col(name)).alias(name)
        for name in ("estimate", "low", "high")
    ]
    figure = trajectories(
        table.with_columns(scaled),
        panel="answerer",
        row="variable",
        xlabel="time (days)",
        order={"variable": tuple(AXES), "arm": arms},
        names={**NAMES, **AXES},
        within=dict.fromkeys(CHANGES, (0, 100)) | {"variance": (0, math.inf)},
        height=150,
    )
    figure.align_ylabels()
    return figure
