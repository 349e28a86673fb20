"""All measures of one distribution of opinions in one table, with intervals, for a million at once.

Smooth measures of many opinions get their interval from random batches, those of few from the
bootstrap, and measures of counted answers from a bootstrap of the counts. Extremes and counts of
clusters have no interval within one sample; take theirs over replications with `means_table`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from abm.analysis import opinions as single
from abm.analysis.arrays import as_numbers
from abm.analysis.batches import batch_interval
from abm.analysis.intervals import Estimate, bootstrap, bootstrap_counts, check_level
from abm.analysis.modality import dip_test
from abm.errors import AnalysisError, require

__all__ = ["opinion_measures"]

Array = NDArray[np.float64]
_MANY = 8_000
"""From so many opinions on, batches of 200 or more replace the bootstrap."""
_NO_INTERVAL = "an extreme of the sample: interval over replications only"


def opinion_measures(
    opinions: ArrayLike,
    *,
    rng: np.random.Generator,
    low: float = 0.0,
    high: float = 1.0,
    scale: Sequence[float] | None = None,
    bins: int = 10,
    gap: float = 0.02,
    alpha: float = 1.3,
    level: float = 0.95,
) -> pl.DataFrame:
    """Every measure of a distribution of opinions, with the interval over people where it has one.

    Parameters
    ----------
    opinions
        Shape (n,); nan is no opinion.
    rng
        Chance of batches and resamples.
    low, high
        Ends of the scale.
    scale
        All points of a scale of few points, ascending. Without it, opinions are counted in `bins`
        equal parts of [low, high] for the measures of counted answers.
    gap
        Smallest distance that separates two clusters, in the unit of the opinions.
    alpha
        Exponent of Esteban and Ray's measure.

    Returns
    -------
    One row per measure: `measure` and the columns of `Estimate`. The dip's row has its p-value as
    a measure of its own, `dip_p_value`.

    References
    ----------
    Those of each measure, on its own page.

    Examples
    --------
    >>> answers = np.repeat([1.0, 4.0, 7.0], [40, 20, 40])
    >>> table = opinion_measures(answers, rng=np.random.default_rng(1), low=1, high=7,
    ...                          scale=range(1, 8))
    >>> table.row(by_predicate=pl.col("measure") == "variance_over_maximum", named=True)["estimate"]
    0.8
    """
    check_level(level)
    require(
        scale is None or len(scale) > 1,
        AnalysisError,
        f"scale = {scale}, expected all points of the scale, two or more",
    )
    x = as_numbers(opinions, "opinions").ravel()
    x = np.sort(x[~np.isnan(x)])
    rows = [
        _row(name, _smooth(measure, x, rng, level))
        for name, measure in _smooth_measures(low, high).items()
    ]
    counted = single.counts(x, list(scale)) if scale is not None else _binned(x, low, high, bins)
    positions = as_numbers(scale, "scale") if scale is not None else None
    for name, of_counts in _count_measures(alpha, _unit(positions)).items():
        estimate = bootstrap_counts(of_counts, counted, rng=rng, n_resamples=199, level=level)
        rows.append(_row(name, estimate))
    rows += [_row(name, _bare(value, x.size, level)) for name, value in _rest(x, low, high, gap)]
    dip = dip_test(x)
    for name, value in (("dip", dip.dip), ("dip_p_value", dip.p_value)):
        reason = dip.reason or "a test, no estimate"
        rows.append(_row(name, _bare(value, dip.n, level, reason=reason)))
    return pl.DataFrame(rows)


def _smooth_measures(low: float, high: float) -> dict[str, Callable[[Array], float]]:
    return {
        "mean": lambda x: float(x.mean()) if x.size else float("nan"),
        "variance_over_maximum": lambda x: single.variance_over_maximum(x, low=low, high=high),
        "dispersion": lambda x: single.dispersion(x, low=low, high=high),
        "bimodality_coefficient": single.bimodality_coefficient,
    }


def _count_measures(alpha: float, positions: Array | None) -> dict[str, Callable[[Array], float]]:
    return {
        "agreement": single.agreement,
        "esteban_ray": lambda f: single.esteban_ray(f, alpha=alpha, positions=positions),
        "effective_number": single.effective_number,
        "inverse_simpson": single.inverse_simpson,
    }


def _rest(x: Array, low: float, high: float, gap: float) -> list[tuple[str, float]]:
    found = single.clusters(x, gap=gap)
    shares = found.sizes / max(int(found.sizes.sum()), 1)
    return [
        ("spread", single.spread(x, low=low, high=high)),
        ("coverage", single.coverage(x, low=low, high=high)),
        ("clusters", float(found.n) if found.n else float("nan")),
        ("major_clusters", float(found.n_major) if found.n else float("nan")),
        ("largest_cluster", found.largest_share),
        ("fracture", float(1 - np.sum(shares**2)) if found.n else float("nan")),
    ]


def _smooth(
    measure: Callable[[Array], float], x: Array, rng: np.random.Generator, level: float
) -> Estimate:
    if x.size >= _MANY:
        return batch_interval(measure, x, rng=rng, level=level)
    return bootstrap(measure, x, rng=rng, n_resamples=499, level=level)


def _binned(x: Array, low: float, high: float, bins: int) -> Array:
    require(bins >= 3, AnalysisError, f"bins = {bins}, expected >= 3")
    heights, _ = np.histogram(x, bins=bins, range=(low, high))
    return heights.astype(np.float64)


def _unit(positions: Array | None) -> Array | None:
    """Places of the points of a scale on [0, 1]."""
    if positions is None:
        return None
    placed: Array = (positions - positions[0]) / (positions[-1] - positions[0])
    return placed


def _bare(value: float, n: int, level: float, *, reason: str = _NO_INTERVAL) -> Estimate:
    nan = float("nan")
    return Estimate(value, nan, nan, level, n, "", reason)


def _row(name: str, estimate: Estimate) -> dict[str, Any]:
    return {"measure": name, **estimate.row()}
