"""Bounded confidence: people listen to those whose opinions are not too far from their own."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from abm.kernels.rule import on_arrays
from abm.kernels.rules.ranges import AT_LEAST_0, UP_TO_HALF, within

__all__ = [
    "Deffuant",
    "HegselmannKrause",
    "RelativeAgreement",
    "deffuant",
    "hegselmann_krause",
    "hegselmann_krause_ties",
    "relative_agreement",
]


@within(confidence_bound=AT_LEAST_0, rate=UP_TO_HALF)
class Deffuant(NamedTuple):
    """Parameters of `deffuant`.

    Attributes
    ----------
    confidence_bound
        Gap from which on two people no longer listen; the bound itself is out. >= 0.
    rate
        Share of the gap that each closes, in (0, 1/2].
    """

    confidence_bound: float
    rate: float


def _deffuant(own: Any, other: Any, p: Deffuant) -> Any:
    gap = other - own
    near = np.abs(gap) < p.confidence_bound
    step = p.rate * gap
    return np.where(near, own + step, own), np.where(near, other - step, other)


@on_arrays(_deffuant)
def deffuant(own: float, other: float, p: Deffuant) -> tuple[float, float]:
    """Two people compromise if they are close enough. For `run_pairwise`.

    References
    ----------
    Deffuant, Neau, Amblard & Weisbuch (2000), Advances in Complex Systems 3, 87-98.

    Examples
    --------
    >>> deffuant(0.25, 0.75, Deffuant(confidence_bound=0.6, rate=0.5))
    (0.5, 0.5)
    >>> deffuant(0.25, 0.75, Deffuant(confidence_bound=0.5, rate=0.5))
    (0.25, 0.75)
    """
    gap = other - own
    if abs(gap) < p.confidence_bound:
        return own + p.rate * gap, other - p.rate * gap
    return own, other


def hegselmann_krause(own: float, n_near: int, mean_near: float, p: Any) -> float:  # noqa: ARG001
    """Everybody takes the mean of all whose opinions are near, their own among them.

    For `run_within`, whose `distance` is the confidence bound (the bound itself is in). Where gaps
    equal the bound, rounding decides (0.3 - 0.1 is below 0.2, and 0.8 - 0.6 above), and may turn
    consensus into clusters: on a grid take a bound between its multiples.

    References
    ----------
    Hegselmann & Krause (2002), JASSS 5(3) 2.

    Examples
    --------
    >>> hegselmann_krause(0.5, 3, 0.4, ())
    0.4
    """
    return mean_near


@within(confidence_bound=AT_LEAST_0)
class HegselmannKrause(NamedTuple):
    """Parameters of `hegselmann_krause_ties`.

    Attributes
    ----------
    confidence_bound
        Largest gap at which people listen; the bound itself is in. >= 0.
    """

    confidence_bound: float


def hegselmann_krause_ties(own: float, others: Any, p: HegselmannKrause) -> float:
    """The mean of oneself and those one is tied to whose opinions are near. For `run_neighbours`.

    References
    ----------
    Hegselmann & Krause (2002), JASSS 5(3) 2; on networks Fortunato (2005), International Journal of
    Modern Physics C 16, 259-270.

    Examples
    --------
    >>> hegselmann_krause_ties(0.5, [0.25, 0.75, 1.0], HegselmannKrause(0.25))
    0.5
    """
    total, near = own, 1
    for value in others:
        if abs(value - own) <= p.confidence_bound:
            total += value
            near += 1
    return total / near


@within(rate=UP_TO_HALF)
class RelativeAgreement(NamedTuple):
    """Parameters of `relative_agreement`.

    Attributes
    ----------
    rate
        How far people move per encounter, in (0, 1/2].
    """

    rate: float


def relative_agreement(i: int, j: int, state: Any, p: RelativeAgreement) -> None:
    """Confident people convince uncertain ones, as far as their opinion segments overlap.

    For `run_pairwise` on two columns, opinions x and uncertainties u > 0. Person i moves j if the
    overlap h of [x_i - u_i, x_i + u_i] and [x_j - u_j, x_j + u_j] exceeds u_i::

        x_j += rate (h / u_i - 1) (x_i - x_j),    u_j += rate (h / u_i - 1) (u_i - u_j),

    and j moves i in the same encounter, both from what they were before it.

    References
    ----------
    Deffuant, Amblard, Weisbuch & Faure (2002), JASSS 5(4) 1.

    Examples
    --------
    >>> x, u = [0.0, 1.0], [0.5, 2.0]
    >>> relative_agreement(0, 1, (x, u), RelativeAgreement(0.5))
    >>> x, u
    ([0.0, 0.5], [0.5, 1.25])
    """
    x, u = state[0], state[1]
    xi, xj, ui, uj = x[i], x[j], u[i], u[j]
    overlap = min(xi + ui, xj + uj) - max(xi - ui, xj - uj)
    if overlap > ui:
        pull = p.rate * (overlap / ui - 1.0)
        x[j] = xj + pull * (xi - xj)
        u[j] = uj + pull * (ui - uj)
    if overlap > uj:
        pull = p.rate * (overlap / uj - 1.0)
        x[i] = xi + pull * (xj - xi)
        u[i] = ui + pull * (uj - ui)
