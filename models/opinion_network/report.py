"""The report of a study: tables on the terminal, tables and figures in its folder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from abm.analysis.figures import save
from abm.models.opinion_network import results
from abm.models.opinion_network.figures import (
    AXES,
    NAMES,
    differences_figure,
    shares_figure,
    trajectories_figure,
)
from abm.models.opinion_network.summaries import CHANGES
from abm.studies.reading import StudyFolder

__all__ = ["report"]

SHOWN = CHANGES[:3]
WIDTH = 124
SHORT = {"none": "none (placebo)"}


def report(folder: Path, console: Console | None = None) -> None:
    """Print the tables of a study and write tables and figures into its folder `figures/`.

    Parameters
    ----------
    folder
        Folder of a study of this family with at least one finished run.
    console
        Where to print; the terminal if `None`.
    """
    out = console or Console(highlight=False)
    out = out if out.is_terminal else Console(file=out.file, width=WIDTH, highlight=False)
    study = results.load_study(folder)
    varies = study.manifest["varies"]
    runs = results.per_run(study)
    shares = results.shares(runs, varies)
    differences = results.differences(runs, varies) if runs["arm"].n_unique() > 1 else None
    answerers = results.differences_of_answerers(runs, varies)
    counts = results.answer_counts(study)
    _labels(out, study)
    groups = [g for g in results.GROUPS if g in runs["group"].unique().to_list() and g != "rule"]
    for group in groups:
        _print_shares(out, shares, group)
        if differences is not None:
            for control in differences["control"].unique(maintain_order=True):
                _print_differences(out, differences, group, control)
    if answerers is not None and "asked" in groups:
        _print_answerers(out, answerers)
    _print_counts(out, counts)
    _say_how(out, runs, varies)
    _draw(study, shares, differences, groups)
    for name, table in (
        ("shares", shares),
        ("differences", differences),
        ("answerers", answerers),
        ("answers", counts),
    ):
        if table is not None:
            table.write_csv(folder / "figures" / f"table_{name}.csv")
    out.print(f"tables and figures: {folder / 'figures'}")
    _labels(out, study)


def _labels(out: Console, study: StudyFolder) -> None:
    for label in study.manifest["labels"]:
        out.print(label.upper(), style="bold yellow")


def _print_shares(out: Console, shares: pl.DataFrame, group: str) -> None:
    table = _table(
        f"Changed since the baseline, {NAMES[group]}: share in % [95 % interval]",
        ["answerer", "exposure", *(_named(kind) for kind in CHANGES)],
    )
    mine = shares.filter(pl.col("group") == group)
    for answerer, part in _split(mine, "answerer"):
        for place, (arm, cell) in enumerate(_split(part, "arm")):
            first = answerer if place == 0 else ""
            table.add_row(first, _named(arm), *(_percent(cell, kind) for kind in CHANGES))
        table.add_section()
    out.print(table)


def _print_differences(out: Console, differences: pl.DataFrame, group: str, control: str) -> None:
    """One table per control; a placebo row against anything else would only turn signs round."""
    table = _table(
        f"Difference to {_named(control)}, {NAMES[group]}: percentage points [95 % interval]; "
        "r: correlation of paired runs",
        ["answerer", "exposure"]
        + [word for kind in SHOWN for word in (_named(kind), "r")]
        + ["r of mean"],
    )
    mine = differences.filter(
        (pl.col("group") == group) & (pl.col("control") == control) & (pl.col("arm") != "none")
    )
    for answerer, part in _split(mine, "answerer"):
        for place, (arm, cell) in enumerate(_split(part, "arm")):
            first = answerer if place == 0 else ""
            texts = [text for kind in SHOWN for text in (_percent(cell, kind), _r(cell, kind))]
            table.add_row(first, _named(arm), *texts, _r(cell, "mean"))
        table.add_section()
    out.print(table)


def _print_answerers(out: Console, answerers: pl.DataFrame) -> None:
    control = answerers["control"][0]
    table = _table(
        f"Difference to answerer '{control}', {NAMES['asked']}: percentage points [95 % interval]",
        ["answerer", "exposure", *(_named(kind) for kind in SHOWN)],
    )
    mine = answerers.filter(pl.col("group") == "asked")
    for answerer, part in _split(mine, "answerer"):
        for place, (arm, cell) in enumerate(_split(part, "arm")):
            first = answerer if place == 0 else ""
            table.add_row(first, _named(arm), *(_percent(cell, kind) for kind in SHOWN))
        table.add_section()
    out.print(table)


def _print_counts(out: Console, counts: pl.DataFrame) -> None:
    if counts["decisions"].sum() == 0:
        return
    columns = ["answerer", "runs", "decisions", "inferences", "saved", "failed", "how"]
    table = _table("What was asked", columns)
    for row in counts.iter_rows(named=True):
        model = row["language_model"]
        saved = 1.0 - row["inferences"] / max(row["decisions"], 1)
        table.add_row(
            row["answerer"],
            f"{row['runs']:,}",
            f"{row['decisions']:,}",
            f"{row['inferences']:,}" if model else "none (code)",
            f"{100 * saved:.1f} %" if model else "",
            f"{row['failed']:,}",
            row["how"],
        )
    out.print(table)


def _say_how(out: Console, runs: pl.DataFrame, varies: Sequence[str]) -> None:
    n = runs["replication"].n_unique()
    runs_word = "replication" if n == 1 else "replications"
    out.print(
        f"Intervals: Student's t over {n} {runs_word}, paired by replication in differences. "
        f"Varied between replications: {', '.join(varies)}. "
        f"Held fixed: {', '.join(results.FIXED)}."
    )
    out.print(
        "Without brackets: the same in all replications, or a single one. r is undefined (-) where "
        "an arm does not vary."
    )


def _draw(
    study: StudyFolder,
    shares: pl.DataFrame,
    differences: pl.DataFrame | None,
    groups: Sequence[str],
) -> None:
    folder = study.folder / "figures"
    arms = [arm for arm in study.manifest["arms"] if arm in shares["arm"].to_list()]
    label, facts = "; ".join(study.manifest["labels"]), _facts(study)
    for group in groups:
        mine = shares.filter(pl.col("group") == group)
        note = f"Means over {int(mine['n'].to_numpy().max())} replications."
        figure = shares_figure(shares, group, arms)
        save(figure, folder, f"shares_{group}", mine, facts, label=label, notes=[note])
        daily = results.trajectory(study, tuple(AXES), group, study.manifest["varies"])
        figure = trajectories_figure(daily, arms)
        save(figure, folder, f"trajectories_{group}", daily, facts, label=label)
        if differences is not None:
            # Differences to a placebo in which nobody changes are the shares themselves.
            control = differences["control"][-1]
            drawn = differences.filter((pl.col("group") == group) & (pl.col("control") == control))
            figure = differences_figure(differences, group, control, arms)
            name = f"differences_to_{control}_{group}"
            save(figure, folder, name, drawn, facts, label=label)


def _facts(study: StudyFolder) -> dict[str, Any]:
    names = ("study", "model", "seed", "replications", "varies", "arms", "answerers", "runs")
    first = next(run for run in study.runs() if run.finished).manifest
    return {
        **{name: study.manifest[name] for name in names},
        "scenario": first["definition"]["scenario"],
        "git": first["made_with"].get("git"),
        "fingerprints": {
            name: total["fingerprints"] for name, total in study.manifest["answers"].items()
        },
    }


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE, pad_edge=False)
    for place, name in enumerate(columns):
        table.add_column(name, justify="left" if place < 2 else "right", no_wrap=True)
    return table


def _split(table: pl.DataFrame, name: str) -> list[tuple[str, pl.DataFrame]]:
    parts = table.partition_by(name, as_dict=True, maintain_order=True)
    return [(str(key[0]), part) for key, part in parts.items()]


def _named(value: str) -> str:
    return SHORT.get(value, NAMES.get(value, value))


def _percent(part: pl.DataFrame, kind: str) -> str:
    """Estimate and interval in per cent; the estimate alone where there is nothing to add."""
    row = part.filter(pl.col("outcome") == kind).row(0, named=True)
    middle, low, high = (100.0 * row[name] + 0.0 for name in ("estimate", "low", "high"))
    if math.isnan(middle):
        return "undefined"
    if low == high or math.isnan(low):
        return f"{middle:.1f}"
    return f"{middle:.1f} [{low:.1f}, {high:.1f}]"


def _r(part: pl.DataFrame, kind: str) -> str:
    value = part.filter(pl.col("outcome") == kind)["correlation"][0]
    return "-" if value is None or value != value else f"{value + 0.0:.2f}".replace("-0.00", "0.00")
