"""Five planted models: rejection ABC recovers their parameters, and its intervals cover.

Each model is a reference table, simulated at once with NumPy. 200 rows of it play the data, moved
through the kernel of the tolerance, for which ABC is exact (see `through_kernel`). Coverage of the
90 % intervals has to lie in the 99.9 % binomial band, [0.825, 0.96] of 200 data sets. Intervals as
wide as the prior would cover as well, so the data have to remove 70 % of the prior variance.
`test_methods_cover.py` has ABC-SMC and multi-fidelity ABC.
"""

import numpy as np
import pytest

from abm.calibration import (
    Independent,
    Posterior,
    Problem,
    ScaledEuclidean,
    Simulations,
    Targets,
    normal,
    scalar,
    series,
    uniform,
)
from abm.calibration.records import statistics_of
from abm.calibration.rejection import prior_draws, rejection
from abm.calibration.report import to_arviz, write_report
from abm.calibration.trust import check_method, check_table, fit_table, summary_sensitivity
from abm.calibration.trust.check import trust_report
from abm.errors import CalibrationError
from abm.models.textbook.planted import PLANTED, planted_problem

N = 30_000


def table(name, n=N):
    rng = np.random.default_rng(20)
    problem = planted_problem(name)
    theta = problem.prior.sample(n, rng=rng)
    return problem, theta, PLANTED[name].statistics(theta, rng), PLANTED[name].fine


@pytest.mark.parametrize("name", PLANTED)
def test_planted_parameters_come_back_and_intervals_cover(name):
    problem, theta, statistics, tolerance = table(name)
    report = check_table(problem, theta, statistics, tolerance=tolerance, n_sets=200)
    assert report.n_failed <= 4  # however few draws a set keeps, it enters
    assert report.recovers, report.words
    assert report.recovery["correlation"].min() > 0.85
    assert report.contraction["contraction"].min() > 0.7  # the tolerances leave most of the news
    assert report.coverage.filter(level=0.9)["holds"].all(), report.words
    assert all(check.passes for check in report.ranks), report.words
    assert report.tarp.passes
    assert report.verdict.startswith("This calibration recovers what it plants, and")


def test_a_parameter_that_moves_nothing_is_reported_as_not_recovered():
    rng = np.random.default_rng(3)
    prior = Independent({"seen": uniform(0, 1), "unseen": uniform(0, 1)})
    theta = prior.sample(5000, rng=rng)
    statistics = theta[:, :1] + 0.1 * rng.normal(size=(5000, 1))
    problem = Problem(lambda p, s, f: p, prior, Targets([scalar("y", 0.5)]), seed=1)
    report = check_table(problem, theta, statistics, accept=0.05)
    assert not report.recovers
    assert "CANNOT RECOVER ITS OWN PLANTED PARAMETERS ['unseen']" in report.verdict
    assert any("the prior speaks" in line for line in report.words)


def test_teeth_an_overconfident_fit_is_called_too_narrow():
    """Regression on more statistics than the draws can feed overfits, and the check says so."""
    rng = np.random.default_rng(4)
    theta = rng.normal(size=(3000, 1))
    statistics = theta + 2.0 * rng.normal(size=(3000, 25))
    prior = Independent({"theta": normal(0, 1)})
    problem = Problem(lambda p, s, f: p, prior, Targets([series("s", np.zeros(25))]), seed=1)
    report = check_table(problem, theta, statistics, accept=0.02, adjust=True)
    assert not report.calibrated
    assert any("too narrow" in line for line in report.words)


@pytest.mark.parametrize(
    ("factor", "shift", "word"), [(1.8, 0.0, "TOO WIDE"), (0.6, 0.0, "WRONG"), (1.8, 0.5, "WRONG")]
)
def test_a_verdict_tells_posteriors_that_are_only_too_wide_from_wrong_ones(factor, shift, word):
    """theta ~ N(0, 1), y ~ N(theta, 0.5): the posterior is N(2 y / 3, 1 / 3)."""
    rng = np.random.default_rng(5)
    theta = rng.normal(size=(400, 1))
    y = theta + np.sqrt(0.5) * rng.normal(size=theta.shape)
    noise = factor * np.sqrt(1 / 3) * rng.normal(size=(400, 99, 1))
    problem = Problem(
        lambda p, s, f: p, Independent({"theta": normal(0, 1)}), Targets([scalar("y", 0.0)]), seed=1
    )
    report = trust_report(problem, theta, (y * 2 / 3 + shift)[:, None] + noise)
    assert report.recovers
    assert not report.passes
    assert word in report.verdict


def test_adjustment_with_few_draws_for_its_statistics_says_how_much_too_narrow():
    """The variance of residuals shrinks by 1 - coefficients / draws."""
    rng = np.random.default_rng(4)
    theta = rng.normal(size=(3000, 1))
    prior = Independent({"theta": normal(0, 1)})
    for m, told in ((3, False), (25, True)):
        statistics = theta + 2.0 * rng.normal(size=(3000, m))
        problem = Problem(lambda p, s, f: p, prior, Targets([series("s", np.zeros(m))]), seed=1)
        post = fit_table(
            problem.with_pilot(statistics), theta, statistics, accept=0.04, adjust=True
        )
        assert [n.outcome for n in post.notices] == (["few_draws"] if told else [])
    assert 2 < post.notices[0].amount < 5
    assert "% too small" in post.notices[0].message
    report = check_table(problem, theta, statistics, accept=0.04, adjust=True, n_sets=60)
    assert any("in 60 of 60 planted fits" in line for line in report.remarks)


