"""Pairwise encounters, one after another: a user's rule inside a compiled driver.

At each encounter somebody is drawn at random and meets a partner: anybody else, or one of those
that the network ties it to. The rule is applied at once, so the next encounter sees its effect:
exact asynchronous semantics. Other schedules are offered by name. A cohort adds the clock:
everybody starts encounters at the events of a Poisson process of their own, so that all of them
together are one Poisson process.

A rule is one of two things.

* For one column, `rule(own, other, params) -> (own', other')`.
* For several columns, `rule(i, j, state, params)`, which writes into the arrays of `state` (a tuple
  or named tuple) and returns nothing; i starts the encounter, j is the partner. A rule that may
  write into the rows of others too has all rows looked at when the driver is done.

Either may take a last argument `u`, a uniform random number in [0, 1), or `rng`, a generator.
Parameters are a tuple (or named tuple) of numbers; they are compiled in, arrays would be slower and
are refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from abm.errors import EngineError, PopulationError, require
from abm.kernels.blocks import BLOCK, room_of
from abm.kernels.building import RuleRun, SlowWay, launch
from abm.kernels.doing import done_so_far
from abm.kernels.driver import WIDE, assemble
from abm.kernels.faults import no_fault, raise_fault, spot_of
from abm.kernels.guard import Ranges, guard_of, left_behind
from abm.kernels.layers import no_layers, slow_way, twin_of
from abm.kernels.notes import note, note_cohort, noted_if_it_fails, notes_failures
from abm.kernels.pair_rounds import assemble_matching, assemble_synchronous
from abm.kernels.rule import Bounds, Taken, bounds_of, calling, checked_params, name_of, taken
from abm.kernels.schedules import Schedule, check_schedule, member_rows, order_of, turn_of
from abm.kernels.ties import Ties, TiesLayout, checked_ties, kind_of_ties, layout, watch_ties
from abm.kernels.tools import Chance, plain_tools
from abm.kernels.tools import start as begin

__all__ = ["PairwiseCohort", "columns_of", "followed", "like", "run_pairwise"]

_ENDLESS = int(np.iinfo(np.int64).max)


@notes_failures("pairwise")
def run_pairwise(
    rule: Callable[..., Any],
    x: NDArray[Any] | Sequence[NDArray[Any]],
    network: Ties | None,
    n_interactions: int | None = None,
    params: tuple[Any, ...] = (),
    *,
    rng: np.random.Generator,
    rounds: int | None = None,
    schedule: Schedule = "asynchronous",
    members: ArrayLike | None = None,
    bounds: Bounds | Ranges = None,
    compiled: bool | None = None,
    vectorised: Callable[..., Any] | None = None,
) -> RuleRun:
    """Let agents meet in pairs; `x` is changed in place.

    Parameters
    ----------
    rule
        See the module's head. Compiled with Numba: plain arithmetic on scalars.
    x
        The column, shape (n,), or a tuple of columns for a rule on rows.
    network
        Who meets whom (row i lists the possible partners of i, drawn by weight if there are
        weights); `None` for everybody. Somebody without ties meets nobody, and the encounter
        passes.
    n_interactions
        How many encounters, >= 0, for the schedules `asynchronous` and `sweep`.
    rounds
        Instead of `n_interactions`: how many rounds, >= 0. A round is one encounter per member, or
        one matching.
    schedule
        `asynchronous`: anybody starts the next encounter. `sweep`: everybody starts one per round,
        in an order shuffled anew. `synchronous`: everybody meets a partner as both were at the
        start of the round, and takes the first result of the rule; the second is not used, so
        exchanges that must conserve a total need another schedule. `matching`: everybody is in at
        most one pair per round (in random order, each takes a partner who is still free).
    members
        Rows of those who start encounters and whom the rule for one column may change; all if
        `None`. Others can be met, and stay as they are.
    bounds
        Lowest and highest value that the rule may give; what its column can hold if `None`. For a
        rule on rows: place or name of a column -> its lowest and highest value, or `None` for
        anything; columns of floats without nan at the start must stay so by default.
    compiled
        `False` interprets the rule; `None` compiles it where that is possible and pays. Both give
        the same numbers.
    vectorised
        The same rule on arrays, `vectorised(own, other, params[, u]) -> (own', other')`, for where
        it is not compiled: encounters of different agents are then applied together, with the
        numbers of the plain loop (`abm.kernels.layers`). If `None`, what the rule has as its
        attribute `vectorised`. For rules on one column without `rng`, schedules `asynchronous` and
        `sweep`.

    Raises
    ------
    RuleError
        The rule gave or left nan, or a value outside `bounds`, or raised an exception; names the
        agent and the round, counted from 0 (a round is one encounter per member).
    EngineError, PopulationError, NetworkError
        Arguments that do not fit each other.

    Examples
    --------
    >>> def compromise(own, other, p):
    ...     gap = other - own
    ...     return (own + p[0] * gap, other - p[0] * gap) if abs(gap) < p[1] else (own, other)
    >>> x = np.array([0.0, 0.25, 1.0])
    >>> run = run_pairwise(compromise, x, None, 1000, (0.5, 0.5), rng=np.random.default_rng(1))
    >>> x.tolist(), run.schedule
    ([0.125, 0.125, 1.0], 'asynchronous')
    """
    check_schedule(
        schedule, ("asynchronous", "sweep", "synchronous", "matching"), "pairwise encounters"
    )
    cohort = PairwiseCohort(
        rule, x, rate=0.0, network=network, params=params, rng=rng, members=members, bounds=bounds,
        compiled=compiled, vectorised=vectorised,
    )  # fmt: skip
    n, size = _amount(n_interactions, rounds, schedule), max(cohort.n_members, 1)
    if schedule in ("asynchronous", "sweep"):
        most = n if rounds is None else n * size
        made, why = cohort._drive(most, math.inf, turn=turn_of(schedule, cohort._members))
        return note(RuleRun("pairwise", name_of(rule), schedule, most / size, made, not why, why))
    made, why = cohort._drive_rounds(n, schedule)
    return note(RuleRun("pairwise", name_of(rule), schedule, n, made, not why, why))


class PairwiseCohort:
    """Agents that meet in pairs in continuous time, as one process.

    Each member starts encounters at the events of a Poisson process of its own. Between two events
    that others can see, `advance` applies all encounters that fall between them, in order.

    Parameters
    ----------
    rule, network, params, members, bounds, compiled, vectorised
        As in `run_pairwise`.
    state
        The column, or a tuple of columns. They are changed in place.
    rate
        Encounters that a member starts per unit of time, >= 0.
    rng
        Seeds the cohort's own generators, one for who meets whom when, one for the rule.
    start
        Time at which the clocks start.

    Attributes
    ----------
    time
        Everything up to and including this time has been applied.
    next_time
        When the next encounter will happen.
    arrays
        The columns.
    n_updates
        Encounters so far.

    Examples
    --------
    >>> def copy(own, other, p):
    ...     return other, other
    >>> x = np.array([0.0, 1.0])
    >>> cohort = PairwiseCohort(copy, x, rate=1.0, rng=np.random.default_rng(1), compiled=False)
    >>> cohort.advance(100.0) > 150, cohort.time
    (True, 100.0)
    """

    def __init__(
        self,
        rule: Callable[..., Any],
        state: NDArray[Any] | Sequence[NDArray[Any]],
        *,
        rate: float,
        rng: np.random.Generator,
        network: Ties | None = None,
        params: tuple[Any, ...] = (),
        members: ArrayLike | None = None,
        bounds: Bounds | Ranges = None,
        start: float = 0.0,
        compiled: bool | None = None,
        vectorised: Callable[..., Any] | None = None,
    ) -> None:
        self._single = isinstance(state, np.ndarray)
        self._bounds = bounds
        self._twin = twin_of(rule, vectorised)
        self._hold(state)
        self.time = float(start)
        self.n_updates = 0
        self._taken = _taken(rule, self._single)
        self._compiled = compiled
        self._members = member_rows(members, self.n)
        self._movable = _movable(self._members, self.n)
        self._words, self._rng = begin(rng), Chance(begin(rng))
        self._clock, self._until, self._last = np.array([math.inf]), math.inf, 0
        self._why, self._changes = "", 0
        self.params, self.network, self.rate = params, network, 0.0
        self.change(rate=rate, network=network, params=params)

    @property
    def n_members(self) -> int:
        """How many agents start encounters."""
        return self.n if self._members is None else int(self._members.size)

    @property
    def next_time(self) -> float:
        """When the next encounter will happen; infinite if the rate is 0."""
        return float(self._clock[0])

    @property
    def record(self) -> RuleRun:
        """What was done so far."""
        name, rounds = name_of(self._taken.plain), self.n_updates / max(self.n_members, 1)
        return RuleRun(
            "pairwise", name, "asynchronous", rounds, self.n_updates, not self._why, self._why
        )

    surfaces = False

    def drain(self, until: float) -> None:
        """As `advance`; encounters do not surface."""
        self.advance(until)

    def advance(self, until: float) -> int:
        """Apply all encounters up to and including time `until`; returns how many.

        Raises
        ------
        EngineError
            `until` lies before the time that was reached.
        RuleError
            The rule gave nan or a value outside its bounds; names agent and time.
        """
        require(
            self.time <= until < math.inf,
            EngineError,
            f"advance(until={until}), expected a time from {self.time}, already reached, on",
        )
        made = 0
        if until >= self.next_time:
            turn = turn_of("asynchronous", self._members)
            with noted_if_it_fails("pairwise", self._taken.plain, "asynchronous"):
                made, self._why = self._drive(_ENDLESS, float(until), turn=turn, timed=True)
            note_cohort(self, made, self._why)
        self.time = float(until)
        return made

    def change(
        self,
        *,
        rate: float | None = None,
        params: tuple[Any, ...] | None = None,
        network: Ties | None = None,
    ) -> None:
        """Change what is given, from the time reached on. Advance to now first.

        A new rate stretches the time that is left to the next encounter in proportion, which is
        exact for a Poisson process and uses no chance.
        """
        if params is not None:
            self.params = checked_params(params)
        if network is not None:
            self.network = checked_ties(network, self.n)
            self._layout: TiesLayout | None = None
            watch_ties(self)
        self._check_size()
        if rate is not None:
            require(
                np.ndim(rate) == 0 and 0 <= rate < math.inf,
                EngineError,
                f"rate = {rate}, expected one finite number >= 0 (a PoissonCohort has a rate each)",
            )
            former = self.rate * self.n_members
            self._clock[0] = self._next_event(former, float(rate) * self.n_members)
            self.rate = float(rate)

    def resize(
        self,
        arrays: tuple[NDArray[Any], ...],
        kept: NDArray[np.int64],
        network: Ties | None = None,
    ) -> None:
        """Go on with other rows, from the time reached on: births and deaths.

        Newcomers are members if everybody is. The clocks of those who stay go on: the time left to
        the next encounter is stretched by the number of members, which is exact.

        Parameters
        ----------
        arrays
            The columns as they are now, in the order of `arrays`, of the types they had.
        kept
            Former row of each of the first rows, shape (n_kept,); the rest are newcomers.
        network
            Ties among the rows as they are now. If `None`, the ties of those who stay, and none
            for newcomers.
        """
        former, old = self.rate * self.n_members, self.n
        self._hold(like(self._state, arrays))
        if self.network is not None:
            self.network = checked_ties(
                followed(self.network, kept, self.n) if network is None else network, self.n
            )
            self._layout = None
        if self._members is not None:
            place = np.full(old, -1, dtype=np.int32)
            place[kept] = np.arange(kept.size, dtype=np.int32)
            moved = place[self._members]
            self._members = moved[moved >= 0]
            self._movable = _movable(self._members, self.n)
        self._check_size()
        self._clock[0] = self._next_event(former, self.rate * self.n_members)

    def _hold(self, state: NDArray[Any] | Sequence[NDArray[Any]]) -> None:
        self.arrays = columns_of(state)
        self.n = len(self.arrays[0])
        self._state = state if isinstance(state, (np.ndarray, tuple)) else tuple(state)
        given: Any = self._bounds
        require(
            given is None or self._single != isinstance(given, Mapping),
            EngineError,
            f"bounds = {given!r}, expected (lowest, highest) for a rule on one column, and for a "
            "rule on rows a dictionary of them by column",
            argument="bounds",
        )
        if not self._single:
            self._guard = guard_of(self._state, self.n, given)  # type: ignore[arg-type]

    def _check_size(self) -> None:
        if self.network is None:
            require(
                self.n >= 2 or self.n_members == 0,
                PopulationError,
                f"{self.n} agents cannot meet in pairs, expected at least 2",
            )

    def _next_event(self, former: float, total: float) -> float:
        """When the next encounter is, if the rate of all changes from `former` to `total` now."""
        if total == 0:
            return math.inf
        if self.next_time < math.inf:
            return self.time + (self.next_time - self.time) * (former / total)
        pieces = plain_tools()
        word, s0, s1 = pieces.draw(*pieces.load(self._words))
        self._words[:] = s0, s1
        return self.time - math.log(1.0 - pieces.unit(word)) / total

    def _drive(self, most: int, until: float, *, turn: str, timed: bool = False) -> tuple[int, str]:
        kind = (
            self._column_kind(),
            kind_of_ties(self.network),
            turn,
            self._members is not None,
            timed,
            self.n >= WIDE,
        )
        self._until, self._last = until, (most - 1) // max(self.n_members, 1)
        rate = self.rate * self.n_members
        work = min(most, rate * (until - self.time)) if timed else most
        room = room_of(self.arrays[0].dtype if self._single else None)
        tail = (room, rate, most, until, self._clock, self._words)
        return self._launch(assemble, kind, turn, tail, work)

    def _drive_rounds(self, rounds: int, schedule: str) -> tuple[int, str]:
        kind: tuple[Any, ...] = (self._column_kind(), kind_of_ties(self.network))
        self._last = rounds - 1
        if schedule == "matching":
            tail: tuple[Any, ...] = (np.empty(self.n, dtype=bool), rounds, self._words)
            kind = (*kind, self._members is not None)
            return self._launch(assemble_matching, kind, "sweep", tail, rounds * self.n)
        require(
            self._single,
            EngineError,
            "schedule = 'synchronous' needs a rule for one column: a rule on rows writes at once; "
            "keep old and new columns and use run_rows, or choose another schedule",
        )
        tail = (np.empty(self.n_members, self.arrays[0].dtype), rounds, self._words)
        return self._launch(assemble_synchronous, kind, "sweep", tail, rounds * self.n_members)

    def _column_kind(self) -> str | tuple[int, ...]:
        """Type of the column, or for a rule on rows the columns under guard."""
        return str(self.arrays[0].dtype) if self._single else self._guard.places

    def _launch(
        self, assembled: Any, kind: tuple[Any, ...], turn: str, tail: tuple[Any, ...], work: float
    ) -> tuple[int, str]:
        if self.n_members == 0:
            return 0, "nobody starts an encounter"
        fault = no_fault()
        made, why = launch(
            assembled,
            self._taken,
            kind,
            (*self._head(turn), *tail, self._rng, fault),
            compiled=self._compiled,
            work=work,
            slow=self._slow_way(assembled, kind, work),
            at=lambda: self._spot(fault, tail[0]),
        )
        self.n_updates += int(made)
        done_so_far(updates=int(made))
        self._refuse_what_cannot_stand(made, fault)
        return int(made), why

    def _head(self, turn: str) -> tuple[Any, ...]:
        """What every driver takes first."""
        order = order_of(turn, self._members, self.n)
        return (
            self._state, self.n, self._ties(), order, self._movable, self.params, self._allowed(),
        )  # fmt: skip

    def _allowed(self) -> Any:
        """Lowest and highest value of the column, or of the columns under guard."""
        if not self._single:
            return self._guard.ranges
        return bounds_of(self.arrays[0].dtype, self._bounds)  # type: ignore[arg-type]

    def _refuse_what_cannot_stand(self, made: Any, fault: NDArray[np.float64]) -> None:
        """Raise what the driver has found, and what it has left with those who did not meet."""
        if np.isinf(fault[3]):
            fault[3] = made // self.n_members  # there is no clock, but rounds
        if self._single:
            raise_fault(fault, self._taken.plain, *self._allowed(), clock=self._has_clock)
        else:
            self._raise_left(fault)
            self._look_at_bystanders(made)

    def _look_at_bystanders(self, made: Any) -> None:
        """Look at the rows of those who did not meet, where the rule may have written."""
        if not made:
            return
        when, time = f" in rounds 0 to {self._last}", float(self._last)
        if self._has_clock:
            when, time = f" between time {self.time:g} and {self._until:g}", self._until
        self._guard.look_at_all(self._taken.plain, 2, self._state, when, time=time)

    def _raise_left(self, fault: NDArray[np.float64]) -> None:
        """Raise what a rule on rows has left for those who met, if it cannot stand."""
        found, agent, partner, time, place = fault[:5].tolist()
        if found:
            ranges = dict(zip(self._guard.places, self._guard.ranges.tolist(), strict=True))
            when = f" of agent {int(agent)} with agent {int(partner)}"
            when += f" {'at time' if self._has_clock else 'in round'} {time:g}"
            raise left_behind(self._taken.plain, self._state, ranges, int(place), int(agent), when,
                              partner=int(partner), time=time)  # fmt: skip

    @property
    def _has_clock(self) -> bool:
        """Whether encounters happen at times, rather than in rounds."""
        return self._until < math.inf

    def _spot(self, fault: NDArray[np.float64], room: Any) -> dict[str, Any]:
        """Who met whom when the rule raised an exception, and at which time or in which round."""
        spot, number = spot_of(fault, clock=True), fault[5]
        if isinstance(room, tuple) and fault[1] < 0:  # a compiled block
            b = int(room[9][2])
            b = self._raising(room) if b == BLOCK else b
            if b == BLOCK:
                return {}
            spot = {"agent": int(room[0][b]), "partner": int(room[1][b]), "time": float(room[2][b])}
            number += b
        if self._has_clock:
            return spot
        r = spot.pop("time")  # infinite where encounters are counted, as there is no clock
        return {**spot, "round": number // self.n_members if math.isinf(r) else r}

    def _raising(self, room: Any) -> int:
        """Place in a block of the first pair whose rule raises an exception, `BLOCK` for none.

        The compiled driver does not write down at which pair it is, but what everybody was before
        their turn, and the rule's generator before the block.
        """
        call, rng = calling(plain_tools(), self._taken), Chance(room[9][:2].copy())
        for b, (j, own, other) in enumerate(zip(room[1], room[5], room[6], strict=True)):
            if j >= 0:
                try:
                    call(rng, own.item(), other.item(), self.params)
                except Exception:  # of any kind: what the rule raises is what is looked for
                    return b
        return BLOCK

    def _slow_way(self, assembled: Any, kind: tuple[Any, ...], work: float) -> SlowWay:
        """What to do with a rule that is not compiled."""
        in_blocks = assembled is assemble and self.n_members > 0
        obstacle = no_layers(self._taken, self._twin, single=self._single, in_blocks=in_blocks)
        return slow_way(self._taken, self._twin, kind, obstacle, self.n, work)

    def _ties(self) -> TiesLayout:
        """The ties as the driver takes them; weights are added up once."""
        if self.network is None:
            return layout(None)
        changes = getattr(self.network, "changes", 0)
        if self._layout is None or changes != self._changes:
            checked_ties(self.network, self.n)
            self._layout, self._changes = layout(self.network), changes
        return self._layout


def like(state: Any, arrays: tuple[NDArray[Any], ...]) -> Any:
    """Arrays in the form of a state: one array, a named tuple or a tuple."""
    if isinstance(state, np.ndarray):
        return arrays[0]
    return type(state)(*arrays) if hasattr(state, "_fields") else tuple(arrays)


def columns_of(state: Any) -> tuple[NDArray[Any], ...]:
    """The columns of a state: one array, or a tuple of arrays of one length.

    Raises
    ------
    PopulationError
        Something else, or columns of different lengths; tells the shapes.
    """
    arrays = (state,) if isinstance(state, np.ndarray) else tuple(state)
    shapes = [getattr(array, "shape", None) for array in arrays]
    good = arrays and all(isinstance(a, np.ndarray) and a.ndim >= 1 for a in arrays)
    require(
        bool(good) and len({shape[0] for shape in shapes if shape}) == 1,
        PopulationError,
        f"state has shapes {shapes}, expected NumPy columns of one length",
    )
    return arrays


def _taken(rule: Callable[..., Any], single: bool) -> Taken:
    base = ("own", "other", "params") if single else ("i", "j", "state", "params")
    return taken(rule, base)


def _amount(n_interactions: int | None, rounds: int | None, schedule: str) -> int:
    require(
        (n_interactions is None) != (rounds is None),
        EngineError,
        f"n_interactions = {n_interactions}, rounds = {rounds}: expected one of them",
    )
    require(
        rounds is not None or schedule in ("asynchronous", "sweep"),
        EngineError,
        f"n_interactions = {n_interactions}: the schedule {schedule!r} is counted in rounds",
    )
    name = "n_interactions" if rounds is None else "rounds"
    amount = int(n_interactions if rounds is None else rounds)  # type: ignore[arg-type]
    require(amount >= 0, EngineError, f"{name} = {amount}, expected >= 0")
    return amount


def _movable(members: NDArray[np.int32] | None, n: int) -> NDArray[np.bool_]:
    """Who may be changed; empty if everybody."""
    if members is None:
        return np.empty(0, dtype=bool)
    movable = np.zeros(n, dtype=bool)
    movable[members] = True
    return movable


def followed(network: Any, kept: NDArray[np.int64], n: int) -> Any:
    """The ties of those who stay, among n rows."""
    if hasattr(network, "resize"):
        if network.n != n:  # else another cohort on the same ties has had it follow
            network.resize(kept, n)
        return network
    if kept.size < network.n:
        network = network.subgraph(kept)
    return network.with_nodes(n) if network.n < n else network
