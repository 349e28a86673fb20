"""Activation by events: a Poisson clock per agent, or a table of everybody's next event."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any

import numpy as np

from abm.engine.decision import word_of
from abm.engine.rounds import Action, Activation
from abm.errors import EngineError, require
from abm.rng import uniform, uniforms

if TYPE_CHECKING:
    from abm.engine.model import Model

__all__ = ["NextEvents", "PoissonClocks", "Rate", "exponential", "rate_of"]

Rate = float | Callable[[Any], float]


class PoissonClocks(Activation):
    """Every agent acts at the times of a Poisson process of its own.

    Parameters
    ----------
    rate
        Expected actions per unit of time, >= 0 and finite; a function of the agent is evaluated
        whenever its next time is drawn. At rate 0 an agent never acts again.

    Notes
    -----
    The k-th gap of an agent is -log(1 - u) / rate with u = uniform(seed, "clock:NAME", key, k).

    Examples
    --------
    >>> import abm
    >>> class Reader(abm.Agent):
    ...     n = 0
    ...     def read(self):
    ...         self.n += 1
    >>> model = abm.Model(seed=1)
    >>> readers = [Reader(model) for _ in range(200)]
    >>> clocks = PoissonClocks(model, Reader, "read", rate=2.0)
    >>> model.run_until(50)
    >>> 98 < sum(reader.n for reader in readers) / 200 < 102
    True
    """

    def __init__(
        self,
        model: Model,
        agents: type | Iterable[Any],
        action: Action,
        *,
        rate: Rate,
        name: str = "poisson",
    ) -> None:
        super().__init__(model, agents, action, name)
        self.rate = rate
        self._drawn: dict[Any, int] = {}
        members = self.members()
        words = np.array([word_of(agent) for agent in members], dtype=np.uint64)
        first = uniforms(model.chance_seed, self._purpose, words).tolist()
        for agent, draw in zip(members, first, strict=True):
            self._schedule(agent, draw)
        self._on_arrival(self._next)

    @property
    def _purpose(self) -> str:
        return f"clock:{self.name}"

    def _next(self, agent: Any) -> None:
        number = self._drawn.get(agent, 0)
        draw = uniform(self.model.chance_seed, self._purpose, word_of(agent), number)
        self._schedule(agent, draw)

    def _schedule(self, agent: Any, draw: float) -> None:
        self._drawn[agent] = self._drawn.get(agent, 0) + 1
        gap = exponential(draw, rate_of(agent, self.rate))
        if gap < math.inf:
            self.model.env.call_at(self.model.now + gap, lambda _: self._ring(agent))

    def _ring(self, agent: Any) -> None:
        if self.stopped or agent not in self.model.agents:
            self._drawn.pop(agent, None)
            return
        self.perform(agent)
        self._next(agent)


class NextEvents:
    """A table of everybody's next event, with one event in the model's queue.

    For agents that know their next time: a million rows of a table need not be a million events.
    Ties are broken by the order in which times were set.

    Parameters
    ----------
    model
        The model.
    action
        Called with whoever's time has come; returns the absolute time of its next event, or `None`.

    Examples
    --------
    >>> import abm
    >>> model = abm.Model(seed=1)
    >>> seen = []
    >>> def ring(row):
    ...     seen.append((model.now, row))
    ...     return model.now + 2 if row == 0 else None
    >>> table = NextEvents(model, ring)
    >>> table.set(0, 1.0)
    >>> table.set(7, 1.5)
    >>> model.run_until(4)
    >>> seen
    [(1.0, 0), (1.5, 7), (3.0, 0)]
    """

    def __init__(self, model: Model, action: Callable[[Any], float | None]) -> None:
        self.model, self.action = model, action
        self._heap: list[tuple[float, int, Any]] = []
        self._current: dict[Hashable, tuple[float, int]] = {}
        self._number = 0
        self._wake = math.inf

    def set(self, who: Hashable, time: float) -> None:
        """Set the next event of `who` to an absolute time; replaces the one it had."""
        require(
            time >= self.model.now,
            EngineError,
            f"next event of {who!r} at {time!r}: the clock stands at {self.model.now:g}",
            argument="time",
            value=time,
        )
        self._number += 1
        self._current[who] = (time, self._number)
        heappush(self._heap, (time, self._number, who))
        self._wake_at(time)

    def cancel(self, who: Hashable) -> None:
        """`who` has no next event any more."""
        self._current.pop(who, None)

    def next_time(self, who: Hashable) -> float:
        """Time of the next event of `who`; infinity if there is none."""
        return self._current.get(who, (math.inf, 0))[0]

    def _wake_at(self, time: float) -> None:
        if time < self._wake:
            self._wake = time
            self.model.env.call_at(time, self._due)

    def _due(self, _: Any) -> None:
        if self._wake != self.model.now:
            return  # something earlier was set after this call was scheduled, and came before it
        self._wake = math.inf
        while self._heap and self._heap[0][0] <= self.model.now:
            time, number, who = heappop(self._heap)
            if self._current.get(who) == (time, number):
                del self._current[who]
                following = self.action(who)
                if following is not None:
                    self.set(who, following)
        if self._heap:
            self._wake_at(self._heap[0][0])


def exponential(draw: float, rate: float) -> float:
    """An exponential gap from a uniform in [0, 1); infinite at rate 0.

    Examples
    --------
    >>> exponential(0.0, 2.0), exponential(0.5, 0.0)
    (0.0, inf)
    """
    return -math.log1p(-draw) / rate if rate > 0 else math.inf


def rate_of(agent: Any, rate: Rate) -> float:
    """The rate of an agent, checked."""
    value = float(rate(agent)) if callable(rate) else float(rate)
    require(
        0 <= value < math.inf,
        EngineError,
        f"rate = {value!r} of agent {agent.unique_id}, expected a finite rate >= 0",
        argument="rate",
        value=value,
    )
    return value
