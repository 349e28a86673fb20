"""Posterior predictive checks: would the fitted model produce data like those observed?

For each summary: where the observed value lies among values simulated from the posterior. Jointly:
whether its Mahalanobis distance from their mean is unusual among the simulated ones themselves
(Gelman, Meng and Stern 1996, Statistica Sinica 6, 733). A summary that entered the fit is checked
too kindly; the held-out ones are the test.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from abm.calibration.checks import check_level
from abm.errors import CalibrationError, require

__all__ = ["PredictiveCheck", "posterior_predictive"]

Array = NDArray[np.float64]
_LEAST = 20
"""Fewest draws with finite values for a predictive interval of 90 %."""


@dataclass(frozen=True)
class PredictiveCheck:
    """Observed summaries among predicted ones.

    Attributes
    ----------
    table
        One row per summary: `summary`, `held_out`, `observed`, `estimate` (predictive mean), `low`
        and `high` (90 % predictive interval), `level`, `n` (draws), `p` (two-sided tail
        probability), `inside`. Summaries that cannot be checked have no row.
    joint_p
        Share of draws at least as far from the predictive mean as the observation, in Mahalanobis
        distance over all summaries, with the usual (k+1)/(n+1).
    undefined
        Predictive draws with a value that is not finite; they are left out and counted here.
    unchecked
        Summaries that are not finite in so many draws that fewer than 20 are left: name -> draws.
    """

    table: pl.DataFrame
    joint_p: float
    undefined: int
    unchecked: Mapping[str, int] = field(default_factory=dict)

    @property
    def words(self) -> list[str]:
        """What it means, a sentence per summary that stands out, and one for all together."""
        said = [
            f"{r['summary']}{' (held out)' if r['held_out'] else ''}: observed {r['observed']:.4g},"
            f" predicted {r['low']:.4g} to {r['high']:.4g}: the model does not produce it"
            for r in self.table.filter(~pl.col("inside")).iter_rows(named=True)
        ]
        said += [
            f"{name}: not finite in {n} predictive runs: it cannot be checked"
            for name, n in self.unchecked.items()
        ]
        inside = int(self.table["inside"].sum())
        said.append(
            f"{inside} of {self.table.height} summaries lie in their 90 % predictive intervals; "
            f"jointly p = {self.joint_p:.3f}"
            + (": the model misses something" if self.joint_p < 0.01 else "")
        )
        if self.undefined:
            said.append(f"{self.undefined} predictive runs had undefined summaries, left out")
        return said


def posterior_predictive(
    observed: ArrayLike,
    predicted: ArrayLike,
    *,
    names: Sequence[str],
    held_out: Collection[str] = (),
    level: float = 0.9,
) -> PredictiveCheck:
    """Compare observed summaries (n_summaries,) with predicted ones (n_draws, n_summaries).

    Parameters
    ----------
    predicted
        One simulation per posterior draw, sampling error of the survey included.
    held_out
        Names of summaries that the fit did not see.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> check = posterior_predictive([0.1, 9.0], rng.normal(size=(200, 2)), names=["a", "b"])
    >>> check.table["inside"].to_list()
    [True, False]
    """
    seen, drawn = np.asarray(observed, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    require(
        drawn.ndim == 2 and seen.shape == drawn.shape[1:] == (len(names),),
        CalibrationError,
        f"observed {seen.shape}, predicted {drawn.shape} and {len(names)} names: expected "
        "(n_summaries,), (n_draws, n_summaries) and n_summaries names",
    )
    check_level(level)
    bad = (~np.isfinite(drawn)).sum(axis=0)
    there = len(drawn) - bad >= _LEAST
    unchecked = {n: int(b) for n, b, ok in zip(names, bad, there, strict=True) if not ok}
    seen, drawn = seen[there], drawn[:, there]
    names = [name for name in names if name not in unchecked]
    usable = np.isfinite(drawn).all(axis=1)
    kept = drawn[usable]
    require(
        len(kept) >= _LEAST and len(names) > 0,
        CalibrationError,
        f"{len(kept)} predictive runs with finite summaries out of {len(drawn)}, expected >= "
        f"{_LEAST}; not finite in so many runs: {unchecked or _undefined(drawn, names)}",
    )
    low, high = np.quantile(kept, [(1 - level) / 2, (1 + level) / 2], axis=0)
    n = len(kept)
    above = ((kept >= seen).sum(axis=0) + 1) / (n + 1)
    below = ((kept <= seen).sum(axis=0) + 1) / (n + 1)
    table = pl.DataFrame(
        {
            "summary": list(names),
            "held_out": [name in held_out for name in names],
            "observed": seen,
            "estimate": kept.mean(axis=0),
            "low": low,
            "high": high,
            "level": level,
            "n": n,
            "p": np.minimum(1.0, 2 * np.minimum(above, below)),
            "inside": (low <= seen) & (seen <= high),
        }
    )
    return PredictiveCheck(table, _joint(seen, kept), int((~usable).sum()), unchecked)


def _undefined(drawn: Array, names: Sequence[str]) -> dict[str, int]:
    """The summaries that are most often not finite, at most three, and in how many draws."""
    times = (~np.isfinite(drawn)).sum(axis=0)
    return {names[k]: int(times[k]) for k in np.argsort(-times, kind="stable")[:3] if times[k]}


def _joint(seen: Array, drawn: Array) -> float:
    """Constant summaries carry no distance: they are left to the table."""
    varies = drawn.std(axis=0) > 0
    if not varies.any():
        return 1.0 if np.array_equal(seen, drawn[0]) else 1 / (len(drawn) + 1)
    scaled = drawn[:, varies] / drawn[:, varies].std(axis=0)
    point = seen[varies] / drawn[:, varies].std(axis=0)
    centre = scaled.mean(axis=0)
    inverse = np.linalg.pinv(np.atleast_2d(np.cov(scaled, rowvar=False)), rcond=1e-8)

    def distance(values: Array) -> Array:
        gap = values - centre
        result: Array = np.einsum("...i,ij,...j->...", gap, inverse, gap)
        return result

    return float((np.sum(distance(scaled) >= distance(point)) + 1) / (len(drawn) + 1))
