"""A pool of worker processes that hold no model: they run, the parent answers.

Workers are started as fresh interpreters, never forked, so that nothing is copied out of the
threads of llama.cpp or Numba, and a script without `if __name__ == "__main__"` is not run again.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from abm.errors import BackendError
from abm.ledger import AnsweringService
from abm.studies.answering import Answering, travelling
from abm.studies.folder import prepare_run
from abm.studies.manifest import failed_manifest
from abm.studies.run import Run
from abm.studies.travel import pack, places

__all__ = ["Done", "Work", "in_pool"]

Done = tuple[Run, Path, dict[str, Any]]

_START = (
    "import json, sys; sys.path[:] = json.loads({path!r}); "
    "from abm.studies.worker import main; main({jobs}, {answers})"
)


@dataclass(frozen=True)
class Work:
    """What all runs of one execution share.

    Attributes
    ----------
    answering
        Language models and ledger.
    folder
        The study's folder.
    made_with
        `environment(...)` of the parent.
    n_workers
        Processes that run.
    gathered
        What the pool counts of its batches: `batches`, those `of_several_workers`, `most_workers`.
    """

    answering: Answering
    folder: Path
    made_with: dict[str, Any]
    n_workers: int
    gathered: dict[str, int] = field(default_factory=dict)


def in_pool(runs: Iterable[Run], work: Work) -> Iterator[Done]:
    """Execute runs in a pool; yields each as it ends, in whatever order that happens.

    Raises
    ------
    ScenarioError
        The model's class cannot travel to a worker.
    LedgerError
        The ledger is damaged or the disk is full: the whole study stops.
    """
    with AnsweringService(work.answering.recorded) as service:
        pool = _Pool(service, work)
        try:
            yield from pool.run(iter(runs))
        finally:
            pool.stop()
            work.gathered.update(
                batches=service.batches,
                of_several_workers=service.gathered,
                most_workers=service.most_workers,
            )


@dataclass
class _Worker:
    process: subprocess.Popen[bytes]
    jobs: Connection
    run: Run | None = None

    def stop(self) -> None:
        self.jobs.close()
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class _Pool:
    def __init__(self, service: AnsweringService, work: Work) -> None:
        self.service, self.work = service, work
        self.workers: list[_Worker] = []

    def run(self, runs: Iterator[Run]) -> Iterator[Done]:
        """Keep every worker busy until no run is left."""
        while True:
            while len(self._busy()) < self.work.n_workers and (run := next(runs, None)) is not None:
                self._give(run)
            busy = self._busy()
            if not busy:
                return
            ready = wait([worker.jobs for worker in busy])
            for worker in busy:
                done = self._take(worker) if worker.jobs in ready else None
                if done is not None:
                    yield done

    def stop(self) -> None:
        """End all workers; one in the middle of a run is killed."""
        for worker in self.workers:
            if worker.run is not None:
                worker.process.kill()
            worker.stop()
        self.workers.clear()

    def _busy(self) -> list[_Worker]:
        return [worker for worker in self.workers if worker.run is not None]

    def _give(self, run: Run) -> None:
        packed = pack(travelling(run))
        idle = [worker for worker in self.workers if worker.run is None]
        worker = idle[0] if idle else self._start()
        target = str((self.work.folder / run.path).absolute())
        job = (
            packed,
            places(run.model),
            self.work.answering.names(run),
            self.work.answering.infos,
            target,
            self.work.made_with,
        )
        worker.run = run
        with suppress(OSError):  # if it died, `_take` finds the end of the connection and says so
            worker.jobs.send(job)

    def _take(self, worker: _Worker) -> Done | None:
        """What a worker made of its run; `None` if the budget was spent before it ended."""
        run, worker.run = worker.run, None
        assert run is not None
        try:
            kind, value = worker.jobs.recv()
        except (EOFError, OSError):
            return self._died(worker, run)
        if kind == "fatal":
            raise value
        if kind == "stopped":
            return None
        partial, manifest = value
        return run, Path(partial), manifest

    def _died(self, worker: _Worker, run: Run) -> Done:
        self.workers.remove(worker)
        worker.stop()
        code = worker.process.returncode
        cause = BackendError(
            f"the worker process ended with code {code} in the middle of the run"
            + (" (killed, perhaps for want of memory: try fewer --workers)" if code == -9 else "")
        )
        manifest = failed_manifest(run, cause, {}, self.work.made_with)
        return run, prepare_run(self.work.folder / run.path, manifest), manifest

    def _start(self) -> _Worker:
        ours, theirs = Pipe()
        answers = self.service.connect()
        fds = (theirs.fileno(), answers.fileno())
        code = _START.format(path=json.dumps(sys.path), jobs=fds[0], answers=fds[1])
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            pass_fds=fds,
            start_new_session=True,  # Ctrl-C is the parent's to handle; workers end with it
        )
        theirs.close()
        answers.close()
        worker = _Worker(process, ours)
        self.workers.append(worker)
        return worker
