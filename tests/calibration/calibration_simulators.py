"""Simulators that tests run in worker processes and in a process that is killed."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np

from abm.calibration import Independent, Problem, ScaledEuclidean, Simulations, scalar, uniform
from abm.calibration.rejection import prior_draws


def fragile(parameters, seed, fidelity):
    """Fails above 0.95, is undefined below 0.05, and is noisy in between."""
    if parameters["a"] > 0.95:
        raise ValueError("too much")
    if parameters["a"] < 0.05:
        return {"x": float("nan"), "late": 0.0}
    return {"x": parameters["a"] + np.random.default_rng(seed).normal(), "late": seed % 10}


def deadly(parameters, seed, fidelity):
    """Takes its process with it in a tenth of all cases."""
    if 0.5 < parameters["a"] < 0.6:
        os._exit(3)
    return {"x": parameters["a"], "late": 0.0}


def slow(parameters, seed, fidelity):
    """Twenty milliseconds."""
    time.sleep(0.02)
    return fragile(parameters, seed, fidelity)


def problem(simulator=fragile, **changes):
    targets = [scalar("x", 0.5), scalar("late", 3.0, held_out=True)]
    given = {"seed": 3, "distance": ScaledEuclidean("none"), **changes}
    return Problem(simulator, Independent({"a": uniform(0, 1)}), targets, **given)


def plain(records):
    """Records without what they took."""
    return [
        (r.task, r.outcome, r.statistics.tobytes(), r.held_out.tobytes(), r.cost, r.error)
        for r in records
    ]


def main(path, workers):
    """What is killed."""
    given = problem(slow)
    with Simulations(given, Path(path), workers=workers) as simulations:
        print("begun", flush=True)
        simulations.run_all(given.tasks("prior", prior_draws(given, "prior", 150)))
