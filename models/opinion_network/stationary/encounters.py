"""The loop of encounters between citizens who answer: compiled, on events that are drawn before.

Chance does not depend on the state or on who answers, so societies that differ in parameters or in
the answerer share their readers, partners and luck, event by event.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["answered_encounters"]


@njit(cache=True)
def answered_encounters(
    stance: NDArray[np.int64],
    persona: NDArray[np.int64],
    readers: NDArray[np.int64],
    partners: NDArray[np.int64],
    jumps: NDArray[np.float64],
    luck: NDArray[np.float64],
    cumulated: NDArray[np.float64],
    asked: NDArray[np.bool_],
    bound: float,
    noise: float,
) -> None:
    """Encounters one after another; `stance` (0 to 6) is changed in place.

    Parameters
    ----------
    stance, persona
        Shape (n,).
    readers, partners
        Who reads whose post at each event, shape (n_events,).
    jumps, luck
        Uniforms per event: whether the reader jumps, and which answer is drawn.
    cumulated
        Cumulated probabilities of the answers, shape (n_personas, 7 own stances, 7 read, 7).
    asked
        Shape (n_personas, 7, 7): set where an answer was needed.
    bound
        Largest gap of stances at which a post is read.
    noise
        Chance of a jump to a uniform stance.
    """
    for k in range(readers.shape[0]):
        i, j = readers[k], partners[k]
        if jumps[k] < noise:
            stance[i] = min(int(luck[k] * 7.0), 6)
        elif i != j and abs(stance[i] - stance[j]) <= bound:
            own, read = stance[i], stance[j]
            asked[persona[i], own, read] = True
            answers = cumulated[persona[i], own, read]
            choice = 0
            while choice < 6 and answers[choice] <= luck[k]:
                choice += 1
            stance[i] = choice
