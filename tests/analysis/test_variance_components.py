"""Variance components: textbook values, agreement with the classical formulas, and coverage."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy import stats

from abm.analysis.components import variance_components
from abm.errors import AnalysisError

LOOMS = [98, 97, 99, 96, 91, 90, 93, 92, 96, 95, 97, 95, 95, 96, 99, 98]
"""Strength of fabric from four looms, four measurements each: Montgomery, Design and Analysis of
Experiments, the example of a random-effects model. Published: 6.96 between looms, 1.90 within,
intraclass correlation between 0.39 and 0.98."""


def rng():
    return np.random.default_rng(20261121)


def table(frame, factors, **given):
    found = variance_components(frame, outcome="y", factors=factors, rng=rng(), **given)
    return {row["source"]: row for row in found.iter_rows(named=True)}


def looms():
    return pl.DataFrame({"loom": np.repeat(list("abcd"), 4), "y": np.array(LOOMS, float)})


def test_the_looms_of_the_textbook_have_their_published_components():
    found = table(looms(), ["loom"])
    assert found["loom"]["component"] == pytest.approx(6.96, abs=0.005)
    assert found["rest"]["component"] == pytest.approx(1.90, abs=0.005)
    assert found["loom"]["share_low"] == pytest.approx(0.385, abs=0.015)
    assert found["loom"]["share_high"] == pytest.approx(0.982, abs=0.003)


def test_unequal_groups_have_the_components_of_the_classical_formula():
    sizes, values = [2, 3, 5], rng().normal(size=10)
    groups = np.repeat(["a", "b", "c"], sizes)
    found = table(pl.DataFrame({"group": groups, "y": values}), ["group"])
    parts = [values[groups == g] for g in "abc"]
    between = sum(p.size * (p.mean() - values.mean()) ** 2 for p in parts) / 2
    within = sum(((p - p.mean()) ** 2).sum() for p in parts) / 7
    n0 = (10 - sum(s**2 for s in sizes) / 10) / 2
    assert found["rest"]["component"] == pytest.approx(within)
    assert found["group"]["component"] == pytest.approx(max((between - within) / n0, 0))


def test_crossed_factors_with_interaction_have_the_components_of_their_mean_squares():
    a, b, n = 4, 3, 2
    draw = rng()
    y = draw.normal(0, 2, (a, 1, 1)) + draw.normal(0, 1, (1, b, 1)) + draw.normal(0, 0.5, (a, b, n))
    rows = [{"model": i, "prompt": j, "y": y[i, j, k]} for i, j, k in np.ndindex(a, b, n)]
    found = table(pl.DataFrame(rows), ["model", "prompt"], interactions=[("model", "prompt")])
    cell, m, p = y.mean(2), y.mean((1, 2)), y.mean((0, 2))
    ms_a = b * n * m.var(ddof=1)
    ms_b = a * n * p.var(ddof=1)
    ms_ab = n * ((cell - m[:, None] - p + y.mean()) ** 2).sum() / ((a - 1) * (b - 1))
    ms_e = ((y - cell[:, :, None]) ** 2).sum() / (a * b * (n - 1))
    assert found["model"]["component"] == pytest.approx(max((ms_a - ms_ab) / (b * n), 0))
    assert found["prompt"]["component"] == pytest.approx(max((ms_b - ms_ab) / (a * n), 0))
    assert found["model x prompt"]["component"] == pytest.approx(max((ms_ab - ms_e) / n, 0))
    assert found["rest"]["component"] == pytest.approx(ms_e)


def test_nested_prompts_are_told_apart_from_their_models_whatever_they_are_called():
    a, b, n = 3, 4, 2
    draw = rng()
    y = draw.normal(0, 3, (a, 1, 1)) + draw.normal(0, 1, (a, b, 1)) + draw.normal(0, 1, (a, b, n))
    rows = [{"model": i, "prompt": j, "y": y[i, j, k]} for i, j, k in np.ndindex(a, b, n)]
    found = table(pl.DataFrame(rows), ["model", "prompt"], nested={"prompt": "model"})
    cell, m = y.mean(2), y.mean((1, 2))
    ms_a = b * n * m.var(ddof=1)
    ms_b = n * ((cell - m[:, None]) ** 2).sum() / (a * (b - 1))
    ms_e = ((y - cell[:, :, None]) ** 2).sum() / (a * b * (n - 1))
    assert [found[s]["degrees"] for s in ("model", "prompt", "rest")] == [2, 9, 12]
    assert found["model"]["component"] == pytest.approx(max((ms_a - ms_b) / (b * n), 0))
    assert found["prompt"]["component"] == pytest.approx(max((ms_b - ms_e) / n, 0))


def test_the_order_of_the_rows_does_not_matter():
    shuffled = looms().sample(fraction=1.0, shuffle=True, seed=4)
    one, other = table(looms(), ["loom"]), table(shuffled, ["loom"])
    assert one["loom"]["component"] == pytest.approx(other["loom"]["component"])


@pytest.mark.parametrize("sizes", [(6,) * 8, (2, 3, 4, 6, 7, 8, 9, 9)])
def test_intervals_cover_the_true_component(sizes):
    """Share and component at 90 %, 200 data sets, seed 3: 99.9 % binomial band.

    Effects are normal, which is what the interval supposes; the second design is unbalanced.
    """
    draw, n_sets = np.random.default_rng(3), 200
    groups = np.repeat(np.arange(8), sizes)
    hits = np.zeros(2)
    for _ in range(n_sets):
        y = draw.normal(0, 1.5, 8)[groups] + draw.normal(0, 1, groups.size)
        found = variance_components(
            pl.DataFrame({"g": groups, "y": y}),
            outcome="y",
            factors=["g"],
            rng=draw,
            level=0.9,
            n_draws=400,
        ).row(0, named=True)
        hits += [
            found["low"] <= 2.25 <= found["high"],
            found["share_low"] <= 2.25 / 3.25 <= found["share_high"],
        ]
    low, high = stats.binom.interval(0.999, n_sets, 0.9)
    assert np.all((hits >= low) & (hits <= high)), hits / n_sets


def test_a_design_that_cannot_tell_its_factors_apart_is_refused():
    frame = looms().with_columns(place=pl.col("loom"))
    with pytest.raises(AnalysisError, match="cannot tell 'place'"):
        table(frame, ["loom", "place"])


def test_a_design_without_replications_has_no_rest():
    frame = pl.DataFrame({"a": [0, 0, 1, 1], "b": [0, 1, 0, 1], "y": [1.0, 2.0, 3.0, 5.0]})
    with pytest.raises(AnalysisError, match="leave nothing for the rest"):
        table(frame, ["a", "b"], interactions=[("a", "b")])
