"""The population: columns are the truth, handles follow their rows, nothing is lost in silence."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import polars as pl
import pytest

import abm
from abm.errors import AgentError, PopulationError
from abm.kernels import PairwiseCohort
from abm.population import Population, RowAgent
from abm.rng import agent_key, child_key


def three(model=None):
    return Population(model, opinion=[0.1, 0.5, 0.9], age=[30, 40, 50], name=["ann", "bob", "cyd"])


def test_columns_are_writable_arrays_and_the_only_copy():
    people = three()
    people.opinion[0] = 0.25
    people["age"] += 1
    assert people.opinion.tolist() == [0.25, 0.5, 0.9]
    assert people.age.tolist() == [31, 41, 51]
    assert people.opinion is people["opinion"]
    assert (len(people), people.n, "age" in people) == (3, 3, True)


def test_one_value_serves_all_and_new_columns_can_be_added():
    people = Population(n=4, mood=0.5)
    people["party"] = "none"
    people["trait"] = np.zeros((4, 2))
    people.mood = 1.0
    assert people.mood.tolist() == [1.0] * 4
    assert people.columns == ("mood", "party", "trait")
    people.party[1] = "a much longer party name"
    assert people.party[1] == "a much longer party name"


def test_frames_go_in_and_come_out_the_same():
    frame = pl.DataFrame(
        {
            "id": ["a", "b"],
            "age": [30, 40],
            "vote": [True, False],
            "score": [0.5, float("nan")],
            "short": pl.Series([1, 2], dtype=pl.Int8),
            "tags": [["x"], ["y", "z"]],
            "when": pl.Series(["2026-01-01", "2026-01-02"]).str.to_datetime(),
        }
    )
    people = Population.from_frame(frame, key="id")
    assert people.frame().equals(frame)
    assert people.keys.tolist() == [agent_key("a"), agent_key("b")]
    assert people.frame("age", with_keys=True).columns == ["id", "key", "age"]
    people.age[0] = 31
    assert frame["age"].to_list() == [30, 40]


def test_times_in_a_zone_are_the_same_instants_without_it():
    noon = (
        pl.Series("at", ["2020-01-01T12:00:00"])
        .str.to_datetime()
        .dt.replace_time_zone("Asia/Tokyo")
    )
    people = Population.from_frame(pl.DataFrame([noon]))
    assert people.at[0] == np.datetime64("2020-01-01T03:00:00")
    assert people.frame()["at"].dt.replace_time_zone("UTC").to_list() == noon.to_list()


def test_an_outgoing_frame_does_not_change_with_the_population():
    people = three()
    frame = people.frame()
    people.opinion[:] = 0.0
    assert frame["opinion"].to_list() == [0.1, 0.5, 0.9]


@pytest.mark.parametrize(
    ("selection", "rows"),
    [
        (None, [0, 1, 2]),
        (np.array([True, False, True]), [0, 2]),
        ([2, 0], [2, 0]),
        (slice(1, None), [1, 2]),
        (pl.col("age") >= 40, [1, 2]),
        ((pl.col("name") == "bob") | (pl.col("opinion") > 0.8), [1, 2]),
        (pl.col("age") > pl.col("age").mean(), [2]),
    ],
)
def test_rows_are_selected_by_masks_numbers_and_expressions(selection, rows):
    assert three().rows(selection).tolist() == rows


def test_selected_rows_read_and_write_through_and_follow_their_ids():
    people = three()
    old = people.select(pl.col("age") >= 40)
    old["opinion"] = [0.0, 1.0]
    assert people.opinion.tolist() == [0.1, 0.0, 1.0]
    people.remove([0])
    assert old.rows.tolist() == [0, 1]
    assert old.frame("name")["name"].to_list() == ["bob", "cyd"]
    people.remove(pl.col("name") == "cyd")
    with pytest.raises(PopulationError, match="not in the population"):
        old["opinion"]


def test_newcomers_have_fresh_ids_and_their_parents_hashed_keys():
    people = three()
    rows = people.add(opinion=0.0, age=0, name=["dan", "eve"], parents=[1, 1])
    assert rows.tolist() == [3, 4]
    assert people.keys[3:].tolist() == [child_key(1, 1), child_key(1, 2)]
    people.remove([3])
    people.add(opinion=0.0, age=0, name="fay", n=1, parents=[1])
    assert people.ids.tolist() == [0, 1, 2, 4, 5]
    assert int(people.keys[-1]) == child_key(1, 3)
    people.add(opinion=0.0, age=0, name="gil", n=2)
    assert len(set(people.keys.tolist())) == 7


def test_many_births_and_deaths_keep_every_column_together():
    """500 random births and deaths against a dictionary; seed 1."""
    rng = np.random.default_rng(1)
    people = Population(tag=np.arange(20), double=np.arange(20) * 2.0)
    alive = {i: i for i in range(20)}
    for step in range(500):
        if rng.random() < 0.5 or len(people) < 3:
            tag = 1000 + step
            alive[people._next_id] = tag
            people.add(tag=[tag], double=2.0 * tag)
        else:
            rows = rng.choice(len(people), 2, replace=False)
            for i in people.ids[rows].tolist():
                del alive[i]
            kept = people.remove(rows)
            assert kept.size == len(people)
        assert dict(zip(people.ids.tolist(), people.tag.tolist(), strict=True)) == alive
        assert (people.double == 2 * people.tag).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Population(a=[1, 2], b=[1]), "lengths differ"),
        (lambda: Population(), "give n"),
        (lambda: Population(n=2.5), "n = 2.5, expected a whole number"),
        (lambda: Population(n="3"), "n = '3', expected a whole number"),
        (lambda: Population(a={1, 2}), "'a' is a set, expected values in the order of the rows"),
        (lambda: Population(a={"x": 1}), "'a' is a dict"),
        (lambda: Population(n=2, keys=[5, 5]), "not unique"),
        (lambda: Population(n=2, keys=[1.5, 2.5]), "integers or texts"),
        (lambda: Population(n=2, keys=[1, 2, 3]), "lengths differ"),
        (lambda: Population(n=2, ids=[1, 2]), "'ids' is taken"),
        (lambda: Population(n=2, frame=[1, 2]), "'frame' is taken"),
        (lambda: three()["wealth"], "no column 'wealth'"),
        (lambda: setattr(three(), "wealth", 1.0), "no column 'wealth'"),
        (lambda: setattr(three(), "age", 0.5), "cannot take"),
        (lambda: three().__setitem__("opinion", [1.0]), "expected 3 rows"),
        (lambda: three().rows([3]), r"\[3\] are outside 0\.\.2"),
        (lambda: three().rows([True, False]), "mask of shape"),
        (lambda: three().rows(["ann"]), "expected truth values"),
        (lambda: three().rows(pl.col("age") + 1), "truth value per row"),
        (lambda: three().rows(pl.col("wealth") > 1), "wealth"),
        (lambda: three().add(age=[1]), r"missing columns \['name', 'opinion'\]"),
        (lambda: three().add(age=[0.5], opinion=0.5, name="x"), "cannot take 0.5|of type float64"),
        (lambda: three().add(age=[5], opinion=0.5, name="x", keys=[2]), "not unique"),
        (lambda: three().select([0]).__setitem__("age", [0.5]), "cannot take"),
        (lambda: three().agent(0), "needs a model"),
        (lambda: three().attach(None), "no clock"),
        (lambda: Population.from_frame(pl.DataFrame({"a": [1]}), key="b"), "'b'"),
        (lambda: Population.from_frame(pl.DataFrame({"a": [1, None]})), "1 missing values"),
        (lambda: Population.from_frame(pl.DataFrame({"a": [True, None]})), "1 missing values"),
        (lambda: Population.from_frame(pl.LazyFrame({"a": [1]})), r"pass frame.collect\(\)"),
        (lambda: Population.from_frame(pl.select(a=pl.lit(1, pl.Int128))), "128 bits"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_name(make, message):
    with pytest.raises(PopulationError, match=message):
        make()


def test_a_population_can_be_copied_and_pickled():
    people = three()
    for other in (copy.deepcopy(people), pickle.loads(pickle.dumps(people))):
        other.opinion[0] = 7.0
        assert people.opinion[0] == 0.1
        assert other.frame("name").equals(people.frame("name"))
        assert other.keys.tolist() == people.keys.tolist()
        other.add(opinion=0.5, age=1, name="dan")
        assert other.opinion.tolist() == [7.0, 0.5, 0.9, 0.5]


def test_a_frame_with_keys_comes_back_with_the_same_keys():
    people = three()
    people.remove([1])
    back = Population.from_frame(people.frame(with_keys=True), key="key")
    assert back.keys.tolist() == people.keys.tolist() == [0, 2]
    assert back.id.tolist() == [0, 2]


def test_columns_with_names_that_are_no_identifiers_are_items_only():
    people = Population.from_frame(pl.DataFrame({"TV news": [1, 7]}))
    assert people["TV news"].tolist() == [1, 7]
    assert people.rows(pl.col("TV news") > 3).tolist() == [1]


def test_a_population_that_only_moves_columns_holds_nothing_else():
    people = Population(wealth=np.zeros(1000, dtype=np.float32))
    people.wealth += 1
    people.frame()
    assert list(people._state) == []
    assert people.wealth.nbytes == 4000


# ---------------------------------------------------------------------- handles


class Citizen(RowAgent):
    def __init__(self, population, row, role="citizen"):
        super().__init__(population, row)
        self.role = role

    def grow(self):
        self.age += 1


def test_a_handle_reads_and_writes_its_row():
    people = three(abm.Model(seed=1))
    bob = people.agent(1, Citizen, role="mayor")
    bob.opinion = 0.75
    bob.grow()
    people.opinion[1] += 0.125
    assert (bob.opinion, bob.age, bob.name, bob.role, bob.key) == (0.875, 41, "bob", "mayor", 1)
    assert type(bob.age) is int
    assert "opinion" not in vars(bob)
    assert people.agent(1) is bob
    assert list(people.model.agents) == [bob]
    with pytest.raises(AttributeError, match="wealth"):
        bob.wealth  # noqa: B018
    with pytest.raises(PopulationError, match="has a handle of class Citizen"):
        people.agent(1, type("Other", (RowAgent,), {}))


def test_a_handle_follows_its_person_when_rows_move():
    people = three(abm.Model(seed=1))
    ann, cyd = people.agent(0), people.agent(2)
    people.remove([0, 1])
    assert (cyd.row, cyd.name, cyd.key) == (0, "cyd", 2)
    cyd.opinion = 0.0
    assert people.opinion.tolist() == [0.0]
    with pytest.raises(PopulationError, match="id 0 was removed"):
        ann.opinion  # noqa: B018
    with pytest.raises(PopulationError, match="id 0 was removed"):
        ann.opinion = 1.0
    assert list(people.model.agents) == [cyd]


def test_a_handle_that_leaves_takes_its_row_along():
    people = three(abm.Model(seed=1))
    people.agent(1).remove()
    assert people.name.tolist() == ["ann", "cyd"]
    assert len(people.model.agents) == 0


def test_removing_a_row_ends_its_agent_s_life():
    class Ager(RowAgent):
        def life(self):
            while True:
                yield self.wait(1)
                self.age += 1

    model = abm.Model(seed=1)
    people = three(model)
    people.agents(None, Ager)

    def plague():
        yield model.timeout(2.5)
        people.remove(pl.col("name") == "bob")

    model.process(plague())
    model.run_until(5)
    assert people.age.tolist() == [35, 55]


def test_a_column_keeps_its_type_or_says_so():
    people = three(abm.Model(seed=1))
    ann = people.agent(0)
    with pytest.raises(PopulationError, match=r"would turn 30\.5 into something else"):
        ann.age = 30.5
    with pytest.raises(PopulationError, match="cannot take 'old'"):
        ann.age = "old"
    assert ann.age == 30
    ann.age = 31.0
    assert people.age.tolist() == [31, 40, 50]


def test_a_class_attribute_with_a_column_s_name_is_refused():
    class Clash(RowAgent):
        age = 7

    with pytest.raises(PopulationError, match=r"\['age'\]"):
        three(abm.Model(seed=1)).agent(0, Clash)


def test_a_view_shows_columns_and_own_attributes_and_no_more():
    people = three(abm.Model(seed=1))
    view = people.agent(0, Citizen).view()
    assert (view.age, view.role, view.key) == (30, "citizen", 0)
    assert {"age", "opinion", "name", "role"} <= set(dir(view))
    for name in ("model", "population", "_population"):
        with pytest.raises((abm.errors.VisibilityError, AttributeError)):
            getattr(view, name)


def test_an_error_in_a_handle_s_life_names_it():
    class Broken(RowAgent):
        def life(self):
            yield self.wait(1)
            self.age = "old"

    model = abm.Model(seed=1)
    three(model).agent(2, Broken)
    with pytest.raises((PopulationError, AgentError), match="'age'"):
        model.run_until(2)


def test_births_in_columns_and_of_handles_share_the_birth_number():
    model = abm.Model(seed=1)
    people = three(model)
    mother = people.agent(1)
    assert mother._next_child_key() == child_key(1, 1)
    people.add(opinion=0.0, age=0, name="dan", parents=[1], n=1)
    assert int(people.keys[3]) == child_key(1, 2)
    assert mother._next_child_key() == child_key(1, 3)


# ---------------------------------------------------------------------- cohorts


def average(own, other, p):
    return own + p[0] * (other - own), other + p[0] * (own - other)


def crowd(seed=3):
    model = abm.Model(seed=seed)
    people = Population(model, opinion=np.random.default_rng(seed).random(30))
    cohort = PairwiseCohort(
        average, people.opinion, rate=2.0, params=(0.5,), rng=model.chance("cohort"), compiled=False
    )
    people.attach(cohort)
    return model, people, cohort


def test_a_cohort_is_brought_up_to_now_whenever_somebody_looks():
    """Looking now and then, by handle or frame, does not change what is seen at the end."""
    ends = []
    for looks in ([], [0.5, 1.25, 2.0], np.linspace(0.1, 3.9, 30).tolist()):
        model, people, cohort = crowd()

        def look(model=model, people=people, looks=looks):
            agent = people.agent(0)
            for time in looks:
                yield model.at(time)
                agent.opinion  # noqa: B018
                people.frame()

        model.process(look())
        model.run_until(4.0)
        ends.append(people.opinion.tolist())
        assert cohort.time == 4.0
    assert ends[0] == ends[1] == ends[2]
    assert np.std(ends[0]) < 0.05


def test_a_visible_change_acts_exactly_from_its_own_time_on():
    """An agent sets its opinion at 1.5: the state just before is that of a cohort run to 1.5, and
    what follows starts from the changed state."""
    model, people, _ = crowd()

    def shock():
        yield model.at(1.5)
        people.agent(0).opinion = 100.0

    model.process(shock())
    model.run_until(3.0)

    _, other, _ = crowd()
    opinion = np.random.default_rng(3).random(30)
    reference = PairwiseCohort(
        average, opinion, rate=2.0, params=(0.5,), rng=abm.chance(3, "cohort"), compiled=False
    )
    reference.advance(1.5)
    opinion[0] = 100.0
    reference.advance(3.0)
    assert people.opinion.tolist() == opinion.tolist()
    assert other.opinion.tolist() == np.random.default_rng(3).random(30).tolist()


def test_two_cohorts_on_one_column_and_births_under_one_that_cannot_follow_are_refused():
    model, people, cohort = crowd()
    rival = PairwiseCohort(
        average, people.opinion, rate=1.0, params=(0.5,), rng=model.chance("b"), compiled=False
    )
    with pytest.raises(PopulationError, match="two cohorts"):
        people.attach(rival)

    class Fixed:
        time = 0.0

        def advance(self, until):
            self.time = until

    other = Population(model, opinion=people.opinion)
    fixed = Fixed()
    fixed.arrays = (other.opinion,)
    other.attach(fixed)
    for change in (lambda: other.remove([0]), lambda: other.add(opinion=[0.5])):
        with pytest.raises(PopulationError, match="cannot follow births"):
            change()
    model.run_until(1.0)
    people.detach(cohort)
    assert cohort.time == 1.0
    with pytest.raises(PopulationError, match=r"start=model\.now"):
        people.attach(rival)
    rival.advance(1.0)
    people.attach(rival)
    people.detach(rival)
    assert people.remove([0]).size == 29
