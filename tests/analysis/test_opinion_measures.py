"""Opinion measures: values worked by hand or published, survey constants, and symmetries."""

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from statsmodels.api import datasets

from abm.analysis.densities import density, density_table
from abm.analysis.opinions import (
    SHIFTS,
    agreement,
    bimodality_coefficient,
    clusters,
    counts,
    coverage,
    dispersion,
    effective_number,
    entropy,
    esteban_ray,
    inverse_simpson,
    shift_shares,
    shifts,
    spread,
    variance_over_maximum,
)
from abm.errors import AnalysisError

COUNTS = st.lists(st.integers(0, 60), min_size=3, max_size=9).filter(any)
OPINIONS = arrays(np.float64, st.integers(5, 40), elements=st.floats(0, 1, width=32))


def slow_agreement(frequencies):
    """Van der Eijk's A as the paper spells it: all triples of every layer."""
    left, total, k = list(frequencies), sum(frequencies), len(frequencies)
    result = 0.0
    while any(left):
        height = min(f for f in left if f)
        layer = [int(f > 0) for f in left]
        filled = sum(layer)
        triples = [
            (layer[a], layer[b], layer[c])
            for a in range(k)
            for b in range(a + 1, k)
            for c in range(b + 1, k)
        ]
        tu = triples.count((1, 1, 0)) + triples.count((0, 1, 1))
        tdu = triples.count((1, 0, 1))
        if filled == 1:
            a = 1.0
        elif filled == k:
            a = 0.0
        else:
            u = ((k - 2) * tu - (k - 1) * tdu) / ((k - 2) * (tu + tdu))
            a = u * (1 - (filled - 1) / (k - 1))
        result += a * height * filled / total
        left = [f - height if f else 0 for f in left]
    return result


@pytest.mark.parametrize(
    ("frequencies", "expected"),
    [
        ([30, 40, 210, 130, 530, 50, 10], 0.611333),
        ([50, 0, 0, 0, 50], -1.0),
        ([10, 10, 10, 10], 0.0),
        ([0, 0, 9], 1.0),
    ],
)
def test_agreement_has_its_published_values(frequencies, expected):
    assert agreement(frequencies) == pytest.approx(expected, abs=5e-7)


@given(COUNTS)
def test_agreement_equals_the_count_of_all_triples_layer_by_layer(frequencies):
    assert agreement(frequencies) == pytest.approx(slow_agreement(frequencies), abs=1e-12)


@given(COUNTS)
def test_scale_measures_do_not_change_under_reflection_or_scaling(frequencies):
    mirrored, doubled = frequencies[::-1], [2 * f for f in frequencies]
    for measure in (agreement, esteban_ray, effective_number, inverse_simpson, entropy):
        value = measure(frequencies)
        assert measure(mirrored) == pytest.approx(value, abs=1e-9)
        assert measure(doubled) == pytest.approx(value, abs=1e-9)


@given(COUNTS)
def test_scale_measures_stay_in_their_ranges(frequencies):
    k = len(frequencies)
    filled = sum(f > 0 for f in frequencies)
    assert -1 <= agreement(frequencies) <= 1
    assert 0 <= esteban_ray(frequencies) <= esteban_ray([1] + [0] * (k - 2) + [1]) + 1e-12
    assert 1 - 1e-9 <= inverse_simpson(frequencies) <= effective_number(frequencies) + 1e-9
    assert effective_number(frequencies) <= filled + 1e-9


def test_esteban_ray_has_the_values_worked_by_hand():
    assert esteban_ray([1, 1], alpha=1.3) == pytest.approx(2 * 0.5**3.3, abs=1e-12)
    assert esteban_ray([1, 1], alpha=1.3) == pytest.approx(0.203063, abs=5e-7)
    assert esteban_ray([1, 2, 1], alpha=1.3) == pytest.approx(0.092000, abs=5e-7)
    assert esteban_ray([1, 1], positions=[0, 6]) == pytest.approx(6 * esteban_ray([1, 1]))


@pytest.mark.parametrize("alpha", [0.0, 1.7, -1])
def test_esteban_ray_refuses_an_alpha_outside_its_range(alpha):
    with pytest.raises(AnalysisError, match="alpha"):
        esteban_ray([1, 1], alpha=alpha)


@pytest.mark.parametrize("k", [2, 5, 100])
def test_equally_common_categories_count_fully(k):
    assert effective_number([3] * k) == pytest.approx(k)
    assert inverse_simpson([3] * k) == pytest.approx(k)
    assert effective_number([3] * k + [0]) == pytest.approx(k)


