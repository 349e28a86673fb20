"""Batches: the interval of any measure of a large sample for the price of a second look at it.

The sample is split at random into batches. The measure of each batch scatters about that of the
whole; Student's t of that scatter, scaled to the whole sample, is the interval. For smooth measures
of a large sample this agrees with the bootstrap, which would need hundreds of looks.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from abm.analysis.intervals import Estimate, check_level, t_halfwidth
from abm.errors import AnalysisError, require

__all__ = ["batch_interval"]


def batch_interval(
    statistic: Callable[..., float],
    *samples: ArrayLike,
    rng: np.random.Generator,
    n_batches: int = 40,
    level: float = 0.95,
) -> Estimate:
    """Any smooth measure of a large sample, with an interval from random batches of its rows.

    Parameters
    ----------
    statistic
        Function of as many arrays as there are samples; nan where undefined. It must settle as the
        sample grows: extremes, such as the range, have no interval of this kind.
    samples
        Arrays of equal length; their rows go into batches together.
    n_batches
        Batches; each should hold a few hundred rows, or the bias of a small batch shows.

    Returns
    -------
    The measure of the whole sample with Student's t interval; nan when fewer than two batches have
    a defined value, and said.

    References
    ----------
    Politis, Romano and Wolf (1999), Subsampling, Springer, chapter 2.

    Examples
    --------
    >>> x = np.random.default_rng(1).normal(size=10_000)
    >>> e = batch_interval(np.mean, x, rng=np.random.default_rng(2))
    >>> e.low < 0 < e.high, e.halfwidth < 0.03
    (True, True)
    """
    check_level(level)
    require(n_batches >= 2, AnalysisError, f"n_batches = {n_batches}, expected >= 2")
    arrays = [np.asarray(sample) for sample in samples]
    n = arrays[0].shape[0] if arrays else 0
    require(
        bool(arrays) and all(array.shape[0] == n for array in arrays),
        AnalysisError,
        "expected one or more samples of equal length",
    )
    value = float(statistic(*arrays)) if n else float("nan")
    nan, method = float("nan"), f"{n_batches} random batches"
    if n < 2 * n_batches:
        reason = f"{n} rows, expected two or more in each of {n_batches} batches: use bootstrap"
        return Estimate(value, nan, nan, level, n, method, reason)
    shuffled = _shuffled(arrays, rng)
    edges = np.linspace(0, n, n_batches + 1).astype(np.int64)
    drawn = np.array(
        [
            float(statistic(*(array[a:b] for array in shuffled)))
            for a, b in itertools.pairwise(edges)
        ]
    )
    good = drawn[np.isfinite(drawn)]
    left_out = n_batches - good.size
    reason = f"undefined in {left_out} of {n_batches} batches" if left_out else ""
    if good.size < 2 or not np.isfinite(value):
        return Estimate(value, nan, nan, level, n, method, reason or "undefined")
    # A batch holds n / n_batches rows, so its scatter is sqrt(n_batches) times that of the whole.
    half = float(t_halfwidth(good.std(ddof=1), good.size, level))
    return Estimate(value, value - half, value + half, level, n, method, reason)


def _shuffled(arrays: list[NDArray[Any]], rng: np.random.Generator) -> list[NDArray[Any]]:
    order = rng.permutation(arrays[0].shape[0])
    return [array[order] for array in arrays]
