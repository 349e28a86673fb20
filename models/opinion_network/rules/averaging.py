"""Averaging: people move to a weighted mean of what they see, some held back by where they started.

DeGroot (1974) iterates x(t+1) = W x(t) with a row-stochastic W. Friedkin and Johnsen (1990) let
each person keep a share of the initial opinion: x(t+1) = A W x(t) + (I - A) x(0).
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from abm.errors import NetworkError, require

__all__ = [
    "anchored",
    "averaged",
    "degroot",
    "degroot_influence",
    "friedkin_johnsen",
    "friedkin_johnsen_limit",
    "row_stochastic",
]

Floats = NDArray[np.float64]
Opinion = TypeVar("Opinion", float, Floats)


def averaged(own: Opinion, heard: Opinion, self_weight: float) -> Opinion:
    """Own opinion after averaging with the mean of what was heard.

    Parameters
    ----------
    own, heard
        Own opinion and mean of the opinions heard, on one scale.
    self_weight
        Weight of the own opinion, in [0, 1]; the rest goes to what was heard.

    References
    ----------
    DeGroot (1974), Journal of the American Statistical Association 69.

    Examples
    --------
    >>> averaged(0.0, 1.0, 0.75)
    0.25
    """
    return self_weight * own + (1.0 - self_weight) * heard


def anchored(social: Opinion, initial: Opinion, susceptibility: float) -> Opinion:
    """A socially formed opinion pulled back to the initial one.

    Parameters
    ----------
    social
        What averaging alone would give.
    initial
        The opinion at time 0.
    susceptibility
        Weight of the social part, in [0, 1]; 1 is DeGroot, 0 never moves.

    References
    ----------
    Friedkin & Johnsen (1990), Journal of Mathematical Sociology 15.

    Examples
    --------
    >>> anchored(1.0, 0.0, 0.25)
    0.25
    """
    return susceptibility * social + (1.0 - susceptibility) * initial


def degroot(opinions: ArrayLike, weights: ArrayLike) -> Floats:
    """One synchronous step x' = W x.

    Parameters
    ----------
    opinions
        Shape (n,).
    weights
        Row-stochastic W, shape (n, n); row i holds what i gives to each.

    References
    ----------
    DeGroot (1974).

    Examples
    --------
    >>> degroot([1.0, 0.0], [[0.5, 0.5], [0.0, 1.0]]).tolist()
    [0.5, 0.0]
    """
    result: Floats = _stochastic(weights) @ np.asarray(opinions, dtype=np.float64)
    return result


def degroot_influence(weights: ArrayLike) -> Floats:
    """Social influence pi with pi W = pi, sum 1: the consensus is pi . x(0).

    Solved as a linear system, so it is exact also for periodic W; it needs one closed group
    (an irreducible core that everybody reaches).

    Raises
    ------
    NetworkError
        W is not row-stochastic, or there are several closed groups and thus no single consensus.

    References
    ----------
    DeGroot (1974).

    Examples
    --------
    >>> degroot_influence([[0.5, 0.5], [1.0, 0.0]]).round(6).tolist()
    [0.666667, 0.333333]
    """
    w = _stochastic(weights)
    n = w.shape[0]
    system = np.vstack([w.T - np.eye(n), np.ones(n)])
    require(
        np.linalg.matrix_rank(system[:-1]) == n - 1,
        NetworkError,
        "weights have several closed groups, so opinions need not agree in the end; "
        "take each group by itself",
    )
    right = np.zeros(n + 1)
    right[-1] = 1.0
    return np.asarray(np.linalg.lstsq(system, right, rcond=None)[0], dtype=np.float64)


def friedkin_johnsen(
    opinions: ArrayLike, initial: ArrayLike, weights: ArrayLike, susceptibility: ArrayLike
) -> Floats:
    """One synchronous step x' = A W x + (I - A) x(0), A = diag(susceptibility).

    Parameters
    ----------
    opinions, initial
        Shape (n,).
    weights
        Row-stochastic W, shape (n, n).
    susceptibility
        Diagonal of A, shape (n,) or one number, each in [0, 1].

    References
    ----------
    Friedkin & Johnsen (1990).

    Examples
    --------
    >>> friedkin_johnsen([0.0, 1.0], [0.0, 1.0], [[0.5, 0.5], [0.5, 0.5]], 0.5).tolist()
    [0.25, 0.75]
    """
    a = np.asarray(susceptibility, dtype=np.float64)
    start = np.asarray(initial, dtype=np.float64)
    result: Floats = a * degroot(opinions, weights) + (1.0 - a) * start
    return result


def friedkin_johnsen_limit(
    initial: ArrayLike, weights: ArrayLike, susceptibility: ArrayLike
) -> Floats:
    """The equilibrium x* = (I - A W)^-1 (I - A) x(0).

    Raises
    ------
    NetworkError
        I - A W is singular: somebody without an anchor hears only others without an anchor.

    References
    ----------
    Friedkin & Johnsen (1999), Advances in Group Processes 16.

    Examples
    --------
    >>> friedkin_johnsen_limit([0.0, 1.0], [[0.5, 0.5], [0.5, 0.5]], 0.5).tolist()
    [0.25, 0.75]
    """
    w = _stochastic(weights)
    n = w.shape[0]
    a = np.broadcast_to(np.asarray(susceptibility, dtype=np.float64), (n,))
    left = np.eye(n) - a[:, None] * w
    require(
        np.linalg.matrix_rank(left) == n,
        NetworkError,
        "I - A W is singular: a closed group has susceptibility 1 throughout; "
        "give one of its members an anchor (susceptibility < 1) or use degroot_influence",
    )
    right = (1.0 - a) * np.asarray(initial, dtype=np.float64)
    result: Floats = np.linalg.solve(left, right).astype(np.float64)
    return result


def row_stochastic(adjacency: ArrayLike, *, self_loop: bool = True) -> Floats:
    """W with equal weight on each neighbour and, with `self_loop`, on oneself.

    Parameters
    ----------
    adjacency
        Shape (n, n); non-zero entries are ties.
    self_loop
        Whether everybody also counts as an own neighbour.

    Raises
    ------
    NetworkError
        Somebody has no neighbour and no self-loop, hence nothing to average.

    Examples
    --------
    >>> row_stochastic([[0, 1], [1, 0]]).tolist()
    [[0.5, 0.5], [0.5, 0.5]]
    """
    ties = (np.asarray(adjacency) != 0).astype(np.float64)
    if self_loop:
        np.fill_diagonal(ties, 1.0)
    sums = ties.sum(axis=1, keepdims=True)
    lonely = np.flatnonzero(sums[:, 0] == 0)
    require(
        lonely.size == 0,
        NetworkError,
        f"agents {lonely[:5].tolist()} have no neighbour; use self_loop=True or drop them",
    )
    result: Floats = ties / sums
    return result


def _stochastic(weights: ArrayLike) -> Floats:
    w = np.asarray(weights, dtype=np.float64)
    square = w.ndim == 2 and w.shape[0] == w.shape[1]
    require(
        square and bool((w >= 0).all()) and np.allclose(w.sum(axis=1), 1.0, atol=1e-9),
        NetworkError,
        f"weights of shape {w.shape}: expected a square matrix, entries >= 0, rows that sum to 1; "
        "row_stochastic() makes one from an adjacency matrix",
    )
    return w
