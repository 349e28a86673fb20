"""One answering process per study: it owns the models and the ledger; workers send it requests.

A worker holds a `RemotePolicy`, which is a policy like any other. The service gathers what several
workers have pending into one batch per policy. With answers that depend on the request alone, that
cannot change a result; it only makes batches larger.

    parent                                   worker (spawned)
    AnsweringService({"llm": Recorded(...)})     RemotePolicy(Client(connection), "llm", ...)
"""

from __future__ import annotations

import pickle
import threading
import time
import traceback
from collections.abc import Mapping
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple

from abm.errors import AbmError, BackendError, PolicyError, require
from abm.ledger import schema
from abm.ledger.recorded import Asked, Recorded, RunPolicy, inferred_by
from abm.policies.base import Policy
from abm.questions import Answer, Question, Request

__all__ = ["AnsweringService"]

_LONGEST = 0.05  # seconds that a batch waits for further workers at most


class _Message(NamedTuple):
    sender: Connection
    name: str
    asked: list[Asked]


class AnsweringService:
    """Answers the requests of workers with the policies of this process.

    Parameters
    ----------
    policies
        Name -> policy, usually `Recorded`.
    patience
        Share of the time that recent batches took for which a new batch waits for workers that have
        not asked yet, >= 0. It ends as soon as all of them wait.

    Attributes
    ----------
    batches, gathered, most_workers
        Batches asked, how many of them held requests of more than one worker, and the most workers
        in one.

    Notes
    -----
    The service runs in a thread of the parent between `start` and `stop`, or `with service:`. A
    worker that dies takes its pending requests with it; the others go on. An exception of a policy
    is raised in the worker whose requests caused it.

    Examples
    --------
    >>> from abm.ledger import Client
    >>> from abm.policies import RulePolicy
    >>> request = Question("q", 1, "?", ("a", "b")).request({})
    >>> rule = RulePolicy(lambda fields, options: [[0.0, -1.0]])
    >>> with AnsweringService({"twin": rule}) as service:
    ...     Client(service.connect()).policies()["twin"].answer([request])[0].scores
    (0.0, -1.0)
    """

    def __init__(self, policies: Mapping[str, Policy], *, patience: float = 0.25) -> None:
        require(
            patience >= 0, BackendError, f"patience = {patience}, expected a share of time >= 0"
        )
        self.policies, self.patience = dict(policies), patience
        self.batches = self.gathered = self.most_workers = 0
        self._pace = 0.0  # seconds of a batch, as of late
        self._connections: list[Connection] = []
        self._questions: dict[str, Question] = {}
        self._guard = threading.Lock()
        self._bell, self._ring = Pipe(duplex=False)
        self._stopping = False
        self._thread: threading.Thread | None = None

    def __enter__(self) -> AnsweringService:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.stop(hurry=kind is not None)

    def connect(self) -> Connection:
        """A connection for one worker; may be called at any time.

        Pass it as an argument to a spawned process and close it here once the process has started:
        otherwise the death of the worker goes unnoticed until the service stops.
        """
        require(not self._stopping, BackendError, "the answering service has stopped")
        ours, theirs = Pipe()
        with self._guard:
            self._connections.append(ours)
        self._ring.send_bytes(b"new")
        return theirs

    def start(self) -> None:
        """Begin to answer, in a thread."""
        require(self._thread is None, BackendError, "the answering service has been started before")
        self._thread = threading.Thread(target=self.serve, name="answering", daemon=True)
        self._thread.start()

    def stop(self, *, hurry: bool = False) -> None:
        """Finish the batch in flight, then hang up. Workers that still wait get a BackendError.

        Parameters
        ----------
        hurry
            Leave the batch in flight where it waits for a server, which may hang.
        """
        if self._stopping:
            return
        self._stopping = True
        self._ring.send_bytes(b"stop")
        left = self._behind_servers() if hurry else []
        for backend in left:
            backend.abandon(True)
        if self._thread is not None:
            self._thread.join()
        for backend in left:
            backend.abandon(False)
        for end in (*self._connections, self._bell, self._ring):
            end.close()

    def _behind_servers(self) -> list[Any]:
        """Backends whose batches can be left."""
        inner = (getattr(policy, "inner", policy) for policy in self.policies.values())
        backends = [getattr(policy, "backend", None) for policy in inner]
        return [backend for backend in backends if hasattr(backend, "abandon")]

    def serve(self) -> None:
        """Answer until `stop` is called."""
        while not self._stopping:
            messages = self._pending(timeout=None)
            begun = time.perf_counter()
            self._answer(messages)
            self._pace += 0.25 * (time.perf_counter() - begun - self._pace)

    def counts(self) -> dict[str, Any]:
        """Counts of every policy that keeps them, and of the batches, for a manifest."""
        return {
            "batches": self.batches,
            "gathered": self.gathered,
            "most_workers": self.most_workers,
            "policies": {
                name: policy.counts.to_dict()
                for name, policy in self.policies.items()
                if isinstance(policy, Recorded)
            },
        }

    def _pending(self, timeout: float | None) -> list[_Message]:
        """What workers have sent: waits for the first, and a little for the others.

        The clock decides who is in a batch and nothing else.
        """
        messages: list[_Message] = []
        until = 0.0
        while not self._stopping:
            with self._guard:
                ends = [self._bell, *self._connections]
            left = max(until - time.perf_counter(), 0.0)
            waiting = len(messages) >= len(ends) - 1  # all workers: nobody else can ask
            ready = wait(ends, timeout if not messages else 0.0 if waiting else left)
            if not ready and messages:
                break
            for end in ready:
                messages += self._receive(end)  # type: ignore[arg-type]
            until = until or (
                time.perf_counter() + min(self.patience * self._pace, _LONGEST) if messages else 0.0
            )
        return messages

    def _receive(self, end: Connection) -> list[_Message]:
        if end is self._bell:
            end.recv_bytes()
            return []
        try:
            verb, *values = end.recv()
        except (EOFError, OSError):
            self._drop(end)
            return []
        if verb == "inferred":
            name, run = values
            self._reply(end, "ok", inferred_by(self.policies.get(name), run))
            return []
        if verb == "fingerprints":
            named = {name: policy.fingerprint for name, policy in self.policies.items()}
            self._reply(end, "ok", named)
            return []
        name, definitions, rows = values
        for digest, definition in definitions:
            self._questions.setdefault(digest, schema.read_question(definition))
        asked = [
            Asked(Request(self._questions[digest], fields, seed, attempt), run, occurrence)
            for digest, fields, seed, attempt, run, occurrence in rows
        ]
        if verb == "answer":
            return [_Message(end, name, asked)]
        self._look(end, verb, name, [one.request for one in asked])
        return []

    def _answer(self, messages: list[_Message]) -> None:
        for name in dict.fromkeys(message.name for message in messages):
            self._answer_batch(name, [m for m in messages if m.name == name])

    def _answer_batch(self, name: str, messages: list[_Message]) -> None:
        asked = [one for message in messages for one in message.asked]
        try:
            answers = _ask(self._policy(name), asked)
        except Exception as error:  # the worker raises it; this thread must live for the others
            if len(messages) > 1:
                for message in messages:
                    self._answer_batch(name, [message])
            else:
                self._reply(messages[0].sender, "error", _portable(error))
            return
        self.batches += 1
        self.gathered += len(messages) > 1
        self.most_workers = max(self.most_workers, len(messages))
        start = 0
        for message in messages:
            self._reply(message.sender, "ok", answers[start : start + len(message.asked)])
            start += len(message.asked)

    def _look(self, end: Connection, verb: str, name: str, requests: list[Request]) -> None:
        try:
            policy = self._policy(name)
            value: Any = None
            if verb == "peek":
                value = list(getattr(policy, "peek", policy.answer)(requests))
            elif hasattr(policy, "as_sent"):
                value = policy.as_sent(requests[0])
        except Exception as error:  # as above
            self._reply(end, "error", _portable(error))
            return
        self._reply(end, "ok", value)

    def _policy(self, name: str) -> Policy:
        require(
            name in self.policies,
            PolicyError,
            f"the answering service has no policy {name!r}; it has {sorted(self.policies)}",
        )
        return self.policies[name]

    def _reply(self, end: Connection, outcome: str, value: Any) -> None:
        try:
            end.send((outcome, value))
        except OSError:
            self._drop(end)

    def _drop(self, end: Connection) -> None:
        with self._guard:
            if end in self._connections:
                self._connections.remove(end)
        end.close()


def _ask(policy: Policy, asked: list[Asked]) -> list[Answer]:
    if isinstance(policy, RunPolicy):
        return policy.answer_asked(asked)
    answers = list(policy.answer([one.request for one in asked]))
    require(
        len(answers) == len(asked),
        PolicyError,
        f"{policy!r} gave {len(answers)} answers to {len(asked)} requests",
    )
    return answers


def _portable(error: Exception) -> Exception:
    """The error itself where it survives the journey; otherwise its words."""
    if isinstance(error, AbmError):
        try:
            pickle.loads(pickle.dumps(error))
            return error
        except (pickle.PicklingError, AttributeError, TypeError):
            return type(error)(str(error))
    trace = "".join(traceback.format_exception(error))
    return BackendError(f"{type(error).__name__} in the answering process: {error}", trace=trace)
