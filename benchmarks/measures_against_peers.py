"""Compare measures with NDlib, the EMA workbench, powerlaw, NetworkX and hand computation.

    python -m venv peers
    peers/bin/pip install '.[analysis]' ndlib ema_workbench six
    peers/bin/python benchmarks/measures_against_peers.py

Prints one line per comparison: what, ours, theirs, and the difference. A peer that is not installed
is named and left out. Exits with 1 where a difference is larger than the line says it may be.
"""

from __future__ import annotations

import math
import sys
import time
import warnings
from collections.abc import Callable, Iterator

import networkx as nx
import numpy as np
import polars as pl

Row = tuple[str, float, float, float]
"""What, ours, theirs, and how far they may be apart."""


def by_hand() -> Iterator[Row]:
    """Values that need no program."""
    from abm.analysis.cascades import structural_virality
    from abm.analysis.convergence import convergence
    from abm.analysis.directed import reciprocity
    from abm.analysis.diversity import effective_channels
    from abm.analysis.dynamics import survival
    from abm.analysis.influence import transfer_entropy
    from abm.analysis.modality import dip_test
    from abm.analysis.opinions import agreement, esteban_ray, fracture
    from abm.analysis.stability import sequence_stability
    from abm.analysis.text import hd_d

    yield "agreement of two poles", agreement([50, 0, 0, 0, 50]), -1.0, 0.0
    yield "Esteban-Ray of two halves, 2 (1/2)^3.3", esteban_ray([1, 1]), 2 * 0.5**3.3, 1e-12
    yield "fracture of 2, 1 and 1 of four", fracture([0.1, 0.1, 0.5, 0.9]), 1 - 6 / 16, 1e-12
    yield "dip of ten even points, 1 / 20", dip_test(np.arange(10.0)).dip, 0.05, 1e-12
    yield "virality of a path of ten, 11 / 3", structural_virality(range(-1, 9)), 11 / 3, 1e-12
    yield "channels of two equal groups", effective_channels(np.eye(2).repeat(5, 0)), 2.0, 1e-9
    yield (
        "reciprocity, two of four ties",
        reciprocity([(0, 1), (1, 0), (1, 2), (2, 0)]).share,
        0.5,
        0,
    )
    curve = survival([1, 2, 3, 3], [True, True, True, False])["estimate"]
    yield "Kaplan-Meier after three of four", float(curve[-1]), 0.25, 1e-12
    change = convergence([1.0, 5.0], [3.0, 3.0], [0, 0])["change"][0]
    yield "convergence of 1 and 5 to 3, -sqrt 8", change, -math.sqrt(8), 1e-12
    yield "HD-D of a, a, b in pairs, 5 / 6", hd_d(["a", "a", "b"], draws=2), 5 / 6, 1e-12
    yield "one edit in four", sequence_stability("abcd", "abxd"), 0.75, 0.0
    x = np.tile([0, 1, 1, 0, 1, 0, 0, 1], 400)
    rng = np.random.default_rng(1)
    free = rng.integers(0, 2, x.size)
    found = transfer_entropy(free, np.roll(free, 1), rng=rng, n_permutations=1).value
    yield "transfer entropy of a copy, log 2", found, math.log(2), 1e-3


def networkx() -> Iterator[Row]:
    """Networks that NetworkX carries, measured by NetworkX and by us."""
    from abm.analysis.directed import directed_assortativity, reciprocity
    from abm.analysis.networks import assortativity, modularity, neighbour_correlation

    for name, graph in (
        ("karate", nx.karate_club_graph()),
        ("Florentine", nx.convert_node_labels_to_integers(nx.florentine_families_graph())),
        ("Les Miserables", nx.convert_node_labels_to_integers(nx.les_miserables_graph())),
    ):
        edges = np.array(graph.edges)
        degree = np.array([d for _, d in graph.degree])
        groups = (degree > np.median(degree)).astype(int)
        nx.set_node_attributes(graph, dict(enumerate(groups.tolist())), "g")
        theirs = nx.attribute_assortativity_coefficient(graph, "g")
        yield f"{name}: assortativity", assortativity(edges, groups), theirs, 1e-12
        sets = [set(np.flatnonzero(groups == g).tolist()) for g in (0, 1)]
        theirs = nx.community.modularity(graph, sets, weight=None)
        yield f"{name}: modularity", modularity(edges, groups), theirs, 1e-12
        theirs = nx.degree_assortativity_coefficient(graph)
        yield f"{name}: degree correlation", neighbour_correlation(edges, degree), theirs, 1e-9
    graph = nx.gnp_random_graph(60, 0.1, seed=1, directed=True)
    edges, groups = np.array(graph.edges), np.arange(60) % 3
    nx.set_node_attributes(graph, dict(enumerate(groups.tolist())), "g")
    theirs = nx.overall_reciprocity(graph)
    yield "directed: reciprocity", reciprocity(edges, n=60).share, theirs, 1e-12
    theirs = nx.attribute_assortativity_coefficient(graph, "g")
    yield "directed: assortativity", directed_assortativity(edges, groups), theirs, 1e-12


