"""Rumours: those who know tell others, until those they meet know already."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from abm.kernels.rule import on_arrays
from abm.kernels.rules.ranges import SHARE, within

__all__ = ["Rumour", "rumour"]


@within(telling=SHARE, stifling=SHARE)
class Rumour(NamedTuple):
    """Parameters of `rumour`.

    Attributes
    ----------
    telling
        Probability that somebody who does not know takes the rumour up when told, in [0, 1].
    stifling
        Probability that a spreader stops who meets somebody who knows it already, in [0, 1].
    """

    telling: float
    stifling: float


def _rumour(own: Any, other: Any, p: Rumour, u: Any) -> Any:
    told = (own == 1) & (other == 0) & (u < p.telling)
    bored = (own == 1) & (other != 0) & (u < p.stifling)
    return np.where(bored, 2, own), np.where(told, 1, other)


@on_arrays(_rumour)
def rumour(own: int, other: int, p: Rumour, u: float) -> tuple[int, int]:
    """0 has not heard it, 1 spreads it, 2 has stopped: whoever spreads it calls the partner.

    For `run_pairwise`, without a network or along ties. With both probabilities 1 it is the model
    of Maki & Thompson. In a large crowd a share x never hears it that solves
    x = exp(-(1 + telling / stifling) (1 - x)): 0.2032 for them.

    References
    ----------
    Daley & Kendall (1964), Nature 204, 1118; Maki & Thompson (1973), Mathematical Models and
    Applications, Prentice-Hall; with probabilities Nekovee, Moreno, Bianconi & Marsili (2007),
    Physica A 374, 457-470.

    Examples
    --------
    >>> p = Rumour(telling=1.0, stifling=1.0)
    >>> rumour(1, 0, p, 0.5), rumour(1, 2, p, 0.5), rumour(0, 1, p, 0.5)
    ((1, 1), (2, 2), (0, 1))
    """
    if own == 1 and other == 0 and u < p.telling:
        return own, 1
    if own == 1 and other != 0 and u < p.stifling:
        return 2, other
    return own, other
