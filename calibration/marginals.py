"""Marginal priors: one parameter at a time, each a named distribution with its support.

A marginal is drawn by inverting its distribution function at a uniform, so that a prior is a
function of uniforms: designs (Sobol, Latin hypercube) and copulas pass through the same door.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from abm.calibration.checks import is_real, real
from abm.errors import CalibrationError, require

__all__ = [
    "Marginal",
    "beta",
    "exponential",
    "gamma",
    "half_normal",
    "log_normal",
    "log_uniform",
    "marginal_of",
    "normal",
    "truncated_normal",
    "uniform",
]

Floats = NDArray[np.float64]
_FARTHEST = 30.0
"""Standard deviations from a normal's mean up to which its tail can be inverted in floats."""


@dataclass(frozen=True)
class Marginal:
    """A distribution of one parameter. Made by `uniform`, `normal` and the other functions here.

    Attributes
    ----------
    kind, values
        The name of the function that made it, and its arguments.

    Examples
    --------
    >>> m = uniform(-10, 10)
    >>> m.support, round(float(m.sd), 4), m.ppf([0.25]).tolist()
    ((-10.0, 10.0), 5.7735, [-5.0])
    """

    kind: str
    values: tuple[float, ...]

    @cached_property
    def _law(self) -> Any:
        return _laws()[self.kind](*self.values)

    @property
    def support(self) -> tuple[float, float]:
        """Smallest and largest possible value; infinite where there is none."""
        low, high = self._law.support()
        return float(low), float(high)

    @property
    def mean(self) -> float:
        return float(self._law.mean())

    @property
    def sd(self) -> float:
        return float(self._law.std())

    @property
    def bounds(self) -> tuple[float, float]:
        """The support where it is finite, else the quantiles at 0.001 and 0.999."""
        low, high = self.support
        tails = self._law.ppf([0.001, 0.999])
        return (
            low if math.isfinite(low) else float(tails[0]),
            high if math.isfinite(high) else float(tails[1]),
        )

    def ppf(self, u: ArrayLike) -> Floats:
        """Quantiles at `u` in [0, 1]."""
        if self.kind == "uniform":
            low, high = self.values
            return low + (high - low) * np.asarray(u, dtype=np.float64)
        return np.asarray(self._law.ppf(u), dtype=np.float64)

    def cdf(self, x: ArrayLike) -> Floats:
        """Distribution function."""
        return np.asarray(self._law.cdf(x), dtype=np.float64)

    def log_density(self, x: ArrayLike) -> Floats:
        """Log density; -inf outside the support."""
        return np.asarray(self._law.logpdf(x), dtype=np.float64)

    # ------------------------------------------------------------------ to the whole line and back

    def to_unbounded(self, x: ArrayLike) -> Floats:
        """x itself, log(x - low) or logit of its place in [low, high], by the support."""
        values = np.asarray(x, dtype=np.float64)
        low, high = self.support
        with np.errstate(divide="ignore"):
            if math.isfinite(low) and math.isfinite(high):
                return np.log(values - low) - np.log(high - values)
            if math.isfinite(low):
                return np.log(values - low)
            return -np.log(high - values) if math.isfinite(high) else values

    def from_unbounded(self, z: ArrayLike) -> Floats:
        """Inverse of `to_unbounded`."""
        values = np.asarray(z, dtype=np.float64)
        low, high = self.support
        if math.isfinite(low) and math.isfinite(high):
            return low + (high - low) / (1.0 + np.exp(-values))
        if math.isfinite(low):
            return low + np.exp(values)
        return high - np.exp(-values) if math.isfinite(high) else values

    def to_dict(self) -> dict[str, Any]:
        """As a calibration file writes it, `{uniform = [0, 1]}`."""
        return {self.kind: list(self.values)}


def uniform(low: float, high: float) -> Marginal:
    """Uniform on [low, high]."""
    _ordered("uniform", low, high)
    return Marginal("uniform", (float(low), float(high)))


def log_uniform(low: float, high: float) -> Marginal:
    """The logarithm is uniform; 0 < low < high."""
    _ordered("log_uniform", low, high)
    _positive("log_uniform", low=low)
    return Marginal("log_uniform", (float(low), float(high)))


def normal(mean: float, sd: float) -> Marginal:
    """Normal with this mean and standard deviation > 0."""
    _positive("normal", sd=sd)
    return Marginal("normal", (real(mean, "normal: mean", argument="mean"), float(sd)))


