"""The worker's side: policies that live in the answering process."""

from __future__ import annotations

from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

from abm.errors import BackendError
from abm.ledger import schema
from abm.ledger.recorded import Asked
from abm.questions import Answer, Request

__all__ = ["Client", "RemotePolicy"]


class Client:
    """The worker's end of a connection to the service.

    Parameters
    ----------
    connection
        From `AnsweringService.connect`, passed to the worker when it is started.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._sent: set[str] = set()

    def call(self, verb: str, *values: Any) -> Any:
        """Send a message and wait for its reply; errors of the service are raised here."""
        try:
            self.connection.send((verb, *values))
            outcome, value = self.connection.recv()
        except (EOFError, OSError) as error:
            raise BackendError(
                "the answering process is gone, so this run cannot go on; start the study again "
                "to resume it"
            ) from error
        if outcome == "error":
            raise value
        return value

    def ask(self, verb: str, name: str, asked: Sequence[Asked]) -> Any:
        """Send requests. A question travels once per connection, and `perceive` never does."""
        new = {one.request.question.digest: one.request.question for one in asked}
        definitions = [
            (digest, schema.definition_text(question))
            for digest, question in new.items()
            if digest not in self._sent
        ]
        rows = [
            (r.question.digest, r.fields, r.seed, r.attempt, run, occurrence)
            for r, run, occurrence in asked
        ]
        value = self.call(verb, name, definitions, rows)
        self._sent.update(new)
        return value

    def fingerprints(self) -> dict[str, str]:
        """Policy name -> fingerprint, of all that the service answers for."""
        return dict(self.call("fingerprints"))

    def policies(self) -> dict[str, RemotePolicy]:
        """Policy name -> its stand-in in this worker."""
        names = self.fingerprints().items()
        return {name: RemotePolicy(self, name, fingerprint) for name, fingerprint in names}


class RemotePolicy:
    """A policy whose answers come from the answering process.

    Parameters
    ----------
    client
        A `Client`, or a connection from `AnsweringService.connect`.
    name
        The policy's name in the service.
    fingerprint
        Its fingerprint.

    Raises
    ------
    BackendError
        The answering process is gone, or its backend is unusable.
    """

    recorded = True

    def __init__(self, client: Client | Connection, name: str, fingerprint: str) -> None:
        self.client = client if isinstance(client, Client) else Client(client)
        self.name, self.fingerprint = name, fingerprint

    def __repr__(self) -> str:
        return f"RemotePolicy({self.name!r})"

    def answer(self, requests: Sequence[Request]) -> list[Answer]:
        """One answer per request, in order."""
        return self.answer_asked([Asked(request) for request in requests])

    def answer_asked(self, asked: Sequence[Asked]) -> list[Answer]:
        """One answer per request of a run, in order."""
        return list(self.client.ask("answer", self.name, asked)) if asked else []

    def peek(self, requests: Sequence[Request]) -> list[Answer]:
        """Answers that touch neither the ledger nor the counts."""
        return list(self.client.ask("peek", self.name, [Asked(r) for r in requests]))

    def inferred_for(self, run: str) -> int | None:
        """Requests that were inferred because this run asked them first."""
        return self.client.call("inferred", self.name, run)  # type: ignore[no-any-return]

    def as_sent(self, request: Request) -> tuple[str, tuple[int, ...]] | None:
        """The prompt exactly as sent and its token ids, if the policy sends one."""
        sent: tuple[str, tuple[int, ...]] | None
        sent = self.client.ask("as_sent", self.name, [Asked(request)])
        return sent
