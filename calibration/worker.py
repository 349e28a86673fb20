"""A worker process of `WorkerPool`: takes tasks, runs them, answers with records."""

from __future__ import annotations

import os
import pickle
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from abm.calibration.pool import packed
from abm.calibration.problem import Task
from abm.calibration.runner import Runner
from abm.errors import AbmError, CalibrationError
from abm.linear_algebra import one_thread
from abm.studies.registry import load_file

__all__ = ["main"]


def main(handle: int) -> None:
    """Serve until the parent hangs up; the handle is the inherited end of its pipe."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    link = Connection(handle)
    with one_thread():
        _serve(link)


def _serve(link: Connection) -> None:
    try:
        files, packed = link.recv()
        for file in files:
            load_file(Path(file))
        runner: Runner = pickle.loads(packed)
    except (EOFError, OSError):
        return
    except Exception as error:  # unpickling runs anybody's code
        _refuse(link, error)
        return
    while True:
        try:
            tasks = link.recv()
        except (EOFError, OSError):
            return
        link.send(_answered(runner, tasks))


def _answered(runner: Runner, tasks: list[tuple[Any, ...]]) -> tuple[str, Any]:
    try:
        chunk, answers = [Task(*task) for task in tasks], runner.answers(len(tasks))
        runner.ask(chunk, answers)
        return "done", packed(runner.records(chunk, answers))
    except AbmError as error:
        return "fatal", error


def _refuse(link: Connection, error: Exception) -> None:
    link.recv()
    link.send(
        (
            "fatal",
            CalibrationError(
                f"a worker process cannot load the simulator: {type(error).__name__}: {error}. "
                "Put it into a module of its own, take what cannot travel out of it, or run with "
                "one worker"
            ),
        )
    )
    link.recv()


def _end_with_parent() -> None:
    """A worker whose parent is gone has nobody to work for."""
    while os.read(0, 1):
        pass
    os._exit(1)
