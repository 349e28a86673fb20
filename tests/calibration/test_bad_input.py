"""Input that makes no sense: each kind is refused before anything runs, or has a named outcome."""

from __future__ import annotations

import math

import numpy as np
import pytest

from abm.calibration import (
    Combined,
    Constrained,
    Correlated,
    Energy,
    Independent,
    Mahalanobis,
    Posterior,
    Problem,
    ScaledEuclidean,
    Simulated,
    Simulations,
    Targets,
    distribution,
    normal,
    scalar,
    series,
    truncated_normal,
    uniform,
)
from abm.calibration.continuation import Continuation
from abm.calibration.distances import distance_of
from abm.calibration.history import implausibility
from abm.calibration.methods import METHODS, method_named
from abm.calibration.moments import j_test, moment_variance
from abm.calibration.multifidelity import multifidelity
from abm.calibration.reading import Calibration
from abm.calibration.rejection import rejection
from abm.calibration.report import to_arviz
from abm.calibration.smc import smc
from abm.calibration.trust import binomial_band, check_method, check_table, tarp
from abm.calibration.trust.check import predictive_check
from abm.calibration.weights import weighted_quantile
from abm.errors import CalibrationError

UNIT = uniform(0, 1)
PRIOR = Independent({"a": UNIT, "b": UNIT})


def noisy(parameters, seed, fidelity):
    return {"x": parameters["a"] + np.random.default_rng(seed).normal()}


def problem(**changes):
    given = {"simulator": noisy, "prior": PRIOR, "targets": [scalar("x", 0.5, 0.1)], "seed": 1}
    return Problem(**{**given, **changes})


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: uniform("low", 1), "low = 'low'"),
        (lambda: normal(math.nan, 1), "normal: mean = nan, expected a finite number"),
        (lambda: truncated_normal(100, 0.1, 0, 1), "990 standard deviations outside"),
        (lambda: Correlated({"a": UNIT, "b": UNIT}, [[1], [1, 2]]), "expected numbers"),
        (lambda: Constrained(PRIOR, "a < b"), r"expected a list of texts"),
        (lambda: Constrained(PRIOR, ["a - b"]), "is a number and no constraint"),
        (lambda: Constrained(PRIOR, ["a and b < 1"]), "is a number and no constraint"),
        (lambda: Constrained(PRIOR, [3]), "constraints = "),
        (lambda: Constrained(PRIOR, [lambda c: c["a"]]).holds([[0.5, 0.5]]), "expected truths"),
        (lambda: scalar("m", "many"), "expected numbers"),
        (lambda: scalar("m", [1, 2], 0.1), "use series for more"),
        (lambda: scalar("m", 1, held_out="false"), "expected true or false"),
        (lambda: scalar("", 1), "expected a text as its name"),
        (lambda: series("m", [[1, 2], [3, 4]]), "a list of numbers"),
        (lambda: distribution("m", [0.5, 0.4]), "add up to 0.9"),
        (lambda: distribution("m", [0.5, 0.3], n=100), "add up to 0.8"),
        (lambda: distribution("m", [5, 5], positions=[0, math.inf]), "2 growing numbers"),
        (lambda: distribution("m", [0.5, 0.5], n=math.inf), "n = inf"),
        (lambda: Targets("ab"), "expected a list of scalar"),
        (lambda: problem(prior={"a": UNIT}), "expected Independent, Correlated or Constrained"),
        (lambda: problem(distance="energy"), "expected a distance such as"),
        (lambda: problem(distance=Energy), "expected a distance such as"),
        (lambda: problem(discrepancy={"x": "large"}), "expected numbers"),
        (lambda: problem(fidelities={"rule": "cheap"}), "expected name -> notional cost > 0"),
        (lambda: problem(seed=1.5), "seed = 1.5, expected a whole number"),
        (lambda: problem(seed=True), "seed = True, expected a whole number"),
        (lambda: problem(name="../elsewhere"), "it becomes a folder"),
        (lambda: ScaledEuclidean([1.0, 0.0]), "expected numbers > 0"),
        (lambda: Mahalanobis([[1, 2], [2, 1]]), "symmetric positive semidefinite"),
        (lambda: Mahalanobis([[1, 0.5], [0, 1]]), "symmetric positive semidefinite"),
        (lambda: Mahalanobis(np.eye(2)).fitted(np.eye(2), Targets([scalar("x", 1)]), 0), "shape"),
        (lambda: Combined({"x": "energy"}), "expected target -> distance"),
        (lambda: distance_of({"parts": {}, "rset": "energy"}), "nothing else"),
        (lambda: distance_of("enrgy"), "did you mean 'energy'"),
        (lambda: Simulated({"x": 1.0}, cost=math.nan), "expected a finite cost > 0"),
    ],
)
def test_what_makes_no_sense_is_refused_where_it_is_given(make, why):
    with pytest.raises(CalibrationError, match=why):
        make()


@pytest.mark.parametrize("method", sorted(METHODS))
def test_an_option_that_a_method_does_not_have_is_named(method):
    with pytest.raises(CalibrationError, match=f"method {method} has no option 'speed'"):
        method_named(method, {"speed": 1})


