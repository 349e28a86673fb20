"""The compiled pieces of a driver: xoroshiro128++ on unsigned 64-bit words. Imports Numba."""

from __future__ import annotations

from functools import cache
from typing import Any

import numba as nb
import numpy as np

from abm.kernels.tools import Tools

__all__ = ["compiled_tools"]

_TO_UNIT = 2.0**-53
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


@nb.njit(cache=True, inline="always")
def _rotate(word: Any, by: Any) -> Any:
    return (word << np.uint64(by)) | (word >> np.uint64(64 - by))


@nb.njit(cache=True)
def _draw(s0: Any, s1: Any) -> Any:
    word = _rotate(s0 + s1, 17) + s0
    s1 ^= s0
    return word, _rotate(s0, 49) ^ s1 ^ (s1 << np.uint64(21)), _rotate(s1, 28)


@nb.njit(cache=True)
def _unit(word: Any) -> Any:
    return np.float64(word >> np.uint64(11)) * _TO_UNIT


@nb.njit(cache=True)
def _bounded(word: Any, n: Any) -> Any:
    # floor(word * n / 2**64) from two 32-bit halves; exact because n < 2**32.
    size = np.uint64(n)
    carry = ((word & _LOW) * size) >> _HALF
    return np.int64(((word >> _HALF) * size + carry) >> _HALF)


@nb.njit(cache=True)
def _load(state: Any) -> Any:
    return state[0], state[1]


@cache
def compiled_tools() -> Tools:
    """The compiled pieces; `jit` compiles a user's rule or a driver for the process."""
    return Tools(jit=nb.njit, draw=_draw, unit=_unit, bounded=_bounded, load=_load)
