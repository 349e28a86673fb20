"""Effects from paired runs: what an arm does to an outcome, and how sure that is.

Arms share their random numbers replication by replication, so a difference is taken within each
replication and the replication is the unit. Every effect names what varied between replications
and what was held fixed, and prints the correlation that the pairing achieved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from abm.analysis.intervals import check_level, few, t_halfwidth
from abm.analysis.numbers import interval_text
from abm.errors import AnalysisError, require

__all__ = [
    "FIXED",
    "VARIED",
    "Effect",
    "correlation",
    "paired_effect",
    "unpaired_effect",
]

Array = NDArray[np.float64]

VARIED = ("chance", "population", "network")
FIXED = ("model", "prompt")
ROUNDING = 1e-13
"""Spread relative to the size of the values up to which it is rounding error."""


@dataclass(frozen=True)
class Effect:
    """A difference treated - control with its interval.

    Attributes
    ----------
    estimate, low, high
        Mean difference and Student's t interval, in the unit of the outcome; nan where undefined.
    level
        Nominal coverage of the interval.
    n
        Pairs of replications that entered (replications per arm, if unpaired: the smaller number).
    correlation
        Between treated and control over the pairs; nan if unpaired or if an arm is constant.
    sd_paired
        Standard deviation of the differences within pairs; nan if unpaired.
    sd_unpaired
        Standard deviation that a difference of independent runs has: sqrt(var + var).
    degrees
        Degrees of freedom of the t interval.
    varied, fixed
        What differed between replications, and what all of them share.
    reason
        Why something is undefined or was left out; empty otherwise.
    """

    estimate: float
    low: float
    high: float
    level: float
    n: int
    correlation: float
    sd_paired: float
    sd_unpaired: float
    varied: tuple[str, ...] = VARIED
    fixed: tuple[str, ...] = FIXED
    degrees: float = float("nan")
    reason: str = ""

    @property
    def errors(self) -> tuple[float, float]:
        """Standard error of the estimate downwards and upwards; nan where undefined.

        They differ only where sampled answers made the interval lopsided.
        """
        if not self.degrees > 0:
            return float("nan"), float("nan")
        t = float(stats.t.ppf((1 + self.level) / 2, self.degrees))
        return (self.estimate - self.low) / t, (self.high - self.estimate) / t

    @property
    def standard_error(self) -> float:
        """Standard error of the estimate, the mean of both `errors`; nan where undefined."""
        return sum(self.errors) / 2

    @property
    def p_value(self) -> float:
        """Two-sided p value of no difference, by Student's t; nan where undefined.

        Where the difference is the same in all pairs there is no t: 1 if it is exactly 0, else
        undefined.
        """
        error = self.errors[0 if self.estimate > 0 else 1]  # towards 0
        if not (np.isfinite(error) and error > 0):
            return 1.0 if error == 0 and self.estimate == 0 else float("nan")
        return float(2 * stats.t.sf(abs(self.estimate) / error, self.degrees))

    @property
    def variance_ratio(self) -> float:
        """How many independent runs one paired run is worth: sd_unpaired^2 / sd_paired^2."""
        return (self.sd_unpaired / self.sd_paired) ** 2 if self.sd_paired > 0 else float("nan")

    def row(self) -> dict[str, Any]:
        """Plain values, for a table."""
        values = asdict(self) | {"p_value": self.p_value}
        return values | {"varied": ", ".join(self.varied), "fixed": ", ".join(self.fixed)}

    def describe(self) -> str:
        """One line that can stand in a text.

        Examples
        --------
        >>> print(paired_effect([1.0, 2.0, 3.0], [0.0, 1.5, 2.0]).describe())
        0.83 [0.12, 1.55] (95 % interval, 3 pairs, correlation 0.96; varied: chance, population, \
network; held fixed: model, prompt)
        """
        pairs = "pairs" if np.isfinite(self.sd_paired) else "replications per arm"
        parts = [f"{100 * self.level:g} % interval", f"{self.n} {pairs}"]
        if np.isfinite(self.correlation):
            parts.append(f"correlation {self.correlation:.2f}")
        scope = f"varied: {', '.join(self.varied) or 'nothing'}"
        fixed = f"held fixed: {', '.join(self.fixed) or 'nothing'}"
        notes = [", ".join(parts), scope, fixed] + [self.reason] * bool(self.reason)
        return f"{interval_text(self.estimate, self.low, self.high)} ({'; '.join(notes)})"


def paired_effect(
    treated: ArrayLike,
    control: ArrayLike,
    *,
    level: float = 0.95,
    varied: Sequence[str] = VARIED,
    fixed: Sequence[str] = FIXED,
) -> Effect:
    """Mean difference of paired runs with Student's t interval over the pairs.

    Parameters
    ----------
    treated, control
        One outcome per replication, shape (n,); element i of both ran with the same random numbers.
        Pairs with an undefined outcome (nan) are left out, and said.
    level
        Nominal coverage, in (0, 1).
    varied, fixed
        What differed between replications, and what was the same in all.

    Returns
    -------
    The effect; its interval is nan, with the reason, when fewer than two pairs remain. Where the
    difference is the same in all pairs, but for rounding, the interval has no width and the p value
    is nan, or 1 if the difference is exactly 0.

    Raises
    ------
    AnalysisError
        The two have different lengths, or nothing varied between replications.

    References
    ----------
    Student (1908), Biometrika 6, 1-25; Glasserman & Yao (1992), Management Science 38, 884-908, for
    common random numbers.

    Examples
    --------
    >>> effect = paired_effect([3.0, 4.0, 6.0], [1.0, 2.0, 3.0])
    >>> round(effect.estimate, 4), round(effect.low, 4), round(effect.high, 4), effect.n
    (2.3333, 0.8991, 3.7676, 3)
    >>> paired_effect([1.0], [0.0]).reason
    'one pair: no interval'
    """
    check_level(level)
    a, b = _pairs(treated, control)
    _check_varied(varied)
    kept = np.isfinite(a) & np.isfinite(b)
    reason = few(int(kept.sum()), left_out=int((~kept).sum()), unit="pair")
    a, b = a[kept], b[kept]
    n, gaps = a.size, a - b
    estimate = float(gaps.mean()) if n else float("nan")
    sd = _spread(gaps, a, b) if n > 1 else float("nan")
    half = float(t_halfwidth(sd, n, level))
    return Effect(
        estimate,
        estimate - half,
        estimate + half,
        level,
        n,
        correlation(a, b),
        sd,
        _independent_sd(a, b),
        tuple(varied),
        tuple(fixed),
        float(n - 1) if n > 1 else float("nan"),
        reason,
    )


def unpaired_effect(
    treated: ArrayLike,
    control: ArrayLike,
    *,
    level: float = 0.95,
    varied: Sequence[str] = VARIED,
    fixed: Sequence[str] = FIXED,
) -> Effect:
    """Difference of means of independent runs with Welch's t interval.

    References
    ----------
    Welch (1947), Biometrika 34, 28-35.

    Examples
    --------
    >>> effect = unpaired_effect([3.0, 4.0, 6.0], [1.0, 2.0, 3.0, 2.0])
    >>> round(effect.estimate, 4), round(effect.degrees, 3)
    (2.3333, 2.861)
    """
    check_level(level)
    _check_varied(varied)
    x, y = (np.asarray(v, dtype=np.float64).ravel() for v in (treated, control))
    a, b = x[np.isfinite(x)], y[np.isfinite(y)]
    n, nan = min(a.size, b.size), float("nan")
    reason = few(n, left_out=x.size - a.size + y.size - b.size)
    estimate = float(a.mean() - b.mean()) if n else nan
    half = degrees = nan
    if n > 1:
        va, vb = (_spread(v, a, b) ** 2 / v.size for v in (a, b))
        bottom = va**2 / (a.size - 1) + vb**2 / (b.size - 1)
        degrees = float((va + vb) ** 2 / bottom) if bottom > 0 else float(a.size + b.size - 2)
        half = float(stats.t.ppf((1 + level) / 2, degrees) * np.sqrt(va + vb))
    low, high, sd = estimate - half, estimate + half, _independent_sd(a, b)
    return Effect(
        estimate, low, high, level, n, nan, nan, sd, tuple(varied), tuple(fixed), degrees, reason
    )


def _spread(values: Array, a: Array, b: Array) -> float:
    """Standard deviation of some values; 0 where it is rounding error at the size of a and b."""
    sd = float(values.std(ddof=1))
    return sd if sd > ROUNDING * max(float(abs(a).max()), float(abs(b).max())) else 0.0


def correlation(a: Array, b: Array) -> float:
    """Pearson correlation of two arrays of shape (n,); nan where one is constant, or for n < 2.

    References
    ----------
    Pearson (1895), Proceedings of the Royal Society of London 58, 240-242.

    Examples
    --------
    >>> round(correlation(np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0])), 3)
    0.5
    """
    if a.size < 2 or np.ptp(a) == 0 or np.ptp(b) == 0 or not a.std() * b.std() > 0:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])


def _independent_sd(a: Array, b: Array) -> float:
    if min(a.size, b.size) < 2:
        return float("nan")
    return float(np.sqrt(a.var(ddof=1) + b.var(ddof=1)))


def _pairs(treated: ArrayLike, control: ArrayLike) -> tuple[Array, Array]:
    a, b = (np.asarray(values, dtype=np.float64).ravel() for values in (treated, control))
    require(
        a.size == b.size,
        AnalysisError,
        f"treated has {a.size} replications and control {b.size}, expected equal numbers paired "
        "by seed; use unpaired_effect for runs that do not share their random numbers",
    )
    return a, b


def _check_varied(varied: Sequence[str]) -> None:
    require(
        len(varied) > 0 and not isinstance(varied, str),
        AnalysisError,
        f"varied = {varied!r}, expected names of what differed between replications; runs that "
        "differ in nothing are copies of one run and support no interval",
    )
