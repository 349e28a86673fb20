"""Random networks: the classical ones. Every generator is a function of its arguments and `rng`.

Ties are drawn without replacement, so counts that a definition fixes are exact: no tie is lost to
a duplicate. Homophilous networks are in `abm.networks.homophily`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from abm.errors import NetworkError, require
from abm.networks.arrays import as_numbers, size_of, whole
from abm.networks.network import Network

__all__ = [
    "barabasi_albert",
    "complete",
    "configuration",
    "erdos_renyi",
    "random_regular",
    "stochastic_block",
    "watts_strogatz",
]


def complete(n: int) -> Network:
    """Everyone tied to everyone: n (n - 1) / 2 ties. For small n; memory grows as n squared.

    Examples
    --------
    >>> complete(4).n_edges
    6
    """
    size_of(n)
    rows = np.tile(np.arange(n - 1, dtype=np.int32), n).reshape(n, max(n - 1, 0))
    rows += rows >= np.arange(n, dtype=np.int32)[:, None]
    return Network._trusted(n, np.arange(n + 1, dtype=np.int64) * max(n - 1, 0), rows.ravel())


def erdos_renyi(n: int, p: float, *, directed: bool = False, rng: np.random.Generator) -> Network:
    """Each pair is tied with probability p, independently.

    Parameters
    ----------
    n
        Number of nodes.
    p
        Probability of a tie, in [0, 1]. For a mean degree k take p = k / (n - 1).

    References
    ----------
    Gilbert (1959), Annals of Mathematical Statistics 30; skipping as in Batagelj & Brandes (2005),
    Physical Review E 71, 036113: the gaps between ties are geometric.

    Examples
    --------
    >>> erdos_renyi(10, 1.0, rng=np.random.default_rng(1)).n_edges
    45
    """
    size_of(n)
    _check_probability("p", p)
    if directed:
        source, rest = np.divmod(_skips(n * (n - 1), p, rng), max(n - 1, 1))
        return _packed(n, source, rest + (rest >= source), directed=True)
    return _packed(n, *_unordered(_skips(n * (n - 1) // 2, p, rng)).T)


def watts_strogatz(n: int, k: int, p: float, *, rng: np.random.Generator) -> Network:
    """A ring where each node is tied to its k nearest, with a share p of the ties rewired.

    Lap by lap (the nearest neighbours first), each tie from i to i + d is, with probability p,
    given a new end drawn uniformly among the nodes that i is not tied to; a node that is tied to
    all keeps its tie. The number of ties is n k / 2 exactly.

    Parameters
    ----------
    k
        Ties of a node on the ring; even, 0 <= k < n.
    p
        Probability that a tie is rewired, in [0, 1].

    References
    ----------
    Watts & Strogatz (1998), Nature 393; the same process as in NetworkX.

    Examples
    --------
    >>> watts_strogatz(10, 4, 0.0, rng=np.random.default_rng(1)).neighbours(0).tolist()
    [1, 2, 8, 9]
    """
    size_of(n)
    _check_probability("p", p)
    whole("k", k)
    require(
        k % 2 == 0 and (0 <= k < n or k == n == 0),
        NetworkError,
        f"k = {k}, expected an even number with 0 <= k < n = {n}",
    )
    from abm.kernels.rewiring import small_world

    return Network._trusted(n, *small_world(n, k, p, rng))


def barabasi_albert(n: int, m: int, *, rng: np.random.Generator) -> Network:
    """Growth by preferential attachment: each new node ties itself to m nodes by their degree.

    Starts from a star of m + 1 nodes. The m partners are distinct; a partner is drawn with
    probability proportional to its degree, again if it was drawn before. m (n - m) ties exactly.

    Parameters
    ----------
    m
        Ties that a new node makes, 1 <= m < n.

    References
    ----------
    Barabasi & Albert (1999), Science 286.

    Examples
    --------
    >>> barabasi_albert(100, 3, rng=np.random.default_rng(1)).n_edges
    291
    """
    size_of(n)
    whole("m", m)
    require(1 <= m < n, NetworkError, f"m = {m}, expected 1 <= m < n = {n}")
    from abm.kernels.attachment import attach

    ends = attach(n, m, rng)
    return _packed(n, ends[::2], ends[1::2])


def stochastic_block(
    sizes: Sequence[int],
    probabilities: ArrayLike,
    *,
    directed: bool = False,
    rng: np.random.Generator,
) -> Network:
    """Groups; a tie between a member of group a and one of b has probability P[a, b].

    Parameters
    ----------
    sizes
        Members of each group; nodes are numbered group after group.
    probabilities
        Shape (n_groups, n_groups), in [0, 1]; symmetric unless directed.

    References
    ----------
    Holland, Laskey & Leinhardt (1983), Social Networks 5.

    Examples
    --------
    >>> stochastic_block([2, 3], [[1, 0], [0, 1]], rng=np.random.default_rng(1)).degree.tolist()
    [1, 1, 2, 2, 2]
    """
    chances = as_numbers("probabilities", probabilities)
    groups = len(sizes)
    require(
        chances.shape == (groups, groups),
        NetworkError,
        f"probabilities has shape {chances.shape}, expected ({groups}, {groups}) as sizes",
    )
    _check_probability("probabilities", chances)
    require(
        directed or bool((chances == chances.T).all()),
        NetworkError,
        "probabilities must be symmetric in an undirected network; pass directed=True",
    )
    for size in sizes:
        size_of(size)
    firsts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    parts = [np.empty((0, 2), dtype=np.int64)]
    for a in range(groups):
        for b in range(groups if directed else a + 1):
            pairs = _block(int(sizes[a]), int(sizes[b]), a == b, directed, chances[a, b], rng)
            parts.append(pairs + np.array([firsts[a], firsts[b]]))
    return _packed(int(firsts[-1]), *np.concatenate(parts).T, directed=directed)


def _block(
    rows: int, columns: int, same: bool, directed: bool, p: float, rng: np.random.Generator
) -> NDArray[np.int64]:
    if same and not directed:
        return _unordered(_skips(rows * (rows - 1) // 2, p, rng))
    if same:
        source, rest = np.divmod(_skips(rows * (rows - 1), p, rng), max(rows - 1, 1))
        return np.stack([source, rest + (rest >= source)], axis=1)
    return np.stack(np.divmod(_skips(rows * columns, p, rng), max(columns, 1)), axis=1)


def configuration(degrees: ArrayLike, *, rng: np.random.Generator) -> Network:
    """A simple network with exactly these degrees.

    Half-ties are joined at random; loops and repeated ties are then removed by exchanging ends with
    ties drawn at random, which keeps every degree. For sparse networks the result is close to
    uniform over the simple networks with these degrees.

    Parameters
    ----------
    degrees
        Shape (n,), with an even sum.

    Raises
    ------
    NetworkError
        The sum is odd, or no simple network with these degrees exists (Erdős & Gallai 1960).

    References
    ----------
    Bollobás (1980), European Journal of Combinatorics 1.

    Examples
    --------
    >>> configuration([3, 2, 2, 2, 1], rng=np.random.default_rng(1)).degree.tolist()
    [3, 2, 2, 2, 1]
    """
    wanted = _degrees(degrees)
    _check_degrees(wanted)
    from abm.networks.matching import match

    return _packed(wanted.size, *match(wanted, rng))


def random_regular(n: int, degree: int, *, rng: np.random.Generator) -> Network:
    """A network in which everyone has the same degree; see `configuration`.

    Examples
    --------
    >>> set(random_regular(20, 4, rng=np.random.default_rng(1)).degree.tolist())
    {4}
    """
    size_of(n)
    whole("degree", degree)
    require(
        0 <= degree < max(n, 1) and n * degree % 2 == 0,
        NetworkError,
        f"degree = {degree} of n = {n} nodes, expected 0 <= degree < n with n * degree even",
    )
    return configuration(np.full(n, degree), rng=rng)


# ---------------------------------------------------------------------- helpers


def _skips(n_pairs: int, p: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Ascending numbers in 0..n_pairs-1, each kept with probability p: geometric gaps."""
    if p <= 0 or n_pairs == 0:
        return np.empty(0, dtype=np.int64)
    parts, last = [], -1
    while last < n_pairs:
        expected = (n_pairs - last) * p
        gaps = rng.geometric(p, int(expected + 4 * np.sqrt(expected) + 16))
        # A gap may be as large as 2**63 - 1; beyond the last pair its size no longer matters.
        places = last + np.cumsum(np.minimum(gaps, n_pairs + 1))
        parts.append(places[places < n_pairs])
        last = int(places[-1])
    return np.concatenate(parts)


