"""What every check of a posterior starts from: truths, draws, and their weights.

Truths have shape (n_sets, n_parameters): one planted parameter vector per data set. Draws have
shape (n_sets, n_draws, n_parameters); sets with fewer draws are filled up with rows of nan at the
end (`padded`), so that no set has to be left out for having few. Weighted posteriors are brought to
equal weights first (`even_draws`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from abm.calibration.checks import floats
from abm.calibration.posterior import Posterior
from abm.calibration.weights import systematic_rows, weighted_quantile
from abm.errors import CalibrationError, require

__all__ = ["checked", "equal_weights", "even_draws", "lengths", "named", "padded"]

Array = NDArray[np.float64]


def checked(truths: ArrayLike, draws: ArrayLike) -> tuple[Array, Array]:
    """Truths (n_sets, n_parameters) and draws (n_sets, n_draws, n_parameters) that fit each other.

    One-dimensional truths with two-dimensional draws stand for one parameter.

    Raises
    ------
    CalibrationError
        The shapes do not fit, or a value is not finite; rows of nan that fill up the end of a set
        are allowed, as long as one draw is there.

    Examples
    --------
    >>> truths, draws = checked([0.1, 0.2], [[0.0, 0.3], [0.1, 0.4]])
    >>> truths.shape, draws.shape
    ((2, 1), (2, 2, 1))
    """
    truth, drawn = floats(truths, "truths"), floats(draws, "draws")
    if truth.ndim == 1 and drawn.ndim == 2:
        truth, drawn = truth[:, None], drawn[:, :, None]
    fits = (
        truth.ndim == 2
        and drawn.ndim == 3
        and truth.shape == (drawn.shape[0], drawn.shape[2])
        and drawn.size > 0
    )
    require(
        fits,
        CalibrationError,
        f"truths have shape {np.shape(truths)} and draws {np.shape(draws)}, expected "
        "(n_sets, n_parameters) and (n_sets, n_draws, n_parameters)",
    )
    there = np.arange(drawn.shape[1]) < lengths(drawn)[:, None]
    there[~there.any(axis=1)] = True  # a set without a draw is no filling
    for name, values in (("truths", truth), ("draws", drawn[there])):
        bad = int((~np.isfinite(values)).sum())
        require(
            bad == 0,
            CalibrationError,
            f"{name}: {bad} of {values.size} values are not finite; a check of calibration cannot "
            "use a data set whose fit failed. Report it as a failure and leave the set out",
        )
    return truth, drawn


def lengths(draws: Array) -> NDArray[np.int64]:
    """How many draws each set has, shape (n_sets,): rows after the last that is not all nan are
    filling.

    Examples
    --------
    >>> lengths(padded([np.zeros((3, 1)), np.zeros((1, 1))])).tolist()
    [3, 1]
    """
    there: NDArray[np.bool_] = np.asarray(~np.isnan(draws).all(axis=2))
    n = draws.shape[1]
    last = n - np.argmax(there[:, ::-1], axis=1)
    return np.asarray(np.where(there.any(axis=1), last, 0), dtype=np.int64)


def padded(draws: Sequence[Array]) -> Array:
    """Sets of draws (n_i, n_parameters) as one array (n_sets, largest n_i, n_parameters).

    Examples
    --------
    >>> padded([np.ones((2, 1)), np.ones((1, 1))])[:, :, 0].tolist()
    [[1.0, 1.0], [1.0, nan]]
    """
    longest = max((len(d) for d in draws), default=0)
    width = draws[0].shape[1] if draws else 0
    found = np.full((len(draws), longest, width), np.nan)
    for place, drawn in zip(found, draws, strict=True):
        place[: len(drawn)] = drawn
    return found


def even_draws(post: Posterior, n: int, *, rng: np.random.Generator) -> Array:
    """Draws of equal weight from a posterior: n, or as many as its effective sample size if fewer.

    More would repeat draws, which ranks take for a posterior that is too narrow. Signed weights
    have no draws of equal weight: for these each parameter gets the quantiles of its signed
    marginal at random levels, one in each n-th of [0, 1], in an order of its own. Marginals are
    right, how parameters go together is lost.

    Returns
    -------
    Shape (at most n, n_parameters), at least one row.

    Examples
    --------
    >>> post = Posterior(("a",), np.array([[0.0], [1.0]]), np.array([0.5, 0.5]), "given")
    >>> sorted(even_draws(post, 99, rng=np.random.default_rng(1)).ravel().tolist())
    [0.0, 1.0]
    """
    size = max(1, min(n, int(post.ess + 1e-9)))
    if (post.weights >= 0).all():
        return equal_weights(post.draws, post.weights, size, rng=rng)
    levels = (np.arange(size) + rng.random(size)) / size
    columns = [
        rng.permutation(weighted_quantile(column, post.weights, levels)) for column in post.draws.T
    ]
    return np.stack(columns, axis=1)


def named(names: tuple[str, ...] | list[str] | None, n: int) -> list[str]:
    """Names of n parameters; `parameter 1`, ... where none are given."""
    if names is None:
        return [f"parameter {i + 1}" for i in range(n)]
    require(
        len(names) == n,
        CalibrationError,
        f"{len(names)} names for {n} parameters: {list(names)}",
    )
    return list(names)


def equal_weights(
    values: ArrayLike, weights: ArrayLike, n: int, *, rng: np.random.Generator
) -> Array:
    """Systematic resampling of weighted draws (n_draws, n_parameters) to n of equal weight.

    Systematic resampling takes draw i either floor(n w_i) or ceil(n w_i) times, so that equal
    weights with n = n_draws return every draw once. The order is shuffled.

    Raises
    ------
    CalibrationError
        Negative weights: a signed measure has no draws of equal weight. Compare its moments and
        weighted quantiles instead.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> sorted(equal_weights([[1.0], [2.0]], [0.5, 0.5], 2, rng=rng).ravel().tolist())
    [1.0, 2.0]
    """
    drawn = np.atleast_2d(np.asarray(values, dtype=np.float64))
    rows = systematic_rows(weights, n, rng=rng)
    chosen: Array = drawn[rng.permutation(rows)]
    return chosen
