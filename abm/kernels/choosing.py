"""Choosing ties among those one meets, with probabilities that fall with distance.

Everybody's choices are successive draws without replacement with probabilities proportional to
exp(-strength * distance). A draw proposes somebody uniformly and accepts with that weight; where
that would take long, it is made from bounds on the weights of all whom one meets, and accepted with
the ratio of weight and bound. A bound that was too high is then replaced by the weight. Both are
exact.
Proposals are drawn in blocks, so that the memory of several people is read at a time; the generator
goes on after the last one that was used, so that the choices are those of one draw after another.

People are called by their places here (`abm.kernels.boxes`), so that the alike lie together in
memory, and bounds for all whom somebody may meet are one short row.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from abm.kernels.boxes import FLOOR, Boxes, Space, above, look, pull
from abm.kernels.fetching import fetch
from abm.kernels.library import as_unit, bounded, draw, lean, load, rest, unit

__all__ = [
    "Choices",
    "Circle",
    "Crowd",
    "Room",
    "choose_first",
    "choose_more",
    "room_for",
    "write_ties",
]

_BLOCK = 32  # masses that are summed together, so that a draw looks at few
_PROPOSALS = 32  # drawn together
_PATIENCE = 0.5  # from so many expected proposals per met person on, looking at all is quicker
_ASKED = 256  # people who are asked about, to know how many proposals are to be expected
_SMALL = 16.0  # a bound is small if it is less than the mean bound by this factor
_AHEAD = 16  # people of whom it is fetched where they stand, before it is looked at
_LINE = 16  # gaps in a line of the cache
_WORTH = 32  # for so many of a box, bounds are worth their price
_TINY = 1e10 * FLOOR  # below this total, bounds say nothing


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


class Crowd(NamedTuple):
    """Where people stand, how much they care, in which boxes they are, and whom they meet."""

    space: Space
    strength: float
    boxes: Boxes
    circle: Circle


class Room(NamedTuple):
    """Work space.

    Attributes
    ----------
    row
        Bounds for the people of one box on the weights of those in each.
    mass, sums
        For a look at all: weights, or bounds on them, and their sums in blocks.
    people
        Whom one meets; or for a block of proposals, those of them whom no bound rules out.
    places
        For these the place in the block; or the places of those at whom one looks closely.
    chances, weights
        For a block of proposals: the number that decides, and a bound on the weight.
    """

    row: NDArray[np.float32]
    mass: NDArray[np.float64]
    sums: NDArray[np.float64]
    people: NDArray[np.int32]
    places: NDArray[np.int32]
    chances: NDArray[np.float64]
    weights: NDArray[np.float64]


def room_for(met: int, boxes: Boxes) -> Room:
    """Room for those whom a person meets, and for bounds, which are 1 at first."""
    n_blocks = -(-met // _BLOCK)
    return Room(
        np.ones(boxes.low.shape[1], dtype=np.float32),
        np.zeros(n_blocks * _BLOCK),
        np.zeros(n_blocks),
        np.zeros(max(met, _PROPOSALS), dtype=np.int32),
        np.zeros(max(met, _PROPOSALS), dtype=np.int32),
        np.zeros(_PROPOSALS),
        np.zeros(_PROPOSALS),
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
def propose(i: Any, goal: Any, tries: Any, crowd: Any, choices: Any, room: Any, words: Any) -> Any:
    """Propose up to `tries` times, until i has made `goal` choices; returns how many ties are new.

    One word gives a proposal and the number that decides on it, most often by the bound alone.
    """
    made = 0
    s0, s1 = load(words)
    while tries > 0 and choices.taken[i] < goal:
        size = min(tries, _PROPOSALS)
        tries -= size
        begun0, begun1 = s0, s1
        n_likely, s0, s1 = draw_proposals(i, size, crowd, room, s0, s1)
        weigh(i, n_likely, crowd, room)
        for k in range(n_likely):
            j = room.people[k]
            if room.chances[k] >= room.weights[k] or among(choices, i, j):
                continue
            if room.chances[k] < math.exp(-pull(crowd.space, crowd.strength, i, j)):
                made += record(choices, i, j)
                if choices.taken[i] == goal:
                    s0, s1 = begun0, begun1
                    for _ in range(room.places[k] + 1):
                        _, s0, s1 = draw(s0, s1)
                    break
    words[0] = s0
    words[1] = s1
    return made


@lean
def draw_proposals(i: Any, size: Any, crowd: Any, room: Any, s0: Any, s1: Any) -> Any:
    """A block of proposals; returns how many no bound rules out, and the generator after all."""
    circle, shift = crowd.circle, crowd.boxes.shift
    n_likely = 0
    for k in range(size):
        word, s0, s1 = draw(s0, s1)
        j = met_at(circle, i, bounded(word, circle.met))
        chance = as_unit(rest(word, circle.met))
        room.people[n_likely] = j
        room.chances[n_likely] = chance
        room.places[n_likely] = k
        n_likely += int(chance < room.row[j >> shift])
    return n_likely, s0, s1


@lean
def weigh(i: Any, n_likely: Any, crowd: Any, room: Any) -> None:
    """Bounds close above the weights of those whom no bound of boxes rules out."""
    for k in range(n_likely):
        fetch(crowd.space.at, room.people[k])
    for k in range(n_likely):
        room.weights[k] = above(pull(crowd.space, crowd.strength, i, room.people[k]))


@lean
def look_around(i: Any, crowd: Any, room: Any) -> None:
    """Bounds on the weights of all whom i meets; close ones where those of boxes are not small."""
    met, shift, total, n_near = crowd.circle.met, crowd.boxes.shift, 0.0, 0
    for place in range(met):
        room.people[place] = met_at(crowd.circle, i, place)
        room.mass[place] = room.row[room.people[place] >> shift]
        total += room.mass[place]
    for place in range(met):
        room.places[n_near] = place
        n_near += int(_SMALL * met * room.mass[place] >= total)
    for k in range(min(_AHEAD, n_near)):
        fetch(crowd.space.at, room.people[room.places[k]])
    for k in range(n_near):
        if k + _AHEAD < n_near:
            fetch(crowd.space.at, room.people[room.places[k + _AHEAD]])
        place = room.places[k]
        room.mass[place] = above(pull(crowd.space, crowd.strength, i, room.people[place]))
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
def choose_by_bounds(i: Any, crowd: Any, choices: Any, room: Any, words: Any) -> Any:
    """Whom i chooses of those in the room; -1 if their bounds are too small for numbers."""
    while True:
        place = draw_place(room, words)
        if place < 0:
            return -1
        j = met_at(crowd.circle, i, place)
        weight = 0.0
        if not among(choices, i, j):
            weight = math.exp(-pull(crowd.space, crowd.strength, i, j))
        accepted = unit(words) * room.mass[place] < weight
        room.mass[place] = 0.0 if accepted else weight
        add_up(room, place // _BLOCK)
        if accepted:
            return j


@lean
def choose_by_weights(i: Any, crowd: Any, choices: Any, room: Any, words: Any) -> Any:
    """Whom i chooses by the weights of all whom i meets, relative to the nearest."""
    nearest = math.inf
    for place in range(crowd.circle.met):
        j = met_at(crowd.circle, i, place)
        room.mass[place] = math.inf
        if not among(choices, i, j):
            room.mass[place] = pull(crowd.space, crowd.strength, i, j)
            nearest = min(nearest, room.mass[place])
    for place in range(crowd.circle.met):
        room.mass[place] = math.exp(nearest - room.mass[place])
    for block in range(room.sums.size):
        add_up(room, block)
    return met_at(crowd.circle, i, draw_place(room, words))


@lean
def record(choices: Any, i: Any, j: Any) -> Any:
    """Note that i chose j; returns 1 if that is a new tie, 0 if j has chosen i before."""
    new = 0 if among(choices, j, i) else 1
    choices.chosen[i, choices.taken[i]] = j
    choices.taken[i] += 1
    return new


@lean
def tries_for(i: Any, wanted: Any, crowd: Any) -> Any:
    """How often it pays to propose for some choices, for somebody who stands about where i does."""
    n, total, patience = len(crowd.space.at), 0.0, _PATIENCE * crowd.circle.met
    step = max(n // _ASKED, 1)
    for j in range(step // 2, n, step):
        total += math.exp(-pull(crowd.space, crowd.strength, i, j))
    return int(2 * patience) if wanted * (n // step) <= patience * total else 0


@lean
def choose(i: Any, goal: Any, tries: Any, crowd: Any, choices: Any, room: Any, words: Any) -> Any:
    """Choices of i until it has `goal`; returns how many new ties they make.

    Parameters
    ----------
    tries
        How often to propose before a look at all whom i meets.
    """
    made = propose(i, goal, tries, crowd, choices, room, words)
    if choices.taken[i] < goal:
        look_around(i, crowd, room)
    bounded_by = True
    while choices.taken[i] < goal:
        j = -1
        if bounded_by:
            j = choose_by_bounds(i, crowd, choices, room, words)
            bounded_by = j >= 0
        if not bounded_by:
            j = choose_by_weights(i, crowd, choices, room, words)
        made += record(choices, i, j)
    return made


@lean
def fetch_window(i: Any, circle: Any) -> None:
    """Ask for the memory of i's window."""
    at = circle.turns[i]
    for _ in range(0, circle.met, _LINE):
        fetch(circle.gaps, at)
        at += _LINE
        if at >= circle.gaps.size:
            at -= circle.gaps.size


