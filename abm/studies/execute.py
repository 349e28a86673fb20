"""Executing a study: what is missing is run, one after another or in a pool, and put in its place.

Resuming is the same as starting: runs that are there are kept, and a run that was in flight when
the process was killed is executed again from time 0 against the ledger, which holds every answer
that anybody ever saw.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from abm.errors import LedgerError, ReplayMiss
from abm.kernels.notes import RuleNotes
from abm.ledger import BudgetSpent, Meter
from abm.ledger.lock import LockFile
from abm.studies.answering import Answering, RunAnswers
from abm.studies.folder import (
    clear_leftovers,
    finished,
    make_folder,
    prepare_run,
    publish,
    read_manifest,
    set_aside,
    write_text,
)
from abm.studies.gather import counted_once, gather
from abm.studies.manifest import environment, failed_manifest, run_manifest
from abm.studies.pool import Done, Work, in_pool
from abm.studies.progress import Progress, Silent
from abm.studies.reading import StudyFolder
from abm.studies.run import Run, perform
from abm.studies.study import Budget, Study

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
        n_workers = _n_workers(study, workers, len(missing))
        meter = _meter(study.budget, [run for run in runs if run not in missing], folder)
        if n_workers > 1:
            _leave_room_for_workers()
        execution = _Execution(study, environment(study.folder), n_workers, meter)
        models = Answering(
            missing, folder / "ledger.sqlite", meter=meter, memory_gb=study.memory_gb
        )
        with models as answering:
            # only now that models and ledger are open may anything in the folder change
            write_text(folder / "study.toml", study.to_toml())
            if missing:
                gather(study, folder, runs, execution.to_dict({}))
            _execute_missing(execution, answering, folder, missing, told)
            totals, execution.memory = answering.totals(), answering.memory()
        manifest = gather(study, folder, runs, execution.to_dict(totals))
        told.study_finished(manifest)
    finally:
        lock.release()
    return StudyFolder(folder)


def _leave_room_for_workers() -> None:
    """Threads of a language model in this process shall not keep workers from their CPUs."""
    from abm.llm.llamacpp.library import wait_asleep

    wait_asleep()


@dataclass
class _Execution:
    """What one execution does, as it goes."""

    study: Study
    made_with: dict[str, Any]
    n_workers: int
    meter: Meter
    begun: float = field(default_factory=time.monotonic)
    executed: int = 0
    stopped: str = ""
    left_out: dict[str, int] = field(default_factory=dict)
    gathered: dict[str, int] = field(default_factory=dict)
    memory: dict[str, int] = field(default_factory=dict)

    def wanted(self, missing: list[Run], answering: Answering) -> Iterator[Run]:
        """The missing runs, as long as the budget lasts and the servers of their models do."""
        for run in missing:
            self.stopped = self.meter.over()
            if self.stopped:
                return
            why = answering.lost(run)
            if why:
                self.left_out[why] = self.left_out.get(why, 0) + 1
            else:
                yield run

    def told_left_out(self) -> str:
        """Which runs were not tried because their server is gone, in words; empty for none."""
        if not self.left_out:
            return ""
        said = "; ".join(
            f"{'1 run was' if n == 1 else f'{n} runs were'} not tried: {why}"
            for why, n in self.left_out.items()
        )
        return f"{said}. What was answered is kept: when that is mended, the same command goes on"

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.begun

    def to_dict(self, answers: dict[str, Any]) -> dict[str, Any]:
        """Plain values, for the study's manifest."""
        return {
            "executed": self.executed,
            "workers": self.n_workers,
            "stopped": self.stopped,
            "left_out": sum(self.left_out.values()),
            "seconds": round(self.seconds, 2),
            "tokens": self.meter.spent,
            "gathered": self.gathered,
            "memory": self.memory,
            "answers": answers,
            "made_with": self.made_with,
        }


def _execute_missing(
    execution: _Execution, answering: Answering, folder: Path, missing: list[Run], told: Progress
) -> None:
    """Execute runs in order, each put in its place as it ends."""
    told.answering_ready(answering.count)
    for run in missing:
        if (folder / run.path).exists():
            answering.forget_failures(run)
    runner = _serially if execution.n_workers == 1 else in_pool
    work = Work(answering, folder, execution.made_with, execution.n_workers)
    try:
        for run, partial, manifest in runner(execution.wanted(missing, answering), work):
            publish(partial, folder / run.path)
            execution.executed += 1
            answering.look_after()
            told.run_finished(run.label, manifest)
    except BudgetSpent as spent:
        execution.stopped = str(spent)
    if execution.executed < len(missing):
        execution.stopped = execution.stopped or execution.meter.over() or execution.told_left_out()
    execution.gathered = work.gathered


def _n_workers(study: Study, workers: int | None, n_runs: int) -> int:
    wanted = workers
    if wanted is None:
        wanted = (study.workers or os.cpu_count() or 1) if study.executor == "pool" else 1
    return max(1, min(wanted, n_runs))


def _meter(budget: Budget, done: list[Run], folder: Path) -> Meter:
    """The budget, and what the finished runs cost of it."""
    spent = 0
    if budget.tokens is not None:
        spent = sum(_tokens(read_manifest(folder / run.path)) for run in done)
    return Meter(budget.tokens, budget.hours, spent=spent)


def _tokens(manifest: dict[str, Any]) -> int:
    unique = counted_once(manifest.get("answers", {}).values())
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
    BudgetSpent
        The study's budget is spent; the run is left out, to be executed again from its beginning.
    """
    notes = RuleNotes()
    try:
        result = perform(run, answers.policies, notes)
    except Exception as error:
        # A model is anybody's code: whatever it raises is the cause of this run's failure and is
        # recorded. What no run could survive goes on upwards.
        if is_fatal(error):
            raise
        spent = _cause(error, BudgetSpent)
        if spent is not None:
            raise spent from error
        manifest = failed_manifest(run, error, answers.used(), made_with, notes.table())
        return prepare_run(target, manifest), manifest
    manifest = run_manifest(run, result, answers.used(), made_with)
    export = answers.export if answers.exports else None
    return prepare_run(target, manifest, result, export), manifest


def is_fatal(error: BaseException) -> bool:
    """Whether an error stops the study rather than one run: it, or its cause, is the ledger's."""
    found = _cause(error, LedgerError)
    return found is not None and not isinstance(found, ReplayMiss)


def _cause(error: BaseException, kind: type[BaseException]) -> BaseException | None:
    """The error, or the first of its causes, that is of a kind."""
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, kind):
        seen = seen.__cause__
    return seen
