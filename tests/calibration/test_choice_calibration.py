"""Choice calibration recovers planted temperature, bias and weights, and cannot be fooled.

The world: personas with scores drawn at random, people who answer with the planted slope, bias and
persona weights. Tolerances are about four standard errors of the planted sample sizes.
"""

import numpy as np
import polars as pl
import pytest
from scipy.optimize import check_grad, minimize

from abm.calibration.choice import (
    ChoiceData,
    SurveyQuestion,
    brier_score,
    fit_choice,
    guard_answer_key,
    known_by_heart,
    log_score,
    mixture_weights,
    question_bootstrap,
    ranked_probability_score,
    score,
)
from abm.calibration.choice.slopes import Layout, log_probabilities, log_slopes
from abm.errors import CalibrationError

BIAS = {3: np.array([0.6, -0.1, -0.5]), 4: np.array([0.4, 0.2, -0.1, -0.5])}
WEIGHTS = np.array([[0.6, 0.3, 0.1], [0.1, 0.2, 0.7]])


def survey(seed, **settings):
    return planted(seed, **settings)[0]


def planted(seed, *, n_questions=24, people=3000, slope=0.55, spread=0.0, weights=WEIGHTS):
    """Data, and the slope of each question."""
    rng = np.random.default_rng(seed)
    questions, slopes = [], []
    for i in range(n_questions):
        k = 3 + i % 2
        scores = np.log(rng.dirichlet(np.ones(k), size=weights.shape[1]))
        own = slope * np.exp(spread * rng.normal())
        slopes.append(own)
        shares = weights @ np.exp(log_probabilities(scores, own, BIAS[k]))
        counts = np.array([rng.multinomial(people, share) for share in shares])
        questions.append(SurveyQuestion(f"q{i}", scores, counts, ordered=True))
    personas = tuple(f"p{m}" for m in range(weights.shape[1]))
    groups = tuple(f"g{g}" for g in range(len(weights)))
    return ChoiceData(tuple(questions), personas, groups), np.array(slopes)


def test_planted_temperature_bias_and_weights_come_back():
    fit = fit_choice(survey(1), weights="by group")
    assert fit.temperature == pytest.approx(1 / 0.55, rel=0.05)
    for k, bias in BIAS.items():
        np.testing.assert_allclose(fit.bias(k), bias, atol=0.05)
    np.testing.assert_allclose(fit.weights, WEIGHTS, atol=0.05)
    assert fit.weights_unique


def test_the_fit_is_the_transform_that_a_policy_can_use():
    data = survey(2, weights=np.array([[1.0]]))
    fit = fit_choice(data)
    for q in data.questions[:4]:
        by_policy = fit.transform(q.n_options).apply(q.scores)
        np.testing.assert_allclose(by_policy, fit.predict(q), atol=1e-12)


def test_the_gradient_of_the_likelihood_is_right():
    data = survey(3, n_questions=2)
    layout = Layout.of(data.questions, slope=True, bias=True)
    for q in data.questions:
        point = np.random.default_rng(1).normal(size=layout.size) * 0.3
        wrong = check_grad(
            lambda v, q=q: log_slopes(q, v, WEIGHTS, layout)[0],
            lambda v, q=q: log_slopes(q, v, WEIGHTS, layout)[1],
            point,
        )
        assert wrong < 1e-2 * q.people / 3000


def test_mixture_weights_reach_the_maximum_that_a_general_optimiser_finds():
    """The gap is a proof: nothing exceeds the likelihood by more."""
    rng = np.random.default_rng(4)
    for _ in range(10):
        p = rng.dirichlet(np.ones(30), size=6)
        counts = rng.multinomial(500, rng.dirichlet(np.ones(6)) @ p).astype(float)
        fit = mixture_weights(p, counts)

        def loss(z, p=p, counts=counts):
            w = np.exp(z - z.max())
            return -counts @ np.log(w / w.sum() @ p)

        best = min(minimize(loss, rng.normal(size=6), method="BFGS").fun for _ in range(3))
        assert fit.gap <= 1e-6
        assert fit.log_likelihood >= -best - 1e-6
        assert fit.weights.sum() == pytest.approx(1)


