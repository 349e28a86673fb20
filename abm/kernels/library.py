"""Compiled functions of the library itself: cached on disk, with chance from two words in an array.

`library` compiles a function once for all processes of a machine; without Numba it leaves it as it
is. `below` and `unit` draw from a generator whose state, an array from `abm.kernels.tools.start`,
they move on; they may be called from any function made with `library`. So may the pieces they are
made of (`load`, `draw`, `bounded`, `rest`, `as_unit`; see `abm.kernels.tools.Tools`), for a loop
that keeps the state in two numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from abm.kernels.tools import has_numba, tools

__all__ = ["as_unit", "below", "bounded", "draw", "lean", "library", "load", "rest", "unit"]


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
    return _compiled(function)


def lean(function: Callable[..., Any]) -> Callable[..., Any]:
    """As `library`, for functions that make no arrays or views: references are not counted.

    A short function that is called very often with many arrays is several times faster so.
    """
    return _compiled(function, _nrt=False)


def _compiled(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    if not has_numba():
        return function
    import numba

    # What is typed in at a prompt has no file to keep machine code beside.
    kept = Path(function.__code__.co_filename).is_file()
    made: Callable[..., Any] = numba.njit(cache=kept, **options)(function)
    return made


_pieces = tools(compiled=has_numba())
draw, load = _pieces.draw, _pieces.load
bounded, rest, as_unit = _pieces.bounded, _pieces.rest, _pieces.unit


@lean
def below(words: Any, n: Any) -> Any:
    """A uniform integer in 0..n-1, for 1 <= n < 2**32; moves `words` on."""
    s0, s1 = load(words)
    word, s0, s1 = draw(s0, s1)
    words[0] = s0
    words[1] = s1
    return bounded(word, n)


@lean
def unit(words: Any) -> Any:
    """A uniform number in [0, 1) with 53 random bits; moves `words` on."""
    s0, s1 = load(words)
    word, s0, s1 = draw(s0, s1)
    words[0] = s0
    words[1] = s1
    return as_unit(word)
