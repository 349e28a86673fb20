"""Five planted models: rejection ABC recovers their parameters, and its intervals cover.

Each model is a reference table, simulated at once with NumPy. 200 rows of it play the data, moved
through the kernel of the tolerance, for which ABC is exact (see `through_kernel`). Coverage of the
90 % intervals has to lie in the 99.9 % binomial band, [0.825, 0.96] of 200 data sets. Intervals as
wide as the prior would cover as well, so the data have to remove 70 % of the prior variance.
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
from abm.calibration.trust import check_method, check_table, summary_sensitivity
from abm.errors import CalibrationError

N = 30_000


def gaussian(theta, rng):
    """Mean and log standard deviation of 30 people, from their mean and log spread."""
    people = theta[:, :1] + np.exp(theta[:, 1:]) * rng.normal(size=(len(theta), 30))
    return np.stack([people.mean(axis=1), np.log(people.std(axis=1, ddof=1))], axis=1)


def queue(theta, rng):
    """Arrival rate of a Poisson stream, from its count."""
    return rng.poisson(20 * theta).astype(float)


def memory(theta, rng):
    """Persistence of an opinion that returns to zero, from its lag-one covariance."""
    x, products, squares = np.zeros(len(theta)), 0.0, 0.0
    for _ in range(60):
        moved = theta[:, 0] * x + rng.normal(size=len(theta))
        products, squares, x = products + moved * x, squares + x * x, moved
    return (products / np.maximum(squares, 1e-9))[:, None]


def adoption(theta, rng):
    """Innovation and imitation in a discrete Bass model of 200 people, from three points."""
    adopters, seen = np.zeros(len(theta)), []
    for day in range(12):
        chance = np.clip(theta[:, 0] + theta[:, 1] * adopters / 200, 0, 1)
        adopters = adopters + rng.binomial((200 - adopters).astype(int), chance)
        if day in (1, 5, 11):
            seen.append(adopters / 200)
    return np.stack(seen, axis=1)


def epidemic(theta, rng):
    """Infection and recovery probabilities of a chain-binomial epidemic of 300 people."""
    s, i = np.full(len(theta), 290), np.full(len(theta), 10)
    curve = []
    for day in range(12):
        new = rng.binomial(s, 1 - np.exp(-theta[:, 0] * i / 300))
        s, i = s - new, i + new - rng.binomial(i, theta[:, 1])
        if day % 3 == 2:
            curve.append(i / 300)
    return np.stack([*curve, (300 - s) / 300], axis=1)


MODELS = {
    "gaussian": (gaussian, {"mean": normal(0, 1), "log_sd": normal(0, 0.5)}, 0.25),
    "queue": (queue, {"rate": uniform(0.5, 5)}, 0.1),
    "memory": (memory, {"persistence": uniform(-0.5, 0.95)}, 0.1),
    "adoption": (adoption, {"p": uniform(0.0, 0.1), "q": uniform(0.0, 0.8)}, 0.3),
    "epidemic": (epidemic, {"infection": uniform(0.2, 2.0), "recovery": uniform(0.1, 0.6)}, 0.7),
}


def table(name, n=N):
    simulator, prior, tolerance = MODELS[name]
    rng = np.random.default_rng(20)
    independent = Independent(prior)
    theta = independent.sample(n, rng=rng)
    statistics = simulator(theta, rng)
    targets = Targets([series("s", statistics[0])])
    problem = Problem(lambda p, s, f: p, independent, targets, ScaledEuclidean("spread"), seed=5)
    return problem, theta, statistics, tolerance


@pytest.mark.parametrize("name", MODELS)
def test_planted_parameters_come_back_and_intervals_cover(name):
    problem, theta, statistics, tolerance = table(name)
    report = check_table(problem, theta, statistics, tolerance=tolerance, n_sets=200)
    assert report.n_failed <= 20
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
