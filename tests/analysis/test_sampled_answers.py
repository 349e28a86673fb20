"""The error of sampled answers: how large it is, and that an interval with it covers."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy import stats

from abm.analysis.comparisons import effects_table, means_table
from abm.analysis.paired import paired_effect
from abm.analysis.redraws import with_redraws
from abm.analysis.sampled import answer_error, redrawn, with_answer_error
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
    wider = with_answer_error(effect, 0.1)
    assert wider.varied[-1] == "sampled answers"
    assert wider.fixed == ("model",)
    assert wider.high - wider.low > effect.high - effect.low


def test_where_nothing_else_varied_the_interval_is_that_of_the_answers():
    wider = with_answer_error(paired_effect([1.0, 1.0], [0.5, 0.5]), 0.1)
    assert wider.high - wider.estimate == pytest.approx(0.1 * stats.norm.ppf(0.975))
    assert wider.p_value == pytest.approx(2 * stats.norm.sf(5))


def studies(rng, n_studies, k, truth, n_redraws):
    """Studies that ask a server k times, run 8 replications, and repeat them with redraws.

    The outcome is no mean of the answers: a share p of yes becomes p^2 / (p^2 + (1 - p)^2), as when
    two neighbours have to agree.
    """

    def outcome(p, noise):
        return p**2 / (p**2 + (1 - p) ** 2) + noise

    yes = rng.binomial(k, truth, n_studies)
    noise = rng.normal(0, 0.03, (n_studies, 8))
    drawn = rng.beta(yes + 0.5, k - yes + 0.5, (n_redraws, n_studies))
    rows = np.indices((n_studies, 8)).reshape(2, -1)
    frame = pl.DataFrame({"study": rows[0], "replication": rows[1]})
    runs = frame.with_columns(y=outcome(yes / k, noise.T).T.ravel())
    again = [
        frame.with_columns(y=outcome(p, noise.T).T.ravel(), redraw=pl.lit(j))
        for j, p in enumerate(drawn)
    ]
    return runs, pl.concat(again), outcome(truth, 0.0)


def test_a_table_with_redraws_covers_what_is_no_mean_of_the_answers():
    """600 studies, seed 12, 60 draws, 20 redraws; the 99.9 % binomial band."""
    n = 600
    runs, again, truth = studies(np.random.default_rng(12), n, 60, 0.4, 20)

    def make(frame):
        return means_table(frame, outcomes="y", by="study")

    wide, narrow = with_redraws(make, runs, again, heads=["study", "outcome"]), make(runs)
    hits = [int(((t["low"] <= truth) & (truth <= t["high"])).sum()) for t in (wide, narrow)]
    low, high = stats.binom.interval(0.999, n, 0.95)
    assert low <= hits[0] <= high
    assert hits[1] < 0.5 * n
    assert wide["estimate"].to_list() == narrow["estimate"].to_list()
    assert set(wide["varied"]) == {"chance, population, network, sampled answers"}


def test_an_effect_keeps_its_interval_where_redraws_move_nothing():
    runs, again, _ = studies(np.random.default_rng(13), 2, 20, 0.4, 3)
    arms = pl.col("study").replace_strict({0: "a", 1: "b"}).alias("arm")
    runs, again = runs.with_columns(arms), again.with_columns(arms)

    def make(frame):
        return effects_table(frame, outcomes="y", control="a")

    heads = ["arm", "control", "outcome"]
    still = pl.concat([runs.with_columns(redraw=pl.lit(j)) for j in range(3)])
    assert with_redraws(make, runs, still, heads=heads).drop("answer_error").equals(make(runs))
    row = with_redraws(make, runs, again, heads=heads).row(0, named=True)
    before = make(runs).row(0, named=True)
    assert row["low"] < before["low"] < before["high"] < row["high"]
    assert row["p_value"] > before["p_value"]
    own, more = (before["high"] - before["low"]) / 2, stats.t.ppf(0.975, 2) * row["answer_error"]
    assert (row["high"] - row["low"]) / 2 == pytest.approx(np.hypot(own, more))
    with pytest.raises(AnalysisError, match="two or more"):
        with_redraws(make, runs, again.filter(redraw=0), heads=heads)


def test_a_request_without_draws_is_refused():
    with pytest.raises(AnalysisError, match="at least one draw"):
        answer_error([[0, 0]])
