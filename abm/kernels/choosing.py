"""Choosing ties among those one meets, with probabilities that fall with distance.

Everybody's choices are successive draws without replacement with probabilities proportional to
exp(-strength * distance). A draw proposes somebody uniformly and accepts with that weight; if
nobody is accepted for long, it is made from the weights of all, so it is exact either way.
"""

from __future__ import annotations

import math
from typing import Any

from abm.kernels.library import below, library, unit

__all__ = ["choose_first", "choose_more", "write_ties"]


@library
def among(chosen: Any, taken: Any, i: Any, j: Any) -> Any:
    """Whether i has chosen j."""
    for place in range(taken[i]):  # noqa: SIM110 - any() does not compile
        if chosen[i, place] == j:
            return True
    return False


@library
def pull(space: Any, strength: Any, i: Any, j: Any) -> Any:
    """strength * distance: minus the logarithm of the weight."""
    total = 0.0
    for axis in range(space.shape[1]):
        gap = float(space[i, axis]) - float(space[j, axis])
        total += gap * gap
    return strength * math.sqrt(total)


@library
def met_at(circle: Any, turn: Any, i: Any, place: Any) -> Any:
    """Whom i meets at a place of the window that starts at `turn` of the circle of gaps."""
    at = turn + place
    if at >= circle.size:
        at -= circle.size
    j = i + circle[at]
    return j - circle.size - 1 if j > circle.size else j


@library
def propose(
    i: Any, tries: Any, space: Any, strength: Any, circle: Any, turn: Any, met: Any, chosen: Any,
    taken: Any, words: Any,
) -> Any:  # fmt: skip
    """Propose up to `tries` times; returns who was accepted, or -1, and the tries that are left."""
    while tries > 0:
        tries -= 1
        j = met_at(circle, turn, i, below(words, met))
        accepted = unit(words) < math.exp(-pull(space, strength, i, j))
        if accepted and not among(chosen, taken, i, j):
            return j, tries
    return -1, tries


@library
def survey(
    i: Any, space: Any, strength: Any, circle: Any, turn: Any, chosen: Any, taken: Any, mass: Any
) -> None:
    """The weights of all whom i meets, the nearest being 1; 0 for those chosen already."""
    nearest = math.inf
    for place in range(mass.size):
        j = met_at(circle, turn, i, place)
        mass[place] = math.inf
        if not among(chosen, taken, i, j):
            mass[place] = pull(space, strength, i, j)
            nearest = min(nearest, mass[place])
    for place in range(mass.size):
        mass[place] = math.exp(nearest - mass[place])


@library
def draw_place(mass: Any, words: Any) -> Any:
    """A place by its weight, which is then 0; -1 if all weights are."""
    total = 0.0
    for place in range(mass.size):
        total += mass[place]
    goal = unit(words) * total
    last = -1
    for place in range(mass.size):
        if mass[place] > 0.0:
            last = place
            goal -= mass[place]
            if goal < 0.0:
                break
    if last >= 0:
        mass[last] = 0.0
    return last


@library
def record(chosen: Any, taken: Any, i: Any, j: Any) -> Any:
    """Note that i chose j; returns 1 if that is a new tie, 0 if j has chosen i before."""
    new = 0 if among(chosen, taken, j, i) else 1
    chosen[i, taken[i]] = j
    taken[i] += 1
    return new


@library
def choose_first(
    whole: Any, space: Any, strength: Any, circle: Any, turns: Any, chosen: Any, taken: Any,
    mass: Any, words: Any,
) -> Any:  # fmt: skip
    """`whole` choices of everybody; returns how many ties they make, mutual ones counted once."""
    made, met = 0, mass.size
    for i in range(taken.size):
        tries = met // 4
        while taken[i] < whole:
            j, tries = propose(
                i, tries, space, strength, circle, turns[i], met, chosen, taken, words
            )
            if j < 0:
                break
            made += record(chosen, taken, i, j)
        if taken[i] < whole:
            survey(i, space, strength, circle, turns[i], chosen, taken, mass)
        while taken[i] < whole:
            place = draw_place(mass, words)
            if place >= 0:
                j = met_at(circle, turns[i], i, place)
                made += record(chosen, taken, i, j)
            else:  # beside those chosen, the weights of the others were too small for a number
                survey(i, space, strength, circle, turns[i], chosen, taken, mass)
    return made


@library
def choose_more(
    order: Any, made: Any, wanted: Any, space: Any, strength: Any, circle: Any, turns: Any,
    chosen: Any, taken: Any, mass: Any, words: Any,
) -> Any:  # fmt: skip
    """One more choice of each in `order` until there are `wanted` ties; returns how many there are.

    Who has chosen all whom they meet is passed over.
    """
    met = mass.size
    for i in order:
        if made >= wanted:
            break
        if taken[i] < met:
            j, _ = propose(
                i, met // 4, space, strength, circle, turns[i], met, chosen, taken, words
            )
            if j < 0:
                survey(i, space, strength, circle, turns[i], chosen, taken, mass)
                j = met_at(circle, turns[i], i, draw_place(mass, words))
            made += record(chosen, taken, i, j)
    return made


@library
def write_ties(chosen: Any, taken: Any, sources: Any, targets: Any) -> None:
    """The ties, mutual ones once."""
    filled = 0
    for i in range(taken.size):
        for place in range(taken[i]):
            j = chosen[i, place]
            if j > i or not among(chosen, taken, j, i):
                sources[filled] = i
                targets[filled] = j
                filled += 1