def test_a_scale_that_nobody_used_has_no_measures():
    for measure in (agreement, esteban_ray, effective_number, inverse_simpson, entropy):
        assert math.isnan(measure([0, 0, 0]))
    assert math.isnan(agreement([3, 4]))  # A needs triples of categories


ANES = [
    # variable, scale, counts, A, bimodality, Esteban-Ray, variance over maximum, exp(H)
    ("PID", range(7), [200, 180, 108, 37, 94, 150, 175], -0.0635, 0.7060, 0.0431, 0.5736, 6.386),
    (
        "selfLR",
        range(1, 8),
        [16, 103, 147, 256, 170, 218, 34],
        0.3706,
        0.4648,
        0.0303,
        0.2297,
        5.591,
    ),
    (
        "ClinLR",
        range(1, 8),
        [109, 317, 236, 160, 67, 36, 19],
        0.4898,
        0.4943,
        0.0308,
        0.2125,
        5.228,
    ),
]


@pytest.mark.parametrize("row", ANES, ids=[row[0] for row in ANES])
def test_the_national_election_study_has_its_known_measures(row):
    name, scale, frequencies, a, b, er, v, number = row
    answers = datasets.anes96.load_pandas().data[name].to_numpy()
    found = counts(answers, list(scale))
    assert found.tolist() == frequencies
    assert agreement(found) == pytest.approx(a, abs=5e-5)
    assert bimodality_coefficient(answers) == pytest.approx(b, abs=5e-5)
    assert esteban_ray(found, alpha=1.3) == pytest.approx(er, abs=5e-5)
    low, high = min(scale), max(scale)
    assert variance_over_maximum(answers, low=low, high=high) == pytest.approx(v, abs=5e-5)
    assert effective_number(found) == pytest.approx(number, abs=5e-4)


def test_the_national_election_study_has_its_known_correlations():
    data = datasets.anes96.load_pandas().data
    assert data.shape == (944, 11)
    assert data["vote"].value_counts().to_dict() == {0: 551, 1: 393}
    assert (data["age"].min(), data["age"].max()) == (19, 91)
    known = {("PID", "selfLR"): 0.618570, ("PID", "vote"): 0.797329, ("selfLR", "vote"): 0.583238}
    for (a, b), value in known.items():
        assert np.corrcoef(data[a], data[b])[0, 1] == pytest.approx(value, abs=5e-7)
    assert data["selfLR"].mean() == pytest.approx(4.325, abs=5e-4)
    assert data["selfLR"].std() == pytest.approx(1.438, abs=5e-4)
    assert data["PID"].mean() == pytest.approx(2.842, abs=5e-4)
    assert data["PID"].std() == pytest.approx(2.273, abs=5e-4)


def test_two_points_have_the_largest_variance_and_a_uniform_spread_a_third_of_it():
    assert variance_over_maximum([0, 1]) == 1
    grid = (np.arange(1_000_000) + 0.5) / 1_000_000
    assert variance_over_maximum(grid) == pytest.approx(1 / 3, abs=1e-9)
    assert variance_over_maximum([1, 7], low=1, high=7) == 1


def test_the_bimodality_coefficient_has_its_values_on_grids():
    grid = (np.arange(1000) + 0.5) / 1000
    assert bimodality_coefficient(stats.norm.ppf(grid)) == pytest.approx(0.33476, abs=5e-6)
    assert bimodality_coefficient(grid) == pytest.approx(0.55278, abs=5e-6)
    assert bimodality_coefficient(np.repeat([0.0, 1.0], 500)) == pytest.approx(0.99501, abs=5e-6)


def test_the_bimodality_coefficient_uses_bias_corrected_moments():
    x = np.random.default_rng(31).gamma(2.0, size=50)
    n, g, k = x.size, stats.skew(x, bias=False), stats.kurtosis(x, bias=False)
    expected = (g**2 + 1) / (k + 3 * (n - 1) ** 2 / ((n - 2) * (n - 3)))
    assert bimodality_coefficient(x) == pytest.approx(expected)


@given(OPINIONS, st.randoms(use_true_random=False))
def test_opinion_measures_do_not_care_who_holds_which_opinion(x, random):
    order = list(range(x.size))
    random.shuffle(order)
    for measure in (variance_over_maximum, dispersion, spread, coverage):
        assert measure(x[order]) == pytest.approx(measure(x), abs=1e-9)
    assert clusters(x[order]).sizes.tolist() == clusters(x).sizes.tolist()


