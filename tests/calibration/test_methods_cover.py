"""ABC-SMC and multi-fidelity ABC at full price: 90 % intervals cover over 200 planted data sets.

Planted data go through the kernel of the last tolerance, for which ABC is exact, so coverage has to
lie in the 99.9 % binomial band, [0.825, 0.96]. `benchmarks/coverage_of_methods.py` does the same on
five planted models; here is the cheapest of them.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from abm.calibration import Simulations
from abm.calibration.multifidelity import multifidelity
from abm.calibration.rejection import rejection
from abm.calibration.smc import smc
from abm.calibration.trust import check_method
from abm.errors import CalibrationError
from abm.models.textbook.planted import planted_problem

TOLERANCE = 0.3


@pytest.mark.slow
@pytest.mark.parametrize("method", ["smc", "multifidelity"])
def test_intervals_cover_planted_rates(method):
    run = {
        "smc": partial(smc, n_particles=40, tolerances=[0.8, TOLERANCE]),
        "multifidelity": partial(
            multifidelity,
            n_pilot=40,
            n_proposals=200,
            tolerances={"cheap": TOLERANCE, "model": TOLERANCE},
            least=0.2,
        ),
    }[method]
    problem = planted_problem("queue", levels=method == "multifidelity")
    report = check_method(problem, run, n_sets=200, tolerance=TOLERANCE)
    assert report.n_failed <= 4  # a pilot that accepts nothing is told, and counted
    assert report.coverage["holds"].all(), report.words
    assert report.contraction["contraction"].min() > 0.7
    assert report.recovers
    assert any("went through the kernel" in line for line in report.words)


def test_signed_posteriors_are_checked_with_their_signs():
    run = partial(
        multifidelity,
        n_pilot=40,
        n_proposals=150,
        tolerances={"cheap": 0.5, "model": 0.5},
        least=0.2,
    )
    report = check_method(planted_problem("queue", levels=True), run, n_sets=25, tolerance=0.5)
    assert report.n_failed == 0
    assert any("weights of both signs" in line for line in report.remarks)


def test_a_check_resumes_and_its_sets_share_the_workers(tmp_path):
    problem, run = planted_problem("queue"), partial(rejection, n_simulations=40, accept=0.5)
    first = check_method(problem, run, n_sets=25, folder=tmp_path, workers=2)
    again = check_method(problem, run, n_sets=25, folder=tmp_path)
    assert first.words == again.words
    with Simulations(problem, workers=2) as simulations:
        beside = simulations.beside(problem)
        records = beside.run_all(problem.tasks("x", np.array([[1.0], [2.0]])))
        assert beside._pool is None
        assert [r.outcome for r in records] == ["ok", "ok"]
        with pytest.raises(CalibrationError, match="fidelities"):
            simulations.beside(planted_problem("queue", levels=True))
