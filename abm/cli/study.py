"""`abm study`: execute what is missing, tell what happened, and let the model report."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.text import Text

from abm.cli import show
from abm.cli.errors import BudgetReached, RunsFailed
from abm.cli.progress import TerminalProgress
from abm.studies.reading import StudyFolder
from abm.studies.registry import study_file
from abm.studies.study import Budget, Study

__all__ = ["execute", "read"]


def read(file: Path | str, model: Path | None = None, replications: int | None = None) -> Study:
    """The study of a file or an installed study, with what the command line changes."""
    study = Study.from_toml(study_file(file))
    if replications is not None:
        study = replace(study, replications=replications)
    return study if model is None else study.with_model(model)


def execute(
    file: Path,
    out: Path,
    workers: int | None,
    model: Path | None,
    replications: int | None,
    fresh: bool,
    report: bool,
    tokens: int | None = None,
    hours: float | None = None,
) -> None:
    """Execute a study and show how it went."""
    study = read(file, model, replications)
    study = replace(
        study,
        budget=Budget(
            study.budget.tokens if tokens is None else tokens,
            study.budget.hours if hours is None else hours,
        ),
    )
    progress = TerminalProgress(show.console)
    try:
        done = study.run(out, workers=workers, fresh=fresh, progress=progress)
    finally:
        progress.close()
    hook = getattr(study.model_class, "report", None)
    finished = done.manifest["runs"]["finished"]
    summary(done)
    if report and callable(hook) and finished:
        show.console.print()
        hook(done.folder)
    failed, left_out = done.manifest["runs"]["failed"], done.manifest["execution"]["left_out"]
    if failed or left_out:
        raise RunsFailed(f"{failed} runs failed, {left_out} were not tried")
    if done.manifest["execution"]["stopped"]:
        raise BudgetReached(done.manifest["execution"]["stopped"])


def summary(done: StudyFolder) -> None:
    """The closing lines: runs, answers asked and saved, failures, flags, labels, where it lies."""
    manifest = done.manifest
    runs, execution = manifest["runs"], manifest["execution"]
    show.console.print()
    parts = [f"{runs['finished']} of {runs['planned']} runs finished"]
    parts += [f"{runs[kind]} {kind}" for kind in ("failed", "missing") if runs[kind]]
    now = f"{execution['executed']} executed now in {execution['seconds']:.0f} s"
    workers = execution["workers"]
    now += f" by {workers} workers" if workers > 1 else ""
    show.console.print(f"{', '.join(parts)} ({now})")
    if execution["stopped"]:
        show.console.print(f"stopped: {execution['stopped']}")
    _answers(manifest)
    for label, cause in manifest["failed"].items():
        show.console.print(Text(f"  failed: {label}: {cause}", style="red"))
    show.flags(manifest["flags"])
    show.labels(manifest["labels"])
    show.console.print(f"results: {done.folder}")
    if runs["finished"]:
        show.console.print(f"next: abm report {shlex.quote(str(done.folder))}", soft_wrap=True)


def _answers(manifest: Mapping[str, Any]) -> None:
    """Who was asked how often, over all runs that are there, and what was inferred now."""
    rows = []
    for name, total in manifest["answers"].items():
        if total["fingerprints"]:
            failures = sum(total["failures"].values())
            which = ", ".join(f"{status} {n}" for status, n in sorted(total["failures"].items()))
            tokens = total["tokens_in"] + total["tokens_out"]
            rows.append([name, total["asked"], tokens, show.share(failures, total["asked"]), which])
    if rows:
        columns = ("answerer", "asked", "tokens if nothing were cached", "failed", "how")
        show.table("", columns, rows)
    for total in manifest["execution"]["answers"].values():
        saved = show.share(total["asked"] - total["inferred"], total["asked"])
        show.console.print(
            f"now: {total['asked']:,} requests asked, {total['inferred']:,} inferred, {saved} saved"
            + _batches(total)
        )


def _batches(total: Mapping[str, Any]) -> str:
    """How the inferred requests were batched, and what the prefix tree shared."""
    if not total["batches"]:
        return ""
    said = f"; {total['batches']:,} batches of {total['mean_batch']:.1f} on average"
    said += f", {total['largest_batch']:,} at most"
    shared = total["evaluated"].get("shared")
    return said + ("" if shared is None else f"; {shared:.0%} of their tokens were shared")
