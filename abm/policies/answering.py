"""From raised requests to outcomes: asked once, checked, and with failures handled as declared.

`Answerer` stands between whoever raises decisions (the desk of the engine, `population.ask`) and
the policies. It groups tickets by policy, asks each distinct request once per batch, checks the
shape of what comes back, and applies the declared handling to failures.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from abm.errors import DecisionFailed, PolicyError, ScenarioError, require
from abm.policies.base import Policy
from abm.questions import Answer, Request, Status

__all__ = ["Answerer", "FailureHandling", "Outcome", "Skipped", "Ticket", "check_answer"]


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

    def __post_init__(self) -> None:
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

    Raises
    ------
    DecisionFailed
        An answer failed and its handling is `abort`; carries `request`, `status`, `policy`.
    PolicyError
        A ticket names an unknown policy, or a policy returned the wrong number or shape of answers.
    """

    def __init__(
        self, policies: Mapping[str, Policy], failures: FailureHandling | None = None
    ) -> None:
        self.policies = dict(policies)
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
        for name in dict.fromkeys(ticket.policy for ticket in distinct):
            mine = [ticket for ticket in distinct if ticket.policy == name]
            answers = self._ask(name, [ticket.request for ticket in mine])
            for ticket, answer in zip(mine, answers, strict=True):
                try:
                    found[ticket] = self._handle(ticket, answer)
                except DecisionFailed as failure:
                    found[ticket] = failure
        return [found[ticket] for ticket in tickets]

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

    def _handle(self, ticket: Ticket, answer: Answer) -> Outcome:
        if answer.ok:
            return Outcome(answer, ticket.policy)
        first = answer.status
        retries, then = self.failures.action(first)
        request = ticket.request
        for attempt in range(1, retries + 1):
            if request.seed is not None:
                request = replace(request, attempt=attempt)
            answer = self._ask(ticket.policy, [request])[0]
            if answer.ok:
                return Outcome(answer, ticket.policy, failure=first, retries=attempt)
        return self._end(ticket, answer, first, retries, then)

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


def check_answer(name: str, request: Request, answer: Answer) -> None:
    """Refuse an answer that says `ok` and is no answer to this request."""
    if not answer.ok:
        return
    options = request.question.options
    if options is None:
        good, expected = answer.text is not None, "a text"
    else:
        scores = answer.scores or ()
        good = len(scores) == len(options) and not any(map(math.isnan, scores))
        good = good and max(scores) > -math.inf and max(scores) < math.inf
        expected = f"{len(options)} log-scores, none nan, one finite"
    if not good:
        raise PolicyError(
            f"policy {name!r} answered question {request.question.id!r} with {answer}, "
            f"expected {expected}",
            policy=name,
        )
