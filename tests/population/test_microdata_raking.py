"""People from survey records: weights are met, respondents kept, impossible targets named."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from abm.errors import PopulationError
from abm.population import Population, draw, integerise, rake


def seeded(seed):
    return np.random.default_rng(seed)


SURVEY = pl.DataFrame(
    {
        "respondent": ["a", "b", "c", "d"],
        "age": [20, 40, 60, 80],
        "weight": [1.0, 2.0, 0.0, 1.0],
    }
)


def test_whole_expectations_are_met_exactly_and_the_respondent_is_kept():
    people = draw(SURVEY, 8, weights="weight", rng=seeded(1))
    counts = dict(people["respondent"].value_counts().rows())
    assert counts == {"a": 2, "b": 4, "d": 2}
    ages = dict(SURVEY.select("respondent", "age").rows())
    assert all(ages[who] == age for who, age in people.select("respondent", "age").rows())
    assert people.filter(pl.col("respondent") == "b")["copy"].sort().to_list() == [0, 1, 2, 3]


def test_equal_seeds_draw_equal_people_in_random_order():
    first, again, other = (draw(SURVEY, 40, rng=seeded(s)) for s in (2, 2, 3))
    assert first.equals(again)
    assert not first.equals(other)
    assert first["respondent"].to_list() != sorted(first["respondent"].to_list())


@pytest.mark.parametrize("method", ["systematic", "independent"])
def test_both_methods_have_the_weighted_mean_as_expectation(method):
    """600 draws of 5 people, seed 4; 4 standard errors."""
    means = [
        draw(SURVEY, 5, weights="weight", rng=seeded([4, i]), method=method)["age"].mean()
        for i in range(600)
    ]
    truth = (20 * 1 + 40 * 2 + 80) / 4
    assert np.mean(means) == pytest.approx(truth, abs=4 * np.std(means) / np.sqrt(600))


def test_systematic_draws_vary_less_than_independent_ones():
    def spread(method):
        return np.std(
            [
                draw(SURVEY, 9, weights="weight", rng=seeded([5, i]), method=method)["age"].mean()
                for i in range(200)
            ]
        )

    assert spread("systematic") < 0.5 * spread("independent")


def test_drawn_people_make_a_population_with_keys_of_its_own():
    people = Population.from_frame(draw(SURVEY, 10, weights="weight", rng=seeded(6)))
    assert people.keys.tolist() == list(range(10))
    assert set(people.respondent) == {"a", "b", "d"}
    with pytest.raises(PopulationError, match="not unique"):
        Population.from_frame(draw(SURVEY, 10, rng=seeded(6)), key="respondent")


def test_rounding_is_up_or_down_with_the_right_chance():
    """Five expectations, 4,000 roundings, seed 7; 4 standard deviations each."""
    expected = np.array([0.3, 1.9, 2.0, 0.05, 3.75])
    made = np.array([integerise(expected, rng=seeded([7, i])) for i in range(4000)])
    assert (made.sum(axis=1) == 8).all()
    assert (np.abs(made - expected) < 1).all()
    assert made.mean(axis=0) == pytest.approx(expected, abs=4 * 0.5 / np.sqrt(4000))


def test_sums_with_rounding_errors_are_whole():
    third = np.full(3, 1 / 3) * 3
    assert integerise(third * 0.1 / 0.1, rng=seeded(8)).tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: draw(SURVEY, -1, rng=seeded(1)), "n = -1"),
        (lambda: draw(SURVEY.clear(), 1, rng=seeded(1)), "no rows"),
        (lambda: draw(SURVEY, 1, weights="mass", rng=seeded(1)), "'mass'"),
        (lambda: draw(SURVEY, 1, weights=[1, 2], rng=seeded(1)), r"\(4,\)"),
        (lambda: draw(SURVEY, 1, weights=[1, -2, 1, 1], rng=seeded(1)), r"row \[1\]"),
        (lambda: draw(SURVEY, 1, weights=[0, 0, 0, 0], rng=seeded(1)), "all 0"),
        (lambda: draw(SURVEY, 1, rng=seeded(1), method="luck"), "luck"),
        (lambda: integerise([0.5, 0.2], rng=seeded(1)), "whole number"),
        (lambda: integerise([np.nan], rng=seeded(1)), "finite"),
        (lambda: integerise(["a"], rng=seeded(1)), "expected: .*expected numbers"),
        (lambda: draw(SURVEY, 2.5, rng=seeded(1)), "n = 2.5, expected a whole number"),
        (lambda: draw(SURVEY, 1, weights="respondent", rng=seeded(1)), r"no finite.*row \[0\]"),
        (lambda: draw(SURVEY, 1, weights=list("abcd"), rng=seeded(1)), "weights: .*numbers"),
        (lambda: draw(SURVEY.lazy(), 1, rng=seeded(1)), r"LazyFrame, .*; pass frame.collect\(\)"),
        (lambda: draw({"a": [1]}, 1, rng=seeded(1)), "frame is a dict, expected a polars"),
    ],
)
def test_impossible_draws_are_refused(make, message):
    with pytest.raises(PopulationError, match=message):
        make()


# ---------------------------------------------------------------------- raking


def test_a_two_by_two_table_worked_by_hand():
    """First table [[30, 20], [20, 30]], rows to (40, 60), columns to (60, 40). The odds ratio 2.25
    is kept: x (x) / ((40 - x)(60 - x)) = 2.25 with x the first cell, hence
    1.25 x**2 - 225 x + 5400 = 0 and x = 90 - sqrt(8100 - 4320)."""
    frame = pl.DataFrame(
        {
            "row": ["r1"] * 50 + ["r2"] * 50,
            "column": ["c1"] * 30 + ["c2"] * 20 + ["c1"] * 20 + ["c2"] * 30,
        }
    )
    raked = rake(frame, {"row": {"r1": 40, "r2": 60}, "column": {"c1": 60, "c2": 40}})
    x = 90 - np.sqrt(8100 - 4320)
    table = frame.with_columns(w=raked.weights).group_by("row", "column").agg(pl.col("w").sum())
    cells = {(r, c): w for r, c, w in table.rows()}
    assert cells["r1", "c1"] == pytest.approx(x, abs=1e-6)
    assert cells["r1", "c2"] == pytest.approx(40 - x, abs=1e-6)
    assert cells["r2", "c1"] == pytest.approx(60 - x, abs=1e-6)
    assert raked.error < 1e-6
    assert raked.total == pytest.approx(100)


def random_survey(n, seed):
    rng = seeded(seed)
    return pl.DataFrame(
        {
            "sex": rng.choice(["f", "m"], n),
            "age": rng.integers(0, 5, n),
            "region": rng.choice(["north", "south", "west"], n, p=[0.6, 0.3, 0.1]),
            "weight": rng.random(n) + 0.5,
        }
    )


TARGETS = {
    "sex": {"f": 520, "m": 480},
    "age": {0: 100, 1: 250, 2: 250, 3: 250, 4: 150},
    "region": {"north": 300, "south": 300, "west": 400},
}


def test_three_marginals_are_met_and_odds_ratios_kept():
    survey = random_survey(800, 1)
    raked = rake(survey, TARGETS, weights="weight")
    assert raked.error < 1e-6
    assert raked.fit.height == 10
    assert (raked.fit["fitted"] - raked.fit["target"]).abs().max() < 1e-3
    # Weights are first weight x a factor per category: log-ratios have no interaction.
    ratio = np.log(raked.weights / survey["weight"].to_numpy())
    cell = survey.with_columns(r=ratio).group_by("sex", "age", "region").agg(pl.col("r").mean())
    value = {(s, a, g): r for s, a, g, r in cell.rows()}
    for age in range(5):
        both = value["f", age, "north"] - value["m", age, "north"]
        assert both == pytest.approx(value["f", 0, "south"] - value["m", 0, "south"], abs=1e-9)


def test_targets_that_are_already_met_leave_the_weights():
    survey = random_survey(300, 2)
    sex = dict(survey.group_by("sex").len().rows())
    raked = rake(survey, {"sex": sex})
    assert raked.weights.tolist() == [1.0] * 300
    assert raked.rounds == 0
    assert raked.effective_size == pytest.approx(300)


def test_joint_targets_are_met_cell_by_cell():
    survey = random_survey(500, 3)
    joint = {(s, g): 10.0 * (i + 1) for i, (s, g) in enumerate(
        (s, g) for s in "fm" for g in ("north", "south", "west"))}  # fmt: skip
    raked = rake(survey, {("sex", "region"): joint, "age": dict.fromkeys(range(5), 42.0)})
    assert raked.error < 1e-6
    assert "f x north" in raked.fit["category"].to_list()


def test_people_drawn_from_raked_records_meet_the_targets_up_to_rounding():
    raked = rake(random_survey(800, 4), TARGETS)
    people = raked.draw(2000, rng=seeded(5))
    fit = raked.fit_of(people)
    assert (fit["drawn"] - fit["target"]).abs().max() < 0.02 * raked.total
    assert fit["drawn"].sum() == pytest.approx(3 * raked.total)


def test_a_fit_after_drawing_knows_columns_whatever_they_are_called():
    people = pl.DataFrame({"rent x size": ["p", "q"], "sex": ["f", "m"]})
    raked = rake(people, {"rent x size": {"p": 1, "q": 3}, ("sex", "rent x size"): {
        ("f", "p"): 1, ("m", "q"): 3}})  # fmt: skip
    drawn = raked.draw(8, rng=seeded(1))
    assert raked.fit_of(drawn)["drawn"].to_list() == [1.0, 3.0, 1.0, 3.0]


def test_a_zero_target_removes_people():
    survey = random_survey(200, 6)
    raked = rake(survey, {"region": {"north": 50, "south": 50, "west": 0}})
    assert raked.weights[(survey["region"] == "west").to_numpy()].sum() == 0


DIAGONAL = pl.DataFrame({"a": ["x", "y"] * 10, "b": ["u", "v"] * 10})


@pytest.mark.parametrize(
    ("frame", "marginals", "message"),
    [
        (DIAGONAL, {"a": {"x": 7, "y": 3}, "b": {"u": 2, "v": 8}}, "b = u|a = x"),
        (DIAGONAL, {"a": {"x": 7, "y": 3}, "b": {"u": 8, "v": 3}}, "different sums"),
        (DIAGONAL, {"a": {"x": 7}}, r"no target for \['y'\]"),
        (DIAGONAL, {"a": {"x": 7, "y": 3, "z": 1}}, r"\['z'\]"),
        (DIAGONAL, {"c": {"x": 7}}, r"no columns \['c'\]"),
        (DIAGONAL, {"a": {"x": -7, "y": 3}}, "x = -7"),
        (DIAGONAL, {"a": {"x": 0, "y": 0}}, "sum to 0"),
        (DIAGONAL, {}, "empty"),
        (DIAGONAL, [("a", {"x": 1})], "marginals is no mapping"),
        (DIAGONAL, {"a": [1, 2]}, r"marginals\['a'\] is no mapping"),
        (DIAGONAL, {("a", "a"): {("x", "x"): 1}}, "'a x a': a column appears more than once"),
    ],
)
def test_targets_that_cannot_be_met_are_reported_by_name(frame, marginals, message):
    with pytest.raises(PopulationError, match=message):
        rake(frame, marginals)


def test_infeasible_targets_carry_their_fit_table():
    with pytest.raises(PopulationError) as caught:
        rake(DIAGONAL, {"a": {"x": 7, "y": 3}, "b": {"u": 2, "v": 8}})
    fit = caught.value.fit
    assert fit.columns == ["variable", "category", "target", "before", "fitted", "error"]
    assert fit["error"].abs().max() > 0.4
