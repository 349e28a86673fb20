"""What one run used: collected while it runs, and read back without any model."""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING

from abm.errors import LedgerError, ReplayMiss, require
from abm.ledger.collected import Collected
from abm.ledger.recorded import Asked, Counts, Remembered, RunPolicy, inferred_by
from abm.ledger.schema import Entry, Failure, answer_keys, holds_content, words
from abm.ledger.store import Ledger, write_ledger
from abm.policies.base import Policy
from abm.policies.coverage import DEFAULT_FLOOR, as_measured, check_floor
from abm.questions import Answer, Request
from abm.tally import Tally

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Replayed", "RunRecorder", "export_run"]

_BLOCK = 4096  # requests that are looked up together


class RunRecorder:
    """A policy as one run sees it: collects every answer that the run used, failures included.

    Parameters
    ----------
    policy
        `Recorded`, `RemotePolicy` or any other policy.
    run
        Name of the run, unique within the study and the same when the run is resumed.

    Attributes
    ----------
    counts
        What this run asked. Notional, so the same whatever a ledger already held.

    Examples
    --------
    >>> from abm.policies import RulePolicy
    >>> from abm.questions import Question
    >>> request = Question("q", 1, "?", ("a", "b")).request({})
    >>> recorder = RunRecorder(RulePolicy(lambda fields, options: [[0.0, -1.0]]), "run 1")
    >>> recorder.answer([request])[0].ok, recorder.counts.asked, len(recorder.entries)
    (True, 1, 1)
    """

    def __init__(self, policy: Policy, run: str) -> None:
        self.inner, self.run, self.counts = policy, run, Counts()
        self.fingerprint, self.recorded = policy.fingerprint, policy.recorded
        self.live = bool(getattr(policy, "live", policy.recorded))
        self.entries = Collected(policy.fingerprint)
        self.failures: list[Failure] = []
        self._occurrences = Tally()
        self._asked = policy.answer_asked if isinstance(policy, RunPolicy) else None

    def __repr__(self) -> str:
        return f"RunRecorder({self.inner!r}, run={self.run!r})"

    def answer(self, requests: Sequence[Request]) -> list[Answer]:
        """One answer per request, in order."""
        keys = answer_keys(self.fingerprint, requests)
        occurrences = self._occurrences.add_many(words(keys)).tolist()
        asked = [
            Asked(request, self.run, before)
            for request, before in zip(requests, occurrences, strict=True)
        ]
        answers = list(self._asked(asked) if self._asked else self.inner.answer(requests))
        held = self.entries.held(keys)
        for key, one, answer, known in zip(keys, asked, answers, held, strict=True):
            if not (known and answer.ok):
                self._collect(key, one, as_measured(answer))
        self.counts.saw(answers)
        self.counts.distinct = len(self._occurrences)
        return answers

    def peek(self, requests: Sequence[Request]) -> list[Answer]:
        """Answers that leave no trace."""
        return list(getattr(self.inner, "peek", self.inner.answer)(requests))

    def inferred(self) -> int | None:
        """Requests that were inferred because this run asked them first; `None` if not known.

        What others asked before, in this execution or an earlier one, came from the ledger.
        """
        return inferred_by(self.inner, self.run)

    def as_sent(self, request: Request) -> tuple[str, tuple[int, ...]] | None:
        """The prompt exactly as sent and its token ids, if the policy sends one."""
        sent = getattr(self.inner, "as_sent", None)
        return None if sent is None else sent(request)

    def _collect(self, key: str, one: Asked, answer: Answer) -> None:
        if holds_content(answer):
            if key not in self.entries:
                self.entries.add(Entry(self.fingerprint, one.request, answer), key)
            return
        entry = Entry(self.fingerprint, one.request, answer)
        self.failures.append(Failure(self.run, one.occurrence, entry))


def export_run(
    path: str | os.PathLike[str],
    recorders: Iterable[RunRecorder],
    *,
    tables: Mapping[str, pl.DataFrame] | None = None,
) -> None:
    """Write all that the recorders of one run collected to a ledger that replays alone.

    Parameters
    ----------
    tables
        Tables to put beside the answers, such as `{"decisions": model.decisions.frame()}`; read
        them back with `abm.ledger.read_table`.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> export_run(os.path.join(folder, "ledger.sqlite"), [])
    >>> os.listdir(folder)
    ['ledger.sqlite']
    """
    together = list(recorders)
    ordered = heapq.merge(*(r.entries.in_order() for r in together), key=itemgetter(0))
    failures = [failure for recorder in together for failure in recorder.failures]
    write_ledger(path, (entry for _, entry in ordered), failures, tables=tables)


