"""Differences between effects and shares of variance: planted values come back."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.formula.api import ols

from abm.analysis.effects import effects_table, paired_effect
from abm.analysis.heterogeneity import difference_in_effects, variance_shares
from abm.errors import AnalysisError


def runs(seed, n=8):
    rng = np.random.default_rng(seed)
    rows = []
    for r in range(n):
        base = rng.normal()
        for party, gain in (("left", 1.0), ("right", 3.0), ("none", 1.0)):
            shared = rng.normal()
            for arm, on in (("control", 0), ("ad", 1)):
                rows.append((r, party, arm, base + shared + on * gain + rng.normal(0, 0.1)))
    return pl.DataFrame(rows, schema=["replication", "party", "arm", "y"], orient="row")


def test_a_planted_difference_between_groups_is_found_and_an_absent_one_is_not():
    table = difference_in_effects(
        runs(51), outcome="y", control="control", group="party", reference="left"
    )
    right, none = (table.filter(party=party).row(0, named=True) for party in ("right", "none"))
    assert right["low"] < 2.0 < right["high"]
    assert right["low"] > 0
    assert none["low"] < 0 < none["high"]


def test_it_is_the_difference_of_the_two_effects_paired_by_replication():
    frame = runs(52)
    effects = effects_table(frame, outcomes="y", control="control", by="party")
    estimate = {row["party"]: row["estimate"] for row in effects.iter_rows(named=True)}
    table = difference_in_effects(
        frame, outcome="y", control="control", group="party", reference="left"
    )
    for row in table.iter_rows(named=True):
        assert row["estimate"] == pytest.approx(estimate[row["party"]] - estimate["left"])
    wide = frame.pivot(on=["arm", "party"], index="replication", values="y").sort("replication")
    gaps = {p: wide[f'{{"ad","{p}"}}'] - wide[f'{{"control","{p}"}}'] for p in ("left", "right")}
    known = paired_effect(gaps["right"].to_numpy(), gaps["left"].to_numpy())
    mine = table.filter(party="right").row(0, named=True)
    assert (mine["low"], mine["high"]) == pytest.approx((known.low, known.high))


def test_a_replication_that_lacks_a_group_is_left_out():
    frame = runs(53).filter(~((pl.col("party") == "right") & (pl.col("replication") == 0)))
    table = difference_in_effects(
        frame, outcome="y", control="control", group="party", reference="left"
    )
    assert table.filter(party="right")["n"][0] == 7
    assert table.filter(party="none")["n"][0] == 8


def test_an_unknown_reference_is_refused():
    with pytest.raises(AnalysisError, match="reference"):
        difference_in_effects(
            runs(54), outcome="y", control="control", group="party", reference="green"
        )


def design(seed, replications=3):
    rng = np.random.default_rng(seed)
    rows = [
        (a, b, c, 2.0 * a + 1.0 * b + 0.5 * a * b + rng.normal(0, 0.2))
        for a in range(3)
        for b in range(2)
        for c in range(4)
        for _ in range(replications)
    ]
    return pl.DataFrame(rows, schema=["arm", "model", "prompt", "y"], orient="row")


def test_shares_of_variance_are_those_of_the_analysis_of_variance():
    frame = design(55)
    table = variance_shares(frame, outcome="y", factors=["arm", "model", "prompt"])
    formula = "y ~ (C(arm) + C(model) + C(prompt))**2"
    known = sm.stats.anova_lm(
        ols(formula, pd.DataFrame(frame.to_dict(as_series=False))).fit(), typ=2
    )
    for row in table.iter_rows(named=True):
        name = row["source"]
        key = "Residual" if name == "rest" else ":".join(f"C({f})" for f in name.split(" x "))
        assert row["sum_of_squares"] == pytest.approx(known.loc[key, "sum_sq"], abs=1e-9)
        assert row["degrees"] == known.loc[key, "df"]
    assert table["source"][0] == "arm"


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_shares_of_variance_sum_to_one_and_do_not_depend_on_the_unit(seed):
    frame = design(seed, replications=1)
    table = variance_shares(frame, outcome="y", factors=["arm", "model", "prompt"])
    assert table["share"].sum() == pytest.approx(1)
    scaled = frame.with_columns(5 * pl.col("y") - 7)
    other = variance_shares(scaled, outcome="y", factors=["arm", "model", "prompt"])
    assert other["share"].to_list() == pytest.approx(table["share"].to_list())


def test_an_unbalanced_design_is_refused():
    with pytest.raises(AnalysisError, match="equally many"):
        variance_shares(design(56).head(50), outcome="y", factors=["arm", "model"])
    with pytest.raises(AnalysisError, match="several values"):
        variance_shares(design(56), outcome="y", factors=["arm"])


def test_a_constant_outcome_has_no_shares():
    frame = design(57).with_columns(y=pl.lit(1.0))
    assert variance_shares(frame, outcome="y", factors=["arm", "model"])["share"].is_nan().all()
