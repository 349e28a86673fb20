"""Respondents: the ANES file as published, and CSV files with their mistakes."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from abm.errors import ScenarioError
from abm.models.opinion_network import OpinionScenario
from abm.models.opinion_network.data import anes96, draw_citizens, read_csv


def test_anes_has_the_published_counts():
    survey = anes96()
    assert survey.height == 944
    party = np.bincount(survey["party"].to_numpy(), minlength=7)
    ideology = np.bincount(survey["ideology"].to_numpy(), minlength=8)[1:]
    assert party.tolist() == [200, 180, 108, 37, 94, 150, 175]
    assert ideology.tolist() == [16, 103, 147, 256, 170, 218, 34]
    assert np.corrcoef(survey["party"], survey["ideology"])[0, 1] == pytest.approx(
        0.618570, abs=1e-6
    )


def test_a_csv_with_a_column_map_becomes_respondents(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("age,lr,w\n30,1,0.5\n,7,1.5\n")
    survey = read_csv(path, {"ideology": "lr", "weight": "w"})
    assert survey["ideology"].to_list() == [1, 7]
    assert survey["age"].to_list() == [30, None]
    assert survey["weight"].to_list() == [0.5, 1.5]
    assert "party" not in survey.columns


@pytest.mark.parametrize(
    ("content", "columns", "message"),
    [
        ("ideology\n9\n", {}, r"mine.csv, line 2, column 'ideology': 9, expected a whole number"),
        ("ideology\n4\n3.5\n", {}, r"line 3, column 'ideology': 3.5"),
        ("ideology\nleft\n", {}, r"'left', expected a whole number from 1 to 7"),
        ("age\n40\n", {}, r"expected a column 'ideology' \(1-7\) or 'party' \(0-6\)"),
        ("ideology,wt\n4,-1\n", {"weight": "wt"}, r"expected a survey weight >= 0"),
        ("ideology,wt\n4,0\n", {"weight": "wt"}, r"all weights .* are 0"),
        ("ideology\n4\n", {"ideology": "ideologie"}, r"no such column; did you mean 'ideology'"),
        ("ideology\n4\n", {"colour": "ideology"}, r"'colour' is no column of this model"),
    ],
)
def test_mistakes_in_a_csv_are_named_with_line_and_remedy(tmp_path, content, columns, message):
    path = tmp_path / "mine.csv"
    path.write_text(content)
    with pytest.raises(ScenarioError, match=message):
        read_csv(path, columns)


def test_a_missing_file_is_refused_when_the_scenario_is_made(tmp_path):
    with pytest.raises(ScenarioError, match="there is no such file"):
        OpinionScenario(data=str(tmp_path / "none.csv"))


def test_respondents_without_the_starting_item_are_refused(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("ideology,age\n4,30\n,40\n")
    with pytest.raises(ScenarioError, match="not every respondent has a value"):
        OpinionScenario(data=str(path))


def test_scenarios_refuse_what_cannot_run():
    with pytest.raises(ScenarioError, match="n_asked = 30, expected at most n_citizens = 20"):
        OpinionScenario(n_citizens=20, n_asked=30)
    with pytest.raises(ScenarioError, match="columns are for CSV files"):
        OpinionScenario(columns={"age": "alter"})
    with pytest.raises(ScenarioError, match="Multiply by 2"):
        OpinionScenario(confidence_bound=2.4)


def test_citizens_are_drawn_in_proportion_to_weights():
    """Seed 1, 40,000 draws of weights 1:3; 3 se of a share of 3/4 is 0.0065."""
    survey = pl.DataFrame({"respondent": [0, 1], "weight": [1.0, 3.0]})
    drawn = draw_citizens(survey, 40_000, rng=np.random.default_rng(1))
    assert drawn["respondent"].mean() == pytest.approx(0.75, abs=0.0065)
