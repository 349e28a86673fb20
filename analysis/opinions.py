"""Opinions: how far apart, how many groups, how two-peaked, who moved.

Opinions are numbers on a bounded scale, [0, 1] unless told otherwise; nan is no opinion and is left
out. Measures of counted answers on a scale (agreement, Esteban-Ray, effective number) are in
`abm.analysis.scales` and can be taken from here too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from abm.analysis.arrays import as_numbers
from abm.analysis.scales import (
    agreement,
    counts,
    effective_number,
    entropy,
    esteban_ray,
    inverse_simpson,
)
from abm.errors import AnalysisError, require

__all__ = [
    "SHIFTS",
    "Clusters",
    "agreement",
    "bimodality_coefficient",
    "clusters",
    "counts",
    "coverage",
    "dispersion",
    "effective_number",
    "entropy",
    "esteban_ray",
    "flow_table",
    "fracture",
    "inverse_simpson",
    "shift_shares",
    "shifts",
    "spread",
    "variance_over_maximum",
]

Array = NDArray[np.float64]
NAN = float("nan")

SHIFTS = ("more_extreme", "more_moderate", "flipped", "unchanged")
"""What can become of an opinion, in the order of the codes that `shifts` returns."""


def variance_over_maximum(opinions: ArrayLike, *, low: float = 0.0, high: float = 1.0) -> float:
    """Variance over the largest that the scale allows, (high - low)^2 / 4.

    The variance is that of these people (over n); that of a sample drawn from more (over n - 1) is
    n / (n - 1) times as large.

    Returns
    -------
    0 for consensus, 1 for two equal camps at the ends, 1/3 for a uniform spread; nan for nobody.

    References
    ----------
    Popoviciu (1935), Mathematica (Cluj) 9, 129-145, for the largest variance on an interval.

    Examples
    --------
    >>> variance_over_maximum([0.0, 0.0, 1.0, 1.0])
    1.0
    """
    x = _on_scale(opinions, low, high)
    return NAN if x.size == 0 else float(4 * x.var() / (high - low) ** 2)


def bimodality_coefficient(opinions: ArrayLike) -> float:
    """Sarle's bimodality coefficient (g^2 + 1) / (k + 3 (n-1)^2 / ((n-2)(n-3))).

    g is the bias-corrected skewness and k the bias-corrected excess kurtosis, as in SAS; without
    the corrections it is (g^2 + 1) / (k + 3), which it tends to as n grows. Above 5/9, the value of
    a uniform distribution, it hints at two modes; skewness alone can carry it there.

    Returns
    -------
    In (0, 1]; nan for fewer than four opinions or when all are equal.

    References
    ----------
    Pfister et al. (2013), Frontiers in Psychology 4, 700.

    Examples
    --------
    >>> round(bimodality_coefficient([0.0] * 500 + [1.0] * 500), 5)
    0.99501
    """
    x = _defined(opinions)
    n = x.size
    if n < 4 or np.ptp(x) == 0:
        return NAN
    gaps = x - x.mean()
    squares = gaps * gaps
    m2 = float(squares.mean())
    if not m2 > 0:
        return NAN
    g1 = float((squares * gaps).mean()) / m2**1.5
    g2 = float((squares * squares).mean()) / m2**2 - 3
    skew = g1 * np.sqrt(n * (n - 1)) / (n - 2)
    kurtosis = (n - 1) / ((n - 2) * (n - 3)) * ((n + 1) * g2 + 6)
    return float((skew**2 + 1) / (kurtosis + 3 * (n - 1) ** 2 / ((n - 2) * (n - 3))))


def dispersion(opinions: ArrayLike, *, low: float = 0.0, high: float = 1.0) -> float:
    """Mean absolute deviation from the mean over the largest that the scale allows.

    Returns
    -------
    0 for consensus, 1 for two equal camps at the ends, 1/2 for a uniform spread; nan for nobody.

    References
    ----------
    Bramson et al. (2016), Journal of Mathematical Sociology 40, 80-111, sense 2.

    Examples
    --------
    >>> dispersion([0.0, 1.0]), dispersion([0.3, 0.3])
    (1.0, 0.0)
    """
    x = _on_scale(opinions, low, high)
    return NAN if x.size == 0 else float(2 * np.abs(x - x.mean()).mean() / (high - low))


def spread(opinions: ArrayLike, *, low: float = 0.0, high: float = 1.0) -> float:
    """Distance between the two outermost opinions over the length of the scale; nan for nobody.

    References
    ----------
    Bramson et al. (2016), Journal of Mathematical Sociology 40, 80-111, sense 1.

    Examples
    --------
    >>> spread([0.25, 0.5, 0.75])
    0.5
    """
    x = _on_scale(opinions, low, high)
    return NAN if x.size == 0 else float(np.ptp(x) / (high - low))


def coverage(opinions: ArrayLike, *, bins: int = 20, low: float = 0.0, high: float = 1.0) -> float:
    """Share of equal bins of the scale that somebody holds; nan for nobody.

    Parameters
    ----------
    bins
        Equal parts of the scale, >= 1, each with its lower end and the last with both.

    References
    ----------
    Bramson et al. (2016), Journal of Mathematical Sociology 40, 80-111, sense 3.

    Examples
    --------
    >>> coverage([0.01, 0.02, 0.99], bins=10)
    0.2
    """
    require(
        bins >= 1 and int(bins) == bins,
        AnalysisError,
        f"bins = {bins}, expected a whole number >= 1",
    )
    x = _on_scale(opinions, low, high)
    if x.size == 0:
        return NAN
    ends = low + (high - low) * np.arange(1, bins) / bins  # k / bins, rounded as 0.29 is
    held = np.bincount(np.searchsorted(ends, x, side="right"), minlength=int(bins))
    return float(np.count_nonzero(held) / bins)


@dataclass(frozen=True)
class Clusters:
    """Groups of opinions, from low to high.

    Attributes
    ----------
    centres, sizes
        Mean opinion and number of members of each cluster, shape (n_clusters,).
    major
        Which clusters hold at least the declared share of all, shape (n_clusters,).
    """

    centres: Array
    sizes: NDArray[np.int64]
    major: NDArray[np.bool_]

    @property
    def n(self) -> int:
        """Number of clusters of any size; 0 for nobody."""
        return int(self.sizes.size)

    @property
    def n_major(self) -> int:
        return int(self.major.sum())

    @property
    def largest_share(self) -> float:
        return float(self.sizes.max() / self.sizes.sum()) if self.n else NAN


def clusters(opinions: ArrayLike, *, gap: float = 0.02, major: float = 0.05) -> Clusters:
    """Clusters by a stated rule: sorted opinions are split wherever two neighbours are > gap apart.

    Parameters
    ----------
    gap
        Smallest distance that separates, in the unit of the opinions, > 0.
    major
        Share of all opinions that makes a cluster a major one, in [0, 1].

    Returns
    -------
    `n` is 0 for nobody, and `largest_share` nan.

    References
    ----------
    Gower and Ross (1969), Applied Statistics 18, 54-64: single linkage, which on a line is this
    rule.

    Examples
    --------
    >>> found = clusters([0.1, 0.11, 0.5, 0.9, 0.9], gap=0.05, major=0.3)
    >>> found.sizes.tolist(), found.n, found.n_major
    ([2, 1, 2], 3, 2)
    """
    require(gap > 0, AnalysisError, f"gap = {gap}, expected > 0")
    require(0 <= major <= 1, AnalysisError, f"major = {major}, expected a share in [0, 1]")
    x = np.sort(_defined(opinions))
    if x.size == 0:
        return Clusters(np.empty(0), np.empty(0, np.int64), np.empty(0, np.bool_))
    starts = np.concatenate([[0], np.flatnonzero(np.diff(x) > gap) + 1])
    sizes = np.diff(np.append(starts, x.size)).astype(np.int64)
    centres = np.add.reduceat(x, starts) / sizes
    return Clusters(centres, sizes, sizes >= major * x.size)


def fracture(opinions: ArrayLike, *, gap: float = 0.02) -> float:
    """Probability that two people drawn at random belong to different clusters.

    One minus the sum of squared shares of the clusters that `clusters` finds; its inverse form,
    1 / (1 - fracture), is the effective number of clusters.

    Parameters
    ----------
    gap
        Smallest distance that separates two clusters, in the unit of the opinions, > 0.

    Returns
    -------
    In [0, 1): 0 for one cluster, 1/2 for two equal ones; nan for nobody.

    References
    ----------
    Community fracturing, sense 5 of Bramson et al. (2016), Journal of Mathematical Sociology 40,
    80-111, measured as fractionalisation: Alesina et al. (2003), Journal of Economic Growth 8,
    155-194, eq. 1.

    Examples
    --------
    >>> fracture([0.1, 0.1, 0.9, 0.9]), fracture([0.5, 0.51])
    (0.5, 0.0)
    """
    sizes = clusters(opinions, gap=gap).sizes
    return NAN if sizes.size == 0 else float(1 - np.sum((sizes / sizes.sum()) ** 2))


def shifts(before: ArrayLike, after: ArrayLike, *, middle: float) -> NDArray[np.int8]:
    """What became of each opinion: index into `SHIFTS`; -1 where either is undefined.

    Flipped is from one side of the middle to the other. Otherwise the distance to the middle
    decides: grown is more extreme, shrunk more moderate, equal unchanged. So leaving the middle is
    more extreme, and reaching it more moderate.

    Parameters
    ----------
    before, after
        Shape (n,), on the same scale.
    middle
        Neutral point of the scale, such as 4 on 1 to 7.

    Returns
    -------
    Whole numbers, shape (n,); -1 stands for undefined.

    References
    ----------
    The kinds are those of Piao et al. (2025), "AgentSociety", arXiv:2502.08691, on polarisation;
    the rule by distance to the middle is set here.

    Examples
    --------
    >>> [SHIFTS[i] for i in shifts([5, 5, 5, 5, 4], [7, 4, 2, 5, 3], middle=4)]
    ['more_extreme', 'more_moderate', 'flipped', 'unchanged', 'more_extreme']
    """
    require(bool(np.isfinite(middle)), AnalysisError, f"middle = {middle}, expected a number")
    a, b = (as_numbers(x, "opinions") - middle for x in (before, after))
    require(a.shape == b.shape, AnalysisError, f"{a.size} opinions before and {b.size} after")
    grown = np.abs(b) - np.abs(a)
    code = np.select([a * b < 0, grown > 0, grown < 0], [2, 0, 1], default=3)
    return np.where(np.isnan(a) | np.isnan(b), -1, code).astype(np.int8)


def shift_shares(before: ArrayLike, after: ArrayLike, *, middle: float) -> dict[str, float]:
    """Shares of `SHIFTS` among those with both opinions defined; nan for nobody. They sum to 1.

    References
    ----------
    As `shifts`.

    Examples
    --------
    >>> shift_shares([5, 5, 3, 4], [7, 4, 5, 4], middle=4)["flipped"]
    0.25
    """
    codes = shifts(before, after, middle=middle)
    codes = codes[codes >= 0]
    if codes.size == 0:
        return dict.fromkeys(SHIFTS, NAN)
    shares = np.bincount(codes, minlength=len(SHIFTS)) / codes.size
    return {name: float(share) for name, share in zip(SHIFTS, shares, strict=True)}


def flow_table(before: ArrayLike, after: ArrayLike) -> pl.DataFrame:
    """Share of people who went from each answer to each answer, for `opinion_flows`.

    Parameters
    ----------
    before, after
        Answers of the same people, shape (n,); numbers or names. Who lacks one (nan, None) is left
        out.

    Returns
    -------
    Columns `before`, `after`, `n` and `share`; shares sum to 1. No rows for nobody.

    References
    ----------
    A contingency table of shares; nothing is estimated.

    Examples
    --------
    >>> flow_table([1, 1, 2, 2], [1, 2, 2, 2]).rows()
    [(1, 1, 1, 0.25), (1, 2, 1, 0.25), (2, 2, 2, 0.5)]
    """
    n_before, n_after = np.size(before), np.size(after)
    require(n_before == n_after, AnalysisError, f"{n_before} answers before and {n_after} after")
    pairs = pl.DataFrame({"before": before, "after": after}, strict=False)
    pairs = pairs.with_columns(pl.col(pl.Float32, pl.Float64).fill_nan(None)).drop_nulls()
    counted = pairs.group_by("before", "after").agg(n=pl.len().cast(pl.Int64))
    share = pl.col("n") / pl.col("n").sum()
    return counted.with_columns(share=share).sort("before", "after")


def _defined(opinions: ArrayLike) -> Array:
    x = as_numbers(opinions, "opinions").ravel()
    return x[~np.isnan(x)] if np.isnan(x).any() else x


def _on_scale(opinions: ArrayLike, low: float, high: float) -> Array:
    require(low < high, AnalysisError, f"scale [{low}, {high}], expected low < high")
    x = _defined(opinions)
    inside = x.size == 0 or (low <= x.min() and x.max() <= high)
    require(
        bool(inside),
        AnalysisError,
        f"opinions reach from {x.min() if x.size else NAN} to {x.max() if x.size else NAN}, "
        f"expected {low} to {high}; give low and high of the scale",
    )
    return x
