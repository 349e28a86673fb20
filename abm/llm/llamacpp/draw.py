"""Drawing tokens in compiled code, one row of logits per text.

A token is drawn by inverse CDF in the order of the vocabulary, with one uniform number that depends
on the text's seed and the number of the token alone.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["draw_rows"]


@njit(cache=True, nogil=True)
def draw_rows(
    logits: NDArray[np.float32],
    temperature: NDArray[np.float64],
    u: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Token of each row, shape (n_rows,).

    Parameters
    ----------
    logits
        Shape (n_rows, n_vocabulary); minus infinity for what may not be drawn. At least one value
        of each row is finite.
    temperature
        Shape (n_rows,), >= 0; 0 takes the largest logit, the first of equals.
    u
        Uniform numbers in [0, 1), shape (n_rows,).

    Examples
    --------
    >>> rows = np.log(np.array([[0.25, 0.75], [0.25, 0.75]], dtype=np.float32))
    >>> draw_rows(rows, np.ones(2), np.array([0.2, 0.3])).tolist()
    [0, 1]
    """
    n_rows, n_tokens = logits.shape
    found = np.empty(n_rows, dtype=np.int64)
    weights = np.empty(n_tokens, dtype=np.float64)
    for row in range(n_rows):
        best = 0
        for token in range(1, n_tokens):
            if logits[row, token] > logits[row, best]:
                best = token
        found[row] = best
        if temperature[row] == 0.0:
            continue
        top, total = logits[row, best], 0.0
        for token in range(n_tokens):
            weights[token] = math.exp((logits[row, token] - top) / temperature[row])
            total += weights[token]
        left = u[row] * total
        for token in range(n_tokens):
            left -= weights[token]
            if left < 0.0:
                found[row] = token
                break
    return found
