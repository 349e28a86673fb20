"""Encounters on arrays, in layers: the same numbers as one after another, without a compiler.

A block of encounters is drawn as the plain loop draws it. Then all those are applied together whose
two agents have no earlier encounter left in the block; then again, until none is left. Everybody's
encounters keep their order, and encounters that share nobody may be swapped, so the result is that
of the plain loop, to the bit.

The rule must be given for arrays too: `vectorised(own, other, params) -> (own', other')`, with a
last argument `u` if the rule has one. It is compared with the rule on a sample before it is used,
and on some encounters of every block. Where a value cannot stand, the block is done again by the
rule itself, one encounter after another.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from abm.errors import EngineError, require
from abm.kernels.building import SlowWay
from abm.kernels.faults import no_fault
from abm.kernels.rule import Taken, name_of, widen
from abm.kernels.tools import plain_tools
from abm.kernels.words import Words, bounded_all, unit_all

__all__ = ["Layered", "no_layers", "slow_way", "twin_of"]

_SLOWER = (5, 20)
"""How many times slower than compiled, on ties and among all: docs/rules_benchmarks.md."""

_LEAST_WORK, _LEAST_AGENTS = 2_000, 200
_MOST = 32_768  # encounters per block
_FEW = 24  # so few are quicker one by one
_CHECKED = 4  # encounters per block that the rule does as well

_Function = Callable[..., Any]
_Rows = NDArray[np.int64]
_When = tuple[NDArray[np.float64], NDArray[np.int64]]


class Layered(NamedTuple):
    """A rule and what it is on arrays."""

    rule: Taken
    twin: _Function


def twin_of(rule: _Function, given: _Function | None) -> _Function | None:
    """What a rule is on arrays: as given, or the rule's attribute `vectorised`."""
    twin = getattr(rule, "vectorised", None) if given is None else given
    require(
        twin is None or callable(twin),
        EngineError,
        f"vectorised = {twin!r}, expected a function of arrays",
        argument="vectorised",
    )
    return twin


def checked_twin(rule: Taken, twin: _Function) -> _Function:
    """Refuse a function whose arguments are not those of the rule."""
    names = list(inspect.signature(twin).parameters)
    wanted = ["own", "other", "params"] + (["u"] if rule.chance == "u" else [])
    require(
        len(names) == len(wanted),
        EngineError,
        f"vectorised = {name_of(twin)!r} takes ({', '.join(names)}), expected "
        f"({', '.join(wanted)}) as the rule {name_of(rule.plain)!r}, with arrays for numbers",
        argument="vectorised",
    )
    return twin


def no_layers(rule: Taken, twin: _Function | None, *, single: bool, in_blocks: bool) -> str:
    """Why encounters cannot be applied in layers; empty if they can."""
    if not single:
        return "a rule on rows may touch any row"
    if rule.chance == "rng":
        return "it draws from `rng` in the order of encounters; with `u` it could be"
    if not in_blocks:
        return "this schedule is not drawn in blocks; asynchronous and sweep are"
    if twin is None:
        return "it is not given for arrays; give it as `vectorised=`"
    return ""


def slow_way(rule: Taken, twin: _Function | None, kind: tuple[Any, ...], obstacle: str,
             n: int, work: float) -> SlowWay:  # fmt: skip
    """How encounters are applied without a compiler: in layers where that is possible and pays.

    Parameters
    ----------
    kind
        As `abm.kernels.driver.assemble` takes it.
    obstacle
        What `no_layers` says.
    n, work
        Number of agents, and of encounters.
    """
    if obstacle or twin is None:
        least, most = _SLOWER
        hint = f"In layers it would be {least} to {most} times slower; it is not, as {obstacle}"
        return SlowWay(hint=hint)
    if n < _LEAST_AGENTS or work < _LEAST_WORK:
        return SlowWay()
    return SlowWay(layered(Layered(rule, checked_twin(rule, twin)), *kind), _SLOWER)