@given(OPINIONS)
def test_opinion_measures_do_not_change_under_reflection(x):
    for measure in (variance_over_maximum, dispersion, spread):
        assert measure(1 - x) == pytest.approx(measure(x), abs=1e-9)
    if x.std() > 1e-3:
        assert bimodality_coefficient(1 - x) == pytest.approx(bimodality_coefficient(x), rel=1e-6)


@given(OPINIONS)
def test_opinion_measures_lie_between_consensus_and_two_poles(x):
    for measure in (variance_over_maximum, dispersion, spread, coverage):
        assert 0 <= measure(x) <= 1 + 1e-12


def test_measures_of_nobody_are_undefined_and_not_zero():
    for measure in (variance_over_maximum, dispersion, spread, coverage, bimodality_coefficient):
        assert math.isnan(measure([]))
        assert math.isnan(measure([math.nan]))
    assert math.isnan(bimodality_coefficient([0.5] * 10))
    assert clusters([]).n == 0
    assert math.isnan(clusters([]).largest_share)


def test_undefined_opinions_are_left_out():
    assert variance_over_maximum([0.0, math.nan, 1.0]) == 1


def test_opinions_off_the_scale_are_refused_with_the_remedy():
    with pytest.raises(AnalysisError, match="give low and high"):
        variance_over_maximum([1, 7])
    with pytest.raises(AnalysisError, match="not on the scale"):
        counts([1, 2.5], [1, 2, 3])


def test_clusters_are_split_at_gaps_and_small_ones_are_not_major():
    x = np.concatenate([np.full(60, 0.2), np.full(38, 0.8), [0.5], [0.515]])
    found = clusters(x, gap=0.02, major=0.05)
    assert found.sizes.tolist() == [60, 2, 38]
    assert found.n_major == 2
    assert found.largest_share == 0.6
    assert found.centres == pytest.approx([0.2, 0.5075, 0.8])
    assert clusters(x, gap=0.01).n == 4


@given(OPINIONS, st.floats(0.001, 0.3))
def test_clusters_hold_everybody_and_lie_more_than_the_gap_apart(x, gap):
    found = clusters(x, gap=gap)
    assert found.sizes.sum() == x.size
    assert np.all(np.diff(found.centres) > gap * 0.999)


def test_shifts_are_told_apart_as_declared():
    before = [5, 5, 5, 5, 4, 4, 5, math.nan]
    after = [7, 4, 2, 5, 3, 4, 3, 5]
    names = [SHIFTS[c] if c >= 0 else "" for c in shifts(before, after, middle=4)]
    assert names == [
        "more_extreme",
        "more_moderate",
        "flipped",
        "unchanged",
        "more_extreme",
        "unchanged",
        "flipped",
        "",
    ]


@given(st.lists(st.tuples(st.integers(1, 7), st.integers(1, 7)), min_size=1))
def test_shift_shares_sum_to_one_and_do_not_change_when_the_scale_is_turned(pairs):
    before, after = np.array(pairs).T
    shares = shift_shares(before, after, middle=4)
    assert sum(shares.values()) == pytest.approx(1)
    assert shift_shares(8 - before, 8 - after, middle=4) == shares


def test_shifts_of_nobody_are_undefined():
    assert all(math.isnan(share) for share in shift_shares([], [], middle=4).values())


def test_densities_keep_all_mass_at_the_ends_of_the_scale():
    x, d = density([0.0, 0.0, 1.0], bandwidth=0.05, points=400)
    wide = x[1] - x[0]
    assert d.sum() * wide == pytest.approx(1)
    assert d[x < 0.5].sum() * wide == pytest.approx(2 / 3, abs=1e-6)


def test_a_density_far_from_the_ends_is_the_gaussian_kernel():
    x, d = density([0.5], bandwidth=0.05, points=2001)
    assert d == pytest.approx(stats.norm.pdf(x, 0.5, 0.05), abs=0.02)


def test_densities_are_made_for_each_group_apart():
    frame = pl.DataFrame({"arm": ["a", "a", "b"], "time": [0, 0, 1], "x": [0.2, 0.3, 0.9]})
    table = density_table(frame, value="x", by=["arm", "time"], bandwidth=0.02, points=100)
    assert table.height == 200
    peak = table.filter(arm="b").sort("density")["opinion"][-1]
    assert peak == pytest.approx(0.9, abs=0.02)


def test_a_million_opinions_are_measured_as_a_thousand_are():
    small = np.random.default_rng(32).beta(2, 3, 1000)
    large = np.tile(small, 1000)
    for measure in (variance_over_maximum, dispersion, spread, coverage):
        assert measure(large) == pytest.approx(measure(small), abs=1e-9)
    assert clusters(large).n == clusters(small).n
