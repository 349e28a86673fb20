"""Compiled loops: encounters one by one, and the cohort of rule citizens between visible events.

Import this module where it is needed and not before: Numba takes a moment to load. The rules
themselves are the plain functions of `rules/`, compiled from the same source.

The cohort works on *drawn* events: who reads or writes when, and one 64-bit word of chance per
event, are drawn before the loop starts. What an event does depends on the state at its moment, but
how much chance it uses does not. So two runs whose parameters differ share their clocks, readers
and words event by event.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import njit
from numpy.typing import NDArray

from abm.models.opinion_network import rules

__all__ = [
    "advance",
    "copy_encounters",
    "deffuant_encounters",
    "expose",
    "panel_encounters",
    "select_feed",
]

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

_averaged: Callable[..., float] = njit(cache=True)(rules.averaged)
_anchored: Callable[..., float] = njit(cache=True)(rules.anchored)
_compromise: Callable[..., float] = njit(cache=True)(rules.compromise)
_assimilated: Callable[..., float] = njit(cache=True)(rules.assimilated)

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX2 = np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31, _S11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)


@njit(cache=True)
def deffuant_encounters(
    x: Floats, first: Whole, second: Whole, confidence_bound: float, rate: float
) -> None:
    """Pairs (first[k], second[k]) compromise one after another; `x` is changed in place."""
    for k in range(first.shape[0]):
        a, b = x[first[k]], x[second[k]]
        x[first[k]] = _compromise(a, b, confidence_bound, rate)
        x[second[k]] = _compromise(b, a, confidence_bound, rate)


@njit(cache=True)
def copy_encounters(states: Floats, readers: Whole, models: Whole) -> None:
    """readers[k] takes the state of models[k], one after another; in place."""
    for k in range(readers.shape[0]):
        states[readers[k]] = states[models[k]]


@njit(cache=True)
def panel_encounters(states: Floats, readers: Whole, uniforms: Floats, independence: float) -> None:
    """The q-voter on the complete graph; uniforms has shape (n_updates, q + 2); in place.

    The panel is drawn without replacement by a partial shuffle of the other agents that is never
    carried out: each pick skips the reader and the earlier picks in increasing order.
    """
    n, q = states.shape[0], uniforms.shape[1] - 2
    taken = np.empty(q + 1, np.int64)
    for k in range(readers.shape[0]):
        reader = readers[k]
        if uniforms[k, 0] < independence:
            states[reader] = 1.0 if uniforms[k, 1] < 0.5 else -1.0
            continue
        taken[0] = reader
        total = 0.0
        for j in range(q):
            pick = int(uniforms[k, 2 + j] * (n - 1 - j))
            place = j + 1
            for m in range(j + 1):
                if pick >= taken[m]:
                    pick += 1
                else:
                    place = m
                    break
            for m in range(j + 1, place, -1):
                taken[m] = taken[m - 1]
            taken[place] = pick
            total += states[pick]
        if abs(total) == q:
            states[reader] = 1.0 if total > 0 else -1.0


@njit(cache=True)
def _uniform(word: np.uint64, number: int) -> float:
    """Uniform `number` of an event, by SplitMix64 from its word (Steele et al. 2014)."""
    z = word + np.uint64(number + 1) * _GOLDEN
    z = (z ^ (z >> _S30)) * _MIX1
    z = (z ^ (z >> _S27)) * _MIX2
    z = z ^ (z >> _S31)
    return float(z >> _S11) * 2.0**-53


@njit(cache=True)
def _stance(x: float) -> int:
    return min(7, max(1, int(np.floor(4.5 + 3.0 * x))))


@njit(cache=True)
def _fits(own: int, other: int, exposure: int) -> bool:
    """Whether a post of stance `other` is shown to a reader of stance `own`.

    Exposure 1 shows all, 2 the like-minded, 3 the opposing. A reader at the centre has no side:
    posts within one point count as like-minded, posts farther away as opposing.
    """
    if exposure == 1:
        return True
    side = (own - 4) * (other - 4)
    if own == 4:
        near = abs(other - 4) <= 1
        return near if exposure == 2 else not near
    return side > 0 if exposure == 2 else side < 0


@njit(cache=True)
def select_feed(
    reader: int,
    own: int,
    stance: NDArray[np.int8],
    indptr: Whole,
    indices: Whole,
    exposure: int,
    word: np.uint64,
    salt: np.uint64,
    out: Whole,
    pool: Whole,
) -> int:
    """Authors whose posts the reader is shown, into `out`; returns how many.

    Neighbours that fit the exposure come first, in random order. Where some are missing, strangers
    who fit are shown. Each reader has an own order of strangers, the same at every occasion, so
    that a reader meets the same strangers day after day; 64 are tried for each missing post.

    Parameters
    ----------
    reader, own
        Row of the reader, and the stance 1..7 that posts are selected by.
    stance
        Public stances 1..7, shape (n,).
    exposure
        0 none, 1 ordinary (neighbours only), 2 like-minded, 3 opposing.
    word
        Chance of this occasion.
    salt
        Chance of this run, for the order of strangers.
    out
        Room for the feed, shape (feed_size,).
    pool
        Room for candidates, at least the largest degree.
    """
    if exposure == 0:
        return 0
    found = 0
    for slot in range(indptr[reader], indptr[reader + 1]):
        if _fits(own, stance[indices[slot]], exposure):
            pool[found] = indices[slot]
            found += 1
    n: int = min(found, out.shape[0])
    for k in range(n):
        other = k + int(_uniform(word, k) * (found - k))
        out[k] = pool[other]
        pool[other] = pool[k]
    if exposure == 1:
        return n
    order = salt ^ (np.uint64(reader + 1) * _MIX1)
    tries = 64 * (out.shape[0] - n)
    number = 0
    while n < out.shape[0] and number < tries:
        candidate = int(_uniform(order, number) * stance.shape[0])
        number += 1
        known = candidate == reader or not _fits(own, stance[candidate], exposure)
        for k in range(n):
            known = known or out[k] == candidate
        if not known:
            out[n] = candidate
            n += 1
    return n


@njit(cache=True)
def _moved(
    own: float,
    initial: float,
    read: Floats,
    n: int,
    rule: int,
    bound: float,
    rate: float,
    self_weight: float,
    susceptibility: float,
    bias: float,
    independence: float,
    word: np.uint64,
) -> float:
    """Private opinion after reading the posts at positions read[:n]; codes as in `rules.RULES`."""
    if n == 0:
        return own
    mean = read[:n].mean()
    if rule == 0:
        return _averaged(own, mean, self_weight)
    if rule == 1:
        return _anchored(_averaged(own, mean, self_weight), initial, susceptibility)
    if rule == 2:
        for k in range(n):
            own = _compromise(own, read[k], bound, rate)
        return own
    if rule == 3:
        total, heard = own, 1
        for k in range(n):
            if abs(read[k] - own) <= bound:
                total += read[k]
                heard += 1
        return total / heard
    if rule == 4:
        return own if read[0] == 0.0 else np.sign(read[0])
    if rule == 5:
        if _uniform(word, 1 << 20) < independence:
            return 1.0 if _uniform(word, (1 << 20) + 1) < 0.5 else -1.0
        agree = abs(np.sign(read[:n]).sum()) == n
        return np.sign(read[0]) if agree else own
    return 2.0 * _assimilated((own + 1.0) / 2.0, (mean + 1.0) / 2.0, bias, self_weight) - 1.0


@njit(cache=True)
def expose(
    x: Floats,
    initial: Floats,
    fixed: NDArray[np.bool_],
    rows: Whole,
    positions: Floats,
    rule: int,
    bound: Floats,
    numbers: Floats,
    words: NDArray[np.uint64],
) -> None:
    """Each of `rows` reads one post at the same position(s); for persuaders and injected posts."""
    for k in range(rows.shape[0]):
        i = rows[k]
        if fixed[i]:
            continue
        x[i] = _moved(
            x[i],
            initial[i],
            positions,
            positions.shape[0],
            rule,
            bound[i],
            numbers[0],
            numbers[1],
            numbers[2],
            numbers[3],
            numbers[4],
            words[k],
        )


@njit(cache=True)
def advance(
    x: Floats,
    initial: Floats,
    baseline: NDArray[np.int8],
    stance: NDArray[np.int8],
    posted: Floats,
    n_read: Whole,
    fixed: NDArray[np.bool_],
    indptr: Whole,
    indices: Whole,
    times: Floats,
    rows: Whole,
    writes: NDArray[np.bool_],
    words: NDArray[np.uint64],
    start: int,
    until: float,
    exposure: int,
    feed_size: int,
    salt: np.uint64,
    rule: int,
    bound: Floats,
    numbers: Floats,
    conformity: float,
) -> int:
    """Apply the drawn events start, start + 1, ... up to and including time `until`, one by one.

    A reading event selects a feed and moves the reader's private opinion; a writing event publishes
    a stance. Columns are changed in place.

    Returns
    -------
    Number of the first event that was not applied.
    """
    feed = np.empty(feed_size, np.int64)
    read = np.empty(feed_size, np.float64)
    pool = np.empty((indptr[1:] - indptr[:-1]).max() + 1, np.int64)
    event = start
    while event < times.shape[0] and times[event] <= until:
        i, word = rows[event], words[event]
        if writes[event]:
            stance[i] = _stance(_voiced(i, x[i], stance, indptr, indices, conformity))
            posted[i] = times[event]
        elif not fixed[i]:
            n = select_feed(
                i,
                baseline[i],
                stance,
                indptr,
                indices,
                exposure,
                word,
                salt,
                feed,
                pool,
            )
            for k in range(n):
                read[k] = (stance[feed[k]] - 4.0) / 3.0
            n_read[i] += n
            x[i] = _moved(
                x[i],
                initial[i],
                read,
                n,
                rule,
                bound[i],
                numbers[0],
                numbers[1],
                numbers[2],
                numbers[3],
                numbers[4],
                word,
            )
        event += 1
    return event


@njit(cache=True)
def _voiced(
    i: int,
    own: float,
    stance: NDArray[np.int8],
    indptr: Whole,
    indices: Whole,
    conformity: float,
) -> float:
    """What i says in public: own opinion, drawn to what neighbours say by `conformity`."""
    if conformity == 0.0 or indptr[i] == indptr[i + 1]:
        return own
    total = 0.0
    for slot in range(indptr[i], indptr[i + 1]):
        total += (stance[indices[slot]] - 4.0) / 3.0
    return _averaged(own, total / (indptr[i + 1] - indptr[i]), 1.0 - conformity)
