"""The compiled pieces of a driver: xoroshiro128++ on unsigned 64-bit words. Imports Numba."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numba as nb
import numpy as np
from numba import types
from numba.extending import overload_method

from abm.kernels.tools import Chance, Tools

__all__ = ["compiled_tools"]

_TO_UNIT = 2.0**-53
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_TURN = 2.0 * math.pi


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
def _rest(word: Any, n: Any) -> Any:
    return word * np.uint64(n)


@nb.njit(cache=True)
def _word(words: Any) -> Any:
    word, s0, s1 = _draw(words[0], words[1])
    words[0] = s0
    words[1] = s1
    return word


@nb.njit(cache=True)
def _load(state: Any) -> Any:
    return state[0], state[1]


@nb.njit(cache=True)
def _real(value: Any) -> Any:
    return np.float64(value)


@cache
def compiled_tools() -> Tools:
    """The compiled pieces; `jit` compiles a user's rule or a driver for the process."""
    return Tools(
        jit=nb.njit,
        draw=_draw,
        unit=_unit,
        bounded=_bounded,
        rest=_rest,
        load=_load,
        real=_real,
        compiled=True,
    )


def _of_chance(method: Any) -> Any:
    """A method of `Chance`, for compiled rules: `rng.random()` and so on."""
    name, n_given = method.__name__[1:], method.__code__.co_argcount - 1

    def one(chance: Any) -> Any:
        return method if getattr(chance, "instance_class", None) is Chance else None

    def two(chance: Any, n: Any) -> Any:  # noqa: ARG001
        return method if getattr(chance, "instance_class", None) is Chance else None

    overload_method(types.BaseNamedTuple, name)(two if n_given else one)
    return method


@_of_chance
def _random(chance: Any) -> Any:
    return _unit(_word(chance.words))


@_of_chance
def _integer(chance: Any, n: Any) -> Any:
    return _bounded(_word(chance.words), n)


@_of_chance
def _exponential(chance: Any) -> Any:
    return -math.log1p(-_unit(_word(chance.words)))


@_of_chance
def _normal(chance: Any) -> Any:
    radius = math.sqrt(-2.0 * math.log1p(-_unit(_word(chance.words))))
    return radius * math.cos(_TURN * _unit(_word(chance.words)))
