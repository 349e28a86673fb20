"""The compiled driver of pairwise encounters: block by block, with the results of the plain loop.

Draw the words of a block, look up who meets whom, touch what the rule will need, apply the rule in
order. Each step is a loop of its own, so that many memory accesses are under way at once, and no
step waits for the one before.

The rule is applied without a branch for what cannot stand: results are kept beside the former
values and looked at when the block is through. If something is wrong, the block is taken back and
applied again with care, which finds the first fault. (Results are kept as 64-bit floats, so columns
of 64-bit integers are applied with care at once.)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from abm.kernels.rule import Taken, calling, widen
from abm.kernels.tools import Tools

__all__ = ["BLOCK", "assemble_blocks", "room_of"]

_Function = Callable[..., Any]
BLOCK = 512


def room_of(dtype: Any) -> tuple[Any, ...]:
    """Room for a block: who, with whom, when; two words each; former values; results."""
    kind = np.float64 if dtype is None else dtype
    who = np.full(BLOCK, -1), np.full(BLOCK, -1), np.empty(BLOCK)
    drawn = np.empty(BLOCK, np.uint64), np.empty(BLOCK, np.uint64)
    former = np.empty(BLOCK, kind), np.empty(BLOCK, kind)
    return (*who, *drawn, *former, np.empty(BLOCK), np.empty(BLOCK))


def assemble_blocks(
    pieces: Tools,
    rule: Taken,
    dtype: str | tuple[int, ...],
    first: _Function,
    partner: _Function,
    act: _Function,
    *,
    everybody: bool,
    subset: bool,
    timed: bool,
    wide: bool,
) -> _Function:
    """The driver; `act` applies the rule to one pair, the other arguments are as in `assemble`."""
    load = pieces.load
    draw_block = pieces.jit(_drawing(pieces, timed, wide))
    pick_block = pieces.jit(_picking(pieces, first, partner, wide, everybody))
    single = isinstance(dtype, str)
    touch = pieces.jit(_touch if single else _no_touch)
    apply = pieces.jit(_careful(act, everybody))
    if isinstance(dtype, str) and (np.dtype(dtype).kind == "f" or np.dtype(dtype).itemsize <= 4):
        apply = pieces.jit(_quick(pieces, rule, dtype, apply, everybody, subset))

    def drive(state: Any, n: Any, ties: Any, order: Any, movable: Any, params: Any, allowed: Any,
              room: Any, rate: Any, most: Any, until: Any, clock: Any, words: Any, rng: Any,
              fault: Any) -> Any:  # fmt: skip
        s0, s1 = load(words)
        time = clock[0]
        made, place = 0, 0
        sound = True
        touched = 0.0
        while sound and made < most and time <= until:
            k, time, s0, s1 = draw_block(room, min(BLOCK, most - made), time, until, rate, s0, s1)
            place, rows = pick_block(room, k, order, place, n, ties)
            touched += rows
            touched += touch(state, room, k)
            done = apply(state, room, k, movable, params, allowed, rng, fault)
            sound = done == k
            made += done
        clock[0] = time
        words[0] = s0
        words[1] = s1
        fault[4] = fault[4] if fault[0] else touched  # keeps the touching from being left out
        return made

    return drive


def _drawing(pieces: Tools, timed: bool, wide: bool) -> _Function:
    """The words of a block, and its times."""
    draw, unit = pieces.draw, pieces.unit

    def draw_block(room: Any, wanted: Any, time: Any, until: Any, rate: Any, s0: Any,
                   s1: Any) -> Any:  # fmt: skip
        times, drawn, others = room[2], room[3], room[4]
        k = 0
        while k < wanted and time <= until:
            word, s0, s1 = draw(s0, s1)
            drawn[k] = word
            if wide:
                word, s0, s1 = draw(s0, s1)
                others[k] = word
            if timed:
                times[k] = time
                word, s0, s1 = draw(s0, s1)
                time = time - math.log(1.0 - unit(word)) / rate
            k += 1
        if not timed:
            times[:k] = time
        return k, time, s0, s1

    return draw_block


def _picking(
    pieces: Tools, first: _Function, partner: _Function, wide: bool, everybody: bool
) -> _Function:
    """Who meets whom, from the words of a block; the place in the order after it, and a sum that
    keeps the reading of rows ahead from being left out."""
    one, other = pieces.jit(first), pieces.jit(partner)

    def pick_block(room: Any, k: Any, order: Any, place: Any, n: Any, ties: Any) -> Any:
        firsts, seconds, drawn, others = room[0], room[1], room[3], room[4]
        size = max(len(order), 1)
        touched = 0
        for b in range(k):
            i, left = one(order, place, n, drawn[b])
            place = place + 1 if place + 1 < size else 0
            firsts[b] = i
            if everybody:
                seconds[b] = other(i, n, ties, others[b] if wide else left)
            elif not wide:
                others[b] = left
        if not everybody:
            for b in range(k):
                i = np.uint64(firsts[b])
                touched += ties[1][i] - ties[0][i]
            for b in range(k):
                seconds[b] = other(np.uint64(firsts[b]), n, ties, others[b])
        return place, touched

    return pick_block


def _touch(x: Any, room: Any, k: Any) -> Any:
    """Reads what a block will need, so that all of it comes to the cache at once."""
    firsts, seconds = room[0], room[1]
    total = 0.0
    for b in range(k):
        total += x[np.uint64(firsts[b])] + x[np.uint64(max(seconds[b], 0))]
    return total


def _no_touch(_state: Any, _room: Any, _k: Any) -> Any:
    return 0.0


def _careful(act: _Function, everybody: bool) -> _Function:
    """One pair after another, up to the first fault; how many."""

    def apply(state: Any, room: Any, k: Any, movable: Any, params: Any, allowed: Any, rng: Any,
              fault: Any) -> Any:  # fmt: skip
        firsts, seconds, times = room[0], room[1], room[2]
        for b in range(k):
            i, j = firsts[b], seconds[b]
            met = everybody or j >= 0
            if met and not act(state, i, j, movable, params, allowed, rng, fault):
                fault[3] = times[b]
                return b
        return k

    return apply


def _quick(
    pieces: Tools, rule: Taken, dtype: str, careful: _Function, everybody: bool, subset: bool
) -> _Function:
    """The same for one column: look afterwards, and go back if something is wrong."""
    call, wide, real = calling(pieces, rule), widen(pieces, dtype), np.dtype(dtype).kind == "f"

    def apply(x: Any, room: Any, k: Any, movable: Any, params: Any, allowed: Any, rng: Any,
              fault: Any) -> Any:  # fmt: skip
        firsts, seconds = room[0], room[1]
        own_former, other_former, owns, others = room[5], room[6], room[7], room[8]
        h0, h1 = rng.held[0], rng.held[1]
        low, high = allowed
        for b in range(k):
            if not everybody and seconds[b] < 0:
                own_former[b] = other_former[b] = x[firsts[b]]
                owns[b] = others[b] = low
                continue
            i, j = np.uint64(firsts[b]), np.uint64(seconds[b])
            own_before, other_before = x[i], x[j]
            own_former[b] = own_before
            other_former[b] = other_before
            own, other = call(rng, wide(own_before), wide(other_before), params)
            owns[b] = own
            others[b] = other
            x[i] = own
            if not subset or movable[j]:
                x[j] = other
        wrong = 0
        for b in range(k):
            sound = (low <= owns[b]) & (owns[b] <= high)
            sound = sound & (low <= others[b]) & (others[b] <= high)
            if not real:
                sound = sound & (np.floor(owns[b]) == owns[b])
                sound = sound & (np.floor(others[b]) == others[b])
            wrong += not sound
        if wrong == 0:
            return k
        for b in range(k - 1, -1, -1):
            x[firsts[b]] = own_former[b]
            if seconds[b] >= 0:
                x[seconds[b]] = other_former[b]
        rng.held[0] = h0
        rng.held[1] = h1
        return careful(x, room, k, movable, params, allowed, rng, fault)

    return apply
