"""Settled bounded confidence and its survey: limits, halves, scores, and citizens who are asked."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from abm.analysis.scales import agreement
from abm.calibration.execution import execute
from abm.calibration.reading import Calibration
from abm.errors import CalibrationError
from abm.models.opinion_network.stationary import citizens, scoring, society, survey
from abm.models.opinion_network.stationary.encounters import answered_encounters

CALM = {"bound": 0.5, "noise": 0.1, "stubborn": 0.0, "lean": 0.5}


def test_the_halves_share_nobody_and_do_not_depend_on_the_fit():
    fit, score = survey.halves()
    assert (fit.height, score.height) == (472, 472)
    together = np.bincount(np.concatenate([fit["PID"], score["PID"]]))
    assert together.tolist() == [200, 180, 108, 37, 94, 150, 175]
    assert survey.halves(1)[0].equals(fit) is False


def test_moments_are_those_of_the_respondents():
    codes = survey.respondents()["selfLR"].to_numpy()
    found = survey.moments(survey.shares_of(survey.respondents(), "selfLR", 1))
    x = (codes - 1) / 6
    assert found["mean"] == pytest.approx(x.mean())
    assert found["sd"] == pytest.approx(x.std())
    assert found["asymmetry"] == pytest.approx(stats.skew(x))
    assert found["agreement"] == pytest.approx(0.3706, abs=1e-4)
    assert found["bimodality"] == pytest.approx(
        (stats.skew(x) ** 2 + 1) / stats.kurtosis(x, fisher=False)
    )
    assert agreement(np.bincount(codes)[1:]) == pytest.approx(found["agreement"])


def test_without_encounters_noise_alone_is_uniform_and_nobody_stubborn_moves():
    shares = society.settle({**CALM, "bound": 0.0, "noise": 1.0}, 1, n=2000, snapshots=4)
    # 8,000 opinions: the largest of seven deviations stays below five standard errors
    assert np.abs(shares - 1 / 7).max() < 5 * (6 / 49 / 8000) ** 0.5
    stubborn = {**CALM, "stubborn": 0.6, "lean": 0.25}
    x, movers = society.start(stubborn, 100, np.random.default_rng(1))
    assert len(movers) == 40
    assert np.bincount((x[:60] * 7).astype(int)).tolist() == [45, 0, 0, 0, 0, 0, 15]


def test_the_stubborn_sit_where_the_edge_says():
    away = {**CALM, "stubborn": 0.6, "lean": 0.25, "edge": 0.2}
    x, _ = society.start(away, 100, np.random.default_rng(1))
    assert np.bincount((x[:60] * 7).astype(int)).tolist() == [0, 45, 0, 0, 0, 15]
    given = {**CALM, "stubborn": 0.3, "edge": 0.5 / 7}
    at_the_ends = society.settle({**CALM, "stubborn": 0.3}, 2, n=50, sweeps=5)
    assert (society.settle(given, 2, n=50, sweeps=5) == at_the_ends).all()


def test_a_wide_bound_without_noise_is_consensus():
    shares = society.settle({**CALM, "bound": 1.0, "noise": 1e-9}, 1, snapshots=1)
    assert shares.max() == 1.0


def test_the_rule_compiled_is_the_rule_read():
    """The kernel takes its uniform from its own generator; equal seeds, equal shares."""
    a, b = (society.settle(CALM, 5, n=60, sweeps=20, snapshots=2) for _ in range(2))
    assert (a == b).all()
    assert society.noisy_compromise(0.2, 0.4, (0.3, 0.5, 0.0), 0.7) == pytest.approx((0.3, 0.3))


def test_the_loop_of_asked_citizens_is_the_obvious_one():
    rng = np.random.default_rng(3)
    n, events, bound, noise = 30, 500, 2.0, 0.1
    cumulated = np.cumsum(rng.dirichlet(np.ones(7), size=(7, 7, 7)), axis=3)
    stance, persona = rng.integers(0, 7, n), rng.integers(0, 7, n)
    readers, partners = rng.integers(0, n, events), rng.integers(0, n, events)
    jumps, luck = rng.random(events), rng.random(events)
    asked = np.zeros((7, 7, 7), dtype=bool)
    slow, needed = stance.copy(), set()
    answered_encounters(
        stance, persona, readers, partners, jumps, luck, cumulated, asked, bound, noise
    )
    for k in range(events):
        i, j = readers[k], partners[k]
        if jumps[k] < noise:
            slow[i] = int(7 * luck[k])
        elif i != j and abs(slow[i] - slow[j]) <= bound:
            cell = (persona[i], slow[i], slow[j])
            needed.add(tuple(int(c) for c in cell))
            slow[i] = min(int(np.searchsorted(cumulated[cell], luck[k], side="right")), 6)
    assert (stance == slow).all()
    assert {tuple(map(int, cell)) for cell in np.argwhere(asked)} == needed


def test_calibrated_answers_are_softmax_of_slope_times_score_plus_bias():
    shares = np.random.default_rng(4).dirichlet(np.ones(7), size=(2, 3))
    scores = 1.5 * np.log(shares)
    scores[..., 3] -= 2.0
    wanted = np.cumsum(np.exp(scores) / np.exp(scores).sum(axis=-1, keepdims=True), axis=-1)
    np.testing.assert_allclose(citizens.cumulated(shares, slope=1.5, middle=-2.0), wanted)
    np.testing.assert_allclose(citizens.cumulated(shares), np.cumsum(shares, axis=-1))


def test_all_answerers_meet_the_same_events_and_only_the_language_model_costs_tokens():
    rule, surrogate, embedded = (
        citizens.simulate(CALM, 1, fidelity, n=60) for fidelity in citizens.FIDELITIES
    )
    assert (rule.cost, rule.tokens) == (1.0, 0)
    assert (surrogate.cost, surrogate.tokens) == (citizens.SURROGATE_COST, 0)
    assert embedded.cost == 1 + embedded.tokens / citizens.TOKENS_PER_UNIT
    assert embedded.tokens <= citizens.table("embedded").tokens.sum()
    again = citizens.simulate(CALM, 1, "embedded", n=60)
    assert (again.cost, again.tokens) == (embedded.cost, embedded.tokens)
    gaps = [
        np.abs(other.summaries["shares"] - embedded.summaries["shares"]).sum()
        for other in (surrogate, rule)
    ]
    assert gaps[0] < gaps[1]  # the surrogate was fitted to the answers, the rule was not


def test_a_true_forecast_scores_better_than_a_false_one():
    score = survey.halves()[1]
    truth = survey.shares_of(score, "PID", 0)
    made = scoring.scores({"fitted": truth, "no dynamics": truth[::-1] ** 3}, "party")
    item = made.filter(made["scored"] == "PID")
    logs = dict(zip(item["forecast"], item["log_score"], strict=True))
    assert logs["fitted"] == min(logs.values())
    entropy = -(truth @ np.log(truth))
    assert logs["fitted"] == pytest.approx(entropy, abs=0.01)
    assert logs["uniform"] == pytest.approx(np.log(7))


def test_a_report_scores_the_item_that_was_fitted_whatever_the_file_is_called():
    party = replace(Calibration.from_toml("opinion_network/anes96_party").problem, name="town")
    assert scoring.item_of(party) == "party"
    ideology = Calibration.from_toml("opinion_network/anes96_ideology").problem
    assert scoring.item_of(ideology) == "ideology"
    other = replace(party, targets=survey.targets("party", seed=3))
    with pytest.raises(CalibrationError, match="targets of 'town' are others"):
        scoring.item_of(other)


def test_the_measurement_model_is_drawn_toward_the_marginal_and_adds_up():
    fit, _ = survey.halves()
    table = scoring.measurement(fit, "selfLR", 1, "vote")
    np.testing.assert_allclose(table.sum(axis=1), 1.0)
    assert (np.diff(table[1:6, 1]) > 0).all()  # both ends hold few respondents
    raw = fit.filter(fit["selfLR"] == 7)["vote"].mean()
    marginal = fit["vote"].mean()
    assert min(raw, marginal) < table[6, 1] < max(raw, marginal)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["anes96_party", "anes96_ideology", "anes96_citizens"])
def test_the_shipped_studies_run_in_small(tmp_path, name):
    calibration = Calibration.from_toml(f"opinion_network/{name}")
    small = (
        {"n_pilot": 60, "n_proposals": 60, "accept": 0.2}
        if name == "anes96_citizens"
        else {"n_particles": 20, "generations": 2}
    )
    done = execute(calibration.with_options(**small), tmp_path)
    manifest = json.loads((done.folder / "manifest.json").read_text())
    assert manifest["ess"] > 0
    assert (done.folder / "REPORT.md").exists()
    if name == "anes96_citizens":
        assert "no evidence about people" in (done.folder / "REPORT.md").read_text()
    else:
        assert (done.folder / "scores.parquet").exists()
