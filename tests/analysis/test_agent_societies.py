"""Agent societies: do they form their members, agree too much, drift, or lose themselves?"""

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from abm.analysis.convergence import convergence, convergence_gap, default_drift
from abm.analysis.socialisation import (
    adaptation,
    collective_consensus,
    influence_persistence,
    lexical_turnover,
    semantic_stabilisation,
)
from abm.analysis.stability import (
    distribution_stability,
    output_stability,
    sequence_stability,
    stability_index,
    stability_items,
)
from abm.errors import AnalysisError


def meetings(rng, pull, n=400, drift=0.0):
    """Agents who move by `pull` towards whom they met, and by `drift` towards one fixed voice."""
    before, partners = rng.normal(size=(2, n, 8))
    noise = 0.1 * rng.normal(size=(n, 8))
    voice = np.eye(8)[0]
    return before, before + pull * (partners - before) + drift * (voice - before) + noise, partners


def test_shuffled_partners_look_like_the_real_ones_for_inert_agents_and_not_for_degroot_agents():
    rng = np.random.default_rng(151)
    inert = adaptation(*meetings(rng, 0.0), rng=rng, n_permutations=199)
    degroot = adaptation(*meetings(rng, 0.2), rng=rng, n_permutations=199)
    assert inert.null.p_value > 0.05
    assert abs(inert.approach.estimate) < 0.01
    assert degroot.null.p_value == 0.005
    assert degroot.approach.low > 0
    assert inert.inertia.estimate > degroot.inertia.estimate > 0.5


def test_a_society_that_drifts_together_is_not_taken_for_one_that_adapts():
    rng = np.random.default_rng(152)
    before, after, partners = meetings(rng, 0.0, drift=0.5)
    shared = adaptation(before, after, partners + 0.5 * np.eye(8)[0], rng=rng, n_permutations=199)
    assert shared.approach.low > 0
    assert shared.null.p_value > 0.05


def test_inert_agents_are_called_adaptive_at_the_nominal_rate():
    # Seed 153, 200 societies, p <= 0.1 expected in 20; false alarm 1 in 2000.
    rng = np.random.default_rng(153)
    found = sum(
        adaptation(*meetings(rng, 0.0, n=40), rng=rng, n_permutations=39).null.p_value <= 0.1
        for _ in range(200)
    )
    low, high = stats.binom.interval(0.999, 200, 0.1)
    assert low <= found <= high


def test_a_society_settles_without_growing_alike():
    rng = np.random.default_rng(154)
    texts = rng.normal(size=(4000, 6)) + 1.0
    table = semantic_stabilisation(texts, np.repeat(np.arange(4), 1000))
    assert math.isnan(table["to_previous"][0])
    assert table["to_previous"][1:].min() > 0.99
    assert table["mean_cosine"].max() < 0.8
    assert table["to_last"][-1] == pytest.approx(1)
    with pytest.raises(AnalysisError, match="no direction"):
        semantic_stabilisation([[0.0, 0.0]], [1])


WORDS = st.lists(st.sets(st.sampled_from("abcdef")), min_size=2, max_size=5)


@given(WORDS)
def test_words_that_come_and_go_are_counted_as_sets(windows):
    table = lexical_turnover([sorted(w) for w in windows])
    for i, row in enumerate(table.iter_rows(named=True), start=1):
        before, now = windows[i - 1], windows[i]
        ever = set().union(*windows[:i])
        expected = {
            "births": len(now - before) / len(now) if now else math.nan,
            "new": len(now - ever) / len(now) if now else math.nan,
            "deaths": len(before - now) / len(before) if before else math.nan,
        }
        for name, value in expected.items():
            assert row[name] == pytest.approx(value, nan_ok=True)


def test_influence_that_is_drawn_anew_each_window_does_not_persist():
    rng = np.random.default_rng(155)
    fresh = influence_persistence(rng.pareto(1.5, (12, 300)), top=30)
    assert abs(fresh.rank_correlation.estimate) < 0.05
    assert fresh.kept == pytest.approx(fresh.kept_by_chance, abs=0.05)
    assert fresh.supernodes.size == 0
    lasting = influence_persistence(rng.pareto(1.5, 300) * rng.uniform(0.9, 1.1, (12, 300)), top=30)
    assert lasting.kept > 0.8
    assert lasting.rank_correlation.low > 0.9
    assert math.isnan(influence_persistence(np.ones((1, 5)), top=2).kept)


def test_agents_who_tie_do_not_stay_influential_by_their_number():
    # Top 3: one above, four tie for two places, so each has 1/2: 1 + 4 x 1/4 of 3.
    tied = influence_persistence([[9, 1, 1, 1, 1, 0]] * 2, top=3)
    assert tied.kept == pytest.approx(2 / 3)
    assert tied.supernodes.tolist() == [0]
    nobody = influence_persistence(np.zeros((4, 10)), top=2)
    assert nobody.kept == pytest.approx(nobody.kept_by_chance)
    assert nobody.supernodes.size == 0
    assert math.isnan(nobody.rank_correlation.estimate)
    scores = np.random.default_rng(155).integers(0, 3, (6, 40))
    order = np.random.default_rng(156).permutation(40)
    one, other = (influence_persistence(x, top=5) for x in (scores, scores[:, order]))
    assert other.kept == pytest.approx(one.kept)
    assert sorted(order[other.supernodes]) == one.supernodes.tolist()


