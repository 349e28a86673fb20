"""TARP: coverage of the whole posterior, from distances to random points.

For each data set take a reference point. The share of posterior draws nearer to it than the truth
is uniform if the posterior is right (Lemos, Coogan, Hezaveh and Perreault-Levasseur 2023, ICML,
theorem 3, arXiv:2302.03026). All parameters are tested jointly. With reference points that do not
depend on the data the test is nearly blind to a posterior that is merely shifted, so it stands
beside the ranks of simulation-based calibration, never instead of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from abm.calibration.trust.draws import checked, lengths
from abm.errors import CalibrationError, require

__all__ = ["TarpCheck", "expected_coverage", "tarp"]

Array = NDArray[np.float64]
LEVEL = 0.999


@dataclass(frozen=True)
class TarpCheck:
    """The largest gap between expected and nominal coverage.

    Attributes
    ----------
    gap, critical
        Kolmogorov distance of the shares to the uniform law, and the value that it exceeds once in
        a thousand checks of a right posterior.
    spread
        Standard normal under a right posterior; > 0 too narrow, < 0 too wide.
    n_sets
        Data sets that entered.
    """

    gap: float
    critical: float
    spread: float
    n_sets: int

    @property
    def passes(self) -> bool:
        return self.gap <= self.critical

    @property
    def too_wide(self) -> bool:
        """Credible regions hold the truth too often."""
        return self.spread < -float(stats.norm.ppf(0.5 + LEVEL / 2))

    @property
    def words(self) -> str:
        """What it means, in a sentence."""
        head = f"TARP: largest gap {self.gap:.3f}, critical {self.critical:.3f}: "
        blind = "; it hardly sees a pure shift, so read the ranks too"
        if self.passes:
            return head + "joint credible regions cover as often as they say" + blind
        limit = float(stats.norm.ppf(0.5 + LEVEL / 2))
        kind = "miss the truth in a way that is neither too narrow nor too wide"
        if self.spread > limit:
            kind = "are too narrow (overconfident)"
        elif self.too_wide:
            kind = "are too wide (underconfident)"
        return head + f"joint credible regions {kind}"


def tarp(
    truths: ArrayLike,
    draws: ArrayLike,
    references: ArrayLike,
    *,
    scale: ArrayLike | None = None,
    rng: np.random.Generator,
) -> TarpCheck:
    """Test the joint posterior of all parameters.

    Parameters
    ----------
    truths, draws
        As in `simulation_based_calibration`.
    references
        Shape (n_sets, n_parameters): points drawn from a distribution that covers the prior, and
        not from the posterior under test.
    scale
        Units of the parameters, shape (n_parameters,), > 0, so that none dominates the distance;
        by default the standard deviation of the truths.

    Examples
    --------
    >>> rng = np.random.default_rng(3)
    >>> theta = rng.normal(size=300)
    >>> draws = rng.normal(size=(300, 99))
    >>> tarp(theta, draws, rng.uniform(-3, 3, 300), rng=rng).passes
    True
    """
    shares = _shares(truths, draws, references, scale, rng)
    n = len(shares)
    gap = float(stats.kstest(shares, "uniform").statistic)
    critical = float(stats.kstwo.ppf(LEVEL, n))
    spread = float(((shares - 0.5) ** 2 - 1 / 12).mean() * np.sqrt(180 * n))
    return TarpCheck(gap, critical, spread, n)


def expected_coverage(
    truths: ArrayLike,
    draws: ArrayLike,
    references: ArrayLike,
    *,
    levels: ArrayLike,
    scale: ArrayLike | None = None,
    rng: np.random.Generator,
) -> Array:
    """Expected coverage at each nominal level, shape (n_levels,): the curve of a TARP plot.

    Examples
    --------
    >>> rng = np.random.default_rng(3)
    >>> curve = expected_coverage(rng.normal(size=300), rng.normal(size=(300, 99)),
    ...                           rng.uniform(-3, 3, 300), levels=[0.0, 0.5, 1.0], rng=rng)
    >>> curve[0], bool(abs(curve[1] - 0.5) < 0.1), curve[2]
    (np.float64(0.0), True, np.float64(1.0))
    """
    shares = _shares(truths, draws, references, scale, rng)
    nominal = np.asarray(levels, dtype=np.float64)
    result: Array = (shares[None, :] <= nominal[:, None]).mean(axis=1)
    return result


def _shares(
    truths: ArrayLike,
    draws: ArrayLike,
    references: ArrayLike,
    scale: ArrayLike | None,
    rng: np.random.Generator,
) -> Array:
    truth, drawn = checked(truths, draws)
    points = np.asarray(references, dtype=np.float64)
    points = points[:, None] if points.ndim == 1 else points
    unit = truth.std(axis=0) if scale is None else np.asarray(scale, dtype=np.float64)
    require(
        points.shape == truth.shape and bool(np.all(unit > 0)) and bool(np.isfinite(points).all()),
        CalibrationError,
        f"references of shape {points.shape} and scale {unit}: expected shape {truth.shape} "
        "and a positive unit per parameter",
    )
    to_truth = (((truth - points) / unit) ** 2).sum(axis=1)
    to_draws = (((drawn - points[:, None, :]) / unit) ** 2).sum(axis=2)
    nearer = (to_draws < to_truth[:, None]).sum(axis=1)
    shares: Array = (nearer + rng.random(len(truth))) / (lengths(drawn) + 1.0)
    return shares
