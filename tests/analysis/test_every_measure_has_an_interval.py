"""Every measure has an interval, by the way that the page on analysis names.

A measure that is added to a module without an entry here fails the first test.
"""

import inspect
import math
from itertools import pairwise
from pathlib import Path

import networkx as nx
import numpy as np
import polars as pl
import pytest

import abm.analysis as measures
from abm.analysis.convergence import convergence
from abm.analysis.drift import drift
from abm.analysis.intervals import (
    bootstrap,
    bootstrap_counts,
    bootstrap_two,
    mean_interval,
    wilson_interval,
)
from abm.analysis.provenance import provenance

DESIGNS = {"added", "comparisons", "components", "doses", "equivalence", "heterogeneity"} | {
    "paired",
    "planning",
    "redraws",
    "sampled",
}
"""Modules of effects between runs, each of which comes with its interval."""

NO_MEASURES = {
    # what data are made of, drawn from or shown with: nothing is estimated
    "counts",
    "symbols",
    "words",
    "snapshot",
    "density",
    "density_table",
    "flow_table",
    "shifts",
    "depths",
    "roots",
    "subtree_sizes",
    "detrended",
    "draw_tail",
    "simulate_hawkes",
    "rewired",
    "exposure_spells",
    "rescaled_gaps",
    "tail_ccdf",
    "power_law_ccdf",
    "lognormal_ccdf",
    "exponential_ccdf",
    "cutoff_ccdf",
    "tail_table",
    "stability_items",
    "mixing_matrix",
    # intervals and corrections themselves, whose coverage is tested elsewhere
    "batch_interval",
    "bootstrap",
    "bootstrap_counts",
    "bootstrap_two",
    "mean_interval",
    "wilson_interval",
    # tests, which have a p-value in place of an interval
    "dip_test",
    "tail_test",
    "residual_test",
    "compare_tails",
}

RNG = np.random.default_rng
PEOPLE = RNG(1).beta(2, 3, 300)
COUNTED = [30, 40, 210, 130, 53, 50, 10]
TEXTS = [list(RNG(k).choice(list("abcdefghijkl"), 60)) for k in range(20)]
VECTORS = RNG(2).normal(size=(40, 6))
TIMES = measures.simulate_hawkes(1.0, 0.5, 1.0, end=300, rng=RNG(3))
SIZES = measures.draw_tail(2.5, 1, 400, discrete=True, rng=RNG(4))


def over_people(measure):
    return bootstrap(measure, PEOPLE, rng=RNG(5), n_resamples=99)


def over_counts(measure):
    return bootstrap_counts(measure, COUNTED, rng=RNG(5), n_resamples=99)


def over_runs(measure):
    """Ten runs, each with its own network, values and groups."""
    found = []
    for seed in range(10):
        edges = np.array(nx.gnp_random_graph(40, 0.15, seed=seed).edges)
        found.append(measure(edges, RNG(seed).random(40), RNG(seed).integers(0, 2, 40)))
    return mean_interval(found)


def over_draws(measure):
    """Ten runs, each with chance of its own."""
    return mean_interval([measure(RNG(seed)) for seed in range(10)])


def ends(low, value, high):
    return measures.Estimate(value, low, high, 0.95, 1, "its own")


def row(table, place=0):
    found = table.row(place, named=True)
    return ends(found["low"], found["estimate"], found["high"])


def spells():
    rng = RNG(6)
    x = rng.integers(0, 2, 300)
    return pl.DataFrame(
        {"start": np.zeros(300), "stop": rng.exponential(1 / 0.53**x), "exposures": x}
    ).with_columns(adopted=pl.lit(True))


def told(rng):
    size = 60
    columns = {"item": rng.integers(0, 5, size), "time": rng.random(size)}
    sides = {"sender": rng.integers(0, 9, size), "receiver": rng.integers(0, 9, size)}
    return provenance(pl.DataFrame(columns | sides))


