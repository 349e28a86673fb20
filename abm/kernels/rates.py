"""States that change at rates: exact continuous time, for epidemics, adoption and voting.

Two rules make a model. `rate(state, counts, params)` tells at what rate an agent leaves its state,
given how many of those it sees are in which state (`counts[s]`); `change(state, counts, params)`
tells the state that it goes to, with a last argument `u` or `rng` if that is a matter of chance.

Events are drawn by thinning. Agents are kept in groups by the power of two above their rate, so
that a group's bound is a whole number times a power of two, exactly, and a candidate from it is
accepted with probability of at least one half (Slepoy, Thompson & Plimpton 2008, Journal of
Chemical Physics 128, 205101, with the bounds in place of the rates). A change of state costs as
much as there are agents who see it. A profile, such as `abm.engine.activation.Circadian`, makes all
rates follow the time of day.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.errors import EngineError, RuleError, require
from abm.kernels.building import RuleRun, launch
from abm.kernels.pairwise import columns_of
from abm.kernels.pairwise import followed as followed_ties
from abm.kernels.rule import Taken, calling, checked_params, name_of, taken
from abm.kernels.surfacing import CohortEvent
from abm.kernels.ties import Ties, layout
from abm.kernels.tools import Chance, Tools, plain_tools
from abm.kernels.tools import start as begin
from abm.kernels.transitions import checked_states, seen_by, tally

__all__ = ["RateCohort", "profile_of"]

_GROUPS, _LEAST = 96, -64
"""Groups hold rates up to 2**(group - 64): from below 2**-64 up to 2**31."""


class RateCohort:
    """Agents that change state at rates, as one participant of the clock.

    Parameters
    ----------
    rate
        `rate(state, counts, params)`, per unit of time, >= 0.
    change
        `change(state, counts, params)`, with `u` or `rng` if it uses chance; a state.
    states
        Column of integers in 0..n_states-1, changed in place. Whoever else writes into it is
        noticed at the next `advance`.
    network
        Row i lists whom i sees.
    params
        A tuple or named tuple of numbers, for both rules.
    n_states
        Number of states, 1 to 255.
    profile
        Relative activity by time of day, of mean 1: has `levels`, `period` and `peak`.
    tell
        States whose arrival comes to the surface, with the state as code; see `Population.attach`.
    rng, start, compiled
        As in `PairwiseCohort`.

    Attributes
    ----------
    time
        Everything up to and including this time has been applied.
    totals : int64 array, shape (n_states,)
        How many agents are in which state.
    n_updates
        Changes of state so far.

    Examples
    --------
    An epidemic (SIR) among everybody tied to everybody.

    >>> from abm.networks import Network
    >>> pairs = [(i, j) for i in range(20) for j in range(i)]
    >>> def rate(state, counts, p):
    ...     return p[0] * counts[1] if state == 0 else p[1] if state == 1 else 0.0
    >>> def change(state, counts, p):
    ...     return state + 1
    >>> states = np.array([1] + 19 * [0], dtype=np.int8)
    >>> cohort = RateCohort(rate, change, states, Network.from_edges(pairs), (1.0, 1.0), n_states=3,
    ...                     rng=np.random.default_rng(1))
    >>> cohort.advance(100.0), cohort.totals.tolist(), cohort.next_time
    (39, [0, 0, 20], inf)
    """

    def __init__(
        self,
        rate: Callable[..., Any],
        change: Callable[..., Any],
        states: NDArray[Any],
        network: Ties,
        params: tuple[Any, ...] = (),
        *,
        n_states: int,
        rng: np.random.Generator,
        start: float = 0.0,
        profile: Any = None,
        tell: tuple[int, ...] = (),
        compiled: bool | None = None,
    ) -> None:
        columns_of(states)
        checked_states(states, n_states)
        self.time, self.n_updates, self.n_states = float(start), 0, int(n_states)
        self.surfaced: list[CohortEvent] = []
        self._rate = taken(rate, ("state", "counts", "params"))
        require(
            not self._rate.chance, EngineError, "rate: a rate may not depend on chance; drop it"
        )
        self._change = taken(change, ("state", "counts", "params"))
        self._compiled, self._why = compiled, ""
        self._tell = np.zeros(n_states, dtype=bool)
        self._tell[list(tell)] = True
        self.surfaces = bool(tell)
        self._profile = profile_of(profile)
        self._words, self._rng = begin(rng), Chance(begin(rng))
        self._clock = np.array([math.inf, 0.0])
        self.params, self.network = checked_params(params), network
        self._place(states)

    @property
    def next_time(self) -> float:
        """A time before which no state changes; infinite if none ever will."""
        return float(self._clock[0])

    @property
    def record(self) -> RuleRun:
        """What was done so far."""
        name = f"{name_of(self._rate.plain)}, {name_of(self._change.plain)}"
        rounds = self.n_updates / max(len(self.states), 1)
        return RuleRun(
            "rates", name, "asynchronous", rounds, self.n_updates, not self._why, self._why
        )

    def advance(self, until: float) -> int:
        """Apply all changes up to and including time `until`; returns how many.

        Raises
        ------
        RuleError
            A rate that is negative, nan or above 2**31, or a state that is none; names agent and
            time.
        """
        before = self.n_updates
        while (event := self.drain(until)) is not None:
            self.surfaced.append(event)
        return self.n_updates - before

    def drain(self, until: float) -> CohortEvent | None:
        """Apply changes up to and including `until`, or the first that surfaces; returns that."""
        require(
            self.time <= until < math.inf,
            EngineError,
            f"drain(until={until}), expected a time from {self.time}, already reached, on",
        )
        self._notice()
        if until < self.next_time:
            self.time = float(until)
            return None
        told = self._run(1, float(until))
        if told[0] == 3:
            self.time = float(told[1])
            return CohortEvent(self.time, int(told[2]), int(told[3]))
        self.time = float(until)
        return None

    def change(self, *, params: tuple[Any, ...] | None = None, network: Ties | None = None) -> None:
        """Other parameters or ties from the time reached on. Advance to now first."""
        self._notice()
        self.params = self.params if params is None else checked_params(params)
        self.network = self.network if network is None else network
        self._place(self.states)

    def resize(
        self,
        arrays: tuple[NDArray[Any], ...],
        kept: NDArray[np.int64],
        network: Ties | None = None,
    ) -> None:
        """Go on with other rows: births and deaths; see `PairwiseCohort.resize`."""
        n = len(arrays[0])
        self.network = followed_ties(self.network, kept, n) if network is None else network
        self._place(arrays[0])

    def _place(self, states: NDArray[Any]) -> None:
        """Count neighbours and put everybody into the group of their rate, from now on."""
        checked_states(states, self.n_states)
        n = len(states)
        self.states, self.arrays = states, (states,)
        self._shadow = states.astype(np.uint8)
        self.totals = np.bincount(states, minlength=self.n_states).astype(np.int64)
        self._seen = layout(seen_by(self.network, n))
        self._counts = tally(states, self.network, self.n_states, compiled=self._compiled)
        self._groups = (
            np.full(n, -1, dtype=np.int8),
            np.zeros(n, dtype=np.int32),
            np.empty(4 * n + 64 * _GROUPS, dtype=np.int32),
            np.zeros((_GROUPS, 3), dtype=np.int64),  # where a group begins, its size, its room
            np.array([0, _GROUPS, -1]),  # used of the pool; lowest and highest group ever used
        )
        self._run(0, self.time)
        self._schedule()

    def _schedule(self) -> None:
        """Draw the next candidate from now on, as no clock remembers."""
        bound = self._bound()
        if bound == 0.0:
            self._clock[0] = math.inf
            return
        pieces = plain_tools()
        word, s0, s1 = pieces.draw(*pieces.load(self._words))
        self._words[:] = s0, s1
        self._clock[0] = self.time - math.log(1.0 - pieces.unit(word)) / bound

    def _bound(self) -> float:
        sizes = self._groups[3][:, 1]
        powers = 2.0 ** (np.arange(_GROUPS) + _LEAST)
        return float((sizes * powers).sum() * self._profile[2])

    def _notice(self) -> None:
        """Take over what others have written into the states."""
        rows = np.flatnonzero(self.states != self._shadow)
        if rows.size:
            self._place(self.states)

    def _run(self, task: int, until: float) -> NDArray[np.float64]:
        told = np.zeros(5)
        levels, period, peak = self._profile
        arguments = (
            task, self.states, self._shadow, self._counts, self._seen, self._groups, self.totals,
            self._tell, self.params, levels, period, peak, until, self._clock, self._words,
            self._rng, told,
        )  # fmt: skip
        made, self._why = launch(
            _assemble,
            self._rate,
            (self._change,),
            arguments,
            compiled=self._compiled,
            work=max(self.n_updates, len(self.states)),
        )
        self.n_updates += int(made)
        self._check(told)
        return told

    def _check(self, told: NDArray[np.float64]) -> None:
        what, time, row, value = told[:4].tolist()
        if what in (0, 3):
            return
        rule = self._rate if what == 1 else self._change
        wanted = "0 <= rate < 2**31" if what == 1 else f"a state in 0..{self.n_states - 1}"
        raise RuleError(
            f"rule {name_of(rule.plain)!r} gave {value!r} for agent {int(row)} at time {time:g}, "
            f"expected {wanted}",
            agent=int(row),
            time=time,
            value=value,
        )


def profile_of(profile: Any) -> tuple[NDArray[np.float64], float, float]:
    """Levels, period and highest level of a profile."""
    if profile is None:
        return np.ones(1), 1.0, 1.0
    return np.array(profile.levels, dtype=np.float64), float(profile.period), float(profile.peak)


def _assemble(pieces: Tools, rate: Taken, change: Taken) -> Callable[..., Any]:
    pace, turn = calling(pieces, rate), calling(pieces, change)
    draw, unit, bounded, load = pieces.draw, pieces.unit, pieces.bounded, pieces.load
    group_of, move = pieces.jit(_group_of), pieces.jit(_move_with(pieces))
    bound_of, level_at = pieces.jit(_bound_of), pieces.jit(_level_at)

    def settle(i: Any, states: Any, counts: Any, groups: Any, params: Any, rng: Any) -> Any:
        """Put i into the group of its rate; the rate, or -1 if it cannot be."""
        own = pace(rng, int(states[i]), counts[i], params)
        if not (0.0 <= own < 2147483648.0):
            return False, own
        group = group_of(own)
        if group != groups[0][i]:
            move(i, group, groups)
        return True, own

    settled = pieces.jit(settle)

    def drive(task: Any, states: Any, shadow: Any, counts: Any, ties: Any, groups: Any,
              totals: Any, tell: Any, params: Any, levels: Any, period: Any, peak: Any,
              until: Any, clock: Any, words: Any, rng: Any, told: Any) -> Any:  # fmt: skip
        made = 0
        if task == 0:
            for i in range(len(states)):
                sound, own = settled(i, states, counts, groups, params, rng)
                if not sound:
                    told[0], told[1], told[2], told[3] = 1, until, i, own
                    return made
            return made
        n_states = len(totals)
        s0, s1 = load(words)
        time = clock[0]
        while time <= until:
            word, s0, s1 = draw(s0, s1)
            other, s0, s1 = draw(s0, s1)
            third, s0, s1 = draw(s0, s1)
            goal = unit(word) * bound_of(groups[3], groups[4])
            group = groups[4][2]
            last = -1
            while group >= groups[4][1]:
                size = groups[3][group, 1]
                if size > 0:
                    last = group
                    goal -= size * 2.0 ** (group - 64)
                    if goal < 0.0:
                        break
                group -= 1
            i = int(groups[2][groups[3][last, 0] + bounded(other, groups[3][last, 1])])
            old = int(states[i])
            own = pace(rng, old, counts[i], params)
            accept = own * level_at(time, levels, period)
            stop = False
            if unit(third) * (2.0 ** (last - 64) * peak) < accept:
                new = turn(rng, old, counts[i], params)
                if not (0 <= new < n_states and new == int(new)):
                    told[0], told[1], told[2], told[3] = 2, time, i, new
                    break
                fresh = int(new)
                made += 1
                if fresh != old:
                    states[i] = fresh
                    shadow[i] = fresh
                    totals[old] -= 1
                    totals[fresh] += 1
                    sound, own = settled(i, states, counts, groups, params, rng)
                    bad = -1 if sound else i
                    for slot in range(ties[0][i], ties[1][i]):
                        j = int(ties[2][slot])
                        counts[j, old] -= 1
                        counts[j, fresh] += 1
                        fine, rate = settled(j, states, counts, groups, params, rng)
                        if not fine and bad < 0:
                            bad, own = j, rate
                    if bad >= 0:
                        told[0], told[1], told[2], told[3] = 1, time, bad, own
                        break
                    stop = tell[fresh]
            now = time
            bound = bound_of(groups[3], groups[4]) * peak
            if bound > 0.0:
                word, s0, s1 = draw(s0, s1)
                time = time - math.log(1.0 - unit(word)) / bound
            else:
                time = math.inf
            if stop:
                told[0], told[1], told[2], told[3] = 3, now, i, states[i]
                break
        clock[0] = time
        words[0] = s0
        words[1] = s1
        return made

    return drive


def _group_of(rate: Any) -> Any:
    """The group of a rate: the least power of two above it; -1 for rate 0."""
    if rate == 0.0:
        return -1
    return max(math.frexp(rate)[1] + 64, 0)


def _bound_of(table: Any, used: Any) -> Any:
    """The sum of all groups' bounds: exact, as sizes are whole and bounds are powers of two."""
    total = 0.0
    for group in range(used[1], used[2] + 1):
        if table[group, 1] > 0:
            total += table[group, 1] * 2.0 ** (group - 64)
    return total


