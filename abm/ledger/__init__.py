"""The ledger: every distinct answer is asked once, stored before it is seen, and replayable."""

from typing import TYPE_CHECKING, Any

from abm.ledger.meter import BudgetSpent, Meter
from abm.ledger.recorded import Asked, Counts, Recorded
from abm.ledger.remote import Client, RemotePolicy
from abm.ledger.replay import Replayed, RunRecorder, export_run
from abm.ledger.schema import Entry, Failure, answer_key
from abm.ledger.service import AnsweringService
from abm.ledger.store import Ledger, write_ledger
from abm.ledger.tables import read_table, write_tables

if TYPE_CHECKING:
    from abm.ledger.replay_backend import ReplayBackend

__all__ = [
    "AnsweringService",
    "Asked",
    "BudgetSpent",
    "Client",
    "Counts",
    "Entry",
    "Failure",
    "Ledger",
    "Meter",
    "Recorded",
    "RemotePolicy",
    "ReplayBackend",
    "Replayed",
    "RunRecorder",
    "answer_key",
    "export_run",
    "read_table",
    "write_ledger",
    "write_tables",
]


def __getattr__(name: str) -> Any:
    """`ReplayBackend` when it is first used: the rest of a ledger needs nothing of abm.llm."""
    if name == "ReplayBackend":
        from abm.ledger.replay_backend import ReplayBackend

        return ReplayBackend
    raise AttributeError(f"module 'abm.ledger' has no attribute {name!r}")