def powerlaw() -> Iterator[Row]:
    """Tails fitted by the package powerlaw and by us."""
    import powerlaw as package

    from abm.analysis.tail_alternatives import compare_tails
    from abm.analysis.tails import draw_tail, fit_tail

    for discrete in (True, False):
        kind = "discrete" if discrete else "continuous"
        sizes = draw_tail(2.57, 1, 2_000, discrete=discrete, rng=np.random.default_rng(1))
        ours = fit_tail(sizes, discrete=discrete, xmin=1)
        theirs = package.Fit(
            sizes, discrete=discrete, xmin=1, estimate_discrete=False, verbose=False
        )
        yield f"{kind}: exponent", ours.alpha, theirs.power_law.alpha, 5e-4
        table = compare_tails(sizes, ours)
        for name in ("lognormal", "exponential", "truncated_power_law"):
            ratio, _ = theirs.distribution_compare("power_law", name)
            found = table.filter(alternative=name)["log_ratio"][0]
            yield f"{kind}: log ratio to {name}", found, float(ratio), 0.5
    before = time.perf_counter()
    ours = fit_tail(sizes, discrete=False)
    middle = time.perf_counter()
    theirs = package.Fit(sizes, discrete=False, verbose=False)
    after = time.perf_counter()
    yield "continuous, start searched: distance", ours.ks, theirs.power_law.D, 5e-3
    yield "seconds for 2,000 values (ours, theirs)", middle - before, after - middle, math.inf


def ndlib() -> Iterator[Row]:
    """Runs of NDlib, summed up by NDlib and by us."""
    from ndlib.models.epidemics import SIRModel
    from ndlib.models.ModelConfig import Configuration
    from ndlib.models.opinions import AlgorithmicBiasModel

    from abm.analysis.comparisons import means_table
    from abm.analysis.opinions import clusters

    np.random.seed(1)  # noqa: NPY002  NDlib draws from the global generators
    import random

    random.seed(1)
    rows = []
    for replication in range(6):
        model = SIRModel(nx.erdos_renyi_graph(200, 0.05, seed=replication))
        config = Configuration()
        for name, value in (("beta", 0.05), ("gamma", 0.1), ("fraction_infected", 0.05)):
            config.add_model_parameter(name, value)
        model.set_initial_status(config)
        iterations = model.iteration_bunch(20, progress_bar=False)
        trend = model.build_trends(iterations)[0]["trends"]["node_count"][1]
        counted = [it["node_count"][1] for it in iterations]
        both = enumerate(zip(counted, trend, strict=True))
        rows += [(replication, t, own, theirs) for t, (own, theirs) in both]
    frame = pl.DataFrame(rows, schema=["replication", "time", "ours", "theirs"], orient="row")
    means = means_table(frame.cast({"ours": pl.Float64}), outcomes="ours", by="time")
    theirs = frame.group_by("time").agg(pl.col("theirs").mean()).sort("time")["theirs"]
    gap = float(np.abs(means.sort("time")["estimate"].to_numpy() - theirs.to_numpy()).max())
    yield "SIR: largest gap between mean trajectories", gap, 0.0, 1e-9

    for bound, expected in ((0.2, 2.0), (0.5, 1.0)):
        found = []
        for seed in range(4):
            np.random.seed(seed)  # noqa: NPY002
            random.seed(seed)
            model = AlgorithmicBiasModel(nx.complete_graph(100))
            config = Configuration()
            config.add_model_parameter("epsilon", bound)
            config.add_model_parameter("gamma", 0)
            model.set_initial_status(config)
            last = model.iteration_bunch(60, node_status=True, progress_bar=False)
            status = model.status if last else {}
            found.append(clusters(list(status.values()), gap=0.02, major=0.1).n_major)
        name = f"Deffuant of NDlib at bound {bound}: major clusters (ours, theory)"
        yield name, float(np.mean(found)), expected, 1.0


def ema_workbench() -> Iterator[Row]:
    """What moves an outcome most: EMA workbench's feature scores and our shares of variance."""
    import pandas as pd
    from ema_workbench.analysis import feature_scoring

    from abm.analysis.heterogeneity import variance_shares

    levels = np.arange(5) / 4
    grid = np.array(np.meshgrid(levels, levels, levels, [0, 1, 2])).reshape(4, -1).T
    y = 4 * grid[:, 0] + 2 * grid[:, 1] + 0.5 * grid[:, 2]
    y += np.random.default_rng(1).normal(0, 0.2, y.size)
    names = ["a", "b", "c"]
    frame = pl.DataFrame({**{n: grid[:, i] for i, n in enumerate(names)}, "y": y})
    ours = {
        r["source"]: r["share"]
        for r in variance_shares(frame, outcome="y", factors=names).iter_rows(named=True)
    }
    design = pd.DataFrame(grid[:, :3], columns=names)
    scores = feature_scoring.get_feature_scores_all(design, {"y": y})["y"]
    mine = sorted(names, key=lambda n: -ours[n])
    forest = list(scores.sort_values(ascending=False).index)
    yield (
        "rank of a, b, c agrees (1 yes)",
        float(mine == forest),
        1.0,
        0.0,
    )
    exact = np.array([16, 4, 0.25]) * levels.var()
    share = exact[0] / (exact.sum() + 0.04)
    yield "share of a (ours, exact)", ours["a"], float(share), 0.01
    yield "share of a (ours, their forest)", ours["a"], float(scores["a"]), 0.15


PEERS: dict[str, Callable[[], Iterator[Row]]] = {
    "by hand": by_hand,
    "NetworkX": networkx,
    "powerlaw": powerlaw,
    "NDlib": ndlib,
    "EMA workbench": ema_workbench,
}


def main() -> int:
    wrong = 0
    warnings.simplefilter("ignore")
    for peer, compare in PEERS.items():
        print(f"\n{peer}")
        try:
            for what, ours, theirs, slack in compare():
                far = not abs(ours - theirs) <= slack
                wrong += far
                mark = "  DIFFERS" if far else ""
                print(f"  {what:55s} {ours:12.6f} {theirs:12.6f} {ours - theirs:+.2g}{mark}")
        except ImportError as error:
            print(f"  left out: {error}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