def test_consensus_is_one_for_one_voice_and_zero_for_all_voices_alike():
    rng = np.random.default_rng(156)
    one = collective_consensus(["a"] * 20, rng=rng, n_answers=4)
    all_alike = collective_consensus(["a", "b", "c", "d"] * 5, rng=rng)
    assert one["consensus"].estimate == pytest.approx(1)
    assert all_alike["consensus"].estimate == pytest.approx(0)
    assert math.isnan(collective_consensus(["a"] * 20, rng=rng)["consensus"].estimate)
    with pytest.raises(AnalysisError, match="different answers"):
        collective_consensus(["a", "b"], rng=rng, n_answers=1)


def groups(rng, pull, n=60):
    x = rng.normal(4, 1.5, (n, 4))
    y = x + pull * (x.mean(axis=1, keepdims=True) - x) + 0.1 * rng.normal(size=(n, 4))
    return convergence(x.ravel(), y.ravel(), np.repeat(np.arange(n), 4))


def test_the_change_within_a_group_is_that_of_its_standard_deviation():
    rng = np.random.default_rng(157)
    x, y, g = rng.normal(size=40), rng.normal(size=40), rng.integers(0, 6, 40)
    y[3] = math.nan
    table = convergence(x, y, g)
    for row in table.iter_rows(named=True):
        mine = (g == row["group"]) & ~np.isnan(y)
        expected = np.std(y[mine], ddof=1) - np.std(x[mine], ddof=1) if mine.sum() > 1 else math.nan
        assert row["change"] == pytest.approx(expected, nan_ok=True)
        assert row["n"] == mine.sum()


def test_the_gap_between_simulated_and_human_convergence_is_covered_at_the_nominal_rate():
    # Seed 158, 200 studies, level 0.9; false alarm 1 in 1000.
    rng, n, inside = np.random.default_rng(158), 200, 0
    truth = float(
        groups(rng, 0.6, 40_000)["change"].mean() - groups(rng, 0.2, 40_000)["change"].mean()
    )
    for _ in range(n):
        gap = convergence_gap(
            groups(rng, 0.6, 30), groups(rng, 0.2, 20), rng=rng, n_resamples=10, level=0.9
        ).gap
        inside += gap.low <= truth <= gap.high
    low, high = stats.binom.interval(0.999, n, 0.9)
    assert low <= inside <= high


def test_a_ratio_to_people_who_did_not_converge_is_undefined():
    rng = np.random.default_rng(159)
    found = convergence_gap(groups(rng, 0.5), groups(rng, 0.0), rng=rng)
    assert math.isnan(found.ratio.estimate)
    assert "not distinguishable" in found.ratio.reason
    assert found.gap.high < 0


def test_drift_to_the_default_is_told_apart_from_the_pull_of_others():
    rng = np.random.default_rng(160)
    x, others = rng.uniform(1, 7, (2, 400))
    y = x + 0.3 * (6 - x) + 0.2 * (others - x) + 0.2 * rng.normal(size=400)
    found = default_drift(x, y, 6.0, others=others, rng=rng, n_resamples=299)
    assert found.to_default.low < 0.3 < found.to_default.high
    assert found.to_others.low < 0.2 < found.to_others.high
    blind = default_drift(x, y, 6.0, rng=rng, n_resamples=99)
    assert blind.to_default.estimate > 0.35  # without the others their pull is taken for drift
    assert math.isnan(blind.to_others.estimate)


def test_drift_is_covered_at_the_nominal_rate_when_groups_share_their_chance():
    # Seed 161, 200 studies of 200 groups of 5 with a common shock, level 0.9; false alarm 1 in 1e3.
    # A percentile bootstrap is short by about 1/n of its width, which 200 groups make small.
    rng, n, inside = np.random.default_rng(161), 200, 0
    g = np.repeat(np.arange(200), 5)
    for _ in range(n):
        x = rng.uniform(1, 7, 1000)
        y = x + 0.25 * (6 - x) + rng.normal(0, 0.3, 200)[g]
        e = default_drift(x, y, 6.0, groups=g, rng=rng, n_resamples=99, level=0.9).to_default
        inside += e.low <= 0.25 <= e.high
    low, high = stats.binom.interval(0.999, n, 0.9)
    assert low <= inside <= high


def test_nowhere_to_drift_is_undefined():
    found = default_drift([4.0, 4.0], [4.0, 5.0], 4.0, rng=np.random.default_rng(1))
    assert math.isnan(found.to_default.estimate)
    assert "nowhere" in found.to_default.reason


