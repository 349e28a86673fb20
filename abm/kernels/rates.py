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
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from abm.errors import EngineError, RuleError, require
from abm.kernels.building import RuleRun, launch
from abm.kernels.notes import note_cohort, noted_if_it_fails
from abm.kernels.pairwise import columns_of
from abm.kernels.pairwise import followed as followed_ties
from abm.kernels.rule import Taken, calling, checked_params, name_of, taken
from abm.kernels.surfacing import CohortEvent
from abm.kernels.ties import Ties, layout, watch_ties
from abm.kernels.tools import Chance, Tools, plain_tools
from abm.kernels.tools import start as begin
from abm.kernels.transitions import checked_states, seen_by, tally

__all__ = ["RateCohort", "profile_of"]

_PER_DRAIN = 64
"""States compared per drain, on average, to find out who keeps columns and writes into them."""
_NONE = np.empty(0, dtype=np.int64)
_REFUSED, _PASSED, _STAYED, _TURNED, _WRONG = -1, 0, 1, 2, 3
"""What becomes of a candidate: no state, not accepted, accepted; and then a rate that is none."""
_GROUPS, _LEAST = 96, -64
_POWERS = 2.0 ** (np.arange(_GROUPS) + _LEAST)
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
    watched
        Whether every writer of the states calls `lend`, as a population does that the cohort is
        attached to. Then only what was lent is compared at the next drain; else all states are.
        What was written otherwise is found now and then, and is an error.
    n_compared
        How many states were compared so far, to find out what others have written.

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
        self.watched, self.n_compared, self._unseen = False, 0, 0
        self._lent: list[int] | None = None  # rows that others may have written; `None` for any
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
        self._begin(until)
        before = self.n_updates
        while (event := self._drain(until)) is not None:
            self.surfaced.append(event)  # nobody else has been at the states in between
        return self.n_updates - before

    def drain(self, until: float) -> CohortEvent | None:
        """Apply changes up to and including `until`, or the first that surfaces; returns that.

        What others have written is taken over first. An array does not tell what was written into
        it, so that all states are compared at every call, unless `watched` is set.
        """
        self._begin(until)
        return self._drain(until)

    def _begin(self, until: float) -> None:
        require(
            self.time <= until < math.inf,
            EngineError,
            f"drain(until={until}), expected a time from {self.time}, already reached, on",
        )
        self._notice()

    def _drain(self, until: float) -> CohortEvent | None:
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
        watch_ties(self)
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
        self._shadow = states.copy()
        self.totals = np.bincount(states, minlength=self.n_states).astype(np.int64)
        self._changes = getattr(self.network, "changes", 0)
        self._seen = layout(seen_by(self.network, n))
        self._counts = tally(
            states, self.network, self._seen, self.n_states, compiled=self._compiled
        )
        self._groups = (
            np.full(n, -1, dtype=np.int8),
            np.zeros(n, dtype=np.int32),
            np.empty(4 * n + 64 * _GROUPS, dtype=np.int32),
            np.zeros((_GROUPS, 3), dtype=np.int64),  # where a group begins, its size, its room
            # used of the pool; lowest and highest group ever used; the last one that was joined
            np.array([0, _GROUPS, -1, -_LEAST]),
            _POWERS,
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
        return float((sizes * _POWERS).sum() * self._profile[2])

    def _notice(self) -> None:
        """Take over what others have written into the states, and ties that changed."""
        if getattr(self.network, "changes", 0) != self._changes:
            self._place(self.states)
            return
        rows = self._written()
        self._lent = []
        if rows.size > len(self.states) // 8:
            self._place(self.states)
        elif rows.size:
            self._take_over(rows)

    def _written(self) -> NDArray[np.int64]:
        """Rows that others have written; all are compared where anything may have been."""
        if self._lent is None or not self.watched:
            self._unseen = 0
            self.n_compared += len(self.states)
            return np.flatnonzero(self.states != self._shadow)
        lent = np.unique(np.array(self._lent, dtype=np.int64))
        self.n_compared += len(lent)
        self._unseen += _PER_DRAIN
        if self._unseen >= len(self.states):
            self._check_kept(lent)
        written: NDArray[np.int64] = lent[self.states[lent] != self._shadow[lent]]
        return written

    def _check_kept(self, lent: NDArray[np.int64]) -> None:
        """Refuse what was written without being lent; now and then, as it costs a look at all."""
        self._unseen = 0
        self.n_compared += len(self.states)
        secret = np.setdiff1d(np.flatnonzero(self.states != self._shadow), lent)
        require(
            secret.size == 0,
            EngineError,
            f"the states of {secret.size} agents, first in row {secret[:1].tolist()}, were written "
            f"into an array that was kept from earlier, some time before {self.time:g}; read the "
            "column anew before you write, or call the cohort's lend()",
        )

    def _take_over(self, rows: NDArray[np.int64]) -> None:
        """Take over the states that others have written in some rows, from now on."""
        given = self.states[rows]
        if not ((given >= 0) & (given < self.n_states)).all():
            checked_states(self.states, self.n_states)
        self._run(2, self.time, rows)
        self._schedule()

    def lend(self, row: int | None = None) -> None:
        """Say that somebody may write into a row, or into any: it is compared at the next drain.

        Only where `watched` is set is what was not lent taken to be as it was.
        """
        if row is None:
            self._lent = None
        elif self._lent is not None:
            self._lent.append(int(row))

    def _run(
        self, task: int, until: float, rows: NDArray[np.int64] | None = None
    ) -> NDArray[np.float64]:
        """Settle all (0), apply changes up to a time (1), or take over what others wrote (2)."""
        told = np.array([0.0, until, -1.0, 0.0, 0.0])
        scene = Scene(
            self.states, self._shadow, self._counts, self._seen, self._groups, self.totals
        )
        arguments = (
            task, scene, self._tell, self.params, self._profile, until, self._clock, self._words,
            self._rng, told, _NONE if rows is None else rows,
        )  # fmt: skip
        with noted_if_it_fails("rates", self.record.rule, "asynchronous"):
            made, self._why = launch(
                _assemble,
                self._rate,
                (self._change,),
                arguments,
                compiled=self._compiled,
                work=max(self.n_updates, len(self.states)),
                guessed=True,
                at=lambda: {"agent": int(told[2]), "time": float(told[1])},
            )
            self.n_updates += int(made)
            if task == 1:
                note_cohort(self, int(made), self._why)
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


class Rhythm(NamedTuple):
    """Relative activity by time of day.

    Attributes
    ----------
    levels
        Of equal parts of a period, of mean 1.
    period, peak
        How long a day is; the highest level.
    """

    levels: NDArray[np.float64]
    period: float
    peak: float


def profile_of(profile: Any) -> Rhythm:
    """The rhythm of a profile; constant if it is `None`."""
    if profile is None:
        return Rhythm(np.ones(1), 1.0, 1.0)
    levels = np.array(profile.levels, dtype=np.float64)
    return Rhythm(levels, float(profile.period), float(profile.peak))


class Scene(NamedTuple):
    """The arrays that a change of state moves on: see `RateCohort._place`."""

    states: Any
    shadow: Any
    counts: Any
    ties: Any
    groups: Any
    totals: Any


def _assemble(pieces: Tools, rate: Taken, change: Taken) -> Callable[..., Any]:
    settled = pieces.inlined(_settling(pieces, rate))
    turned = pieces.jit(_turning(settled))
    settle_all, take_over = pieces.jit(_settling_all(settled)), pieces.jit(_taking_over(turned))
    go_on = pieces.inlined(_going_on(pieces, _trying(pieces, rate, change, turned)))

    def drive(task: Any, scene: Any, tell: Any, params: Any, rhythm: Any, until: Any, clock: Any,
              words: Any, rng: Any, told: Any, rows: Any) -> Any:  # fmt: skip
        told[1] = until
        if task == 0:
            return settle_all(scene, params, rng, told)
        if task == 2:
            return take_over(rows, scene, params, rng, told)
        return go_on(scene, tell, params, rhythm, until, clock, words, rng, told)

    return drive


def _settling(pieces: Tools, rate: Taken) -> Callable[..., Any]:
    pace = calling(pieces, rate)
    group_of, move = pieces.inlined(_group_of), pieces.inlined(_move_with(pieces))

    def settle(i: Any, scene: Any, params: Any, rng: Any, told: Any) -> Any:
        """Put i into the group of its rate; whether that can be."""
        groups = scene.groups
        told[2] = i
        own = pace(rng, int(scene.states[i]), scene.counts[i], params)
        if not (0.0 <= own < 2147483648.0):
            told[0], told[3] = 1, own
            return False
        old = groups[0][i]
        if old > 0 and 0.5 * groups[5][old] <= own < groups[5][old]:
            return True  # as most of the time
        group = group_of(own, old if old > 0 else groups[4][3], groups[5])
        if group != old:
            move(i, group, groups)
        return True

    return settle


def _turning(settled: Callable[..., Any]) -> Callable[..., Any]:
    def turn(i: Any, old: Any, fresh: Any, scene: Any, params: Any, rng: Any, told: Any) -> Any:
        """i goes from `old` to `fresh`; whether all rates are sound."""
        counts, ties = scene.counts, scene.ties
        scene.states[i] = fresh
        scene.shadow[i] = fresh
        scene.totals[old] -= 1
        scene.totals[fresh] += 1
        first, stop = ties[0][i], ties[1][i]
        for slot in range(first, stop):  # all first: so their memory is read at the same time
            j = int(ties[2][slot])
            counts[j, old] -= 1
            counts[j, fresh] += 1
        for slot in range(first - 1, stop):
            j = i if slot < first else int(ties[2][slot])
            if not settled(j, scene, params, rng, told):
                return False
        return True

    return turn


def _settling_all(settled: Callable[..., Any]) -> Callable[..., Any]:
    def settle_all(scene: Any, params: Any, rng: Any, told: Any) -> Any:
        for i in range(len(scene.states)):
            if not settled(i, scene, params, rng, told):
                break
        return 0

    return settle_all


def _taking_over(turned: Callable[..., Any]) -> Callable[..., Any]:
    def take_over(rows: Any, scene: Any, params: Any, rng: Any, told: Any) -> Any:
        """Take over the states that others have written in some rows."""
        for k in range(len(rows)):
            i = int(rows[k])
            old, fresh = int(scene.shadow[i]), int(scene.states[i])
            if not turned(i, old, fresh, scene, params, rng, told):
                break
        return 0

    return take_over


def _going_on(pieces: Tools, tried: Callable[..., Any]) -> Callable[..., Any]:
    draw, unit, load = pieces.draw, pieces.unit, pieces.load
    choose, bound_of = pieces.inlined(_choosing(pieces)), pieces.inlined(_bound_of)
    attempt = pieces.inlined(tried)

    def go_on(scene: Any, tell: Any, params: Any, rhythm: Any, until: Any, clock: Any, words: Any,
              rng: Any, told: Any) -> Any:  # fmt: skip
        """Draw candidates and apply those that are accepted; returns how many."""
        s0, s1 = load(words)
        made, time, groups = 0, clock[0], scene.groups
        bound = bound_of(groups[3], groups[4], groups[5])
        while time <= until:
            i, group, accept, s0, s1 = choose(groups, bound, s0, s1)
            did = attempt(i, group, accept, time, scene, params, rhythm, rng, told)
            made += did > 0
            if did < _PASSED or did == _WRONG:
                break
            if did == _TURNED:
                bound = bound_of(groups[3], groups[4], groups[5])
            now, time = time, math.inf
            if bound > 0.0:
                word, s0, s1 = draw(s0, s1)
                time = now - math.log(1.0 - unit(word)) / (bound * rhythm.peak)
            if did == _TURNED and tell[scene.states[i]]:
                told[0], told[1], told[2], told[3] = 3, now, i, scene.states[i]
                break
        clock[0] = time
        words[0] = s0
        words[1] = s1
        return made

    return go_on


def _choosing(pieces: Tools) -> Callable[..., Any]:
    draw, unit, bounded = pieces.draw, pieces.unit, pieces.bounded

    def choose(groups: Any, bound: Any, s0: Any, s1: Any) -> Any:
        """A candidate by the bounds of groups: row, group, a uniform number, and the generator."""
        word, s0, s1 = draw(s0, s1)
        other, s0, s1 = draw(s0, s1)
        third, s0, s1 = draw(s0, s1)
        goal = unit(word) * bound
        group, last = groups[4][2], -1
        while group >= groups[4][1]:
            size = groups[3][group, 1]
            if size > 0:
                last = group
                goal -= size * groups[5][group]
                if goal < 0.0:
                    break
            group -= 1
        place = groups[3][last, 0] + bounded(other, groups[3][last, 1])
        return int(groups[2][place]), last, unit(third), s0, s1

    return choose


def _trying(
    pieces: Tools, rate: Taken, change: Taken, turned: Callable[..., Any]
) -> Callable[..., Any]:
    pace, turn, level_at = calling(pieces, rate), calling(pieces, change), pieces.inlined(_level_at)

    def attempt(i: Any, group: Any, accept: Any, time: Any, scene: Any, params: Any, rhythm: Any,
                rng: Any, told: Any) -> Any:  # fmt: skip
        """Apply a candidate of a group if it is accepted; what became of it."""
        old = int(scene.states[i])
        told[1], told[2] = time, i
        own = pace(rng, old, scene.counts[i], params)
        level = level_at(time, rhythm.levels, rhythm.period)
        if not accept * (scene.groups[5][group] * rhythm.peak) < own * level:
            return _PASSED
        new = turn(rng, old, scene.counts[i], params)
        if not (0 <= new < len(scene.totals) and new == int(new)):
            told[0], told[3] = 2, new
            return _REFUSED
        fresh = int(new)
        if fresh == old:
            return _STAYED
        return _TURNED if turned(i, old, fresh, scene, params, rng, told) else _WRONG

    return attempt


def _group_of(rate: Any, group: Any, powers: Any) -> Any:
    """The group of a rate: the least power of two above it; -1 for rate 0. Mostly near `group`."""
    if rate == 0.0:
        return -1
    while rate >= powers[group]:
        group += 1
    while group > 0 and rate < 0.5 * powers[group]:
        group -= 1
    return group


def _bound_of(table: Any, used: Any, powers: Any) -> Any:
    """The sum of all groups' bounds: exact, as sizes are whole and bounds are powers of two."""
    total = 0.0
    for group in range(used[1], used[2] + 1):
        if table[group, 1] > 0:
            total += table[group, 1] * powers[group]
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
        where, place, pool, table, used, _ = groups
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
        used[1], used[2], used[3] = min(used[1], group), max(used[2], group), group
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
