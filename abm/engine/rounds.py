"""Activation in rounds: everybody acts in every step, in a fixed or in a random order."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from simpy.events import Event

from abm.engine.decision import word_of
from abm.engine.environment import HIGH, URGENT
from abm.errors import EngineError, require
from abm.rng import uniforms

if TYPE_CHECKING:
    from abm.engine.model import Model

__all__ = ["Action", "Activation", "FixedStep", "RandomSequential"]

Action = str | Callable[[Any], Any]


class Activation:
    """What the regimes share: whose turn it can be, and what acting is.

    Parameters
    ----------
    model
        The model.
    agents
        A class: all its agents, those born later included. Or an agent set or list: these only.
    action
        Name of a method, or a function of the agent. If it returns a generator, that runs as a
        process of the agent.
    name
        Purpose of the draws; two regimes of one model that draw need different names.
    """

    def __init__(
        self, model: Model, agents: type | Iterable[Any], action: Action, name: str
    ) -> None:
        self.model, self.action, self.name = model, action, name
        self.stopped = False
        self._kind = agents if isinstance(agents, type) else None
        self._listed = [] if isinstance(agents, type) else list(agents)
        kinds = [agents] if isinstance(agents, type) else [type(agent) for agent in self._listed]
        model._activated.update(dict.fromkeys(kinds))

    def stop(self) -> None:
        """Nobody is activated by this regime any more."""
        self.stopped = True

    def members(self) -> list[Any]:
        """The agents whose turn it can be, in order of creation or as listed."""
        if self._kind is not None:
            return [agent for agent in self.model.agents if isinstance(agent, self._kind)]
        return [agent for agent in self._listed if agent in self.model.agents]

    def perform(self, agent: Any) -> Any:
        """Let an agent act."""
        self.model.desk.acted.add(type(agent))
        action = self.action
        done = getattr(agent, action)() if isinstance(action, str) else action(agent)
        if hasattr(done, "throw"):
            self.model.process(done, agent=agent)
            return None
        return done

    def _on_arrival(self, add: Callable[[Any], None]) -> None:
        """Call `add(agent)` for every agent of the class born later, once it is complete."""

        def arrived(agent: Any) -> None:
            if self._kind is not None and isinstance(agent, self._kind) and not self.stopped:
                self.model.env.call_at(self.model.now, lambda _: add(agent), URGENT)

        self.model._arrivals.append(arrived)


class FixedStep(Activation):
    """Everybody acts in every step, in order of creation.

    Parameters
    ----------
    every
        Length of a step, > 0.
    start
        Time of the first round; `every` from now by default. Rounds come where `Model.step` does:
        first in their instant.

    Examples
    --------
    >>> import abm
    >>> class Walker(abm.Agent):
    ...     x = 0
    ...     def step(self):
    ...         self.x += 1
    >>> model = abm.Model(seed=1)
    >>> walkers = [Walker(model) for _ in range(3)]
    >>> rounds = FixedStep(model, Walker, every=0.5)
    >>> model.run_until(2)
    >>> [walker.x for walker in walkers]
    [4, 4, 4]
    """

    def __init__(
        self,
        model: Model,
        agents: type | Iterable[Any],
        action: Action = "step",
        *,
        every: float = 1.0,
        start: float | None = None,
        name: str = "step",
    ) -> None:
        super().__init__(model, agents, action, name)
        require(
            0 < every < math.inf,
            EngineError,
            f"every = {every!r}, expected a duration > 0",
            argument="every",
            value=every,
        )
        self.every, self.rounds = every, 0
        self._start = model.now + every if start is None else start
        model.env.call_at(self._start, self._round, HIGH)

    def order(self, members: list[Any]) -> list[Any]:
        """The order of this round."""
        return members

    def _round(self, _: Event) -> None:
        if self.stopped:
            return
        for agent in self.order(self.members()):
            if agent in self.model.agents:
                self.perform(agent)
        self.rounds += 1
        self.model.env.call_at(self._start + self.rounds * self.every, self._round, HIGH)


class RandomSequential(FixedStep):
    """Everybody acts once in every step, in an order drawn anew, one at a time.

    An agent sees what those before it did. With `agent.ask` in its step, one agent is asked at a
    time. Each agent's place comes from its own uniform, so that an extra agent leaves the order of
    the others as it is.
    """

    def order(self, members: list[Any]) -> list[Any]:
        """Sorted by each agent's uniform for this round."""
        words = np.array([word_of(agent) for agent in members], dtype=np.uint64)
        purpose = f"activation:{self.name}"
        places = uniforms(self.model.chance_seed, purpose, words, self.rounds)
        return [members[i] for i in np.argsort(places, kind="stable")]
