"""Asked once: a policy whose answers are in a ledger before anybody sees them."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

from abm.collecting import collector_waits
from abm.errors import PolicyError, require
from abm.ledger.meter import Meter
from abm.ledger.schema import Entry, Failure, answer_key, answer_keys, holds_content, words
from abm.ledger.store import Ledger
from abm.policies.answering import check_answer
from abm.policies.base import Policy
from abm.policies.coverage import DEFAULT_FLOOR, as_measured, judged
from abm.questions import Answer, Request, Status
from abm.tally import Tally

__all__ = ["Asked", "Counts", "Recorded", "Remembered", "RunPolicy", "inferred_by"]


class Asked(NamedTuple):
    """A request as one run asks it.

    Attributes
    ----------
    run
        Name of the run; failures without content belong to it. Empty: to nobody.
    occurrence
        How many times the run had asked the same request before.
    """

    request: Request
    run: str = ""
    occurrence: int = 0


@runtime_checkable
class RunPolicy(Policy, Protocol):
    """A policy that knows which run asks."""

    def answer_asked(self, asked: Sequence[Asked]) -> list[Answer]: ...


@dataclass
class Counts:
    """What was asked and what it cost. Tokens are notional, except where they say `inferred`.

    Attributes
    ----------
    asked, distinct
        Requests, and distinct requests.
    inferred
        Requests that the policy itself answered; the others were saved.
    tokens_in, tokens_out
        What all asked requests cost when nothing is cached. Budgets read these.
    inferred_tokens_in, inferred_tokens_out
        What was really evaluated, as far as the policy reports it. Nothing reads these.
    failures
        Status -> number of asked requests with that status.
    batches, largest_batch
        Batches that reached the policy, and the largest.
    batch_sizes
        Least power of two >= the size -> number of batches.
    """

    asked: int = 0
    distinct: int = 0
    inferred: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    inferred_tokens_in: int = 0
    inferred_tokens_out: int = 0
    batches: int = 0
    largest_batch: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    batch_sizes: Counter[int] = field(default_factory=Counter)

    @property
    def saved(self) -> int:
        """Requests that needed no inference."""
        return self.asked - self.inferred

    def saw(self, answers: Sequence[Answer]) -> None:
        """Count answers that were given."""
        self.asked += len(answers)
        self.tokens_in += sum([answer.tokens_in for answer in answers])
        self.tokens_out += sum([answer.tokens_out for answer in answers])
        self.failures.update(str(a.status) for a in answers if a.status is not Status.OK)

    def inferred_batch(self, answers: Sequence[Answer]) -> None:
        """Count a batch that the policy answered."""
        self.inferred += len(answers)
        self.inferred_tokens_in += sum(answer.tokens_in for answer in answers)
        self.inferred_tokens_out += sum(answer.tokens_out for answer in answers)
        self.batches += 1
        self.largest_batch = max(self.largest_batch, len(answers))
        self.batch_sizes[1 << max(len(answers) - 1, 0).bit_length()] += 1

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a manifest."""
        return {
            **asdict(self),
            "failures": dict(self.failures),
            "batch_sizes": dict(sorted(self.batch_sizes.items())),
            "saved": self.saved,
        }


