"""`abm audit`: fallback shares, the effect of the wording, and what the rule twin would say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from abm.cli import show
from abm.errors import ScenarioError
from abm.studies.audit import Audit, audit_granularity, audit_twin, audit_wording, audits_folder
from abm.studies.decided import decision_counts
from abm.studies.reading import RunFolder, StudyFolder, load

__all__ = ["Wanted", "audit_run"]

MOST_OUTCOMES = 12
COUNTED = ("decisions", "assigned", "by rule", "skipped/again", "failures")
MOVED = (
    *("question", "requests", "decisions", "variants", "total variation", "largest"),
    *("other first choice", "failed"),
)


@dataclass(frozen=True)
class Wanted:
    """The audits that were asked for, and with which model."""

    kinds: Sequence[str]
    halved: Sequence[str]
    variants: int
    repeat: bool
    model: Path | None
    model_class: str | None

    def __bool__(self) -> bool:
        return bool(self.kinds or self.halved)

    def made(self, base: RunFolder) -> list[Audit]:
        """The audits of one run."""
        folder, known = base.folder, self.model_class
        found = [
            audit_twin(folder, model=known)
            if kind == "twin"
            else audit_wording(
                folder,
                kind,
                n_variants=self.variants,
                repeat=self.repeat,
                model=known,
                model_file=self.model,
            )
            for kind in self.kinds
        ]
        return found + [
            audit_granularity(folder, name, model=known, model_file=self.model)
            for name in self.halved
        ]


def audit_run(folder: Path, wanted: Wanted) -> None:
    """Make the audits that were asked for, of a run or of a study, print them, and keep them."""
    base = load(folder)
    if isinstance(base, StudyFolder):
        _audit_study(base, wanted)
        return
    _who_decided(base)
    for audit in wanted.made(base):
        _show(audit)
        show.console.print(f"kept: {audit.write(base)}", markup=False)
    show.labels(base.manifest["labels"])


def _audit_study(study: StudyFolder, wanted: Wanted) -> None:
    """Who decided in each arm; and audits of the first finished run of each arm and answerer."""
    runs = study.runs()
    finished = [run for run in runs if run.finished]
    if not finished:
        raise ScenarioError(
            f"{study.folder} has no finished run, so there is nothing to audit; {len(runs)} failed"
        )
    _who_decided_where(finished)
    if len(finished) < len(runs):
        show.console.print(f"{len(runs) - len(finished)} of {len(runs)} runs failed: left out")
    if wanted:
        _audit_cells(finished, wanted)
    show.labels(study.manifest["labels"])


def _who_decided_where(runs: Sequence[RunFolder]) -> None:
    """Decisions by arm, answerer and question, over all replications."""
    rows, silent, cells = [], [], _cells(runs)
    for name, mine in cells.items():
        tables = [run.frame("decisions") for run in mine if run.manifest["decisions"]["decisions"]]
        if not tables:
            silent.append(name)
            continue
        counts = decision_counts(pl.concat(tables, how="diagonal_relaxed"))
        rows += [[name, *_decided(row)] for row in counts.to_dicts()]
    sizes = sorted({len(mine) for mine in cells.values()})
    each = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    if rows:
        title = f"who decided ({each} runs per arm and answerer)"
        show.table(title, ("arm/answerer", "question", *COUNTED), rows, whole=2)
    if silent:
        said = "nothing was asked, all behaviour follows the model's own rules"
        show.console.print(f"{', '.join(silent)}: {said}", markup=False)


def _audit_cells(runs: Sequence[RunFolder], wanted: Wanted) -> None:
    rows, notes = [], []
    for name, (base, *_) in _cells(runs).items():
        if not any(used["recorded"] for used in base.manifest["answers"].values()):
            notes.append(f"{name}: answered by code, which reads no words: not audited")
            continue
        for audit in wanted.made(base):
            audit.write(base)
            rows += [[name, audit.kind, *_moved(q)] for q in audit.questions]
            _show_outcomes(audit, f"{name}, ")
            notes += [f"{name}: {note}" for note in audit.notes]
            notes.append(f"{name}: kept in {audits_folder(base)}")
    if rows:
        title = "distance to the recorded answers, in the first replication"
        show.table(title, ("arm/answerer", "audit", *MOVED), rows, whole=3)
    for note in dict.fromkeys(notes):
        show.console.print(note, markup=False)


def _cells(runs: Sequence[RunFolder]) -> dict[str, list[RunFolder]]:
    """Runs by `arm/answerer`, in order of the replications."""
    found: dict[str, list[RunFolder]] = {}
    for run in runs:
        found.setdefault(f"{run.manifest['arm']}/{run.manifest['answerer']}", []).append(run)
    return found


def _decided(row: Mapping[str, Any]) -> list[Any]:
    """What stands in the columns `question` and `COUNTED`."""
    parts = ("as_assigned", "by_rule", "again_or_skipped")
    shares = [show.share(row[name], row["decisions"]) for name in parts]
    return [row["question"], row["decisions"], *shares, row["how"] or "none"]


def _moved(q: Mapping[str, Any]) -> list[Any]:
    """What stands in the columns `MOVED`."""
    distances = [f"{q[name]:.3f}" for name in ("mean_tv", "max_tv")]
    numbers = [q["requests"], q["decisions"], q["variants"]]
    return [q["question"], *numbers, *distances, f"{100 * q['other_mode']:.1f} %", q["failed"]]


def _who_decided(base: RunFolder) -> None:
    counts = base.decision_counts()
    if not counts.height:
        show.console.print("nothing was asked: all behaviour follows the model's own rules")
        return
    rows = []
    for row in counts.iter_rows(named=True):
        question, *rest = _decided(row)
        rows.append([question, row["policy"], *rest])
    show.table("who decided", ("question", "policy", *COUNTED), rows)


def _show(audit: Audit) -> None:
    show.console.print()
    if audit.questions:
        rows = [_moved(q) for q in audit.questions]
        show.table(f"{audit.kind}: distance to the recorded answers", MOVED, rows)
    _show_outcomes(audit)
    for note in audit.notes:
        show.console.print(note, markup=False)


def _show_outcomes(audit: Audit, before: str = "") -> None:
    """What became of the outcomes of a run that was repeated with each variant."""
    for row in audit.outcomes:
        changes = [
            (name, recorded, row["changed"].get(name, float("nan")))
            for name, recorded in row["recorded"].items()
        ]
        changed = [c for c in changes if c[1] != c[2] and c[1] == c[1]]
        show.table(
            f"{before}{audit.kind}: {row['variant']}",
            ("outcome", "recorded", "with it"),
            changed[:MOST_OUTCOMES] or [("all outcomes", "the same", "")],
        )
        if len(changed) > MOST_OUTCOMES:
            show.console.print(f"and {len(changed) - MOST_OUTCOMES} more outcomes")
