"""Those who think alike: a rule that sees everybody within a distance, in O(n) a round.

`rule(own, n_near, mean_near, params) -> own'`, where near are all agents whose value differs from
`own` by at most the distance, the agent included. This is how bounded confidence in the sense of
Hegselmann and Krause works, and averaging all pairs would cost O(n^2): sorted values make the near
ones an interval, and sums of intervals are differences of running sums. The running sums are whole
numbers (values rounded to 2**-60 of the largest), so they are exact, and the mean does not depend
on how it was added up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from abm.errors import EngineError, PopulationError, require
from abm.kernels.building import RuleRun, launch
from abm.kernels.doing import done_so_far
from abm.kernels.faults import no_fault, raise_fault
from abm.kernels.notes import note, notes_failures
from abm.kernels.pairwise import columns_of
from abm.kernels.rule import Bounds, Taken, bounds_of, calling, checked_params, name_of, taken
from abm.kernels.tools import Chance, Tools, start

__all__ = ["run_within"]


@notes_failures("within", "synchronous")
def run_within(
    rule: Callable[..., Any],
    x: NDArray[Any],
    distance: float | ArrayLike,
    params: tuple[Any, ...] = (),
    *,
    rounds: int,
    rng: np.random.Generator,
    bounds: Bounds = None,
    stop_when_still: bool = False,
    compiled: bool | None = None,
) -> RuleRun:
    """Let all agents act at once on those who think alike; `x` is changed in place.

    The schedule is `synchronous`.

    Parameters
    ----------
    rule
        `rule(own, n_near, mean_near, params)`, with a last argument `u` or `rng` if it uses chance.
    x
        Column of floats, shape (n,), all finite.
    distance
        Largest difference at which somebody is near, >= 0; one for all, or shape (n,).
    rounds
        How many rounds at most, >= 0.
    stop_when_still
        Stop after a round in which nothing changed.
    bounds, compiled
        As in `run_pairwise`.

    Returns
    -------
    The record; its `rounds` tells how many were needed.

    Raises
    ------
    RuleError
        The rule gave nan, or a value outside `bounds`, or raised an exception; names agent and
        round, counted from 0.

    Examples
    --------
    Hegselmann & Krause (2002), JASSS 5(3) 2: everybody takes the mean of those near.

    >>> def hegselmann_krause(own, n_near, mean_near, p):
    ...     return mean_near
    >>> x = np.array([0.0, 0.25, 0.5, 1.0])
    >>> run = run_within(hegselmann_krause, x, 0.25, rounds=100, stop_when_still=True,
    ...                  rng=np.random.default_rng(1))
    >>> x.tolist(), run.rounds
    ([0.25, 0.25, 0.25, 1.0], 3)
    """
    what = taken(rule, ("own", "n_near", "mean_near", "params"))
    reach = _checked(x, distance, rounds)
    given = _Given(bounds_of(x.dtype, bounds), checked_params(params), Chance(start(rng)), compiled)
    everybody, why, done = _Sorted(x, reach), "", 0
    while done < rounds and len(x):
        state, why = _round(what, everybody, given, done)
        done += 1
        if stop_when_still and state == _STILL:
            break
    everybody.write_back()
    run = RuleRun("within", name_of(rule), "synchronous", done, done * len(x), not why, why)
    return note(run)


_STILL, _SORTED, _UNSORTED = 0, 1, 2


class _Given(NamedTuple):
    """What is the same in every round."""

    allowed: tuple[Any, Any]
    params: tuple[Any, ...]
    chance: Chance
    compiled: bool | None


class _Sorted:
    """The column in ascending order, room for the next round, and who stands where."""

    def __init__(self, x: NDArray[Any], reach: NDArray[np.float64]) -> None:
        self._x, self._reach, self.own_reach = x, reach, bool(reach.ndim)
        self.order = np.argsort(x, kind="stable")
        self.now, self.fresh = x[self.order], np.empty_like(x)
        self.sums = np.empty((2, len(x) + 1), dtype=np.int64)

    def arguments(self) -> tuple[Any, ...]:
        """Values, room, distances, exponent of a power of two above all, and room for sums."""
        reaches = self._reach[self.order] if self.own_reach else self._reach.reshape(1)
        top = float(np.frexp(max(abs(self.now[0]), abs(self.now[-1])))[1])
        return self.now, self.fresh, reaches, top, self.sums

    def go_on(self, state: int) -> None:
        """Take what the round gave, and sort it again if need be."""
        self.now, self.fresh = self.fresh, self.now
        if state == _UNSORTED:
            again = np.argsort(self.now, kind="stable")
            self.order, self.now = self.order[again], self.now[again]

    def write_back(self) -> None:
        """Bring the column to what holds now."""
        self._x[self.order] = self.now


def _round(rule: Taken, everybody: _Sorted, given: _Given, r: int) -> tuple[int, str]:
    """One round; how it ended, and why it was interpreted if it was."""
    fault = no_fault()
    state, why = launch(
        _assemble,
        rule,
        (everybody.own_reach,),
        (*everybody.arguments(), given.params, given.allowed, given.chance, fault),
        compiled=given.compiled,
        work=len(everybody.now),
        at=lambda: {"agent": int(everybody.order[int(fault[1])]), "round": r},
    )
    if fault[0]:
        fault[1], fault[3] = everybody.order[int(fault[1])], r
        everybody.write_back()
        raise_fault(fault, rule.plain, *given.allowed)
    everybody.go_on(state)
    done_so_far(updates=len(everybody.now))
    return state, why


def _checked(x: NDArray[Any], distance: float | ArrayLike, rounds: int) -> NDArray[np.float64]:
    """The distances, if all that was given fits."""
    columns_of(x)
    require(
        x.dtype.kind == "f" and bool(np.isfinite(x).all()),
        PopulationError,
        f"x of type {x.dtype}, expected finite floats",
    )
    require(rounds >= 0, EngineError, f"rounds = {rounds}, expected >= 0")
    reach = np.asarray(distance, dtype=np.float64)
    require(
        reach.shape in ((), (len(x),)) and bool((reach >= 0).all()),
        EngineError,
        f"distance = {distance!r}, expected a number >= 0 or one per agent ({len(x)})",
        argument="distance",
    )
    return reach


def _assemble(pieces: Tools, rule: Taken, own_reach: bool) -> Callable[..., Any]:
    call, real = calling(pieces, rule), pieces.real
    add_up = pieces.jit(_add_up(pieces))
    interval = pieces.jit(_searched(pieces) if own_reach else _followed(pieces))

    def drive(x: Any, fresh: Any, reach: Any, top: Any, sums: Any, params: Any, allowed: Any,
              rng: Any, fault: Any) -> Any:  # fmt: skip
        low, high = allowed
        add_up(x, top, sums)
        unit, fraction = 2.0 ** (top - 30), 2.0**-30
        still, in_order = True, True
        first, stop = 0, 0
        for i in range(len(x)):
            own = real(x[i])
            first, stop = interval(x, i, reach, first, stop)
            n_near = stop - first
            if x[first] == x[stop - 1]:
                mean = real(x[first])  # they agree: nothing to round
            else:
                coarse = float(sums[0, stop] - sums[0, first])
                fine = float(sums[1, stop] - sums[1, first])
                mean = (coarse + fine * fraction) / n_near * unit
            fault[1] = i
            new = call(rng, own, n_near, mean, params)
            if not (low <= new <= high):
                fault[0], fault[4] = 1.0, new
                return 0
            fresh[i] = new
            still = still and fresh[i] == x[i]
            in_order = in_order and (i == 0 or fresh[i] >= fresh[i - 1])
        if not in_order:
            return 2
        return 0 if still else 1

    return drive


def _add_up(pieces: Tools) -> Callable[..., Any]:
    """Running sums of values as whole numbers of 2**-30 and 2**-60 of the power of two above."""
    real = pieces.real

    def add_up(x: Any, top: Any, sums: Any) -> None:
        scale = 2.0 ** (30 - top)
        coarse, fine = 0, 0
        sums[0, 0] = 0
        sums[1, 0] = 0
        for i in range(len(x)):
            value = real(x[i]) * scale
            whole = np.floor(value)
            coarse += int(whole)
            fine += int((value - whole) * 1073741824.0)
            sums[0, i + 1] = coarse
            sums[1, i + 1] = fine

    return add_up


def _followed(pieces: Tools) -> Callable[..., Any]:
    """Interval of those near the next agent, found by moving both ends on."""
    real = pieces.real

    def interval(x: Any, i: Any, reach: Any, first: Any, stop: Any) -> Any:
        own, far = real(x[i]), reach[0]
        while own - real(x[first]) > far:
            first += 1
        stop = max(stop, i + 1)
        while stop < len(x) and real(x[stop]) - own <= far:
            stop += 1
        return first, stop

    return interval


def _searched(pieces: Tools) -> Callable[..., Any]:
    """The same where everybody has a distance of their own, by bisection."""
    real = pieces.real

    def interval(x: Any, i: Any, reach: Any, _first: Any, _stop: Any) -> Any:
        own, far = real(x[i]), reach[i]
        low, high = 0, i
        while low < high:
            middle = (low + high) // 2
            if own - real(x[middle]) > far:
                low = middle + 1
            else:
                high = middle
        first = low
        low, high = i + 1, len(x)
        while low < high:
            middle = (low + high) // 2
            if real(x[middle]) - own <= far:
                low = middle + 1
            else:
                high = middle
        return first, low

    return interval
