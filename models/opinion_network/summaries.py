"""Summary statistics of a run: who changed how, and how divided the citizens are.

Everything here is a pure function of arrays. What is undefined is nan, never 0.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from abm.models.opinion_network.scale import N_STANCES, stance_of

__all__ = [
    "CHANGES",
    "bimodality",
    "change_shares",
    "changes",
    "clusters",
    "division",
    "esteban_ray",
    "neighbour_correlation",
    "variance_over_maximum",
]

CHANGES = ("more_extreme", "more_moderate", "flipped", "unchanged")
"""The four ways in which a stance can compare with its baseline; each citizen is in exactly one."""


def changes(baseline: ArrayLike, final: ArrayLike) -> NDArray[np.int8]:
    """Index into `CHANGES` for each citizen, shape (n,), from stances 1 to 7.

    flipped
        now on the other side of the centre (4) than at the baseline;
    more_extreme
        not flipped, and farther from the centre than at the baseline (leaving the centre counts);
    more_moderate
        nearer to the centre than at the baseline (arriving at the centre counts);
    unchanged
        the same stance.

    Examples
    --------
    >>> [CHANGES[c] for c in changes([5, 5, 5, 5, 4], [6, 4, 3, 5, 2])]
    ['more_extreme', 'more_moderate', 'flipped', 'unchanged', 'more_extreme']
    """
    before = np.asarray(baseline, dtype=np.int64) - 4
    after = np.asarray(final, dtype=np.int64) - 4
    flipped = np.sign(before) * np.sign(after) < 0
    grown = np.abs(after) - np.abs(before)
    cases = [flipped, grown > 0, grown < 0]
    return np.select(cases, [2, 0, 1], default=3).astype(np.int8)


def change_shares(baseline: ArrayLike, final: ArrayLike) -> dict[str, float]:
    """Share of citizens in each of `CHANGES`; they add up to 1. nan for nobody.

    Examples
    --------
    >>> change_shares([5, 5], [6, 5])["more_extreme"]
    0.5
    """
    kinds = changes(baseline, final)
    if kinds.size == 0:
        return dict.fromkeys(CHANGES, float("nan"))
    counts = np.bincount(kinds, minlength=len(CHANGES)) / kinds.size
    return dict(zip(CHANGES, counts.tolist(), strict=True))


def division(opinions: ArrayLike) -> dict[str, float]:
    """Mean, variance and three measures of how divided opinions in [-1, 1] are.

    Examples
    --------
    >>> division([-1.0, 1.0])["variance_over_maximum"]
    1.0
    """
    x = np.asarray(opinions, dtype=np.float64)
    empty = x.size == 0
    return {
        "mean": float("nan") if empty else float(x.mean()),
        "variance": float("nan") if empty else float(x.var()),
        "variance_over_maximum": variance_over_maximum(x),
        "bimodality": bimodality(x),
        "esteban_ray": esteban_ray(np.bincount(stance_of(x), minlength=N_STANCES + 1)[1:]),
    }


def variance_over_maximum(opinions: ArrayLike, low: float = -1.0, high: float = 1.0) -> float:
    """Variance over its largest possible value, (range / 2)^2; 1 for two equal camps at the ends.

    Examples
    --------
    >>> variance_over_maximum([0.0, 1.0], 0.0, 1.0)
    1.0
    """
    x = np.asarray(opinions, dtype=np.float64)
    return float("nan") if x.size == 0 else float(x.var() / ((high - low) / 2.0) ** 2)


def bimodality(opinions: ArrayLike) -> float:
    """Bimodality coefficient (g^2 + 1) / (k + 3 (n-1)^2 / ((n-2)(n-3))).

    g and k are the bias-corrected skewness and excess kurtosis. Above 5/9, the value of a uniform
    distribution, it hints at two modes; skewness alone can cross that.

    Returns
    -------
    nan for fewer than four opinions, or if all are equal.

    References
    ----------
    SAS Institute (1990), SAS/STAT User's Guide; Pfister et al. (2013), Frontiers in Psychology 4.

    Examples
    --------
    >>> round(bimodality([0.0] * 500 + [1.0] * 500), 5)
    0.99501
    """
    x = np.asarray(opinions, dtype=np.float64)
    n = x.size
    if n < 4 or np.ptp(x) == 0:
        return float("nan")
    z = (x - x.mean()) / x.std()
    skew = float((z**3).mean()) * np.sqrt(n * (n - 1.0)) / (n - 2.0)
    excess = float((z**4).mean()) - 3.0
    kurtosis = (n - 1.0) / ((n - 2.0) * (n - 3.0)) * ((n + 1.0) * excess + 6.0)
    return float((skew**2 + 1.0) / (kurtosis + 3.0 * (n - 1.0) ** 2 / ((n - 2.0) * (n - 3.0))))


def esteban_ray(counts: ArrayLike, alpha: float = 1.3) -> float:
    """Polarisation sum p_i^(1+alpha) p_j |y_i - y_j| of evenly spaced categories on [0, 1].

    Parameters
    ----------
    counts
        People per category, shape (n_categories,), in order.
    alpha
        Weight on identification, in (0, 1.6].

    References
    ----------
    Esteban & Ray (1994), Econometrica 62, 819-851.

    Examples
    --------
    >>> round(esteban_ray([1, 1]), 6)
    0.203063
    """
    f = np.asarray(counts, dtype=np.float64)
    if f.sum() == 0:
        return float("nan")
    p = f / f.sum()
    y = np.linspace(0.0, 1.0, f.size)
    return float((p[:, None] ** (1.0 + alpha) * p[None, :] * np.abs(y[:, None] - y)).sum())


def clusters(opinions: ArrayLike, gap: float = 0.02) -> NDArray[np.int64]:
    """Sizes of the clusters, from the lowest to the highest: opinions split where they gap.

    Examples
    --------
    >>> clusters([0.1, 0.11, 0.5]).tolist()
    [2, 1]
    """
    ranked = np.sort(np.asarray(opinions, dtype=np.float64))
    cuts = np.flatnonzero(np.diff(ranked) > gap) + 1
    ends = np.concatenate([[0], cuts, [ranked.size]])
    return np.diff(ends).astype(np.int64)


def neighbour_correlation(opinions: ArrayLike, indptr: ArrayLike, indices: ArrayLike) -> float:
    """Pearson correlation of opinions across ties (assortativity); 1 is a perfect echo chamber.

    Returns
    -------
    nan without ties or if everybody with ties holds the same opinion.

    References
    ----------
    Newman (2003), Physical Review E 67, 026126.

    Examples
    --------
    >>> round(neighbour_correlation([0.0, 1.0], [0, 1, 2], [1, 0]), 6)
    -1.0
    """
    x = np.asarray(opinions, dtype=np.float64)
    ends = x[np.asarray(indices)]
    starts = np.repeat(x, np.diff(np.asarray(indptr)))
    if ends.size == 0 or np.ptp(ends) == 0:
        return float("nan")
    return float(np.corrcoef(starts, ends)[0, 1])


def prefixed(group: str, values: Mapping[str, float]) -> dict[str, float]:
    """Outcome names of one group: `group.variable`.

    Examples
    --------
    >>> prefixed("asked", {"mean": 0.5})
    {'asked.mean': 0.5}
    """
    return {f"{group}.{name}": value for name, value in values.items()}
