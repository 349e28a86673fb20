"""People drawn column by column have the conditional shares of the tables."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from abm.errors import PopulationError
from abm.population import draw_columns, fit_table, integerise

VOTE = pl.DataFrame(
    {
        "sex": ["f", "f", "f", "f", "m", "m", "m", "m"],
        "old": [True, True, False, False] * 2,
        "vote": ["left", "right"] * 4,
        "probability": [0.4, 0.6, 0.9, 0.1, 0.25, 0.75, 0.5, 0.5],
    }
)
TABLES = {"sex": {"f": 0.5, "m": 0.5}, "old": {True: 0.2, False: 0.8}, "vote": VOTE}


def seeded(seed):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("method", ["systematic", "trs", "independent"])
def test_the_joint_table_is_the_product_of_the_conditional_ones(method):
    """20,000 people, seed 1; eight cells within four binomial standard deviations."""
    people = draw_columns(20_000, TABLES, rng=seeded(1), method=method)
    assert people.columns == ["sex", "old", "vote"]
    counts = {(s, o, v): n for s, o, v, n in people.group_by("sex", "old", "vote").len().rows()}
    for sex, old, vote, p in VOTE.rows():
        share = 0.5 * (0.2 if old else 0.8) * p
        wanted = 20_000 * share
        assert abs(counts[sex, old, vote] - wanted) < 4 * np.sqrt(wanted * (1 - share))


def test_rounded_draws_meet_each_table_up_to_one_person():
    people = draw_columns(999, TABLES, rng=seeded(2))
    for (sex, old), group in people.group_by("sex", "old"):
        rows = VOTE.filter((pl.col("sex") == sex) & (pl.col("old") == old))
        for vote, p in rows.select("vote", "probability").rows():
            assert abs(group.filter(pl.col("vote") == vote).height - p * group.height) < 1


def test_columns_are_added_to_people_who_are_there():
    survey = pl.DataFrame({"respondent": ["a", "b", "c", "d"], "sex": ["f", "m", "f", "m"]})
    people = draw_columns(survey, {"old": TABLES["old"], "vote": VOTE}, rng=seeded(3))
    assert people.select("respondent", "sex").equals(survey)
    assert people.columns[2:] == ["old", "vote"]
    assert people.equals(draw_columns(survey, {"old": TABLES["old"], "vote": VOTE}, rng=seeded(3)))
    assert draw_columns(0, TABLES, rng=seeded(3)).height == 0


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"vote": VOTE}, r"depends on \['sex', 'old'\], which is not drawn yet"),
        ({"sex": {"f": 0.5, "m": 0.4}}, "sum 0.9"),
        ({"sex": {"f": 1.5, "m": -0.5}}, ">= 0"),
        ({"sex": {"f": 0.5, "x": 0.5}, "old": TABLES["old"], "vote": VOTE}, "'sex': 'x'"),
        ({"sex": TABLES["sex"], "old": TABLES["old"], "vote": VOTE[:7]}, "given .*'m'"),
        ({"sex": TABLES["sex"], "old": {0: 0.5, 1: 0.5}, "vote": VOTE}, "types differ"),
        ({"vote": VOTE.drop("probability")}, "expected rows with 'vote' and 'probability'"),
        ({"probability": {1: 1.0}}, "rename"),
        ({"sex": {"f": 0.5, 1: 0.5}}, "one type"),
        ({"sex": pl.DataFrame({"sex": ["f"], "probability": ["one"]})}, r"probabilities \[nan\]"),
    ],
)
def test_tables_that_do_not_hold_together_are_refused_by_name(tables, message):
    with pytest.raises(PopulationError, match=message):
        draw_columns(10, tables, rng=seeded(1))


def test_truncate_replicate_sample_keeps_whole_parts_and_rounds_some_up():
    """Lovelace & Ballas (2013). Fractions .5, .5, 0, .5, .5: each of four is rounded up half of the
    time; 2,000 draws, seed 4; four standard deviations."""
    expected = np.array([1.5, 0.5, 3.0, 2.5, 0.5])
    made = np.array([integerise(expected, rng=seeded([4, i]), method="trs") for i in range(2000)])
    assert (made.sum(axis=1) == 8).all()
    assert ((made == np.floor(expected)) | (made == np.ceil(expected))).all()
    assert made.mean(axis=0) == pytest.approx(expected, abs=4 * 0.5 / np.sqrt(2000))


def test_a_fit_table_compares_any_people_with_targets():
    people = draw_columns(1000, TABLES, rng=seeded(5))
    fit = fit_table(people, {"sex": {"f": 1, "m": 1}, ("sex", "old"): {
        ("f", True): 10, ("f", False): 40, ("m", True): 10, ("m", False): 40}})  # fmt: skip
    assert fit.columns == ["variable", "category", "target", "found", "error"]
    assert fit.height == 6
    assert fit["error"][:2].to_list() == [0.0, 0.0]
    assert fit["error"].abs().max() < 0.05
    with pytest.raises(PopulationError, match="no target for"):
        fit_table(people, {"sex": {"f": 1}})
