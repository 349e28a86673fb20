"""Two opinions, -1 and +1: imitation of one (voter) or of an agreeing panel (q-voter).

Voter model: Clifford & Sudbury (1973), Biometrika 60; Holley & Liggett (1975), Annals of
Probability 3. q-voter with independence: Nyczka, Sznajd-Weron & Cislo (2012), Physical Review E 86.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import solve_banded

from abm.errors import ScenarioError, require

__all__ = [
    "q_voter",
    "q_voter_critical",
    "q_voter_magnetisation",
    "voter",
    "voter_consensus_time",
]

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]


def voter(
    states: ArrayLike,
    indptr: ArrayLike,
    indices: ArrayLike,
    *,
    n_updates: int,
    update: str = "node",
    rng: np.random.Generator,
) -> Floats:
    """Copy a neighbour, one agent after another.

    Parameters
    ----------
    states
        Shape (n,), each -1 or +1; not modified.
    indptr, indices
        Network in CSR form, both directions of each tie stored.
    n_updates
        Number of updates; n of them are one sweep.
    update
        `node`: a random agent copies a random neighbour, which conserves the degree-weighted mean
        on average; `link`: one end of a random tie copies the other, which conserves the plain
        mean.

    Returns
    -------
    States afterwards, shape (n,).

    References
    ----------
    Suchecki, Eguiluz & San Miguel (2005), Europhysics Letters 69, on node and link update.

    Examples
    --------
    >>> voter([1, 1], [0, 1, 2], [1, 0], n_updates=5, rng=np.random.default_rng(1)).tolist()
    [1.0, 1.0]
    """
    from abm.models.opinion_network.kernel import copy_encounters

    require(
        update in ("node", "link"),
        ScenarioError,
        f"update = {update!r}, expected 'node' or 'link'",
    )
    s = np.array(states, dtype=np.float64)
    starts, ends = np.asarray(indptr, dtype=np.int64), np.asarray(indices, dtype=np.int64)
    if update == "node":
        readers = rng.integers(0, s.size, n_updates)
        degrees = np.diff(starts)[readers]
        slots = starts[readers] + (rng.random(n_updates) * degrees).astype(np.int64)
    else:
        slots = rng.integers(0, ends.size, n_updates)
        readers = np.searchsorted(starts, slots, side="right") - 1
    copy_encounters(s, readers, ends[slots])
    return s


def voter_consensus_time(n: int, n_plus: int) -> float:
    """Exact mean time to consensus on the complete graph, in sweeps.

    The number k of +1 is a birth-death chain that moves up and down with equal probability
    k (n - k) / (n (n - 1)) per update; the mean time solves a tridiagonal system.

    Parameters
    ----------
    n
        Number of agents, >= 2.
    n_plus
        Number that start at +1, between 0 and n.

    Examples
    --------
    >>> round(voter_consensus_time(100, 50), 3)
    68.129
    """
    require(
        n >= 2 and 0 <= n_plus <= n,
        ScenarioError,
        f"n = {n}, n_plus = {n_plus}: expected n >= 2 and 0 <= n_plus <= n",
    )
    if n_plus in (0, n):
        return 0.0
    k = np.arange(1, n)
    move = k * (n - k) / (n * (n - 1.0))
    bands = np.zeros((3, n - 1))
    bands[0, 1:], bands[1], bands[2, :-1] = -move[:-1], 2.0 * move, -move[1:]
    updates = solve_banded((1, 1), bands, np.ones(n - 1))
    return float(updates[n_plus - 1] / n)


def q_voter(
    states: ArrayLike,
    *,
    q: int,
    independence: float,
    n_updates: int,
    rng: np.random.Generator,
) -> Floats:
    """Follow a unanimous panel of q others, or act independently, on the complete graph.

    With probability `independence` the agent takes either state with equal chance. Otherwise it
    draws q distinct others and takes their state if they all agree.

    Parameters
    ----------
    states
        Shape (n,), each -1 or +1, n > q; not modified.
    q
        Size of the panel, >= 1.
    independence
        Probability p of acting independently, in [0, 1].
    n_updates
        Number of updates; n of them are one sweep.

    References
    ----------
    Nyczka, Sznajd-Weron & Cislo (2012), Physical Review E 86, 011105, with flexibility 1/2.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> q_voter([1, 1, 1], q=2, independence=0.0, n_updates=9, rng=rng).tolist()
    [1.0, 1.0, 1.0]
    """
    from abm.models.opinion_network.kernel import panel_encounters

    s = np.array(states, dtype=np.float64)
    require(
        1 <= q < s.size and 0 <= independence <= 1,
        ScenarioError,
        f"q = {q}, independence = {independence}, n = {s.size}: expected 1 <= q < n and "
        "0 <= independence <= 1",
    )
    batch = max(1, (1 << 20) // (q + 2))
    for start in range(0, n_updates, batch):
        size = min(batch, n_updates - start)
        panel_encounters(s, rng.integers(0, s.size, size), rng.random((size, q + 2)), independence)
    return s


def q_voter_critical(q: int) -> float:
    """Independence above which the ordered phase is gone: (q - 1) / (q - 1 + 2^(q - 1)).

    References
    ----------
    Nyczka et al. (2012); for q = 2 also the zero of `q_voter_magnetisation`.

    Examples
    --------
    >>> q_voter_critical(2), q_voter_critical(3)
    (0.3333333333333333, 0.3333333333333333)
    """
    return (q - 1.0) / float(q - 1.0 + 2.0 ** (q - 1.0))


def q_voter_magnetisation(independence: float) -> float:
    """|mean state| of the ordered phase for q = 2: m^2 = (1 - 3 p) / (1 - p), 0 beyond p = 1/3.

    Examples
    --------
    >>> round(q_voter_magnetisation(0.1), 4)
    0.8819
    """
    return math.sqrt(max(0.0, (1.0 - 3.0 * independence) / (1.0 - independence)))
