"""Several kinds of ties among the same people: one network per layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import ArrayLike

from abm.errors import NetworkError, require
from abm.networks.dynamic import DynamicNetwork
from abm.networks.network import Network

__all__ = ["Layers"]


class Layers(Mapping[str, Network | DynamicNetwork]):
    """Named networks on the same nodes, such as family, work and media.

    A layer whose ties change is a `DynamicNetwork`; what reads the layers reads it as it is then.

    Parameters
    ----------
    **layers
        Name -> network, all with the same number of nodes.

    Examples
    --------
    >>> family = Network.from_edges([(0, 1)], 3)
    >>> work = Network.from_edges([(1, 2), (0, 1)], 3)
    >>> layers = Layers(family=family, work=work)
    >>> layers["work"].n_edges, layers.union().edges().tolist()
    (2, [[0, 1], [1, 2]])
    """

    def __init__(self, **layers: Network | DynamicNetwork) -> None:
        sizes = {name: network.n for name, network in layers.items()}
        require(
            len(set(sizes.values())) == 1,
            NetworkError,
            f"layers have {sizes} nodes, expected one or more layers on the same nodes"
            if sizes
            else "layers is empty, expected at least one network",
        )
        self._layers = dict(layers)

    @property
    def n(self) -> int:
        """Number of nodes."""
        return next(iter(self._layers.values())).n

    def __getitem__(self, name: str) -> Network | DynamicNetwork:
        require(
            name in self._layers,
            NetworkError,
            f"no layer {name!r}; there are {list(self._layers)}",
        )
        return self._layers[name]

    def __contains__(self, name: object) -> bool:
        return name in self._layers

    def __iter__(self) -> Iterator[str]:
        return iter(self._layers)

    def __len__(self) -> int:
        return len(self._layers)

    def __repr__(self) -> str:
        return f"Layers({', '.join(f'{name}={net!r}' for name, net in self._layers.items())})"

    def union(self, **weights: float) -> Network:
        """All layers in one network; directed if any layer is.

        Parameters
        ----------
        **weights
            Factor per layer, 1 where not given. With factors, or where a layer has weights, the
            weights of a tie add up over the layers; otherwise the result is unweighted.
        """
        unknown = sorted(set(weights) - set(self._layers))
        require(not unknown, NetworkError, f"no layers {unknown}; there are {list(self._layers)}")
        directed = any(network.directed for network in self._layers.values())
        weighted = bool(weights) or any(net.weights is not None for net in self._layers.values())
        pairs, values = [], []
        for name, network in self._layers.items():
            frozen = _now(network)
            ends, mass = frozen.edges(), frozen.edge_weights() * weights.get(name, 1.0)
            if directed and not network.directed:
                ends, mass = np.concatenate([ends, ends[:, ::-1]]), np.tile(mass, 2)
            pairs.append(ends)
            values.append(mass)
        return Network.from_edges(
            np.concatenate(pairs),
            self.n,
            weights=np.concatenate(values) if weighted else None,
            directed=directed,
            duplicates="merge",
        )

    def subgraph(self, nodes: ArrayLike) -> Layers:
        """Every layer's ties among `nodes`; see `Network.subgraph`."""
        return Layers(**{name: _now(net).subgraph(nodes) for name, net in self._layers.items()})


def _now(network: Network | DynamicNetwork) -> Network:
    """A layer as it is now."""
    return network.freeze() if isinstance(network, DynamicNetwork) else network
