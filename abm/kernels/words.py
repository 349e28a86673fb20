"""The words of a sequential generator, many at a time in NumPy: the same words in the same order.

A step of xoroshiro128++ is linear in the 128 bits of its state, so that many steps at once are a
multiplication by a matrix of bits. A state is cut into lanes that lie 32 steps apart, found by
doubling, and all lanes step together (Haramoto et al. 2008, INFORMS Journal on Computing 20, 385,
with tables of bytes in place of polynomials).
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from abm.kernels.tools import plain_tools

__all__ = ["Words", "bounded_all", "unit_all"]

_STEPS = 5
"""A lane is 2**5 steps long."""

_Lanes = NDArray[np.uint64]  # shape (2, n_lanes)
_MOST = 12  # at most 2**12 lanes at once: a megabyte of words
_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)


class Words:
    """A reader of a generator's words.

    Parameters
    ----------
    state
        State of the generator, shape (2,), uint64; `leave` writes back where reading ended.

    Examples
    --------
    >>> draw = plain_tools().draw
    >>> state = np.array([1, 2], dtype=np.uint64)
    >>> words = Words(state)
    >>> words.take(3)[0] == draw(1, 2)[0]
    np.True_
    """

    def __init__(self, state: NDArray[np.uint64]) -> None:
        self._state = state
        self._lanes = state.copy()[:, np.newaxis]
        self._ready = np.empty(0, dtype=np.uint64)
        self._place = 0
        self._before = self._lanes, self._ready, 0, 0

    def take(self, count: int) -> NDArray[np.uint64]:
        """The next `count` words, shape (count,)."""
        self._before = self._lanes, self._ready, self._place, count
        parts, missing = [], count
        while missing > 0:
            if self._place == len(self._ready):
                self._fill(missing)
            part = self._ready[self._place : self._place + missing]
            self._place += len(part)
            missing -= len(part)
            parts.append(part)
        return parts[0] if len(parts) == 1 else np.concatenate([*parts, self._ready[:0]])

    def give_back(self, count: int) -> None:
        """The last `count` words of the last `take` count as not read."""
        if count <= self._place:
            self._place -= count
        else:  # they began in an earlier run of the lanes
            self._lanes, self._ready, self._place, taken = self._before
            self.take(taken - count)

    def leave(self) -> None:
        """Write down the state after the words that were read."""
        self._state[:] = self._here()

    def _here(self) -> tuple[int, int]:
        lane = min(self._place >> _STEPS, self._lanes.shape[1] - 1)
        s0, s1 = (int(word) for word in self._lanes[:, lane])
        draw = plain_tools().draw
        for _ in range(self._place - (lane << _STEPS)):
            _, s0, s1 = draw(s0, s1)
        return s0, s1

    def _fill(self, wanted: int) -> None:
        """Make at least one more lane, and as many as are wanted or fit."""
        doublings = min((wanted - 1) >> _STEPS, (1 << _MOST) - 1).bit_length()
        former = self._lanes.shape[1].bit_length() - 1
        if 0 < doublings <= former and len(self._ready):
            self._lanes = _leap(_table(_STEPS + former), self._lanes)
        else:
            self._lanes = _lanes(self._here(), doublings)
        self._ready, self._place = _run(self._lanes), 0


def bounded_all(words: NDArray[np.uint64], n: int | NDArray[np.uint64]) -> NDArray[np.int64]:
    """floor(word * n / 2**64) of each word, for 1 <= n < 2**32; see `Tools.bounded`."""
    size = np.asarray(n, dtype=np.uint64)
    carry = ((words & _LOW) * size) >> _HALF
    return (((words >> _HALF) * size + carry) >> _HALF).view(np.int64)


def unit_all(words: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Each word as a number in [0, 1) with 53 random bits; see `Tools.unit`."""
    return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _run(lanes: _Lanes) -> NDArray[np.uint64]:
    """All words of all lanes, in the order of the generator."""
    s0, s1 = lanes.copy()
    made = np.empty((1 << _STEPS, len(s0)), dtype=np.uint64)
    spare = np.empty_like(s0)
    for word in made:
        np.add(s0, s1, out=word)
        _rotate(word, 17, spare)
        word += s0
        s1 ^= s0
        _rotate(s0, 49, spare)
        s0 ^= s1
        np.left_shift(s1, np.uint64(21), out=spare)
        s0 ^= spare
        _rotate(s1, 28, spare)
    return np.ascontiguousarray(made.T).ravel()


def _rotate(words: NDArray[np.uint64], by: int, spare: NDArray[np.uint64]) -> None:
    np.right_shift(words, np.uint64(64 - by), out=spare)
    words <<= np.uint64(by)
    words |= spare


def _lanes(state: tuple[int, int], doublings: int) -> _Lanes:
    """States that lie one lane apart, 2**doublings of them."""
    made = np.array(state, dtype=np.uint64)[:, np.newaxis]
    for k in range(doublings):
        made = np.concatenate([made, _leap(_table(_STEPS + k), made)], axis=1)
    return made


def _leap(table: NDArray[np.uint64], states: _Lanes) -> _Lanes:
    """Many steps of many states; `table[b, v]` is what byte b contributes if it is v."""
    made = np.zeros_like(states)
    for b in range(16):
        byte = ((states[b // 8] >> np.uint64(8 * (b % 8))) & np.uint64(255)).view(np.int64)
        made[0] ^= table[0, b].take(byte)
        made[1] ^= table[1, b].take(byte)
    return made


@cache
def _table(k: int) -> NDArray[np.uint64]:
    """What the bytes of a state contribute to the state 2**k steps later, shape (2, 16, 256)."""
    bits = np.zeros((2, 128), dtype=np.uint64)
    bits[0, :64] = bits[1, 64:] = np.uint64(1) << np.arange(64, dtype=np.uint64)
    if k == 0:
        draw = plain_tools().draw
        after = [draw(int(s0), int(s1))[1:] for s0, s1 in bits.T]
        columns = np.array(after, dtype=np.uint64).T
    else:
        columns = _leap(_table(k - 1), _leap(_table(k - 1), bits))
    table = np.zeros((2, 16, 256), dtype=np.uint64)
    for bit in range(8):
        size = 1 << bit
        table[:, :, size : 2 * size] = table[:, :, :size] ^ columns[:, bit::8, np.newaxis]
    return table
