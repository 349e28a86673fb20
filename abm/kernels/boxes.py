"""People in boxes of similar people, and the most that anybody of one box can like one of another.

The boxes are the leaves of a k-d tree (Bentley 1975, Communications of the ACM 18) that is always
split where many people lie far apart. Two boxes give a bound on the weight, exp(-strength times
distance), of any two people in them, so that most of those who are not chosen are passed over
without their distance being computed.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from abm.kernels.library import lean, library

__all__ = ["Likes", "Space", "boxes_of", "pull"]

_MOST = 1024
_PEOPLE_PER_BOX = 32
_SAFETY = 1.0 + 1e-9  # far above the rounding of exp, so that a bound stays one


class Space(NamedTuple):
    """Where people stand.

    Attributes
    ----------
    at
        Coordinates, shape (n, n_axes), float32; numbers first, then codes of categories.
    numeric
        How many axes are numbers.
    share
        What a different category adds to the squared distance.
    """

    at: NDArray[np.float32]
    numeric: int
    share: float


class Likes(NamedTuple):
    """Bounds on the weights.

    Attributes
    ----------
    order
        People, box after box, shape (n,).
    box_of
        Box of each person, shape (n,).
    bounds
        Greatest weight between two boxes, shape (n_boxes, n_boxes).
    mean
        About the mean weight between people of a box and all others, shape (n_boxes,).
    """

    order: NDArray[np.int32]
    box_of: NDArray[np.uint16]
    bounds: NDArray[np.float64]
    mean: NDArray[np.float64]


def boxes_of(space: Space, strength: float) -> Likes:
    """Boxes of similar people, at most 1,024, and the bounds between them.

    Parameters
    ----------
    strength
        Of the weight exp(-strength * distance), >= 0.

    Examples
    --------
    >>> line = Space(np.linspace(0, 1, 64, dtype=np.float32)[:, None], 1, 1.0)
    >>> found = boxes_of(line, 2.0)
    >>> found.box_of.tolist() == [0] * 32 + [1] * 32, bool(0.9 < found.bounds[0, 1] < 1)
    (True, True)
    """
    n, axes = space.at.shape
    most = min(_MOST, max(1, n // _PEOPLE_PER_BOX))
    order, box_of = np.arange(n, dtype=np.int32), np.zeros(n, dtype=np.uint16)
    first, stop = np.zeros(most, dtype=np.int64), np.full(most, n, dtype=np.int64)
    low, high = np.empty((2, most, axes))
    made = split(space, order, first, stop, low, high)
    bounds, middling = np.empty((2, made, made))
    bound(space, strength, low, high, bounds, middling)
    sizes = (stop - first)[:made]
    box_of[order] = np.repeat(np.arange(made, dtype=np.uint16), sizes)
    return Likes(order, box_of, bounds, middling @ (sizes / n))


@lean
def pull(space: Any, strength: Any, i: Any, j: Any) -> Any:
    """strength * distance of two people: minus the logarithm of the weight."""
    total = 0.0
    for axis in range(space.numeric):
        gap = float(space.at[i, axis]) - float(space.at[j, axis])
        total += gap * gap
    for axis in range(space.numeric, space.at.shape[1]):
        if space.at[i, axis] != space.at[j, axis]:
            total += space.share
    return strength * math.sqrt(total)


@library
def measure(space: Any, order: Any, first: Any, stop: Any, low: Any, high: Any) -> None:
    """The ends of a box along every axis."""
    for axis in range(low.size):
        low[axis] = math.inf
        high[axis] = -math.inf
    for place in range(first, stop):
        for axis in range(low.size):
            value = float(space.at[order[place], axis])
            low[axis] = min(low[axis], value)
            high[axis] = max(high[axis], value)


@library
def widest(space: Any, low: Any, high: Any) -> Any:
    """The axis along which a box is widest, and its squared width."""
    best, most = 0, 0.0
    for axis in range(low.size):
        width = (high[axis] - low[axis]) ** 2
        if axis >= space.numeric and width > 0.0:
            width = space.share
        if width > most:
            best, most = axis, width
    return best, most


@lean
def part(space: Any, order: Any, first: Any, stop: Any, axis: Any, middle: Any) -> Any:
    """Put those up to the middle before the others; returns where the others begin."""
    a, b = first, stop
    while a < b:
        if space.at[order[a], axis] <= middle:
            a += 1
        else:
            b -= 1
            person = order[a]
            order[a] = order[b]
            order[b] = person
    return a


@library
def split(space: Any, order: Any, first: Any, stop: Any, low: Any, high: Any) -> Any:
    """Split boxes, the one with most people times squared width first; returns how many there are.

    A box is cut in its middle along its widest axis. People stay in ascending order of their boxes'
    places in `order`; boxes are renumbered in that order at the end.
    """
    made = 1
    measure(space, order, first[0], stop[0], low[0], high[0])
    while made < first.size:
        best, axis, most = -1, 0, 0.0
        for box in range(made):
            along, width = widest(space, low[box], high[box])
            weight = width * (stop[box] - first[box])
            if weight > most:
                best, axis, most = box, along, weight
        if best < 0:
            break  # all people of each box are alike
        middle = (low[best, axis] + high[best, axis]) / 2
        cut = part(space, order, first[best], stop[best], axis, middle)
        first[made] = cut
        stop[made] = stop[best]
        stop[best] = cut
        for box in (best, made):
            measure(space, order, first[box], stop[box], low[box], high[box])
        made += 1
    rank(made, first, stop, low, high)
    return made


@library
def rank(made: Any, first: Any, stop: Any, low: Any, high: Any) -> None:
    """Number boxes by their place."""
    by_place = np.argsort(first[:made])
    first[:made] = first[:made][by_place]
    stop[:made] = stop[:made][by_place]
    low[:made] = low[:made][by_place]
    high[:made] = high[:made][by_place]


@lean
def bound(space: Any, strength: Any, low: Any, high: Any, bounds: Any, middling: Any) -> None:
    """The weight at the least distance between two boxes, a little above; and at a middling one."""
    for a in range(bounds.shape[0]):
        for b in range(a + 1):
            total, usual = 0.0, 0.0
            for axis in range(space.numeric):
                width = high[a, axis] - low[a, axis] + high[b, axis] - low[b, axis]
                apart = (low[a, axis] + high[a, axis] - low[b, axis] - high[b, axis]) / 2.0
                usual += apart * apart + width * width / 24.0
                gap = max(0.0, low[b, axis] - high[a, axis], low[a, axis] - high[b, axis])
                total += gap * gap
            for axis in range(space.numeric, low.shape[1]):
                if low[b, axis] > high[a, axis] or low[a, axis] > high[b, axis]:
                    total += space.share
                    usual += space.share
                elif low[a, axis] != high[b, axis] or low[b, axis] != high[a, axis]:
                    usual += space.share / 2.0
            middling[a, b] = math.exp(-strength * math.sqrt(usual))
            middling[b, a] = middling[a, b]
            bounds[a, b] = math.exp(-strength * math.sqrt(total)) * _SAFETY
            bounds[b, a] = bounds[a, b]
