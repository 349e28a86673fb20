"""The compiled driver of pairwise encounters: block by block, with the results of the plain loop.

Draw the words of a block, look up who meets whom, apply the rule in order. Each step is a loop of
its own, and what the next loop will need is asked for before it begins, so that many memory
accesses are under way at once, and no step waits for the one before.

The rule is applied without a branch for what cannot stand: former values are kept, results are
looked at when the block is through, or on the way if they are whole numbers. If something is wrong,
the block is taken back and applied again with care, which finds the first fault. (Results are
looked at as 64-bit floats, so columns of 64-bit integers are applied with care at once.)
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
    """Room for a block: who, with whom, when; two words each; former values; results; and three
    words, the state of the rule's generator before it and the place it is at, if that is known."""
    kind = np.float64 if dtype is None else dtype
    who = np.full(BLOCK, -1), np.full(BLOCK, -1), np.empty(BLOCK)
    drawn = np.empty(BLOCK, np.uint64), np.empty(BLOCK, np.uint64)
    former = np.empty(BLOCK, kind), np.empty(BLOCK, kind)
    at = np.array([0, 0, BLOCK], np.uint64)
    return (*who, *drawn, *former, np.empty(BLOCK), np.empty(BLOCK), at)


def assemble_blocks(
    pieces: Tools,
    rule: Taken,
    dtype: str | tuple[int, ...],
    turn: str,
    first: _Function,
    meet: _Function,
    act: _Function,
    *,
    everybody: bool,
    subset: bool,
    timed: bool,
    wide: bool,
) -> _Function:
    """The driver.

    Parameters
    ----------
    first
        Who starts an encounter; see `abm.kernels.driver.first_of`.
    meet
        Among everybody the partner, else the place of a tie: `partner_of` and `slot_of` there.
    act
        Applies the rule to one pair.
    """
    load = pieces.load
    draw_block = pieces.jit(_drawing(pieces, timed, wide))
    start_block = pieces.jit(_starting(pieces, first, wide, in_turn=turn == "sweep"))
    meet_block = pieces.jit(_meeting(pieces.jit(meet), everybody))
    single = isinstance(dtype, str)
    touch = pieces.jit((_read if everybody else _asking()) if single else _leave)
    apply = pieces.jit(_careful(act, everybody))
    if isinstance(dtype, str) and (np.dtype(dtype).kind == "f" or np.dtype(dtype).itemsize <= 4):
        apply = pieces.jit(_quick(pieces, rule, dtype, apply, everybody, subset))

    def drive(state: Any, n: Any, ties: Any, order: Any, movable: Any, params: Any, allowed: Any,
              room: Any, rate: Any, most: Any, until: Any, clock: Any, words: Any, rng: Any,
              fault: Any) -> Any:  # fmt: skip
        s0, s1 = load(words)
        time = clock[0]
        made, place = 0, 0
        sound, touched = True, 0.0
        while sound and made < most and time <= until:
            k, time, s0, s1 = draw_block(room, min(BLOCK, most - made), time, until, rate, s0, s1)
            place = start_block(room, k, order, place, n)
            meet_block(room, k, n, ties)
            touched += touch(state, room, k)
            fault[5] = made
            done = apply(state, room, k, movable, params, allowed, rng, fault)
            sound = done == k
            made += done
        clock[0] = time
        words[0] = s0
        words[1] = s1
        fault[4] = fault[4] if fault[0] else touched
        return made

    return drive


def _drawing(pieces: Tools, timed: bool, wide: bool) -> _Function:
    """The words of a block, and its times; a word of its own for the partner if `wide`."""
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


def _starting(pieces: Tools, first: _Function, wide: bool, in_turn: bool) -> _Function:
    """Who starts the encounters of a block; the place in the order after it."""
    one = pieces.jit(first)

    def start_block(room: Any, k: Any, order: Any, place: Any, n: Any) -> Any:
        firsts, drawn, others = room[0], room[3], room[4]
        size = max(len(order), 1)
        for b in range(k):
            firsts[b], left = one(order, place, n, drawn[b])
            if in_turn:
                place = place + 1 if place + 1 < size else 0
            if not wide:
                others[b] = left
        return place

    return start_block


