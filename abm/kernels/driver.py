"""The driver of pairwise encounters, put together from parts: whom, with whom, what, when.

Here are the parts, and the plain loop over them: draw an encounter, apply the rule to it. One word
of the generator gives a pair (among very many agents two), one more the gap to the next encounter
in continuous time; the rule's own chance is a generator of its own. Compiled, the same parts are
put together block by block in `abm.kernels.blocks`, and without a compiler encounters can be
applied in layers (`abm.kernels.layers`); both give the numbers of the plain loop.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from abm.kernels.blocks import assemble_blocks
from abm.kernels.guard import sound_of
from abm.kernels.rule import Taken, calling, widen
from abm.kernels.tools import Tools

__all__ = ["assemble", "effect", "first_of", "partner_of", "slot_of"]

_Function = Callable[..., Any]
WIDE = 2**26
"""From so many agents on, one word is too short for a pair, and the partner gets its own."""


def assemble(
    pieces: Tools,
    rule: Taken,
    dtype: str | tuple[int, ...],
    ties: str,
    turn: str,
    subset: bool,
    timed: bool,
    wide: bool,
) -> _Function:
    """The driver for a rule and a kind of work.

    Parameters
    ----------
    dtype
        Type of the column; for a rule on rows, which columns are under guard.
    ties
        `all`, `ties` or `weights`.
    turn
        Who starts an encounter: `anybody`, any of some `members`, or everybody in turn in a new
        order every round (`sweep`).
    subset
        Not everybody may be moved.
    timed
        Encounters are the events of a Poisson process up to a time.
    wide
        The partner is drawn from a word of its own.
    """
    meet = _meet(pieces, first_of(pieces, turn), partner_of(pieces, ties), wide)
    act = effect(pieces, rule, dtype, subset)
    gap = pieces.jit(_gap(pieces, timed))
    if pieces.compiled:
        return assemble_blocks(
            pieces, rule, dtype, turn, first_of(pieces, turn),
            partner_of(pieces, ties) if ties == "all" else slot_of(pieces, ties), act,
            everybody=ties == "all", subset=subset, timed=timed, wide=wide,
        )  # fmt: skip
    return _one_by_one(pieces, meet, act, gap)


def first_of(pieces: Tools, turn: str) -> _Function:
    """Who is next at a place of a round, and what is left of the word; `order` holds members."""
    bounded, rest = pieces.bounded, pieces.rest

    def anybody(_order: Any, _place: Any, n: Any, word: Any) -> Any:
        return bounded(word, n), rest(word, n)

    def member(order: Any, _place: Any, _n: Any, word: Any) -> Any:
        size = len(order)
        return int(order[bounded(word, size)]), rest(word, size)

    def in_turn(order: Any, place: Any, _n: Any, word: Any) -> Any:
        # Fisher and Yates, one step at a time: the rest of the order is drawn from anew.
        size = len(order) - place
        other = place + bounded(word, size)
        who = order[other]
        order[other] = order[place]
        order[place] = who
        return int(who), rest(word, size)

    return {"anybody": anybody, "members": member, "sweep": in_turn}[turn]


def partner_of(pieces: Tools, ties: str) -> _Function:
    """Draws a partner of i from a word; -1 for none."""
    if ties == "all":
        return _anybody_else(pieces)
    slot_from = pieces.jit(slot_of(pieces, ties))

    def tied(i: Any, n: Any, ties: Any, word: Any) -> Any:
        slot = slot_from(i, n, ties, word)
        return int(ties[2][slot]) if slot >= 0 else -1

    return tied


def _anybody_else(pieces: Tools) -> _Function:
    bounded = pieces.bounded

    def other(i: Any, n: Any, _ties: Any, word: Any) -> Any:
        j = bounded(word, n - 1)
        return j + 1 if j >= i else j

    return other


def slot_of(pieces: Tools, ties: str) -> _Function:
    """Draws a tie of i from a word: its place in the row of all ties; -1 for none."""
    bounded, unit = pieces.bounded, pieces.unit

    def tie(i: Any, _n: Any, ties: Any, word: Any) -> Any:
        first = ties[0][i]
        degree = ties[1][i] - first
        return first + bounded(word, degree) if degree > 0 else -1

    def heavy(i: Any, _n: Any, ties: Any, word: Any) -> Any:
        mass = ties[3]
        first, stop = ties[0][i], ties[1][i]
        if stop == first:
            return -1
        base = mass[first - 1] if first > 0 else 0.0
        total = mass[stop - 1] - base
        if total <= 0.0:
            return -1
        goal = base + unit(word) * total
        low, high = first, stop - 1
        while low < high:
            middle = (low + high) // 2
            if mass[middle] <= goal:
                low = middle + 1
            else:
                high = middle
        return low

    return {"ties": tie, "weights": heavy}[ties]


def effect(pieces: Tools, rule: Taken, dtype: str | tuple[int, ...], subset: bool) -> _Function:
    """Applies the rule to i and j; whether its results can stand. Faults are written down."""
    call = calling(pieces, rule)
    if not isinstance(dtype, str):
        return _rows(pieces, call, sound_of(pieces, dtype))
    wide = widen(pieces, dtype)

    def column(x: Any, i: Any, j: Any, movable: Any, params: Any, allowed: Any, rng: Any,
               fault: Any) -> Any:  # fmt: skip
        own, other = call(rng, wide(x[i]), wide(x[j]), params)
        low, high = allowed
        # What is nan is in no range, and integers take whole numbers only.
        if not (low <= own <= high and own == wide(own)):
            fault[0], fault[1], fault[2], fault[4] = 1.0, i, j, own
            return False
        if not (low <= other <= high and other == wide(other)):
            fault[0], fault[1], fault[2], fault[4] = 1.0, j, i, other
            return False
        x[i] = own
        if not subset or movable[j]:
            x[j] = other
        return True

    return pieces.jit(column)  # type: ignore[no-any-return]


def _rows(pieces: Tools, call: _Function, sound: _Function) -> _Function:
    """The same for a rule on rows: what it has left for i and j."""

    def rows(state: Any, i: Any, j: Any, _movable: Any, params: Any, ranges: Any, rng: Any,
             fault: Any) -> Any:  # fmt: skip
        call(rng, i, j, state, params)
        place = sound(state, ranges, i)
        if place >= 0:
            fault[0], fault[1], fault[2], fault[4] = 2.0, i, j, place
            return False
        place = sound(state, ranges, j)
        if place >= 0:
            fault[0], fault[1], fault[2], fault[4] = 2.0, j, i, place
            return False
        return True

    return pieces.jit(rows)  # type: ignore[no-any-return]


def _gap(pieces: Tools, timed: bool) -> _Function:
    draw, unit = pieces.draw, pieces.unit

    def exponential(time: Any, rate: Any, s0: Any, s1: Any) -> Any:
        word, s0, s1 = draw(s0, s1)
        return time - math.log(1.0 - unit(word)) / rate, s0, s1

    def standing(time: Any, _rate: Any, s0: Any, s1: Any) -> Any:
        return time, s0, s1

    return exponential if timed else standing


def _meet(pieces: Tools, first: _Function, partner: _Function, wide: bool) -> _Function:
    """Who meets whom: (order, place, n, ties, s0, s1) -> (i, j, s0, s1)."""
    draw, first, partner = pieces.draw, pieces.jit(first), pieces.jit(partner)

    def one_word(order: Any, place: Any, n: Any, ties: Any, s0: Any, s1: Any) -> Any:
        word, s0, s1 = draw(s0, s1)
        i, left = first(order, place, n, word)
        return i, partner(i, n, ties, left), s0, s1

    def two_words(order: Any, place: Any, n: Any, ties: Any, s0: Any, s1: Any) -> Any:
        word, s0, s1 = draw(s0, s1)
        i, _ = first(order, place, n, word)
        word, s0, s1 = draw(s0, s1)
        return i, partner(i, n, ties, word), s0, s1

    return pieces.jit(two_words if wide else one_word)  # type: ignore[no-any-return]


def _one_by_one(pieces: Tools, meet: _Function, act: _Function, gap: _Function) -> _Function:
    """The plain loop: draw an encounter, apply it."""
    load = pieces.load

    def drive(state: Any, n: Any, ties: Any, order: Any, movable: Any, params: Any, allowed: Any,
              _room: Any, rate: Any, most: Any, until: Any, clock: Any, words: Any, rng: Any,
              fault: Any) -> Any:  # fmt: skip
        size = max(len(order), 1)
        s0, s1 = load(words)
        time = clock[0]
        made = 0
        while made < most and time <= until:
            i, j, s0, s1 = meet(order, made % size, n, ties, s0, s1)
            fault[1], fault[2], fault[3], fault[5] = i, j, time, made
            if j >= 0 and not act(state, i, j, movable, params, allowed, rng, fault):
                break
            made += 1
            time, s0, s1 = gap(time, rate, s0, s1)
        clock[0] = time
        words[0] = s0
        words[1] = s1
        return made

    return drive
