"""Effects of paired runs: known answers, coverage in simulation, what is said when undefined."""

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from abm.analysis.effects import (
    adjusted,
    effects_table,
    equivalence,
    means_table,
    paired_effect,
    power,
    replications_needed,
    unpaired_effect,
)
from abm.errors import AnalysisError

NUMBERS = st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)), min_size=2, max_size=12)


def paired_samples(rng, n, correlation, shift=0.0):
    common, own = rng.normal(size=(2, n)), rng.normal(size=(2, n))
    both = math.sqrt(correlation) * common[0] + math.sqrt(1 - correlation) * own
    return both[0] + shift, both[1]


def band(n, p):
    """99.9 % band of a binomial count, as shares."""
    low, high = stats.binom.interval(0.999, n, p)
    return low / n, high / n


def test_the_paired_interval_is_the_one_of_the_paired_t_test():
    a, b = paired_samples(np.random.default_rng(1), 12, 0.7, shift=0.4)
    effect, known = paired_effect(a, b), stats.ttest_rel(a, b)
    interval = known.confidence_interval(0.95)
    assert effect.estimate == pytest.approx(np.mean(a - b))
    assert (effect.low, effect.high) == pytest.approx((interval.low, interval.high))
    assert effect.p_value == pytest.approx(known.pvalue)


def test_the_unpaired_interval_is_the_one_of_welch():
    rng = np.random.default_rng(2)
    a, b = rng.normal(1, 1, 9), rng.normal(0, 3, 14)
    effect, known = unpaired_effect(a, b), stats.ttest_ind(a, b, equal_var=False)
    interval = known.confidence_interval(0.95)
    assert (effect.low, effect.high) == pytest.approx((interval.low, interval.high))
    assert effect.p_value == pytest.approx(known.pvalue)
    assert effect.degrees == pytest.approx(known.df)


def test_paired_intervals_cover_the_true_effect_at_the_nominal_rate():
    # Seed 3, 2000 experiments of 10 pairs: false alarm 1 in 1000.
    rng, n = np.random.default_rng(3), 2000
    inside = 0
    for _ in range(n):
        effect = paired_effect(*paired_samples(rng, 10, 0.8, shift=0.5), level=0.9)
        inside += effect.low <= 0.5 <= effect.high
    low, high = band(n, 0.9)
    assert low <= inside / n <= high


def test_common_random_numbers_narrow_the_interval_and_the_correlation_says_so():
    rng = np.random.default_rng(4)
    a, b = paired_samples(rng, 400, 0.9, shift=0.1)
    effect = paired_effect(a, b)
    assert effect.correlation == pytest.approx(0.9, abs=0.03)
    assert effect.sd_unpaired == pytest.approx(math.sqrt(2), rel=0.1)
    # Var(a - b) = 2 (1 - rho) for unit variances, so one pair is worth 1 / (1 - rho) = 10 runs.
    assert effect.variance_ratio == pytest.approx(10, rel=0.3)


@given(NUMBERS)
def test_swapping_the_arms_turns_the_sign(values):
    a, b = np.array(values).T
    one, other = paired_effect(a, b), paired_effect(b, a)
    assert one.estimate == pytest.approx(-other.estimate)
    assert one.low == pytest.approx(-other.high)


@given(NUMBERS, st.randoms(use_true_random=False))
def test_the_order_of_replications_does_not_matter(values, random):
    a, b = np.array(values).T
    order = list(range(len(values)))
    random.shuffle(order)
    one, other = paired_effect(a, b), paired_effect(a[order], b[order])
    assert one.estimate == pytest.approx(other.estimate, abs=1e-9)
    assert one.high == pytest.approx(other.high, rel=1e-9, abs=1e-7)


def test_one_pair_has_an_estimate_and_no_interval():
    effect = paired_effect([2.0], [0.5])
    assert effect.estimate == 1.5
    assert np.isnan([effect.low, effect.high, effect.p_value]).all()
    assert effect.reason == "one pair: no interval"


def test_undefined_outcomes_leave_their_pair_and_are_said():
    effect = paired_effect([1.0, math.nan, 3.0, 5.0], [0.0, 1.0, math.nan, 2.0])
    assert effect.n == 2
    assert effect.estimate == 2.0
    assert effect.reason == "2 undefined pairs left out"


def test_identical_arms_differ_by_exactly_nothing():
    effect = paired_effect([1.0, 2.0, 4.0], [1.0, 2.0, 4.0])
    assert (effect.estimate, effect.low, effect.high, effect.p_value) == (0, 0, 0, 1)
    assert equivalence(effect, margin=0.1).equivalent


def test_a_constant_outcome_has_no_correlation():
    assert math.isnan(paired_effect([1.0, 1.0], [0.0, 2.0]).correlation)


