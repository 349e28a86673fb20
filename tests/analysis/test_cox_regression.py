"""Cox's likelihood against its definition, moment by moment, and against statsmodels."""

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize
from statsmodels.duration.hazard_regression import PHReg

from abm.analysis.hazards import cox_regression
from abm.analysis.partial_likelihood import Spells, largest, score_residuals


def slow_parts(spells, at, weights=None):
    """Log partial likelihood and score residuals, as Efron defines them, moment by moment."""
    x, w = spells.x, np.exp(spells.x @ at)
    value, left = 0.0, np.zeros_like(x)
    for now in np.unique(spells.finish[spells.happened]):
        risk = (spells.begin < now) & (now <= spells.finish)
        dead = spells.happened & (spells.finish == now)
        value += (x[dead] @ at).sum()
        left[dead] += x[dead]
        for turn in range(dead.sum()):
            part = w * risk * (1 - dead * turn / dead.sum())
            mean = part @ x / part.sum()
            value -= np.log(part.sum())
            left[dead] -= mean / dead.sum()
            left -= (part / part.sum())[:, None] * (x - mean)
    return value, left


def drawn(seed, *, ties, delayed, n=40, k=2):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, k))
    begin = rng.random(n) * delayed
    gap = rng.exponential(np.exp(-0.5 * x[:, 0])) + 0.01
    if ties:
        begin, gap = np.floor(3 * begin) / 3, np.ceil(3 * gap) / 3
    return Spells(x, begin, begin + gap, rng.random(n) < 0.7)


@given(st.integers(0, 10_000), st.booleans(), st.booleans())
@settings(max_examples=15, deadline=None)
def test_likelihood_and_residuals_are_those_of_the_definition(seed, ties, delayed):
    spells = drawn(seed, ties=ties, delayed=delayed, n=25)
    if not spells.happened.any():
        return
    at, certain = largest(spells)
    _, left = slow_parts(spells, at)
    assert score_residuals(spells, at) == pytest.approx(left, abs=1e-9)
    assert left.sum(axis=0) == pytest.approx([0, 0], abs=1e-6 * len(left))
    best = optimize.minimize(lambda b: -slow_parts(spells, b)[0], at, method="BFGS")
    assert slow_parts(spells, at)[0] >= -best.fun - 1e-9
    step = 1e-5 * np.eye(2)
    curve = [
        (slow_parts(spells, at - e)[1] - slow_parts(spells, at + e)[1]).sum(axis=0) / 2e-5
        for e in step
    ]
    assert np.array(curve) == pytest.approx(certain, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize(("ties", "delayed"), [(False, False), (False, True), (True, False)])
@pytest.mark.parametrize("seed", [1, 2])
def test_coefficients_and_errors_are_those_of_statsmodels(ties, delayed, seed):
    # Not with ties and delayed entry: statsmodels has at risk at a moment who enters at it.
    spells = drawn(seed, ties=ties, delayed=delayed, n=80)
    table = {"start": spells.begin, "stop": spells.finish, "adopted": spells.happened}
    frame = pl.DataFrame(table | {"a": spells.x[:, 0], "b": spells.x[:, 1]})
    mine = cox_regression(frame, ["a", "b"]).table
    model = PHReg(spells.finish, spells.x, spells.happened, entry=spells.begin, ties="efron")
    known = model.fit()
    assert mine["log_hazard"].to_numpy() == pytest.approx(known.params, abs=1e-5)
    assert mine["standard_error"].to_numpy() == pytest.approx(known.bse, rel=1e-5)


def test_robust_errors_are_those_of_statsmodels_without_ties():
    spells, groups = drawn(3, ties=False, delayed=False, n=90), np.arange(90) // 3
    table = {"start": spells.begin, "stop": spells.finish, "adopted": spells.happened, "g": groups}
    frame = pl.DataFrame(table | {"a": spells.x[:, 0], "b": spells.x[:, 1]})
    mine = cox_regression(frame, ["a", "b"], cluster="g").table
    known = PHReg(spells.finish, spells.x, spells.happened, ties="efron").fit(groups=groups)
    assert mine["standard_error"].to_numpy() == pytest.approx(known.bse, rel=1e-5)


def test_who_changes_spell_at_a_moment_is_at_risk_once_at_that_moment():
    # Agent 2 goes from no exposure to one at time 1, when agent 1 adopts unexposed: at risk then
    # are both, unexposed. At time 2 agent 2 adopts exposed and agent 3 is at risk unexposed. So the
    # likelihood is 1/3 x z / (z + 1), which grows with z.
    rows = [(0.0, 1.0, True, 0), (0.0, 1.0, False, 0), (1.0, 2.0, True, 1), (0.0, 2.5, False, 0)]
    frame = pl.DataFrame(rows, schema=["start", "stop", "adopted", "exposures"], orient="row")
    assert "grows without end" in cox_regression(frame).reason
    # Agent 4 adopts unexposed at 2.2, and agent 5 is exposed all the time.
    more = [*rows, (0.0, 2.2, True, 0), (0.0, 3.0, False, 1)]
    frame = pl.DataFrame(more, schema=["start", "stop", "adopted", "exposures"], orient="row")
    # At 1: four unexposed and one exposed: 1 / (4 + z). At 2: z / (2z + 2). At 2.2: 1 / (z + 2).
    best = optimize.minimize_scalar(
        lambda b: (
            -(b - np.log(4 + math.exp(b)) - np.log(2 * math.exp(b) + 2) - np.log(math.exp(b) + 2))
        )
    )
    assert cox_regression(frame).table["log_hazard"][0] == pytest.approx(best.x, abs=1e-4)
