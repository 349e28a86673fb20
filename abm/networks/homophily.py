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

_BLOCK = 4_000_000


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
    ranks them by successive draws without replacement with probabilities proportional to ::

        w_ij = exp(-homophily * d_ij),    d_ij = sqrt(mean over features f of delta_f(i, j)**2),

    where delta_f is |x_if - x_jf| / sd_f for a numeric feature, and 1 if different, else 0 for a
    categorical one. Everyone is tied to the first `mean_degree / 2` on the list (the fraction is
    settled by chance); a mutual choice is one tie. Ties lost to mutual choices are replaced by the
    next on the lists of people drawn at random, so that there are round(n * mean_degree / 2) ties
    exactly. Nobody has fewer than floor(mean_degree / 2) ties.

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
        How many others a person meets; time and memory grow as n * pool.

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
    depth = min(met, int(2 * mean_degree) + 24)
    return Network.from_edges(_settle(_rank(space, homophily, met, depth, rng), n_ties, rng), n)


def _rank(
    space: NDArray[np.float32], homophily: float, met: int, depth: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """The first `depth` choices of everyone, shape (n, depth), best first.

    Successive draws with probabilities proportional to w are the order of arrival in a race of
    exponential clocks with rates w, here on a log scale.
    """
    n = len(space)
    ranked = np.empty((n, depth), dtype=np.int64)
    circle = rng.permutation(np.arange(1, n))
    step = max(1, _BLOCK // met)
    for first in range(0, n, step):
        rows = np.arange(first, min(first + step, n))
        others = _meet(rows, circle, met, rng)
        arrival = np.log(rng.standard_exponential(others.shape)).astype(np.float32)
        arrival += np.float32(homophily) * _distance(space, rows, others)
        best = np.argpartition(arrival, depth - 1, axis=1)[:, :depth]
        order = np.argsort(np.take_along_axis(arrival, best, axis=1), axis=1, kind="stable")
        best = np.take_along_axis(best, order, axis=1)
        ranked[rows] = np.take_along_axis(others, best, axis=1)
    return ranked


def _meet(
    rows: NDArray[np.int64], circle: NDArray[np.int64], met: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Whom each of `rows` meets, shape (n_rows, met): distinct, and not oneself.

    The gaps 1..n-1 to the others are laid on a circle in random order, once; a person takes `met`
    in a row from a random place. So each pair has the same chance to meet.
    """
    turns = rng.integers(0, circle.size, rows.size)
    gaps = np.concatenate([circle, circle[: met - 1]])
    windows = np.lib.stride_tricks.sliding_window_view(gaps, met)[turns]
    others: NDArray[np.int64] = (rows[:, None] + windows) % (circle.size + 1)
    return others


def _distance(
    space: NDArray[np.float32], rows: NDArray[np.int64], others: NDArray[np.int64]
) -> NDArray[np.float32]:
    total = np.zeros(others.shape, dtype=np.float32)
    for column in space.T:
        total += np.square(column[rows][:, None] - column[others])
    root: NDArray[np.float32] = np.sqrt(total, out=total)
    return root


def _settle(ranked: NDArray[np.int64], n_ties: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """The first choices of all, then further choices of some, until there are `n_ties` ties."""
    n, depth = ranked.shape
    taken = np.zeros(n, dtype=np.int64)
    keys = np.empty(0, dtype=np.int64)
    whole = n_ties // n
    for _ in range(whole):
        keys = np.concatenate([keys, _choose(ranked, taken, np.arange(n))])
    keys = np.unique(keys)
    while keys.size < n_ties:
        open_lists = np.flatnonzero(taken < depth)
        require(
            open_lists.size > 0,
            NetworkError,
            f"only {keys.size} of {n_ties} ties could be made: the choices are too alike. "
            "Give a smaller mean_degree or less homophily",
        )
        some = rng.permutation(open_lists)[: n_ties - keys.size]
        keys = np.union1d(keys, _choose(ranked, taken, some))
    return np.stack(np.divmod(keys, n), axis=1)


def _choose(
    ranked: NDArray[np.int64], taken: NDArray[np.int64], people: NDArray[np.int64]
) -> NDArray[np.int64]:
    n = len(ranked)
    partner = ranked[people, taken[people]]
    taken[people] += 1
    return np.minimum(people, partner) * n + np.maximum(people, partner)


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
