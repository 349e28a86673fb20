"""`abm calibrate`: from a file to a folder, again and again the same, with clear refusals."""

from __future__ import annotations

import json
import re

import polars as pl
import pytest

from abm.calibration.adapters import StudySimulator
from abm.calibration.execution import execute
from abm.calibration.reading import Calibration
from abm.cli.errors import FAILED, REFUSED, guarded
from abm.errors import CalibrationError

SIMULATOR = """
import numpy as np
def noisy(parameters, seed, fidelity, spread=1.0):
    rng = np.random.default_rng(seed)
    return {"y": parameters["theta"] + spread * rng.normal(), "z": rng.random()}
"""
FILE = """[calibration]
name = "trial"
seed = 4

[simulator]
function = "sim.py:noisy"
spread = 0.5

[prior]
theta = { uniform = [-10, 10] }
constraints = ["theta > -9"]

[targets.y]
value = 0.3
standard_error = 0.1
discrepancy = 0.2

[targets.z]
value = 0.5
held_out = true

[distance]
distance = "scaled_euclidean"
scale = "error"

[method]
name = "rejection"
n_simulations = 600
accept = 0.05
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sim.py").write_text(SIMULATOR)
    (tmp_path / "trial.toml").write_text(FILE)
    return tmp_path


def test_a_file_becomes_a_folder_that_a_second_command_only_reads(place, capsys):
    assert guarded(["calibrate", "trial.toml", "--no-report"]) == 0
    assert "theta" in capsys.readouterr().out
    folder = place / "runs" / "trial"
    first = pl.read_parquet(folder / "posterior.parquet")
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["simulations"]["runs"] == {"model": 600}
    assert manifest["ess"] == pytest.approx(30)
    assert guarded(["calibrate", "trial.toml", "--no-report", "--workers", "2"]) == 0
    assert "600 read from the ledger" in capsys.readouterr().out
    assert pl.read_parquet(folder / "posterior.parquet").equals(first)


def test_another_definition_needs_another_place_or_a_fresh_start(place, capsys):
    assert guarded(["calibrate", "trial.toml", "--no-report"]) == 0
    (place / "trial.toml").write_text(FILE.replace("seed = 4", "seed = 5"))
    assert guarded(["calibrate", "trial.toml", "--no-report"]) == REFUSED
    assert "holds results of another calibration" in capsys.readouterr().err
    assert guarded(["calibrate", "trial.toml", "--no-report", "--fresh"]) == 0
    assert (place / "runs" / "trial.previous" / "posterior.parquet").exists()


def test_a_mistake_before_the_first_simulation_leaves_nothing_in_the_way(place, capsys):
    (place / "trial.toml").write_text(FILE.replace("accept = 0.05", "accept = 2"))
    assert guarded(["calibrate", "trial.toml", "--no-report"]) == REFUSED
    assert "expected 0 < accept <= 1" in capsys.readouterr().err
    (place / "trial.toml").write_text(FILE)
    assert guarded(["calibrate", "trial.toml", "--no-report"]) == 0


def test_a_check_on_planted_sets_needs_a_method_with_a_posterior(place, capsys):
    text = FILE[: FILE.index("[method]")] + '[method]\nname = "morris"\n'
    (place / "trial.toml").write_text(text)
    assert guarded(["calibrate", "trial.toml", "--check-sets", "30"]) in (REFUSED, FAILED)
    assert "gives no posterior to check" in " ".join(capsys.readouterr().err.split())
    assert not (place / "runs").exists()


def test_a_method_is_checked_on_planted_sets_and_resumes(place, capsys):
    (place / "trial.toml").write_text(FILE.replace("n_simulations = 600", "n_simulations = 60"))
    command = ["calibrate", "trial.toml", "--no-report", "--check-sets", "25"]
    assert guarded(command) == 0
    out = capsys.readouterr().out
    assert "planted set 25 of 25" in out
    assert "check: theta: planted values are" in " ".join(out.split())
    made = sorted(p.name for p in (place / "runs" / "trial" / "planted_25").glob("*.sqlite"))
    assert len(made) == 26
    assert guarded(command) == 0


@pytest.mark.slow
def test_check_says_in_words_whether_planted_parameters_are_found(place, capsys):
    assert guarded(["calibrate", "trial.toml", "--check", "--check-simulations", "600"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "check: This calibration recovers what it plants" in out
    assert "check: 2 of 2 summaries lie in their 90 % predictive intervals" in out
    report = (place / "runs" / "trial" / "REPORT.md").read_text()
    assert "| model | 600 |" in report  # the fit's, without what the check simulated
    assert (place / "runs" / "trial" / "REPORT.md").exists()


@pytest.mark.parametrize(
    ("old", "new", "line", "why"),
    [
        ("uniform = [-10", "unifrom = [-10", 10, "expected one of"),
        ("theta > -9", "theta > nine", 9, "'nine' is no parameter"),
        ("value = 0.3", "valeu = 0.3", 13, "one of value, values, counts, table"),
        ("accept = 0.05", "acept = 0.05", 29, "did you mean 'accept'"),
        ('"rejection"', '"rejecton"', 27, "did you mean 'rejection'"),
        ("sim.py:noisy", "sim.py:nosy", 5, "did you mean 'noisy'"),
        ("sim.py:noisy", "sam.py:noisy", 5, "there is no file"),
        ('scale = "error"', 'scale = "eror"', 22, "expected one of"),
        ('scale = "error"', "scale = [1.0, 1.0]", None, r"expected (1,), one per statistic"),
        ("standard_error = 0.1\ndiscrepancy = 0.2", "", None, "degenerate distance"),
        ("spread = 0.5", "sprad = 0.5", 5, "unexpected keyword argument 'sprad'"),
        ("held_out = true", 'held_out = "yes"', 18, "expected true or false"),
        ("accept = 0.05", 'accept = "all"', 29, "accept = 'all', expected a finite number"),
        ("[method]", "[methods]", 26, "did you mean 'method'"),
        ("seed = 4", "sed = 4", 3, "did you mean 'seed'"),
    ],
)
def test_a_mistake_is_told_with_its_line_before_anything_runs(place, capsys, old, new, line, why):
    (place / "trial.toml").write_text(FILE.replace(old, new))
    assert guarded(["calibrate", "trial.toml"]) in (REFUSED, FAILED)
    told = capsys.readouterr().err
    assert why in told
    assert re.search(r"trial\.toml" + (f":{line}: " if line else ""), told)
    assert not (place / "runs").exists()


def test_correlated_priors_fidelities_and_distances_by_target_can_be_written(place):
    text = FILE.replace('constraints = ["theta > -9"]', "b = { normal = [0, 1] }\n")
    text = text.replace("[targets.y]", "correlation = [[1, 0.5], [0.5, 1]]\n\n[targets.y]")
    text += "[fidelities]\ncheap = 1.0\ndear = 10.0\n"
    (place / "trial.toml").write_text(text)
    problem = Calibration.from_toml("trial.toml").problem
    assert problem.names == ("theta", "b")
    assert problem.levels == ("cheap", "dear")
    assert problem.discrepancy_sd.tolist() == [0.2]


def test_a_study_is_a_simulator_of_its_own_outcomes():
    simulate = StudySimulator(
        "opinion_network/preset_small", arm="ordinary", outcomes={"variance": "all.variance"}
    )
    small = {"duration": 3.0, "n_citizens": 40}
    first = simulate({**small, "rate": 0.3}, 5, "model")
    assert simulate({**small, "rate": 0.3}, 5, "model") == first
    assert simulate({**small, "rate": 0.3}, 6, "model") != first
    assert (
        simulate({**small, "rate": 0.0}, 5, "model").summaries["variance"]
        > (first.summaries["variance"])
    )


def test_a_study_answered_by_the_embedded_model_costs_its_tokens():
    simulate = StudySimulator(
        "opinion_network/exposure_arms",
        arm="ordinary",
        outcomes={"variance": "asked.variance"},
        tokens_per_unit=100.0,
    )
    small = {"duration": 1.0, "n_citizens": 30, "n_asked": 2, "writing_probability": 0.0}
    rule, dear = simulate(small, 1, "rule"), simulate(small, 1, "embedded")
    assert (rule.cost, rule.tokens) == (1.0, 0)
    assert dear.tokens > 100
    assert dear.cost == 1.0 + dear.tokens / 100
    assert simulate(small, 1, "embedded") == dear  # a warm ledger changes no cost


def test_an_outcome_that_a_study_does_not_have_is_named():
    simulate = StudySimulator("opinion_network/preset_small", outcomes={"v": "all.varianse"})
    with pytest.raises(CalibrationError, match=r"did you mean 'all\.variance'"):
        simulate({"duration": 1.0, "n_citizens": 20}, 1, "model")


def test_an_execution_in_python_is_that_of_the_terminal(place):
    done = execute(Calibration.from_toml("trial.toml"), "other", report=False)
    assert done.manifest["summary"][0]["parameter"] == "theta"
    assert done.result.n == 30
