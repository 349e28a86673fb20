"""Growth by preferential attachment, one node at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.kernels.library import below, library
from abm.kernels.tools import start

__all__ = ["attach", "grow"]


def attach(n: int, m: int, rng: np.random.Generator) -> NDArray[np.int32]:
    """Ends of the ties of a Barabasi-Albert network, shape (2 m (n - m),): newcomer, partner, ...

    A uniform draw among all ends so far is a draw by degree.
    """
    ends = np.empty(2 * m * (n - m), dtype=np.int32)
    for leaf in range(1, m + 1):
        ends[2 * leaf - 2 : 2 * leaf] = leaf, 0
    grow(ends, n, m, start(rng))
    return ends


@library
def grow(ends: Any, n: Any, m: Any, words: Any) -> None:
    """Let nodes m + 1 to n - 1 come in, each with m different partners."""
    filled = 2 * m
    for newcomer in range(m + 1, n):
        known = filled
        made = 0
        while made < m:
            partner = ends[below(words, known)]
            again = False
            for before in range(made):
                if ends[known + 2 * before + 1] == partner:
                    again = True
            if not again:
                ends[filled] = newcomer
                ends[filled + 1] = partner
                filled += 2
                made += 1
