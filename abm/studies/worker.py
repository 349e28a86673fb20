"""A worker process: takes runs, asks the answering process, prepares run folders."""

from __future__ import annotations

import os
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from abm.errors import AbmError
from abm.ledger import BudgetSpent, Client
from abm.studies.answering import RunAnswers
from abm.studies.execute import execute_run
from abm.studies.travel import unpack

__all__ = ["main"]


def main(jobs_handle: int, answers_handle: int) -> None:
    """Serve until the parent hangs up; the two handles are inherited ends of its pipes."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    jobs = Connection(jobs_handle)
    client = Client(Connection(answers_handle))
    recorded: dict[str, Any] = dict(client.policies())
    while True:
        try:
            job = jobs.recv()
        except (EOFError, OSError):
            return
        jobs.send(_outcome(job, recorded))


def _outcome(job: tuple[Any, ...], recorded: dict[str, Any]) -> tuple[str, Any]:
    packed, places, names, infos, target, made_with = job
    try:
        run = unpack(packed, places)
        partial, manifest = execute_run(
            run, RunAnswers(run, names, recorded, infos), Path(target), made_with
        )
    except BudgetSpent as spent:
        return "stopped", str(spent)
    except AbmError as error:
        return "fatal", error
    return "done", (str(partial), manifest)


def _end_with_parent() -> None:
    """A worker whose parent is gone has nobody to work for: its results could only do harm."""
    while os.read(0, 1):
        pass
    os._exit(1)
