"""The report of a study: tables on the terminal, tables and figures in its folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Console

from abm.analysis.figures import save
from abm.analysis.report.parts import Parts
from abm.models.opinion_network import results
from abm.models.opinion_network.figures import (
    AXES,
    NAMES,
    differences_figure,
    shares_figure,
    trajectories_figure,
)
from abm.models.opinion_network.printing import (
    print_answerers,
    print_correlations,
    print_counts,
    print_differences,
    print_shares,
)
from abm.models.opinion_network.summaries import CHANGES
from abm.studies.reading import StudyFolder

__all__ = ["parts", "report"]

QUESTION = (
    "Does it matter whose posts people are shown? Citizens hold private opinions and read and "
    "write public posts; the arms differ in which posts are shown."
)
UNITS = dict.fromkeys(CHANGES, "share of citizens") | {"variance": "of opinions from −1 to 1"}
"""Outcome -> its unit."""


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
        print_shares(out, shares, group)
        if differences is not None:
            for control in differences["control"].unique(maintain_order=True):
                print_differences(out, differences, group, control)
            print_correlations(out, differences, group)
    if answerers is not None and "asked" in groups:
        print_answerers(out, answerers)
    if counts["decisions"].sum() > 0:
        print_counts(out, counts)
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


def parts(study: Any) -> Parts:
    """What this family adds to the general report of one of its studies.

    The citizens who are asked come first: forty among two thousand vanish in a total.
    """
    first = next(run for run in study.runs() if run.finished) if hasattr(study, "runs") else study
    found = first.manifest["outcomes"]
    measures = (*CHANGES[:3], "variance")
    groups = [g for g in ("asked", "all") if f"{g}.{CHANGES[0]}" in found]
    scenario = first.manifest["definition"]["scenario"]
    if len(groups) == 2 and scenario["n_asked"] >= scenario["n_citizens"]:
        groups = ["asked"]  # everybody is asked: the total is the same again
    outcomes = [f"{group}.{name}" for group in groups for name in measures]
    of = {"asked": "asked", "all": "all citizens", "rule": "rule citizens"}
    words = {**NAMES, "variance": "variance"}
    return Parts(
        question=QUESTION,
        outcomes=outcomes,
        control="none",
        groups=_groups(first),
        units={f"{g}.{m}": UNITS[m] for g in of for m in UNITS},
        names=NAMES
        | {"side": "party", "group": "citizens", "group.rule": "rule citizens"}
        | {"group.asked": "asked citizens"}
        | {f"{g}.{m}": f"{words.get(m, m)}, {of[g]}" for g in of for m in (*measures, CHANGES[3])},
        notes=(
            "Language-model citizens are reported as 'asked', apart from those who follow a "
            "numeric rule.",
        ),
    )


def _groups(run: Any) -> tuple[str, ...]:
    """The party, where the respondents have one."""
    if not (run.folder / "agents.parquet").exists():
        return ("side",)
    agents = run.frame("agents")
    many = "side" in agents.columns and agents["side"].drop_nulls().n_unique() > 1
    return ("side",) * many


def _labels(out: Console, study: StudyFolder) -> None:
    for label in study.manifest["labels"]:
        out.print(label.upper(), style="bold yellow")


def _say_how(out: Console, runs: pl.DataFrame, varies: Sequence[str]) -> None:
    n = runs["replication"].n_unique()
    runs_word = "replication" if n == 1 else "replications"
    out.print(
        f"Intervals: 95 %, Student's t over {n} {runs_word}, paired by replication in differences. "
        f"Varied between replications: {', '.join(varies)}. "
        f"Held fixed: {', '.join(results.FIXED)}."
    )
    out.print(
        "Without ±: the same in all replications, or a single one. A correlation is undefined (-) "
        "where an arm does not vary."
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
        figure = shares_figure(shares, group, arms)
        save(figure, folder, f"shares_{group}", mine, facts, label=label)
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
