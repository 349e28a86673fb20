"""Who acts when, by chance: Poisson and Hawkes clocks for cohorts of any size.

The times are those of `abm.engine.activation.PoissonClocks` and `HawkesClocks`, to the bit, for the
same seed, name and keys: agent by agent, from their own chance. So a cohort can take the place of
a million processes, or some agents be taken out of it, and nobody else's times move.

`rule(i, now, state, params)` is what agent i does at its times; a last argument `u` or `rng` brings
chance. If the cohort `surfaces`, the rule returns a code, and others see codes other than 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from abm.errors import EngineError, RuleError, require
from abm.kernels.ahead import Needs, asking_of
from abm.kernels.events import EventCohort, driving
from abm.kernels.guard import Ranges, sound_of
from abm.kernels.rates import profile_of
from abm.kernels.rule import Taken, calling, name_of, taken
from abm.kernels.tools import Tools
from abm.rng import stream_key, uniform_of, uniforms_of

__all__ = ["HawkesCohort", "PoissonCohort"]


class PoissonCohort(EventCohort):
    """Agents that act at the times of Poisson processes of their own.

    Parameters
    ----------
    rule
        See the module's head.
    state, params, surfaces, bounds, queue, compiled
        As in `EventCohort`.
    rate
        Actions per unit of time, >= 0: one for all, or a column of shape (n,), read again whenever
        a next time is drawn, so that the rule may change the rate of who acts. Rates that change
        otherwise act from the next time on, unless `redraw` is told; at rate 0 that is never.
    keys
        Whose chance is whose: `population.keys`; row numbers if `None`.
    seed, name
        Seed of the chance (`model.chance_seed`), and the name of the clocks.
    n
        Number of agents; the length of the first array of the state if `None`.

    Raises
    ------
    RuleError
        A negative or infinite rate, or nan; names agent and time.

    Examples
    --------
    >>> def read(i, now, state, p):
    ...     state[0][i] += 1
    >>> n_read = np.zeros(200, dtype=np.int64)
    >>> cohort = PoissonCohort(read, (n_read,), rate=2.0, seed=1)
    >>> cohort.advance(50.0) - int(n_read.sum()), bool(98 < n_read.mean() < 102)
    (0, True)
    """

    keyed = True
    """Births bring keys."""
    _driver = "poisson"

    def __init__(
        self,
        rule: Callable[..., Any],
        state: tuple[NDArray[Any], ...],
        params: tuple[Any, ...] = (),
        *,
        rate: float | NDArray[Any],
        seed: int,
        keys: ArrayLike | None = None,
        name: str = "poisson",
        n: int | None = None,
        start: float = 0.0,
        surfaces: bool = False,
        bounds: Ranges | None = None,
        queue: str = "auto",
        compiled: bool | None = None,
    ) -> None:
        self._set_up(seed, f"clock:{name}", keys, len(state[0]) if n is None else n)
        self._set_rate(rate)
        super().__init__(
            rule, state, np.full(len(self._keys), math.inf), params,
            rng=np.random.default_rng([stream_key(seed, f"rule:{name}") >> 1]),
            start=start, surfaces=surfaces, bounds=bounds, queue=queue, compiled=compiled,
        )  # fmt: skip
        self._taken = taken(rule, ("i", "now", "state", "params"))
        self._begin()

    def _set_up(self, seed: int, purpose: str, keys: ArrayLike | None, n: int) -> None:
        words = np.arange(n, dtype=np.uint64) if keys is None else np.array(keys, dtype=np.uint64)
        require(words.shape == (n,), EngineError, f"keys has shape {words.shape}, expected ({n},)")
        self._keys, self._stream = words, np.uint64(stream_key(seed, purpose))
        # What belongs to each agent's clock: times drawn so far.
        self._own: tuple[NDArray[Any], ...] = (np.zeros(n, dtype=np.int64),)

    def _set_rate(self, rate: float | NDArray[Any]) -> None:
        given = np.asarray(rate)
        rates = given if given.ndim else np.full(1, float(rate))
        wrong = np.flatnonzero(~((rates >= 0) & (rates < math.inf)))
        require(
            rates.size in (1, len(self._keys)) and wrong.size == 0,
            EngineError,
            f"rate: expected finite numbers >= 0, one or {len(self._keys)}"
            + (f"; agent {wrong[0]} has {rates[wrong[0]]}" if wrong.size else ""),
            argument="rate",
        )
        self._rates = rates

    def resize(  # type: ignore[override]  # newcomers need keys, which draw their first events
        self,
        arrays: tuple[NDArray[Any], ...],
        kept: NDArray[np.int64],
        *,
        keys: ArrayLike,
    ) -> None:
        """Go on with other rows: those who stay keep their clocks, newcomers start theirs.

        Parameters
        ----------
        keys
            Everybody's keys as they now are.
        """
        if self._rates.size > 1:
            places = [k for k, array in enumerate(self.arrays) if array is self._rates]
            require(
                bool(places),
                EngineError,
                "rates that are a column must be part of the state to follow births and deaths",
            )
            self._rates = arrays[places[0]]
        self._own = tuple(_moved(own, kept, len(arrays[0])) for own in self._own)
        super().resize(arrays, kept)
        self._keys = np.array(keys, dtype=np.uint64)
        if self._rates.size > 1:
            self._set_rate(self._rates)  # newcomers brought theirs
        self._begin(kept.size)

    def redraw(self, rows: ArrayLike | None = None) -> None:
        """Let rates that somebody else has changed act from now on; advance to now first.

        A next time is drawn when an agent has acted, at the rate that it has then. Clocks without
        memory may be drawn anew at any time, so that this is exact. Whoever is not named keeps its
        next time.

        Parameters
        ----------
        rows
            Whose rates changed; all if `None`.

        Raises
        ------
        EngineError
            A rate that is negative, infinite or nan, or a row of nobody.

        Examples
        --------
        >>> def act(i, now, state, p):
        ...     state[0][i] += 1
        >>> acts, rates = np.zeros(100, dtype=np.int64), np.zeros(100)
        >>> cohort = PoissonCohort(act, (acts, rates), rate=rates, seed=1)
        >>> cohort.advance(5.0)
        0
        >>> rates[:50] = 2.0
        >>> cohort.redraw(np.arange(50))
        >>> _ = cohort.advance(15.0)
        >>> bool(18 < acts[:50].mean() < 22), int(acts[50:].sum())
        (True, 0)
        """
        self._set_rate(self._rates)
        whom = np.arange(self.n) if rows is None else np.atleast_1d(np.asarray(rows))
        self.cancel(whom)
        self.schedule(whom, [self._candidate(row) for row in whom.tolist()])

    def _begin(self, first: int = 0) -> None:
        """Draw the first times of all from a row on: `_candidate`, many at once."""
        draws = self._own[0]
        u = uniforms_of(int(self._stream), self._keys[first:], draws[first:])
        draws[first:] += 1
        self._due[first:] = self.time + _gaps(u, self._bases(first))

    def _bases(self, first: int) -> NDArray[np.float64]:
        """Base rates from a row on."""
        column = self._rates[first:] if self._rates.size > 1 else self._rates
        return np.broadcast_to(column.astype(np.float64), len(self._keys) - first)

    def _base(self, row: int) -> float:
        return float(self._rates[row if self._rates.size > 1 else 0])

    def _candidate(self, row: int) -> float:
        """Draw an agent's next time."""
        draws, rate = self._own[0], self._base(row)
        u = uniform_of(int(self._stream), int(self._keys[row]), int(draws[row]))
        draws[row] += 1
        return self.time + (-math.log1p(-u) / rate if rate > 0 else math.inf)

    @property
    def _assembled(self) -> Any:
        return _assemble_poisson

    def _inner(self) -> tuple[Any, ...]:
        clocks = (self._stream, self._keys, self._own[0], self._rates)
        return (clocks, self.state), self.params

    def _check(self, told: NDArray[np.float64]) -> None:
        if told[0] == 1:
            i, time = int(told[2]), float(told[1])
            rate = self._base(i)
            raise RuleError(
                f"rule {name_of(self._taken.plain)!r}: the rate of agent {i} at time {time:g} is "
                f"{rate!r}, expected a finite number >= 0",
                agent=i,
                time=time,
                value=rate,
            )
        super()._check(told)


