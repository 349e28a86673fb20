"""EoN: `fast_SIR`, event-driven, on a NetworkX graph."""

from __future__ import annotations

import random
from importlib.metadata import version

import EoN
import networkx as nx
import numpy as np
from graphs import barabasi_albert
from measure import main


def sir_continuous(n):
    """Whole epidemics (0.2 per tie, recovery 1); counts infections and recoveries."""
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002 - EoN draws from the global generators
    indptr, indices = barabasi_albert(n, 3, 1)
    network = nx.Graph()
    for k in range(n):
        network.add_edges_from((k, j) for j in indices[indptr[k] : indptr[k + 1]].tolist() if j > k)
    ill = list(range(max(1, n // 100)))

    def step(count):
        done = 0
        while done < count:
            times, *_ = EoN.fast_SIR(network, 0.2, 1.0, initial_infecteds=ill)
            done += len(times)
        return done

    return step, "events", {"version": version("EoN")}


if __name__ == "__main__":
    main("EoN", {"sir_continuous": sir_continuous})
