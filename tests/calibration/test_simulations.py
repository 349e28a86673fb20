"""Simulations are the same to the bit at any number of workers, and survive being killed."""

from __future__ import annotations

import importlib.util
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from abm.calibration import Simulated, Simulations, Targets, scalar, series
from abm.calibration.ledger import SimulationLedger
from abm.calibration.problem import described
from abm.calibration.records import Tally
from abm.calibration.rejection import prior_draws, rejection
from abm.calibration.smc import smc
from abm.errors import CalibrationError, LedgerError

FILE = Path(__file__).with_name("calibration_simulators.py")
_spec = importlib.util.spec_from_file_location("calibration_simulators", FILE)
simulators = importlib.util.module_from_spec(_spec)
sys.modules["calibration_simulators"] = simulators
_spec.loader.exec_module(simulators)
problem, plain = simulators.problem, simulators.plain


def tasks(given, n=300):
    return given.tasks("prior", prior_draws(given, "prior", n))


def test_a_pool_gives_the_records_of_serial_execution_in_their_order():
    given = problem()
    with Simulations(given) as serial, Simulations(given, workers=2) as pool:
        alone, together = serial.run_all(tasks(given)), pool.run_all(tasks(given))
    assert plain(alone) == plain(together)
    assert Counter(r.outcome for r in alone).keys() == {"ok", "failed", "not_finite"}


def test_a_method_accepts_by_proposal_and_not_by_arrival():
    """SMC leaves its stream early, so a pool has more in flight; nobody sees it."""
    found = []
    for workers in (1, 2):
        with Simulations(problem(), workers=workers) as simulations:
            post = smc(simulations, n_particles=30, tolerances=[1.0, 0.5])
            found.append((post.draws.tobytes(), post.weights.tobytes(), post.cost))
    assert found[0] == found[1]


def test_seeds_follow_from_the_place_and_the_rule_of_common_random_numbers():
    levels = {"cheap": 1.0, "dear": 2.0}
    seeds = {}
    for rule in ("levels", "off", "everywhere"):
        given = problem(common_random_numbers=rule, fidelities=levels)
        pairs = [(i, f) for i in (0, 1) for f in levels]
        seeds[rule] = [given.task("s", i, [0.5], f).seed for i, f in pairs]
        rows = np.full((2, 1), 0.5)
        assert [t.seed for t in given.tasks("s", rows, "cheap")] == seeds[rule][::2]
        chosen = given.tasks("s", rows, "dear", indices=[7, 3])
        assert list(chosen) == [given.task("s", i, [0.5], "dear") for i in (7, 3)]
    assert [len(set(seeds[rule])) for rule in ("levels", "off", "everywhere")] == [2, 4, 1]
    assert seeds["levels"][0] == seeds["levels"][1]


def test_a_process_that_dies_in_a_simulation_is_a_failure_of_that_simulation_alone():
    given = problem(simulators.deadly)
    with Simulations(given, workers=2) as simulations:
        records = simulations.run_all(tasks(given, 30))
    wrong = [r for r in records if not r.is_ok]
    assert [r.task.parameters for r in wrong] == [
        r.task.parameters for r in records if 0.5 < r.task.parameters[0] < 0.6
    ]
    assert {r.error for r in wrong} == {
        "the worker process ended with code 3 during this simulation"
    }


def test_a_simulator_that_exits_has_failed_alike_here_and_in_a_pool():
    def exits(parameters, seed, fidelity):
        sys.exit(3)

    for workers in (1, 2):
        with Simulations(problem(exits), workers=workers) as simulations:
            records = simulations.run_all(tasks(problem(exits), 4))
        assert [(r.outcome, r.error) for r in records] == [("failed", "SystemExit: 3")] * 4


def test_what_is_in_the_ledger_is_not_run_again(tmp_path):
    ran = []

    def counted(parameters, seed, fidelity):
        ran.append(seed)
        return simulators.fragile(parameters, seed, fidelity)

    given, path = problem(counted), tmp_path / "l.sqlite"
    with Simulations(given, path) as simulations:
        first = simulations.run_all(tasks(given, 40))
    with Simulations(given, path) as simulations:
        again = simulations.run_all(tasks(given, 60))
        assert simulations.used.reused == 40
        assert simulations.used.n_runs == 60
    assert len(ran) == 60
    assert plain(again)[:40] == plain(first)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_calibration_goes_on_with_only_what_is_missing(tmp_path, workers):
    path = tmp_path / "l.sqlite"
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import calibration_simulators; calibration_simulators.main({str(path)!r}, {workers})",
        ],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(FILE.parent), *sys.path])},
    )
    assert process.stdout is not None
    process.stdout.readline()
    deadline = time.monotonic() + 600  # only so that a broken one ends
    while _committed(path) < 20 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    there = _committed(path)
    assert 20 <= there < 150
    given = problem(simulators.slow)
    with Simulations(given, path) as simulations:
        records = simulations.run_all(tasks(given, 150))
        assert simulations.used.reused == there
    with Simulations(problem(simulators.slow)) as simulations:
        assert plain(records) == plain(simulations.run_all(tasks(given, 150)))


