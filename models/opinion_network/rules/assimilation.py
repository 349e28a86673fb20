"""Biased assimilation: people weigh what they hear by how well it fits what they already think.

Dandekar, Goel and Lee (2013) on [0, 1]:

    x' = (w x + x^b s) / (w + x^b s + (1 - x)^b (d - s))

with s the weighted sum of the neighbours' opinions, d their total weight, w the weight on oneself
and b the bias. b = 0 is DeGroot averaging; with b >= 1 homophilous groups polarise.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

from abm.errors import ScenarioError, require

__all__ = ["assimilated", "biased_assimilation", "two_island_limit"]

Floats = NDArray[np.float64]
Opinion = TypeVar("Opinion", float, Floats)


def assimilated(own: Opinion, heard: Opinion, bias: float, self_weight: float) -> Opinion:
    """Own opinion in [0, 1] after hearing others whose mean opinion is `heard`.

    Parameters
    ----------
    own, heard
        Own opinion, and the mean of the others' opinions (their total weight is 1); in [0, 1].
    bias
        Bias b, >= 0.
    self_weight
        Weight w on oneself relative to all others together, > 0.

    References
    ----------
    Dandekar, Goel & Lee (2013), PNAS 110, 5791-5796.

    Examples
    --------
    >>> assimilated(0.5, 1.0, bias=0.0, self_weight=1.0)
    0.75
    >>> assimilated(1.0, 0.0, bias=1.0, self_weight=1.0)
    1.0
    """
    support = own**bias * heard
    against = (1.0 - own) ** bias * (1.0 - heard)
    moved: Opinion = (self_weight * own + support) / (self_weight + support + against)
    return moved


def biased_assimilation(
    opinions: ArrayLike, weights: ArrayLike, bias: float, self_weight: float
) -> Floats:
    """One synchronous step for everybody.

    Parameters
    ----------
    opinions
        Shape (n,), in [0, 1].
    weights
        Weights on others, shape (n, n), rows that sum to 1, zero diagonal.
    bias, self_weight
        As in `assimilated`.

    Examples
    --------
    >>> biased_assimilation([0.25, 0.75], [[0, 1], [1, 0]], bias=0.0, self_weight=1.0).tolist()
    [0.5, 0.5]
    """
    x = np.asarray(opinions, dtype=np.float64)
    heard: Floats = np.asarray(weights, dtype=np.float64) @ x
    return assimilated(x, heard, bias, self_weight)


def two_island_limit(bias: float, homophily: float) -> float:
    """Where the group that starts above 1/2 ends, on two islands that start as mirror images.

    Everybody has weight h on the own island for each 1 on the other. With r = x / (1 - x) a fixed
    point satisfies r^(1-b) = (h r + 1) / (h + r). So the limit is 1 when b >= 1 (polarisation), an
    opinion strictly between 1/2 and 1 when 2 / (h + 1) < b < 1 (persistent disagreement), and 1/2
    when b <= 2 / (h + 1) (consensus).

    Parameters
    ----------
    bias
        b, >= 0.
    homophily
        h, > 1.

    References
    ----------
    Dandekar, Goel & Lee (2013), on two-island networks.

    Examples
    --------
    >>> two_island_limit(bias=1.0, homophily=4.0), two_island_limit(bias=0.3, homophily=4.0)
    (1.0, 0.5)
    """
    require(
        bias >= 0 and homophily > 1,
        ScenarioError,
        f"bias = {bias}, homophily = {homophily}: expected bias >= 0 and homophily > 1",
    )
    if bias >= 1:
        return 1.0
    if bias <= 2.0 / (homophily + 1.0):
        return 0.5

    def excess(log_ratio: float) -> float:
        ratio = np.exp(log_ratio)
        pull = np.log((homophily * ratio + 1.0) / (homophily + ratio))
        return float(pull - (1.0 - bias) * log_ratio)

    farthest = np.log(homophily) / (1.0 - bias)
    root = float(brentq(excess, 1e-6, farthest + 1.0, xtol=1e-14))
    return float(1.0 / (1.0 + np.exp(-root)))
