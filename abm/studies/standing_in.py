"""A dry run's answerer: the rule twin answers, and what a language model would cost is counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import ceil
from typing import Any

from abm.policies.base import Policy
from abm.policies.router import text_cost
from abm.questions import Answer, Request

__all__ = ["Costs", "StandIn"]


class Costs:
    """Notional tokens of requests: by the model's own tokenizer where there is one.

    Parameters
    ----------
    policy
        The language model's policy, or `None` where it is not at hand.
    thoughts
        Most tokens that are thought before a choice, where the policy does not say.
    draws
        Answers drawn for a choice by a server that gives no probabilities; 0 where they are scored.

    Attributes
    ----------
    source
        In words, where the numbers come from.

    Examples
    --------
    >>> from abm.questions import Question
    >>> ban = Question("ban", 1, "Ban cars? ", ("yes", "no"))
    >>> Costs(None).prompt(ban.request({})), Costs(None).answer(ban.request({}))
    (3, 4)
    """

    def __init__(self, policy: Any, *, thoughts: int = 0, draws: int = 0) -> None:
        self._sent = getattr(policy, "as_sent", None)
        self._thoughts = int(getattr(policy, "budget", thoughts))  # of a `ReasoningPolicy`
        self._draws = draws
        self.source = (
            "the model's own tokenizer" if self._sent else "estimate: one token per four bytes"
        )

    def prompt(self, request: Request) -> int:
        """Tokens of the prompt; with thoughts, of that for them and of that after them."""
        once = self._once(request)
        twice = self._thoughts and request.question.text is None
        return 2 * once + self._thoughts if twice else once

    def _once(self, request: Request) -> int:
        if self._sent is not None:
            sent = self._sent(request)
            if sent is not None:
                return len(sent[1])
        text = request.question.text
        return text_cost(request) - (text.max_tokens if text else 0)

    def answer(self, request: Request) -> int:
        """Tokens of thoughts and of what follows, or the most of a text.

        What follows are all options with the ends of their turns, or as many draws of the longest.
        """
        text = request.question.text
        if text is not None:
            return text.max_tokens
        each = [ceil(len(o.encode()) / 4) + 1 for o in request.question.options or ()]
        drawn = self._draws * max(each, default=0)
        return self._thoughts + (drawn if self._draws else sum(each))


class StandIn:
    """Answers like the rule twin, and is recorded and priced like a language model.

    Parameters
    ----------
    twin
        The rule twin of the role.
    fingerprint
        Tells the stand-ins of one dry run apart.
    costs
        What requests would cost.
    coverage_floor
        As in the study; a rule covers its menu, so nothing falls below it.
    """

    recorded = True
    live = False

    def __init__(self, twin: Policy, fingerprint: str, costs: Costs, coverage_floor: float) -> None:
        self.twin, self.fingerprint, self.costs = twin, fingerprint, costs
        self.coverage_floor = coverage_floor

    def answer(self, requests: Sequence[Request]) -> list[Answer]:
        """The twin's answers with a language model's costs."""
        return [
            replace(
                answer,
                tokens_in=self.costs.prompt(request),
                tokens_out=self.costs.answer(request),
                source=self.fingerprint,
            )
            for request, answer in zip(requests, self.twin.answer(requests), strict=True)
        ]
