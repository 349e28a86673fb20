"""The two scales of the family: private opinion in [-1, 1], and stances 1 to 7.

A stance is what can be said on a seven-point item; stance s stands for opinion (s - 4) / 3.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["N_STANCES", "opinion_of", "stance_of"]

N_STANCES = 7


def stance_of(opinion: ArrayLike) -> NDArray[np.int8]:
    """The nearest of the seven stances; a tie goes up.

    Examples
    --------
    >>> stance_of([-1.0, -0.5, 0.0, 0.2, 1.0]).tolist()
    [1, 3, 4, 5, 7]
    """
    steps = np.floor(4.5 + 3.0 * np.asarray(opinion, dtype=np.float64))
    return np.clip(steps, 1, N_STANCES).astype(np.int8)


def opinion_of(stance: ArrayLike) -> NDArray[np.float64]:
    """The opinion in the middle of a stance.

    Examples
    --------
    >>> opinion_of([1, 4, 7]).tolist()
    [-1.0, 0.0, 1.0]
    """
    return (np.asarray(stance, dtype=np.float64) - 4.0) / 3.0
