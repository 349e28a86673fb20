"""Ties as drivers take them: four flat arrays, checked against the columns."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from abm.errors import NetworkError, require

__all__ = ["Ties", "TiesLayout", "checked_ties", "kind_of_ties", "layout", "watch_ties"]

TiesLayout = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32], NDArray[np.float64]]
_NOBODY = np.empty(0, dtype=np.int64)


class Ties(Protocol):
    """A network as drivers see it: row i of `indices` lies between `starts[i]` and `stops[i]`."""

    @property
    def n(self) -> int: ...
    @property
    def starts(self) -> NDArray[np.int64]: ...
    @property
    def stops(self) -> NDArray[np.int64]: ...
    @property
    def indices(self) -> NDArray[np.int32]: ...
    @property
    def weights(self) -> NDArray[np.float64] | None: ...


def checked_ties(network: Ties, n: int, *, drawn: bool = True) -> Ties:
    """The network, if it fits n rows.

    Parameters
    ----------
    drawn
        Whether partners are drawn by weight, which then must be >= 0.

    Raises
    ------
    NetworkError
        Another number of nodes than rows, or a negative weight; names both.
    """
    require(
        all(hasattr(network, name) for name in ("starts", "stops", "indices")),
        NetworkError,
        f"network of type {type(network).__name__}, expected a Network or a DynamicNetwork; of "
        "Layers take one layer, or union()",
        argument="network",
    )
    require(
        network.n == n,
        NetworkError,
        f"the network has {network.n} nodes, expected {n} as the state",
    )
    weights = network.weights
    require(
        not drawn or weights is None or bool((weights >= 0).all()),
        NetworkError,
        "weights: partners are drawn by weight, expected weights >= 0",
    )
    return network


def kind_of_ties(network: Ties | None) -> str:
    """`all` for everybody, `ties` for unweighted, `weights` for weighted ties."""
    if network is None:
        return "all"
    return "ties" if network.weights is None else "weights"


def layout(network: Ties | None, *, mass: bool = True) -> TiesLayout:
    """First and last entries, partners, and weights (added up if `mass`) of every row."""
    if network is None:
        return _NOBODY, _NOBODY, np.empty(0, dtype=np.int32), np.empty(0)
    weights: Any = network.weights
    weights = np.empty(0) if weights is None else np.cumsum(weights) if mass else weights
    return network.starts, network.stops, network.indices, weights


def watch_ties(cohort: Any) -> None:
    """Have ties that change bring the cohort of a population up to now before every change."""
    catch_up: Any = getattr(cohort, "catch_up", None)
    network: Any = getattr(cohort, "network", None)
    if catch_up is not None and hasattr(network, "watch"):
        network.watch(catch_up)
