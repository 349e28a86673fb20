"""Compiled functions of the library itself: cached on disk, with chance from two words in an array.

`library` compiles a function once for all processes of a machine; without Numba it leaves it as it
is. `below` and `unit` draw from a generator whose state, an array from `abm.kernels.tools.start`,
they move on; they may be called from any function made with `library`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from abm.kernels.tools import has_numba, tools

__all__ = ["below", "library", "unit"]


def library(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function of scalars and arrays and keep the machine code beside its source.

    Examples
    --------
    >>> @library
    ... def twice(x):
    ...     return 2 * x
    >>> twice(3)
    6
    """
    if not has_numba():
        return function
    import numba

    # What is typed in at a prompt has no file to keep machine code beside.
    made: Callable[..., Any] = numba.njit(cache=Path(function.__code__.co_filename).is_file())(
        function
    )
    return made


_pieces = tools(compiled=has_numba())
_draw, _load = _pieces.draw, _pieces.load
_bounded, _unit = _pieces.bounded, _pieces.unit


@library
def below(words: Any, n: Any) -> Any:
    """A uniform integer in 0..n-1, for 1 <= n < 2**32; moves `words` on."""
    s0, s1 = _load(words)
    word, s0, s1 = _draw(s0, s1)
    words[0] = s0
    words[1] = s1
    return _bounded(word, n)


@library
def unit(words: Any) -> Any:
    """A uniform number in [0, 1) with 53 random bits; moves `words` on."""
    s0, s1 = _load(words)
    word, s0, s1 = _draw(s0, s1)
    words[0] = s0
    words[1] = s1
    return _unit(word)
