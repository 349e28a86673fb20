"""Executing a study: what is missing is run, one after another or in a pool, and put in its place.

Resuming is the same as starting: runs that are there are kept, and a run that was in flight when
the process was killed is executed again from time 0 against the ledger, which holds every answer
that anybody ever saw.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from abm.errors import LedgerError, ReplayMiss
from abm.ledger.lock import LockFile
from abm.studies.answering import Answering, RunAnswers
from abm.studies.folder import (
    clear_leftovers,
    finished,
    make_folder,
    prepare_run,
    publish,
    set_aside,
    write_text,
)
from abm.studies.gather import gather
from abm.studies.manifest import environment, failed_manifest, run_manifest
from abm.studies.pool import Done, Work, in_pool
from abm.studies.progress import Progress, Silent
from abm.studies.reading import StudyFolder
from abm.studies.run import Run, perform
from abm.studies.study import Study

__all__ = ["execute", "execute_run", "is_fatal"]


def execute(
    study: Study,
    out: Path,
    *,
    workers: int | None = None,
    fresh: bool = False,
    progress: Progress | None = None,
) -> StudyFolder:
    """Execute what is missing of a study; see `Study.run`."""
    told = progress or Silent()
    runs = list(study.check().runs())
    folder = out / study.name
    make_folder(folder)
    lock = LockFile(folder / "lock", f"study folder {folder}")
    try:
        clear_leftovers(folder)
        if fresh:
            set_aside(folder)
        missing = [run for run in runs if finished(folder / run.path, run) is None]
        told.study_started(study.name, len(runs), len(runs) - len(missing))
        write_text(folder / "study.toml", study.to_toml())
        execution = _execute_missing(study, folder, missing, workers, told)
        manifest = gather(study, folder, runs, execution)
        told.study_finished(manifest)
    finally:
        lock.release()
    return StudyFolder(folder)


def _execute_missing(
    study: Study, folder: Path, missing: list[Run], workers: int | None, told: Progress
) -> dict[str, Any]:
    """Execute runs in order; returns what this execution did, for the study's manifest."""
    made_with = environment(study.folder)
    begun, tokens, executed, stopped = time.monotonic(), 0, 0, ""
    n = _n_workers(study, workers, len(missing))
    with Answering(missing, folder / "ledger.sqlite") as answering:
        told.answering_ready(answering.count)
        for run in missing:
            if (folder / run.path).exists():
                answering.forget_failures(run)

        def wanted() -> Iterator[Run]:
            nonlocal stopped
            for run in missing:
                stopped = _over_budget(study, tokens, time.monotonic() - begun)
                if stopped:
                    return
                yield run

        runner = _serially if n == 1 else in_pool
        work = Work(answering, folder, made_with, n)
        for run, partial, manifest in runner(wanted(), work):
            publish(partial, folder / run.path)
            executed += 1
            tokens += _tokens(manifest)
            told.run_finished(run.label, manifest)
        return {
            "executed": executed,
            "workers": n,
            "stopped": stopped,
            "seconds": round(time.monotonic() - begun, 2),
            "answers": answering.totals(),
            "made_with": made_with,
        }


def _n_workers(study: Study, workers: int | None, n_runs: int) -> int:
    wanted = workers
    if wanted is None:
        wanted = (study.workers or os.cpu_count() or 1) if study.executor == "pool" else 1
    return max(1, min(wanted, n_runs))


def _over_budget(study: Study, tokens: int, seconds: float) -> str:
    budget = study.budget
    if budget.tokens is not None and tokens >= budget.tokens:
        return f"the budget of {budget.tokens} tokens is spent"
    if budget.hours is not None and seconds >= budget.hours * 3600:
        return f"the budget of {budget.hours:g} hours is spent"
    return ""


def _tokens(manifest: dict[str, Any]) -> int:
    answers = manifest.get("answers", {}).values()
    unique = {a["fingerprint"]: a for a in answers if a.get("recorded")}.values()
    return sum(a.get("tokens_in", 0) + a.get("tokens_out", 0) for a in unique)


def _serially(runs: Iterable[Run], work: Work) -> Iterator[Done]:
    for run in runs:
        answers = work.answering.for_run(run)
        yield run, *execute_run(run, answers, work.folder / run.path, work.made_with)


def execute_run(
    run: Run, answers: RunAnswers, target: Path, made_with: dict[str, Any]
) -> tuple[Path, dict[str, Any]]:
    """Execute one run and prepare its folder beside `target`; a failure is a result too.

    Raises
    ------
    LedgerError
        What would fail every other run as well: a damaged ledger, a full disk.
    """
    try:
        result = perform(run, answers.policies)
    except Exception as error:
        # A model is anybody's code: whatever it raises is the cause of this run's failure and is
        # recorded. What no run could survive goes on upwards.
        if is_fatal(error):
            raise
        manifest = failed_manifest(run, error, answers.used(), made_with)
        return prepare_run(target, manifest), manifest
    manifest = run_manifest(run, result, answers.used(), made_with)
    export = answers.export if answers.exports else None
    return prepare_run(target, manifest, result, export), manifest


def is_fatal(error: BaseException) -> bool:
    """Whether an error stops the study rather than one run: it, or its cause, is the ledger's."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, LedgerError) and not isinstance(seen, ReplayMiss):
            return True
        seen = seen.__cause__
    return False
