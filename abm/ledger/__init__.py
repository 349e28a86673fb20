"""The ledger: every distinct answer is asked once, stored before it is seen, and replayable."""

from abm.ledger.recorded import Asked, Counts, Recorded
from abm.ledger.remote import Client, RemotePolicy
from abm.ledger.replay import Replayed, RunRecorder, export_run
from abm.ledger.schema import Entry, Failure, answer_key
from abm.ledger.service import AnsweringService
from abm.ledger.store import Ledger, write_ledger
from abm.ledger.tables import read_table, write_tables

__all__ = [
    "AnsweringService",
    "Asked",
    "Client",
    "Counts",
    "Entry",
    "Failure",
    "Ledger",
    "Recorded",
    "RemotePolicy",
    "Replayed",
    "RunRecorder",
    "answer_key",
    "export_run",
    "read_table",
    "write_ledger",
    "write_tables",
]
