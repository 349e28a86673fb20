"""Tables of a study on the terminal, at most 80 columns wide."""

from __future__ import annotations

import math
from collections.abc import Sequence

import polars as pl
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from abm.models.opinion_network.figures import NAMES
from abm.models.opinion_network.summaries import CHANGES

__all__ = [
    "print_answerers",
    "print_correlations",
    "print_counts",
    "print_differences",
    "print_shares",
]

SHOWN = CHANGES[:3]
PLUS_MINUS = "± half the 95 % interval"
SHORT = {
    "none": "placebo",
    "like_minded": "like-minded",
    "more_extreme": "more\nextreme",
    "more_moderate": "more\nmoderate",
    "mean": "mean\nopinion",
}
"""How values are written where room is scarce."""


def print_shares(out: Console, shares: pl.DataFrame, group: str) -> None:
    """Who changed how, per answerer and exposure."""
    title = f"Changed since the baseline, {NAMES[group]} (%, {PLUS_MINUS})"
    table = shares.filter(pl.col("group") == group)
    _print(out, title, table, CHANGES)


def print_differences(out: Console, differences: pl.DataFrame, group: str, control: str) -> None:
    """Each exposure against a control; the placebo is a control and no treatment."""
    title = f"Difference to {_named(control)}, {NAMES[group]} (percentage points, {PLUS_MINUS})"
    table = differences.filter(
        (pl.col("group") == group) & (pl.col("control") == control) & (pl.col("arm") != "none")
    )
    _print(out, title, table, SHOWN)


def print_correlations(out: Console, differences: pl.DataFrame, group: str) -> None:
    """What pairing by replication achieved."""
    table = _table(
        f"Correlation of paired runs, {NAMES[group]}",
        ["answerer", "exposure", "against", *(_named(kind) for kind in (*SHOWN, "mean"))],
    )
    mine = differences.filter((pl.col("group") == group) & (pl.col("arm") != "none"))
    for answerer, part in _split(mine, "answerer"):
        for control, cells in _split(part, "control"):
            for arm, cell in _split(cells, "arm"):
                texts = (_correlation(cell, kind) for kind in (*SHOWN, "mean"))
                table.add_row(answerer, _named(arm), _named(control), *texts)
                answerer = ""
        table.add_section()
    out.print(table)


def print_answerers(out: Console, answerers: pl.DataFrame) -> None:
    """Each answerer against the exact rule (or the twin), for those who are asked."""
    control = answerers["control"][0]
    title = (
        f"Difference to answerer '{control}', {NAMES['asked']} (percentage points, {PLUS_MINUS})"
    )
    table = answerers.filter(pl.col("group") == "asked")
    _print(out, title, table, SHOWN)


def print_counts(out: Console, counts: pl.DataFrame) -> None:
    """Decisions, inferences, what asking once saved, and failures, per answerer."""
    table = _table(
        "What was asked", ["answerer", "runs", "decisions", "inferences", "saved", "failed"]
    )
    for row in counts.iter_rows(named=True):
        model = row["language_model"]
        saved = 1.0 - row["inferences"] / max(row["decisions"], 1)
        table.add_row(
            row["answerer"],
            f"{row['runs']:,}",
            f"{row['decisions']:,}",
            f"{row['inferences']:,}" if model else "none (code)",
            f"{100 * saved:.1f} %" if model else "",
            row["how"] or "0",
        )
    out.print(table)


def _print(out: Console, title: str, table: pl.DataFrame, kinds: Sequence[str]) -> None:
    made = _table(title, ["answerer", "exposure", *(_named(kind) for kind in kinds)])
    for answerer, part in _split(table, "answerer"):
        for arm, cell in _split(part, "arm"):
            made.add_row(answerer, _named(arm), *(_percent(cell, kind) for kind in kinds))
            answerer = ""
        made.add_section()
    out.print(made)


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=SIMPLE,
        pad_edge=False,
        collapse_padding=True,
    )
    for name in columns:
        left = name in ("answerer", "exposure", "against")
        table.add_column(name, justify="left" if left else "right", no_wrap=True)
    return table


def _split(table: pl.DataFrame, name: str) -> list[tuple[str, pl.DataFrame]]:
    parts = table.partition_by(name, as_dict=True, maintain_order=True)
    return [(str(key[0]), part) for key, part in parts.items()]


def _named(value: str) -> str:
    return SHORT.get(value, value)


def _percent(part: pl.DataFrame, kind: str) -> str:
    """Estimate and half width in per cent; the estimate alone where there is nothing to add."""
    row = part.filter(pl.col("outcome") == kind).row(0, named=True)
    middle, half = 100.0 * row["estimate"], 100.0 * (row["high"] - row["estimate"])
    if math.isnan(middle):
        return "undefined"
    text = f"{middle:.1f}"
    text = "0.0" if text == "-0.0" else text
    return text if math.isnan(half) or half < 1e-9 else f"{text} ± {half:.1f}"


def _correlation(part: pl.DataFrame, kind: str) -> str:
    value = part.filter(pl.col("outcome") == kind)["correlation"][0]
    undefined = value is None or math.isnan(value)
    return "-" if undefined else f"{value:.2f}".replace("-0.00", "0.00")
