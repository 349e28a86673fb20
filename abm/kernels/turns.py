"""Who acts next, a block of turns at a time: the same as one turn at a time, with less waiting.

Whose turn it is does not depend on what agents do. So the places of a block in the order are drawn
and asked for, then looked up, and the rows of those found are asked for before the first of them
acts. What is asked for is taken up between two requests: many at once would be passed over.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from abm.kernels.tools import Tools

__all__ = ["BLOCK", "choosing"]

_Function = Callable[..., Any]
BLOCK = 128
"""Turns that are drawn together."""


def choosing(pieces: Tools, turn: str, fetch_rows: _Function) -> _Function:
    """`choose(state, n, order, begin, k, ahead, s0, s1) -> (s0, s1)`: who acts in k turns.

    Parameters
    ----------
    pieces
        Compiled tools.
    turn
        `anybody`, `members` or `sweep`; see `abm.kernels.driver.first_of`, which tells who acts in
        one turn. The words and the order of the agents are the same.
    fetch_rows
        `fetch_rows(state, row)` asks for what an agent will need.

    Returns
    -------
    A function that writes the agents of turns begin to begin + k - 1 into `ahead`, k <= `BLOCK`.
    """
    made = {"anybody": _anybody, "members": _member, "sweep": _in_turn}[turn](pieces, fetch_rows)
    return pieces.jit(made)  # type: ignore[no-any-return]


def _anybody(pieces: Tools, fetch_rows: _Function) -> _Function:
    draw, bounded = pieces.draw, pieces.bounded

    def choose(state: Any, n: Any, _order: Any, _begin: Any, k: Any, ahead: Any, s0: Any,
               s1: Any) -> Any:  # fmt: skip
        for b in range(k):
            word, s0, s1 = draw(s0, s1)
            who = bounded(word, n)
            ahead[b] = who
            fetch_rows(state, who)
        return s0, s1

    return choose


def _member(pieces: Tools, fetch_rows: _Function) -> _Function:
    from abm.kernels.fetching import fetch  # loads Numba

    draw, bounded = pieces.draw, pieces.bounded

    def choose(state: Any, _n: Any, order: Any, _begin: Any, k: Any, ahead: Any, s0: Any,
               s1: Any) -> Any:  # fmt: skip
        size = len(order)
        for b in range(k):
            word, s0, s1 = draw(s0, s1)
            place = bounded(word, size)
            ahead[b] = place
            fetch(order, place)
        for b in range(k):
            who = order[np.uint64(ahead[b])]
            ahead[b] = who
            fetch_rows(state, who)
        return s0, s1

    return choose


def _in_turn(pieces: Tools, fetch_rows: _Function) -> _Function:
    """Fisher and Yates: the rest of the order is drawn from anew."""
    from abm.kernels.fetching import fetch  # loads Numba

    draw, bounded = pieces.draw, pieces.bounded

    def choose(state: Any, _n: Any, order: Any, begin: Any, k: Any, ahead: Any, s0: Any,
               s1: Any) -> Any:  # fmt: skip
        size = len(order) - begin
        for b in range(k):
            word, s0, s1 = draw(s0, s1)
            place = begin + b + bounded(word, size - b)
            ahead[b] = place
            fetch(order, place)
        for b in range(k):
            place, other = np.uint64(begin + b), np.uint64(ahead[b])
            who = order[other]
            order[other] = order[place]
            order[place] = who
            ahead[b] = who
            fetch_rows(state, who)
        return s0, s1

    return choose
