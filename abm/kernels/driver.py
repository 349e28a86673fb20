"""The driver of pairwise encounters, put together from parts: whom, with whom, what, when.

Each part is a small function; Numba inlines them, so that a rule costs what it computes.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from abm.errors import EngineError, require
from abm.kernels.tools import Tools, tools

__all__ = ["driver"]

_Function = Callable[..., Any]


@lru_cache(maxsize=256)
def driver(
    rule: _Function,
    *,
    single: bool,
    tied: bool,
    weighted: bool,
    subset: bool,
    timed: bool,
    compiled: bool,
) -> _Function:
    """The driver for a rule; compiled once per rule and kind.

    Parameters
    ----------
    single
        The rule is for one column.
    tied, weighted
        Partners come from a network, by weight.
    subset
        Only some start encounters.
    timed
        Encounters are the events of a Poisson process up to a time.
    """
    pieces = tools(compiled=compiled)
    plain = getattr(rule, "py_func", rule)
    noisy = _takes_chance(plain, 3 if single else 4)
    inner = pieces.jit(plain)
    parts = (
        pieces.jit(_first(pieces, subset)),
        pieces.jit(_partner(pieces, tied, weighted)),
        pieces.jit(_effect(pieces, inner, single, noisy)),
        pieces.jit(_gap(pieces, timed)),
    )
    made: _Function = pieces.jit(_drive(pieces, *parts))
    return made


def _takes_chance(rule: _Function, base: int) -> bool:
    names = list(inspect.signature(rule).parameters)
    require(
        len(names) in (base, base + 1),
        EngineError,
        f"rule {getattr(rule, '__name__', rule)!r} takes {names}, expected "
        + ("(own, other, params" if base == 3 else "(i, j, state, params")
        + "), or one more argument for a uniform random number",
    )
    return len(names) == base + 1


def _first(pieces: Tools, subset: bool) -> _Function:
    draw, bounded = pieces.draw, pieces.bounded

    def anybody(_members: Any, n: Any, s0: Any, s1: Any) -> Any:
        word, s0, s1 = draw(s0, s1)
        return bounded(word, n), s0, s1

    def member(members: Any, _n: Any, s0: Any, s1: Any) -> Any:
        word, s0, s1 = draw(s0, s1)
        return members[bounded(word, len(members))], s0, s1

    return member if subset else anybody


def _partner(pieces: Tools, tied: bool, weighted: bool) -> _Function:
    """Draws a partner of i; -1 for none."""
    draw, bounded, unit = pieces.draw, pieces.bounded, pieces.unit

    def other(i: Any, n: Any, _ties: Any, s0: Any, s1: Any) -> Any:
        word, s0, s1 = draw(s0, s1)
        j = bounded(word, n - 1)
        return (j + 1 if j >= i else j), s0, s1

    def tie(i: Any, _n: Any, ties: Any, s0: Any, s1: Any) -> Any:
        starts, stops, indices, _ = ties
        first = starts[i]
        degree = stops[i] - first
        if degree == 0:
            return -1, s0, s1
        word, s0, s1 = draw(s0, s1)
        return int(indices[first + bounded(word, degree)]), s0, s1

    def heavy(i: Any, _n: Any, ties: Any, s0: Any, s1: Any) -> Any:
        starts, stops, indices, mass = ties
        first, stop = starts[i], stops[i]
        if stop == first:
            return -1, s0, s1
        base = mass[first - 1] if first > 0 else 0.0
        total = mass[stop - 1] - base
        if total <= 0.0:
            return -1, s0, s1
        word, s0, s1 = draw(s0, s1)
        goal = base + unit(word) * total
        place = first
        while place < stop - 1 and mass[place] <= goal:
            place += 1
        return int(indices[place]), s0, s1

    if not tied:
        return other
    return heavy if weighted else tie


def _effect(pieces: Tools, rule: _Function, single: bool, noisy: bool) -> _Function:
    draw, unit = pieces.draw, pieces.unit

    def column(x: Any, i: Any, j: Any, movable: Any, params: Any, s0: Any, s1: Any) -> Any:
        own, other = rule(x[i], x[j], params)
        x[i] = own
        if movable[j]:
            x[j] = other
        return s0, s1

    def noisy_column(x: Any, i: Any, j: Any, movable: Any, params: Any, s0: Any, s1: Any) -> Any:
        word, s0, s1 = draw(s0, s1)
        own, other = rule(x[i], x[j], params, unit(word))
        x[i] = own
        if movable[j]:
            x[j] = other
        return s0, s1

    def rows(state: Any, i: Any, j: Any, _movable: Any, params: Any, s0: Any, s1: Any) -> Any:
        rule(i, j, state, params)
        return s0, s1

    def noisy_rows(state: Any, i: Any, j: Any, _movable: Any, params: Any, s0: Any, s1: Any) -> Any:
        word, s0, s1 = draw(s0, s1)
        rule(i, j, state, params, unit(word))
        return s0, s1

    if single:
        return noisy_column if noisy else column
    return noisy_rows if noisy else rows


def _gap(pieces: Tools, timed: bool) -> _Function:
    draw, unit = pieces.draw, pieces.unit

    def exponential(time: Any, rate: Any, s0: Any, s1: Any) -> Any:
        word, s0, s1 = draw(s0, s1)
        return time - math.log(1.0 - unit(word)) / rate, s0, s1

    def standing(time: Any, _rate: Any, s0: Any, s1: Any) -> Any:
        return time, s0, s1

    return exponential if timed else standing


def _drive(
    pieces: Tools, first: _Function, partner: _Function, effect: _Function, gap: _Function
) -> _Function:
    load = pieces.load

    def drive(
        state: Any,
        ties: Any,
        members: Any,
        movable: Any,
        params: Any,
        rate: Any,
        most: Any,
        until: Any,
        clock: Any,
        words: Any,
    ) -> Any:
        n = len(movable)
        s0, s1 = load(words)
        time = clock[0]
        made = 0
        while made < most and time <= until:
            i, s0, s1 = first(members, n, s0, s1)
            j, s0, s1 = partner(i, n, ties, s0, s1)
            if j >= 0:
                s0, s1 = effect(state, i, j, movable, params, s0, s1)
            made += 1
            time, s0, s1 = gap(time, rate, s0, s1)
        clock[0] = time
        words[0] = s0
        words[1] = s1
        return made

    return drive
