"""Diversity: identical voices count once, orthogonal ones fully, and scaling changes nothing."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from abm.analysis.diversity import (
    drift,
    effective_channels,
    homogenisation,
    homogenisation_interval,
    mean_cosine,
)
from abm.errors import AnalysisError


def rows(seed, n=12, d=5):
    return np.random.default_rng(seed).normal(size=(n, d))


@pytest.mark.parametrize("n", [1, 2, 7])
def test_identical_rows_are_one_channel_and_orthogonal_rows_are_n(n):
    assert effective_channels(np.ones((n, 9))) == pytest.approx(1)
    assert effective_channels(np.eye(n, 9)) == pytest.approx(n)


def test_two_equal_groups_are_two_channels():
    assert effective_channels(np.repeat(np.eye(2, 6), 50, axis=0)) == pytest.approx(2)


@given(st.integers(0, 10_000), st.integers(1, 9))
def test_channels_are_those_of_the_gram_matrix_whichever_side_is_decomposed(seed, d):
    x = rows(seed, n=6, d=d)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    values = np.linalg.eigvalsh(unit @ unit.T / 6)
    values = values[values > 1e-14]
    assert effective_channels(x) == pytest.approx(
        np.exp(-(values * np.log(values)).sum()), rel=1e-9
    )


@given(st.integers(0, 10_000))
def test_channels_do_not_change_under_order_length_or_rotation(seed):
    x, rng = rows(seed), np.random.default_rng(seed + 1)
    turn, _ = np.linalg.qr(rng.normal(size=(5, 5)))
    for other in (x[rng.permutation(12)], x * rng.uniform(0.1, 9, (12, 1)), x @ turn):
        assert effective_channels(other) == pytest.approx(effective_channels(x))
        assert mean_cosine(other) == pytest.approx(mean_cosine(x))


@given(st.integers(0, 10_000))
def test_repeating_every_voice_adds_no_channel(seed):
    x = rows(seed)
    assert effective_channels(np.tile(x, (3, 1))) == pytest.approx(effective_channels(x))


def test_the_mean_cosine_is_that_of_all_pairs():
    x = rows(3)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    pairs = [unit[i] @ unit[j] for i in range(12) for j in range(i)]
    assert mean_cosine(x) == pytest.approx(np.mean(pairs))


def test_a_constant_text_does_not_drift_and_an_opposite_one_drifts_by_two():
    x = rows(4)
    assert drift(x, x).tolist() == [0.0] * 12
    assert drift(3 * x, x) == pytest.approx(np.zeros(12), abs=1e-12)
    assert drift(-x, x) == pytest.approx(np.full(12, 2.0))


def test_identical_agents_keep_no_variance_and_the_surveyed_people_keep_all():
    people = rows(5, n=200, d=4)
    assert homogenisation(np.tile(people[:1], (50, 1)), people) == 0
    assert homogenisation(people, people) == 1
    assert homogenisation(people / 2, people) == pytest.approx(0.25)


def test_the_kept_variance_is_covered_at_the_nominal_rate():
    # Seed 6, 80 pairs of 300 agents and 250 people, two items, level 0.9; false alarm 1 in 1000.
    rng, n, inside = np.random.default_rng(6), 80, 0
    for _ in range(n):
        agents, people = rng.normal(size=(300, 2)) * [0.5, 1], rng.normal(size=(250, 2)) * [1, 2]
        e = homogenisation_interval(agents, people, rng=rng, n_resamples=99, level=0.9)
        inside += e.low <= 1.25 / 5 <= e.high
    low, high = stats.binom.interval(0.999, n, 0.9)
    assert low <= inside <= high


def test_the_interval_of_the_kept_variance_is_about_its_estimate():
    agents, people = rows(7, n=40, d=2), rows(8, n=60, d=2)
    e = homogenisation_interval(agents, people, rng=np.random.default_rng(1), n_resamples=99)
    assert e.estimate == homogenisation(agents, people)
    assert (e.low < e.estimate < e.high, e.n) == (True, 100)
    assert math.isnan(
        homogenisation_interval([1.0], people[:, 0], rng=np.random.default_rng(1)).low
    )


def test_undefined_diversity_is_nan():
    assert math.isnan(effective_channels(np.empty((0, 3))))
    assert math.isnan(effective_channels([[0.0, 0.0], [1.0, 0.0]]))
    assert math.isnan(mean_cosine([[1.0, 0.0]]))
    assert math.isnan(homogenisation([1, 2], [3, 3]))
    assert math.isnan(homogenisation([1], [1, 2, 3]))
    assert np.isnan(drift([[0.0, 0.0]], [[1.0, 0.0]])).all()


def test_different_items_cannot_be_compared():
    with pytest.raises(AnalysisError, match="same items"):
        homogenisation(np.ones((3, 2)), np.ones((3, 4)))
