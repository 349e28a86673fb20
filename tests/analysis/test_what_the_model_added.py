"""The language model against its rule twin, dose-response curves, and planning."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from abm.analysis.added import added_by_model
from abm.analysis.doses import dose_curvature, dose_effects
from abm.analysis.effects import equivalence, paired_effect
from abm.analysis.planning import (
    detectable_effect,
    equivalence_power,
    power,
    replications_for_power,
)
from abm.errors import AnalysisError


def society(n=6):
    """A model whose level is 0.3 above the twin and whose effect of b is 0.1 larger."""
    rng = np.random.default_rng(2)
    rows = []
    for r in range(n):
        luck = rng.normal()
        for answerer, lift, extra in (("rule", 0.0, 0.0), ("llm", 0.3, 0.1)):
            for arm, effect in (("a", 0.0), ("b", 0.2)):
                y = luck + lift + effect + extra * (arm == "b")
                rows.append({"answerer": answerer, "arm": arm, "replication": r, "y": y})
    return pl.DataFrame(rows)


def test_level_and_effect_are_told_apart():
    table = added_by_model(society(), outcomes="y", control="a")
    found = {(r["quantity"], r["arm"]): r["estimate"] for r in table.iter_rows(named=True)}
    assert found["level", "a"] == pytest.approx(0.3)
    assert found["level", "b"] == pytest.approx(0.4)
    assert found["effect", "b"] == pytest.approx(0.1)


def test_without_a_twin_nothing_is_said():
    with pytest.raises(AnalysisError, match="rule twin"):
        added_by_model(society().filter(answerer="llm"), outcomes="y")


def doses(curve):
    rows = [
        {"replication": r, "dose": d, "y": curve(d) + r} for r in range(3) for d in (0.0, 1.0, 3.0)
    ]
    return pl.DataFrame(rows)


def test_a_parabola_has_its_coefficient_and_a_line_has_none():
    parabola = dose_curvature(doses(lambda d: 1 + d - 0.5 * d**2), outcome="y", dose="dose")
    assert parabola.estimate == pytest.approx(-0.5)
    assert dose_curvature(doses(lambda d: 2 * d), outcome="y", dose="dose").estimate == (
        pytest.approx(0, abs=1e-12)
    )


def test_the_curve_is_measured_from_the_lowest_dose():
    table = dose_effects(doses(lambda d: d**2), outcomes="y", dose="dose")
    assert table.select("dose", "estimate").rows() == [(1.0, 1.0), (3.0, 9.0)]


def test_two_doses_cannot_show_a_curve():
    with pytest.raises(AnalysisError, match="three or more"):
        dose_curvature(doses(lambda d: d).filter(pl.col("dose") < 2), outcome="y", dose="dose")


def test_the_replications_found_have_the_power_and_one_fewer_has_not():
    n = replications_for_power(0.4, 1.0, wanted=0.9)
    assert power(0.4, 1.0, n) >= 0.9 > power(0.4, 1.0, n - 1)


@pytest.mark.parametrize("n", [2, 3, 10])
def test_the_detectable_effect_is_found_with_the_wanted_power(n):
    effect = detectable_effect(0.47, n, wanted=0.8)
    assert power(effect, 0.47, n) == pytest.approx(0.8, abs=1e-4)


def test_a_huge_effect_is_certain_to_be_found():
    assert power(1e6, 1.0, 2) == pytest.approx(1.0)
    assert power(50.0, 1.0, 30) == pytest.approx(1.0)


def test_the_power_of_an_equivalence_test_is_how_often_it_succeeds():
    """2,000 simulated studies, seed 5; the tolerance is four standard errors of a share of 0.8."""
    rng = np.random.default_rng(5)
    shown = [
        equivalence(paired_effect(rng.normal(0.1, 1, 40), np.zeros(40)), margin=0.6).equivalent
        for _ in range(2000)
    ]
    assert np.mean(shown) == pytest.approx(equivalence_power(0.6, 1.0, 40, effect=0.1), abs=0.036)