def truncated_normal(mean: float, sd: float, low: float, high: float) -> Marginal:
    """Normal(mean, sd) given that it lies in [low, high]."""
    _positive("truncated_normal", sd=sd)
    _ordered("truncated_normal", low, high)
    centre = real(mean, "truncated_normal: mean", argument="mean")
    away = max(low - centre, centre - high) / sd
    require(
        away <= _FARTHEST,
        CalibrationError,
        f"truncated_normal: mean = {mean} lies {away:.3g} standard deviations outside [{low}, "
        f"{high}], expected at most {_FARTHEST:g}: beyond, nothing can be drawn. Move the mean, or "
        "take an exponential",
        argument="mean",
        value=mean,
    )
    return Marginal("truncated_normal", (centre, float(sd), float(low), float(high)))


def log_normal(median: float, sd_of_log: float) -> Marginal:
    """exp(N(log median, sd_of_log)); both > 0."""
    _positive("log_normal", median=median, sd_of_log=sd_of_log)
    return Marginal("log_normal", (float(median), float(sd_of_log)))


def half_normal(scale: float) -> Marginal:
    """|N(0, scale)|."""
    _positive("half_normal", scale=scale)
    return Marginal("half_normal", (float(scale),))


def exponential(mean: float) -> Marginal:
    """Exponential with this mean > 0."""
    _positive("exponential", mean=mean)
    return Marginal("exponential", (float(mean),))


def gamma(shape: float, scale: float) -> Marginal:
    """Gamma with mean shape * scale."""
    _positive("gamma", shape=shape, scale=scale)
    return Marginal("gamma", (float(shape), float(scale)))


def beta(a: float, b: float, low: float = 0.0, high: float = 1.0) -> Marginal:
    """Beta(a, b), stretched to [low, high].

    Examples
    --------
    >>> beta(2, 2, 0, 10).mean
    5.0
    """
    _positive("beta", a=a, b=b)
    _ordered("beta", low, high)
    return Marginal("beta", (float(a), float(b), float(low), float(high)))


@cache
def _laws() -> dict[str, Callable[..., Any]]:
    """Imported when a law is first needed: workers never need one, and start sooner without."""
    from scipy import stats

    return {
        "uniform": lambda low, high: stats.uniform(low, high - low),
        "log_uniform": lambda low, high: stats.loguniform(low, high),
        "normal": lambda mean, sd: stats.norm(mean, sd),
        "truncated_normal": lambda mean, sd, low, high: stats.truncnorm(
            (low - mean) / sd, (high - mean) / sd, mean, sd
        ),
        "log_normal": lambda median, sd: stats.lognorm(sd, scale=median),
        "half_normal": lambda scale: stats.halfnorm(scale=scale),
        "exponential": lambda mean: stats.expon(scale=mean),
        "gamma": lambda shape, scale: stats.gamma(shape, scale=scale),
        "beta": lambda a, b, low=0.0, high=1.0: stats.beta(a, b, low, high - low),
    }


_MAKERS: dict[str, Callable[..., Marginal]] = {
    "uniform": uniform,
    "log_uniform": log_uniform,
    "normal": normal,
    "truncated_normal": truncated_normal,
    "log_normal": log_normal,
    "half_normal": half_normal,
    "exponential": exponential,
    "gamma": gamma,
    "beta": beta,
}


def marginal_of(written: Mapping[str, Any] | Marginal, name: str = "parameter") -> Marginal:
    """A marginal as a calibration file writes it: `{uniform = [0, 1]}`.

    Raises
    ------
    CalibrationError
        Not one known distribution with numbers.

    Examples
    --------
    >>> marginal_of({"uniform": [0, 1]}).support
    (0.0, 1.0)
    """
    if isinstance(written, Marginal):
        return written
    good = isinstance(written, Mapping) and len(written) == 1
    kind = next(iter(written)) if good else None
    require(
        kind in _MAKERS,
        CalibrationError,
        f"prior of {name!r} = {written!r}, expected one of {sorted(_MAKERS)} with its numbers, "
        "such as {uniform = [0, 1]}",
        argument=name,
        value=written,
    )
    values = written[str(kind)]
    numbers = list(values) if isinstance(values, (list, tuple)) else [values]
    try:
        return _MAKERS[str(kind)](*numbers)
    except TypeError as error:
        raise CalibrationError(
            f"prior of {name!r}: {kind} = {values!r}: {error}", argument=name, value=written
        ) from error


def _positive(kind: str, **values: float) -> None:
    for name, value in values.items():
        require(
            real(value, f"{kind}: {name}", argument=name) > 0,
            CalibrationError,
            f"{kind}: {name} = {value}, expected {name} > 0",
            argument=name,
            value=value,
        )


def _ordered(kind: str, low: float, high: float) -> None:
    require(
        is_real(low) and is_real(high) and low < high,
        CalibrationError,
        f"{kind}: low = {low!r}, high = {high!r}, expected finite low < high",
        argument="low",
        value=(low, high),
    )