def test_equal_components_leave_the_weights_open_and_it_is_said():
    row = [0.2, 0.3, 0.5]
    assert not mixture_weights([row, row], [20, 30, 50]).unique
    assert mixture_weights([row, row], [20, 30, 50], pseudocounts=1.0).weights[0] == 0.5
    assert mixture_weights([row, [0.6, 0.2, 0.2]], [20, 30, 50]).unique


def test_weights_cannot_explain_people_where_nobody_says_anything():
    with pytest.raises(CalibrationError, match="no component"):
        mixture_weights([[1.0, 0.0], [1.0, 0.0]], [5, 5])


def test_scores_are_proper():
    """Over a grid of forecasts, the truth scores best for all three."""
    truth = np.array([0.5, 0.3, 0.2])
    steps = np.linspace(0.05, 0.9, 18)
    grid = [np.array([a, b, 1 - a - b]) for a in steps for b in steps if a + b < 0.999]
    for rule in (log_score, brier_score, ranked_probability_score):
        assert all(rule(truth, truth) <= rule(p, truth) + 1e-12 for p in grid)


def test_ranked_score_of_a_uniform_forecast_by_hand():
    # cumulative 1/3, 2/3; person in the middle: (1/3)^2 + (2/3 - 1)^2 = 2/9, over K - 1 = 2
    assert ranked_probability_score([1 / 3] * 3, [0, 1, 0]) == pytest.approx(1 / 9)


def test_calibration_predicts_held_out_questions_and_groups():
    held = [f"q{i}" for i in range(16, 24)]
    training, out = survey(5).split(questions=held)
    table = score(fit_choice(training, weights="by group"), out)
    log = {row["forecast"]: row for row in table.filter(score="log").iter_rows(named=True)}
    assert log["as answered"]["low"] > 0
    assert log["uniform"]["low"] > 0
    assert log["the answers"]["value"] <= log["calibrated"]["value"]
    assert log["calibrated"]["value"] - log["the answers"]["value"] < 0.002
    assert {"log", "brier", "ranked"} == set(table["score"])
    training, out = survey(5).split(groups=["g1"])
    assert training.people == out.people  # two groups of equal size
    assert score(fit_choice(training, weights="pooled"), out)["n"].unique().to_list() == [24]


@pytest.mark.slow
def test_hierarchical_fit_finds_the_spread_of_slopes_and_predicts_new_questions_better():
    """60 training questions, slopes with log sd 0.5: compared with the slopes that were drawn."""
    one = np.array([[1.0]])
    data, slopes = planted(6, n_questions=80, spread=0.5, people=1000, weights=one)
    training, out = data.split(questions=[f"q{i}" for i in range(60, 80)])
    flat, deep = fit_choice(training), fit_choice(training, hierarchical=True)
    drawn = np.log(slopes[:60])
    assert deep.spread[0] == pytest.approx(drawn.std(), abs=0.06)
    assert deep.vector[0] == pytest.approx(drawn.mean(), abs=0.06)
    found = np.array([deep.effects[f"q{i}"][0] for i in range(60)])
    assert np.corrcoef(found, drawn)[0, 1] > 0.95
    assert np.all(deep.spread[1:] < 0.1)  # the biases do not differ between questions
    losses = {}
    for name, fit in (("flat", flat), ("deep", deep)):
        table = score(fit, out).filter(forecast="calibrated", score="log")
        losses[name] = table["value"][0]
    assert losses["deep"] < losses["flat"] + 0.002


def test_a_hierarchical_fit_of_equal_questions_has_no_spread():
    fit = fit_choice(survey(7, weights=np.array([[1.0]])), hierarchical=True)
    assert fit.spread.max() < 0.08
    assert fit.temperature == pytest.approx(1 / 0.55, rel=0.06)


