"""Permutation averaging: the same question with its options listed in several orders.

A language model prefers what is listed first or last. Asking with the list in several orders and
averaging the distributions removes that preference. The average is taken after the ledger: every
order is a request of its own, asked once and shared like any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from abm.errors import PolicyError, require
from abm.policies.base import Policy
from abm.policies.coverage import DEFAULT_FLOOR
from abm.questions import Answer, Request, Value, distribution

__all__ = ["PermutationAverage"]


class PermutationAverage:
    """Averages a policy's answers over orders of the listed options.

    Parameters
    ----------
    policy
        Who is asked; for a study, what is already recorded.
    field
        Name of the field that lists the options: a tuple of texts, shown one per line. Requests
        without it, and texts, pass unchanged.
    orders
        `cyclic` (every option comes first once), `reversed` (as declared, and backwards), or
        permutations of 0..n-1.

    Notes
    -----
    Scores keep the declared order of the options whatever the list shows. The coverage is the least
    of all orders, and an order that fails makes the answer fail with its status. The cost is that
    of all orders.

    Examples
    --------
    >>> from abm.policies import RulePolicy
    >>> from abm.questions import Question
    >>> ban = Question("ban", 1, "{listed}", ("yes", "no"))
    >>> def first(fields, options):
    ...     return [[0.9 if o == row[0] else 0.1 for o in options] for row in fields["listed"]]
    >>> fair = PermutationAverage(RulePolicy(first, returns="probabilities"), "listed")
    >>> answer = fair.answer([ban.request({"listed": ("yes", "no")})])[0]
    >>> distribution(answer.scores).round(6).tolist()
    [0.5, 0.5]
    """

    def __init__(
        self, policy: Policy, field: str, orders: str | Sequence[Sequence[int]] = "cyclic"
    ) -> None:
        named = isinstance(orders, str)
        require(
            not named or orders in ("cyclic", "reversed"),
            PolicyError,
            f"orders = {orders!r}, expected 'cyclic', 'reversed' or permutations",
        )
        self.inner, self.field = policy, field
        self.orders: str | tuple[tuple[int, ...], ...] = (
            orders if isinstance(orders, str) else tuple(tuple(map(int, o)) for o in orders)
        )
        self.recorded = policy.recorded
        self.coverage_floor: float = getattr(policy, "coverage_floor", DEFAULT_FLOOR)

    @property
    def fingerprint(self) -> str:
        return f"permuted({self.inner.fingerprint},{self.field},{self.orders})"

    def __repr__(self) -> str:
        return f"PermutationAverage({self.inner!r}, {self.field!r}, {self.orders!r})"

    def answer(self, requests: Sequence[Request]) -> list[Answer]:
        """One answer per request, in order."""
        return self._average(requests, self.inner)

    def peek(self, requests: Sequence[Request]) -> list[Answer]:
        """Answers that leave no trace."""
        return self._average(requests, _Peek(self.inner))

    def as_sent(self, request: Request) -> tuple[str, tuple[int, ...]] | None:
        """The prompt of the first order, exactly as sent."""
        sent = getattr(self.inner, "as_sent", None)
        return None if sent is None else sent(self.variants(request)[0])

    def variants(self, request: Request) -> list[Request]:
        """The requests that are asked in place of this one."""
        fields = dict(request.fields)
        listed = fields.get(self.field)
        if request.question.options is None or not isinstance(listed, tuple):
            return [request]
        return [
            replace(request, fields=_with(request, self.field, tuple(listed[i] for i in order)))
            for order in self._permutations(len(listed))
        ]

    def _permutations(self, n: int) -> list[tuple[int, ...]]:
        if self.orders == "cyclic":
            return [tuple((first + i) % n for i in range(n)) for first in range(n)]
        if self.orders == "reversed":
            return [tuple(range(n)), tuple(reversed(range(n)))]
        made = [] if isinstance(self.orders, str) else list(self.orders)
        require(
            bool(made) and all(sorted(order) == list(range(n)) for order in made),
            PolicyError,
            f"orders = {self.orders}, expected permutations of 0..{n - 1}, as the field "
            f"{self.field!r} lists {n} options",
        )
        return made

    def _average(self, requests: Sequence[Request], policy: Policy | _Peek) -> list[Answer]:
        groups = [self.variants(request) for request in requests]
        answers = list(policy.answer([variant for group in groups for variant in group]))
        averaged, start = [], 0
        for group in groups:
            averaged.append(_mean(answers[start : start + len(group)], self.fingerprint))
            start += len(group)
        return averaged


class _Peek:
    """A policy seen through its `peek`."""

    def __init__(self, policy: Policy) -> None:
        self.answer = getattr(policy, "peek", policy.answer)


def _with(request: Request, name: str, value: Value) -> tuple[tuple[str, Value], ...]:
    return tuple(sorted({**dict(request.fields), name: value}.items()))


def _mean(answers: Sequence[Answer], source: str) -> Answer:
    costs: dict[str, Any] = {
        "tokens_in": sum(answer.tokens_in for answer in answers),
        "tokens_out": sum(answer.tokens_out for answer in answers),
        "source": source,
    }
    lost = next((answer for answer in answers if answer.scores is None), None)
    if lost is not None or len(answers) == 1:
        return replace(lost or answers[0], **costs)
    mean = np.zeros(len(answers[0].scores or ()))
    for answer in answers:
        mean = mean + distribution(answer.scores or ()) / len(answers)
    with np.errstate(divide="ignore"):
        scores = tuple(np.log(mean).tolist())
    known = [answer.coverage for answer in answers if answer.coverage is not None]
    failed = next((answer for answer in answers if not answer.ok), answers[0])
    return replace(failed, scores=scores, coverage=min(known, default=None), **costs)
