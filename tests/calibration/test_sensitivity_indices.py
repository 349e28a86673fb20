"""Sobol and Morris on functions with known indices; lost and reordered runs cannot corrupt them."""

import numpy as np
import polars as pl
import pytest

from abm.calibration import Correlated, Independent, Problem, Simulations, Targets, scalar, uniform
from abm.calibration.sensitivity import morris, morris_design, sobol, sobol_design
from abm.errors import CalibrationError

FIRST = [0.3139, 0.4424, 0.0]
TOTAL = [0.5576, 0.4424, 0.2437]


def ishigami(x):
    return np.sin(x[:, 0]) + 7 * np.sin(x[:, 1]) ** 2 + 0.1 * x[:, 2] ** 4 * np.sin(x[:, 0])


def angles(unit):
    return np.pi * (2 * unit - 1)


def test_indices_of_ishigami():
    """8192 blocks of a scrambled Sobol sequence: errors are below 0.02 (seed 1)."""
    design = sobol_design(("x1", "x2", "x3"), n=8192, seed=1)
    table = design.analyse(ishigami(angles(design.unit)), seed=1).table
    np.testing.assert_allclose(table["first"].to_numpy(), FIRST, atol=0.02)
    np.testing.assert_allclose(table["total"].to_numpy(), TOTAL, atol=0.02)


def test_reordered_outputs_give_the_same_indices():
    design = sobol_design(("x1", "x2", "x3"), n=256, seed=2)
    y = ishigami(angles(design.unit))
    shuffled = design.table().with_columns(y=pl.Series(y)).sample(fraction=1, shuffle=True, seed=3)
    back = design.outputs(shuffled)
    assert (back == y).all()


def test_lost_runs_take_their_block_and_are_counted():
    """One run in 50 is lost; the indices stay where they were, and nothing is imputed."""
    design = sobol_design(("x1", "x2", "x3"), n=2048, seed=4)
    y = ishigami(angles(design.unit))
    rng = np.random.default_rng(4)
    kept = rng.random(len(y)) > 0.02
    answers = {i: v for i, v, k in zip(design.ids, y, kept, strict=True) if k}
    found = design.analyse(design.outputs(answers), seed=4)
    lost = len(set(design.block[~kept].tolist()))
    assert (found.n_lost, found.n_blocks) == (lost, 2048 - lost)
    np.testing.assert_allclose(found.table["total"].to_numpy(), TOTAL, atol=0.06)


def test_teeth_outputs_in_another_order_would_have_been_wrong():
    design = sobol_design(("x1", "x2", "x3"), n=256, seed=5)
    y = ishigami(angles(design.unit))
    wrong = design.analyse(np.roll(y, 1), seed=5).table["total"].to_numpy()
    assert np.abs(wrong - TOTAL).max() > 0.2


def test_foreign_and_contradicting_outputs_are_refused():
    design = sobol_design(("a",), n=8, seed=1)
    other = sobol_design(("a",), n=8, seed=2)
    with pytest.raises(CalibrationError, match="not of this design"):
        design.outputs(dict.fromkeys(other.ids, 1.0))
    twice = pl.DataFrame({"id": [design.ids[0]] * 2, "y": [1.0, 2.0]})
    with pytest.raises(CalibrationError, match="two outputs"):
        design.outputs(twice)
    with pytest.raises(CalibrationError, match="0 of 8 blocks"):
        design.analyse(np.full(24, np.nan))


def test_morris_effects_of_a_linear_function_are_its_coefficients():
    design = morris_design(("a", "b", "c"), n_trajectories=10, seed=1)
    table = design.analyse(design.unit @ [3.0, -2.0, 0.0]).table
    np.testing.assert_allclose(table["mu"].to_numpy(), [3, -2, 0], atol=1e-12)
    np.testing.assert_allclose(table["mu_star"].to_numpy(), [3, 2, 0], atol=1e-12)
    np.testing.assert_allclose(table["sigma"].to_numpy(), 0, atol=1e-12)


def failing(parameters, seed, fidelity):
    if seed % 40 == 0:
        raise ValueError("no luck")
    return {"y": parameters["a"], "z": 1.0}


def test_a_study_counts_its_lost_blocks_and_calls_constant_outputs_undefined():
    problem = Problem(
        failing,
        Independent({"a": uniform(0, 1), "b": uniform(0, 1)}),
        Targets([scalar("y", 0.5), scalar("z", 1.0)]),
        seed=1,
    )
    found = sobol(Simulations(problem), n=128)
    assert found.n_lost > 0
    assert {"blocks_lost", "failed"} <= {n.outcome for n in found.notices}
    assert found.table.filter(output="z")["first"].is_nan().all()
    assert found.table.filter(output="y", parameter="a")["total"][0] == pytest.approx(1, abs=0.2)
    assert morris(Simulations(problem), n_trajectories=30).n_lost > 0


def test_a_design_of_which_nothing_is_left_tells_why_runs_failed():
    def hopeless(parameters, seed, fidelity):
        raise ValueError("never")

    problem = Problem(hopeless, Independent({"a": uniform(0, 1)}), Targets([scalar("y", 0.5)]))
    with pytest.raises(CalibrationError, match=r"0 of 4 blocks.* 8 times ValueError: never"):
        morris(Simulations(problem), n_trajectories=4)


def test_dependent_parameters_have_no_indices():
    prior = Correlated({"a": uniform(0, 1), "b": uniform(0, 1)}, [[1, 0.5], [0.5, 1]])
    problem = Problem(failing, prior, Targets([scalar("y", 0.5)]))
    with pytest.raises(CalibrationError, match="independent parameters"):
        sobol(Simulations(problem))
