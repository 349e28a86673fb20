"""A decision: the request that was raised, and the event that carries the choice."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappush
from typing import Any, NoReturn, cast

from simpy.events import Event, EventPriority

from abm.engine.environment import DECISION, NORMAL, Environment
from abm.errors import DecisionFailed, EngineError
from abm.policies.answering import Outcome, Skipped, Ticket
from abm.rng import agent_key

__all__ = ["Decision", "Raised", "key_of", "word_of"]


class Raised:
    """A raised request and what became of it."""

    __slots__ = (
        "agent",
        "answered",
        "error",
        "key",
        "logged",
        "occasion",
        "outcome",
        "ticket",
        "time",
        "value",
        "word",
    )

    def __init__(self, agent: Any, ticket: Ticket, occasion: int, time: float) -> None:
        self.agent, self.ticket, self.occasion, self.time = agent, ticket, occasion, time
        self.key: int | str = key_of(agent)
        self.word = word_of(agent)
        self.outcome: Outcome | None = None
        self.error: DecisionFailed | None = None
        self.value: str | Skipped = ""
        self.answered = self.logged = False


class _Waiters(list[Callable[[Event], None]]):
    """Callbacks that remember whether anybody ever waited."""

    awaited = False

    def append(self, callback: Callable[[Event], None]) -> None:
        self.awaited = True
        super().append(callback)


class Decision(Event):
    """The event that `agent.decide(question)` returns; its value is the choice.

    Attributes
    ----------
    raised
        The request, its agent and its time.
    acts_at
        When it acts.
    """

    def __init__(
        self,
        env: Environment,
        act: Callable[[Event], None],
        raised: Raised,
        deliberation: float,
        depth: int,
    ) -> None:
        self.env = env
        self.raised, self.depth = raised, depth
        self.acts_at = env._now + deliberation
        self.waiters = _Waiters([act])
        self.callbacks = self.waiters
        priority = cast(EventPriority, NORMAL if deliberation > 0 else DECISION)
        heappush(env._queue, (self.acts_at, priority, next(env._eid), self))

    def postpone(self) -> None:
        """Put it back to the head of its instant: the answerer broke off, a later run goes on."""
        self.callbacks = self.waiters
        env = self.env
        heappush(env._queue, (env._now, EventPriority(-1), next(env._eid), self))

    def _desc(self) -> str:
        return f"Decision({self.raised.ticket.request.question.id!r})"

    def succeed(self, value: Any = None) -> NoReturn:
        raise EngineError(
            f"{self} is answered by its policy and cannot be triggered by hand with {value!r}"
        )

    def fail(self, exception: Exception) -> NoReturn:
        self.succeed(exception)

    def trigger(self, event: Event) -> NoReturn:
        self.succeed(event)


def word_of(agent: Any) -> int:
    """The key of an agent as the 64-bit word that `abm.rng` counts with."""
    word = getattr(agent, "_word", None)
    return agent_key(key_of(agent)) if word is None else cast(int, word)


def key_of(agent: Any) -> int | str:
    """Who an agent is, as far as chance is concerned: its key, or the id of a plain Mesa agent."""
    return cast("int | str", getattr(agent, "key", agent.unique_id))
