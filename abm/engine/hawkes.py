"""Hawkes clocks: acting makes acting likelier, and so does what others do; days have a rhythm.

The intensity of an agent is

    lambda(t) = mu c(t) + sum over its events t_k <= t of  w_k beta exp(-beta (t - t_k))

with base rate mu, circadian profile c of mean 1, decay beta, and weight w_k: the expected number of
actions that an event sets off directly (the branching ratio n for the agent's own actions). Times
are drawn by thinning (Ogata 1981, IEEE Transactions on Information Theory 27).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from abm.engine.clocks import Rate, exponential, rate_of
from abm.engine.decision import word_of
from abm.engine.rounds import Action, Activation
from abm.errors import EngineError, require
from abm.rng import uniform

if TYPE_CHECKING:
    from abm.engine.model import Model

__all__ = ["Circadian", "HawkesClocks"]


class Circadian:
    """A daily rhythm: piecewise constant over a period, of mean 1.

    Parameters
    ----------
    weights
        Relative activity in equal parts of the period, such as 24 hours; >= 0, not all 0.
    period
        Length of the period in the model's unit of time, > 0.

    Examples
    --------
    >>> night_and_day = Circadian([0, 1], period=1.0)
    >>> night_and_day(0.25), night_and_day(3.75), night_and_day.peak
    (0.0, 2.0, 2.0)
    """

    def __init__(self, weights: Sequence[float], period: float = 1.0) -> None:
        values = [float(weight) for weight in weights]
        total = math.fsum(values)
        require(
            bool(values) and min(values) >= 0 and 0 < total < math.inf,
            EngineError,
            f"Circadian weights = {values}, expected numbers >= 0, not all 0",
            argument="weights",
        )
        require(period > 0, EngineError, f"Circadian period = {period!r}, expected > 0")
        self.period = float(period)
        self.levels = tuple(value * len(values) / total for value in values)
        self.peak = max(self.levels)

    def __call__(self, time: float) -> float:
        """The level at a time."""
        part = (time / self.period) % 1.0
        return self.levels[min(int(part * len(self.levels)), len(self.levels) - 1)]


class _Excitation:
    """An agent's excitation `level` at time `since`, and its draws so far."""

    __slots__ = ("draws", "level", "since", "version")

    def __init__(self, now: float) -> None:
        self.level, self.since, self.draws, self.version = 0.0, now, 0, 0

    def decayed(self, now: float, decay: float) -> float:
        self.level *= math.exp(-decay * (now - self.since))
        self.since = now
        return self.level


class HawkesClocks(Activation):
    """Every agent acts at the times of a Hawkes process of its own, and can be excited.

    Parameters
    ----------
    base_rate
        mu: actions per unit of time that nothing sets off, >= 0; may be a function of the agent.
    branching
        n: expected number of further actions that an action sets off directly, in [0, 1).
        The long-run rate is mu / (1 - n).
    decay
        beta: how fast excitation fades, per unit of time, > 0.
    profile
        Circadian profile of the base rate; constant by default.

    Examples
    --------
    >>> import abm
    >>> class Poster(abm.Agent):
    ...     n = 0
    ...     def post(self):
    ...         self.n += 1
    >>> model = abm.Model(seed=1)
    >>> posters = [Poster(model) for _ in range(100)]
    >>> clocks = HawkesClocks(model, Poster, "post", base_rate=1.0, branching=0.5, decay=1.0)
    >>> model.run_until(50)
    >>> 1.8 < sum(poster.n for poster in posters) / 100 / 50 < 2.1
    True
    """

    def __init__(
        self,
        model: Model,
        agents: type | Iterable[Any],
        action: Action,
        *,
        base_rate: Rate,
        branching: float,
        decay: float,
        profile: Circadian | None = None,
        name: str = "hawkes",
    ) -> None:
        super().__init__(model, agents, action, name)
        require(
            0 <= branching < 1,
            EngineError,
            f"branching = {branching!r}, expected 0 <= branching < 1: at 1 and above activity "
            "explodes",
            argument="branching",
            value=branching,
        )
        require(
            0 < decay < math.inf,
            EngineError,
            f"decay = {decay!r}, expected > 0",
            argument="decay",
            value=decay,
        )
        self.base_rate, self.branching, self.decay = base_rate, float(branching), float(decay)
        self.profile = profile or Circadian([1.0])
        self._states: dict[Any, _Excitation] = {}
        for agent in self.members():
            self._add(agent)
        self._on_arrival(self._add)

    def intensity(self, agent: Any) -> float:
        """lambda(now) of an agent."""
        excited = self._states[agent].decayed(self.model.now, self.decay)
        return rate_of(agent, self.base_rate) * self.profile(self.model.now) + excited

    def excite(self, agent: Any, weight: float = 1.0) -> None:
        """An event from outside, such as a message read: sets off `weight` >= 0 actions on average.

        The candidate that was pending is drawn again from now, which memoryless thinning allows.
        """
        require(
            0 <= weight < math.inf,
            EngineError,
            f"excite(weight={weight!r}), expected a finite number >= 0",
            argument="weight",
            value=weight,
        )
        if agent in self._states:
            self._kick(agent, weight)
            self._next(agent)

    def _add(self, agent: Any) -> None:
        self._states[agent] = _Excitation(self.model.now)
        self._next(agent)

    def _kick(self, agent: Any, weight: float) -> None:
        state = self._states[agent]
        state.level = state.decayed(self.model.now, self.decay) + weight * self.decay

    def _next(self, agent: Any) -> None:
        """Draw the next candidate under a bound that holds from now on."""
        state, now = self._states[agent], self.model.now
        base = rate_of(agent, self.base_rate)
        bound = base * self.profile.peak + state.decayed(now, self.decay)
        state.version += 1
        version = state.version
        gap = exponential(self._uniform(agent, 2 * state.draws), bound)
        accept = self._uniform(agent, 2 * state.draws + 1) * bound
        state.draws += 1
        if gap < math.inf:
            self.model.env.call_at(now + gap, lambda _: self._candidate(agent, version, accept))

    def _candidate(self, agent: Any, version: int, accept: float) -> None:
        state = self._states.get(agent)
        if state is None or state.version != version or self.stopped:
            return
        if agent not in self.model.agents:
            del self._states[agent]
            return
        if accept < self.intensity(agent):
            self._kick(agent, self.branching)
            self.perform(agent)
        if state.version == version and agent in self._states:
            self._next(agent)

    def _uniform(self, agent: Any, number: int) -> float:
        return uniform(self.model.chance_seed, f"hawkes:{self.name}", word_of(agent), number)
