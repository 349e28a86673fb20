"""Assimilation and contrast: people weigh what fits, and move away from what they cannot accept."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from abm.kernels.rule import on_arrays
from abm.kernels.rules.ranges import AT_LEAST_0, POSITIVE, UP_TO_HALF, in_order, within

__all__ = ["BiasedAssimilation", "SocialJudgement", "biased_assimilation", "social_judgement"]


@within(bias=AT_LEAST_0, self_weight=POSITIVE)
class BiasedAssimilation(NamedTuple):
    """Parameters of `biased_assimilation`.

    Attributes
    ----------
    bias
        b, >= 0; 0 is averaging.
    self_weight
        Weight of oneself relative to all others together, > 0.
    """

    bias: float
    self_weight: float


def biased_assimilation(own: float, others: Any, weights: Any, p: BiasedAssimilation) -> float:
    """Weigh what is heard by how well it fits one's own opinion. For `run_neighbours`.

    On [0, 1], with s the weighted mean of the neighbours' opinions and w the self weight::

        x' = (w x + x**b s) / (w + x**b s + (1 - x)**b (1 - s))

    References
    ----------
    Dandekar, Goel & Lee (2013), PNAS 110, 5791-5796.

    Examples
    --------
    >>> biased_assimilation(0.5, [1.0], [1.0], BiasedAssimilation(bias=0.0, self_weight=1.0))
    0.75
    """
    if not 0.0 <= own <= 1.0:
        raise ValueError("opinions of biased_assimilation are from 0 to 1")
    total, mass = 0.0, 0.0
    for k in range(len(others)):
        total += weights[k] * others[k]
        mass += weights[k]
    if mass == 0.0:
        return own
    heard = total / mass
    support = own**p.bias * heard
    against = (1.0 - own) ** p.bias * (1.0 - heard)
    # Rounding may carry the quotient past the ends of the scale by its last bit.
    moved: float = (p.self_weight * own + support) / (p.self_weight + support + against)
    return min(max(moved, 0.0), 1.0)


@in_order("acceptance", "rejection")
@within(acceptance=AT_LEAST_0, rejection=AT_LEAST_0, rate=UP_TO_HALF)
class SocialJudgement(NamedTuple):
    """Parameters of `social_judgement`.

    Attributes
    ----------
    acceptance
        Gap below which people move toward each other, >= 0.
    rejection
        Gap above which they move apart, >= acceptance.
    rate
        Share of the gap per encounter, in (0, 1/2].
    """

    acceptance: float
    rejection: float
    rate: float


def _social_judgement(own: Any, other: Any, p: SocialJudgement) -> Any:
    gap = other - own
    step = np.where(np.abs(gap) > p.rejection, -p.rate * gap, 0.0)
    step = np.where(np.abs(gap) < p.acceptance, p.rate * gap, step)
    step = np.where((np.abs(own) <= 1.0) & (np.abs(other) <= 1.0), step, np.nan)
    return np.clip(own + step, -1.0, 1.0), np.clip(other - step, -1.0, 1.0)


@on_arrays(_social_judgement)
def social_judgement(own: float, other: float, p: SocialJudgement) -> tuple[float, float]:
    """Attraction within the latitude of acceptance, repulsion beyond that of rejection.

    For `run_pairwise`, on [-1, 1]; opinions stop at the ends of the scale. Between the latitudes
    nothing happens. Opinions beyond the scale give nan, which stops the run.

    References
    ----------
    Jager & Amblard (2005), Computational & Mathematical Organization Theory 10, 295-303.

    Examples
    --------
    >>> p = SocialJudgement(acceptance=0.5, rejection=1.0, rate=0.25)
    >>> social_judgement(0.0, 0.4, p), social_judgement(-0.5, 0.75, p)
    ((0.1, 0.30000000000000004), (-0.8125, 1.0))
    """
    gap = other - own
    if abs(own) > 1.0 or abs(other) > 1.0:
        return math.nan, math.nan
    if abs(gap) < p.acceptance:
        step = p.rate * gap
    elif abs(gap) > p.rejection:
        step = -p.rate * gap
    else:
        step = 0.0
    return min(max(own + step, -1.0), 1.0), min(max(other - step, -1.0), 1.0)
