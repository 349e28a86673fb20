"""Ordered categories: agreement, polarisation and diversity of answers counted on a scale.

All measures take counts per category in the order of the scale, empty categories included, and are
nan where nobody answered. `counts` makes them from answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from abm.analysis.arrays import as_numbers
from abm.errors import AnalysisError, require

__all__ = [
    "agreement",
    "counts",
    "effective_number",
    "entropy",
    "esteban_ray",
    "inverse_simpson",
]

Array = NDArray[np.float64]
NAN = float("nan")


def counts(answers: ArrayLike, categories: Sequence[float] | ArrayLike) -> Array:
    """How many answers fall into each category.

    Parameters
    ----------
    answers
        Shape (n,); nan is no answer and is not counted.
    categories
        All points of the scale in ascending order, shape (K,).

    Returns
    -------
    Shape (K,); all 0 for nobody.

    Raises
    ------
    AnalysisError
        An answer is none of the categories.

    References
    ----------
    A frequency table; nothing is estimated.

    Examples
    --------
    >>> counts([1, 2, 2, float("nan")], [1, 2, 3]).tolist()
    [1.0, 2.0, 0.0]
    """
    scale = as_numbers(categories, "categories").ravel()
    require(scale.size > 0, AnalysisError, "categories are empty, expected all points of the scale")
    given = as_numbers(answers, "answers").ravel()
    given = given[~np.isnan(given)]
    place = np.searchsorted(scale, given)
    known = scale[np.minimum(place, scale.size - 1)] == given
    require(
        bool(np.all(np.diff(scale) > 0)) and bool(known.all()),
        AnalysisError,
        f"answers {np.unique(given[~known])[:5].tolist()} are not on the scale {scale.tolist()}, "
        "which must be ascending",
    )
    return np.bincount(place, minlength=scale.size).astype(np.float64)


def agreement(frequencies: ArrayLike) -> float:
    """Van der Eijk's agreement A of an ordered scale: 1 one category, 0 uniform, -1 two poles.

    Parameters
    ----------
    frequencies
        Counts or shares per category, shape (K,), K >= 3, >= 0, empty categories included.

    Returns
    -------
    A in [-1, 1]; nan when nobody answered or K < 3.

    References
    ----------
    Van der Eijk (2001), Quality and Quantity 35, 325-341.

    Examples
    --------
    >>> round(agreement([30, 40, 210, 130, 530, 50, 10]), 6)
    0.611333
    >>> agreement([50, 0, 0, 0, 50]), agreement([0, 0, 7]), agreement([5, 5, 5, 5])
    (-1.0, 1.0, 0.0)
    """
    left = _frequencies(frequencies).copy()
    total = left.sum()
    if left.size < 3 or total <= 0:
        return NAN
    result = 0.0
    while np.any(left > 0):
        pattern = left > 0
        height = float(left[pattern].min())
        result += _pattern_agreement(pattern.tobytes()) * height * int(pattern.sum()) / total
        left = np.where(pattern & (left > height), left - height, 0.0)
    return float(np.clip(result, -1, 1))


@lru_cache(maxsize=4096)
def _pattern_agreement(layer: bytes) -> float:
    """A of a layer in which every non-empty category holds the same: U (1 - (S-1)/(K-1)).

    The layer is a byte per category, 1 where it is not empty; resamples share most layers.
    """
    pattern = np.frombuffer(layer, dtype=np.bool_)
    k, filled = pattern.size, int(pattern.sum())
    if filled == 1:
        return 1.0
    if filled == k:
        return 0.0
    before = np.cumsum(pattern)[~pattern]
    after = filled - before
    unimodal = float(np.sum(before * (before - 1) / 2 + after * (after - 1) / 2))
    bimodal = float(np.sum(before * after))
    u = ((k - 2) * unimodal - (k - 1) * bimodal) / ((k - 2) * (unimodal + bimodal))
    return u * (1 - (filled - 1) / (k - 1))


def esteban_ray(
    frequencies: ArrayLike, *, alpha: float = 1.3, positions: ArrayLike | None = None
) -> float:
    """Esteban and Ray's polarisation: sum over i, j of p_i^(1 + alpha) p_j |y_i - y_j|.

    Parameters
    ----------
    alpha
        Weight of identification within groups, in (0, 1.6].
    positions
        Places of the categories, shape (K,); by default equally spaced on [0, 1].

    Returns
    -------
    Polarisation in the unit of the positions, >= 0, largest for two equal groups at the ends; nan
    when nobody answered. Esteban and Ray leave a constant K in front free (it is 1 here), and
    positions on the scale itself, 1 to 7 say, give six times the value of [0, 1].

    References
    ----------
    Esteban and Ray (1994), Econometrica 62, 819-851, theorem 1 (K = 1).

    Examples
    --------
    >>> round(esteban_ray([1, 1]), 6), round(esteban_ray([1, 2, 1]), 6)
    (0.203063, 0.092)
    """
    require(0 < alpha <= 1.6, AnalysisError, f"alpha = {alpha}, expected 0 < alpha <= 1.6")
    p = _shares(frequencies)
    if p.size == 0 or np.isnan(p).any():
        return NAN
    y = np.linspace(0, 1, p.size) if positions is None else as_numbers(positions, "positions")
    require(
        y.shape == p.shape and not np.isnan(y).any(),
        AnalysisError,
        f"{y.size} positions for {p.size} categories, expected one number for each",
    )
    return float(p ** (1 + alpha) @ np.abs(y[:, None] - y[None, :]) @ p)


def entropy(frequencies: ArrayLike) -> float:
    """Shannon entropy of the shares in nats (over log 2: in bits); nan when nobody answered.

    References
    ----------
    Shannon (1948), Bell System Technical Journal 27, 379-423.

    Examples
    --------
    >>> entropy([5, 0])
    0.0
    """
    p = _shares(frequencies)
    if np.isnan(p).any() or p.size == 0:
        return NAN
    p = p[p > 0]
    return float(-np.sum(p * np.log(p))) + 0.0


def effective_number(frequencies: ArrayLike) -> float:
    """exp of the Shannon entropy: how many equally common categories would be as diverse.

    Returns
    -------
    In [1, K]; nan when nobody answered.

    References
    ----------
    Hill (1973), Ecology 54, 427-432, order 1.

    Examples
    --------
    >>> round(effective_number([3, 3, 3, 3]), 12)
    4.0
    """
    return float(np.exp(entropy(frequencies)))


def inverse_simpson(frequencies: ArrayLike) -> float:
    """1 / sum of squared shares: Hill's effective number of order 2; nan when nobody answered.

    References
    ----------
    Simpson (1949), Nature 163, 688; Hill (1973), Ecology 54, 427-432.

    Examples
    --------
    >>> inverse_simpson([3, 3, 3, 3])
    4.0
    """
    p = _shares(frequencies)
    return NAN if np.isnan(p).any() or p.size == 0 else float(1 / np.sum(p**2))


def _frequencies(values: ArrayLike) -> Array:
    given = as_numbers(values, "frequencies").ravel()
    require(
        bool(np.all(given >= 0)),
        AnalysisError,
        f"frequencies {given.tolist()[:10]}, expected numbers >= 0, one per category",
    )
    return given


def _shares(values: ArrayLike) -> Array:
    given = _frequencies(values)
    total = given.sum()
    return given / total if total > 0 else np.full(given.shape, np.nan)
