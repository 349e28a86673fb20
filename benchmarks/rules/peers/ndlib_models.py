"""NDlib: its own Deffuant ("algorithmic bias", gamma 0), SIR and voter models on NetworkX."""

from __future__ import annotations

from importlib.metadata import version

import ndlib.models.epidemics as epidemics
import ndlib.models.ModelConfig as mc
import ndlib.models.opinions as opinions
import networkx as nx
from graphs import barabasi_albert, watts_strogatz
from measure import main

FACTS = {"version": version("ndlib")}


def graph(n, csr):
    indptr, indices = csr
    made = nx.Graph()
    made.add_nodes_from(range(n))
    for k in range(n):
        made.add_edges_from((k, j) for j in indices[indptr[k] : indptr[k + 1]].tolist() if j > k)
    return made


def deffuant_ws(n):
    """One iteration of NDlib's model is n pairwise interactions."""
    model = opinions.AlgorithmicBiasModel(graph(n, watts_strogatz(n, 10, 0.1, 1)), seed=1)
    config = mc.Configuration()
    config.add_model_parameter("epsilon", 0.2)
    config.add_model_parameter("gamma", 0)
    model.set_initial_status(config)
    model.iteration(node_status=False)

    def step(count):
        for _ in range(max(1, count // n)):
            model.iteration(node_status=False)
        return max(1, count // n) * n

    return step, "interactions", FACTS


def sir_discrete(n):
    def start():
        made = epidemics.SIRModel(network, seed=1)
        config = mc.Configuration()
        config.add_model_parameter("beta", 0.05)
        config.add_model_parameter("gamma", 0.1)
        config.add_model_parameter("fraction_infected", 0.01)
        made.set_initial_status(config)
        made.iteration(node_status=False)
        return made

    network = graph(n, barabasi_albert(n, 3, 1))
    model = start()

    def step(count):
        nonlocal model
        for _ in range(max(1, count // n)):
            if 1 not in set(model.status.values()):
                model = start()
            model.iteration(node_status=False)
        return max(1, count // n) * n

    return step, "node-steps", FACTS


def voter(n):
    model = opinions.VoterModel(graph(n, watts_strogatz(n, 10, 0.1, 1)), seed=1)
    config = mc.Configuration()
    config.add_model_parameter("fraction_infected", 0.5)
    model.set_initial_status(config)
    model.iteration(node_status=False)

    def step(count):
        for _ in range(count):
            model.iteration(node_status=False)
        return count

    return step, "updates", FACTS


if __name__ == "__main__":
    main("NDlib", {"deffuant_ws": deffuant_ws, "sir_discrete": sir_discrete, "voter": voter})