@lean
def overlook_boxes(room: Any) -> None:
    """Bounds that hold for everybody: no weight is above 1."""
    for box in range(len(room.row)):
        room.row[box] = 1.0


@lean
def choose_first(goal: Any, crowd: Any, choices: Any, room: Any, words: Any) -> Any:
    """`goal` choices of everybody; returns how many ties they make, mutual ones counted once."""
    made, n = 0, len(choices.taken)
    size = 1 << crowd.boxes.shift
    for first in range(0, n, size):
        look(crowd.space, crowd.strength, crowd.boxes, first // size, room.row)
        tries = tries_for(first, goal, crowd)
        for i in range(first, min(first + size, n)):
            fetch_window(min(i + 1, n - 1), crowd.circle)
            made += choose(i, goal, tries, crowd, choices, room, words)
    return made


@lean
def choose_more(people: Any, crowd: Any, choices: Any, room: Any, words: Any) -> Any:
    """One more choice of each of `people`, in ascending order; returns how many ties are new.

    Who has chosen all whom they meet is passed over.
    """
    shift, met = crowd.boxes.shift, crowd.circle.met
    made, own, tries = 0, -1, 0
    for k in range(people.size):
        i = people[k]
        if i >> shift != own:
            own = i >> shift
            if k + _WORTH < people.size and people[k + _WORTH] >> shift == own:
                look(crowd.space, crowd.strength, crowd.boxes, own, room.row)
                tries = tries_for(i, 1, crowd)
            else:
                overlook_boxes(room)
                tries = met // 4
        if choices.taken[i] < met:
            made += choose(i, choices.taken[i] + 1, tries, crowd, choices, room, words)
    return made


@lean
def write_ties(choices: Any, order: Any, sources: Any, targets: Any) -> None:
    """The ties between people, who are in `order`; mutual ones once."""
    filled = 0
    for i in range(choices.taken.size):
        for place in range(choices.taken[i]):
            j = choices.chosen[i, place]
            if j > i or not among(choices, j, i):
                sources[filled] = order[i]
                targets[filled] = order[j]
                filled += 1
