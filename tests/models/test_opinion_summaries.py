"""Summary statistics against published values, and what they must not care about."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from abm.models.opinion_network.data import anes96
from abm.models.opinion_network.scale import opinion_of, stance_of
from abm.models.opinion_network.summaries import (
    CHANGES,
    bimodality,
    change_shares,
    changes,
    clusters,
    division,
    esteban_ray,
    neighbour_correlation,
    variance_over_maximum,
)


@pytest.mark.parametrize(
    ("column", "coefficient", "polarisation", "variance"),
    [("party", 0.7060, 0.0431, 0.5736), ("ideology", 0.4648, 0.0303, 0.2297)],
)
def test_measures_of_the_anes_items(column, coefficient, polarisation, variance):
    codes = anes96()[column].to_numpy()
    codes = codes - codes.min()
    assert bimodality(codes) == pytest.approx(coefficient, abs=5e-5)
    assert esteban_ray(np.bincount(codes, minlength=7)) == pytest.approx(polarisation, abs=5e-5)
    assert variance_over_maximum(codes, 0, 6) == pytest.approx(variance, abs=5e-5)


def test_measures_of_textbook_distributions():
    grid = (np.arange(1000) + 0.5) / 1000
    assert bimodality(norm.ppf(grid)) == pytest.approx(0.33476, abs=1e-5)
    assert bimodality(grid) == pytest.approx(0.55278, abs=1e-5)
    assert esteban_ray([1, 1]) == pytest.approx(0.203063, abs=1e-6)
    assert esteban_ray([1, 2, 1]) == pytest.approx(0.092000, abs=1e-6)
    assert variance_over_maximum(2 * grid - 1) == pytest.approx(1 / 3, abs=1e-5)


def test_what_is_undefined_is_nan():
    assert math.isnan(bimodality([0.5] * 10))
    assert math.isnan(bimodality([0.1, 0.2]))
    assert math.isnan(division([])["mean"])
    assert math.isnan(esteban_ray([0, 0]))
    assert math.isnan(change_shares([], [])["flipped"])
    assert math.isnan(neighbour_correlation([1.0, 1.0], [0, 1, 2], [1, 0]))


@given(st.lists(st.tuples(st.integers(1, 7), st.integers(1, 7)), min_size=1, max_size=30))
def test_everybody_changed_in_exactly_one_way_and_mirror_images_alike(pairs):
    before, after = np.array(pairs).T
    assert sum(change_shares(before, after).values()) == pytest.approx(1.0)
    assert np.array_equal(changes(before, after), changes(8 - before, 8 - after))


def test_the_four_kinds_of_change():
    table = {
        (5, 5): "unchanged",
        (5, 7): "more_extreme",
        (4, 3): "more_extreme",
        (6, 5): "more_moderate",
        (6, 4): "more_moderate",
        (5, 3): "flipped",
        (2, 7): "flipped",
    }
    for (before, after), kind in table.items():
        assert CHANGES[changes([before], [after])[0]] == kind


def test_stances_and_opinions_are_inverse_on_seven_points():
    assert stance_of(opinion_of(np.arange(1, 8))).tolist() == list(range(1, 8))
    assert stance_of([-1.0, -0.84, -0.83, 1.0]).tolist() == [1, 1, 2, 7]


def test_clusters_split_at_gaps():
    assert clusters([0.5, 0.1, 0.11, 0.9, 0.91]).tolist() == [2, 1, 2]


def test_two_separate_camps_are_a_perfect_echo_chamber():
    indptr, indices = [0, 1, 2, 3, 4], [1, 0, 3, 2]
    assert neighbour_correlation([-1.0, -1.0, 1.0, 1.0], indptr, indices) == pytest.approx(1.0)
