"""Linear algebra with one thread, wherever a result is made."""

import polars as pl
from threadpoolctl import threadpool_info, threadpool_limits

import abm
from abm.calibration import Independent, Problem, Simulations, Targets, scalar, uniform
from abm.linear_algebra import one_thread
from abm.studies import Study


def most_threads() -> int:
    """Of all libraries for linear algebra that this process has loaded."""
    return max(found["num_threads"] for found in threadpool_info() if found["user_api"] == "blas")


class Counting(abm.Model):
    """A model whose outcome is how many threads its linear algebra may use."""

    Scenario = abm.Scenario

    def __init__(self, scenario, seeds, policies):
        super().__init__(seed=seeds.chance, policies=policies)

    def series(self):
        return pl.DataFrame({"time": [0.0]})

    def outcomes(self):
        return {"threads": most_threads()}


def count(parameters, seed, fidelity):
    return {"threads": most_threads()}


PROBLEM = Problem(count, Independent({"x": uniform(0, 1)}), Targets([scalar("threads", 1.0)]))


def test_a_block_has_one_thread_and_puts_back_what_was_there():
    with threadpool_limits(2, user_api="blas"):
        with one_thread():
            assert most_threads() == 1
        assert most_threads() == 2


def test_a_run_of_a_study_started_from_python_has_one_thread(tmp_path):
    study = Study(
        "counting", Counting, scenario={"duration": 1.0}, answerers={"nobody": {}}, replications=1
    )
    with threadpool_limits(2, user_api="blas"):
        done = study.run(tmp_path, workers=1)
        assert most_threads() == 2
    assert done.frame("outcomes")["threads"].to_list() == [1.0]


def test_simulations_of_a_calibration_have_one_thread_here_and_in_workers():
    for workers in (1, 2):
        with threadpool_limits(2, user_api="blas"):
            with Simulations(PROBLEM, workers=workers) as simulations:
                [record] = simulations.run_all(PROBLEM.tasks("one", [[0.5]]))
            assert most_threads() == 2
        assert record.statistics.tolist() == [1.0]
