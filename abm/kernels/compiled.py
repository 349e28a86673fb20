"""The compiled pieces of a driver: xoroshiro128++ on unsigned 64-bit words. Imports Numba."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numba as nb
import numpy as np

from abm.kernels.boxed import BoxedType, method_of, register
from abm.kernels.tools import Chance, Tools

__all__ = ["compiled_tools"]

_TO_UNIT = 2.0**-53
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_TURN = 2.0 * math.pi


_njit: Any = nb.njit  # its types do not know `_nrt`
_COPIED = {"forceinline": True, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
"""What is copied into its callers is called by nobody else: no code for that is compiled."""


def _lean(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """Compile for the disk, without counting references to arrays."""
    made: Callable[..., Any] = _njit(cache=True, _nrt=False, **options)(function)
    return made


@partial(_lean, inline="always")
def _rotate(word: Any, by: Any) -> Any:
    return (word << np.uint64(by)) | (word >> np.uint64(64 - by))


@_lean
def _draw(s0: Any, s1: Any) -> Any:
    word = _rotate(s0 + s1, 17) + s0
    s1 ^= s0
    return word, _rotate(s0, 49) ^ s1 ^ (s1 << np.uint64(21)), _rotate(s1, 28)


@_lean
def _unit(word: Any) -> Any:
    return np.float64(word >> np.uint64(11)) * _TO_UNIT


@_lean
def _bounded(word: Any, n: Any) -> Any:
    # floor(word * n / 2**64) from two 32-bit halves; exact because n < 2**32.
    size = np.uint64(n)
    carry = ((word & _LOW) * size) >> _HALF
    return np.int64(((word >> _HALF) * size + carry) >> _HALF)


@_lean
def _rest(word: Any, n: Any) -> Any:
    return word * np.uint64(n)


@_lean
def _word(words: Any) -> Any:
    word, s0, s1 = _draw(words[0], words[1])
    words[0] = s0
    words[1] = s1
    return word


@_lean
def _load(state: Any) -> Any:
    return state[0], state[1]


@_lean
def _real(value: Any) -> Any:
    return np.float64(value)


@cache
def compiled_tools(*, lean: bool = True) -> Tools:
    """The compiled pieces; `jit` compiles a user's rule or a driver for the process.

    Lean code counts no references to arrays, which saves most of the time of a short rule, and
    cannot make arrays.
    """
    return Tools(
        jit=_njit(_nrt=False) if lean else _njit,
        inlined=_njit(_nrt=False, **_COPIED) if lean else _njit(**_COPIED),
        draw=_draw,
        unit=_unit,
        bounded=_bounded,
        rest=_rest,
        load=_load,
        real=_real,
        compiled=True,
    )


class ChanceType(BoxedType):
    """Type of `Chance` in compiled code."""


def _random(it: Any) -> Any:
    return _unit(_word(it.held))


def _integer(it: Any, a: Any) -> Any:
    return _bounded(_word(it.held), a)


def _exponential(it: Any) -> Any:
    return -math.log1p(-_unit(_word(it.held)))


def _normal(it: Any) -> Any:
    radius = math.sqrt(-2.0 * math.log1p(-_unit(_word(it.held))))
    return radius * math.cos(_TURN * _unit(_word(it.held)))


register(Chance, ChanceType)
for _method in (_random, _integer, _exponential, _normal):
    method_of(ChanceType, _method)
