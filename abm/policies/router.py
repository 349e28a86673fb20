"""A router: the dear policy where a trigger fires and the budget allows, else the cheap one.

Everything that has state (what an agent was asked before, what was seen, what was spent) is
updated request by request, in the order in which requests are raised. So a decision of the router
depends on nothing but that order: not on batches, and not on what a cache happened to save. Costs
are notional: what a request costs when nothing is cached.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from abm.errors import PolicyError, require
from abm.questions import Request
from abm.rng import agent_key as as_word

__all__ = ["Every", "Novel", "Router", "Trigger", "When", "text_cost"]


class Trigger(Protocol):
    """Whether a request deserves the dear policy. May keep state; called once per request."""

    def fires(self, agent_key: int, request: Request, time: float) -> bool: ...


class Every:
    """The first request of an agent and question in every period.

    Parameters
    ----------
    period
        Length in simulated time, > 0. Periods are [0, period), [period, 2 period), ...

    Examples
    --------
    >>> from abm.questions import Question
    >>> request = Question("q", 1, "?", ("a", "b")).request({})
    >>> weekly = Every(7.0)
    >>> [weekly.fires(1, request, t) for t in (0.0, 3.0, 7.0, 7.5)]
    [True, False, True, False]
    """

    def __init__(self, period: float) -> None:
        require(period > 0, PolicyError, f"Every(period={period}), expected period > 0")
        self.period = float(period)
        self._last: dict[tuple[int, str], int] = {}

    def fires(self, agent_key: int, request: Request, time: float) -> bool:
        number = math.floor(time / self.period)
        place = (agent_key, request.question.id)
        if self._last.get(place) == number:
            return False
        self._last[place] = number
        return True


class When:
    """Requests whose fields satisfy a predicate.

    Examples
    --------
    >>> from abm.questions import Question
    >>> question = Question("q", 1, "{n} friends", ("a", "b"))
    >>> crowd = When(lambda fields: fields["n"] > 5)
    >>> crowd.fires(1, question.request({"n": 9}), 0.0)
    True
    """

    def __init__(self, predicate: Callable[[dict[str, Any]], bool]) -> None:
        self.predicate = predicate

    def fires(self, agent_key: int, request: Request, time: float) -> bool:
        del agent_key, time
        return bool(self.predicate(dict(request.fields)))


class Novel:
    """Requests whose fields were not seen before.

    Parameters
    ----------
    fields
        Names of the fields that count; all of them when empty.
    by_agent
        Whether every agent has its own memory, or all share one.

    Examples
    --------
    >>> from abm.questions import Question
    >>> question = Question("q", 1, "{n} friends", ("a", "b"))
    >>> news = Novel()
    >>> [news.fires(1, question.request({"n": n}), 0.0) for n in (3, 3, 4)]
    [True, False, True]
    """

    def __init__(self, *fields: str, by_agent: bool = False) -> None:
        self.fields, self.by_agent = fields, by_agent
        self._seen: set[Any] = set()

    def fires(self, agent_key: int, request: Request, time: float) -> bool:
        del time
        values = tuple(pair for pair in request.fields if not self.fields or pair[0] in self.fields)
        sight = (agent_key if self.by_agent else None, request.question.id, values)
        if sight in self._seen:
            return False
        self._seen.add(sight)
        return True


def text_cost(request: Request) -> int:
    """A notional cost in tokens that needs no tokenizer: a token per four bytes of the prompt.

    A text adds the most tokens that it may have.

    Examples
    --------
    >>> from abm.questions import Question
    >>> text_cost(Question("q", 1, "12345678", ("a", "b")).request({}))
    2
    """
    text = request.question.text
    prompt = len(request.prompt.text.encode("utf-8", "surrogatepass"))
    return math.ceil(prompt / 4) + (text.max_tokens if text else 0)


class Router:
    """Sends a request to the dear policy when a trigger fires and the budget allows it.

    Parameters
    ----------
    cheap, dear
        Names of policies.
    triggers
        Any one that fires suffices. All are asked every time, so that their memories do not
        depend on each other.
    max_tokens, max_decisions
        Budget of the run in notional tokens and in requests; infinite by default. A request that
        would exceed it goes to the cheap policy.
    cost
        Notional tokens of a request; a function of the request alone. `text_cost` by default;
        `LLMPolicy.prompt_tokens` counts with the model's own tokenizer.

    Attributes
    ----------
    spent_tokens, spent_decisions, refused
        What was spent, and how many requests a trigger wanted and the budget refused.

    Raises
    ------
    PolicyError
        Time runs backwards: a router belongs to one run. Use `fresh()` for the next.

    Examples
    --------
    >>> from abm.questions import Question
    >>> question = Question("q", 1, "{n} friends", ("a", "b"))
    >>> router = Router("rule", "llm", [Novel()], max_decisions=2)
    >>> [router.policy_for(1, question.request({"n": n}), 0.0) for n in (1, 1, 2, 3)]
    ['llm', 'rule', 'llm', 'rule']
    >>> router.refused
    1
    """

    def __init__(
        self,
        cheap: str,
        dear: str,
        triggers: Sequence[Trigger],
        *,
        max_tokens: float = math.inf,
        max_decisions: float = math.inf,
        cost: Callable[[Request], int] = text_cost,
    ) -> None:
        require(bool(triggers), PolicyError, "Router needs at least one trigger, such as Every(7)")
        for name, value in (("max_tokens", max_tokens), ("max_decisions", max_decisions)):
            require(value >= 0, PolicyError, f"Router {name} = {value}, expected >= 0")
        self.cheap, self.dear, self.cost = cheap, dear, cost
        self.triggers = list(triggers)
        self.max_tokens, self.max_decisions = max_tokens, max_decisions
        self.spent_tokens, self.spent_decisions, self.refused = 0, 0, 0
        self._time = -math.inf
        self._unused: list[Trigger] = copy.deepcopy(self.triggers)

    def policy_for(
        self, agent_key: int | str, request: Request, time: float, *, agent: Any = None
    ) -> str:
        """Name of the policy of this request; remembers it."""
        del agent
        require(
            time >= self._time,
            PolicyError,
            f"Router was asked at time {time} after time {self._time}: it belongs to another run. "
            "Give every run router.fresh()",
        )
        self._time = time
        word = as_word(agent_key)
        fired = [trigger.fires(word, request, time) for trigger in self.triggers]
        if not any(fired):
            return self.cheap
        cost = self.cost(request)
        if (
            self.spent_decisions + 1 > self.max_decisions
            or self.spent_tokens + cost > self.max_tokens
        ):
            self.refused += 1
            return self.cheap
        self.spent_decisions += 1
        self.spent_tokens += cost
        return self.dear

    def peek(
        self, agent_key: int | str, request: Request, time: float, *, agent: Any = None
    ) -> str:
        """What `policy_for` would say, without a change of state."""
        trial = copy.copy(self)
        trial.triggers = copy.deepcopy(self.triggers)
        return trial.policy_for(agent_key, request, max(time, self._time), agent=agent)

    def fresh(self) -> Router:
        """A router of the same declaration that has seen and spent nothing."""
        return Router(
            self.cheap,
            self.dear,
            copy.deepcopy(self._unused),
            max_tokens=self.max_tokens,
            max_decisions=self.max_decisions,
            cost=self.cost,
        )