def _level_at(time: Any, levels: Any, period: Any) -> Any:
    """The level of a profile at a time, as `Circadian` has it."""
    if len(levels) == 1:
        return 1.0
    part = (time / period) % 1.0
    return levels[min(int(part * len(levels)), len(levels) - 1)]


def _move_with(pieces: Tools) -> Callable[..., Any]:
    pack = pieces.jit(_pack)

    def move(i: Any, group: Any, groups: Any) -> None:
        """Take i out of its group (the last of it takes the place), and into another."""
        where, place, pool, table, used = groups
        old = where[i]
        if old >= 0:
            size = table[old, 1] - 1
            last = pool[table[old, 0] + size]
            pool[table[old, 0] + place[i]] = last
            place[last] = place[i]
            table[old, 1] = size
        where[i] = group
        if group < 0:
            return
        used[1], used[2] = min(used[1], group), max(used[2], group)
        size = table[group, 1]
        if size == table[group, 2]:
            room = 2 * size + 16
            if used[0] + room > len(pool):
                where[i] = -1
                pack(where, place, pool, table, used)
                where[i] = group
                size = table[group, 1]
                room = 2 * size + 16
            if size == table[group, 2]:
                first = table[group, 0]
                for k in range(size):
                    pool[used[0] + k] = pool[first + k]
                table[group, 0] = used[0]
                table[group, 2] = room
                used[0] += room
        pool[table[group, 0] + size] = i
        place[i] = size
        table[group, 1] = size + 1

    return move


def _pack(where: Any, place: Any, pool: Any, table: Any, used: Any) -> None:
    """Lay the groups out anew, with room by half; their orders are kept by `place`."""
    used[0] = 0
    for group in range(len(table)):
        size = table[group, 1]
        table[group, 0] = used[0]
        table[group, 2] = size + size // 2 + 16
        used[0] += table[group, 2]
    for i in range(len(where)):
        if where[i] >= 0:
            pool[table[where[i], 0] + place[i]] = i
