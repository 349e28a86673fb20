"""The result of a fit: weighted draws of the parameters, and what they cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from abm.calibration.checks import check_level, floats, whole
from abm.calibration.columns import distinct
from abm.calibration.records import Notice
from abm.calibration.weights import effective_sample_size, systematic_rows, weighted_quantile
from abm.errors import CalibrationError, require

__all__ = ["Posterior"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Posterior:
    """Draws with weights.

    Attributes
    ----------
    names
        Parameters, d of them.
    draws
        Shape (n, d).
    weights
        Shape (n,), adding up to 1. They may be negative (multi-fidelity): means and other linear
        estimates use them as they are; what needs a distribution (`resample`) refuses.
    method
        The name of the method.
    cost
        Notional cost of all simulations that were used.
    n_simulations
        How many those were, over all fidelities.
    statistics
        Fitted statistics of each draw, shape (n, m), or `None`.
    held_out
        Held-out statistics of each draw, for scores, shape (n, k), or `None`.
    notices
        What a reader must know.
    details
        Numbers of the method: tolerances, acceptance rates, continuation probabilities.

    Examples
    --------
    >>> post = Posterior(("a",), np.array([[0.0], [1.0]]), np.array([0.5, 0.5]), "rejection")
    >>> post.mean.tolist(), post.ess, post.quantile([0.25, 0.75]).ravel().tolist()
    ([0.5], 2.0, [0.0, 1.0])
    """

    names: tuple[str, ...]
    draws: Floats
    weights: Floats
    method: str
    cost: float = 0.0
    n_simulations: int = 0
    statistics: Floats | None = field(default=None, repr=False)
    held_out: Floats | None = field(default=None, repr=False)
    notices: Sequence[Notice] = ()
    details: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        draws = floats(self.draws, "draws")
        require(
            draws.size % max(len(self.names), 1) == 0 and bool(np.isfinite(draws).all()),
            CalibrationError,
            f"draws of shape {draws.shape}, expected finite numbers, (n, {len(self.names)})",
        )
        draws = draws.reshape(-1, len(self.names))
        weights = floats(self.weights, "weights")
        require(
            weights.shape == (len(draws),) and bool(np.isfinite(weights).all()),
            CalibrationError,
            f"weights of shape {weights.shape}, expected ({len(draws)},) finite numbers",
        )
        total = float(weights.sum())
        require(
            len(draws) > 0 and total > 0,
            CalibrationError,
            f"method {self.method!r} kept {len(draws)} draws with total weight {total:g}: there is "
            "no posterior. Raise the tolerance or the number of simulations, and look at the "
            "outcomes in the ledger",
            outcome="no_posterior",
        )
        object.__setattr__(self, "draws", draws)
        object.__setattr__(self, "weights", weights / total)

    @property
    def n(self) -> int:
        """Number of draws."""
        return len(self.draws)

    @property
    def ess(self) -> float:
        """Effective sample size of the weights."""
        return effective_sample_size(self.weights)

    @property
    def ess_per_cost(self) -> float:
        """Effective sample size per unit of notional cost; nan without a cost."""
        return self.ess / self.cost if self.cost > 0 else float("nan")

    @property
    def mean(self) -> Floats:
        """Shape (d,)."""
        return self.weights @ self.draws

    @property
    def covariance(self) -> Floats:
        """Weighted covariance, shape (d, d); with signed weights it need not be positive."""
        centred = self.draws - self.mean
        return (centred * self.weights[:, None]).T @ centred

    @property
    def sd(self) -> Floats:
        """Shape (d,); nan where signed weights give a negative variance."""
        variance = np.diag(self.covariance)
        return np.sqrt(np.where(variance >= 0, variance, np.nan))

    def quantile(self, q: ArrayLike) -> Floats:
        """Smallest draw at which the cumulated weight reaches q; shape (len(q), d)."""
        levels = np.atleast_1d(floats(q, "q"))
        require(
            bool(((levels >= 0) & (levels <= 1)).all()),
            CalibrationError,
            f"q = {levels.tolist()}, expected levels in [0, 1]",
            argument="q",
        )
        columns = [weighted_quantile(x, self.weights, levels) for x in self.draws.T]
        return np.stack(columns, axis=1)

    def interval(self, level: float = 0.9) -> Floats:
        """Central intervals, shape (d, 2)."""
        check_level(level)
        tail = (1.0 - level) / 2.0
        return self.quantile([tail, 1.0 - tail]).T

    def resample(self, n: int, *, rng: np.random.Generator) -> Floats:
        """n equally weighted draws, shape (n, d).

        Raises
        ------
        CalibrationError
            Some weight is negative: no sample has such weights. Use weighted means instead.
        """
        return self.draws[self.indices(n, rng=rng)]

    def indices(self, n: int, *, rng: np.random.Generator) -> NDArray[np.int64]:
        """Rows of n equally weighted draws (systematic resampling), shape (n,)."""
        return systematic_rows(self.weights, whole(n, "n", 1), rng=rng)

    def clipped(self) -> Posterior:
        """Negative weights set to 0: a distribution, at the price of a bias."""
        return replace(self, weights=np.maximum(self.weights, 0.0))

    def summary(self) -> pl.DataFrame:
        """One row per parameter: mean, sd, median, 5 and 95 % quantiles."""
        low, middle, high = self.quantile([0.05, 0.5, 0.95])
        return pl.DataFrame(
            {
                "parameter": list(self.names),
                "mean": self.mean,
                "sd": self.sd,
                "q05": low,
                "median": middle,
                "q95": high,
            }
        )

    def frame(self) -> pl.DataFrame:
        """The draws and a column `weight`; a parameter of that name is `parameter weight`."""
        names = distinct(self.names, ("weight",))
        columns = {name: self.draws[:, i] for i, name in enumerate(names)}
        return pl.DataFrame({**columns, "weight": self.weights})