def _gaps(u: NDArray[np.float64], rates: NDArray[np.float64]) -> NDArray[np.float64]:
    """Exponential gaps, with the logarithm of the standard library, which compiled rules use."""
    gaps, some = np.full(u.size, math.inf), rates > 0
    logs = np.fromiter(map(math.log1p, (-u[some]).tolist()), np.float64)
    gaps[some] = -logs / rates[some]
    return gaps


def _moved(own: NDArray[Any], kept: NDArray[np.int64], n: int) -> NDArray[Any]:
    """What belongs to rows, among other rows; newcomers begin with 0."""
    made = np.zeros(n, own.dtype)
    made[: kept.size] = own[kept]
    return made


def _uniform_in(pieces: Tools) -> Callable[..., Any]:
    if not pieces.compiled:
        return lambda stream, key, occasion: uniform_of(int(stream), int(key), int(occasion))
    from abm.kernels.philox import philox_uniform

    return philox_uniform


def _sound_inside(pieces: Tools, places: tuple[int, ...]) -> Callable[..., Any]:
    """Looks at the rule's state, which is the second part of the driver's."""
    sound = sound_of(pieces, places)

    def look(state: Any, ranges: Any, i: Any) -> Any:
        return sound(state[1], ranges, i)

    return pieces.jit(look)  # type: ignore[no-any-return]


