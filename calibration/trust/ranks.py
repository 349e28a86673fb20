"""Simulation-based calibration: the rank of the truth among posterior draws is uniform.

Draw parameters from the prior, simulate data, fit, and count the posterior draws below the truth.
If the posterior is right the rank is uniform on 0..n_draws (Talts, Betancourt, Simpson, Vehtari and
Gelman 2018, arXiv:1804.06788, theorem 1). The shape of the histogram says what is wrong: a slope is
a bias, a valley a posterior that is too narrow, a hill one that is too wide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from abm.calibration.trust.draws import checked, lengths, named
from abm.errors import CalibrationError, require

__all__ = ["RankCheck", "rank_uniforms", "ranks", "simulation_based_calibration"]

Array = NDArray[np.float64]
LEVEL = 0.999
"""Level of the tests: a correct posterior is called wrong once in a thousand checks."""


def ranks(truths: ArrayLike, draws: ArrayLike, *, rng: np.random.Generator) -> NDArray[np.int64]:
    """Number of draws below the truth, shape (n_sets, n_parameters), in 0..n_draws of its set.

    Equal values (discrete parameters) are placed below or above at random.

    Examples
    --------
    >>> ranks([0.5], [[0.1, 0.4, 0.9]], rng=np.random.default_rng(1)).tolist()
    [[2]]
    """
    truth, drawn = checked(truths, draws)
    below = (drawn < truth[:, None, :]).sum(axis=1)
    ties = (drawn == truth[:, None, :]).sum(axis=1)
    return np.asarray(below + rng.integers(0, ties + 1), dtype=np.int64)


def rank_uniforms(rank: ArrayLike, n_draws: ArrayLike, *, rng: np.random.Generator) -> Array:
    """(rank + U) / (n_draws + 1): exactly uniform on [0, 1) if the posterior is right.

    `n_draws` may differ between data sets, as it does after rejection with a fixed tolerance.

    Examples
    --------
    >>> u = rank_uniforms([0, 9], 9, rng=np.random.default_rng(1))
    >>> bool(0 <= u[0] < 0.1), bool(0.9 <= u[1] < 1)
    (True, True)
    """
    r = np.asarray(rank, dtype=np.float64)
    result: Array = (r + rng.random(r.shape)) / (np.asarray(n_draws, dtype=np.float64) + 1.0)
    return result


@dataclass(frozen=True)
class RankCheck:
    """What the ranks of one parameter say.

    Attributes
    ----------
    chi2, critical
        Pearson's statistic of the histogram, and the value that it exceeds once in a thousand.
    location, spread
        Standard normal under a correct posterior: the truth lies too often above (> 0) or below the
        draws; too often outside (> 0, posterior too narrow) or inside them (< 0, too wide).
    counts
        The histogram, shape (n_bins,).
    """

    parameter: str
    chi2: float
    critical: float
    location: float
    spread: float
    counts: tuple[int, ...]

    @property
    def passes(self) -> bool:
        return self.chi2 <= self.critical

    @property
    def too_wide(self) -> bool:
        """The truth lies too often inside the draws, and no more often above than below them."""
        limit = float(stats.norm.ppf(0.5 + LEVEL / 2))
        return self.spread < -limit and abs(self.location) <= limit

    @property
    def words(self) -> str:
        """What it means, in a sentence."""
        head = f"{self.parameter}: chi2 {self.chi2:.1f}, critical {self.critical:.1f}: "
        faults = self._faults()
        if self.passes and not faults:
            return head + "the ranks of the truth are uniform, as they are for a right posterior"
        if self.passes:
            return head + "the histogram alone would pass, but " + " and ".join(faults)
        shape = " and ".join(faults) or "the histogram is uneven without slope, valley or hill"
        return head + f"the posterior is wrong: {shape}"

    def _faults(self) -> list[str]:
        limit = float(stats.norm.ppf(0.5 + LEVEL / 2))
        faults = []
        if abs(self.location) > limit:
            side = "low" if self.location > 0 else "high"
            faults.append(f"it lies too {side} (biased)")
        if self.spread > limit:
            faults.append("it is too narrow (overconfident), or the truth strays to its edges")
        if self.spread < -limit:
            faults.append("it is too wide (underconfident)")
        return faults


def simulation_based_calibration(
    truths: ArrayLike,
    draws: ArrayLike,
    *,
    names: Sequence[str] | None = None,
    n_bins: int = 20,
    rng: np.random.Generator,
) -> list[RankCheck]:
    """Check each parameter: rank histogram, chi-squared, location and spread.

    Parameters
    ----------
    truths, draws
        Shapes (n_sets, n_parameters) and (n_sets, n_draws, n_parameters). The truths come from the
        prior, each data set from its truth, the draws from the posterior given that data set.
        Sets may have different numbers of draws, filled up with nan (`draws.padded`).
        The draws of a set must be (nearly) independent.
    n_bins
        Bins of the histogram; choose it so that it divides n_draws + 1, and at least five data sets
        per bin are needed.

    Raises
    ------
    CalibrationError
        Fewer than five data sets per bin: the statistic would not follow its distribution.

    Examples
    --------
    >>> rng = np.random.default_rng(3)
    >>> theta = rng.normal(size=400)
    >>> right = theta[:, None] * 0 + rng.normal(size=(400, 99))  # data without information
    >>> simulation_based_calibration(theta, right, rng=rng)[0].passes
    True
    """
    truth, drawn = checked(truths, draws)
    rank = ranks(truth, drawn, rng=rng)
    uniforms = rank_uniforms(rank, lengths(drawn)[:, None], rng=rng)
    labels = named(None if names is None else list(names), truth.shape[1])
    return [check_uniform(uniforms[:, j], label, n_bins) for j, label in enumerate(labels)]


def check_uniform(uniforms: Array, name: str, n_bins: int = 20) -> RankCheck:
    """`RankCheck` of values that are uniform on [0, 1) under a correct posterior."""
    n = len(uniforms)
    require(
        n_bins >= 2 and n >= 5 * n_bins,
        CalibrationError,
        f"{n} data sets in n_bins = {n_bins} bins, expected at least five per bin: "
        f"simulate {5 * n_bins} data sets or take {max(n // 5, 2)} bins",
    )
    counts = np.bincount(np.minimum((uniforms * n_bins).astype(int), n_bins - 1), minlength=n_bins)
    expected = n / n_bins
    chi2 = float(((counts - expected) ** 2 / expected).sum())
    centred = uniforms - 0.5
    location = float(centred.mean() * np.sqrt(12 * n))
    spread = float((centred**2 - 1 / 12).mean() * np.sqrt(180 * n))  # Var (U-1/2)^2 = 1/180
    critical = float(stats.chi2.ppf(LEVEL, n_bins - 1))
    return RankCheck(name, chi2, critical, location, spread, tuple(map(int, counts)))


def rank_table(checks: Sequence[RankCheck]) -> pl.DataFrame:
    """One row per parameter: chi2, critical, location, spread, passes."""
    return pl.DataFrame(
        [
            {
                "parameter": c.parameter,
                "chi2": c.chi2,
                "critical": c.critical,
                "location": c.location,
                "spread": c.spread,
                "passes": c.passes,
            }
            for c in checks
        ]
    )
