"""Measures refuse what they cannot use, by name, and are nan where they are undefined."""

import math

import numpy as np
import polars as pl
import pytest

from abm.analysis import (
    batches,
    cascades,
    controversy,
    convergence,
    directed,
    diversity,
    drift,
    dynamics,
    exposure,
    influence,
    intervals,
    modality,
    networks,
    nulls,
    opinion_table,
    opinions,
    paradox,
    provenance,
    roles,
    scales,
    socialisation,
    stability,
    tails,
    text,
)
from abm.errors import AnalysisError

NAN, INF = math.nan, math.inf
RNG = np.random.default_rng(1)
SEEN = pl.DataFrame({"agent": [1, 2], "time": [1.0, 2.0]})
DONE = pl.DataFrame({"agent": [1], "time": [3.0]})
SPELLS = pl.DataFrame(
    {"start": [0.0, 0.0], "stop": [1.0, 2.0], "adopted": [True, False], "x": [1.0, 0.0]}
).with_columns(kind=pl.lit("a"))
TOLD = pl.DataFrame({"item": ["a"], "sender": ["x"], "receiver": ["y"], "time": [1.0]})

TAKES_OPINIONS = [
    opinions.variance_over_maximum,
    opinions.bimodality_coefficient,
    opinions.dispersion,
    opinions.spread,
    opinions.coverage,
    opinions.clusters,
    opinions.fracture,
    modality.dip_test,
    cascades.half_life,
    tails.tail_ccdf,
]


@pytest.mark.parametrize("measure", TAKES_OPINIONS)
def test_words_and_infinite_numbers_are_no_opinions(measure):
    for values in (["left", "right"], [0.5, INF, 0.1, 0.2]):
        with pytest.raises(AnalysisError):
            measure(values)


TAKES_COUNTS = [scales.agreement, scales.esteban_ray, scales.entropy, scales.inverse_simpson]


@pytest.mark.parametrize("measure", TAKES_COUNTS)
@pytest.mark.parametrize("frequencies", [["a"], [1, NAN, 2], [1, INF, 2], [1, -1, 3]])
def test_counts_are_finite_and_not_negative(measure, frequencies):
    with pytest.raises(AnalysisError, match="frequencies"):
        measure(frequencies)


GROUPS = [0, 0, 1]
TAKES_EDGES = [
    lambda e: networks.assortativity(e, GROUPS),
    lambda e: networks.modularity(e, GROUPS),
    lambda e: networks.ei_index(e, GROUPS),
    lambda e: networks.disagreement(e, [0.0, 0.5, 1.0]),
    lambda e: networks.neighbour_mean(e, [0.0, 0.5, 1.0]),
    lambda e: networks.neighbour_correlation(e, [0.0, 0.5, 1.0]),
    lambda e: networks.homophily_slope(e, [0.0, 0.5, 1.0]),
    lambda e: controversy.random_walk_controversy(e, GROUPS),
    lambda e: directed.directed_assortativity(e, GROUPS),
    directed.reciprocity,
    directed.follower_paradoxes,
    paradox.friendship_paradox,
    roles.core_periphery,
    lambda e: nulls.rewired(e, rng=RNG),
]
BAD_EDGES = {
    "triples with weights": [(0, 1, 1), (1, 2, 1)],
    "fractions": [(0.5, 1.2)],
    "names": [("ann", "bob")],
    "missing": [(NAN, 1)],
    "flat": [0, 1, 1, 2],
    "negative": [(0, -1)],
    "ragged": [(0, 1), (1,)],
}


@pytest.mark.parametrize("measure", TAKES_EDGES)
@pytest.mark.parametrize("edges", BAD_EDGES.values(), ids=BAD_EDGES.keys())
def test_edges_are_pairs_of_node_numbers_and_are_never_cut_or_folded(measure, edges):
    with pytest.raises(AnalysisError):
        measure(edges)


@pytest.mark.parametrize("groups", [["a", None, "b"], [0.0, NAN, 1.0], [[0, 1], [1, 0]]])
def test_a_missing_group_is_no_group(groups):
    for measure in (networks.assortativity, directed.directed_assortativity, networks.ei_index):
        with pytest.raises(AnalysisError, match="groups"):
            measure([(0, 1)], groups)
    with pytest.raises(AnalysisError, match="sides"):
        controversy.random_walk_controversy([(0, 1)], groups)


