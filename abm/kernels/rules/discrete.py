"""Discrete opinions: copying, unanimous panels, local majorities."""

from __future__ import annotations

from typing import Any, NamedTuple

from abm.kernels.rule import on_arrays
from abm.kernels.rules.ranges import SHARE, WHOLE, within

__all__ = ["Galam", "QVoter", "galam", "majority", "q_voter", "q_voter_ties", "sznajd", "voter"]


@on_arrays()
def voter(own: Any, other: Any, p: Any) -> Any:  # noqa: ARG001
    """Copy the partner. For `run_pairwise`: node update, which conserves sum of degree x state.

    References
    ----------
    Clifford & Sudbury (1973), Biometrika 60, 581-588; Holley & Liggett (1975), Annals of
    Probability 3, 643-663.

    Examples
    --------
    >>> voter(0, 1, ())
    (1, 1)
    """
    return other, other


@within(q=WHOLE, independence=SHARE)
class QVoter(NamedTuple):
    """Parameters of `q_voter` and `q_voter_ties`.

    Attributes
    ----------
    q
        Size of the panel, >= 1.
    independence
        Probability of taking either state with equal chance, in [0, 1].
    """

    q: int
    independence: float


def q_voter(i: int, state: Any, p: QVoter, rng: Any) -> None:
    """Follow a panel of q others if they are unanimous, or be independent. For `run_rows`.

    `state` holds one column of -1 and +1; everybody may sit on the panel of everybody else, and
    more than once, as in the original model.

    References
    ----------
    Castellano, Munoz & Pastor-Satorras (2009), Physical Review E 80, 041129; independence as in
    Nyczka, Sznajd-Weron & Cislo (2012), Physical Review E 86, 011105, with flexibility 1/2. With
    q = 1 it is the noisy voter model of Kirman (1993), Quarterly Journal of Economics 108, 137-156.

    Examples
    --------
    >>> import numpy as np
    >>> from abm.kernels import run_rows
    >>> s = np.ones(50, dtype=np.int8)
    >>> _ = run_rows(q_voter, (s,), QVoter(2, 0.0), rounds=5, schedule="asynchronous",
    ...              rng=np.random.default_rng(1))
    >>> int(s.sum())
    50
    """
    s = state[0]
    n = len(s)
    if rng.random() < p.independence:
        s[i] = 1 if rng.random() < 0.5 else -1
        return
    total = 0
    for _ in range(p.q):
        j = rng.integer(n - 1)
        seen = s[j + 1 if j >= i else j]
        if seen != 1 and seen != -1:
            raise ValueError("states of q_voter are -1 and +1")
        total += seen
    if abs(total) == p.q:
        s[i] = 1 if total > 0 else -1


def q_voter_ties(own: int, others: Any, p: QVoter, rng: Any) -> int:
    """The same with a panel of neighbours, drawn with repetition. For `run_neighbours`.

    Examples
    --------
    >>> from abm.kernels import Chance
    >>> import numpy as np
    >>> rng = Chance(np.array([1, 2], dtype=np.uint64))
    >>> q_voter_ties(-1, np.array([1, 1]), QVoter(3, 0.0), rng)
    1
    """
    if rng.random() < p.independence:
        return 1 if rng.random() < 0.5 else -1
    if len(others) == 0:
        return own
    total = 0
    for _ in range(p.q):
        seen = others[rng.integer(len(others))]
        if seen != 1 and seen != -1:
            raise ValueError("states of q_voter_ties are -1 and +1")
        total += seen
    if abs(total) == p.q:
        return 1 if total > 0 else -1
    return own


def majority(own: Any, others: Any, p: Any) -> Any:  # noqa: ARG001
    """Take the state, 0 or 1, of most neighbours; if they are split evenly, stay.

    For `run_neighbours`. With ties in both directions and the schedule `synchronous`, everybody
    comes to rest or goes to and fro between two states; one after another, all come to rest.

    References
    ----------
    Goles & Olivos (1981), Discrete Applied Mathematics 3, 93-105.

    Examples
    --------
    >>> majority(0, [1, 1, 0], ()), majority(0, [1, 0], ())
    (1, 0)
    """
    ones = 0
    for value in others:
        if value != 0 and value != 1:
            raise ValueError("states of majority are 0 and 1")
        ones += value
    if 2 * ones == len(others):
        return own
    return 1 if 2 * ones > len(others) else 0


@within(size=WHOLE, tie=(-1, 1))
class Galam(NamedTuple):
    """Parameters of `galam`.

    Attributes
    ----------
    size
        People per group, >= 1.
    tie
        State that a group takes when it is split evenly: 0 or 1; -1 leaves it as it is.
    """

    size: int
    tie: int


def galam(state: Any, p: Galam, rng: Any) -> None:
    """Meet in groups drawn at random; each takes its majority. For `run_population`.

    `state` holds the opinions, 0 or 1, and a column of the row numbers, which is shuffled. The
    people left over when the groups are filled keep their opinions.

    References
    ----------
    Galam (2002), European Physical Journal B 25, 403-406.

    Examples
    --------
    >>> import numpy as np
    >>> from abm.kernels import run_population
    >>> x = np.array([1, 1, 0])
    >>> _ = run_population(galam, (x, np.arange(3)), Galam(3, -1), rounds=1,
    ...                    rng=np.random.default_rng(1))
    >>> x.tolist()
    [1, 1, 1]
    """
    x, order = state[0], state[1]
    for k in range(len(order) - 1, 0, -1):
        j = rng.integer(k + 1)
        order[k], order[j] = order[j], order[k]
    for first in range(0, len(order) - p.size + 1, p.size):
        ones = 0
        for k in range(first, first + p.size):
            if x[order[k]] != 0 and x[order[k]] != 1:
                raise ValueError("states of galam are 0 and 1")
            ones += x[order[k]]
        winner = 1 if 2 * ones > p.size else 0 if 2 * ones < p.size else p.tie
        if winner >= 0:
            for k in range(first, first + p.size):
                x[order[k]] = winner


def sznajd(i: int, state: Any, p: Any, rng: Any) -> None:  # noqa: ARG001
    """Two neighbours who agree convince all who are tied to either. For `run_rows`.

    `state` holds the opinions and the ties: (opinions, starts, stops, indices) of an undirected
    network. On a ring the pair convinces the one on its left and the one on its right.

    References
    ----------
    Sznajd-Weron & Sznajd (2000), International Journal of Modern Physics C 11, 1157-1165, first
    rule; on networks Stauffer, Sousa & de Oliveira (2000), ibid. 11, 1239-1245.

    Examples
    --------
    >>> import numpy as np
    >>> from abm.kernels import run_rows
    >>> from abm.networks import Network
    >>> net = Network.from_edges([(0, 1), (1, 2), (2, 3), (3, 0)])
    >>> x = np.array([1, 1, 1, 0])
    >>> _ = run_rows(sznajd, (x, net.starts, net.stops, net.indices), rounds=20,
    ...              schedule="asynchronous", rng=np.random.default_rng(1))
    >>> x.tolist()
    [1, 1, 1, 1]
    """
    x, starts, stops, indices = state[0], state[1], state[2], state[3]
    degree = stops[i] - starts[i]
    if degree == 0:
        return
    j = indices[starts[i] + rng.integer(degree)]
    if x[i] == x[j]:
        for k in range(starts[i], stops[i]):
            x[indices[k]] = x[i]
        for k in range(starts[j], stops[j]):
            x[indices[k]] = x[i]
