"""Exchange: money changes hands in pairs. All are for `run_pairwise`."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from abm.kernels.rule import on_arrays
from abm.kernels.rules.ranges import AT_LEAST_0, SHARE, Range, within

__all__ = [
    "Donation",
    "Saving",
    "YardSale",
    "boltzmann_wealth",
    "donation",
    "random_split",
    "yard_sale",
]


def _boltzmann_wealth(own: Any, other: Any, p: Any) -> Any:  # noqa: ARG001
    some = own > 0
    return np.where(some, own - 1, own), np.where(some, other + 1, other)


@on_arrays(_boltzmann_wealth)
def boltzmann_wealth(own: Any, other: Any, p: Any) -> Any:  # noqa: ARG001
    """Who has money gives one unit to the partner.

    In equilibrium wealth is geometric, with Gini coefficient (1 + m) / (1 + 2 m) at mean m.

    References
    ----------
    Dragulescu & Yakovenko (2000), European Physical Journal B 17, 723-729.

    Examples
    --------
    >>> boltzmann_wealth(1, 0, ()), boltzmann_wealth(0, 5, ())
    ((0, 1), (0, 5))
    """
    if own > 0:
        return own - 1, other + 1
    return own, other


@within(saving=Range(0.0, 1.0, high_is_in=False))
class Saving(NamedTuple):
    """Parameters of `random_split`.

    Attributes
    ----------
    saving
        Share of their money that both keep out of the exchange, in [0, 1); 0 pools everything.
    """

    saving: float


@on_arrays()
def random_split(own: float, other: float, p: Saving, u: float) -> tuple[float, float]:
    """Both keep their savings, pool the rest and split it at random.

    In equilibrium the variance is (1 - s) / (1 + 2 s) times the squared mean, s the saving; without
    saving wealth is exponential.

    References
    ----------
    Dragulescu & Yakovenko (2000), European Physical Journal B 17, 723-729; with saving Chakraborti
    & Chakrabarti (2000), European Physical Journal B 17, 167-170.

    Examples
    --------
    >>> random_split(1.0, 3.0, Saving(0.5), 0.25)
    (1.0, 3.0)
    """
    pool = (1.0 - p.saving) * (own + other)
    return p.saving * own + u * pool, p.saving * other + (1.0 - u) * pool


@within(stake=Range(0.0, 1.0, low_is_in=False))
class YardSale(NamedTuple):
    """Parameters of `yard_sale`.

    Attributes
    ----------
    stake
        Share of the poorer one's wealth that changes hands, in (0, 1].
    """

    stake: float


def _yard_sale(own: Any, other: Any, p: YardSale, u: Any) -> Any:
    amount = p.stake * np.minimum(own, other)
    amount = np.where(u >= 0.5, -amount, amount)
    return own + amount, other - amount


@on_arrays(_yard_sale)
def yard_sale(own: float, other: float, p: YardSale, u: float) -> tuple[float, float]:
    """A fair coin decides who wins a share of the poorer one's wealth.

    Nobody gains on average, and yet one person owns nearly everything in the end.

    References
    ----------
    Chakraborti (2002), International Journal of Modern Physics C 13, 1315-1321; Boghosian (2014),
    Physical Review E 89, 042804.

    Examples
    --------
    >>> yard_sale(10.0, 2.0, YardSale(0.5), 0.1), yard_sale(10.0, 2.0, YardSale(0.5), 0.9)
    ((11.0, 1.0), (9.0, 3.0))
    """
    amount = p.stake * min(own, other)
    if u >= 0.5:
        amount = -amount
    return own + amount, other - amount


@within(share=SHARE, multiplier=AT_LEAST_0)
class Donation(NamedTuple):
    """Parameters of `donation`.

    Attributes
    ----------
    share
        Share of their resources that donors give away, in [0, 1].
    multiplier
        What arrives of one unit, >= 0; above 1 giving creates something.
    """

    share: float
    multiplier: float


@on_arrays()
def donation(own: float, other: float, p: Donation) -> tuple[float, float]:
    """The donor gives a share of its resources; the partner receives a multiple of the gift.

    Each gift changes the sum of resources by (multiplier - 1) times the gift. Two people who give
    in turns multiply what they own, in the long run, by share + sqrt(share**2 + 1 - share) per
    round if the multiplier is 2.

    References
    ----------
    Nowak & Sigmund (1998), Nature 393, 573-577, where gifts have one size; as a share of what one
    owns Vallinder & Hughes (2024), arXiv:2412.10270.

    Examples
    --------
    >>> donation(10.0, 10.0, Donation(share=0.5, multiplier=2.0))
    (5.0, 20.0)
    """
    gift = p.share * own
    return own - gift, other + p.multiplier * gift