def test_planted_sets_with_few_draws_are_judged_with_the_draws_they_have():
    """A tolerance that leaves a handful of draws: none of 200 sets is left out for that, ranks stay
    uniform, and what has no draw at all is counted and keeps the check from passing."""
    rng = np.random.default_rng(7)
    theta = rng.normal(size=(3000, 1))
    statistics = theta + 0.5 * rng.normal(size=theta.shape)
    problem = Problem(
        lambda p, s, f: p,
        Independent({"theta": normal(0, 1)}),
        Targets([scalar("y", 0.0)]),
        ScaledEuclidean("none"),
        seed=1,
    )
    few = check_table(problem, theta, statistics, tolerance=0.01)
    assert few.n_sets + few.n_failed == 200
    assert few.n_failed <= 10
    assert all(check.passes for check in few.ranks)
    assert few.tarp.passes
    assert any("fewer than 19 draws" in line for line in few.remarks)
    none = check_table(problem, theta, statistics, tolerance=0.0003)
    assert none.n_failed > 20
    assert not none.passes


def test_sensitivity_to_summaries_names_the_one_that_carries_the_answer():
    rng = np.random.default_rng(6)
    theta = rng.normal(size=(4000, 1))
    statistics = np.hstack(
        [theta + 0.2 * rng.normal(size=theta.shape), rng.normal(size=theta.shape)]
    )
    prior = Independent({"theta": normal(0, 1)})
    targets = Targets([scalar("useful", 1.0), scalar("idle", 0.0)])
    problem = Problem(lambda p, s, f: p, prior, targets, seed=1)
    found = summary_sensitivity(problem, theta, statistics, accept=0.1)
    ratio = dict(zip(found["left_out"], found["sd_ratio"], strict=True))
    assert ratio["useful"] > 3
    assert ratio["idle"] == pytest.approx(1, abs=0.15)


def noisy(parameters, seed, fidelity):
    return {"y": parameters["a"] + 0.1 * np.random.default_rng(seed).normal(), "z": 1.0}


def small_problem():
    targets = Targets([scalar("y", 0.5, 0.1), scalar("z", 1.0, 0.1, held_out=True)])
    return Problem(noisy, Independent({"a": uniform(0, 1)}), targets, seed=2, name="small")


@pytest.mark.slow
def test_checking_a_method_at_the_full_price_finds_it_right():
    report = check_method(
        small_problem(), lambda s: rejection(s, n_simulations=600, tolerance=0.2), n_sets=60
    )
    assert report.recovers
    assert report.n_sets == 60
    assert any("did not go through the kernel" in line for line in report.words)


def test_a_report_says_what_was_found_what_it_cost_and_what_failed(tmp_path):
    problem = small_problem()
    with Simulations(problem) as simulations:
        post = rejection(simulations, n_simulations=1000, accept=0.1)
        draws = prior_draws(problem, "prior", 1000)
        statistics = statistics_of(simulations.run_all(problem.tasks("prior", draws)))
        trust = check_table(problem, draws, statistics, accept=0.1, n_sets=60)
        path = write_report(post, problem, tmp_path, simulations, trust=trust)
    text = path.read_text()
    for part in ("## Posterior", "Can it be trusted?", "notional cost", "2 of 2 summaries"):
        assert part in text
    assert trust.verdict in text
    assert {"posterior.pdf", "predictive.pdf"} <= {f.name for f in (tmp_path / "figures").iterdir()}


def test_arviz_gets_the_draws_and_refuses_signed_weights():
    problem = small_problem()
    draws = np.linspace(0, 1, 50)[:, None]
    post = Posterior(("a",), draws, np.ones(50), "given", statistics=draws)
    data = to_arviz(post, problem, n=400)
    assert float(data.posterior["a"].mean()) == pytest.approx(0.5, abs=0.02)
    assert data.posterior_predictive["y"].shape == (1, 400)
    signed = Posterior(("a",), draws, np.r_[-0.1, np.ones(49)], "given")
    with pytest.raises(CalibrationError, match="negative"):
        to_arviz(signed, problem)


@pytest.mark.parametrize("name", [name for name, planted in PLANTED.items() if planted.one])
def test_one_run_in_plain_numbers_is_that_of_the_arrays(name):
    planted = PLANTED[name]
    draws = planted_problem(name).prior.sample(50, rng=np.random.default_rng(2))
    for seed, theta in enumerate(draws):
        one = planted.one(theta.tolist(), np.random.default_rng(seed))
        many = planted.statistics(theta[None], np.random.default_rng(seed))[0]
        assert np.array(one).tobytes() == many.tobytes()
