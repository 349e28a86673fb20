"""From raised requests to outcomes: asked once, checked, and with failures handled as declared.

`Answerer` stands between whoever raises decisions (the desk of the engine, `population.ask`) and
the policies. It groups tickets by policy, asks each distinct request once per batch, checks the
shape of what comes back, and applies the declared handling to failures.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from abm.collecting import collector_waits
from abm.errors import DecisionFailed, PolicyError, ScenarioError, require
from abm.policies.base import Policy
from abm.questions import Answer, Request, Status

__all__ = ["Answerer", "FailureHandling", "Outcome", "Skipped", "Ticket", "check_answer"]


_LONGEST_PAUSE = 60.0  # seconds


class Ticket(NamedTuple):
    """A request and the name of the policy it was assigned to when it was raised."""

    policy: str
    request: Request


@dataclass(frozen=True, slots=True)
class Skipped:
    """What a decision yields when its answer failed and the handling is `skip`. Never None."""

    question: str
    status: Status
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """An answer after failure handling.

    Attributes
    ----------
    answer
        The answer that counts; its status is a failure only if it was skipped.
    policy
        Name of the policy whose answer counts.
    failure
        Status of the original answer when a rule or a retry replaced it, or when it was skipped.
    retries
        How often the request was asked again.
    """

    answer: Answer
    policy: str
    failure: Status | None = None
    retries: int = 0


@dataclass(frozen=True)
class FailureHandling:
    """What happens to a failed answer: `abort` (the default), `skip`, `retry N`, or `rule NAME`.

    Parameters
    ----------
    default
        Handling of every status that `by_status` does not name.
    by_status
        Status -> handling. `retry N` may be followed by another: `retry 2 then skip`; without one
        it ends in `abort`. Only transient failures (time-out, backend error) are retried.
    wait
        Seconds before the first retry, >= 0; each further one waits twice as long, at most a
        minute. Only policies that ask the world are waited for, and no result depends on it.

    Examples
    --------
    >>> FailureHandling("skip").action(Status.OFF_MENU)
    (0, 'skip')
    >>> FailureHandling("retry 2 then rule twin").action(Status.TIMEOUT)
    (2, 'rule twin')
    >>> FailureHandling("retry 2 then skip").action(Status.OFF_MENU)
    (0, 'skip')
    """

    default: str = "abort"
    by_status: Mapping[str, str] = field(default_factory=dict)
    wait: float = 0.5

    def __post_init__(self) -> None:
        number = isinstance(self.wait, (int, float)) and not isinstance(self.wait, bool)
        require(
            number and 0 <= self.wait < math.inf,
            ScenarioError,
            f"failures: wait = {self.wait!r}, expected seconds >= 0 before the first retry",
        )
        for status in self.by_status:
            require(
                status in set(Status) - {Status.OK},
                ScenarioError,
                f"failures: unknown status {status!r}, expected one of "
                f"{sorted(set(map(str, Status)) - {'ok'})}",
            )
        for text in (self.default, *self.by_status.values()):
            _parse(text)

    def action(self, status: Status) -> tuple[int, str]:
        """(number of retries, what then) for a status."""
        retries, then = _parse(self.by_status.get(str(status), self.default))
        return (retries if status.transient else 0), then

    def pause(self, attempt: int) -> float:
        """Seconds to wait before retry number `attempt`, counted from 1.

        Examples
        --------
        >>> [FailureHandling(wait=10.0).pause(attempt) for attempt in (1, 2, 3, 4)]
        [10.0, 20.0, 40.0, 60.0]
        """
        return min(self.wait * 2.0 ** min(attempt - 1, 30), max(_LONGEST_PAUSE, self.wait))

    @property
    def rules(self) -> set[str]:
        """Names of the policies that stand in."""
        ends = [_parse(text)[1] for text in (self.default, *self.by_status.values())]
        return {end.removeprefix("rule ") for end in ends if end.startswith("rule ")}


def _parse(text: str) -> tuple[int, str]:
    head, _, then = text.partition(" then ")
    retries = 0
    if head.startswith("retry "):
        number = head.removeprefix("retry ")
        require(number.isdigit() and int(number) > 0, ScenarioError, _unknown(text))
        retries, head = int(number), then or "abort"
    good = head in ("abort", "skip") or (head.startswith("rule ") and len(head) > 5)
    require(good and (retries > 0 or not then), ScenarioError, _unknown(text))
    return retries, head


def _unknown(text: str) -> str:
    return (
        f"failures: handling {text!r}, expected 'abort', 'skip', 'rule NAME', "
        "'retry N' or 'retry N then skip'"
    )


class Answerer:
    """Answers tickets with named policies.

    Parameters
    ----------
    policies
        Name -> policy.
    failures
        Declared handling of failed answers.
    sleep
        Waits so many seconds.

    Attributes
    ----------
    waited
        Seconds spent waiting before retries.

    Raises
    ------
    DecisionFailed
        An answer failed and its handling is `abort`; carries `request`, `status`, `policy`.
    PolicyError
        A ticket names an unknown policy, or a policy returned the wrong number or shape of answers.
    """

    def __init__(
        self,
        policies: Mapping[str, Policy],
        failures: FailureHandling | None = None,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.policies, self.waited, self._sleep = dict(policies), 0.0, sleep
        self.failures = failures or FailureHandling()
        for name in self.failures.rules:
            self._policy(name)

    def answer(self, tickets: Sequence[Ticket]) -> list[Outcome]:
        """One outcome per ticket, in order; each distinct ticket is asked once."""
        outcomes = []
        for outcome in self.settle(tickets):
            if isinstance(outcome, DecisionFailed):
                raise outcome
            outcomes.append(outcome)
        return outcomes

    def settle(self, tickets: Sequence[Ticket]) -> list[Outcome | DecisionFailed]:
        """Like `answer`, with an abort as a value: it counts when its decision acts."""
        found: dict[Ticket, Outcome | DecisionFailed] = {}
        distinct = list(dict.fromkeys(tickets))
        names = dict.fromkeys([ticket.policy for ticket in distinct])
        if len(names) == 1 and len(distinct) == len(tickets):
            return self._settle_alike(next(iter(names)), distinct)
        for name in names:
            mine = [ticket for ticket in distinct if ticket.policy == name]
            found.update(zip(mine, self._settle_alike(name, mine), strict=True))
        return [found[ticket] for ticket in tickets]

    def _settle_alike(self, name: str, tickets: list[Ticket]) -> list[Outcome | DecisionFailed]:
        """Outcomes of the tickets of one policy. What failed is asked again together."""
        answers = self._ask(name, [ticket.request for ticket in tickets])
        failed = {row: answer.status for row, answer in enumerate(answers) if not answer.ok}
        if not failed:
            with collector_waits():
                return [Outcome(answer, name) for answer in answers]
        outcomes: dict[int, Outcome | DecisionFailed] = {
            row: Outcome(answer, name) for row, answer in enumerate(answers) if row not in failed
        }
        allowed = {row: self.failures.action(first) for row, first in failed.items()}
        for attempt in range(1, max((n for n, _ in allowed.values()), default=0) + 1):
            again = [row for row in failed if row not in outcomes and allowed[row][0] >= attempt]
            if not again:
                break
            self._pause(name, attempt)
            requests = [_tried_again(tickets[row].request, attempt) for row in again]
            for row, answer in zip(again, self._ask(name, requests), strict=True):
                answers[row] = answer
                if answer.ok:
                    outcomes[row] = Outcome(answer, name, failed[row], attempt)
        for row, first in failed.items():
            if row not in outcomes:
                outcomes[row] = self._ended(tickets[row], answers[row], first, *allowed[row])
        return [outcomes[row] for row in range(len(tickets))]

    def _pause(self, name: str, attempt: int) -> None:
        """Give the world time to recover; what is computed or replayed needs none."""
        policy = self._policy(name)
        seconds = self.failures.pause(attempt)
        if seconds > 0 and getattr(policy, "live", policy.recorded):
            self._sleep(seconds)
            self.waited += seconds

    def _policy(self, name: str) -> Policy:
        if name in self.policies:
            return self.policies[name]
        raise PolicyError(
            f"no policy is called {name!r}; declared are {sorted(self.policies)}. "
            "Pass policies={...} to the model, or correct the assignment",
            policy=name,
        )

    def _ask(self, name: str, requests: list[Request]) -> list[Answer]:
        answers = list(self._policy(name).answer(requests))
        require(
            len(answers) == len(requests),
            PolicyError,
            f"policy {name!r} gave {len(answers)} answers to {len(requests)} requests",
            policy=name,
        )
        for request, answer in zip(requests, answers, strict=True):
            check_answer(name, request, answer)
        return answers

    def _ended(
        self, ticket: Ticket, answer: Answer, first: Status, retries: int, then: str
    ) -> Outcome | DecisionFailed:
        try:
            return self._end(ticket, answer, first, retries, then)
        except DecisionFailed as failure:
            return failure

    def _end(
        self, ticket: Ticket, answer: Answer, first: Status, retries: int, then: str
    ) -> Outcome:
        if then == "skip":
            return Outcome(answer, ticket.policy, failure=first, retries=retries)
        name = then.removeprefix("rule ")
        if then != "abort":
            stand_in = self._ask(name, [ticket.request])[0]
            if stand_in.ok:
                return Outcome(stand_in, name, failure=first, retries=retries)
            answer = stand_in
        raise DecisionFailed(
            f"question {ticket.request.question.id!r}: {answer.status} from policy "
            f"{name if then != 'abort' else ticket.policy!r}: {answer.detail or 'no detail'}. "
            "Declare failures = 'skip', 'retry N' or 'rule NAME' in the scenario to go on",
            request=ticket.request,
            status=answer.status,
            policy=ticket.policy,
        )


def _tried_again(request: Request, attempt: int) -> Request:
    """A text is tried under the number of the attempt, hence another seed."""
    return request if request.seed is None else replace(request, attempt=attempt)


def check_answer(name: str, request: Request, answer: Answer) -> None:
    """Refuse an answer that says `ok` and is no answer to this request."""
    if answer.status is not Status.OK:
        return
    options = request.question.options
    if options is None:
        good, expected = answer.text is not None, "a text"
    else:
        scores = answer.scores or ()
        good = len(scores) == len(options) and -math.inf < max(scores) < math.inf
        good = good and not any(map(math.isnan, scores))
        expected = f"{len(options)} log-scores, none nan, one finite"
    if not good:
        raise PolicyError(
            f"policy {name!r} answered question {request.question.id!r} with {answer}, "
            f"expected {expected}",
            policy=name,
        )