def test_unequal_numbers_of_replications_are_refused_with_the_remedy():
    with pytest.raises(AnalysisError, match="unpaired_effect"):
        paired_effect([1.0, 2.0], [1.0])


def test_runs_that_differ_in_nothing_support_no_interval():
    with pytest.raises(AnalysisError, match="copies of one run"):
        paired_effect([1.0, 2.0], [1.0, 2.0], varied=())


def test_the_description_names_what_varied_and_what_was_fixed():
    text = paired_effect([1.0, 2.0, 4.0], [0.0, 2.0, 2.0], varied=("chance",)).describe()
    assert "varied: chance;" in text
    assert "held fixed: model, prompt" in text
    assert "correlation" in text


def test_equivalence_holds_exactly_when_the_wide_interval_lies_inside_the_margin():
    rng = np.random.default_rng(5)
    verdicts = set()
    for shift in np.linspace(-1, 1, 41):
        effect = paired_effect(*paired_samples(rng, 20, 0.8, shift=shift))
        test = equivalence(effect, margin=0.5)
        assert test.equivalent == (test.low > -0.5 and test.high < 0.5)
        verdicts.add(test.equivalent)
    assert verdicts == {True, False}


def test_equivalence_at_the_margin_is_declared_at_most_at_the_level():
    # Seed 6, true difference on the margin: wrong verdicts at rate alpha; false alarm 1 in 1000.
    rng, n = np.random.default_rng(6), 2000
    wrong = sum(
        equivalence(paired_effect(*paired_samples(rng, 15, 0.9, shift=0.5)), margin=0.5).equivalent
        for _ in range(n)
    )
    assert wrong / n <= band(n, 0.05)[1]


def test_equivalence_is_not_shown_by_a_single_pair():
    verdict = equivalence(paired_effect([1.0], [1.0]), margin=10)
    assert not verdict.equivalent
    assert verdict.reason == "one pair: no interval"


@pytest.mark.parametrize("halfwidth", [0.05, 0.3, 1.0, 5.0])
def test_the_replications_needed_reach_the_width_and_one_fewer_does_not(halfwidth):
    def width(n):
        return stats.t.ppf(0.975, n - 1) / math.sqrt(n)

    n = replications_needed(1.0, halfwidth)
    assert width(n) <= halfwidth
    assert n == 2 or width(n - 1) > halfwidth


def test_power_is_the_share_of_intervals_that_exclude_zero():
    # Seed 7, 3000 experiments; false alarm 1 in 1000.
    rng, n = np.random.default_rng(7), 3000
    found = 0
    for _ in range(n):
        effect = paired_effect(rng.normal(0.7, 1.0, 12), np.zeros(12))
        found += not effect.low <= 0 <= effect.high
    low, high = band(n, power(0.7, 1.0, 12))
    assert low <= found / n <= high


def runs(n=6):
    rng = np.random.default_rng(8)
    rows = []
    for answerer in ("llm", "rule"):
        for r in range(n):
            base = rng.normal()
            for arm, shift in (("placebo", 0.0), ("ordinary", 1.0), ("opposing", 3.0)):
                value = base + shift + rng.normal(0, 0.1)
                rows.append((answerer, arm, r, value, -value))
    return pl.DataFrame(
        rows, schema=["answerer", "arm", "replication", "share", "other"], orient="row"
    )


def test_the_table_of_effects_holds_the_paired_effect_of_each_cell():
    frame = runs()
    table = effects_table(
        frame.sample(fraction=1.0, shuffle=True, seed=1),
        outcomes=["share", "other"],
        control=["placebo", "ordinary"],
        by="answerer",
    )
    # per answerer: opposing and ordinary to placebo, opposing and placebo to ordinary; 2 outcomes
    assert table.height == 2 * 4 * 2
    for row in table.iter_rows(named=True):
        cell = frame.filter(answerer=row["answerer"]).sort("replication")
        one, other = (
            cell.filter(arm=row[side])[row["outcome"]].to_numpy() for side in ("arm", "control")
        )
        effect = paired_effect(one, other)
        assert row["estimate"] == pytest.approx(effect.estimate)
        assert (row["low"], row["high"]) == pytest.approx((effect.low, effect.high))
        assert row["correlation"] == pytest.approx(effect.correlation)
        assert row["n"] == 6
        assert row["varied"] == "chance, population, network"


def test_a_run_without_partner_is_left_out_and_counted():
    frame = runs().filter(~((pl.col("arm") == "opposing") & (pl.col("replication") == 0)))
    table = effects_table(frame, outcomes="share", control="placebo", by="answerer")
    row = table.filter(arm="opposing", answerer="llm").row(0, named=True)
    assert (row["n"], row["unmatched"]) == (5, 1)
    assert "without a partner" in row["reason"]


