"""Agents that tell when they act next: any number of them as one participant of the clock.

`rule(i, now, state, params) -> gap` is what agent i does when its time has come: it reads and
writes the arrays of `state` and tells after how long it acts again, infinity (`math.inf`) for
never. It may take a fourth argument `agenda`, `rule(i, now, state, agenda, params)`, to schedule
and cancel the events of others: `agenda.schedule(j, time)`, `agenda.cancel(j)`, `agenda.due(j)`. A
last argument `u` or `rng` brings chance. If the cohort `surfaces`, the rule returns `(gap, code)`,
and an event with a code other than 0 comes to the surface, for others to see at its time.

Events are applied in the order of time, and of rows at equal times.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from abm.errors import EngineError, PopulationError, RuleError, require
from abm.kernels.ahead import Needs, asking_of, fetching_of, near_of, needs_of
from abm.kernels.building import RuleRun, launch
from abm.kernels.guard import Ranges, guard_of, left_behind, sound_of
from abm.kernels.notes import note_cohort, noted_if_it_fails
from abm.kernels.pairwise import like
from abm.kernels.rule import Taken, calling, checked_params, name_of, taken
from abm.kernels.surfacing import CohortEvent
from abm.kernels.tools import Chance, Tools
from abm.kernels.tools import start as begin

__all__ = ["EventCohort", "driving", "fetching_of", "near_of"]

_LADDER_FROM = 1_000
_DONE, _SURFACED, _MORE_ROOM = 0, 1, 2
_GAP, _PAST, _UNSOUND, _NOBODY, _STILL = 1, 2, 3, 4, 5
_PER_INSTANT = 1000  # acts per agent within one instant, at most, and of all as many more


class EventCohort:
    """Agents with one next event each, in one compiled queue.

    Parameters
    ----------
    rule
        See the module's head.
    state
        A tuple or named tuple of arrays that the rule reads and writes; one entry per agent in
        those that are columns.
    first
        Absolute time of each agent's first event, shape (n,); infinite for none.
    params
        A tuple or named tuple of numbers.
    rng
        Seeds the rule's generator.
    start
        Time at which the clock stands.
    surfaces
        Whether the rule returns `(gap, code)`.
    bounds
        Place or name of a column -> its lowest and highest value, or `None` for anything. Columns
        of floats without nan at the start must stay so by default.
    queue
        `heap`, `ladder`, or `auto`: a ladder from 1,000 pending events on, counted when the queue
        is made and whenever the heap is outgrown. Where gaps are such that buckets do not help, or
        few events are left, a ladder is a heap. The results are the same.
    compiled
        As in `run_pairwise`.

    Attributes
    ----------
    time
        Everything up to and including this time has been applied.
    arrays
        The arrays of the state.
    n_updates
        Events so far.
    surfaced
        Events that came to the surface during `advance`, for those who do not use `drain`.

    Examples
    --------
    >>> def blink(i, now, state, p):
    ...     state[0][i] += 1
    ...     return p[0] * (i + 1)
    >>> blinks = np.zeros(3, dtype=np.int64)
    >>> cohort = EventCohort(blink, (blinks,), np.zeros(3), (1.0,), rng=np.random.default_rng(1))
    >>> cohort.advance(6.0), blinks.tolist(), cohort.next_time
    (14, [7, 4, 3], 7.0)
    """

    def __init__(
        self,
        rule: Callable[..., Any],
        state: tuple[NDArray[Any], ...],
        first: ArrayLike,
        params: tuple[Any, ...] = (),
        *,
        rng: np.random.Generator,
        start: float = 0.0,
        surfaces: bool = False,
        bounds: Ranges | None = None,
        queue: str = "auto",
        compiled: bool | None = None,
    ) -> None:
        self.state, self.arrays = state, _arrays(state)
        self.params = checked_params(params)
        self.time, self.n_updates = float(start), 0
        self.surfaced: list[CohortEvent] = []
        self._taken = taken(rule, ("i", "now", "state", "params"), extra="agenda")
        self.surfaces, self._compiled, self._why = surfaces, compiled, ""
        self._due = _first(first, self.time)
        self._bounds, self._guard = bounds, guard_of(state, len(self._due), bounds)
        self._needs = needs_of(state, len(self._due))
        require(
            queue in ("auto", "heap", "ladder"),
            EngineError,
            f"queue = {queue!r}, expected auto, heap or ladder",
        )
        self._wanted = queue
        self._queue: Any = None
        self._rng = Chance(begin(rng))
        self._clock = np.array([self.time, self.time])  # of the event applied, and of the next

    _driver = "events"

    @property
    def n(self) -> int:
        """Number of agents."""
        return len(self._due)

    @property
    def due(self) -> NDArray[np.float64]:
        """When each agent acts next, shape (n,); infinite for never. A copy."""
        return self._due.copy()

    @property
    def next_time(self) -> float:
        """When the next event happens; infinite if never.

        Just after an event has surfaced, and after a schedule was changed, it may be earlier than
        that; nothing happens before it.
        """
        if isinstance(self._queue, _PlainAgenda):
            return self._queue.first()[0]
        if self._queue is None:
            return float(self._due.min(initial=math.inf))
        return float(self._clock[1])

    @property
    def record(self) -> RuleRun:
        """What was done so far."""
        name, rounds = name_of(self._taken.plain), self.n_updates / max(self.n, 1)
        return RuleRun(
            self._driver, name, "asynchronous", rounds, self.n_updates, not self._why, self._why
        )

    def schedule(self, rows: ArrayLike, times: ArrayLike) -> None:
        """Let agents act at these absolute times, instead of when they were due.

        Raises
        ------
        EngineError
            A time before what was reached, nan, or a row of nobody.
        """
        places = np.atleast_1d(np.asarray(rows))
        wanted = np.broadcast_to(np.asarray(times, dtype=np.float64), places.shape)
        nobody = places[(places < 0) | (places >= self.n)]
        require(
            nobody.size == 0,
            EngineError,
            f"schedule: agents {nobody[:3].tolist()}, expected rows 0..{self.n - 1}",
        )
        wrong = np.flatnonzero(~(wanted >= self.time))
        require(
            wrong.size == 0,
            EngineError,
            f"schedule: time {wanted[wrong[:1]].tolist()} for agent {places[wrong[:1]].tolist()}, "
            f"expected a time from {self.time}, already reached, on, or infinity",
        )
        if self._queue is None or len(places) > self.n // 8:
            self._due[places] = wanted
            self._queue = None
            return
        for row, time in zip(places.tolist(), wanted.tolist(), strict=True):
            self._queue.schedule(row, time)
            self._clock[1] = min(self._clock[1], time)

    def cancel(self, rows: ArrayLike) -> None:
        """These agents have no next event any more."""
        self.schedule(rows, math.inf)

    def change(self, *, params: tuple[Any, ...]) -> None:
        """Other parameters from the time reached on. Advance to now first."""
        self.params = checked_params(params)

    def advance(self, until: float) -> int:
        """Apply all events up to and including time `until`; returns how many.

        Raises
        ------
        RuleError
            A gap that is negative or nan, an event scheduled in the past or for nobody, more than
            a thousand acts per agent within one instant, a value left that cannot stand, an
            exception in the rule; names agent and time.
        """
        before = self.n_updates
        while (event := self.drain(until)) is not None:
            self.surfaced.append(event)
        return self.n_updates - before

    def drain(self, until: float) -> CohortEvent | None:
        """Apply events up to and including `until`, or the first that surfaces; returns that."""
        require(
            self.time <= until < math.inf,
            EngineError,
            f"drain(until={until}), expected a time from {self.time}, already reached, on",
        )
        while True:
            told = np.zeros(5)
            with noted_if_it_fails(self._driver, self._taken.plain, "asynchronous"):
                made, status = self._drive(float(until), told)
                self.n_updates += made
                note_cohort(self, made, self._why)
                self._check(told)
                self._look_at_others(made, float(told[1]))
            if status == _MORE_ROOM:
                self._grow()
                continue
            if status == _SURFACED:
                self.time = float(told[1])
                return CohortEvent(self.time, int(told[2]), int(told[3]))
            self.time = float(until)
            return None

    def resize(
        self,
        arrays: tuple[NDArray[Any], ...],
        kept: NDArray[np.int64],
        first: ArrayLike = math.inf,
    ) -> None:
        """Go on with other rows: those who stay keep their events.

        Parameters
        ----------
        arrays
            The arrays as they are now, in the order of `arrays`, of the types they had.
        kept
            Former row of each of the first rows; the rest are newcomers.
        first
            First events of the newcomers, absolute; none by default: `schedule` them.
        """
        self.state, self.arrays = like(self.state, arrays), arrays
        due = np.full(len(self.arrays[0]), math.inf)
        due[: kept.size] = self._due[kept]
        due[kept.size :] = first
        self._due, self._queue = due, None
        self._guard = guard_of(self.state, self.n, self._bounds)
        self._needs = needs_of(self.state, self.n)

    @property
    def _assembled(self) -> Any:
        return assemble

    def _inner(self) -> tuple[Any, ...]:
        """State and parameters as the driver takes them."""
        return self.state, self.params

    def _drive(self, until: float, told: NDArray[np.float64]) -> tuple[int, int]:
        self._clock[0] = self.time
        work = self.n_updates + self.n
        made, self._why = launch(
            self._assembled,
            self._taken,
            (self.surfaces, self._guard.places, self._needs),
            lambda compiled: (
                self._agenda(compiled), *self._inner(), until, self._clock, self._rng, told,
                self._guard.ranges,
            ),
            compiled=self._compiled,
            work=work,
            guessed=True,
            at=lambda: {"agent": int(told[2]), "time": float(told[1])},
        )  # fmt: skip
        return int(made[0]), int(made[1])

    def _agenda(self, compiled: bool, room: int = 0) -> Any:
        """The queue, compiled or plain; made anew from what is due if it is of the other kind."""
        kind: Any = _PlainAgenda
        if compiled:
            from abm.kernels.agenda import Agenda, make_queue

            kind = Agenda
        if room or not isinstance(self._queue, kind):
            made: Any = self._due
            if compiled:
                ladder = self._ladder()
                made = make_queue(self._due, ladder=ladder, room=max(room, self._room(ladder)))
            self._queue = kind(made)
        return self._queue

    def _ladder(self) -> bool:
        """Whether buckets above the heap pay."""
        pending = np.count_nonzero(self._due < math.inf)
        many = bool(pending >= _LADDER_FROM)
        return self._wanted == "ladder" or (self._wanted == "auto" and many)

    def _room(self, ladder: bool) -> int:
        """Room in the heap; where a ladder may pay later, so little that it is then made anew."""
        most = 2 * self.n + 64
        if self._wanted == "heap":
            return most
        return 0 if ladder else min(most, _LADDER_FROM)

    def _grow(self) -> None:
        room = len(self._queue.held.times)
        self._agenda(True, min(2 * room, 2 * self.n + 64))

    def _look_at_others(self, made: int, last: float) -> None:
        """Look at the rows of those who did not act, where the rule may have written."""
        if made:
            when = f" between time {self.time:g} and {last:g}"
            self._guard.look_at_all(self._taken.plain, 1, self.state, when, time=last)

    def _check(self, told: NDArray[np.float64]) -> None:
        """Raise what the driver found: told = (what, time, row, value, whom)."""
        what, time, row, value, whom = told.tolist()
        if what == 0:
            return
        name, i, j = name_of(self._taken.plain), int(row), int(whom)
        when = f" of agent {i} at time {time:g}"
        if what == _UNSOUND:
            ranges = dict(zip(self._guard.places, self._guard.ranges.tolist(), strict=True))
            raise left_behind(name, self.state, ranges, int(value), i, when, time=time)
        text = {
            _GAP: f"gave the gap {value!r}, expected a gap >= 0 or infinity",
            _PAST: f"scheduled agent {j} at {value!r}, when it was {time:g} already; expected a "
            "time from then on, or infinity",
            _NOBODY: f"named agent {j} to its agenda, expected 0..{self.n - 1}",
            _STILL: f"would be act {value:.0f} within one instant: time stands still; expected "
            "gaps and delays of which some are above 0",
        }[int(what)]
        raise RuleError(f"rule {name!r}{when} {text}", agent=i, time=time, value=value)


class _PlainAgenda:
    """The queue as a heap of Python: the slow and obvious form of `abm.kernels.agenda`."""

    def __init__(self, due: NDArray[np.float64]) -> None:
        self._due = due
        self.now, self.wrong = -math.inf, (0, 0, 0.0)  # what, whom, when
        rows = np.flatnonzero(due < math.inf).tolist()
        self.heap = [(float(due[row]), row) for row in rows]
        heapify(self.heap)

    def __len__(self) -> int:
        return len(self._due)

    def schedule(self, row: int, time: float) -> None:
        """Let `row` act at an absolute time, instead of when it was due."""
        if not time >= self.now:
            self.wrong = (_PAST, int(row), float(time))
        elif self._exists(row):
            self._due[row] = time
            if time < math.inf:
                heappush(self.heap, (float(time), int(row)))

    def cancel(self, row: int) -> None:
        """`row` has no next event any more."""
        self.schedule(row, math.inf)

    def due(self, row: int) -> float:
        """When `row` acts next; infinite if never."""
        return float(self._due[row]) if self._exists(row) else math.inf

    def _exists(self, row: int) -> bool:
        found = 0 <= row < len(self._due)
        if not found:
            self.wrong = (_NOBODY, int(row), math.nan)
        return found

    def first(self) -> tuple[float, int]:
        """Time and row of the next event; an infinite time for none."""
        while self.heap and self._due[self.heap[0][1]] != self.heap[0][0]:
            heappop(self.heap)
        return self.heap[0] if self.heap else (math.inf, -1)


def assemble(
    pieces: Tools, rule: Taken, surfaces: bool, places: tuple[int, ...], needs: Needs
) -> Callable[..., Any]:
    """The driver of a rule that tells when its agent acts next.

    Columns at `places` are under guard, what it `needs` is fetched ahead.
    """
    act, sound = _act(pieces, rule, surfaces), sound_of(pieces, places)
    return driving(pieces, act, sound, asking_of(pieces, needs))


def driving(
    pieces: Tools,
    act: Callable[..., Any],
    sound: Callable[..., Any],
    fetch_state: Callable[..., Any],
) -> Callable[..., Any]:
    """The driver around `act(agenda, rng, i, now, state, params) -> (gap, code)`."""
    if not pieces.compiled:
        return _plain_drive(act, sound)
    from abm.kernels import agenda as queues
    from abm.kernels.fetching import fetch

    first, take, put_back, no_room = queues.first, queues.take, queues.put_back, queues.NO_ROOM
    infinite, per_instant = math.inf, _PER_INSTANT

    def drive(agenda: Any, state: Any, params: Any, until: Any, clock: Any, rng: Any,
              told: Any, ranges: Any) -> Any:  # fmt: skip
        queue = agenda.held
        made, last, same, most = 0, -infinite, 0, per_instant * (len(queue.due) + 1)
        while True:
            time, row, of_heap = first(queue)
            if row == no_room:
                return made, 2
            clock[1] = time
            if time > until:
                return made, 0
            clock[0] = time
            queue.scale[2] = time
            told[1], told[2] = time, row
            same = same + 1 if time == last else 0
            last = time
            if same > most:
                told[0], told[3] = 5, same
                return made, 0
            later, soon = take(queue, of_heap)
            if later >= 0:
                fetch(queue.due, later)
                fetch_state(state, later, soon)
            queue.due[row] = infinite
            gap, code = act(agenda, rng, row, time, state, params)
            place = sound(state, ranges, row)
            if place >= 0:
                told[0], told[3] = 3, place
                return made, 0
            if queue.meta[6] != 0:
                told[0], told[3], told[4] = queue.meta[6], queue.scale[4], queue.scale[3]
                queue.meta[6] = 0
                return made, 0
            if not gap >= 0.0:
                told[0], told[3] = 1, gap
                return made, 0
            put_back(queue, row, time + gap, of_heap)
            made += 1
            if code != 0:
                told[3] = code
                return made, 1

    return drive


def _act(pieces: Tools, rule: Taken, surfaces: bool) -> Callable[..., Any]:
    """The rule of one agent: (gap, code), whatever it takes and gives."""
    # A call would pass on all arrays of state and queue, which takes longer than most rules.
    call, with_agenda = calling(pieces._replace(jit=pieces.inlined), rule), rule.extra

    def act(agenda: Any, rng: Any, i: Any, now: Any, state: Any, params: Any) -> Any:
        if with_agenda:
            given = call(rng, i, now, state, agenda, params)
        else:
            given = call(rng, i, now, state, params)
        if surfaces:
            return given
        return given, 0

    return pieces.inlined(act)  # type: ignore[no-any-return]


def _plain_drive(act: Callable[..., Any], sound: Callable[..., Any]) -> Callable[..., Any]:
    def drive(agenda: Any, state: Any, params: Any, until: Any, clock: Any, rng: Any,
              told: Any, ranges: Any) -> Any:  # fmt: skip
        made, last, same, most = 0, -math.inf, 0, _PER_INSTANT * (len(agenda) + 1)
        while True:
            time, row = agenda.first()
            if time > until:
                return made, _DONE
            clock[0] = agenda.now = time
            told[1:3] = time, row
            same = same + 1 if time == last else 0
            last = time
            if same > most:
                told[0], told[3] = _STILL, same
                return made, _DONE
            agenda.cancel(row)
            gap, code = act(agenda, rng, row, time, state, params)
            place = sound(state, ranges, row)
            if place >= 0:
                told[0], told[3] = _UNSOUND, place
                return made, _DONE
            if agenda.wrong[0]:
                told[0], told[4], told[3] = agenda.wrong
                agenda.wrong = (0, 0, 0.0)
                return made, _DONE
            if not gap >= 0.0:
                told[0], told[3] = _GAP, gap
                return made, _DONE
            agenda.schedule(row, time + gap)
            made += 1
            if code != 0:
                told[3] = code
                return made, _SURFACED

    return drive


def _arrays(state: Any) -> tuple[NDArray[Any], ...]:
    require(
        isinstance(state, tuple)
        and len(state) > 0
        and all(isinstance(a, np.ndarray) for a in state),
        PopulationError,
        f"state of type {type(state).__name__}, expected a tuple or named tuple of NumPy arrays",
    )
    return tuple(state)


def _first(first: ArrayLike, start: float) -> NDArray[np.float64]:
    times = np.array(first, dtype=np.float64)
    require(
        times.ndim == 1 and bool((times >= start).all()),
        EngineError,
        f"first: expected one absolute time per agent, at or after {start}, or infinity",
    )
    return times
