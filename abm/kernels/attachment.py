"""Growth by preferential attachment, one node at a time."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.kernels.tools import Tools, has_numba, start, tools

__all__ = ["attach"]

_WORTH_COMPILING = 100_000


def attach(n: int, m: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Ends of the ties of a Barabasi-Albert network, shape (2 m (n - m),): newcomer, partner, ...

    A uniform draw among all ends so far is a draw by degree.
    """
    ends = np.empty(2 * m * (n - m), dtype=np.int64)
    for leaf in range(1, m + 1):
        ends[2 * leaf - 2 : 2 * leaf] = leaf, 0
    grow = _driver(compiled=has_numba() and m * n > _WORTH_COMPILING)
    grow(ends, n, m, start(rng))
    return ends


@cache
def _driver(*, compiled: bool) -> Callable[..., None]:
    pieces = tools(compiled=compiled)
    driver: Callable[..., None] = pieces.jit(_make(pieces))
    return driver


def _make(pieces: Tools) -> Callable[..., None]:
    draw, bounded, load = pieces.draw, pieces.bounded, pieces.load

    def grow(ends: Any, n: Any, m: Any, state: Any) -> None:
        s0, s1 = load(state)
        filled = 2 * m
        for newcomer in range(m + 1, n):
            known = filled
            made = 0
            while made < m:
                word, s0, s1 = draw(s0, s1)
                partner = ends[bounded(word, known)]
                again = False
                for before in range(made):
                    if ends[known + 2 * before + 1] == partner:
                        again = True
                if not again:
                    ends[filled] = newcomer
                    ends[filled + 1] = partner
                    filled += 2
                    made += 1

    return grow
