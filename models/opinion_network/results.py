"""From the folder of a study to tables: shares, differences, trajectories, what was asked.

The replication is the unit of every interval, and each table says what varied between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

import abm
from abm.analysis.effects import effects_table, means_table
from abm.errors import ScenarioError, require
from abm.ledger import Ledger
from abm.models.opinion_network.summaries import CHANGES
from abm.studies.reading import StudyFolder

__all__ = [
    "FIXED",
    "GROUPS",
    "answer_counts",
    "differences",
    "differences_of_answerers",
    "per_run",
    "shares",
    "trajectory",
]

GROUPS = ("asked", "rule", "all")
"""Citizens who were asked (the language-model agents), those who follow a rule, everybody."""
MEASURES = (*CHANGES, "mean", "variance")
FIXED = ("scenario", "model", "prompt")
LEVEL = 0.95


def per_run(study: StudyFolder) -> pl.DataFrame:
    """One row per run and group: answerer, arm, replication, group, and the measures."""
    outcomes = study.outcomes()
    require(
        outcomes.height > 0,
        ScenarioError,
        f"{study.folder} has no finished run, so there is nothing to report",
    )
    found = [name for name in GROUPS if f"{name}.{CHANGES[0]}" in outcomes.columns]
    heads = [pl.col(name) for name in ("answerer", "arm", "replication")]
    parts = [
        outcomes.select(
            *heads,
            pl.lit(group).alias("group"),
            *(pl.col(f"{group}.{name}").alias(name) for name in MEASURES),
        )
        for group in found
    ]
    return pl.concat(parts)


def shares(runs: pl.DataFrame, varies: Sequence[str]) -> pl.DataFrame:
    """Mean share of each kind of change per answerer, group and arm, with its interval."""
    return means_table(
        runs,
        outcomes=CHANGES,
        by=("answerer", "group", "arm"),
        level=LEVEL,
        varied=varies,
        fixed=FIXED,
    )


def differences(
    runs: pl.DataFrame, varies: Sequence[str], controls: Sequence[str] = ("none", "ordinary")
) -> pl.DataFrame:
    """Each arm against the placebo and against ordinary exposure, paired by replication.

    Study arms are compared with those of `controls` that the study has; with its first arm if it
    has neither.
    """
    arms = runs["arm"].unique(maintain_order=True).to_list()
    present = [name for name in controls if name in arms] or arms[:1]
    return effects_table(
        runs,
        outcomes=MEASURES,
        control=present,
        by=("answerer", "group"),
        level=LEVEL,
        varied=varies,
        fixed=FIXED,
    )


def differences_of_answerers(runs: pl.DataFrame, varies: Sequence[str]) -> pl.DataFrame | None:
    """Each answerer against `truth` (else `rule`) in every arm; None without one of them."""
    answerers = runs["answerer"].unique(maintain_order=True).to_list()
    controls = [name for name in ("truth", "rule") if name in answerers][:1]
    if not controls or len(answerers) < 2:
        return None
    return effects_table(
        runs,
        outcomes=MEASURES,
        control=controls,
        arm="answerer",
        by=("group", "arm"),
        level=LEVEL,
        varied=varies,
        fixed=FIXED,
    )


def trajectory(
    study: StudyFolder, variables: Sequence[str], group: str, varies: Sequence[str]
) -> pl.DataFrame:
    """Daily means with intervals: columns answerer, arm, time, variable, estimate, low, high."""
    series = study.frame("series").filter(
        (pl.col("group") == group) & pl.col("variable").is_in(list(variables))
    )
    table = means_table(
        series,
        outcomes="value",
        by=("answerer", "arm", "time", "variable"),
        level=LEVEL,
        varied=varies,
        fixed=FIXED,
    )
    return table.drop("outcome")


def answer_counts(study: StudyFolder) -> pl.DataFrame:
    """Per answerer: decisions drawn, answers inferred for them, and failures, over all runs.

    An answerer that is code (a rule, the truth) infers nothing: its answers are computed.
    """
    manifests = [run.manifest for run in study.runs() if run.finished]
    inferred = _inferred(study.folder / "ledger.sqlite")
    rows: list[dict[str, Any]] = []
    for name in study.manifest["answerers"]:
        mine = [m for m in manifests if m["answerer"] == name]
        marks = {used["fingerprint"] for m in mine for used in m["answers"].values()}
        failures: dict[str, int] = {}
        for manifest in mine:
            for status, number in manifest["decisions"].get("failures", {}).items():
                failures[status] = failures.get(status, 0) + int(number)
        rows.append(
            {
                "answerer": name,
                "runs": len(mine),
                "decisions": sum(m["decisions"].get("decisions", 0) for m in mine),
                "inferences": sum(inferred.get(mark, 0) for mark in marks) if inferred else 0,
                "language_model": any(
                    used["recorded"] for m in mine for used in m["answers"].values()
                ),
                "failed": sum(failures.values()),
                "how": ", ".join(f"{status} {n}" for status, n in sorted(failures.items())),
            }
        )
    return pl.DataFrame(rows)


def _inferred(path: Path) -> dict[str, int]:
    """Fingerprint -> distinct answers in the study's ledger."""
    if not path.exists():
        return {}
    counts: dict[str, int] = {}
    with Ledger(path, create=False, read_only=True) as ledger:
        for fingerprint in ledger.fingerprints():
            counts[fingerprint] = sum(1 for _ in ledger.entries(fingerprint=fingerprint))
    return counts


def load_study(folder: Path) -> StudyFolder:
    """The folder of a study; refuses that of a run."""
    loaded = abm.load(folder)
    require(
        isinstance(loaded, StudyFolder),
        ScenarioError,
        f"{folder} is the folder of one run; the report needs the folder of a study",
    )
    assert isinstance(loaded, StudyFolder)
    return loaded