class Recorded:
    """Answers from the ledger; asks the policy for what is missing, once, and commits it first.

    Parameters
    ----------
    policy
        A policy with `recorded = True`. Its `coverage_floor` (0.05 if it declares none) judges
        every answer of known coverage after the ledger.
    ledger
        Shared by all runs of a study.
    max_batch
        Most requests per batch and transaction, >= 1: a kill repeats at most so many.
    meter
        Counts what is spent and stops when the budget is; `None` for no budget.

    Attributes
    ----------
    counts
        What was asked and inferred through this object.
    inferred_by
        Run -> requests that were inferred because this run asked them first.

    Notes
    -----
    Content (scores, texts) is shared by all runs. A failure without content goes to the run that
    asked, under (key, occurrence), and a resumed run meets it again; another run asks anew.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from abm.policies import RulePolicy
    >>> from abm.questions import Question
    >>> rule = RulePolicy(lambda fields, options: [[0.0, -1.0]])
    >>> request = Question("q", 1, "?", ("a", "b")).request({})
    >>> with Ledger(Path(tempfile.mkdtemp()) / "ledger.sqlite") as ledger:
    ...     policy = Recorded(rule, ledger)
    ...     first, again = policy.answer([request]), policy.answer([request])
    >>> first == again, policy.counts.asked, policy.counts.inferred
    (True, 2, 1)
    """

    recorded = True

    def __init__(
        self,
        policy: Policy,
        ledger: Ledger,
        *,
        max_batch: int = 1024,
        meter: Meter | None = None,
    ) -> None:
        require(max_batch >= 1, PolicyError, f"max_batch = {max_batch}, expected >= 1")
        self.max_batch = max_batch
        self.inner, self.ledger, self.counts = policy, ledger, Counts()
        self.fingerprint = policy.fingerprint
        self.coverage_floor: float = getattr(policy, "coverage_floor", DEFAULT_FLOOR)
        self.meter = meter
        self.inferred_by: Counter[str] = Counter()
        self._memory = Remembered()
        self._failures: dict[str, dict[tuple[str, int], Answer]] = {}
        self._seen = Tally()
        self._guard = threading.RLock()

    def __repr__(self) -> str:
        return f"Recorded({self.inner!r})"

    def answer(self, requests: Sequence[Request]) -> list[Answer]:
        """One answer per request, in order."""
        with collector_waits():
            asked = [Asked(request) for request in requests]
        return self.answer_asked(asked)

    def answer_asked(self, asked: Sequence[Asked]) -> list[Answer]:
        """One answer per request of one or several runs, in order."""
        answers: list[Answer] = []
        for first in range(0, len(asked), self.max_batch):
            with self._guard:
                answers += self._answer_block(asked[first : first + self.max_batch])
        return answers

    def _answer_block(self, asked: Sequence[Asked]) -> list[Answer]:
        if self.meter is not None:
            self.meter.check()
        keys = answer_keys(self.fingerprint, [one.request for one in asked])
        known = self._load(keys)
        runs = {one.run for one in asked}
        plain = len(known) == len(set(keys)) and not any(map(self._failures_of, runs))
        answers = [known[key] for key in keys] if plain else self._settled(asked, keys, known)
        self._count(asked, keys, answers)
        return answers

    def _settled(
        self, asked: Sequence[Asked], keys: list[str], known: dict[str, Answer]
    ) -> list[Answer]:
        """Answers where some are not known yet, or where a run may meet its failures again."""
        found: dict[int, Answer] = {}
        open_rows = list(range(len(asked)))
        while open_rows:
            open_rows = [r for r in open_rows if not self._known(r, asked, keys, known, found)]
            if open_rows:
                self._infer(open_rows, asked, keys, known, found)
                open_rows = [row for row in open_rows if row not in found]
        return [found[row] for row in range(len(asked))]

    def peek(self, requests: Sequence[Request]) -> list[Answer]:
        """Answers that touch neither the ledger nor the counts."""
        with self._guard:
            keys = answer_keys(self.fingerprint, requests)
            known = self.ledger.get_many(keys)
            missing = [r for r, key in zip(requests, keys, strict=True) if key not in known]
            fresh = iter(self._ask(missing) if missing else [])
            return [self._judged(known[key] if key in known else next(fresh)) for key in keys]

    def as_sent(self, request: Request) -> tuple[str, tuple[int, ...]] | None:
        """The prompt exactly as sent and its token ids, if the policy sends one."""
        sent = getattr(self.inner, "as_sent", None)
        return None if sent is None else sent(request)

    def forget_failures(self, run: str) -> None:
        """Before a failed run is tried anew: it asks again where it failed."""
        with self._guard:
            self.ledger.forget_failures(run)
            self._failures.pop(run, None)

    def _load(self, keys: list[str]) -> dict[str, Answer]:
        """The answers among `keys` that are known, from memory or from the ledger."""
        known = self._memory.find(keys)
        return known | self._memory.read(keys, known, self.ledger, self.coverage_floor)

    def _known(
        self,
        row: int,
        asked: Sequence[Asked],
        keys: list[str],
        known: dict[str, Answer],
        found: dict[int, Answer],
    ) -> bool:
        one, key = asked[row], keys[row]
        failure = self._failures_of(one.run).get((key, one.occurrence)) if one.run else None
        answer = failure or known.get(key)
        if answer is not None:
            found[row] = answer
        return answer is not None

    def _failures_of(self, run: str) -> dict[tuple[str, int], Answer]:
        if run not in self._failures:
            self._failures[run] = self.ledger.failures(run) if run else {}
        return self._failures[run]

    def _infer(
        self,
        rows: list[int],
        asked: Sequence[Asked],
        keys: list[str],
        known: dict[str, Answer],
        found: dict[int, Answer],
    ) -> None:
        """Ask each distinct request once; a failure is the first asker's, the others ask again."""
        first: dict[str, int] = {}
        for row in rows:
            if len(first) < self.max_batch or keys[row] in first:
                first.setdefault(keys[row], row)
        answers = self._ask([asked[row].request for row in first.values()])
        entries, failures = [], []
        for (key, row), answer in zip(first.items(), answers, strict=True):
            one, measured = asked[row], as_measured(answer)
            check_answer(repr(self.inner), one.request, measured)
            entry = Entry(self.fingerprint, one.request, measured)
            if holds_content(measured):
                entries.append(entry)
            elif one.run:
                failures.append(Failure(one.run, one.occurrence, entry))
            if not holds_content(measured):
                same = [r for r in rows if keys[r] == key and asked[r][1:] == one[1:]]
                found.update(dict.fromkeys(same, measured))
        self.ledger.put_batch(entries, failures)
        for entry in entries:
            key = answer_key(self.fingerprint, entry.request)
            known[key] = self._judged(entry.answer)
            self._memory.keep(key, known[key])
        for failure in failures:
            place = (failure.entry.key, failure.occurrence)
            self._failures_of(failure.run)[place] = failure.entry.answer
        self.counts.inferred_batch(answers)
        self.inferred_by.update(asked[row].run for row in first.values())

    def _ask(self, requests: list[Request]) -> list[Answer]:
        answers = list(self.inner.answer(requests))
        require(
            len(answers) == len(requests),
            PolicyError,
            f"{self.inner!r} gave {len(answers)} answers to {len(requests)} requests",
        )
        return answers

    def _judged(self, answer: Answer) -> Answer:
        return judged(answer, self.coverage_floor)

    def _count(self, asked: Sequence[Asked], keys: list[str], answers: list[Answer]) -> None:
        self._seen.add_many(words(keys))
        self.counts.distinct = len(self._seen)
        self.counts.saw(answers)
        if self.meter is not None:
            spent: Counter[str] = Counter()
            for one, answer in zip(asked, answers, strict=True):
                spent[one.run] += answer.tokens_in + answer.tokens_out
            for run, tokens in spent.items():
                self.meter.add(run, tokens)