def _committed(path):
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as file:
            return file.execute("SELECT COUNT(*) FROM simulations").fetchone()[0]
    except sqlite3.Error:
        return 0


def test_a_ledger_of_another_problem_is_refused_with_the_difference(tmp_path):
    with Simulations(problem(), tmp_path / "l.sqlite"):
        pass
    with pytest.raises(LedgerError, match="seed was 3, is 4"):
        Simulations(problem(seed=4), tmp_path / "l.sqlite")


def test_simulators_given_other_data_are_others():
    def near(data, parameters, seed, fidelity):
        return {"x": float(data.sum())}

    long = np.zeros(5000)
    other = long.copy()
    other[2500] = 1.0  # NumPy prints both alike
    assert str(long) == str(other)
    texts = [described(partial(near, data))["options"]["0"] for data in (long, other, long.copy())]
    assert texts[0] == texts[2] != texts[1]


def test_simulators_that_close_over_other_values_are_others(tmp_path):
    def scaled(k):
        return lambda parameters, seed, fidelity: {"x": k * parameters["a"], "late": 0.0}

    with Simulations(problem(scaled(2)), tmp_path / "l.sqlite"):
        pass
    with pytest.raises(LedgerError, match="simulator was"):
        Simulations(problem(scaled(3)), tmp_path / "l.sqlite")
    with Simulations(problem(scaled(2)), tmp_path / "l.sqlite"):
        pass


def test_a_ledger_has_one_writer(tmp_path):
    with (
        Simulations(problem(), tmp_path / "l.sqlite"),
        pytest.raises(LedgerError),
    ):
        Simulations(problem(), tmp_path / "l.sqlite")


def test_other_parameters_at_a_recorded_place_are_refused(tmp_path):
    given = problem()
    with Simulations(given, tmp_path / "l.sqlite") as simulations:
        simulations.run_all(tasks(given, 5))
    with (
        Simulations(given, tmp_path / "l.sqlite") as simulations,
        pytest.raises(LedgerError, match="another simulation at prior number 0"),
    ):
        simulations.run_all(given.tasks("prior", np.array([[0.123]])))


def test_two_stages_of_one_name_cannot_hide_each_other(tmp_path):
    given = problem()
    simulations = Simulations(given, tmp_path / "l.sqlite")
    simulations.run_all(given.tasks("x", np.array([[0.2]])))
    with pytest.raises(LedgerError, match="two different simulations have the place"):
        simulations.run_all(given.tasks("x", np.array([[0.3]])))
    simulations._unsaved.clear()
    simulations.close()


def test_the_ledger_reads_back_every_record_to_the_bit(tmp_path):
    given = problem()
    with Simulations(given, tmp_path / "l.sqlite") as simulations:
        made = simulations.run_all(tasks(given, 50))
    with SimulationLedger(tmp_path / "l.sqlite") as ledger:
        assert plain(ledger.records()) == plain(made)
        frame = ledger.frame(given.names, given.fitted.labels)
        alike = ledger.frame(("x",), ("x",))
        hidden = ledger.frame(("cost",), ("seed",))
    assert frame.height == 50
    assert alike["parameter x"].to_list() == frame["a"].to_list()
    assert hidden["parameter cost"].to_list() == frame["a"].to_list()
    assert hidden["seed"].to_list() == frame["seed"].to_list()
    assert frame["a"].to_list() == [r.task.parameters[0] for r in made]
    assert set(frame.filter(frame["outcome"] == "failed")["error"]) == {"ValueError: too much"}


def test_an_answer_without_a_target_stops_everything_and_names_it():
    def forgetful(parameters, seed, fidelity):
        return {"y": 1.0}

    for workers in (1, 2):
        with (
            Simulations(problem(forgetful), workers=workers) as simulations,
            pytest.raises(CalibrationError, match=r"has no 'x'; it has \['y'\]"),
        ):
            simulations.run_all(tasks(problem(forgetful), 3))


