"""Networks: CSR arrays, generators, files, layers, and ties that change during a run."""

from abm.networks.convert import from_networkx, to_networkx
from abm.networks.dynamic import DynamicNetwork
from abm.networks.edge_lists import read_edge_list
from abm.networks.generators import (
    barabasi_albert,
    complete,
    configuration,
    erdos_renyi,
    random_regular,
    stochastic_block,
    watts_strogatz,
)
from abm.networks.homophily import homophilous
from abm.networks.layers import Layers
from abm.networks.network import Network
from abm.networks.spatial import lattice, proximity, random_geometric

__all__ = [
    "DynamicNetwork",
    "Layers",
    "Network",
    "barabasi_albert",
    "complete",
    "configuration",
    "erdos_renyi",
    "from_networkx",
    "homophilous",
    "lattice",
    "proximity",
    "random_geometric",
    "random_regular",
    "read_edge_list",
    "stochastic_block",
    "to_networkx",
    "watts_strogatz",
]