def _meeting(meet: _Function, everybody: bool) -> _Function:
    """With whom, from the second words of a block; -1 for nobody."""
    from abm.kernels.fetching import fetch  # loads Numba

    def among_all(room: Any, k: Any, n: Any, ties: Any) -> None:
        firsts, seconds, others = room[0], room[1], room[4]
        for b in range(k):
            seconds[b] = meet(firsts[b], n, ties, others[b])

    def on_ties(room: Any, k: Any, n: Any, ties: Any) -> None:
        firsts, seconds, others = room[0], room[1], room[4]
        starts, _, indices, _ = ties
        for b in range(k):
            fetch(starts, firsts[b])
        for b in range(k):
            slot = meet(np.uint64(firsts[b]), n, ties, others[b])
            seconds[b] = slot
            fetch(indices, max(slot, 0))
        for b in range(k):
            slot = seconds[b]
            seconds[b] = indices[np.uint64(slot)] if slot >= 0 else -1

    return among_all if everybody else on_ties


def _read(x: Any, room: Any, k: Any) -> Any:
    """Reads what a block will need, so that all of it comes to the cache at once; returns a sum,
    that keeps the reading from being left out. Among all it is quicker than asking, on ties not."""
    firsts, seconds = room[0], room[1]
    total = 0.0
    for b in range(k):
        total += x[np.uint64(firsts[b])] + x[np.uint64(seconds[b])]
    return total


def _asking() -> _Function:
    """Asks for what a block will need."""
    from abm.kernels.fetching import fetch  # loads Numba

    def ask(x: Any, room: Any, k: Any) -> Any:
        firsts, seconds = room[0], room[1]
        for b in range(k):
            fetch(x, firsts[b])
            fetch(x, max(seconds[b], 0))
        return 0.0

    return ask


def _leave(_state: Any, _room: Any, _k: Any) -> Any:
    return 0.0


def _careful(act: _Function, everybody: bool) -> _Function:
    """One pair after another, up to the first fault; how many."""

    def apply(state: Any, room: Any, k: Any, movable: Any, params: Any, allowed: Any, rng: Any,
              fault: Any) -> Any:  # fmt: skip
        firsts, seconds, times = room[0], room[1], room[2]
        for b in range(k):
            i, j = firsts[b], seconds[b]
            met = everybody or j >= 0
            room[9][2] = b
            if met and not act(state, i, j, movable, params, allowed, rng, fault):
                fault[3] = times[b]
                return b
        return k

    return apply


def _quick(
    pieces: Tools, rule: Taken, dtype: str, careful: _Function, everybody: bool, subset: bool
) -> _Function:
    """The same for one column: go back if something was wrong."""
    call, wide, real = calling(pieces, rule), widen(pieces, dtype), pieces.real
    within, take_back = pieces.jit(_within), pieces.jit(_take_back)
    whole = np.dtype(dtype).kind != "f"

    def apply(x: Any, room: Any, k: Any, movable: Any, params: Any, allowed: Any, rng: Any,
              fault: Any) -> Any:  # fmt: skip
        firsts, seconds, own_former, other_former, owns, others = room[:2] + room[5:9]
        h0, h1 = rng.held[0], rng.held[1]
        room[9][0] = h0
        room[9][1] = h1
        low, high = real(allowed[0]), real(allowed[1])
        sound = True
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
            if whole:
                one, two = real(own), real(other)
                sound = sound & (low <= one) & (one <= high) & (low <= two) & (two <= high)
                sound = sound & (np.floor(one) == one) & (np.floor(two) == two)
            else:
                owns[b] = own
                others[b] = other
            x[i] = own
            if not subset or movable[j]:
                x[j] = other
        if not whole:
            sound = within(owns, others, k, low, high)
        if sound:
            return k
        take_back(x, room, k)
        rng.held[0] = h0
        rng.held[1] = h1
        return careful(x, room, k, movable, params, allowed, rng, fault)

    return apply


def _within(owns: Any, others: Any, k: Any, low: Any, high: Any) -> Any:
    """Whether all results lie in a range; what is nan is in none."""
    wrong = 0
    for b in range(k):
        sound = (low <= owns[b]) & (owns[b] <= high)
        sound = sound & (low <= others[b]) & (others[b] <= high)
        wrong += not sound
    return wrong == 0


def _take_back(x: Any, room: Any, k: Any) -> None:
    """Former values of all in a block, the last first."""
    firsts, seconds, own_former, other_former = room[0], room[1], room[5], room[6]
    for b in range(k - 1, -1, -1):
        x[firsts[b]] = own_former[b]
        if seconds[b] >= 0:
            x[seconds[b]] = other_former[b]