@pytest.mark.parametrize("weights", [[1], [NAN, 1], [INF, 1], [-1, 1], ["a", "b"]])
def test_weights_are_one_finite_number_per_edge(weights):
    for measure in (networks.modularity, controversy.random_walk_controversy):
        with pytest.raises(AnalysisError, match="weight"):
            measure([(0, 1), (1, 2)], GROUPS, weights=weights)


@pytest.mark.parametrize("parents", [[-1, 0.5], [NAN, 0], [-1, None, 0], [-2], [-1, 9], [0]])
def test_parents_are_rows(parents):
    for measure in (cascades.depths, cascades.cascade_table, cascades.structural_virality):
        with pytest.raises(AnalysisError):
            measure(parents)


def spells_of(*, seen=SEEN, done=DONE, **keywords):
    return exposure.exposure_spells(seen, done, end=5.0, **keywords)


def table(**columns):
    return pl.DataFrame(columns)


REFUSED = {
    "a bin and a half": (lambda: opinions.coverage([0.1], bins=1.5), "bins"),
    "a share above 1": (lambda: opinions.clusters([0.1], major=2), "major"),
    "no middle": (lambda: opinions.shifts([1], [2], middle=NAN), "middle"),
    "uneven flows": (lambda: opinions.flow_table([1, 2], [1]), "2 answers before"),
    "no scale": (lambda: scales.counts([1], []), "categories"),
    "no position": (lambda: scales.esteban_ray([1, 1], positions=[0, NAN]), "positions"),
    "values in rows": (lambda: networks.homophily_slope([(0, 1)], [[0, 1], [1, 0]]), "values"),
    "hub of the other side": (
        lambda: controversy.random_walk_controversy([(0, 2)], GROUPS, hubs=([2], [0])),
        "hubs",
    ),
    "null level": (lambda: nulls.against_null(len, [(0, 1)], rng=RNG, level=5), "level"),
    "no networks": (lambda: nulls.against_null(len, [(0, 1)], rng=RNG, n_networks=0), "n_networks"),
    "event without time": (lambda: cascades.half_life([NAN, 1.0]), "no time"),
    "row without time": (lambda: cascades.cascade_table([-1, 0], times=[0, NAN]), "times"),
    "half a count": (lambda: tails.fit_tail([1, 2, 3], discrete=True, xmin=1.5), "xmin"),
    "half a start": (lambda: tails.draw_tail(2, 1.5, 3, discrete=True, rng=RNG), "xmin"),
    "no candidates": (lambda: tails.fit_tail([1, 2], discrete=True, n_candidates=0), "candidates"),
    "exposure without time": (
        lambda: spells_of(seen=table(agent=[1], time=[NAN])),
        "lack their agent or time",
    ),
    "adoption without time": (
        lambda: spells_of(done=pl.DataFrame({"agent": [1], "time": [None]}, schema=DONE.schema)),
        "lack their agent or time",
    ),
    "exposed but not at risk": (lambda: spells_of(agents=[1]), "not among"),
    "no exposures in the spells": (lambda: exposure.adoption_curve(SPELLS), "lack"),
    "words as covariate": (lambda: exposure.cox_regression(SPELLS, ["kind"]), "indicators"),
    "no covariate": (lambda: exposure.cox_regression(SPELLS, []), "one or more columns"),
    "infinite covariate": (
        lambda: exposure.cox_regression(SPELLS.with_columns(x=pl.lit(INF)), ["x"]),
        "undefined",
    ),
    "no permutations": (
        lambda: influence.transfer_entropy([0, 1, 0], [1, 0, 1], rng=RNG, n_permutations=0),
        "n_permutations",
    ),
    "a state that is missing": (
        lambda: influence.transfer_entropy([0, None, 1], [0, 1, 0], rng=RNG),
        "source",
    ),
    "infinite symbol": (lambda: influence.symbols([1, INF], 2), "infinite"),
    "times going back": (lambda: dynamics.consensus_time([1, 0], [[0, 1], [1, 1]]), "ascending"),
    "tolerance below 0": (
        lambda: dynamics.consensus_time([0], [[1, 1]], tolerance=-1),
        "tolerance",
    ),
    "uncertain event": (lambda: dynamics.survival([1, 2], [NAN, 1]), "marks"),
    "endless run": (lambda: dynamics.survival([INF, 1], [False, True]), "infinite"),
    "half a window": (lambda: dynamics.early_warning([1, 2, 3, 4], window=3.5), "window"),
    "infinite embedding": (lambda: diversity.effective_channels([[INF, 1], [1, 1]]), "embeddings"),
    "ragged embeddings": (lambda: diversity.mean_cosine([[1, 2], [1]]), "embeddings"),
    "infinite drift": (lambda: drift.drift([INF, 1], [1, 1]), "embeddings"),
    "a text for its words": (lambda: text.mattr("some text", window=2), "words"),
    "a text for its draws": (lambda: text.hd_d("some text"), "words"),
    "a text for its vocabulary": (lambda: text.yules_k("some text"), "words"),
    "two texts": (lambda: text.turnover("some text", "other text"), "words"),
    "texts for windows": (lambda: socialisation.lexical_turnover(["a b", "b c"]), "words"),
    "an answer that is missing": (
        lambda: socialisation.collective_consensus(["ann", None], rng=RNG),
        "answers",
    ),
    "counts below 0": (lambda: stability.distribution_stability([-1, 2], [1, 1]), ">= 0"),
    "a group without weight": (
        lambda: stability.stability_index(table(window=[0], outputs=[1.0]), weights={"choices": 1}),
        "weights",
    ),
    "a group that is missing": (
        lambda: convergence.convergence([1, 2], [1, 2], ["a", None]),
        "groups",
    ),
    "others of others": (
        lambda: convergence.default_drift([1, 2], [1, 2], 5, others=[1], rng=RNG),
        "opinions of others",
    ),
    "defaults of others": (
        lambda: convergence.default_drift([1, 2, 3], [1, 2, 3], [5, 5], rng=RNG),
        "defaults",
    ),
    "no change": (
        lambda: convergence.convergence_gap(table(x=[1]), table(change=[1.0]), rng=RNG),
        "change",
    ),
    "telling without time": (
        lambda: provenance.provenance(TOLD.with_columns(time=pl.lit(NAN))),
        "without a value",
    ),
    "telling by nobody": (
        lambda: provenance.provenance(TOLD.with_columns(sender=pl.lit(None, pl.String))),
        "without a value",
    ),
    "unknown bootstrap": (
        lambda: intervals.bootstrap(np.mean, [1.0, 2.0], rng=RNG, method="studentized"),
        "method",
    ),
    "a scale of one point": (
        lambda: opinion_table.opinion_measures([0.5], rng=RNG, scale=[0.5]),
        "two or more",
    ),
    "words in the table": (lambda: opinion_table.opinion_measures(["a"], rng=RNG), "opinions"),
    "one batch": (
        lambda: batches.batch_interval(np.mean, np.arange(9.0), rng=RNG, n_batches=1),
        "n_batches",
    ),
    "a cluster that is missing": (lambda: roles.adjusted_rand([0, None], [1, 2]), "labels"),
    "no resamples": (
        lambda: intervals.bootstrap(np.mean, [1.0, 2.0], rng=RNG, n_resamples=0),
        "n_resamples",
    ),
    "half a person": (lambda: intervals.bootstrap_counts(np.sum, [1.5, 2.5], rng=RNG), "whole"),
    "less than nobody": (lambda: intervals.bootstrap_counts(np.sum, [-1, 2], rng=RNG), ">= 0"),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_used_is_refused_by_name(case):
    call, said = case
    with pytest.raises(AnalysisError, match=said):
        call()


def test_empty_samples_are_undefined():
    assert math.isnan(diversity.homogenisation([], [1.0, 2.0]))
    assert math.isnan(cascades.half_life([]))
    assert influence.symbols([], 2).size == 0
    assert dynamics.survival([], []).height == 0
    assert exposure.cox_regression(SPELLS.head(0), ["x"]).reason == "nobody adopted"


def test_missing_values_of_tables_are_missing_opinions():
    answers = pl.Series([0.0, None, 1.0])
    assert opinions.variance_over_maximum(answers) == 1
    assert math.isnan(networks.neighbour_mean([(0, 1)], answers)[0])
