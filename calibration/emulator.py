"""A Gaussian-process emulator of one statistic that knows how noisy each point is.

Replicates at a point give a mean and a variance. The log variance is smoothed by a Gaussian process
of its own, so that a variance estimated from five runs is not taken at its word; the mean is then
emulated with the smoothed variance over the number of replicates as noise of each point (stochastic
kriging: Ankenman, Nelson and Staum 2010, Operations Research 58, 371). What is emulated is the
expected statistic E f(x): its variance is the emulator's own, without the noise of a run.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import digamma, polygamma

from abm.calibration.replicates import Replicates
from abm.errors import CalibrationError, MissingExtra, require

__all__ = ["Emulator", "emulate", "need_library"]

Floats = NDArray[np.float64]
_TINY = 1e-10


@dataclass(frozen=True, eq=False)
class Emulator:
    """Mean and variance of an expected statistic at any point of the unit cube.

    Attributes
    ----------
    inflation
        Factor >= 1 on the variance: the mean squared standardised leave-one-out error where that
        exceeds 1, so that an emulator that was too sure of points it did not see is less sure.
    loo
        Standardised leave-one-out errors, shape (n,); about standard normal for a good emulator.
    """

    trend: Floats
    unit: float
    process: Any
    log_noise: Any
    noise_centre: float
    inflation: float
    loo: Floats

    def predict(self, x: ArrayLike) -> tuple[Floats, Floats]:
        """Mean and variance of E f(x), each shape (n,), at points (n, d) of the unit cube."""
        points = np.atleast_2d(np.asarray(x, dtype=np.float64))
        mean, sd = self.process.predict(points, return_std=True)
        middle: Floats = _columns(points) @ self.trend + self.unit * mean
        return middle, self.inflation * (self.unit * sd) ** 2

    def noise(self, x: ArrayLike) -> Floats:
        """Variance of one run around E f(x), shape (n,); zeros for a deterministic simulator."""
        points = np.atleast_2d(np.asarray(x, dtype=np.float64))
        if self.log_noise is None:
            return np.zeros(len(points))
        result: Floats = np.exp(self.noise_centre + self.log_noise.predict(points))
        return result


def emulate(x: ArrayLike, runs: Replicates) -> list[Emulator]:
    """One emulator for each statistic.

    Parameters
    ----------
    x
        The points of `runs` in the unit cube, shape (n, d).
    runs
        Their replicates. Points without usable replicates are left out; with less than two
        replicates per point the noise is one number for all points, estimated with the process.

    Raises
    ------
    CalibrationError
        Fewer than max(10, 2 d + 2) usable points.
    MissingExtra
        scikit-learn is not installed.

    Examples
    --------
    >>> x = np.linspace(0, 1, 12)[:, None]
    >>> runs = Replicates(x, np.sin(4 * x)[:, None, :], np.ones(12, dtype=int))
    >>> mean, variance = emulate(x, runs)[0].predict([[0.37]])
    >>> bool(abs(mean[0] - np.sin(4 * 0.37)) < 0.01)
    True
    """
    points = np.atleast_2d(np.asarray(x, dtype=np.float64))
    kept = runs.usable
    d = points.shape[1]
    least = max(10, 2 * d + 2)
    require(
        int(kept.sum()) >= least,
        CalibrationError,
        f"{int(kept.sum())} of {len(points)} points have a usable run, expected at least {least} "
        f"for an emulator of {d} parameters",
    )
    points, counts = points[kept], runs.counts[kept]
    means, variances = runs.mean[kept], runs.variance[kept]
    return [_one(points, means[:, k], variances[:, k], counts) for k in range(means.shape[1])]


def need_library() -> None:
    """Refuse to go on without scikit-learn, before simulations are spent on an emulator.

    Raises
    ------
    MissingExtra
        It is not installed.

    Examples
    --------
    >>> need_library()
    """
    try:
        import_module("sklearn.gaussian_process")
    except ImportError as error:
        raise MissingExtra(
            "emulators need scikit-learn: install the extra `calibration` "
            "(pip install 'agora-abm[calibration]')"
        ) from error


def _one(x: Floats, mean: Floats, variance: Floats, counts: NDArray[np.int64]) -> Emulator:
    trend = np.asarray(np.linalg.lstsq(_columns(x), mean, rcond=None)[0], dtype=np.float64)
    rest = mean - _columns(x) @ trend
    unit = float(rest.std()) or float(np.abs(mean).max()) or 1.0
    repeated = counts > 1
    log_noise, centre, alpha, white = None, 0.0, np.full(len(x), _TINY), False
    if repeated.all() and bool((variance > 0).any()):
        log_noise, centre = _noise(x, variance, counts, unit)
        alpha = np.exp(centre + log_noise.predict(x)) / counts / unit**2 + _TINY
    elif not repeated.all():
        white = True
    process = _process(x, rest / unit, alpha, white=white)
    loo = _leave_one_out(process, rest / unit)
    inflation = max(1.0, float(np.mean(loo**2)))
    if white:
        log_noise, centre = _Constant(), float(np.log(max(_white(process), _TINY) * unit**2))
    return Emulator(trend, unit, process, log_noise, centre, inflation, loo)


def _noise(
    x: Floats, variance: Floats, counts: NDArray[np.int64], unit: float
) -> tuple[Any, float]:
    """Smoothed log variance. log s^2 has mean log sigma^2 + digamma(k) - log k, k = (r - 1) / 2."""
    half = (counts - 1) / 2.0
    floor = 1e-12 * max(unit**2, float(variance.max()))
    log = np.log(np.maximum(variance, floor)) - (digamma(half) - np.log(half))
    centre = float(log.mean())
    return _process(x, log - centre, np.asarray(polygamma(1, half), dtype=np.float64)), centre


class _Constant:
    def predict(self, x: Floats) -> Floats:
        return np.zeros(len(x))


def _process(x: Floats, y: Floats, alpha: Floats, *, white: bool = False) -> Any:
    need_library()
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    smooth = Matern(np.full(x.shape[1], 0.5), (0.05, 20.0), nu=2.5)
    kernel = ConstantKernel(1.0, (1e-4, 1e3)) * smooth
    if white:
        kernel = kernel + WhiteKernel(0.1, (1e-8, 1e1))
    made = GaussianProcessRegressor(kernel, alpha=alpha, random_state=0)
    with warnings.catch_warnings():
        # A length at its upper bound means a parameter without effect, which is an answer.
        warnings.simplefilter("ignore", ConvergenceWarning)
        made.fit(x, y)
    if white:  # predictions are of the expected statistic, without the noise of a run
        made.noise_level_ = float(made.kernel_.k2.noise_level)
        alpha = alpha + made.noise_level_
        made = GaussianProcessRegressor(made.kernel_.k1, alpha=alpha, optimizer=None).fit(x, y)
        made.noise_level_ = float(alpha.mean())
    return made


def _white(process: Any) -> float:
    return float(getattr(process, "noise_level_", 0.0))


def _leave_one_out(process: Any, y: Floats) -> Floats:
    """(prediction - y) / sd of each point from all others (Rasmussen & Williams 2006, eq. 5.12)."""
    covariance = process.kernel_(process.X_train_) + np.diag(np.broadcast_to(process.alpha, len(y)))
    inverse = np.linalg.inv(covariance)
    result: Floats = -(inverse @ y) / np.sqrt(np.diag(inverse))
    return result


def _columns(x: Floats) -> Floats:
    return np.column_stack([np.ones(len(x)), x])
