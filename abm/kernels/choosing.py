"""Choosing ties among those one meets, with probabilities that fall with distance.

Everybody's choices are successive draws without replacement with probabilities proportional to
exp(-strength * distance). A draw proposes somebody uniformly and accepts with that weight; where
that would take long, it is made from bounds on the weights of all, and accepted with the ratio of
weight and bound. A bound that was too high is then replaced by the weight. Both are exact.
Proposals are drawn in blocks, so that the memory of several people is read at a time; the generator
goes on after the last one that was used, so that the choices are those of one draw after another.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from abm.kernels.boxes import pull
from abm.kernels.fetching import fetch
from abm.kernels.library import as_unit, bounded, draw, lean, load, rest, unit

__all__ = ["Choices", "Circle", "Room", "choose_first", "choose_more", "room_for", "write_ties"]

_BLOCK = 32  # masses that are summed together, so that a draw looks at few
_PROPOSALS = 32  # drawn together
_PEOPLE_AHEAD = 4  # so many people before their turn what they own is fetched
_PATIENCE = 2  # from so many expected proposals per met person on, looking at all is quicker
_FINER = 8.0  # bounds are replaced by weights, from the largest down, in steps of this factor
_LEFT = 4.0  # until those that are left sum to no more than this many times the weights
_TINY = 1e-200  # below this total, bounds say nothing in 64 bits


class Circle(NamedTuple):
    """Who meets whom: person i meets those `met` gaps further that begin at turns[i].

    Attributes
    ----------
    gaps
        1..n-1 in random order.
    turns
        Where everybody's window begins, shape (n,).
    met
        Length of a window.
    """

    gaps: NDArray[np.int32]
    turns: NDArray[np.int32]
    met: int


class Choices(NamedTuple):
    """Who chose whom: chosen[i, :taken[i]] are the choices of i."""

    chosen: NDArray[np.int32]
    taken: NDArray[np.int32]


class Room(NamedTuple):
    """Work space.

    Attributes
    ----------
    mass, sums, known
        For a look at all: weights, or bounds on them, their sums in blocks, and which are weights.
    people, chances, states, weights, likely
        For a block of proposals: who, the number that decides, the generator after each, weights,
        and which of them are above no bound.
    """

    mass: NDArray[np.float64]
    sums: NDArray[np.float64]
    known: NDArray[np.bool_]
    people: NDArray[np.int32]
    chances: NDArray[np.float64]
    states: NDArray[np.uint64]
    weights: NDArray[np.float64]
    likely: NDArray[np.int32]


def room_for(met: int) -> Room:
    """Room for those whom a person meets."""
    n_blocks = -(-met // _BLOCK)
    return Room(
        np.zeros(n_blocks * _BLOCK),
        np.zeros(n_blocks),
        np.zeros(met, dtype=np.bool_),
        np.zeros(_PROPOSALS, dtype=np.int32),
        np.zeros(_PROPOSALS),
        np.zeros((_PROPOSALS, 2), dtype=np.uint64),
        np.zeros(_PROPOSALS),
        np.zeros(_PROPOSALS, dtype=np.int32),
    )


@lean
def among(choices: Any, i: Any, j: Any) -> Any:
    """Whether i has chosen j."""
    for place in range(choices.taken[i]):  # noqa: SIM110 - any() does not compile
        if choices.chosen[i, place] == j:
            return True
    return False


@lean
def met_at(circle: Any, i: Any, place: Any) -> Any:
    """Whom i meets at a place of its window."""
    size = circle.gaps.size
    at = circle.turns[i] + place
    if at >= size:
        at -= size
    j = i + circle.gaps[at]
    return j - size - 1 if j > size else j


@lean
def propose(
    i: Any, goal: Any, tries: Any, space: Any, strength: Any, likes: Any, circle: Any, choices: Any,
    room: Any, words: Any,
) -> Any:  # fmt: skip
    """Propose up to `tries` times, until i has made `goal` choices; returns how many ties are new.

    One word gives a proposal and the number that decides on it, most often by the bound alone.
    """
    made = 0
    while tries > 0 and choices.taken[i] < goal:
        size = min(tries, _PROPOSALS)
        tries -= size
        s0, s1 = draw_proposals(i, size, circle, room, words)
        n_likely = weigh(i, size, space, strength, likes, choices, room)
        for k in range(n_likely):
            place = room.likely[k]
            j = room.people[place]
            if room.chances[place] < room.weights[k] and not among(choices, i, j):
                made += record(choices, i, j)
                if choices.taken[i] == goal:
                    s0, s1 = room.states[place, 0], room.states[place, 1]
                    break
        words[0] = s0
        words[1] = s1
    return made


@lean
def draw_proposals(i: Any, size: Any, circle: Any, room: Any, words: Any) -> Any:
    """A block of proposals; returns the generator after them."""
    s0, s1 = load(words)
    for k in range(size):
        word, s0, s1 = draw(s0, s1)
        room.people[k] = met_at(circle, i, bounded(word, circle.met))
        room.chances[k] = as_unit(rest(word, circle.met))
        room.states[k, 0] = s0
        room.states[k, 1] = s1
    return s0, s1


@lean
def weigh(i: Any, size: Any, space: Any, strength: Any, likes: Any, choices: Any, room: Any) -> Any:
    """Weights of those in a block whom no bound rules out; returns how many these are."""
    own, n_likely = likes.box_of[i], 0
    for k in range(size):
        bound = likes.bounds[own, likes.box_of[room.people[k]]]
        room.likely[n_likely] = k
        n_likely += int(room.chances[k] < bound)
    for k in range(n_likely):
        j = room.people[room.likely[k]]
        fetch(space.at, j)
        fetch(choices.taken, j)
        fetch(choices.chosen, j)
    for k in range(n_likely):
        room.weights[k] = math.exp(-pull(space, strength, i, room.people[room.likely[k]]))
    return n_likely


@lean
def look_around(i: Any, space: Any, strength: Any, likes: Any, circle: Any, room: Any) -> None:
    """Bounds on the weights of all whom i meets, and the weights where the bounds are large.

    As many of the largest bounds are replaced by weights as it takes for one draw in five to be
    accepted.
    """
    own = likes.box_of[i]
    largest, open_mass, closed = 0.0, 0.0, 0.0
    for place in range(circle.met):
        bound = likes.bounds[own, likes.box_of[met_at(circle, i, place)]]
        room.mass[place] = bound
        room.known[place] = False
        open_mass += bound
        largest = max(largest, bound)
    while open_mass > _LEFT * closed and largest > _TINY:
        largest /= _FINER
        open_mass = 0.0
        for place in range(circle.met):
            if room.known[place]:
                continue
            if room.mass[place] < largest:
                open_mass += room.mass[place]
                continue
            weight = math.exp(-pull(space, strength, i, met_at(circle, i, place)))
            room.mass[place] = weight
            room.known[place] = True
            closed += weight
    for block in range(room.sums.size):
        add_up(room, block)


@lean
def add_up(room: Any, block: Any) -> None:
    """The sum of a block."""
    total = 0.0
    for place in range(block * _BLOCK, (block + 1) * _BLOCK):
        total += room.mass[place]
    room.sums[block] = total


@lean
def draw_place(room: Any, words: Any) -> Any:
    """A place by its mass; -1 if all masses together are too small."""
    total = 0.0
    for block in range(room.sums.size):
        total += room.sums[block]
    if not total > _TINY:
        return -1
    goal = unit(words) * total
    block = 0
    while goal >= room.sums[block] and block < room.sums.size - 1:
        goal -= room.sums[block]
        block += 1
    while block > 0 and room.sums[block] == 0.0:
        block -= 1  # rounding went past the last mass
    last = -1
    for place in range(block * _BLOCK, (block + 1) * _BLOCK):
        if room.mass[place] > 0.0:
            last = place
            goal -= room.mass[place]
            if goal < 0.0:
                break
    return last


@lean
def choose_by_bounds(
    i: Any, space: Any, strength: Any, circle: Any, choices: Any, room: Any, words: Any
) -> Any:
    """Whom i chooses of those in the room; -1 if their bounds are too small for numbers."""
    while True:
        place = draw_place(room, words)
        if place < 0:
            return -1
        j = met_at(circle, i, place)
        weight = 0.0 if among(choices, i, j) else math.exp(-pull(space, strength, i, j))
        accepted = unit(words) * room.mass[place] < weight
        room.mass[place] = 0.0 if accepted else weight
        add_up(room, place // _BLOCK)
        if accepted:
            return j


@lean
def choose_by_weights(
    i: Any, space: Any, strength: Any, circle: Any, choices: Any, room: Any, words: Any
) -> Any:
    """Whom i chooses by the weights of all whom i meets, relative to the nearest."""
    nearest = math.inf
    for place in range(circle.met):
        j = met_at(circle, i, place)
        room.mass[place] = math.inf
        if not among(choices, i, j):
            room.mass[place] = pull(space, strength, i, j)
            nearest = min(nearest, room.mass[place])
    for place in range(circle.met):
        room.mass[place] = math.exp(nearest - room.mass[place])
    for block in range(room.sums.size):
        add_up(room, block)
    return met_at(circle, i, draw_place(room, words))


@lean
def record(choices: Any, i: Any, j: Any) -> Any:
    """Note that i chose j; returns 1 if that is a new tie, 0 if j has chosen i before."""
    new = 0 if among(choices, j, i) else 1
    choices.chosen[i, choices.taken[i]] = j
    choices.taken[i] += 1
    return new


@lean
def choose(
    i: Any, goal: Any, space: Any, strength: Any, likes: Any, circle: Any, choices: Any, room: Any,
    words: Any,
) -> Any:  # fmt: skip
    """Choices of i until it has `goal`; returns how many new ties they make."""
    made, wanted = 0, goal - choices.taken[i]
    quick = wanted <= _PATIENCE * likes.mean[likes.box_of[i]] * circle.met
    tries = 2 * _PATIENCE * circle.met if quick else 0
    made += propose(i, goal, tries, space, strength, likes, circle, choices, room, words)
    if choices.taken[i] < goal:
        look_around(i, space, strength, likes, circle, room)
    bounded_by = True
    while choices.taken[i] < goal:
        j = -1
        if bounded_by:
            j = choose_by_bounds(i, space, strength, circle, choices, room, words)
            bounded_by = j >= 0
        if not bounded_by:
            j = choose_by_weights(i, space, strength, circle, choices, room, words)
        made += record(choices, i, j)
    return made


@lean
def fetch_own(i: Any, space: Any, likes: Any, circle: Any, choices: Any) -> None:
    """Ask for the memory of what belongs to i."""
    fetch(likes.box_of, i)
    fetch(space.at, i)
    fetch(circle.turns, i)
    fetch(choices.taken, i)
    fetch(choices.chosen, i)


@lean
def choose_first(
    goal: Any, space: Any, strength: Any, likes: Any, circle: Any, choices: Any, room: Any,
    words: Any,
) -> Any:  # fmt: skip
    """`goal` choices of everybody; returns how many ties they make, mutual ones counted once."""
    made = 0
    for k in range(likes.order.size):  # the alike together: they read the same bounds
        i = likes.order[k]
        if k + _PEOPLE_AHEAD < likes.order.size:
            fetch_own(likes.order[k + _PEOPLE_AHEAD], space, likes, circle, choices)
        made += choose(i, goal, space, strength, likes, circle, choices, room, words)
    return made


@lean
def choose_more(
    people: Any, made: Any, wanted: Any, space: Any, strength: Any, likes: Any, circle: Any,
    choices: Any, room: Any, words: Any,
) -> Any:  # fmt: skip
    """One more choice of each of `people` until there are `wanted` ties; returns how many.

    Who has chosen all whom they meet is passed over.
    """
    for k in range(people.size):
        i = people[k]
        if made >= wanted:
            break
        if k + _PEOPLE_AHEAD < people.size:
            fetch_own(people[k + _PEOPLE_AHEAD], space, likes, circle, choices)
        if choices.taken[i] < circle.met:
            goal = choices.taken[i] + 1
            made += choose(i, goal, space, strength, likes, circle, choices, room, words)
    return made


@lean
def write_ties(choices: Any, sources: Any, targets: Any) -> None:
    """The ties, mutual ones once."""
    filled = 0
    for i in range(choices.taken.size):
        for place in range(choices.taken[i]):
            j = choices.chosen[i, place]
            if j > i or not among(choices, j, i):
                sources[filled] = i
                targets[filled] = j
                filled += 1
