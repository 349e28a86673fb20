"""Modality: does a distribution of opinions have more than one mode?

Hartigan and Hartigan's dip is the largest distance between the empirical distribution and the
nearest distribution with one mode. Unlike the bimodality coefficient it is not carried by skewness.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from abm.analysis.arrays import as_numbers
from abm.errors import MissingExtra

__all__ = ["Dip", "dip_test"]

NAN = float("nan")


@dataclass(frozen=True)
class Dip:
    """The dip of a sample and the test of one mode.

    Attributes
    ----------
    dip
        In [1/(2n), 1/4]; nan where undefined.
    p_value
        Probability of a dip as large under a uniform distribution, the hardest one with one mode.
        Small: more than one mode.
    n
        Opinions that entered.
    reason
        Why it is undefined, or what to keep in mind; empty otherwise.
    """

    dip: float
    p_value: float
    n: int
    reason: str = ""


def dip_test(opinions: ArrayLike) -> Dip:
    """Hartigan and Hartigan's dip test of one mode.

    Parameters
    ----------
    opinions
        Shape (n,), on any scale; nan is no opinion. On a scale of few points the atoms themselves
        count as modes: the test is meant for opinions that can take many values.

    Returns
    -------
    Undefined for fewer than four opinions. For more than 72,000 the p-value is the asymptotic one,
    and says so.

    Raises
    ------
    MissingExtra
        The package diptest is not installed.

    References
    ----------
    Hartigan and Hartigan (1985), Annals of Statistics 13, 70-84.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> one, two = rng.normal(0, 1, 200), rng.normal([-4, 4], 1, (100, 2)).ravel()
    >>> dip_test(one).p_value > 0.1, dip_test(two).p_value < 0.001
    (True, True)
    """
    x = as_numbers(opinions, "opinions").ravel()
    x = x[~np.isnan(x)]
    if x.size < 4:
        return Dip(NAN, NAN, x.size, "fewer than four opinions")
    try:
        import diptest
    except ImportError as error:
        raise MissingExtra(
            "the dip test needs the package diptest: pip install 'agora-abm[analysis]'"
        ) from error
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sample size exceeds the maximum limit")
        dip, p_value = diptest.diptest(x, allow_zero=False)
    reason = "asymptotic p-value" if x.size > 72_000 else ""
    return Dip(float(dip), float(p_value), x.size, reason)
