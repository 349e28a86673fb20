"""Averaging: people move to a weighted mean of what they see."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from abm.errors import EngineError, require
from abm.kernels.rules.ranges import AT_LEAST_0, SHARE, column_within, within

__all__ = ["Anchored", "DeGroot", "anchored", "degroot", "friedkin_johnsen"]


@within(self_weight=SHARE)
class DeGroot(NamedTuple):
    """Parameters of `degroot`.

    Attributes
    ----------
    self_weight
        Weight of the own opinion, in [0, 1].
    """

    self_weight: float


def degroot(own: float, others: Any, weights: Any, p: DeGroot) -> float:
    """The own opinion averaged with the weighted mean of the neighbours'. For `run_neighbours`.

    Without neighbours, or with weights that sum to 0, people stay as they are.

    References
    ----------
    DeGroot (1974), Journal of the American Statistical Association 69, 118-121.

    Examples
    --------
    >>> degroot(0.0, [1.0, 0.5], [1.0, 1.0], DeGroot(0.5))
    0.375
    """
    total, mass = 0.0, 0.0
    for k in range(len(others)):
        total += weights[k] * others[k]
        mass += weights[k]
    if mass == 0.0:
        return own
    return p.self_weight * own + (1.0 - p.self_weight) * (total / mass)


class Anchored(NamedTuple):
    """State of `friedkin_johnsen`; see `anchored`.

    Attributes
    ----------
    opinion, initial, susceptibility : float arrays, shape (n,)
    starts, stops, indices, weights
        The ties, row i listing whom i sees.
    own_weight : float array, shape (n,)
        Weight that people give themselves.
    fresh : float array, shape (n,)
        Room for the next opinions.
    """

    opinion: NDArray[np.float64]
    initial: NDArray[np.float64]
    susceptibility: NDArray[np.float64]
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    indices: NDArray[np.int32]
    weights: NDArray[np.float64]
    own_weight: NDArray[np.float64]
    fresh: NDArray[np.float64]


def anchored(
    opinion: NDArray[np.float64],
    network: Any,
    susceptibility: ArrayLike,
    *,
    own_weight: ArrayLike = 0.0,
) -> Anchored:
    """The state of `friedkin_johnsen`, whose column `opinion` is changed in place.

    Parameters
    ----------
    opinion
        Initial opinions, shape (n,), float64.
    network
        Row i lists whom i sees, with weights >= 0 or without.
    susceptibility
        Weight of the others, one number or shape (n,), in [0, 1]; 1 is DeGroot, 0 never moves.
    own_weight
        Weight that people give themselves, on the scale of the ties' weights.

    Raises
    ------
    EngineError
        A susceptibility outside [0, 1], a negative weight, or opinions of another type or length.
    """
    n = len(opinion)
    require(
        getattr(opinion, "dtype", None) == np.float64 and opinion.shape == (network.n,),
        EngineError,
        f"opinion of type {getattr(opinion, 'dtype', type(opinion).__name__)} and length {n}, "
        f"expected a float64 column of the {network.n} nodes of the network",
        argument="opinion",
    )
    given = column_within("susceptibility", susceptibility, SHARE, n)
    own = column_within("own_weight", own_weight, AT_LEAST_0, n)
    weights = np.ones(len(network.indices)) if network.weights is None else network.weights
    require(
        bool((weights >= 0).all()),
        EngineError,
        f"network has a tie of weight {weights.min(initial=0.0)}, expected weights >= 0",
        argument="network",
    )
    return Anchored(
        opinion, opinion.copy(), given, network.starts, network.stops, network.indices, weights,
        own, np.empty(n),
    )  # fmt: skip


def friedkin_johnsen(state: Any, p: Any) -> None:  # noqa: ARG001
    """Everybody averages what they see and is pulled back to where they started.

    For `run_population` on a state made by `anchored`: x' = A W x + (I - A) x(0), A the diagonal of
    susceptibilities and W the weights, each row divided by its sum.

    References
    ----------
    Friedkin & Johnsen (1990), Journal of Mathematical Sociology 15, 193-206.

    Examples
    --------
    >>> from abm.kernels import run_population
    >>> from abm.networks import Network
    >>> state = anchored(np.array([0.0, 1.0]), Network.from_edges([(0, 1)]), 0.5)
    >>> _ = run_population(friedkin_johnsen, state, rounds=1, rng=np.random.default_rng(1))
    >>> state.opinion.tolist()
    [0.5, 0.5]
    """
    n = len(state.opinion)
    for i in range(n):
        mass = state.own_weight[i]
        total = mass * state.opinion[i]
        for k in range(state.starts[i], state.stops[i]):
            total += state.weights[k] * state.opinion[state.indices[k]]
            mass += state.weights[k]
        heard = total / mass if mass > 0.0 else state.opinion[i]
        a = state.susceptibility[i]
        state.fresh[i] = a * heard + (1.0 - a) * state.initial[i]
    for i in range(n):
        state.opinion[i] = state.fresh[i]
