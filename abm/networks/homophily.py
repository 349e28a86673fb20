"""Homophilous networks: people choose their ties among those they meet, the alike more often."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from abm.errors import NetworkError, require
from abm.networks.network import Network

__all__ = ["homophilous"]


def homophilous(
    features: ArrayLike | Mapping[str, ArrayLike] | pl.DataFrame,
    mean_degree: float,
    homophily: float,
    *,
    pool: int = 2000,
    rng: np.random.Generator,
) -> Network:
    """An undirected network in which similar people are tied more often.

    Person i meets `pool` others, drawn at random (everyone, if the population is not larger), and
    chooses among them by successive draws without replacement with probabilities proportional to ::

        w_ij = exp(-homophily * d_ij),    d_ij = sqrt(mean over features f of delta_f(i, j)**2),

    where delta_f is |x_if - x_jf| / sd_f for a numeric feature, and 1 if different, else 0 for a
    categorical one. Everyone makes `mean_degree / 2` choices (the fraction is settled by chance); a
    mutual choice is one tie. Ties lost to mutual choices are replaced by one more choice of people
    in random order, so that there are round(n * mean_degree / 2) ties exactly. Nobody has fewer
    than floor(mean_degree / 2) ties.

    Parameters
    ----------
    features
        Numbers or categories (text, truth values, or an object array), shape (n,); numbers, shape
        (n, n_features); or named columns.
    mean_degree
        Mean number of ties per person, 0 <= mean_degree < n.
    homophily
        Strength, >= 0, per unit of distance. 0 ignores the features; with one categorical feature,
        exp(homophily) is the odds of choosing a like rather than an unlike person.
    pool
        How many others a person meets. A choice costs about the inverse of the mean weight, and at
        most twice the pool.

    Raises
    ------
    NetworkError
        A feature that is missing or not finite; a mean degree that the population cannot have.

    Examples
    --------
    >>> party = np.repeat(["left", "right"], 50)
    >>> network = homophilous(party, 6, 3.0, rng=np.random.default_rng(1))
    >>> ends = network.edges()
    >>> network.n_edges, bool((party[ends[:, 0]] == party[ends[:, 1]]).mean() > 0.9)
    (300, True)
    """
    space = _coordinates(features)
    n = len(space)
    n_ties = round(n * mean_degree / 2)
    require(
        mean_degree >= 0 and n_ties <= n * (n - 1) // 2,
        NetworkError,
        f"mean_degree = {mean_degree}, expected 0 <= mean_degree < n = {n}",
    )
    require(
        homophily >= 0 and np.isfinite(homophily),
        NetworkError,
        f"homophily = {homophily}, expected a finite number >= 0",
    )
    met = min(pool, n - 1)
    require(
        n_ties == 0 or met >= mean_degree,
        NetworkError,
        f"pool = {pool}, expected at least mean_degree = {mean_degree}",
    )
    if n_ties == 0:
        return Network.from_edges(np.empty((0, 2), dtype=np.int64), n)
    return _chosen(space, homophily, met, n_ties, rng)


def _chosen(
    space: NDArray[np.float32],
    homophily: float,
    met: int,
    n_ties: int,
    rng: np.random.Generator,
) -> Network:
    """Everybody's first choices, then further choices of people in random order.

    The gaps 1..n-1 to the others are laid on a circle in random order, once; a person meets `met`
    in a row from a random place. So each pair has the same chance to meet.
    """
    from abm.kernels.choosing import choose_first, choose_more, write_ties
    from abm.kernels.rows import pack
    from abm.kernels.tools import start

    n, whole = len(space), n_ties // len(space)
    circle = rng.permutation(np.arange(1, n, dtype=np.int32))
    turns = rng.integers(0, circle.size, n, dtype=np.int32)
    width = min(met, whole + 2)
    chosen, taken = np.empty((n, width), np.int32), np.zeros(n, np.int32)
    among = (space, float(homophily), circle, turns)
    mass, words = np.empty(met), start(rng)
    made = choose_first(whole, *among, chosen, taken, mass, words)
    rounds = whole
    while made < n_ties:
        require(
            int(taken.min()) < met,
            NetworkError,
            f"only {made} of {n_ties} ties could be made: everybody has chosen all whom they meet. "
            "Give a smaller mean_degree or a larger pool",
        )
        if rounds == width < met:
            width = min(2 * width, met)
            chosen = np.pad(chosen, ((0, 0), (0, width - rounds)))
        people = rng.permutation(n)
        made = choose_more(people, made, n_ties, *among, chosen, taken, mass, words)
        rounds += 1
    sources, targets = np.empty(n_ties, np.int32), np.empty(n_ties, np.int32)
    write_ties(chosen, taken, sources, targets)
    return Network._trusted(n, *pack(n, sources, targets, both=True))


def _coordinates(features: Any) -> NDArray[np.float32]:
    """Coordinates whose Euclidean distance is d_ij, shape (n, n_coordinates)."""
    if isinstance(features, pl.DataFrame):
        columns = [(name, features[name].to_numpy()) for name in features.columns]
    elif isinstance(features, Mapping):
        columns = [(name, np.asarray(values)) for name, values in features.items()]
    else:
        array = np.asarray(features)
        table = array[:, None] if array.ndim == 1 else array
        columns = [(f"features[:, {i}]", table[:, i]) for i in range(table.shape[1])]
    require(len(columns) > 0, NetworkError, "features is empty, expected at least one column")
    lengths = {name: len(values) for name, values in columns}
    require(
        len(set(lengths.values())) == 1,
        NetworkError,
        f"features have different lengths: {lengths}",
    )
    parts = [_axis(name, values) for name, values in columns]
    scaled: NDArray[np.float32] = np.concatenate(parts, axis=1, dtype=np.float32)
    scaled /= np.float32(np.sqrt(len(columns)))
    return scaled


def _axis(name: str, values: NDArray[Any]) -> NDArray[np.float64]:
    if values.dtype.kind in "iuf":
        numbers = values.astype(np.float64)
        bad = np.flatnonzero(~np.isfinite(numbers))
        require(
            bad.size == 0,
            NetworkError,
            f"{name}: {bad.size} values are missing or not finite, first in row {bad[:1].tolist()}",
        )
        spread = numbers.std()
        return (numbers[:, None] / spread) if spread > 0 else np.zeros((numbers.size, 1))
    missing = [i for i, value in enumerate(values.tolist()) if value is None]
    require(
        not missing,
        NetworkError,
        f"{name}: {len(missing)} values are missing, first in row {missing[:1]}",
    )
    levels, codes = np.unique(values.astype(str), return_inverse=True)
    # Corners of a simplex: any two different categories are exactly 1 apart.
    corners: NDArray[np.float64] = np.eye(levels.size)[codes] / np.sqrt(2)
    return corners