def test_held_out_targets_reach_no_simulator_and_no_distance():
    given = problem()
    assert given.fitted.names == ("x",)
    assert given.observed.tolist() == [0.5]
    with Simulations(given) as simulations:
        post = rejection(simulations, n_simulations=100, accept=0.2)
        assert all((t.value == 0).all() for t in simulations._runner.held_out)
    assert post.statistics.shape == (20, 1)
    assert post.held_out.shape == (20, 1)
    changed = Targets([scalar("x", 0.5), scalar("late", 99.0, held_out=True)])
    with Simulations(replace(given, targets=changed)) as simulations:
        again = rejection(simulations, n_simulations=100, accept=0.2)
    assert again.draws.tobytes() == post.draws.tobytes()


def test_costs_are_notional_so_a_warm_ledger_changes_nothing(tmp_path):
    def priced(parameters, seed, fidelity):
        return Simulated({"x": parameters["a"], "late": 0.0}, cost=2.5, tokens=7)

    given, costs = problem(priced), []
    for _ in range(2):
        with Simulations(given, tmp_path / "l.sqlite") as simulations:
            post = rejection(simulations, n_simulations=40, accept=0.5)
            costs.append((post.cost, simulations.used.tokens["model"]))
    assert costs == [(100.0, 280), (100.0, 280)]


def test_records_of_a_block_are_those_of_one_run_at_a_time():
    """The generator runs and keeps tasks one by one: the obvious way, with the same tally."""
    given = problem()
    with Simulations(given) as block, Simulations(given) as single:
        together, alone = block.run_all(tasks(given)), list(single.run(tasks(given)))
        assert plain(together) == plain(alone)
        sums = [s.used.to_dict() | {"seconds": None} for s in (block, single)]
    assert sums[0] == sums[1]
    assert sums[0]["outcomes"].keys() == {"ok", "failed", "not_finite"}


def test_a_tally_adds_many_as_it_adds_one_by_one():
    def priced(parameters, seed, fidelity):
        return Simulated({"x": parameters["a"], "late": 0.0}, cost=parameters["a"] / 3, tokens=2)

    with Simulations(problem(priced)) as simulations:
        records = simulations.run_all(tasks(problem(priced)))
    one_by_one, together = Tally(), Tally()
    for record in records:
        one_by_one.add(record)
    together.add_all(records[:100])
    together.add_all(records[100:])
    assert together == one_by_one


def test_a_simulator_may_use_its_arrays_again():
    values, answer = np.zeros(2), {}

    def recycling(parameters, seed, fidelity):
        values[:] = parameters["a"], seed % 5
        answer.update(x=values, late=float(seed % 3))
        return answer

    given = problem(recycling)
    targets = Targets([series("x", [0.5, 2.0]), scalar("late", 1.0, held_out=True)])
    given = replace(given, targets=targets)
    with Simulations(given) as simulations:
        records = simulations.run_all(tasks(given, 50))
    for record in records:
        assert record.statistics.tolist() == [record.task.parameters[0], record.task.seed % 5]
        assert record.held_out.tolist() == [record.task.seed % 3]


def test_what_was_done_before_an_error_or_ctrl_c_is_in_the_ledger(tmp_path):
    for number, error in enumerate((KeyboardInterrupt, CalibrationError)):
        count = iter(range(1000))

        def interrupted(parameters, seed, fidelity, count=count, error=error):
            if next(count) == 77:
                raise error("enough")
            return {"x": parameters["a"], "late": 0.0}

        given, path = problem(interrupted), tmp_path / f"{number}.sqlite"
        with Simulations(given, path) as simulations, pytest.raises(error):
            simulations.run_all(tasks(given))
        assert _committed(path) == 77


def test_a_failure_that_aborts_lets_nothing_run_after_it(tmp_path):
    ran = []

    def counted(parameters, seed, fidelity):
        ran.append(seed)
        return simulators.fragile(parameters, seed, fidelity)

    given = problem(counted, failures="abort")
    with Simulations(given, tmp_path / "l.sqlite") as simulations:
        with pytest.raises(CalibrationError, match="failures = 'abort'"):
            simulations.run_all(tasks(given))
        assert simulations.used.n_runs == len(ran) < 300
    assert _committed(tmp_path / "l.sqlite") == len(ran)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_supply_gives_the_records_of_a_stream(workers):
    given = problem()
    with Simulations(given, workers=workers) as simulations, Simulations(given) as single:
        with simulations.supply(tasks(given)) as supply:
            taken = [*supply.take(3), *supply.take(60), *supply.take(1)]
        assert plain(taken) == plain(single.run_all(tasks(given, 64)))
        assert simulations.used.n_runs == 64
        if workers == 1:
            assert simulations.speculative == 0
