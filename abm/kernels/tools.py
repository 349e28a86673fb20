"""What a driver is built from: a compiler and a sequential generator, compiled or interpreted.

The generator is xoroshiro128++ (Blackman & Vigna 2021, ACM TOMS 47): two 64-bit words of state,
kept in local variables of a driver. Bounded integers are floor(word * n / 2**64), exactly.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from abm.errors import EngineError, require

__all__ = ["Chance", "Tools", "has_numba", "plain_tools", "start", "tools"]

_MASK = 0xFFFFFFFFFFFFFFFF
_TO_UNIT = 2.0**-53
_TURN = 2.0 * math.pi


class Chance:
    """The generator that a rule gets as its argument `rng`: the same numbers compiled or not.

    Parameters
    ----------
    words
        State of the generator, shape (2,), uint64; every draw changes it.

    Examples
    --------
    >>> rng = Chance(start(np.random.default_rng(1)))
    >>> 0 <= rng.random() < 1 and 0 <= rng.integer(6) < 6
    True
    """

    __slots__ = ("held",)

    def __init__(self, words: NDArray[np.uint64]) -> None:
        self.held = words

    def _word(self) -> int:
        word, s0, s1 = _draw(int(self.held[0]), int(self.held[1]))
        self.held[0], self.held[1] = s0, s1
        return word

    def random(self) -> float:
        """A uniform number in [0, 1), with 53 random bits."""
        return _unit(self._word())

    def integer(self, n: int) -> int:
        """A uniform integer in 0..n-1, for 1 <= n < 2**32."""
        return _bounded(self._word(), n)

    def exponential(self) -> float:
        """An exponential number of mean 1; divide by a rate."""
        return -math.log1p(-_unit(self._word()))

    def normal(self) -> float:
        """A standard normal number (Box & Muller 1958); uses two uniforms."""
        radius = math.sqrt(-2.0 * math.log1p(-_unit(self._word())))
        return radius * math.cos(_TURN * _unit(self._word()))


class Tools(NamedTuple):
    """The pieces of a driver.

    Attributes
    ----------
    jit
        Compiles a function (or returns it as it is).
    inlined
        The same, copied into callers: passing many arrays on would cost more than the work.
    draw
        (s0, s1) -> (word, s0, s1): the next 64 random bits and the new state.
    unit
        word -> float in [0, 1) with 53 random bits.
    bounded
        (word, n) -> integer in 0..n-1, for 1 <= n < 2**32.
    rest
        (word, n) -> what is left of a word after `bounded(word, n)`: its low 64 bits times n, as
        good as a new word as long as n is far below 2**64.
    load
        Array of two words -> (s0, s1).
    real
        A number of any float type -> the same in 64 bits.
    compiled
        Which of the two these are.
    """

    jit: Callable[[Any], Any]
    inlined: Callable[[Any], Any]
    draw: Callable[[Any, Any], tuple[Any, Any, Any]]
    unit: Callable[[Any], Any]
    bounded: Callable[[Any, Any], Any]
    rest: Callable[[Any, Any], Any]
    load: Callable[[Any], tuple[Any, Any]]
    real: Callable[[Any], Any]
    compiled: bool


@cache
def has_numba() -> bool:
    """Whether Numba is installed."""
    return find_spec("numba") is not None


def tools(*, compiled: bool, lean: bool = True) -> Tools:
    """Compiled or interpreted tools; lean ones are for rules and drivers that make no arrays."""
    if not compiled:
        return plain_tools()
    from abm.kernels.compiled import compiled_tools

    return compiled_tools(lean=lean)


def start(rng: np.random.Generator) -> NDArray[np.uint64]:
    """State of a new sequential generator: two words from `rng`, shape (2,), not both zero.

    Raises
    ------
    EngineError
        `rng` is no generator of NumPy.

    Examples
    --------
    >>> start(np.random.default_rng(1)).shape
    (2,)
    """
    require(
        isinstance(rng, np.random.Generator),
        EngineError,
        f"rng = {rng!r}, expected a generator: np.random.default_rng(1), or model.chance('name')",
    )
    state = rng.integers(0, 2**64, size=2, dtype=np.uint64)
    return state if state.any() else np.ones(2, dtype=np.uint64)


def plain_tools() -> Tools:
    """The interpreted pieces: Python integers.

    Examples
    --------
    >>> pieces = plain_tools()
    >>> word, s0, s1 = pieces.draw(1, 2)
    >>> word, pieces.bounded(word, 10)
    (393217, 0)
    """
    return Tools(
        jit=lambda function: function,
        inlined=lambda function: function,
        draw=_draw,
        unit=_unit,
        bounded=_bounded,
        rest=_rest,
        load=_load,
        real=float,
        compiled=False,
    )


def _rotate(word: int, by: int) -> int:
    return (word << by | word >> (64 - by)) & _MASK


def _draw(s0: int, s1: int) -> tuple[int, int, int]:
    word = (_rotate((s0 + s1) & _MASK, 17) + s0) & _MASK
    s1 ^= s0
    return word, _rotate(s0, 49) ^ s1 ^ (s1 << 21 & _MASK), _rotate(s1, 28)


def _unit(word: int) -> float:
    return (word >> 11) * _TO_UNIT


def _bounded(word: int, n: int) -> int:
    return word * int(n) >> 64


def _rest(word: int, n: int) -> int:
    return word * int(n) & _MASK


def _load(state: NDArray[np.uint64]) -> tuple[int, int]:
    return int(state[0]), int(state[1])
