"""People in boxes of similar people, and the most that those of one can like anybody of another.

The boxes are the leaves of a k-d tree (Bentley 1975, Communications of the ACM 18), of equally many
people each, so that the box of a person is known from its place. Two boxes give a bound on the
weight, exp(-strength times distance), of any two people in them, so that most of those who are not
chosen are passed over without a look at where they stand.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from abm.kernels.library import lean, library

__all__ = ["FLOOR", "Boxes", "Space", "above", "boxes_of", "look", "pull"]

FLOOR = 1e-30  # bounds are no less, as 32-bit floats have no smaller numbers to speak of
_MOST = 4096  # boxes; a row of bounds on all of them stays in the cache
_PEOPLE_PER_BOX = 32  # at least
_STEPS = 16  # bounds fall in steps of exp(-1 / 16)
_SAFETY = 1.001  # far above the rounding of 32 bits, so that a bound stays one
_FALL = np.maximum(np.exp(-np.arange(70 * _STEPS) / _STEPS) * _SAFETY, FLOOR).astype(np.float32)


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


class Boxes(NamedTuple):
    """Places p of people; box p >> shift holds 2**shift people, the last one perhaps fewer.

    Attributes
    ----------
    order
        Person at each place, shape (n,).
    shift
        Binary logarithm of the size of a box.
    low, high
        The ends of the boxes along every axis, shape (n_axes, n_boxes).
    """

    order: NDArray[np.int32]
    shift: int
    low: NDArray[np.float32]
    high: NDArray[np.float32]


def boxes_of(space: Space) -> tuple[Space, Boxes]:
    """Where the people of all places stand, and their boxes, at most 4,096.

    Examples
    --------
    >>> line = Space(np.arange(64, dtype=np.float32)[::-1, None], 1, 1.0)
    >>> sorted_line, boxes = boxes_of(line)
    >>> boxes.shift, sorted(boxes.order[:32].tolist()) == list(range(32, 64))
    (5, True)
    >>> boxes.low.tolist(), boxes.high.tolist()
    ([[0.0, 32.0]], [[31.0, 63.0]])
    """
    n, axes = space.at.shape
    shift = (_PEOPLE_PER_BOX - 1).bit_length()
    while (n - 1) >> shift >= _MOST:
        shift += 1
    n_boxes = ((n - 1) >> shift) + 1
    at, order = space.at.copy(), np.arange(n, dtype=np.int32)
    low, high = np.empty((2, axes, n_boxes), dtype=np.float32)
    sort_out(at, order, space.numeric, space.share, 1 << shift, low, high)
    return space._replace(at=at), Boxes(order, shift, low, high)


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


@lean
def above(far: Any) -> Any:
    """A little above exp(-far), and no less than `FLOOR`, for far >= 0."""
    return _FALL[int(min(_STEPS * far, len(_FALL) - 1.0))]


@lean
def measure(at: Any, first: Any, stop: Any, low: Any, high: Any, box: Any) -> None:
    """The ends along every axis of those in places first..stop-1, written down for a box."""
    for axis in range(at.shape[1]):
        least = most = at[first, axis]
        for place in range(first + 1, stop):
            least = min(least, at[place, axis])
            most = max(most, at[place, axis])
        low[axis, box] = least
        high[axis, box] = most


@lean
def widest(numeric: Any, share: Any, low: Any, high: Any, box: Any) -> Any:
    """The axis along which a box is widest; -1 if all in it are alike."""
    best, most = -1, 0.0
    for axis in range(len(low)):
        width = float(high[axis, box]) - float(low[axis, box])
        width = width * width
        if axis >= numeric and width > 0.0:
            width = share
        if width > most:
            best, most = axis, width
    return best


@lean
def swap(at: Any, order: Any, a: Any, b: Any) -> None:
    """Two people change places."""
    for axis in range(at.shape[1]):
        value = at[a, axis]
        at[a, axis] = at[b, axis]
        at[b, axis] = value
    person = order[a]
    order[a] = order[b]
    order[b] = person


@lean
def part(at: Any, order: Any, first: Any, stop: Any, place: Any, axis: Any) -> None:
    """Sort so far that nobody before a place is further along an axis than anybody from it on.

    Hoare (1961), Communications of the ACM 4, algorithm 65 (Find).
    """
    low, high = first, stop - 1
    while low < high:
        pivot = at[(low + high) // 2, axis]
        a, b = low, high
        while a <= b:
            while at[a, axis] < pivot:
                a += 1
            while at[b, axis] > pivot:
                b -= 1
            if a <= b:
                swap(at, order, a, b)
                a += 1
                b -= 1
        if place <= b:
            high = b
        elif place >= a:
            low = a
        else:
            return


@library
def sort_out(at: Any, order: Any, numeric: Any, share: Any, size: Any, low: Any, high: Any) -> None:
    """Put people into boxes of `size`: halve the boxes along the widest axis, again and again."""
    waiting = np.empty((64, 2), dtype=np.int64)  # first boxes, and those that follow the last ones
    waiting[0, 0], waiting[0, 1] = 0, low.shape[1]
    n_waiting = 1
    while n_waiting > 0:
        n_waiting -= 1
        a, b = waiting[n_waiting, 0], waiting[n_waiting, 1]
        measure(at, a * size, min(b * size, len(at)), low, high, a)
        if b - a == 1:
            continue
        middle = (a + b) // 2
        axis = widest(numeric, share, low, high, a)
        if axis >= 0:
            part(at, order, a * size, min(b * size, len(at)), middle * size, axis)
        waiting[n_waiting, 0], waiting[n_waiting, 1] = a, middle
        waiting[n_waiting + 1, 0], waiting[n_waiting + 1, 1] = middle, b
        n_waiting += 2


@lean
def look(space: Any, strength: Any, boxes: Any, own: Any, row: Any) -> None:
    """Bounds on the weights between people of one box and of every box.

    Parameters
    ----------
    row
        Where they are written, shape (n_boxes,), float32.
    """
    for box in range(len(row)):
        row[box] = 0.0
    for axis in range(len(boxes.low)):
        low, high = boxes.low[axis, own], boxes.high[axis, own]
        if axis < space.numeric:
            add_gaps(boxes, axis, low, high, row)
        else:
            add_shares(boxes, axis, low, high, np.float32(space.share), row)
    for box in range(len(row)):
        row[box] = above(strength * math.sqrt(row[box]))


@lean
def add_gaps(boxes: Any, axis: Any, low: Any, high: Any, row: Any) -> None:
    """Add the squared gap along an axis between each box and the ends of one."""
    for box in range(len(row)):
        gap = max(boxes.low[axis, box] - high, low - boxes.high[axis, box], np.float32(0.0))
        row[box] += gap * gap


@lean
def add_shares(boxes: Any, axis: Any, low: Any, high: Any, share: Any, row: Any) -> None:
    """Add what a category adds, for the boxes that have none in common with one."""
    for box in range(len(row)):
        if boxes.low[axis, box] > high or low > boxes.high[axis, box]:
            row[box] += share
