"""Rounds of pairs at once: everybody meets somebody, or everybody is in at most one pair."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from abm.kernels.driver import effect, first_of, partner_of
from abm.kernels.rule import Taken, calling, widen
from abm.kernels.tools import Tools

__all__ = ["assemble_matching", "assemble_synchronous"]

_Function = Callable[..., Any]


def assemble_synchronous(pieces: Tools, rule: Taken, dtype: str, ties: str) -> _Function:
    """Everybody meets a drawn partner as both were at the start, and takes the first result."""
    draw, load = pieces.draw, pieces.load
    partner = pieces.jit(partner_of(pieces, ties))
    call, wide = calling(pieces, rule), widen(pieces, dtype)

    def drive(x: Any, n: Any, ties: Any, order: Any, _movable: Any, params: Any, allowed: Any,
              room: Any, rounds: Any, words: Any, rng: Any, fault: Any) -> Any:  # fmt: skip
        low, high = allowed
        s0, s1 = load(words)
        fresh = room
        made = 0
        for r in range(rounds):
            for k in range(len(order)):
                i = int(order[k])
                word, s0, s1 = draw(s0, s1)
                j = partner(i, n, ties, word)
                if j < 0:
                    fresh[k] = x[i]
                    continue
                fault[1], fault[2], fault[3] = i, j, r
                own, _ = call(rng, wide(x[i]), wide(x[j]), params)
                if not (low <= own <= high and own == wide(own)):
                    fault[0], fault[4] = 1.0, own
                    return made
                fresh[k] = own
                made += 1
            for k in range(len(order)):
                x[order[k]] = fresh[k]
        return made

    return drive


def assemble_matching(
    pieces: Tools, rule: Taken, dtype: str | tuple[int, ...], ties: str, subset: bool
) -> _Function:
    """A random matching per round: members in random order take a partner who is still free."""
    draw, load = pieces.draw, pieces.load
    next_one = pieces.jit(first_of(pieces, "sweep"))
    mate = pieces.jit(_mate(pieces, ties))
    act = effect(pieces, rule, dtype, subset)

    def drive(state: Any, n: Any, ties: Any, order: Any, movable: Any, params: Any, allowed: Any,
              room: Any, rounds: Any, words: Any, rng: Any, fault: Any) -> Any:  # fmt: skip
        s0, s1 = load(words)
        free = room
        made = 0
        waiting = -1
        for r in range(rounds):
            free[:] = True
            waiting = -1
            for place in range(len(order)):
                word, s0, s1 = draw(s0, s1)
                i, _ = next_one(order, place, n, word)
                if not free[i]:
                    continue
                word, s0, s1 = draw(s0, s1)
                j, waiting = mate(i, waiting, ties, free, word)
                if j < 0:
                    continue
                free[i] = free[j] = False
                fault[1], fault[2], fault[3] = i, j, r
                if not act(state, i, j, movable, params, allowed, rng, fault):
                    return made
                made += 1
        return made

    return drive


def _mate(pieces: Tools, ties: str) -> _Function:
    """A free partner of i, -1 for none; and who is waiting for the next one."""
    bounded, unit = pieces.bounded, pieces.unit

    def anybody(i: Any, waiting: Any, _ties: Any, _free: Any, _word: Any) -> Any:
        return (-1, i) if waiting < 0 else (waiting, -1)

    def tied(i: Any, _waiting: Any, ties: Any, free: Any, word: Any) -> Any:
        count = 0
        for slot in range(ties[0][i], ties[1][i]):
            count += free[ties[2][slot]]
        if count == 0:
            return -1, -1
        place = bounded(word, count)
        for slot in range(ties[0][i], ties[1][i]):
            j = int(ties[2][slot])
            if free[j]:
                if place == 0:
                    return j, -1
                place -= 1
        return -1, -1

    def heavy(i: Any, _waiting: Any, ties: Any, free: Any, word: Any) -> Any:
        total = 0.0
        for slot in range(ties[0][i], ties[1][i]):
            if free[ties[2][slot]]:
                total += ties[3][slot]
        goal = unit(word) * total
        last = -1
        for slot in range(ties[0][i], ties[1][i]):
            j = int(ties[2][slot])
            if free[j] and ties[3][slot] > 0.0:
                last = j
                goal -= ties[3][slot]
                if goal < 0.0:
                    return j, -1
        return last, -1

    return {"all": anybody, "ties": tied, "weights": heavy}[ties]