def known(rng):
    asked = pl.DataFrame({"item": [0] * 12, "person": np.arange(12), "time": [0.5] * 12})
    return measures.knowledge(told(rng), asked).shares["told"]


def followers(rng):
    return np.argwhere((rng.random((20, 20)) < 0.2) & ~np.eye(20, dtype=bool))


def forest(rng):
    return np.concatenate([[-1] * 5, [rng.integers(0, i) for i in range(5, 80)]])


def stability(rng):
    table = pl.DataFrame({"window": [0, 1], "outputs": [1.0, rng.uniform(0.5, 1)]})
    return measures.stability_index(table)["asi"][1]


def groups(pull, seed):
    x = RNG(seed).normal(4, 1.5, (30, 4))
    y = x + pull * (x.mean(axis=1, keepdims=True) - x)
    return convergence(x.ravel(), y.ravel(), np.repeat(np.arange(30), 4))


def moved(rng):
    before = rng.uniform(1, 7, 80)
    found = measures.default_drift(
        before, before + 0.3 * (6 - before) + rng.normal(0, 0.1, 80), 6, rng=rng
    )
    return found.to_default


def led(rng):
    leader = rng.integers(0, 2, 400)
    return measures.transfer_entropy(leader, np.roll(leader, 1), rng=rng, n_permutations=19)


def null_band():
    edges = np.array(nx.gnp_random_graph(40, 0.15, seed=3).edges)
    side = RNG(3).integers(0, 2, 40)
    found = measures.against_null(
        lambda e: measures.assortativity(e, side), edges, rng=RNG(1), n_networks=19
    )
    return ends(found.null_low, found.null_mean, found.null_high)


def trend():
    found = measures.early_warning_trend(
        RNG(8).normal(size=200), window=40, rng=RNG(9), n_surrogates=39
    )
    return ends(found.low, found.tau, found.high)


def fitted_tail():
    fit = measures.fit_tail(SIZES, discrete=True, xmin=1)
    return ends(fit.low, fit.alpha, fit.high)


