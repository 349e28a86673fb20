"""Diversity: how many different voices there are, and whether they drift or grow alike.

Texts and profiles come as embeddings, one row per text or person; lengths do not matter, because
every row is brought to length one first. `drift` lives in `abm.analysis.drift`
and can be taken from here too.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from abm.analysis.arrays import as_numbers
from abm.analysis.drift import drift
from abm.analysis.intervals import Estimate, bootstrap_two
from abm.errors import AnalysisError, require

__all__ = [
    "drift",
    "effective_channels",
    "homogenisation",
    "homogenisation_interval",
    "mean_cosine",
]

Array = NDArray[np.float64]
NAN = float("nan")


def effective_channels(embeddings: ArrayLike) -> float:
    """K*: exp of the entropy of the eigenvalues of the Gram matrix of unit embeddings over n.

    Parameters
    ----------
    embeddings
        Shape (n, n_dimensions).

    Returns
    -------
    1 for identical rows, n for n orthogonal rows; nan without rows or with a row of zeros, which
    has no direction. The smaller of the n x n and the d x d matrix is decomposed: their eigenvalues
    are the same.

    References
    ----------
    Friedman and Dieng (2023), Transactions on Machine Learning Research, "The Vendi score".

    Examples
    --------
    >>> round(effective_channels([[1, 0], [1, 0]]), 12)
    1.0
    >>> round(effective_channels([[1, 0], [0, 1]]), 12)
    2.0
    """
    unit = _unit(embeddings)
    if unit is None:
        return NAN
    n, d = unit.shape
    gram = unit @ unit.T if n <= d else unit.T @ unit
    values = np.clip(np.linalg.eigvalsh(gram / n), 0, None)
    p = values[values > 1e-15]
    p = p / p.sum()
    return float(np.exp(-np.sum(p * np.log(p))))


def mean_cosine(embeddings: ArrayLike) -> float:
    """Mean cosine of all pairs of different rows; nan for fewer than two rows or a row of zeros.

    Pairs are unordered and a row is not paired with itself; with itself counted, as some do, the
    mean is ((n - 1) x + 1) / n. Computed from the length of the sum of unit rows, so a million rows
    cost one pass.

    References
    ----------
    Salton and McGill (1983), Introduction to Modern Information Retrieval, McGraw-Hill.

    Examples
    --------
    >>> mean_cosine([[1.0, 0.0], [0.0, 1.0]])
    0.0
    """
    unit = _unit(embeddings)
    if unit is None or unit.shape[0] < 2:
        return NAN
    n, total = unit.shape[0], unit.sum(axis=0)
    return float(np.clip((total @ total - n) / (n * (n - 1)), -1, 1))


def homogenisation(simulated: ArrayLike, surveyed: ArrayLike) -> float:
    """Share of the variance between persons that a simulation keeps, over all items.

    Parameters
    ----------
    simulated, surveyed
        Answers of persons to the same items, shape (n, n_items) or (n,), both on the same scale;
        numbers of persons may differ. nan is no answer.

    Returns
    -------
    Sum over items of the simulated variance over that of the surveyed one: 0 when all agents answer
    alike, 1 as diverse as people, above 1 more diverse; nan when people do not differ or fewer than
    two answered an item. Variances are over n - 1. Items of different scales weigh by their
    variance: give one at a time, or bring them to one scale.

    References
    ----------
    Defined here, as the ratio of what Bisbee et al. (2024), Political Analysis 32, 401-416,
    compare: the variation of simulated answers with that of surveyed ones.

    Examples
    --------
    >>> homogenisation([3, 3, 3], [1, 3, 5]), homogenisation([1, 3, 5], [1, 3, 5])
    (0.0, 1.0)
    """
    return _kept(*_items(simulated, surveyed))


def homogenisation_interval(
    simulated: ArrayLike,
    surveyed: ArrayLike,
    *,
    rng: np.random.Generator,
    n_resamples: int = 999,
    level: float = 0.95,
) -> Estimate:
    """`homogenisation` with a bootstrap interval over the persons of both samples.

    Agents and people are drawn anew apart, each as many as there are. Agents of one run influence
    each other; for what varies between runs take the interval over replications.

    Returns
    -------
    The share with a percentile interval, `n` agents and people together; nan as in
    `homogenisation`.

    References
    ----------
    As `homogenisation`; Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapter 8,
    for two samples.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> e = homogenisation_interval(rng.normal(size=300) / 2, rng.normal(size=200), rng=rng)
    >>> e.low < 0.25 < e.high
    True
    """
    a, b = _items(simulated, surveyed)
    return bootstrap_two(_kept, a, b, rng=rng, n_resamples=n_resamples, level=level)


def _items(simulated: ArrayLike, surveyed: ArrayLike) -> tuple[Array, Array]:
    a, b = (as_numbers(x, "answers") for x in (simulated, surveyed))
    a, b = (x[:, None] if x.ndim == 1 else x for x in (a, b))
    require(
        a.ndim == b.ndim == 2 and a.shape[1] == b.shape[1],
        AnalysisError,
        f"simulated answers of shape {a.shape} and surveyed ones of {b.shape}, expected the same "
        "items: (n, n_items) or (n,)",
    )
    return a, b


def _kept(simulated: Array, surveyed: Array) -> float:
    kept, given = _variance(simulated), _variance(surveyed)
    return kept / given if given > 0 else NAN


def _variance(answers: Array) -> float:
    enough = (~np.isnan(answers)).sum(axis=0) >= 2
    if not enough.all():
        return NAN
    alike = np.nanmax(answers, axis=0) == np.nanmin(answers, axis=0)
    return float(np.where(alike, 0.0, np.nanvar(answers, axis=0, ddof=1)).sum())


def _unit(embeddings: ArrayLike) -> Array | None:
    rows = as_numbers(embeddings, "embeddings")
    require(
        rows.ndim == 2, AnalysisError, f"embeddings of shape {rows.shape}, expected (n, dimensions)"
    )
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if rows.shape[0] == 0 or not np.all(lengths > 0):
        return None
    result: Array = rows / lengths
    return result
