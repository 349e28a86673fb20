"""Homophilous networks: people choose their ties among those they meet, the alike more often."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from abm.errors import NetworkError, require
from abm.networks.network import Network

if TYPE_CHECKING:
    from abm.kernels.boxes import Space

__all__ = ["homophilous"]

_STRONGEST = 1e100  # products with a distance stay finite
_MOST_CATEGORIES = 2**24  # codes are exact in 32-bit floats


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
        How many others a person meets. A choice costs a few times the inverse of the mean weight,
        and never much more than a look at all whom one meets.

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
    space = _space(features)
    n = len(space.at)
    require(
        0 <= mean_degree <= max(n - 1, 0),
        NetworkError,
        f"mean_degree = {mean_degree}, expected 0 <= mean_degree < n = {n}",
    )
    n_ties = round(n * mean_degree / 2)
    require(
        0 <= homophily <= _STRONGEST,
        NetworkError,
        f"homophily = {homophily}, expected 0 <= homophily <= {_STRONGEST:g}",
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
    space: Space,
    homophily: float,
    met: int,
    n_ties: int,
    rng: np.random.Generator,
) -> Network:
    """Everybody's first choices, then further choices of people in random order.

    The gaps 1..n-1 to the others are laid on a circle in random order, once; a person meets `met`
    in a row from a random place. So each pair has the same chance to meet.
    """
    from abm.kernels import choosing
    from abm.kernels.boxes import boxes_of
    from abm.kernels.rows import pack
    from abm.kernels.tools import start

    n, whole = len(space.at), n_ties // len(space.at)
    gaps = rng.permutation(np.arange(1, n, dtype=np.int32))
    circle = choosing.Circle(gaps, rng.integers(0, gaps.size, n, dtype=np.int32), met)
    width = min(met, whole + 2)
    choices = choosing.Choices(np.empty((n, width), np.int32), np.zeros(n, np.int32))
    space, boxes = boxes_of(space)
    crowd = choosing.Crowd(space, float(homophily), boxes, circle)
    room, words = choosing.room_for(met, boxes), start(rng)
    made = choosing.choose_first(whole, crowd, choices, room, words) if whole else 0
    rounds = whole
    while made < n_ties:
        require(
            int(choices.taken.min()) < met,
            NetworkError,
            f"only {made} of {n_ties} ties could be made: everybody has chosen all whom they meet. "
            "Give a smaller mean_degree or a larger pool",
        )
        if rounds == width < met:
            width = min(2 * width, met)
            wider = np.pad(choices.chosen, ((0, 0), (0, width - rounds)))
            choices = choices._replace(chosen=wider)
        people, asked = rng.permutation(n), 0
        while made < n_ties and asked < n:  # so many as it takes at least; never too many
            some = np.sort(people[asked : asked + n_ties - made])
            made += choosing.choose_more(some, crowd, choices, room, words)
            asked += some.size
        rounds += 1
    sources, targets = np.empty(n_ties, np.int32), np.empty(n_ties, np.int32)
    choosing.write_ties(choices, boxes.order, sources, targets)
    return Network._trusted(n, *pack(n, sources, targets, both=True))


def _space(features: Any) -> Space:
    """Coordinates of all people: numbers in standard deviations, codes of categories."""
    from abm.kernels.boxes import Space

    columns = _columns(features)
    require(len(columns) > 0, NetworkError, "features is empty, expected at least one column")
    lengths = {name: len(values) for name, values in columns}
    require(
        len(set(lengths.values())) == 1,
        NetworkError,
        f"features have different lengths: {lengths}",
    )
    scale = float(np.sqrt(len(columns)))
    numbers = [_number(name, x) / scale for name, x in columns if x.dtype.kind in "iuf"]
    names = [_codes(name, x) for name, x in columns if x.dtype.kind not in "iuf"]
    at = np.stack([*numbers, *names], axis=1).astype(np.float32, order="C")
    return Space(at, len(numbers), 1 / len(columns))


def _columns(features: Any) -> list[tuple[str, NDArray[Any]]]:
    """Name and values of every feature."""
    if isinstance(features, pl.DataFrame):
        named = [(name, features[name].to_numpy()) for name in features.columns]
    elif isinstance(features, Mapping):
        named = [(name, np.asarray(values)) for name, values in features.items()]
    else:
        array = np.asarray(features)
        table = array[:, None] if array.ndim == 1 else array
        named = [(f"features[:, {i}]", table[:, i]) for i in range(table.shape[1])]
    return [(name, _dates_as_numbers(values)) for name, values in named]


def _dates_as_numbers(values: NDArray[Any]) -> NDArray[Any]:
    """Dates and durations as numbers, missing ones as nan; all else as it is."""
    if values.dtype.kind not in "mM":
        return values
    return np.where(np.isnat(values), np.nan, values.astype(np.int64))


def _number(name: str, values: NDArray[Any]) -> NDArray[np.float64]:
    """A feature in standard deviations; zeros if all are alike."""
    numbers = values.astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(numbers))
    require(
        bad.size == 0,
        NetworkError,
        f"{name}: {bad.size} values are missing or not finite, first in row {bad[:1].tolist()}",
    )
    spread = numbers.std() if numbers.size else 0.0
    # About their mean, so that 32-bit coordinates are exact enough far from 0 (dates in ns).
    return (numbers - numbers.mean()) / spread if spread > 0 else np.zeros(numbers.size)


def _codes(name: str, values: NDArray[Any]) -> NDArray[np.float64]:
    """A category as its number in the order of their texts."""
    items = values.tolist()
    missing = [i for i, value in enumerate(items) if value is None]
    require(
        not missing,
        NetworkError,
        f"{name}: {len(missing)} values are missing, first in row {missing[:1]}",
    )
    codes = pl.Series([str(item) for item in items]).rank("dense").to_numpy()
    require(
        codes.size == 0 or int(codes.max()) < _MOST_CATEGORIES,
        NetworkError,
        f"{name} has {codes.max(initial=0)} categories, expected fewer than {_MOST_CATEGORIES}",
    )
    return codes.astype(np.float64)