def test_rows_of_agents_are_not_mistaken_for_replications():
    frame = pl.concat([runs(), runs()])
    with pytest.raises(AnalysisError, match="replication is the unit"):
        effects_table(frame, outcomes="share", control="placebo", by="answerer")
    with pytest.raises(AnalysisError, match="replication is the unit"):
        means_table(frame, outcomes="share", by=["answerer", "arm"])


def test_an_unknown_control_is_refused_with_the_arms_there_are():
    with pytest.raises(AnalysisError, match="ordinary"):
        effects_table(runs(), outcomes="share", control="nobody", by="answerer")


def test_a_missing_column_is_named():
    with pytest.raises(AnalysisError, match="colour"):
        effects_table(runs(), outcomes="colour", control="placebo", by="answerer")


def test_means_hold_the_t_interval_of_each_cell_and_say_what_is_missing():
    frame = runs().with_columns(
        pl.when((pl.col("arm") == "opposing") & (pl.col("replication") == 2))
        .then(None)
        .otherwise(pl.col("share"))
        .alias("share")
    )
    table = means_table(frame, outcomes=["share", "other"], by=["answerer", "arm"])
    assert table.height == 12
    for row in table.iter_rows(named=True):
        cell = frame.filter(answerer=row["answerer"], arm=row["arm"])[row["outcome"]].drop_nulls()
        known = stats.ttest_1samp(cell.to_numpy(), 0).confidence_interval(0.95)
        assert row["estimate"] == pytest.approx(cell.mean())
        assert (row["low"], row["high"]) == pytest.approx((known.low, known.high))
        gone = row["outcome"] == "share" and row["arm"] == "opposing"
        assert row["reason"] == ("1 undefined replication left out" if gone else "")


def test_an_outcome_that_is_never_defined_stays_undefined():
    frame = pl.DataFrame({"arm": ["a", "a"], "replication": [0, 1], "x": [math.nan, None]})
    row = means_table(frame, outcomes="x", by="arm").row(0, named=True)
    assert np.isnan([row["estimate"], row["low"]]).all()
    assert row["reason"].startswith("no replication")


def test_holm_correction_counts_only_defined_tests_within_a_family():
    table = pl.DataFrame({"g": ["x"] * 3 + ["y"], "p_value": [0.01, 0.02, math.nan, 0.04]})
    p = adjusted(table, family="g")["p_adjusted"].to_list()
    assert p[:2] == pytest.approx([0.02, 0.02])
    assert math.isnan(p[2])
    assert p[3] == pytest.approx(0.04)


def test_the_interval_of_a_share_can_be_cut_to_the_shares_there_are():
    frame = pl.DataFrame({"arm": ["a"] * 3, "replication": [0, 1, 2], "x": [0.0, 0.0, 0.1]})
    free = means_table(frame, outcomes="x", by="arm").row(0, named=True)
    cut = means_table(frame, outcomes="x", by="arm", within=(0, 1)).row(0, named=True)
    assert free["low"] < 0
    assert (cut["low"], cut["high"]) == (0, free["high"])


def test_a_cell_without_control_runs_has_an_undefined_effect_and_does_not_vanish():
    frame = runs().filter((pl.col("arm") != "placebo") | (pl.col("answerer") == "llm"))
    table = effects_table(frame, outcomes="share", control="placebo", by="answerer")
    row = table.filter(arm="opposing", answerer="rule").row(0, named=True)
    assert np.isnan([row["estimate"], row["low"]]).all()
    assert row["reason"] == "no pair; 6 runs without a partner left out"


def test_a_difference_without_spread_has_no_p_value_and_rounding_is_no_spread():
    for treated, control in (([2.0] * 3, [1.0] * 3), ([0.1 + 0.2] * 3, [0.3] * 3)):
        effect = paired_effect(treated, control)
        assert (effect.sd_paired, effect.low) == (0.0, effect.high)
        assert math.isnan(effect.p_value)
        assert math.isnan(unpaired_effect(treated, control).p_value)
    gaps = np.array([0.1, 0.2, 0.3])
    rounded = paired_effect(1e3 + gaps + 0.7, 1e3 + gaps)  # apart by rounding only
    assert rounded.sd_paired == 0.0
    tiny = paired_effect(1e-15 * np.array([1.0, 2.0, 4.0]), np.zeros(3))  # small, but no rounding
    assert tiny.p_value == pytest.approx(stats.ttest_1samp([1.0, 2.0, 4.0], 0).pvalue)


def test_equivalence_without_spread_says_so_and_no_margin_is_infinite():
    same = paired_effect([1.0, 2.0], [1.0, 2.0])
    assert equivalence(same, margin=0.1).reason.startswith("no spread")
    with pytest.raises(AnalysisError, match="finite number > 0"):
        equivalence(same, margin=math.inf)