def test_a_fit_may_not_see_or_be_scored_on_the_wrong_part():
    training, out = survey(8).split(questions=["q0", "q1"])
    fit = fit_choice(training)
    with pytest.raises(CalibrationError, match="held-out part"):
        fit_choice(out)
    with pytest.raises(CalibrationError, match="how well the fit remembers"):
        score(fit, training)


def test_the_same_question_under_another_name_is_found():
    data = survey(9, n_questions=3)
    twin = SurveyQuestion("other name", data.questions[0].scores, data.questions[0].counts)
    both = ChoiceData((*data.questions, twin), data.personas, data.groups)
    with pytest.raises(CalibrationError, match="same answers as training question 'q0'"):
        both.split(questions=["other name"])


def test_more_parameters_than_answers_is_the_answer_key():
    data = survey(10, n_questions=1)
    with pytest.raises(CalibrationError, match="answer key"):
        fit_choice(data, weights="by group")


def test_the_guard_tells_a_model_that_knows_from_one_that_does_not():
    held = [f"q{i}" for i in range(14, 24)]
    rng = np.random.default_rng(1)
    training, out = survey(11, people=500).split(questions=held)
    assert guard_answer_key(training, out, rng=rng, weights="pooled").passes
    ignorant = survey(12, people=500, slope=1e-9)  # people follow the biases alone
    training, out = ignorant.split(questions=held)
    guard = guard_answer_key(training, out, rng=rng)
    assert not guard.passes
    assert any("NO PROOF" in line for line in guard.words)


def test_answers_known_by_heart_are_noticed():
    rng = np.random.default_rng(2)
    questions = []
    for i in range(20):
        p = rng.dirichlet(np.ones(4))
        questions.append(SurveyQuestion(f"q{i}", np.log(p), rng.multinomial(1000, p)))
    assert known_by_heart(ChoiceData(tuple(questions), ("p",), ("g",))) > 0.8
    assert known_by_heart(survey(13)) < 0.2


def test_bootstrap_intervals_hold_the_planted_temperature():
    table = question_bootstrap(
        survey(14, people=300, weights=np.array([[1.0]])), n=30, rng=np.random.default_rng(3)
    )
    row = table.row(0, named=True)
    assert row["low"] < 1 / 0.55 < row["high"]


def test_tables_become_data():
    scores = pl.DataFrame(
        {
            "question": ["a"] * 4,
            "persona": ["x", "x", "y", "y"],
            "option": ["no", "yes"] * 2,
            "score": [-0.1, -2.4, -1.0, -0.5],
        }
    )
    answers = pl.DataFrame(
        {"question": ["a", "a"], "group": ["g", "g"], "option": ["no", "yes"], "count": [4, 6]}
    )
    data = ChoiceData.from_tables(scores, answers)
    assert data.questions[0].scores.tolist() == [[-0.1, -2.4], [-1.0, -0.5]]
    with pytest.raises(CalibrationError, match=r"people chose \['maybe'\]"):
        ChoiceData.from_tables(scores, answers.with_columns(option=pl.lit("maybe")))
    with pytest.raises(CalibrationError, match="at least one finite option"):
        ChoiceData.from_tables(scores.head(3), answers)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: SurveyQuestion("q", [["a", "b"]], [[1, 2]]), "scores = .*, expected numbers"),
        (lambda: ChoiceData("ab", ("p",), ("g",)), "expected SurveyQuestion"),
        (lambda: fit_choice(survey(1), persona_weights=[0.5, 0.5]), r"of shape \(3,\) or \(2, 3\)"),
        (lambda: fit_choice(survey(1), slope="no"), "slope = 'no', expected true or false"),
        (lambda: mixture_weights([[1.5, 0.5]], [1, 2]), r"expected \[0, 1\]"),
        (lambda: log_score([1.5, -0.5], [1, 1]), "probabilities >= 0 that sum to 1"),
        (lambda: ranked_probability_score([1.0], [1]), "at least two"),
    ],
)
def test_what_makes_no_sense_is_refused(make, why):
    with pytest.raises(CalibrationError, match=why):
        make()