@pytest.mark.parametrize(
    ("method", "options", "why"),
    [
        ("rejection", {}, "needs the options"),
        ("rejection", {"n_simulations": 10.0}, "n_simulations = 10.0, expected a whole number"),
        ("rejection", {"n_simulations": 9, "tolerance": math.inf}, "expected a finite number"),
        ("smc", {"tolerances": [2.0, "one"]}, "expected a list, each a finite number"),
        ("smc", {"max_simulations": True}, "max_simulations = True, expected a whole number"),
        ("history_match", {"one_run": "no"}, "one_run = 'no', expected true or false"),
        ("simulated_moments", {"covariance": "both"}, "expected one of"),
        ("multifidelity", {"tolerances": {"rule": "x"}}, "a table, each value a finite number"),
    ],
)
def test_a_file_with_such_options_is_refused(method, options, why):
    with pytest.raises(CalibrationError, match=why):
        Calibration(problem(), method, options)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"x": "many"}, "the simulator's 'x' = 'many', expected numbers"),
        ({"x": [1.0, 2.0]}, r"has shape \(2,\)"),
        (3.0, "expected a mapping"),
    ],
)
def test_an_answer_that_no_simulation_could_use_stops_everything(answer, why):
    def say(parameters, seed, fidelity):
        return answer

    for workers in (1, 2):
        with (
            Simulations(problem(simulator=say), workers=workers) as simulations,
            pytest.raises(CalibrationError, match=why),
        ):
            rejection(simulations, n_simulations=10)


def test_counts_in_place_of_shares_are_not_compared_with_shares():
    targets = Targets([distribution("d", [30, 70])])
    assert targets.vector({"d": [0.2, 0.8]}).tolist() == [0.2, 0.8]
    assert np.isnan(targets.vector({"d": [math.nan, 0.8]})[0])
    with pytest.raises(CalibrationError, match="adds up to 200, expected shares"):
        targets.vector({"d": [60, 140]})


def test_tolerances_do_not_take_failed_runs():
    def fails(parameters, seed, fidelity):
        if seed % 20:
            raise ValueError("no")
        return noisy(parameters, seed, fidelity)

    failing = problem(simulator=fails, fidelities={"cheap": 1.0, "dear": 9.0})
    with pytest.raises(
        CalibrationError, match=r"a tolerance would take failed runs.* times ValueError: no"
    ):
        multifidelity(Simulations(failing), n_proposals=50, n_pilot=60, accept=0.5)


@pytest.mark.parametrize("distance", [ScaledEuclidean("error"), Mahalanobis("error")])
def test_scales_from_the_data_need_no_pilot_at_fixed_tolerances(distance):
    simulations = Simulations(problem(distance=distance))
    post = smc(simulations, n_particles=20, tolerances=[30.0, 15.0])
    assert post.n_simulations == sum(round(20 / share) for share in post.details["acceptance"])
    assert np.abs(post.statistics - 0.5).max() <= 1.5


def test_a_parameter_called_weight_is_not_hidden_by_the_weights():
    draws = np.array([[0.2], [0.4]])
    table = Posterior(("weight",), draws, np.array([1.0, 3.0]), "given").frame()
    assert table["parameter weight"].to_list() == [0.2, 0.4]
    assert table["weight"].to_list() == [0.25, 0.75]


POST = Posterior(("a",), np.linspace(0, 1, 50)[:, None], np.ones(50), "given")
NORMAL = np.random.default_rng(0).normal(size=(200, 50))


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: POST.interval(90), "level = 90, expected 0 < level < 1"),
        (lambda: POST.quantile(1.5), r"expected levels in \[0, 1\]"),
        (lambda: POST.resample(0, rng=np.random.default_rng(1)), "n = 0, expected a whole number"),
        (lambda: Posterior(("a",), [[math.nan]], [1.0], "given"), "expected finite numbers"),
        (lambda: to_arviz(POST, problem(), n=0), "n = 0, expected a whole number >= 1"),
        (lambda: predictive_check(Simulations(problem()), POST, n=5), "n = 5"),
        (lambda: tarp(NORMAL[:, 0], NORMAL, np.full(200, math.nan), rng=None), "references"),
        (lambda: binomial_band(100, 2), "level = 2"),
        (lambda: check_table(problem(), NORMAL, NORMAL), "parameters of shape"),
        (lambda: check_method(problem(), lambda s: 3, n_sets=25), "gave int, expected a Posterior"),
        (lambda: implausibility(1, 2, observation=-1), "a variance is negative"),
        (lambda: j_test([1, math.nan], np.eye(2), 1), "expected finite numbers"),
        (lambda: moment_variance([[1.0]], np.eye(2)), "jacobian of shape"),
        (lambda: Continuation((0.0,), (1.0,)), "expected as many of both, in"),
        (lambda: weighted_quantile([1, 2], [0, 0], 0.5), "a positive sum"),
    ],
)
def test_what_a_result_cannot_tell_is_refused(make, why):
    with pytest.raises(CalibrationError, match=why):
        make()
