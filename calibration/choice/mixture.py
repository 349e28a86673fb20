"""Weights of a mixture of personas by maximum likelihood: a concave problem, solved to a proof.

log L(w) = sum_c n_c log sum_m w_m p_mc is concave on the simplex. The gradient g_m bounds what is
still missing: log L(best) - log L(w) <= max_m g_m - sum_c n_c (from concavity, since w . g = n). So
the fit ends when that gap is small, and the gap is part of the result. Steps are the
expectation-maximisation update w_m <- w_m g_m / n, sped up by squared extrapolation (Varadhan and
Roland 2008, Scandinavian Journal of Statistics 35, 335) that is kept only if the likelihood grows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from abm.calibration.checks import floats
from abm.errors import CalibrationError, require

__all__ = ["MixtureWeights", "mixture_weights"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MixtureWeights:
    """Weights on the simplex with the proof of how good they are.

    Attributes
    ----------
    weights
        Shape (n_components,), >= 0, sum 1.
    log_likelihood
        At the weights, constants left out.
    gap
        No weights have a log-likelihood larger by more than this.
    unique
        False where the components that are in use can be exchanged without changing the fit: the
        mixture is then determined, and its weights are not.
    """

    weights: Array
    log_likelihood: float
    gap: float
    unique: bool


def mixture_weights(
    probabilities: ArrayLike,
    counts: ArrayLike,
    *,
    pseudocounts: float = 0.0,
    tolerance: float = 1e-6,
    max_iterations: int = 20_000,
) -> MixtureWeights:
    """Maximise sum_c counts_c log(sum_m w_m probabilities_mc) over the simplex.

    Parameters
    ----------
    probabilities
        Shape (n_components, n_cells), in [0, 1]: what each component says about each cell; the
        cells are all options of all questions (and groups).
    counts
        Shape (n_cells,), >= 0.
    pseudocounts
        A Dirichlet prior that pulls the weights to equality, in people added per component; the
        log-likelihood then includes pseudocounts x sum log w, still concave.
    tolerance
        Largest remaining gap, in units of log-likelihood.

    Raises
    ------
    CalibrationError
        A cell in which people are and to which no component gives probability, or a gap above the
        tolerance after `max_iterations`.

    Examples
    --------
    >>> fit = mixture_weights([[1.0, 0.0], [0.0, 1.0]], [30, 70])
    >>> fit.weights.round(4).tolist()
    [0.3, 0.7]
    """
    p, n = floats(probabilities, "probabilities"), floats(counts, "counts")
    require(
        p.ndim == 2 and n.shape == p.shape[1:] and bool(np.all(n >= 0)) and n.sum() > 0,
        CalibrationError,
        f"probabilities {p.shape} and counts {n.shape}: expected (n_components, n_cells) and "
        "(n_cells,), counts >= 0 with a positive sum",
    )
    require(
        bool(((p >= 0) & (p <= 1 + 1e-9)).all()),
        CalibrationError,
        f"probabilities lie between {p.min():g} and {p.max():g}, expected [0, 1]",
        argument="probabilities",
    )
    require(pseudocounts >= 0, CalibrationError, f"pseudocounts = {pseudocounts}, expected >= 0")
    p, n = p[:, n > 0], n[n > 0]
    empty = int((p.max(axis=0) <= 0).sum())
    require(
        empty == 0,
        CalibrationError,
        f"{empty} cells hold people, and no component gives them any probability: no weights "
        "explain the answers. Raise the temperature or add a component that covers them",
    )
    target = _Target(p, n, pseudocounts)
    w = np.full(len(p), 1 / len(p))
    for _ in range(max_iterations):
        gap = target.gap(w)
        if gap <= tolerance:
            return MixtureWeights(w, target.value(w), gap, _unique(p, n, w, pseudocounts))
        w = target.leap(w)
    raise CalibrationError(
        f"mixture weights: gap {target.gap(w):.3g} after {max_iterations} iterations, expected <= "
        f"{tolerance:g}. Raise max_iterations, or tolerance if that gap does not matter to you",
        gap=target.gap(w),
    )


class _Target:
    def __init__(self, p: Array, n: Array, pseudocounts: float) -> None:
        self.p, self.n, self.extra = p, n, pseudocounts
        self.total = float(n.sum()) + pseudocounts * len(p)

    def value(self, w: Array) -> float:
        with np.errstate(divide="ignore"):
            value = float(self.n @ np.log(w @ self.p))
            return value + (self.extra * float(np.log(w).sum()) if self.extra else 0.0)

    def gap(self, w: Array) -> float:
        """Largest slope towards a vertex, minus the slope along w itself."""
        slope = self.p @ (self.n / (w @ self.p))
        if self.extra:
            slope = slope + self.extra / w
        return max(float(slope.max()) - self.total, 0.0)

    def step(self, w: Array) -> Array:
        taken = w * (self.p @ (self.n / (w @ self.p))) + self.extra
        result: Array = taken / taken.sum()
        return result

    def leap(self, w: Array) -> Array:
        """Two plain steps, extrapolated when that climbs higher than they do."""
        one = self.step(w)
        two = self.step(one)
        first, change = one - w, two - 2 * one + w
        size = float(np.sqrt((change**2).sum()))
        if size < 1e-300:
            return two
        length = max(1.0, float(np.sqrt((first**2).sum())) / size)
        far = w + 2 * length * first + length**2 * change
        far = self.step(_inside(far))
        return far if self.value(far) > self.value(two) else two


def _inside(w: Array) -> Array:
    """Back onto the simplex, away from the faces that a later step could not leave."""
    clipped = np.maximum(w, 1e-12)
    result: Array = clipped / clipped.sum()
    return result


def _unique(p: Array, n: Array, w: Array, pseudocounts: float) -> bool:
    """Weights are unique if the components in play give independent rows."""
    if pseudocounts > 0:
        return True
    slope = p @ (n / (w @ p))
    playing = slope >= n.sum() * (1 - 1e-6)
    rows = p[playing | (w > 1e-9)]
    return bool(np.linalg.matrix_rank(rows, tol=1e-9) == len(rows))