def inferred_by(policy: Any, run: str) -> int | None:
    """Requests that were inferred because this run asked first; `None` where nobody counts."""
    if isinstance(policy, Recorded):
        return policy.inferred_by[run]
    ask = getattr(policy, "inferred_for", None)
    return None if ask is None else ask(run)


class Remembered:
    """The latest answers by key, at most so many; the ledger has the others.

    Parameters
    ----------
    most
        Most answers, >= 1; roughly half a kilobyte each.

    Examples
    --------
    >>> memory = Remembered(most=2)
    >>> for key in "abc":
    ...     memory.keep(key, Answer(text=key))
    >>> sorted(memory.find("abc"))
    ['b', 'c']
    """

    def __init__(self, most: int = 1 << 14) -> None:
        self.most = most
        self._answers: OrderedDict[str, Answer] = OrderedDict()

    def find(self, keys: Iterable[str]) -> dict[str, Answer]:
        """The answers among `keys` that are remembered."""
        held = self._answers
        return {key: held[key] for key in keys if key in held}

    def keep(self, key: str, answer: Answer) -> None:
        """Remember an answer; forgets the one that was kept first where there are too many."""
        self._answers[key] = answer
        if len(self._answers) > self.most:
            self._answers.popitem(last=False)

    def read(
        self, keys: Iterable[str], known: Mapping[str, Answer], ledger: Ledger, floor: float
    ) -> dict[str, Answer]:
        """Read the answers that are not known from the ledger, judge and remember them."""
        new = [key for key in dict.fromkeys(keys) if key not in known]
        with collector_waits():
            found = {key: judged(answer, floor) for key, answer in ledger.get_many(new).items()}
        for key, answer in found.items():
            self.keep(key, answer)
        return found
