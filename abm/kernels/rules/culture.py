"""Culture: bundles of traits that spread the more easily, the more people have in common."""

from __future__ import annotations

from typing import Any

__all__ = ["axelrod"]


def axelrod(i: int, j: int, state: Any, p: Any, rng: Any) -> None:  # noqa: ARG001
    """Take up a trait of somebody, with the probability that a feature is the same already.

    For `run_pairwise` on a state of one array of integers, shape (n, n_features): the trait of each
    person in each feature. Person i takes over one of the features, drawn at random, in which j
    differs. It ends when all who are tied share everything or nothing.

    References
    ----------
    Axelrod (1997), Journal of Conflict Resolution 41, 203-226.

    Examples
    --------
    >>> import numpy as np
    >>> from abm.kernels import run_pairwise
    >>> culture = np.array([[0, 0, 1], [0, 0, 2], [5, 6, 7]])
    >>> _ = run_pairwise(axelrod, (culture,), None, 100, rng=np.random.default_rng(1))
    >>> culture[0].tolist() == culture[1].tolist(), culture[2].tolist()
    (True, [5, 6, 7])
    """
    culture = state[0]
    n_features, differing = culture.shape[1], 0
    for feature in range(n_features):
        if culture[i, feature] != culture[j, feature]:
            differing += 1
    if differing == 0 or rng.random() * n_features >= n_features - differing:
        return
    left = rng.integer(differing)
    for feature in range(n_features):
        if culture[i, feature] != culture[j, feature]:
            if left == 0:
                culture[i, feature] = culture[j, feature]
                return
            left -= 1
