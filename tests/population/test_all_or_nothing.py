"""Births and deaths happen wholly or not at all, whatever goes wrong on the way."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import abm
from abm.errors import AbmError, PopulationError
from abm.kernels import EventCohort, HawkesCohort, PairwiseCohort, PoissonCohort, RateCohort
from abm.networks import DynamicNetwork, watts_strogatz
from abm.population import Population, RowAgent


class Refused(Exception):
    pass


class Follower:
    """A cohort that follows births and deaths, or raises when it has begun to."""

    time, next_time, refuses = 0.0, np.inf, False

    def __init__(self, column):
        self.arrays, self.steps, self.network = (column,), np.zeros(1), None

    def advance(self, until):
        self.time = until

    def resize(self, arrays, kept):
        self.arrays, self.steps[0] = arrays, self.steps[0] + 1
        if self.refuses:
            raise Refused


def average(own, other, p):
    return own + p[0] * (other - own), other + p[0] * (own - other)


def town(seed=3):
    """A population with ties that change, a cohort on them and one that may refuse to follow."""
    model = abm.Model(seed=seed)
    rng = np.random.default_rng(seed)
    people = Population(
        model, opinion=rng.random(8), age=np.arange(8, dtype=np.int8), place=rng.random((8, 2)),
        name=[f"p{i}" for i in range(8)], wealth=np.ones(8),
    )  # fmt: skip
    ties = DynamicNetwork.from_network(watts_strogatz(8, 4, 0.2, rng=rng))
    people.attach(
        PairwiseCohort(
            average, people.opinion, rate=1.0, network=ties, params=(0.5,), bounds=(0, 1),
            rng=model.chance("c"), compiled=False,
        )
    )  # fmt: skip
    people.attach(Follower(people.wealth))
    return people


def state_of(people):
    """All that a population, its cohorts and their ties are, as plain values."""
    cohort, follower = people._cohorts
    ties = cohort.network
    return {
        "frame": [people._columns[name].tolist() for name in people.columns],
        "types": [people._columns[name].dtype for name in people.columns],
        "who": (people.ids.tolist(), people.keys.tolist(), people._next_id, people._version),
        "hidden": {name: people._state[name].tolist() for name in ("ids", "keys", "births")
                   if name in people._state},
        "cohort": (cohort.n, cohort.time, cohort.next_time, cohort._words.tolist(),
                   cohort._rng.held.tolist(), cohort.n_updates),
        "bound": [a is people._columns[n] for a, n in ((cohort.arrays[0], "opinion"),
                                                       (follower.arrays[0], "wealth"))],
        "ties": (ties.n, ties.edges().tolist(), ties.changes),
        "follower": follower.steps.tolist(),
    }  # fmt: skip


def newcomers(n=2, **other):
    given = {"opinion": [0.5] * n, "age": [1] * n, "place": [[0.0, 1.0]] * n, "name": ["x"] * n,
             "wealth": [1.0] * n}  # fmt: skip
    return {**given, **other}


BROKEN = {
    "a column of another length": {"age": [1, 2, 3]},
    "a number beyond the type": {"age": [1, 300]},
    "a fraction for a whole number": {"age": [1, 0.5]},
    "a text for a number": {"wealth": ["rich", 1.0]},
    "nothing for a number": {"wealth": [None, 1.0]},
    "a place of another shape": {"place": [[0.0], [1.0]]},
    "keys that are there": {"keys": [0, 99]},
    "keys that are alike": {"keys": [98, 98]},
    "keys that are none": {"keys": [0.5, 1.5]},
    "parents that are none": {"parents": [0, 99]},
    "one parent for two": {"parents": [0]},
    "a column that is none": {"height": 1.0},
    "more keys than newcomers": {"keys": [97, 98, 99]},
}


@pytest.mark.parametrize("what", BROKEN)
def test_newcomers_that_do_not_fit_leave_everything_as_it_was(what):
    people = town()
    people.add(**newcomers(), parents=[1, 1])
    people.model.run_until(1.0)
    people.catch_up()
    before = state_of(people)
    with pytest.raises(PopulationError):
        people.add(**newcomers(**BROKEN[what]))
    assert state_of(people) == before


@pytest.mark.parametrize("change", [
    lambda people: people.add(**newcomers(), parents=[0, 3]),
    lambda people: people.remove([2, 5]),
])  # fmt: skip
def test_a_cohort_that_cannot_follow_takes_those_before_it_back(change):
    """The first cohort has followed, with its ties and its clock, when the second one raises."""
    people, other = town(), town()
    for each in (people, other):
        each.model.run_until(2.0)
        each.catch_up()
    before = state_of(people)
    people._cohorts[1].refuses = True
    with pytest.raises(Refused):
        change(people)
    assert state_of(people) == before
    people._cohorts[1].refuses = False
    for each in (people, other):
        change(each)
        each.model.run_until(5.0)
        each.catch_up()
    assert state_of(people) == state_of(other)
    assert people._cohorts[0].n_updates > 20


BORN = {"opinion": 0.5, "beats": 0.0, "rate": 2.0, "read": 0.0, "posts": 0.0, "health": 1, "n": 1}
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["birth", "death", "time", "refused", "nobody", *BROKEN]),
        st.integers(0, 2**16),
    ),
    max_size=12,
)


def take(people, step, number):
    """One step of a life; `None` if it did nothing, by its own or because it failed."""
    if step == "time":
        people.model.run_until(people.model.now + number % 3)
        people.catch_up()
    elif step == "birth":
        people.add(**newcomers(), parents=[number % people.n] * 2)
    elif step == "death" and people.n > 4:
        people.remove([number % people.n])
    elif step == "refused":
        people._cohorts[1].refuses = True
        try:
            people.add(**newcomers())
        finally:
            people._cohorts[1].refuses = False
    elif step == "nobody":
        people.remove([0, people.n])
    elif step in BROKEN:
        people.add(**newcomers(**BROKEN[step]))


@settings(max_examples=30, deadline=None, derandomize=True)
@given(STEPS)
def test_whatever_fails_a_life_goes_on_as_if_it_had_not_been_tried(steps):
    people, good = town(), []
    for step, number in steps:
        before = state_of(people)
        try:
            take(people, step, number)
            good.append((step, number))
        except (AbmError, Refused):
            assert state_of(people) == before
    other = town()
    for step, number in good:
        take(other, step, number)
    assert state_of(people) == state_of(other)


def beat(i, now, state, p, rng):
    state[0][i] += 1.0
    return rng.exponential()


def drift(i, now, state, p, rng):
    state[0][i] += rng.random()


def contagion(state, counts, p):
    return p[0] * counts[1] if state == 0 else p[1] if state == 1 else 0.0


def next_state(state, counts, p):
    return (state + 1) % 3


def city():
    """A cohort of every kind; the last one to follow is that of the states."""
    model, rng = abm.Model(seed=5), np.random.default_rng(1)
    people = Population(
        model, opinion=rng.random(12), beats=np.zeros(12), rate=np.ones(12), read=np.zeros(12),
        posts=np.zeros(12), health=np.array([1] * 3 + [0] * 9, dtype=np.int8),
    )  # fmt: skip
    ties = DynamicNetwork.from_network(watts_strogatz(12, 4, 0.1, rng=rng))
    given = {"compiled": False}
    for cohort in (
        PairwiseCohort(average, people.opinion, rate=1.0, network=ties, params=(0.5,),
                       rng=model.chance("opinions"), **given),
        EventCohort(beat, (people.beats,), rng.exponential(size=12), rng=model.chance("beats"),
                    **given),
        PoissonCohort(drift, (people.read, people.rate), rate=people.rate, seed=3, **given),
        HawkesCohort(drift, (people.posts,), base_rate=0.5, branching=0.3, decay=1.0, seed=4,
                     **given),
        RateCohort(contagion, next_state, people.health, ties.freeze(), (0.4, 1.0), n_states=3,
                   rng=model.chance("health"), **given),
    ):  # fmt: skip
        people.attach(cohort)
    return people


def test_cohorts_of_every_kind_go_on_as_if_a_birth_that_failed_had_not_been_tried():
    """The rate that is none stops the third of five cohorts, the state that is none the last."""
    ends = []
    for tried in ([], [{"rate": -1.0}, {"health": 7}]):
        people = city()
        for time in (1.0, 2.0, 3.0):
            people.model.run_until(time)
            for wrong in tried:
                with pytest.raises(AbmError, match=r"agent \d+ has -1\.0|outside 0\.\.2"):
                    people.add(**{**BORN, **wrong})
            people.add(**BORN)
            people.remove([1])
        people.model.run_until(5.0)
        ends.append(people.frame(with_keys=True))
    assert ends[0].equals(ends[1])
    assert ends[0]["beats"].sum() > 20
    assert ends[0]["health"].n_unique() > 1


# ---------------------------------------------------------------------- columns


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([1, 300], np.int8),
        ([1, -1], np.uint8),
        ([1, 2**63], np.int64),
        ([1.0, 1e300], np.float32),
        ([1.0, 0.5], np.int64),
        ([True, 2], bool),
        (np.array(["2001-01-01", "2001-01-01T12"], "datetime64[s]"), "datetime64[D]"),
        ([1.0, 1j], np.float64),
    ],
)
def test_values_that_a_type_would_change_are_refused_however_they_come(values, dtype):
    people = Population(it=np.zeros(2, dtype=np.dtype(dtype)))
    before = people.it.copy()
    for write in (
        lambda: people.__setitem__("it", values),
        lambda: people.select([0, 1]).__setitem__("it", values),
        lambda: people.write(1, "it", values[1]),
        lambda: people.add(it=values),
    ):
        with pytest.raises(PopulationError, match="'it' holds"):
            write()
        assert people.it.tolist() == before.tolist()
        assert people.n == 2


def test_values_that_a_type_can_hold_are_taken_however_they_come():
    for values, dtype in (([1, 200], np.uint8), ([1, 9], np.uint64), ([1, 2.5], np.float32)):
        people = Population(it=np.zeros(2, dtype=dtype))
        people.it = values
        people.select([1])["it"] = values[1]
        people.write(0, "it", values[0])
        people.add(it=values)
        assert people.it.dtype == dtype
        assert people.it.tolist() == values + values


def test_one_value_fills_the_rows_of_a_table_and_a_row_does_not():
    people = Population(trait=np.zeros((3, 3)))
    people.trait = 2.0
    assert people.trait.tolist() == [[2.0] * 3] * 3
    with pytest.raises(PopulationError, match="expected \\(3, 3\\)"):
        people.trait = [1.0, 2.0, 3.0]
    people.add(trait=0.5, n=2)
    assert people.trait[3:].tolist() == [[0.5] * 3] * 2


def test_cells_that_are_not_there_are_named():
    people = Population(age=[1, 2])
    for row, name in ((2, "age"), (-1, "age"), (0, "height")):
        for use in (lambda r, n: people.cell(r, n), lambda r, n: people.write(r, n, 1)):
            with pytest.raises(PopulationError, match=f"no cell of row {row} and column '{name}'"):
                use(row, name)


@pytest.mark.parametrize("value", [(1, 2, 3), "x", [1, "x"], [[1], [2, 3]]])
def test_cells_of_several_numbers_take_as_many_or_stay(value):
    pair = np.zeros(2, dtype=[("x", "f8"), ("y", "i4")])
    people = Population(place=np.zeros((2, 2)), pair=pair)
    for name in ("place", "pair"):
        with pytest.raises(PopulationError, match=f"column '{name}' holds .* cannot take"):
            people.write(0, name, value)
    people.write(0, "place", [1, 2])
    people.write(1, "pair", (0.5, 3))
    assert people.place.tolist() == [[1.0, 2.0], [0.0, 0.0]]
    assert people.pair.tolist() == [(0.0, 0), (0.5, 3)]


def test_equal_texts_are_one_object():
    names = np.array(["red", "green"] * 500)
    people = Population(party=names)
    assert len({id(name) for name in people.party}) == 2
    assert Population.from_frame(people.frame()).party.tolist() == names.tolist()
    assert len({id(name) for name in Population.from_frame(people.frame()).party}) == 2


# ---------------------------------------------------------------------- handles


def test_a_handle_s_own_farewell_is_said_once_with_its_row_at_hand():
    class Giver(RowAgent):
        def remove(self):
            self.population.wealth[0] += self.wealth
            super().remove()

    people = Population(abm.Model(seed=1), wealth=[1.0, 2.0, 4.0])
    people.agent(2, Giver).remove()
    assert people.wealth.tolist() == [5.0, 2.0]


def test_handles_that_fail_on_their_way_out_are_out_all_the_same():
    class Sulky(RowAgent):
        def remove(self):
            raise Refused("I stay")

    model = abm.Model(seed=1)
    people = Population(model, age=[1, 2, 3])
    people.agents([0, 1], Sulky)
    third = people.agent(2)
    with pytest.raises(Refused, match="I stay") as caught:
        people.remove([0, 1])
    assert "all 2 that were removed are gone" in caught.value.__notes__[0]
    assert people.age.tolist() == [3]
    assert list(model.agents) == [third]
    assert copy.copy(people._agents) == {2: third}
