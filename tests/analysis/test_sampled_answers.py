"""The error of sampled answers: how large it is, and that an interval with it covers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from scipy import stats

from abm.analysis.comparisons import effects_table, means_table
from abm.analysis.equivalence import equivalence
from abm.analysis.paired import paired_effect
from abm.analysis.redraws import with_redraws
from abm.analysis.sampled import answer_degrees, answer_error, redrawn, with_answer_error
from abm.errors import AnalysisError


def test_many_draws_have_the_error_of_a_binomial_share():
    k, p = 10_000, 0.3
    assert answer_error([[p * k, (1 - p) * k]]) == pytest.approx(np.sqrt(p * (1 - p) / k), rel=0.01)


def test_the_error_falls_with_the_square_root_of_the_draws():
    few, many = answer_error([[300, 700]]), answer_error([[4 * 300, 4 * 700]])
    assert few / many == pytest.approx(2, rel=0.01)


def test_an_option_that_was_always_drawn_is_not_taken_for_certain():
    assert answer_error([[10, 0]]) > 0.02


def test_requests_that_both_arms_raise_equally_cancel():
    counts = [[5, 5], [8, 2], [1, 9]]
    both = np.array([0.5, 0.3, 0.2])
    assert answer_error(counts, weights=both - both) == 0.0
    assert answer_error(counts, weights=[0.5, -0.5, 0.0]) > 0


def test_the_error_of_a_scale_is_that_of_its_redraws():
    counts, weights, values = [[4, 3, 3], [1, 2, 7]], [0.6, 0.4], [1.0, 2.0, 3.0]
    rng = np.random.default_rng(8)
    means = [np.array(weights) @ redrawn(counts, rng=rng) @ np.array(values) for _ in range(20_000)]
    # the standard deviation of 20,000 redraws is known to 0.5 %; five of them
    assert answer_error(counts, weights, values) == pytest.approx(np.std(means), rel=0.025)


def test_an_interval_with_the_error_of_answers_covers_and_one_without_does_not():
    """600 studies, seed 11: each asks a server 40 times once, then all 8 replications use it.

    The mean over replications estimates the server's share with both errors. Bands are the 99.9 %
    binomial ones; normal noise between replications.
    """
    rng, n_studies, k, truth = np.random.default_rng(11), 600, 40, 0.35
    hits = {"with": 0, "without": 0}
    for _ in range(n_studies):
        yes = rng.binomial(k, truth)
        runs = yes / k + rng.normal(0, 0.02, 8)
        effect = paired_effect(runs, np.zeros(8))
        wider = with_answer_error(effect, answer_error([[yes, k - yes]]))
        for name, one in (("with", wider), ("without", effect)):
            hits[name] += one.low <= truth <= one.high
    low, high = stats.binom.interval(0.999, n_studies, 0.95)
    assert low <= hits["with"] <= high
    assert hits["without"] < 0.5 * n_studies


def test_the_interval_says_that_the_answers_varied():
    effect = paired_effect([1.0, 2.0, 4.0], [0.0, 1.0, 2.0], fixed=("model", "shared answers"))
    wider = with_answer_error(effect, 1.0)
    assert wider.varied[-1] == "sampled answers"
    assert wider.fixed == ("model",)
    assert wider.high - wider.low > effect.high - effect.low


def test_where_nothing_else_varied_the_interval_is_that_of_the_answers():
    wider = with_answer_error(paired_effect([1.0, 1.0], [0.5, 0.5]), 0.1)
    assert wider.high - wider.estimate == pytest.approx(0.1 * stats.norm.ppf(0.975))
    assert wider.p_value == pytest.approx(2 * stats.norm.sf(5))


@pytest.mark.parametrize("n_options", [2, 7])
@pytest.mark.parametrize("n_requests", [1, 4, 20])
def test_few_draws_and_little_else_cover_at_the_nominal_rate(n_options, n_requests):
    """1,000 studies, seed 14: 20 draws per request, 6 replications that hardly differ.

    Shares of the first option from 0.25 to 0.75, where means of 20 draws are near to normal. Bands
    are the 99.9 % binomial ones. The spread of redraws is that of `answer_error`; the posterior of
    the answers, which is narrower, was covered in 91 to 93 %.
    """
    rng, n, k = np.random.default_rng(14), 1000, 20
    first = rng.uniform(0.25, 0.75, (n, n_requests, 1))
    rest = (1 - first) * rng.dirichlet(np.ones(n_options - 1), (n, n_requests))
    counts = rng.multinomial(k, np.concatenate([first, rest], axis=2))
    truth, means = first.mean(axis=(1, 2)), counts[..., 0].mean(axis=1) / k
    runs = means[:, None] + rng.normal(0, 0.002, (n, 6))
    hits = 0
    for i in range(n):
        error, degrees = answer_error(counts[i]), answer_degrees(counts[i])
        wide = with_answer_error(paired_effect(runs[i], np.zeros(6)), error, degrees=degrees)
        hits += wide.low <= truth[i] <= wide.high
    low, high = stats.binom.interval(0.999, n, 0.95)
    assert low <= hits <= high


@pytest.mark.parametrize("ratio", [0.1, 1.0, 10.0])
def test_the_sum_of_two_spreads_covers_at_the_nominal_rate_and_is_never_narrower(ratio):
    """1,000 studies of 4 replications, seed 15; the answers have 9.5 degrees of freedom."""
    rng, n, reps, degrees = np.random.default_rng(15), 1000, 4, 9.5
    own = rng.normal(rng.normal(0, np.sqrt(ratio / reps), (n, 1)), 1, (n, reps))
    errors = np.sqrt(ratio / reps * rng.chisquare(degrees, n) / degrees)
    hits = 0
    for runs, error in zip(own, errors, strict=True):
        effect = paired_effect(runs, np.zeros(reps))
        wide = with_answer_error(effect, error, degrees=degrees)
        hits += wide.low <= 0 <= wide.high
        assert wide.low <= effect.low < effect.high <= wide.high
    low, high = stats.binom.interval(0.999, n, 0.95)
    assert low <= hits <= high


def test_redraws_vary_as_much_as_what_was_drawn():
    # The variance of shares of k draws is p(1-p)/k; that between redraws of each, on average over
    # what was drawn, is within 10 % of it (half a draw of each option is added). Seed 16.
    rng, k, p = np.random.default_rng(16), 20, 0.4
    yes = rng.binomial(k, p, 3000)
    counts = np.stack([yes, k - yes], axis=1)
    shares = np.stack([redrawn(counts, rng=rng)[:, 0] for _ in range(20)])
    assert shares.var(axis=0, ddof=1).mean() == pytest.approx(p * (1 - p) / k, rel=0.1)
    assert np.allclose(shares * (k - 1), np.rint(shares * (k - 1)))


def test_degrees_of_freedom_are_those_of_the_request_that_matters():
    assert answer_degrees([[5, 5], [50, 50]], weights=[1.0, 0.0]) == pytest.approx(9)
    assert answer_degrees([[5, 5], [5, 5]]) == pytest.approx(18)


def studies(rng, n_studies, k, n_redraws, bent):
    """Studies that ask a server k times, run 6 replications, and repeat them with redraws.

    A share p of yes, 0.2 to 0.8, becomes the outcome p itself or, `bent`, p^2 / (p^2 + (1 - p)^2),
    as when two neighbours have to agree.
    """

    def outcome(p):
        return p**2 / (p**2 + (1 - p) ** 2) if bent else p

    truth = rng.uniform(0.2, 0.8, n_studies)
    yes = rng.binomial(k, truth)
    noise = rng.normal(0, 0.003, (6, n_studies))
    counts = np.stack([yes, k - yes], axis=1)
    rows = np.indices((6, n_studies)).reshape(2, -1)
    frame = pl.DataFrame({"study": rows[1], "replication": rows[0]})
    runs = frame.with_columns(y=pl.Series((outcome(yes / k) + noise).ravel()))
    shares = [redrawn(counts, rng=rng)[:, 0] for _ in range(n_redraws)]
    again = [
        frame.with_columns(y=pl.Series((outcome(p) + noise).ravel()), redraw=pl.lit(j))
        for j, p in enumerate(shares)
    ]
    return runs, pl.concat(again), outcome(truth)


@pytest.mark.parametrize("bent", [False, True])
@pytest.mark.parametrize("k", [20, 60])
def test_a_table_with_redraws_covers_also_what_is_no_mean_of_the_answers(k, bent):
    """600 studies, seed 12, 20 redraws; the 99.9 % binomial band.

    With one standard deviation for both sides, from the posterior, the bent outcome was covered in
    88 % at k = 20.
    """
    n = 600
    runs, again, truth = studies(np.random.default_rng(12), n, k, 20, bent)

    def make(frame):
        return means_table(frame, outcomes="y", by="study")

    heads, narrow = ["study", "outcome"], make(runs)
    wide = with_redraws(make, runs, again, heads=heads, degrees=k - 1)
    ends = [(t["low"].to_numpy(), t["high"].to_numpy()) for t in (wide, narrow)]
    hits = [int(((lower <= truth) & (truth <= upper)).sum()) for lower, upper in ends]
    low, high = stats.binom.interval(0.999, n, 0.95)
    assert low <= hits[0] <= high
    assert hits[1] < 0.5 * n
    assert wide["estimate"].to_list() == narrow["estimate"].to_list()
    assert set(wide["varied"]) == {"chance, population, network, sampled answers"}


def test_a_lopsided_interval_has_the_p_value_and_the_equivalence_of_its_side():
    effect = paired_effect(0.5 + np.arange(8) / 100, np.zeros(8))
    wide = with_answer_error(effect, 0.1, above=0.3, degrees=12.0)
    assert effect.low - wide.low < wide.high - effect.high
    at_the_edge = replace(
        wide, estimate=wide.estimate - wide.low, low=0.0, high=wide.high - wide.low
    )
    assert at_the_edge.p_value == pytest.approx(0.05)
    inside = equivalence(wide, margin=1.0, alpha=0.025)
    assert (inside.low, inside.high) == pytest.approx((wide.low, wide.high))
    assert inside.equivalent == (wide.high < 1.0)


def test_an_effect_keeps_its_interval_where_redraws_move_nothing():
    runs, again, _ = studies(np.random.default_rng(13), 2, 20, 5, bent=False)
    arms = pl.col("study").replace_strict({0: "a", 1: "b"}).alias("arm")
    runs, again = runs.with_columns(arms), again.with_columns(arms)

    def make(frame):
        return effects_table(frame, outcomes="y", control="a")

    heads = ["arm", "control", "outcome"]
    still = pl.concat([runs.with_columns(redraw=pl.lit(j)) for j in range(5)])
    assert with_redraws(make, runs, still, heads=heads).drop("answer_error").equals(make(runs))
    row = with_redraws(make, runs, again, heads=heads).row(0, named=True)
    before = make(runs).row(0, named=True)
    assert row["low"] < before["low"] < before["high"] < row["high"]
    assert row["p_value"] > before["p_value"]
    gaps = [make(part)["estimate"][0] - before["estimate"] for part in again.partition_by("redraw")]
    own = (before["high"] - before["low"]) / 2 / stats.t.ppf(0.975, 5)
    for side, moved in (("low", np.minimum(gaps, 0)), ("high", np.maximum(gaps, 0))):
        variances = np.array([own**2, 2 * np.mean(moved**2)])
        degrees = variances.sum() ** 2 / (variances**2 / [5, 2]).sum()
        half = stats.t.ppf(0.975, degrees) * np.sqrt(variances.sum())
        expected = max(half, own * stats.t.ppf(0.975, 5))
        assert abs(row[side] - row["estimate"]) == pytest.approx(expected)
    with pytest.raises(AnalysisError, match="two or more"):
        with_redraws(make, runs, again.filter(redraw=0), heads=heads)


def test_a_request_without_draws_is_refused():
    with pytest.raises(AnalysisError, match="at least one draw"):
        answer_error([[0, 0]])