def _fetching_inside(pieces: Tools, parts: tuple[tuple[int, Needs], ...]) -> Callable[..., Any]:
    """Fetches rows of columns of several parts of the driver's state: (part, places in it)."""

    def nothing_more(_state: Any, _later: Any, _soon: Any) -> None:
        return

    made = pieces.jit(nothing_more)
    for part, needs in parts:
        made = pieces.jit(_of_part(asking_of(pieces, needs), part, made))
    return made  # type: ignore[no-any-return]


def _of_part(fetch: Callable[..., Any], part: int, rest: Callable[..., Any]) -> Callable[..., Any]:
    def ask(state: Any, later: Any, soon: Any) -> None:
        fetch(state[part], later, soon)
        rest(state, later, soon)

    return ask


def _doing(pieces: Tools, rule: Taken, surfaces: bool) -> Callable[..., Any]:
    """What an agent does, and its code."""
    call = calling(pieces._replace(jit=pieces.inlined), rule)

    def seen(rng: Any, i: Any, now: Any, state: Any, params: Any) -> Any:
        return call(rng, i, now, state, params)

    def unseen(rng: Any, i: Any, now: Any, state: Any, params: Any) -> Any:
        call(rng, i, now, state, params)
        return 0

    return pieces.inlined(seen if surfaces else unseen)  # type: ignore[no-any-return]


def _assemble_poisson(
    pieces: Tools, rule: Taken, surfaces: bool, places: tuple[int, ...], needs: Needs
) -> Callable[..., Any]:
    do, uniform, real = _doing(pieces, rule, surfaces), _uniform_in(pieces), pieces.real
    infinite, wrong = math.inf, math.nan

    def act(_agenda: Any, rng: Any, i: Any, now: Any, state: Any, params: Any) -> Any:
        stream, keys, draws, rates = state[0]
        code = do(rng, i, now, state[1], params)
        u = uniform(stream, keys[i], draws[i])
        draws[i] += 1
        rate = real(rates[i if len(rates) > 1 else 0])
        if rate == 0.0:
            return infinite, code
        if not (0.0 < rate < infinite):
            return wrong, code
        return -math.log1p(-u) / rate, code

    fetch = _fetching_inside(pieces, ((0, Needs((1, 2))), (1, needs)))
    return driving(pieces, pieces.jit(act), _sound_inside(pieces, places), fetch)


