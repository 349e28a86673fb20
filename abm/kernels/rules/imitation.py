"""Evolutionary games: strategies spread by imitation of those who earn more, or by birth and death.

All are for `run_rows` on a state made by `players`: everybody plays everybody else, or those it is
tied to, and earns the mean payoff of these games. The schedule `asynchronous` gives the processes
of the literature: one after another, drawn anew each time.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from abm.errors import EngineError, require
from abm.kernels.rules.ranges import AT_LEAST_0, within
from abm.networks import Network

__all__ = [
    "Fermi",
    "Game",
    "Moran",
    "death_birth",
    "earnings",
    "fermi",
    "moran",
    "players",
    "proportional_imitation",
]


class Game(NamedTuple):
    """State of the rules for games; `players` makes it.

    Attributes
    ----------
    strategy : integer array, shape (n,)
        Who plays what, from 0. Changed in place by the rules, and by nobody else: `number` would
        be wrong.
    payoff : float64 array, shape (n_strategies, n_strategies)
        `payoff[a, b]` is what a earns against b.
    number : int64 array, shape (n_strategies,)
        How many play each strategy.
    spread : float64 array, shape (1,)
        Difference of the highest and the lowest payoff.
    start, whom : integer arrays
        Agent i plays `whom[start[i]:start[i + 1]]`; both are empty if everybody plays everybody.
    fitness : float64 array
        Room for the fitness of those who compete for a place.
    """

    strategy: NDArray[Any]
    payoff: NDArray[np.float64]
    number: NDArray[np.int64]
    spread: NDArray[np.float64]
    start: NDArray[Any]
    whom: NDArray[Any]
    fitness: NDArray[np.float64]


def players(strategy: NDArray[Any], payoff: ArrayLike, network: Network | None = None) -> Game:
    """The state that the rules for games work on.

    Parameters
    ----------
    strategy
        What everybody plays, a column of integers from 0 to n_strategies - 1, shape (n,), n >= 2;
        changed in place.
    payoff
        What row earns against column, shape (n_strategies, n_strategies).
    network
        Whom everybody plays with and looks at; everybody else if `None`.

    Raises
    ------
    EngineError
        A payoff that is no finite square matrix, a strategy without payoffs, fewer than two
        players, or a network of another size.

    Examples
    --------
    >>> hawks_and_doves = [[-1.0, 2.0], [0.0, 1.0]]
    >>> game = players(np.array([0, 0, 0, 1]), hawks_and_doves)
    >>> game.number.tolist(), earnings(game).round(2).tolist()
    ([3, 1], [0.0, 0.0, 0.0, 0.0])
    """
    matrix = np.array(payoff, dtype=np.float64)
    require(
        matrix.ndim == 2 and matrix.shape[0] == matrix.shape[1] and matrix.shape[0] >= 1,
        EngineError,
        f"payoff has shape {matrix.shape}, expected a square matrix: rows earn against columns",
        argument="payoff",
    )
    bad = np.argwhere(~np.isfinite(matrix))
    require(
        bad.size == 0,
        EngineError,
        f"payoff[{', '.join(map(str, bad[0]))}] = {matrix[tuple(bad[0])]}, expected finite numbers"
        if bad.size
        else "",
        argument="payoff",
    )
    _check_strategies(strategy, len(matrix), network)
    most = 0 if network is None else int(network.degree.max(initial=0))
    return Game(
        strategy,
        matrix,
        np.bincount(strategy, minlength=len(matrix)).astype(np.int64),
        np.array([np.ptp(matrix)]),
        np.zeros(0, dtype=np.int64) if network is None else network.indptr,
        np.zeros(0, dtype=np.int32) if network is None else network.indices,
        np.zeros(max(most, len(matrix))),
    )


def _check_strategies(strategy: Any, n_strategies: int, network: Network | None) -> None:
    require(
        isinstance(strategy, np.ndarray)
        and strategy.ndim == 1
        and strategy.dtype.kind in "iu"
        and strategy.size >= 2,
        EngineError,
        f"strategy = {strategy!r}, expected a NumPy column of integers, two players at least",
        argument="strategy",
    )
    wrong = np.flatnonzero((strategy < 0) | (strategy >= n_strategies))
    require(
        wrong.size == 0,
        EngineError,
        f"strategy[{wrong[0]}] = {strategy[wrong[0]]}, expected 0 to {n_strategies - 1}: payoff "
        f"has {n_strategies} rows"
        if wrong.size
        else "",
        argument="strategy",
    )
    require(
        network is None or (isinstance(network, Network) and network.n == strategy.size),
        EngineError,
        f"network of type {type(network).__name__} with {getattr(network, 'n', '?')} nodes, "
        f"expected a Network of {strategy.size}, one per player; freeze() gives one of ties that "
        "change",
        argument="network",
    )


def earnings(game: Game) -> NDArray[np.float64]:
    """What everybody earns per game at the moment, shape (n,); 0 without co-players.

    Examples
    --------
    >>> game = players(np.array([0, 1]), [[3.0, 0.0], [5.0, 1.0]])
    >>> earnings(game).tolist()
    [0.0, 5.0]
    """
    n, k = len(game.strategy), len(game.number)
    if len(game.start) == 0:
        others = game.number - np.eye(k)
        means = (game.payoff * others).sum(axis=1) / (n - 1)
        return np.asarray(means[game.strategy], dtype=np.float64)
    degree = np.diff(game.start)
    rows = np.repeat(np.arange(n), degree)
    each = game.payoff[game.strategy[rows], game.strategy[game.whom]]
    totals = np.bincount(rows, weights=each, minlength=n)
    return totals / np.maximum(degree, 1)


@within(intensity=AT_LEAST_0)
class Fermi(NamedTuple):
    """Parameters of `fermi`.

    Attributes
    ----------
    intensity
        Intensity of selection w per unit of payoff, >= 0 (1 / K of Szabo & Toke); 0 copies half of
        those who are met, infinity whoever earns more.
    """

    intensity: float


def fermi(i: int, game: Any, p: Fermi, rng: Any) -> None:
    """Pairwise comparison: copy somebody with probability 1 / (1 + exp(-w (theirs - own))).

    For `run_rows` on a state made by `players`. If everybody plays everybody, one player of the
    first of two strategies takes over n with probability 1 / (1 + sum over k = 1..n-1 of the
    product over j = 1..k of exp(-w d_j)), d_j the difference of the payoffs of the two when j play
    the first.

    References
    ----------
    Szabo & Toke (1998), Physical Review E 58, 69-73; Traulsen, Nowak & Pacheco (2006), Physical
    Review E 74, 011909.

    Examples
    --------
    Defectors earn more than cooperators wherever both are met.

    >>> from abm.kernels import run_rows
    >>> game = players(np.array([0] * 50 + [1] * 50), [[3.0, 0.0], [5.0, 1.0]])
    >>> _ = run_rows(fermi, game, Fermi(intensity=10.0), rounds=20, schedule="asynchronous",
    ...              rng=np.random.default_rng(1))
    >>> game.number.tolist()
    [0, 100]
    """
    strategy, payoff, number, _, start, whom, _ = game
    if len(start) == 0:  # somebody else, and what the two earn against all others
        j = rng.integer(len(strategy) - 1)
        j = j + 1 if j >= i else j
        own, other = strategy[i], strategy[j]
        gap = payoff[own, own] - payoff[other, other]
        for s in range(len(number)):
            gap += number[s] * (payoff[other, s] - payoff[own, s])
        gap /= len(strategy) - 1
    elif start[i + 1] > start[i]:
        j = whom[start[i] + rng.integer(start[i + 1] - start[i])]
        own, other, mine, theirs = strategy[i], strategy[j], 0.0, 0.0
        for place in range(start[i], start[i + 1]):
            mine += payoff[own, strategy[whom[place]]]
        for place in range(start[j], start[j + 1]):
            theirs += payoff[other, strategy[whom[place]]]
        gap = theirs / max(start[j + 1] - start[j], 1) - mine / (start[i + 1] - start[i])
    else:
        return
    push = p.intensity * gap if gap != 0.0 else 0.0
    if own != other and rng.random() * (1.0 + math.exp(min(max(-push, -700.0), 700.0))) < 1.0:
        strategy[i] = other
        number[own] -= 1
        number[other] += 1


def proportional_imitation(i: int, game: Any, p: Any, rng: Any) -> None:  # noqa: ARG001
    """Copy somebody who earns more, with probability (theirs - own) / (highest - lowest payoff).

    For `run_rows` on a state made by `players`. In a large crowd the share x_s of each strategy
    follows the replicator equation dx_s / dt = x_s (f_s - mean f) / (highest - lowest payoff), f
    the payoffs, time in rounds.

    References
    ----------
    Helbing (1992), Physica A 181, 29-52; Schlag (1998), Journal of Economic Theory 78, 130-156.

    Examples
    --------
    >>> from abm.kernels import run_rows
    >>> game = players(np.array([0] * 500 + [1] * 500), [[-1.0, 2.0], [0.0, 1.0]])
    >>> _ = run_rows(proportional_imitation, game, rounds=60, schedule="asynchronous",
    ...              rng=np.random.default_rng(1))
    >>> bool(450 < game.number[0] < 550)  # half of them hawks
    True
    """
    strategy, payoff, number, spread, start, whom, _ = game
    if len(start) == 0:
        j = rng.integer(len(strategy) - 1)
        j = j + 1 if j >= i else j
        own, other = strategy[i], strategy[j]
        gap = payoff[own, own] - payoff[other, other]
        for s in range(len(number)):
            gap += number[s] * (payoff[other, s] - payoff[own, s])
        gap /= len(strategy) - 1
    elif start[i + 1] > start[i]:
        j = whom[start[i] + rng.integer(start[i + 1] - start[i])]
        own, other, mine, theirs = strategy[i], strategy[j], 0.0, 0.0
        for place in range(start[i], start[i + 1]):
            mine += payoff[own, strategy[whom[place]]]
        for place in range(start[j], start[j + 1]):
            theirs += payoff[other, strategy[whom[place]]]
        gap = theirs / max(start[j + 1] - start[j], 1) - mine / (start[i + 1] - start[i])
    else:
        return
    if own != other and rng.random() * spread[0] < gap:
        strategy[i] = other
        number[own] -= 1
        number[other] += 1


@within(intensity=AT_LEAST_0)
class Moran(NamedTuple):
    """Parameters of `moran` and `death_birth`.

    Attributes
    ----------
    intensity
        Intensity of selection w per unit of payoff, >= 0: fitness is exp(w payoff).
    """

    intensity: float


def moran(i: int, game: Any, p: Moran, rng: Any) -> None:
    """Agent i dies, and a child of somebody drawn in proportion to fitness takes its place.

    For `run_rows` on a state made by `players` without ties. The parent may be any of the n before
    the death, i too. One player of constant relative fitness r takes over with probability
    (1 - 1/r) / (1 - 1/r**n).

    References
    ----------
    Nowak, Sasaki, Taylor & Fudenberg (2004), Nature 428, 646-650; fitness exp(w payoff) as in
    Traulsen, Shoresh & Nowak (2008), Bulletin of Mathematical Biology 70, 1410-1424.

    Examples
    --------
    >>> from abm.kernels import run_rows
    >>> game = players(np.array([0] * 10 + [1] * 10), [[0.0, 0.0], [1.0, 1.0]])
    >>> _ = run_rows(moran, game, Moran(intensity=5.0), rounds=20, schedule="asynchronous",
    ...              rng=np.random.default_rng(1))
    >>> game.number.tolist()
    [0, 20]
    """
    strategy, payoff, number, _, start, _, fitness = game
    if len(start) > 0:
        raise ValueError("moran is for players without ties; death_birth is for those with ties")
    best = -math.inf
    for s in range(len(number)):
        total = -payoff[s, s]
        for other in range(len(number)):
            total += number[other] * payoff[s, other]
        fitness[s] = total / (len(strategy) - 1)
        best = max(best, fitness[s]) if number[s] > 0 else best
    total = 0.0
    for s in range(len(number)):  # relative to the best, so that nothing overflows
        less = best - fitness[s]
        fitness[s] = math.exp(-min(p.intensity * less, 700.0)) if less > 0.0 else 1.0
        total += number[s] * fitness[s]
    left, child = rng.random() * total, -1
    for s in range(len(number)):
        if number[s] > 0 and left >= 0.0:
            child = s
            left -= number[s] * fitness[s]
    number[strategy[i]] -= 1
    number[child] += 1
    strategy[i] = child


def death_birth(i: int, game: Any, p: Moran, rng: Any) -> None:
    """Agent i dies, and its neighbours compete for the place in proportion to fitness.

    For `run_rows` on a state made by `players` with ties. Without a neighbour its own child
    follows.

    References
    ----------
    Ohtsuki, Hauert, Lieberman & Nowak (2006), Nature 441, 502-505; fitness exp(w payoff) as in
    `moran`.

    Examples
    --------
    >>> from abm.kernels import run_rows
    >>> ring = Network.from_edges([(k, (k + 1) % 20) for k in range(20)])
    >>> game = players(np.array([0] * 10 + [1] * 10), [[0.0, 0.0], [1.0, 1.0]], ring)
    >>> _ = run_rows(death_birth, game, Moran(intensity=5.0), rounds=100, schedule="asynchronous",
    ...              rng=np.random.default_rng(1))
    >>> game.number.tolist()
    [0, 20]
    """
    strategy, payoff, number, _, start, whom, fitness = game
    if len(start) == 0:
        raise ValueError("death_birth is for players with ties; moran is for those without")
    first, degree, best = start[i], start[i + 1] - start[i], -math.inf
    for k in range(degree):
        j = whom[first + k]
        earned = 0.0
        for place in range(start[j], start[j + 1]):
            earned += payoff[strategy[j], strategy[whom[place]]]
        fitness[k] = earned / max(start[j + 1] - start[j], 1)
        best = max(best, fitness[k])
    total = 0.0
    for k in range(degree):
        less = best - fitness[k]
        fitness[k] = math.exp(-min(p.intensity * less, 700.0)) if less > 0.0 else 1.0
        total += fitness[k]
    left, child = rng.random() * total, strategy[i]
    for k in range(degree):
        if left >= 0.0:
            child = strategy[whom[first + k]]
            left -= fitness[k]
    number[strategy[i]] -= 1
    number[child] += 1
    strategy[i] = child