def layered(what: Layered, dtype: str, ties: str, turn: str, subset: bool, timed: bool,
            wide: bool) -> _Function:  # fmt: skip
    """The driver of `abm.kernels.driver.assemble`, interpreted and in layers; same arguments."""

    def drive(x: Any, n: int, net: Any, order: Any, movable: Any, params: Any, allowed: Any,
              _room: Any, rate: float, most: int, until: float, clock: Any, words: Any, rng: Any,
              fault: Any) -> int:  # fmt: skip
        reader, chance = Words(words), Words(rng.held)
        pairs = _Pairs(reader, n, net, order, (ties, turn, wide, timed), float(rate))
        apply = _Encounters(what, x, dtype, movable if subset else None, params, allowed)
        apply.compare_with_the_rule()
        block = min(max(n // 4, 512), _MOST)
        time, made = float(clock[0]), 0
        while made < most and time <= until:
            i, j, times = pairs.draw(min(block, most - made), time, until)
            alive = np.flatnonzero(j >= 0)
            u = unit_all(chance.take(alive.size)) if what.rule.chance else None
            when = times[alive], made + alive
            wrong = apply.block(i[alive], j[alive], u, when, fault)
            if wrong >= 0:
                made += int(alive[wrong])
                break
            made += len(i)
            time = times[-1]
        clock[0] = time
        reader.leave()
        if what.rule.chance:
            chance.leave()
        return made

    return drive


class _Pairs:
    """Who meets whom when: blocks of what `abm.kernels.driver` draws one by one."""

    def __init__(self, words: Words, n: int, net: Any, order: NDArray[np.int32],
                 kind: tuple[str, str, bool, bool], rate: float) -> None:  # fmt: skip
        self._words, self._n, self._net, self._rate = words, n, net, rate
        self._ties, self._turn, self._wide, self._timed = kind
        self._order = order
        self._left = order.tolist() if self._turn == "sweep" else []
        self._place = 0

    def draw(
        self, most: int, time: float, until: float
    ) -> tuple[_Rows, _Rows, NDArray[np.float64]]:
        """First and second of each encounter up to `until`, and their times and the next one's."""
        if self._timed:
            most = min(most, int((until - time) * self._rate * 1.1) + 32)
        per = 1 + self._wide + self._timed
        taken = self._words.take(most * per).reshape(most, per)
        times = np.full(most + 1, time)
        if self._timed:
            logs = map(math.log, (1.0 - unit_all(taken[:, -1])).tolist())
            times[1:] = np.fromiter(logs, np.float64, most) / self._rate
            times = np.subtract.accumulate(times)
            made = int(np.searchsorted(times[:most], until, side="right"))
            self._words.give_back((most - made) * per)
            taken, times = taken[:made], times[: made + 1]
        first, rest = self._first(taken[:, 0])
        return first, self._second(first, taken[:, 1] if self._wide else rest), times

    def _first(self, words: NDArray[np.uint64]) -> tuple[_Rows, NDArray[np.uint64]]:
        if self._turn == "anybody":
            return bounded_all(words, self._n), words * np.uint64(self._n)
        size = len(self._order)
        if self._turn == "members":
            return self._order[bounded_all(words, size)].astype(np.int64), words * np.uint64(size)
        places = (self._place + np.arange(len(words))) % size
        sizes = (size - places).astype(np.uint64)
        others = places + bounded_all(words, sizes)
        self._place = (self._place + len(words)) % size
        return self._shuffled(places, others), words * sizes

    def _shuffled(self, places: _Rows, others: _Rows) -> _Rows:
        """Fisher and Yates, one step at a time."""
        left, found = self._left, []
        for place, other in zip(places.tolist(), others.tolist(), strict=True):
            who = left[other]
            left[other] = left[place]
            left[place] = who
            found.append(who)
        return np.array(found, dtype=np.int64)

    def _second(self, i: _Rows, words: NDArray[np.uint64]) -> _Rows:
        if self._ties == "all":
            j = bounded_all(words, self._n - 1)
            return j + (j >= i)
        starts, stops, indices, mass = self._net
        if indices.size == 0:
            return np.full(len(i), -1)
        first, stop = starts.take(i), stops.take(i)
        some = stop > first
        if self._ties == "ties":
            slot = first + bounded_all(words, (stop - first).astype(np.uint64))
        else:
            base = np.where(first > 0, mass[first - 1], 0.0)
            total = mass[stop - 1] - base
            goal = base + unit_all(words) * total
            slot = np.clip(np.searchsorted(mass, goal, side="right"), first, stop - 1)
            some &= total > 0.0
        np.minimum(slot, indices.size - 1, out=slot)
        found: _Rows = indices.take(slot).astype(np.int64)
        found[~some] = -1
        return found


class _Encounters:
    """Applies a rule to a block of encounters of a column."""

    def __init__(self, what: Layered, x: NDArray[Any], dtype: str, movable: Any, params: Any,
                 allowed: tuple[Any, Any]) -> None:  # fmt: skip
        self._rule, self._twin = what
        self._x, self._movable, self._params, self._allowed = x, movable, params, allowed
        self._wide = widen(plain_tools(), dtype)
        kind = x.dtype.kind
        self._type = np.float64 if kind == "f" else np.bool_ if kind == "b" else np.int64
        self._whole = kind != "f"
        self._seen = np.empty(len(x), dtype=np.int32)
        self._rank = np.arange(_MOST, dtype=np.int32)
        self._ranks = np.repeat(self._rank, 2)  # of both ends of each encounter

    def block(self, i: _Rows, j: _Rows, u: NDArray[np.float64] | None, when: _When,
              fault: Any) -> int:  # fmt: skip
        """Apply encounters in order; returns the place of the first that cannot stand, or -1.

        Parameters
        ----------
        when
            Time of each, and how many there were before it; for what is told of a fault.
        """
        before = self._x.copy()
        try:
            if self._in_layers(i, j, u):
                return -1
        except BaseException:
            self._x[:] = before
            raise
        self._x[:] = before
        return self._one_by_one(i, j, u, when, fault)

    def _in_layers(self, i: _Rows, j: _Rows, u: NDArray[np.float64] | None) -> bool:
        """Apply encounters in layers; `False` if a value cannot stand, or the rule raised."""
        checked = _CHECKED
        while len(i) > _FEW:
            ready = self._first_at_both(i, j)
            now, later = np.flatnonzero(ready), np.flatnonzero(~ready)
            chance = None if u is None else u.take(now)
            if not self._together(i.take(now), j.take(now), chance, checked):
                return False
            checked = 0
            i, j, u = i.take(later), j.take(later), None if u is None else u.take(later)
        try:
            untold = np.zeros(len(i)), np.zeros(len(i), dtype=np.int64)
            return self._one_by_one(i, j, u, untold, no_fault()) < 0
        except Exception:  # of any kind: nothing but the rule runs here, and it raises again,
            return False  # in its turn, when the block is applied one by one

    def _first_at_both(self, i: _Rows, j: _Rows) -> NDArray[np.bool_]:
        """Which encounters have no earlier one at either end."""
        size = len(i)
        ends = np.empty((size, 2), dtype=np.int64)
        ends[:, 0], ends[:, 1] = i, j
        # Of values for one place the last stays: that of the earliest encounter.
        self._seen[ends.ravel()[::-1]] = self._ranks[: 2 * size][::-1]
        rank = self._rank[:size]
        found: NDArray[np.bool_] = self._seen.take(i) == rank
        found &= self._seen.take(j) == rank
        return found

    def _together(self, i: _Rows, j: _Rows, u: NDArray[np.float64] | None, checked: int) -> bool:
        """As `_in_layers`, for encounters that share nobody."""
        x, extra = self._x, () if u is None else (u,)
        own, other = self._widened(x.take(i)), self._widened(x.take(j))
        fresh = self._on_arrays(own, other, *extra)
        if not (self._stands(fresh[0]) and self._stands(fresh[1])):
            return False
        k = slice(0, checked)
        if not self._compare(own[k], other[k], [v[k] for v in extra], [v[k] for v in fresh]):
            return False
        x[i] = fresh[0]
        if self._movable is not None:
            moved = self._movable[j]
            j, fresh = j[moved], (fresh[0], fresh[1][moved])
        x[j] = fresh[1]
        return True

    def _widened(self, values: NDArray[Any]) -> NDArray[Any]:
        return values.astype(self._type, copy=False)

    def _on_arrays(self, own: Any, other: Any, *extra: Any) -> tuple[NDArray[Any], NDArray[Any]]:
        try:
            with np.errstate(all="ignore"):
                first, second = self._twin(own, other, self._params, *extra)
                return np.broadcast_to(first, own.shape), np.broadcast_to(second, own.shape)
        except Exception as failure:
            raise EngineError(
                f"vectorised = {name_of(self._twin)!r} raised {type(failure).__name__}: {failure}; "
                "expected a pair of arrays for two arrays of one length and the parameters",
                argument="vectorised",
            ) from failure

    def _stands(self, values: NDArray[Any]) -> bool:
        """Whether all values are finite, in their range and, for integers, whole."""
        low, high = self._allowed
        least, most = values.min(), values.max()  # nan if there is one
        if not (low <= least and most <= high and np.isfinite(least) and np.isfinite(most)):
            return False
        return not self._whole or bool((values == np.trunc(values)).all())

    def _one_by_one(self, i: _Rows, j: _Rows, u: Any, when: _When, fault: Any) -> int:
        """The plain loop over some encounters of the block."""
        x, rule, wide, params = self._x, self._rule.plain, self._wide, self._params
        low, high = self._allowed
        for k in range(len(i)):
            a, b = i[k], j[k]
            extra = () if u is None else (float(u[k]),)
            fault[1], fault[2], fault[3], fault[5] = a, b, when[0][k], when[1][k]
            own, other = rule(wide(x[a]), wide(x[b]), params, *extra)
            for value, who, partner in ((own, a, b), (other, b, a)):
                if not (low <= value <= high and value == wide(value)):
                    fault[0], fault[1], fault[2], fault[4] = 1.0, who, partner, value
                    return k
            x[a] = own
            if self._movable is None or self._movable[b]:
                x[b] = other
        return -1

    def compare_with_the_rule(self) -> None:
        """Compare both forms of the rule on values of the column, alike and apart.

        Raises
        ------
        EngineError
            They differ; names the values.
        """
        rows = np.unique(np.linspace(0, len(self._x) - 1, 64).astype(np.int64))
        values = np.sort(self._widened(self._x[rows]))
        own = np.concatenate([values, values, values])
        other = np.concatenate([np.roll(values, -1), values[::-1], values])
        extra = [np.linspace(0, 1, len(own), endpoint=False)] if self._rule.chance else []
        self._compare(own, other, extra, self._on_arrays(own, other, *extra))

    def _compare(self, own: Any, other: Any, extra: Any, made: Any) -> bool:
        """Compare what both forms give; `False` if the rule raised an exception."""
        sound = True
        for k, given in enumerate(zip(own.tolist(), other.tolist(), strict=True)):
            chance = [float(values[k]) for values in extra]
            try:
                wanted = self._rule.plain(*given, self._params, *chance)
            except Exception:  # of any kind: it is the rule's, and is raised in its turn
                sound = False
                continue
            found = (made[0][k].item(), made[1][k].item())
            same = all(a == b or (a != a and b != b) for a, b in zip(wanted, found, strict=True))
            require(
                same,
                EngineError,
                f"vectorised = {name_of(self._twin)!r} gives {found} for own = {given[0]!r}, "
                f"other = {given[1]!r}"
                + (f", u = {chance[0]!r}" if chance else "")
                + f", and the rule {name_of(self._rule.plain)!r} gives {tuple(wanted)}; they must "
                "agree to the last bit: write the same operations in the same order, with np.where "
                "for `if`",
                argument="vectorised",
            )
        return sound