def decisions(rng, drift, windows=6, n=400):
    """Agents whose choices slide from one distribution to another by `drift` per window."""
    start, end = np.array([0.6, 0.3, 0.1]), np.array([0.1, 0.2, 0.7])
    rows = []
    for w in range(windows):
        part = min(1.0, drift * w)
        choice = rng.choice(["a", "b", "c"], n, p=(1 - part) * start + part * end)
        sure = np.clip(rng.beta(8, 3, n) - 0.4 * part, 0, 1)
        long = rng.poisson(40 * (1 + part), n)
        table = {"choice": choice, "sure": sure, "long": long, "failed": rng.random(n) < 0.3 * part}
        rows.append(pl.DataFrame(table).with_columns(window=pl.lit(w), agent=pl.lit("all")))
    return pl.concat(rows)


COLUMNS = {"confidence": "sure", "length": "long", "failed": "failed"}


def test_a_stationary_agent_stays_above_0_95_and_a_drifting_one_falls_with_its_rate():
    # Items about the order of choices are left out: independent draws have no order to keep.
    rng = np.random.default_rng(162)
    last = []
    for drift in (0.0, 0.05, 0.1, 0.2):
        items = stability_items(decisions(rng, drift), **COLUMNS).drop("sequence")
        table = stability_index(items)
        last.append(table["asi"][-1])
        if drift == 0:
            assert table["asi"].min() >= 0.95
            assert not table["alarm"].any()
    assert last == sorted(last, reverse=True)
    assert last[-1] < 0.8
    assert np.all(np.diff(stability_index(items)["asi"].to_numpy()) < 0.01)


def test_anchoring_brings_the_index_back():
    rng = np.random.default_rng(163)
    drifting = decisions(rng, 0.2, windows=4)
    anchored = decisions(rng, 0.0, windows=1).with_columns(window=pl.lit(4))
    items = stability_items(pl.concat([drifting, anchored]), **COLUMNS).drop("sequence")
    asi = stability_index(items)["asi"]
    assert asi[3] < 0.85
    assert asi[4] > 0.95


def test_the_alarm_waits_for_three_windows_below_the_floor():
    items = pl.DataFrame({"window": range(6), "outputs": [1.0, 0.7, 0.7, 0.8, 0.6, 0.6]})
    assert not stability_index(items)["alarm"].any()
    low = pl.DataFrame({"window": range(4), "outputs": [0.7, 0.7, 0.7, 0.9]})
    assert stability_index(low)["alarm"].to_list() == [False, False, True, False]


def test_what_was_not_recorded_is_left_out_and_said():
    items = pl.DataFrame({"window": [0], "outputs": [0.8], "paths": [None], "errors": [0.4]})
    row = stability_index(items).row(0, named=True)
    assert row["asi"] == pytest.approx((0.3 * 0.8 + 0.2 * 0.4) / 0.5)
    assert row["recorded"] == pytest.approx(0.5)
    assert math.isnan(row["choices"])
    with pytest.raises(AnalysisError, match=r"leave \[0, 1\]"):
        stability_index(pl.DataFrame({"window": [0], "outputs": [1.2]}))


def slow_distance(a, b):
    table = [[i + j if i * j == 0 else 0 for j in range(len(b) + 1)] for i in range(len(a) + 1)]
    for i, j in np.ndindex(len(a), len(b)):
        swap = table[i][j] + (a[i] != b[j])
        table[i + 1][j + 1] = min(table[i][j + 1] + 1, table[i + 1][j] + 1, swap)
    return table[-1][-1]


@given(st.text("abc", max_size=9), st.text("abc", max_size=9))
def test_the_order_of_choices_is_compared_by_edit_distance(a, b):
    found = sequence_stability(a, b)
    longest = max(len(a), len(b))
    expected = 1 - slow_distance(a, b) / longest if longest else math.nan
    assert found == pytest.approx(expected, nan_ok=True)
    assert sequence_stability(b, a) == pytest.approx(expected, nan_ok=True)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=6))
@settings(deadline=None)
def test_distributions_are_compared_by_the_jensen_shannon_divergence(pairs):
    from scipy.spatial.distance import jensenshannon

    p, q = np.array(pairs, dtype=float).T
    if p.sum() == 0 or q.sum() == 0:
        assert math.isnan(distribution_stability(p, q))
        return
    expected = 1 - jensenshannon(p, q, base=2) ** 2
    assert distribution_stability(p, q) == pytest.approx(expected, abs=1e-9)


def test_what_agents_say_is_compared_by_direction_and_opposite_counts_as_unrelated():
    start = np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0], [0.0, 0.0]])
    now = np.array([[5.0, 0.0], [1.0, 1.0], [-1.0, 0.0], [1.0, 0.0]])
    # Cosines 1, 1 / sqrt 2 and -1, which counts 0; the last said nothing at the start.
    assert output_stability(now, start) == pytest.approx((1 + math.sqrt(0.5)) / 3)
    assert output_stability(7 * now, start) == pytest.approx(output_stability(now, start))
    assert math.isnan(output_stability([[0.0, 0.0]], [[1.0, 0.0]]))
