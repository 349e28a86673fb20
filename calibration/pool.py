"""Workers for simulations: fresh interpreters, started once, given several tasks a message.

How many tasks travel together follows the time they take, so that a message costs little against
the work in it. That is scheduling alone: which process ran a task, and when, enters no record but
its seconds.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import Any

import numpy as np

from abm.calibration.problem import Task
from abm.calibration.records import Record
from abm.calibration.runner import Runner, failed
from abm.studies.travel import loaded_files, pack_value

__all__ = ["WorkerPool", "packed"]

_START = (
    "import json, sys; sys.path[:] = json.loads({path!r}); "
    "from abm.calibration.worker import main; main({handle})"
)
_TARGET_SECONDS = 0.015
_MOST = 512

Chunk = list[tuple[int, Task]]


@dataclass
class _Worker:
    process: subprocess.Popen[bytes]
    link: Connection
    chunks: deque[Chunk] = field(default_factory=deque)

    def stop(self) -> None:
        self.link.close()
        if self.process.stdin is not None:
            self.process.stdin.close()
        if self.chunks:
            self.process.kill()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class WorkerPool:
    """Runs tasks in worker processes.

    Parameters
    ----------
    runner
        What runs a task; it travels to the workers once, by value where they cannot import it.
    n_workers
        How many.
    """

    def __init__(self, runner: Runner, n_workers: int) -> None:
        self.runner, self.n_workers = runner, n_workers
        inner = getattr(runner.simulator, "func", runner.simulator)
        self._packed = pack_value(runner, [runner.simulator, inner])
        self._workers: list[_Worker] = []
        self._seconds = 0.0
        self._alone: deque[Chunk] = deque()

    def start(self) -> None:
        """Start the workers; done by itself when the first task comes."""
        while len(self._workers) < self.n_workers:
            self._workers.append(self._spawn())

    def stop(self) -> None:
        """End the workers; those in the middle of a task are killed."""
        for worker in self._workers:
            worker.stop()
        self._workers.clear()
        self._alone.clear()

    def stream(
        self, tasks: Iterator[tuple[int, Task]]
    ) -> Generator[list[tuple[int, Record]], None, None]:
        """Records with the numbers of their tasks, in batches, in order of arrival."""
        self.start()
        while True:
            self._fill(tasks)
            busy = [worker for worker in self._workers if worker.chunks]
            if not busy:
                return
            ready = wait([worker.link for worker in busy])
            for worker in busy:
                if worker.link in ready:
                    found = self._take(worker)
                    if found:
                        yield found

    def drain(self) -> Iterator[list[tuple[int, Record]]]:
        """What is still in flight after a stream was left early."""
        yield from self.stream(iter(()))

    def _fill(self, tasks: Iterator[tuple[int, Task]]) -> None:
        depth = 2 if 0 < self._seconds < 0.1 else 1
        for level in range(1, depth + 1):
            for worker in self._workers:
                if len(worker.chunks) < level:
                    chunk = self._alone.popleft() if self._alone else self._chunk(tasks)
                    if chunk:
                        self._send(worker, chunk)

    def _chunk(self, tasks: Iterator[tuple[int, Task]]) -> Chunk:
        size = 1
        if self._seconds > 0:
            size = max(1, min(_MOST, round(_TARGET_SECONDS / self._seconds)))
        return [item for _, item in zip(range(size), tasks, strict=False)]

    def _send(self, worker: _Worker, chunk: Chunk) -> None:
        worker.chunks.append(chunk)
        with suppress(OSError):  # if it died, `_take` finds the end of the link and says so
            worker.link.send([tuple(task) for _, task in chunk])

    def _take(self, worker: _Worker) -> list[tuple[int, Record]]:
        try:
            kind, value = worker.link.recv()
        except (EOFError, OSError):
            return self._died(worker)
        chunk = worker.chunks.popleft()
        if kind == "fatal":
            raise value
        records = _unpacked([task for _, task in chunk], value)
        spent = sum(record.seconds for record in records) / len(records)
        self._seconds = spent if self._seconds == 0 else 0.7 * self._seconds + 0.3 * spent
        self._seconds = max(self._seconds, 1e-6)
        return [(number, record) for (number, _), record in zip(chunk, records, strict=True)]

    def _died(self, worker: _Worker) -> list[tuple[int, Record]]:
        """Run the tasks of a dead worker again one by one; one that kills alone has failed."""
        self._workers.remove(worker)
        chunks = list(worker.chunks)
        worker.stop()
        code = worker.process.returncode
        self._workers.append(self._spawn())
        first, rest = chunks[0], chunks[1:]
        for chunk in rest:
            self._alone.extend([item] for item in chunk)
        if len(first) > 1:
            self._alone.extend([item] for item in first)
            return []
        number, task = first[0]
        hint = " (killed, perhaps for want of memory: try fewer workers)" if code == -9 else ""
        error = f"the worker process ended with code {code} during this simulation{hint}"
        return [(number, failed(task, self.runner, error))]

    def _spawn(self) -> _Worker:
        ours, theirs = Pipe()
        code = _START.format(path=json.dumps(sys.path), handle=theirs.fileno())
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            pass_fds=(theirs.fileno(),),
            start_new_session=True,  # Ctrl-C is the parent's to handle; workers end with it
        )
        theirs.close()
        worker = _Worker(process, ours)
        with suppress(OSError):
            ours.send((loaded_files(), self._packed))
        return worker


def packed(records: Sequence[Record]) -> list[Any]:
    """Records as they travel back: column by column, arrays stacked, without their tasks."""
    _, outcome, statistics, held_out, *rest = zip(*records, strict=True)
    return [outcome, np.stack(statistics), np.stack(held_out), *rest]


def _unpacked(tasks: Sequence[Task], columns: Sequence[Any]) -> list[Record]:
    """Inverse of `packed`."""
    return [Record(*fields) for fields in zip(tasks, *columns, strict=True)]