HAWKES = measures.fit_hawkes(TIMES, end=300)
WAYS = {
    # over the people of a sample
    "variance_over_maximum": lambda: over_people(measures.variance_over_maximum),
    "bimodality_coefficient": lambda: over_people(measures.bimodality_coefficient),
    "dispersion": lambda: over_people(measures.dispersion),
    "opinion_measures": lambda: row(measures.opinion_measures(PEOPLE, rng=RNG(1))),
    "shift_shares": lambda: bootstrap(
        lambda a, b: measures.shift_shares(a, b, middle=0.5)["more_extreme"],
        PEOPLE,
        RNG(2).random(300),
        rng=RNG(3),
        n_resamples=99,
    ),
    "drift": lambda: bootstrap(
        lambda a, b: drift(a, b).mean(), VECTORS, VECTORS[::-1], rng=RNG(3), n_resamples=99
    ),
    "output_stability": lambda: bootstrap(
        measures.output_stability, VECTORS, VECTORS + 0.5, rng=RNG(3), n_resamples=99
    ),
    "flip_rate": lambda: bootstrap(
        lambda x: measures.flip_rate(x.T),
        RNG(4).integers(0, 2, (50, 9)),
        rng=RNG(3),
        n_resamples=99,
    ),
    "homogenisation": lambda: bootstrap_two(
        measures.homogenisation, PEOPLE[:50], PEOPLE, rng=RNG(3), n_resamples=99
    ),
    "homogenisation_interval": lambda: measures.homogenisation_interval(
        PEOPLE[:50], PEOPLE, rng=RNG(3), n_resamples=99
    ),
    # over counted answers
    "agreement": lambda: over_counts(measures.agreement),
    "esteban_ray": lambda: over_counts(measures.esteban_ray),
    "entropy": lambda: over_counts(measures.entropy),
    "effective_number": lambda: over_counts(measures.effective_number),
    "inverse_simpson": lambda: over_counts(measures.inverse_simpson),
    "distribution_stability": lambda: bootstrap_counts(
        lambda f: measures.distribution_stability(f, [30, 40, 30]), [50, 30, 20], rng=RNG(1)
    ),
    # over texts
    "mattr": lambda: mean_interval([measures.mattr(text) for text in TEXTS]),
    "hd_d": lambda: mean_interval([measures.hd_d(text) for text in TEXTS]),
    "yules_k": lambda: mean_interval([measures.yules_k(text) for text in TEXTS]),
    "turnover": lambda: mean_interval(
        [measures.turnover(a[:9], b[:9]) for a, b in pairwise(TEXTS)]
    ),
    "sequence_stability": lambda: mean_interval(
        [measures.sequence_stability(a, b) for a, b in pairwise(TEXTS)]
    ),
    # over replications
    "spread": lambda: over_draws(lambda r: measures.spread(r.random(50))),
    "coverage": lambda: over_draws(lambda r: measures.coverage(r.random(50))),
    "clusters": lambda: over_draws(lambda r: measures.clusters(r.random(50)).n),
    "fracture": lambda: over_draws(lambda r: measures.fracture(r.random(50))),
    "assortativity": lambda: over_runs(lambda e, x, g: measures.assortativity(e, g)),
    "modularity": lambda: over_runs(lambda e, x, g: measures.modularity(e, g)),
    "ei_index": lambda: over_runs(lambda e, x, g: measures.ei_index(e, g)),
    "disagreement": lambda: over_runs(lambda e, x, g: measures.disagreement(e, x)),
    "neighbour_mean": lambda: over_runs(lambda e, x, g: np.nanmean(measures.neighbour_mean(e, x))),
    "neighbour_correlation": lambda: over_runs(
        lambda e, x, g: measures.neighbour_correlation(e, x)
    ),
    "homophily_slope": lambda: over_runs(lambda e, x, g: measures.homophily_slope(e, x)),
    "reciprocity": lambda: over_draws(lambda r: measures.reciprocity(followers(r)).share),
    "directed_assortativity": lambda: over_runs(
        lambda e, x, g: measures.directed_assortativity(e, g)
    ),
    "directed_correlation": lambda: over_runs(
        lambda e, x, g: measures.directed_correlation(e, x, x)
    ),
    "followed_mean": lambda: over_runs(lambda e, x, g: np.nanmean(measures.followed_mean(e, x))),
    "follower_paradoxes": lambda: over_runs(
        lambda e, x, g: measures.follower_paradoxes(e)["friends_have_more_followers"]
    ),
    "random_walk_controversy": lambda: over_runs(
        lambda e, x, g: measures.random_walk_controversy(e, g, n_hubs=2).score
    ),
    "friendship_paradox": lambda: over_runs(
        lambda e, x, g: measures.friendship_paradox(e, x).share
    ),
    "core_periphery": lambda: over_runs(lambda e, x, g: measures.core_periphery(e).correlation),
    "role_clusters": lambda: over_draws(
        lambda r: measures.role_clusters(r.random((40, 2)), 2, rng=r, n_resamples=2).silhouette
    ),
    "adjusted_rand": lambda: over_draws(
        lambda r: measures.adjusted_rand(r.integers(0, 2, 50), r.integers(0, 2, 50))
    ),
    "cascade_table": lambda: over_draws(
        lambda r: measures.cascade_table(forest(r))["depth"].mean()
    ),
    "structural_virality": lambda: over_draws(
        lambda r: measures.structural_virality([-1, *(r.integers(0, i) for i in range(1, 30))])
    ),
    "half_life": lambda: over_draws(lambda r: measures.half_life(r.exponential(size=30))),
    "provenance": lambda: over_draws(lambda r: told(r)["depth"].mean()),
    "provenance_cascades": lambda: over_draws(
        lambda r: measures.provenance_cascades(told(r))["size"].mean()
    ),
    "knowledge": lambda: over_draws(known),
    "effective_channels": lambda: over_draws(
        lambda r: measures.effective_channels(r.normal(size=(9, 4)))
    ),
    "mean_cosine": lambda: over_draws(lambda r: measures.mean_cosine(r.normal(size=(9, 4)))),
    "semantic_stabilisation": lambda: over_draws(
        lambda r: measures.semantic_stabilisation(r.normal(size=(20, 3)), [0, 1] * 10)[
            "to_previous"
        ][1]
    ),
    "lexical_turnover": lambda: over_draws(
        lambda r: measures.lexical_turnover([r.choice(TEXTS[0], 9), r.choice(TEXTS[1], 9)])[
            "births"
        ][0]
    ),
    "convergence": lambda: mean_interval(groups(0.5, 1)["change"]),
    "stability_index": lambda: over_draws(stability),
    "consensus_time": lambda: over_draws(
        lambda r: measures.consensus_time(range(9), np.r_[r.integers(0, 2, (8, 2)), [[1, 1]]])
    ),
    "early_warning": lambda: over_draws(
        lambda r: measures.early_warning(r.normal(size=50), window=20)["variance"].mean()
    ),
    # their own
    "against_null": null_band,
    "early_warning_trend": trend,
    "fit_tail": fitted_tail,
    "tail_bootstrap": lambda: measures.tail_bootstrap(
        SIZES, discrete=True, rng=RNG(1), n_resamples=29, xmin=1
    ),
    "fit_hawkes": lambda: HAWKES.branching,
    "adoption_curve": lambda: row(
        measures.adoption_curve(spells().with_columns(adopted=pl.col("stop") < 1))
    ),
    "cox_regression": lambda: row(measures.cox_regression(spells()).table),
    "transfer_entropy": lambda: led(RNG(1)).excess,
    "survival": lambda: row(measures.survival([1, 2, 3, 4, 5, 6], [True] * 6), 2),
    "convergence_gap": lambda: (
        measures.convergence_gap(groups(0.8, 1), groups(0.2, 2), rng=RNG(1)).gap
    ),
    "default_drift": lambda: moved(RNG(1)),
    "adaptation": lambda: (
        measures.adaptation(
            VECTORS, VECTORS + 0.5, VECTORS[::-1], rng=RNG(1), n_permutations=19
        ).approach
    ),
    "influence_persistence": lambda: (
        measures.influence_persistence(RNG(1).random((6, 30)), top=3).rank_correlation
    ),
    "collective_consensus": lambda: measures.collective_consensus(
        ["ann"] * 9 + ["bob"] * 4, rng=RNG(1)
    )["consensus"],
}