class Replayed:
    """Answers from a ledger alone; no model file is needed and none is looked for.

    Parameters
    ----------
    ledger
        Usually the ledger in a run's folder, opened with `read_only=True`.
    fingerprint
        Fingerprint of the policy whose answers are read.
    coverage_floor
        The floor that the run declared (its manifest has it).
    run
        Whose failures are met again. May be left out where the ledger holds one run's.

    Raises
    ------
    ReplayMiss
        The ledger lacks an answer. Names the question, the fields and the run, and carries them.

    Examples
    --------
    >>> import tempfile
    >>> from abm.questions import Question
    >>> request = Question("q", 1, "?", ("a", "b")).request({})
    >>> path = os.path.join(tempfile.mkdtemp(), "ledger.sqlite")
    >>> write_ledger(path, [Entry("model", request, Answer(scores=(0.0, -1.0)))])
    >>> with Ledger(path, read_only=True) as ledger:
    ...     Replayed(ledger, "model").answer([request])[0].scores
    (0.0, -1.0)
    """

    recorded = True
    live = False  # what failed is read again, so nobody waits

    def __init__(
        self,
        ledger: Ledger,
        fingerprint: str,
        *,
        coverage_floor: float = DEFAULT_FLOOR,
        run: str | None = None,
    ) -> None:
        self.ledger, self.fingerprint = ledger, fingerprint
        self.coverage_floor, self.counts = check_floor(coverage_floor), Counts()
        self.run = self._only_run() if run is None else run
        self._failures = ledger.failures(self.run)
        self._memory = Remembered()
        self._occurrences = Tally()

    def __repr__(self) -> str:
        return f"Replayed({str(self.ledger.path)!r}, {self.fingerprint!r})"

    def answer(self, requests: Sequence[Request]) -> list[Answer]:
        """One answer per request, in order."""
        answers = []
        for first in range(0, len(requests), _BLOCK):
            some = requests[first : first + _BLOCK]
            keys, known = self._load(some)
            occurrences = self._occurrences.add_many(words(keys)).tolist()
            answers += [
                self._found(key, occurrence, request, known)
                for key, occurrence, request in zip(keys, occurrences, some, strict=True)
            ]
        self.counts.saw(answers)
        self.counts.distinct = len(self._occurrences)
        return answers

    def peek(self, requests: Sequence[Request]) -> list[Answer]:
        """Answers that leave no trace."""
        keys, known = self._load(requests)
        before = map(self._occurrences.count, words(keys).tolist())
        return [
            self._found(key, occurrence, request, known)
            for key, occurrence, request in zip(keys, before, requests, strict=True)
        ]

    def _load(self, requests: Sequence[Request]) -> tuple[list[str], dict[str, Answer]]:
        """Keys of requests, and the answers among them that the ledger holds."""
        keys = answer_keys(self.fingerprint, requests)
        known = self._memory.find(keys)
        return keys, known | self._memory.read(keys, known, self.ledger, self.coverage_floor)

    def _found(
        self, key: str, occurrence: int, request: Request, known: Mapping[str, Answer]
    ) -> Answer:
        answer = self._failures.get((key, occurrence)) or known.get(key)
        if answer is not None:
            return answer
        question, fields = request.question, dict(request.fields)
        names = self.ledger.fingerprints()
        hint = "" if self.fingerprint in names else f" It holds answers of {names} only."
        raise ReplayMiss(
            f"{self.ledger} lacks an answer to question {question.id!r} version "
            f"{question.version} with fields {fields} from {self.fingerprint!r} "
            f"(run {self.run or 'unnamed'}, seed {request.seed}, attempt {request.attempt})."
            f"{hint} The code or the scenario differs from the run that was recorded, or it was "
            "not finished: compare the manifest, or run the study again with its model",
            question=question.id,
            version=question.version,
            fields=fields,
            run=self.run,
            key=key,
        )

    def _only_run(self) -> str:
        runs = self.ledger.runs_with_failures()
        require(
            len(runs) <= 1,
            LedgerError,
            f"{self.ledger} holds failures of the runs {runs}; say run=... to replay one of them",
        )
        return runs[0] if runs else ""
