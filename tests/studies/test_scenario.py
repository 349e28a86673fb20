"""Scenarios refuse what they cannot mean, and say what to do."""

from __future__ import annotations

import pickle
from typing import Literal

import numpy as np
import pytest

from abm.errors import ScenarioError
from abm.studies import Scenario, parameter


class Voting(Scenario):
    bound: float = parameter(0.3, ge=0, le=1, doc="opinions live in [0, 1]", remedy="Divide by 2.")
    n_citizens: int = parameter(100, ge=2, unit="people")
    rule: Literal["voter", "q_voter"] = "voter"
    weights: tuple[float, ...] = (1.0,)
    is_open: bool = False
    start: float | None = None
    name: str = parameter("town", doc="name of the place")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"bound": 1.4}, "bound = 1.4, expected 0 <= bound <= 1 (opinions live in [0, 1]). Divide"),
        ({"bound": "0.4"}, "bound = '0.4', expected 0 <= bound <= 1"),
        ({"bound": True}, "bound = True, expected 0 <= bound <= 1"),
        ({"bound": float("nan")}, "bound = nan, expected 0 <= bound <= 1"),
        ({"n_citizens": 1}, "n_citizens = 1, expected a whole number >= 2 [people]"),
        ({"n_citizens": 2.5}, "n_citizens = 2.5, expected a whole number >= 2"),
        ({"n_citizens": "many"}, "n_citizens = 'many', expected a whole number >= 2"),
        ({"rule": "voters"}, "rule = 'voters', expected one of 'voter', 'q_voter'"),
        ({"weights": ["1"]}, "weights = ['1'], expected a list of numbers"),
        ({"weights": 3}, "weights = 3, expected a list of numbers"),
        ({"is_open": 1}, "is_open = 1, expected true or false"),
        ({"is_open": "yes"}, "is_open = 'yes', expected true or false"),
        ({"start": "now"}, "start = 'now', expected a number or nothing"),
        ({"name": 7}, "name = 7, expected a text (name of the place)"),
        ({"bond": 0.4}, "Voting has no parameter 'bond'; did you mean 'bound'?"),
        ({"xyz": 0.4}, "Voting has no parameter 'xyz'; expected one of 'bound', 'duration'"),
        ({"duration": 0}, "duration = 0, expected > 0"),
        ({"duration": float("inf")}, "duration = inf, expected > 0"),
    ],
)
def test_a_wrong_value_is_refused_with_name_value_expectation_and_remedy(given, message):
    with pytest.raises(ScenarioError) as caught:
        Voting(**{"duration": 30, **given})
    assert message in str(caught.value)
    assert caught.value.argument == next(iter(given))


def test_a_scenario_without_duration_is_refused():
    with pytest.raises(ScenarioError, match="duration is missing"):
        Voting()


def test_all_out_of_range_values_are_told_at_once():
    with pytest.raises(ScenarioError) as caught:
        Voting(duration=1, bound=2, n_citizens=0)
    assert len(caught.value.problems) == 2


def test_values_are_taken_as_written_and_numpy_numbers_are_numbers():
    scenario = Voting(
        duration=30, bound=np.float64(0.1), n_citizens=np.int64(7), weights=[1, 2], start=3
    )
    assert scenario.duration == 30.0
    assert isinstance(scenario.duration, float)
    assert (scenario.n_citizens, scenario.weights, scenario.start) == (7, (1.0, 2.0), 3.0)


def test_a_scenario_is_frozen_and_says_how_to_change_it():
    scenario = Voting(duration=30)
    with pytest.raises(ScenarioError, match=r"scenario\.replaced\(bound=0\.9\)"):
        scenario.bound = 0.9
    assert scenario.bound == 0.3


def test_replaced_changes_a_copy_and_validates_it():
    scenario = Voting(duration=30)
    assert scenario.replaced(bound=0.9).bound == 0.9
    assert scenario.bound == 0.3
    with pytest.raises(ScenarioError, match="bound = 9"):
        scenario.replaced(bound=9)


def test_a_scenario_survives_pickling_and_its_plain_values_make_it_again():
    scenario = Voting(duration=30, weights=(0.1, 0.2), start=0.1 + 0.2)
    assert pickle.loads(pickle.dumps(scenario)) == scenario
    assert Voting(**scenario.to_dict()) == scenario


def test_declared_parameters_are_listed_with_unit_range_and_meaning():
    found = {p.name: p for p in Voting.parameters()}
    assert found["bound"].range == "0 <= bound <= 1"
    assert found["bound"].doc == "opinions live in [0, 1]"
    assert found["n_citizens"].unit == "people"
    assert found["duration"].default is ...