class HawkesCohort(PoissonCohort):
    """Agents whose actions make their next ones likelier, with a daily rhythm.

    Parameters
    ----------
    base_rate
        mu: actions per unit of time that nothing sets off; as `rate` in `PoissonCohort`.
    branching
        n: actions that an action sets off directly, on average, in [0, 1).
    decay
        beta: how fast excitation fades, per unit of time, > 0.
    profile
        Circadian profile of the base rate; constant if `None`. With `branching=0` this is a Poisson
        process with a daily rhythm.
    rule, state, params, seed, keys, name, n, start, surfaces, bounds, queue, compiled
        As in `PoissonCohort`.

    Examples
    --------
    >>> def post(i, now, state, p):
    ...     state[0][i] += 1
    >>> posts = np.zeros(100, dtype=np.int64)
    >>> cohort = HawkesCohort(post, (posts,), base_rate=1.0, branching=0.5, decay=1.0, seed=1)
    >>> _ = cohort.advance(50.0)
    >>> bool(1.8 < posts.mean() / 50 < 2.1)
    True
    """

    def __init__(
        self,
        rule: Callable[..., Any],
        state: tuple[NDArray[Any], ...],
        params: tuple[Any, ...] = (),
        *,
        base_rate: float | NDArray[Any],
        branching: float,
        decay: float,
        seed: int,
        profile: Any = None,
        keys: ArrayLike | None = None,
        name: str = "hawkes",
        n: int | None = None,
        start: float = 0.0,
        surfaces: bool = False,
        bounds: Ranges | None = None,
        queue: str = "auto",
        compiled: bool | None = None,
    ) -> None:
        require(0 <= branching < 1, EngineError, f"branching = {branching!r}, expected in [0, 1)")
        require(0 < decay < math.inf, EngineError, f"decay = {decay!r}, expected > 0")
        self._numbers = (float(branching), float(decay))
        self._rhythm = profile_of(profile)
        self._hawkes = f"hawkes:{name}"
        super().__init__(
            rule, state, params, rate=base_rate, seed=seed, keys=keys, name=name, n=n, start=start,
            surfaces=surfaces, bounds=bounds, queue=queue, compiled=compiled,
        )  # fmt: skip

    _driver = "hawkes"

    def intensity(self, row: int) -> float:
        """lambda of an agent at the time reached."""
        levels, period, _ = self._rhythm
        base = self._base(row) * float(_level_at(self.time, levels, period))
        return base + self._decayed(row)

    def excite(self, rows: ArrayLike, weight: float = 1.0) -> None:
        """An event from outside, now: sets off `weight` >= 0 actions of each agent on average."""
        require(0 <= weight < math.inf, EngineError, f"excite(weight={weight!r}), expected >= 0")
        for row in np.atleast_1d(np.asarray(rows)).tolist():
            self._own[1][row] = self._decayed(row) + weight * self._numbers[1]
            self._own[2][row] = self.time
            self.schedule(row, self._candidate(row))

    def _set_up(self, seed: int, purpose: str, keys: ArrayLike | None, n: int) -> None:  # noqa: ARG002
        super()._set_up(seed, self._hawkes, keys, n)
        # And for excitation: its level, since when, and what the next candidate must meet.
        self._own = (*self._own, np.zeros(n), np.zeros(n), np.zeros(n))

    def _begin(self, first: int = 0) -> None:
        draws, _, since, accept = self._own
        since[first:] = self.time
        bounds = self._bases(first) * self._rhythm[2]  # nobody is excited yet
        keys, twice = self._keys[first:], 2 * draws[first:]
        draws[first:] += 1
        accept[first:] = uniforms_of(int(self._stream), keys, twice + 1) * bounds
        u = uniforms_of(int(self._stream), keys, twice)
        self._due[first:] = self.time + _gaps(u, bounds)

    def _decayed(self, row: int) -> float:
        level, since = float(self._own[1][row]), float(self._own[2][row])
        return level * math.exp(-self._numbers[1] * (self.time - since))

    def _candidate(self, row: int) -> float:
        """Draw an agent's next candidate, under a bound that holds from now on."""
        draws, level, since, accept = self._own
        level[row], since[row] = self._decayed(row), self.time
        bound = self._base(row) * self._rhythm[2] + float(level[row])
        stream, key, k = int(self._stream), int(self._keys[row]), int(draws[row])
        accept[row] = uniform_of(stream, key, 2 * k + 1) * bound
        draws[row] += 1
        gap = -math.log1p(-uniform_of(stream, key, 2 * k)) / bound if bound > 0 else math.inf
        return self.time + gap

    @property
    def _assembled(self) -> Any:
        return _assemble_hawkes

    def _inner(self) -> tuple[Any, ...]:
        clocks = (self._stream, self._keys, self._own[0], self._rates)
        return (clocks, self.state, self._own[1:], self._rhythm, self._numbers), self.params


def _assemble_hawkes(
    pieces: Tools, rule: Taken, surfaces: bool, places: tuple[int, ...], needs: Needs
) -> Callable[..., Any]:
    do, uniform, real = _doing(pieces, rule, surfaces), _uniform_in(pieces), pieces.real
    infinite, wrong = math.inf, math.nan
    level_at = pieces.jit(_level_at)

    def act(_agenda: Any, rng: Any, i: Any, now: Any, state: Any, params: Any) -> Any:
        stream, keys, draws, rates = state[0]
        level, since, accept = state[2]
        levels, period, peak = state[3]
        branching, decay = state[4]
        base = real(rates[i if len(rates) > 1 else 0])
        if not (0.0 <= base < infinite):
            return wrong, 0
        level[i] *= math.exp(-decay * (now - since[i]))
        since[i] = now
        code = 0
        if accept[i] < base * level_at(now, levels, period) + level[i]:
            level[i] += branching * decay
            code = do(rng, i, now, state[1], params)
            base = real(rates[i if len(rates) > 1 else 0])
            if not (0.0 <= base < infinite):
                return wrong, code
        bound = base * peak + level[i]
        k = draws[i]
        gap = infinite
        if bound > 0.0:
            gap = -math.log1p(-uniform(stream, keys[i], 2 * k)) / bound
        accept[i] = uniform(stream, keys[i], 2 * k + 1) * bound
        draws[i] = k + 1
        return gap, code

    fetch = _fetching_inside(pieces, ((0, Needs((1, 2))), (1, needs), (2, Needs((0, 1, 2)))))
    return driving(pieces, pieces.jit(act), _sound_inside(pieces, places), fetch)


def _level_at(time: Any, levels: Any, period: Any) -> Any:
    part = (time / period) % 1.0
    return levels[min(int(part * len(levels)), len(levels) - 1)]