def _unordered(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Pair (i, j), i > j, of each number i (i - 1) / 2 + j."""
    i = ((1 + np.sqrt(1 + 8 * numbers.astype(np.float64))) / 2).astype(np.int64)
    # The square root is rounded: step back or on where it went past the row.
    i -= i * (i - 1) // 2 > numbers
    i += i * (i + 1) // 2 <= numbers
    return np.stack([i, numbers - i * (i - 1) // 2], axis=1)


def _packed(
    n: int, sources: NDArray[Any], targets: NDArray[Any], *, directed: bool = False
) -> Network:
    """A network from ties that are known to be distinct and no loops."""
    from abm.kernels.rows import pack

    return Network._trusted(n, *pack(n, sources, targets, both=not directed), directed=directed)


def _check_probability(name: str, p: float | NDArray[np.float64]) -> None:
    chances = as_numbers(name, p)
    good = bool(np.all((chances >= 0) & (chances <= 1)))
    require(good, NetworkError, f"{name} = {p}, expected 0 <= {name} <= 1")


def _degrees(degrees: ArrayLike) -> NDArray[np.int64]:
    """Degrees as whole numbers; 1.5 is refused rather than cut."""
    given = as_numbers("degrees", degrees)
    broken = np.flatnonzero(~np.isfinite(given) | (given != np.round(given)))
    require(
        broken.size == 0,
        NetworkError,
        f"degrees: {broken.size} are no whole numbers, first degrees[{broken[:1].tolist()}] = "
        f"{given.ravel()[broken[:1]].tolist()}",
        places=broken[:5].tolist(),
    )
    return given.astype(np.int64)


def _check_degrees(degrees: NDArray[np.int64]) -> None:
    n = degrees.size
    require(
        degrees.ndim == 1 and bool(((degrees >= 0) & (degrees < max(n, 1))).all()),
        NetworkError,
        f"degrees has shape {degrees.shape}, expected one number in 0..{n - 1} per node",
    )
    ordered = np.sort(degrees)[::-1]
    rank = np.arange(1, n + 1)
    # Erdős-Gallai: sum of the k largest <= k (k - 1) + sum over the rest of min(d, k).
    below = np.searchsorted(-ordered, -rank, side="right")
    cut = np.maximum(below, rank)
    total = np.concatenate([[0], np.cumsum(ordered)])
    rest = (cut - rank) * rank + total[n] - total[cut]
    feasible = int(degrees.sum()) % 2 == 0 and bool((total[1:] <= rank * (rank - 1) + rest).all())
    require(
        feasible,
        NetworkError,
        f"degrees with sum {int(degrees.sum())} and maximum {int(degrees.max(initial=0))} fit no "
        "simple network (the sum must be even, and large degrees need enough partners)",
    )