def test_no_measure_is_left_without_a_way_to_its_interval():
    doors = {name: getattr(measures, name) for name in measures.__all__}
    names = {"convergence", "drift", "provenance"} | {
        name
        for name, thing in doors.items()
        if inspect.isfunction(thing) and thing.__module__.rpartition(".")[2] not in DESIGNS
    }
    assert names - NO_MEASURES - set(WAYS) == set()
    assert set(WAYS) <= names
    assert not set(WAYS) & NO_MEASURES


def test_the_page_says_for_every_measure_how_its_interval_is_made():
    page = (Path(__file__).parents[2] / "docs" / "analysis.md").read_text()
    table = page[page.index("### What each value is checked against") : page.index("### How fast")]
    assert [name for name in WAYS if f"`{name}`" not in table] == []


@pytest.mark.parametrize("name", sorted(WAYS))
def test_the_interval_of_a_measure_is_defined_and_holds_its_value(name):
    e = WAYS[name]()
    assert all(map(math.isfinite, (e.low, e.estimate, e.high)))
    assert e.low < e.high
    # A percentile interval of a skewed measure may miss its value, by less than its width.
    assert e.low - (e.high - e.low) <= e.estimate <= e.high + (e.high - e.low)


def test_a_share_of_people_has_an_interval_too():
    e = wilson_interval(3, 10)
    assert e.low < 0.3 < e.high
