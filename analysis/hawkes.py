"""Hawkes processes: how much of a stream of events was set off by earlier events.

The intensity is mu + sum over earlier events of n beta exp(-beta (t - t_k)): base rate mu,
branching ratio n (events that one event sets off directly, on average) and decay beta. Where a
kernel is written alpha exp(-beta t), alpha is n beta. Fitted by maximum likelihood; checked by the
time-rescaling theorem: under the right model the integrated intensity between events is exponential
with mean 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, stats

from abm.analysis.arrays import as_numbers
from abm.analysis.intervals import Estimate, check_level
from abm.errors import AnalysisError, require

__all__ = [
    "HawkesFit",
    "ResidualTest",
    "fit_hawkes",
    "rescaled_gaps",
    "residual_test",
    "simulate_hawkes",
]

Array = NDArray[np.float64]
NAN = float("nan")
_BOUNDS = ((-18.0, 18.0), (-12.0, 1.5), (-18.0, 18.0))
"""Of log rate, log branching and log decay, after time is scaled to one event per unit."""


@dataclass(frozen=True)
class HawkesFit:
    """Parameters of a Hawkes process with an exponential kernel.

    Attributes
    ----------
    rate, branching, decay
        mu (events per unit of time), n (dimensionless) and beta (per unit of time), each with the
        interval of the observed information on the log scale.
    log_likelihood
        At the maximum.
    n_events
        Events fitted.
    start, end
        Window of observation.
    reason
        Why an interval is undefined, or what to keep in mind; empty otherwise.
    """

    rate: Estimate
    branching: Estimate
    decay: Estimate
    log_likelihood: float
    n_events: int
    start: float
    end: float
    reason: str = ""

    @property
    def mean_rate(self) -> float:
        """Events per unit of time in the long run, mu / (1 - n); nan for n >= 1, which explodes."""
        n = self.branching.estimate
        return self.rate.estimate / (1 - n) if n < 1 else NAN

    @property
    def cluster_size(self) -> float:
        """Events in a cluster, its first one included, on average: 1 / (1 - n); nan for n >= 1."""
        n = self.branching.estimate
        return 1 / (1 - n) if n < 1 else NAN

    @property
    def fano(self) -> float:
        """Variance over mean of counts in long windows, 1 / (1 - n)^2; nan for n >= 1."""
        n = self.branching.estimate
        return 1 / (1 - n) ** 2 if n < 1 else NAN


def fit_hawkes(
    times: ArrayLike, *, end: float, start: float = 0.0, level: float = 0.95
) -> HawkesFit:
    """Maximum likelihood of a Hawkes process with an exponential kernel.

    Parameters
    ----------
    times
        Of the events, shape (n,), in any order, within [start, end].
    start, end
        Window in which events would have been seen, in the unit of the times.

    Returns
    -------
    nan for fewer than ten events. Intervals are asymptotic; where n is estimated as 0 the
    likelihood has no maximum inside, and the intervals of n and beta are undefined. Events at one
    instant make the likelihood grow without end in beta; where that happens the reason says so.

    Raises
    ------
    AnalysisError
        An event lies outside the window, or is nan.

    References
    ----------
    Ozaki (1979), Annals of the Institute of Statistical Mathematics 31, 145-155; Hawkes (1971),
    Biometrika 58, 83-90.

    Examples
    --------
    >>> times = simulate_hawkes(1.0, 0.5, 1.0, end=500, rng=np.random.default_rng(1))
    >>> fit = fit_hawkes(times, end=500)
    >>> fit.branching.low < 0.5 < fit.branching.high
    True
    """
    check_level(level)
    when = _checked(times, start, end)
    if when.size < 10:
        nothing = Estimate(NAN, NAN, NAN, level, when.size, "maximum likelihood", "under 10 events")
        return HawkesFit(nothing, nothing, nothing, NAN, when.size, start, end, "under 10 events")
    scale = when.size / (end - start)  # the clock of the fit: one event per unit
    scaled, length = (when - start) * scale, (end - start) * scale
    best = min(
        (_maximised(scaled, length, begin) for begin in _begins(scaled)), key=lambda r: float(r.fun)
    )
    at = np.asarray(best.x, dtype=np.float64)
    sds, reason = _log_errors(scaled, length, at)
    z = float(stats.norm.ppf((1 + level) / 2))
    values = np.exp(at) * np.array([scale, 1.0, scale])
    ends = np.exp(z * sds)
    made = [
        Estimate(
            float(v), float(v / e), float(v * e), level, when.size, "maximum likelihood", reason
        )
        for v, e in zip(values, ends, strict=True)
    ]
    likelihood = -float(best.fun) + when.size * float(np.log(scale))
    explosive = "branching >= 1: the process would explode" if values[1] >= 1 else ""
    return HawkesFit(
        made[0], made[1], made[2], likelihood, when.size, start, end, reason or explosive
    )


def rescaled_gaps(times: ArrayLike, fit: HawkesFit) -> Array:
    """Integrated intensity from event to event, shape (n,): Exp(1) where the fit holds.

    The first gap is that from the start of the window.

    Returns
    -------
    Shape (n,), without unit; nan where the fit is undefined.

    References
    ----------
    Ogata (1988), Journal of the American Statistical Association 83, 9-27.

    Examples
    --------
    >>> times = simulate_hawkes(1.0, 0.5, 1.0, end=500, rng=np.random.default_rng(1))
    >>> gaps = rescaled_gaps(times, fit_hawkes(times, end=500))
    >>> gaps.size == times.size, bool(abs(gaps.mean() - 1) < 0.01)
    (True, True)
    """
    when = _checked(times, fit.start, fit.end)
    if not np.isfinite(fit.rate.estimate):
        return np.full(when.size, np.nan)
    gaps: Array = _gaps(
        when - fit.start, fit.rate.estimate, fit.branching.estimate, fit.decay.estimate
    )
    return gaps


@dataclass(frozen=True)
class ResidualTest:
    """Do the rescaled gaps look exponential with mean 1?

    Attributes
    ----------
    statistic
        Kolmogorov-Smirnov distance.
    p_value
        Of the Kolmogorov-Smirnov test, or of the simulations; small: the model does not fit.
    correlation
        Lag-1 autocorrelation of the rescaled gaps, 0 under the model.
    n
        Gaps.
    method
        Where the p-value comes from.
    """

    statistic: float
    p_value: float
    correlation: float
    n: int
    method: str


def residual_test(
    times: ArrayLike,
    fit: HawkesFit,
    *,
    rng: np.random.Generator | None = None,
    n_simulations: int = 99,
) -> ResidualTest:
    """Kolmogorov-Smirnov test of the rescaled gaps against Exp(1).

    Parameters
    ----------
    rng
        With it, the p-value is the share of `n_simulations` processes drawn and fitted in the same
        way whose gaps lie as far off. Without it, the p-value is that of parameters known
        beforehand, which is too large when they were fitted to the same events.

    Returns
    -------
    Statistic in [0, 1], p-value in (0, 1]; nan for fewer than ten events or an undefined fit.

    References
    ----------
    Ogata (1988), Journal of the American Statistical Association 83, 9-27. The simulated p-value is
    the parametric bootstrap of Stute, Gonzalez Manteiga and Presedo Quindimil (1993), Metrika 40,
    243-256.

    Examples
    --------
    >>> times = simulate_hawkes(1.0, 0.5, 1.0, end=500, rng=np.random.default_rng(1))
    >>> residual_test(times, fit_hawkes(times, end=500)).p_value > 0.01
    True
    """
    gaps = rescaled_gaps(times, fit)
    if gaps.size < 10 or np.isnan(gaps).any():
        return ResidualTest(NAN, NAN, NAN, gaps.size, "undefined: under 10 events")
    found = stats.kstest(gaps, "expon")
    around = gaps - gaps.mean()
    follow = float(around[1:] @ around[:-1] / (around @ around))
    if rng is None:
        p, method = float(found.pvalue), "parameters as if known"
    else:
        p, method = _simulated_p(float(found.statistic), fit, rng, n_simulations)
    return ResidualTest(float(found.statistic), p, follow, gaps.size, method)


def simulate_hawkes(
    rate: float, branching: float, decay: float, *, end: float, rng: np.random.Generator
) -> Array:
    """Draw the events of a Hawkes process in [0, end], generation by generation.

    Immigrants come at `rate`; each event has Poisson(`branching`) children after exponential
    delays of mean 1 / `decay`.

    Returns
    -------
    Ascending times.

    Raises
    ------
    AnalysisError
        A parameter is out of range; branching must be below 1.

    References
    ----------
    Hawkes and Oakes (1974), Journal of Applied Probability 11, 493-503.

    Examples
    --------
    >>> times = simulate_hawkes(1.0, 0.5, 1.0, end=10_000, rng=np.random.default_rng(1))
    >>> round(times.size / 10_000, 1)
    2.0
    """
    require(
        rate > 0 and 0 <= branching < 1 and decay > 0 and end > 0,
        AnalysisError,
        f"rate = {rate}, branching = {branching}, decay = {decay}, end = {end}, expected "
        "rate, decay and end > 0 and 0 <= branching < 1",
    )
    generation = rng.uniform(0, end, int(rng.poisson(rate * end)))
    parts = []
    while generation.size:
        parts.append(generation)
        children = rng.poisson(branching, generation.size)
        born = np.repeat(generation, children) + rng.exponential(1 / decay, int(children.sum()))
        generation = born[born <= end]
    return np.sort(np.concatenate(parts)) if parts else np.empty(0)


def _simulated_p(
    statistic: float, fit: HawkesFit, rng: np.random.Generator, n: int
) -> tuple[float, str]:
    if not fit.branching.estimate < 1:
        return NAN, "undefined: a process with branching >= 1 cannot be simulated"
    farther = 0
    for _ in range(n):
        drawn = simulate_hawkes(
            fit.rate.estimate,
            fit.branching.estimate,
            fit.decay.estimate,
            end=fit.end - fit.start,
            rng=rng,
        )
        gaps = rescaled_gaps(drawn, fit_hawkes(drawn, end=fit.end - fit.start))
        farther += bool(gaps.size < 10 or stats.kstest(gaps, "expon").statistic >= statistic)
    return (farther + 1) / (n + 1), f"{n} simulated and fitted processes"


def _checked(times: ArrayLike, start: float, end: float) -> Array:
    when = np.sort(as_numbers(times, "times").ravel())
    require(start < end, AnalysisError, f"window [{start}, {end}], expected start < end")
    inside = when.size == 0 or (when[0] >= start and when[-1] <= end)
    require(
        bool(inside),
        AnalysisError,
        f"events reach from {when.min(initial=np.inf)} to {when.max(initial=-np.inf)}, expected "
        f"{start} to {end}, the window in which they were observed",
    )
    return when


def _begins(scaled: Array) -> list[Array]:
    short = max(float(np.median(np.diff(scaled))), 1e-6)
    return [np.log([0.6, 0.4, s / short]) for s in (0.05, 0.5, 5.0)]


def _maximised(scaled: Array, length: float, begin: Array) -> Any:
    def loss(at: Any) -> Any:
        return _loss(scaled, length, at)

    options: Any = {"ftol": 1e-13, "gtol": 1e-7, "maxiter": 500}
    return optimize.minimize(
        loss,
        np.clip(begin, -11.0, 17.0),
        jac=True,
        method="L-BFGS-B",
        bounds=list(_BOUNDS),
        options=options,
    )


def _loss(scaled: Array, length: float, at: Array) -> tuple[float, Array]:
    """Minus log likelihood and its gradient in the logs of the parameters."""
    mu, n, beta = np.exp(at)
    value, gradient = _likelihood(scaled, length, mu, n, beta)
    return -value, -gradient * np.array([mu, n, beta])


def _log_errors(scaled: Array, length: float, at: Array) -> tuple[Array, str]:
    """Standard errors of the logs of the parameters by the observed information."""
    inside = all(low + 1e-3 < a < high - 1e-3 for a, (low, high) in zip(at, _BOUNDS, strict=True))
    if not inside or np.exp(at[1]) < 1e-4:
        together = int(np.sum(np.diff(scaled) == 0))
        why = "no excitation found: the likelihood is largest at its edge"
        if together and at[2] > 10:
            why = f"{together} events share their instant with another: their times are too coarse"
        return np.full(3, np.nan), why
    step = 1e-4
    columns = [
        (_loss(scaled, length, at + step * e)[1] - _loss(scaled, length, at - step * e)[1])
        / (2 * step)
        for e in np.eye(3)
    ]
    information = (np.array(columns) + np.array(columns).T) / 2
    if np.linalg.eigvalsh(information)[0] <= 0:
        return np.full(3, np.nan), "the likelihood is flat at its maximum"
    return np.sqrt(np.diag(np.linalg.inv(information))), ""


@njit(cache=True)
def _likelihood(
    times: Array, length: float, mu: float, n: float, beta: float
) -> tuple[float, Array]:
    """Log likelihood and its gradient in (mu, n, beta); Ozaki's recursion."""
    gradient = np.zeros(3)
    total, held, moment = 0.0, 0.0, 0.0  # held: sum of exp(-beta gap); moment: of gap exp(...)
    for i in range(times.size):
        if i:
            gap = times[i] - times[i - 1]
            fade = np.exp(-beta * gap)
            moment = fade * (moment + gap * (held + 1.0))
            held = fade * (held + 1.0)
        intensity = mu + n * beta * held
        total += np.log(intensity)
        gradient[0] += 1.0 / intensity
        gradient[1] += beta * held / intensity
        gradient[2] += n * (held - beta * moment) / intensity
        left = length - times[i]
        gone = np.exp(-beta * left)
        total -= n * (1.0 - gone)
        gradient[1] -= 1.0 - gone
        gradient[2] -= n * left * gone
    gradient[0] -= length
    return total - mu * length, gradient


@njit(cache=True)
def _gaps(times: Array, mu: float, n: float, beta: float) -> Array:
    """Integral of the intensity over each gap."""
    gaps = np.empty(times.size)
    held, before = 0.0, 0.0
    for i in range(times.size):
        gap = times[i] - before
        fade = np.exp(-beta * gap)
        gaps[i] = mu * gap + n * held * (1.0 - fade)
        held = held * fade + 1.0
        before = times[i]
    return gaps
