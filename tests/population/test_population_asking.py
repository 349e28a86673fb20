"""Asking in columns is asking agent by agent, to the bit."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

import abm
from abm.errors import DecisionFailed, PolicyError, PopulationError, QuestionError
from abm.policies import FailureHandling, Mixture, PerQuestion, RulePolicy, Skipped
from abm.population import CostWarning, Population, RowAgent
from abm.questions import Answer, Question, Request, Status, TextConstraint, Transform

SCALE = tuple(str(i) for i in range(1, 8))


def perceive(me):
    return {"age": me.age, "mood": me.mood, "party": me.party}


def view_question(draw="fresh", options=SCALE):
    return Question(
        "view", 1, "{age} {mood} {party}: agree?", options, draw=draw, perceive=perceive
    )


POST = Question(
    "post", 1, "{age} {mood} {party}: write.", text=TextConstraint(20), perceive=perceive
)


class Hashed:
    """Scores that look random and depend on the request alone; counts what it is asked."""

    recorded = False
    fingerprint = "hashed"

    def __init__(self, fails=None):
        self.seen: list[Request] = []
        self.fails = fails or (lambda _: False)

    def answer(self, requests):
        self.seen += requests
        return [self._one(request) for request in requests]

    def _one(self, request):
        if self.fails(request):
            return Answer.failed(Status.OFF_MENU, "not on the menu")
        if request.question.options is None:
            return Answer(text=f"{request['age']} {request.seed}")
        rng = np.random.default_rng(int(request.key[:12], 16))
        return Answer(scores=tuple(rng.normal(0, 2, len(request.question.options)).tolist()))


def world(n, seed=5, policy=None, **kwargs):
    model = abm.Model(seed=seed, policies={"rule": policy or Hashed()}, **kwargs)
    rng = np.random.default_rng(seed)
    people = Population(
        model,
        keys=rng.choice(10**9, n, replace=False),
        age=rng.integers(20, 24, n),
        mood=rng.choice([0.0, -0.0, 0.25, 1.0], n),
        party=rng.choice(np.array(["left", "right"]), n),
    )
    return model, people


def columns(people, rows=slice(None)):
    return {name: people[name][rows] for name in ("age", "mood", "party")}


@pytest.mark.parametrize("draw", ["fresh", "persistent"])
@pytest.mark.parametrize("options", [("no", "yes"), SCALE, tuple("abcdefghijk")])
def test_columns_fields_and_agents_give_the_same_choices_to_the_bit(draw, options):
    question = view_question(draw, options)
    _, by_fields = world(60)
    _, by_view = world(60)
    _, by_agent = world(60)
    for _ in range(3):
        a = by_fields.ask(question, fields=columns(by_fields))
        b = by_view.ask(question)
        c = [agent.ask(question) for agent in by_agent.agents()]
        assert a.dtype == np.int64
        assert a.tolist() == b.tolist() == [options.index(choice) for choice in c]


def test_handles_and_columns_count_the_same_occasions():
    question = view_question()
    _, mixed = world(30)
    _, plain = world(30)
    agent = mixed.agent(7)
    first = agent.ask(question)
    rest = mixed.ask(question, mixed.rows(np.arange(30) != 7))
    second = mixed.ask(question)
    expected_first, expected_second = plain.ask(question), plain.ask(question)
    assert SCALE.index(first) == expected_first[7]
    assert rest.tolist() == np.delete(expected_first, 7).tolist()
    assert second.tolist() == expected_second.tolist()
    assert mixed.asked("view").tolist() == [2] * 30


def test_a_persistent_question_keeps_its_draw_and_a_fresh_one_does_not():
    _, people = world(200)
    kept = [people.ask(view_question("persistent")).tolist() for _ in range(2)]
    _, people = world(200)
    fresh = [people.ask(view_question()).tolist() for _ in range(2)]
    assert kept[0] == kept[1]
    assert fresh[0] != fresh[1]


def test_texts_have_each_agents_own_seed_in_both_forms():
    _, by_column = world(20)
    _, by_agent = world(20)
    for _ in range(2):
        texts = by_column.ask(POST, fields=columns(by_column))
        assert texts == [agent.ask(POST) for agent in by_agent.agents()]
        assert len(set(texts)) == 20


def test_equal_requests_are_asked_once():
    policy = Hashed()
    model, people = world(500, policy=policy)
    asked = people.ask_all(view_question(), fields=columns(people))
    distinct = {request.key for request in policy.seen}
    assert len(policy.seen) == len(distinct) == asked.n_requests <= 4 * 4 * 2
    assert (model.decisions.asked, model.decisions.distinct) == (500, len(distinct))


def test_minus_zero_and_zero_are_different_requests_as_they_are_agent_by_agent():
    policy = Hashed()
    _, people = world(2, policy=policy)
    people.ask(view_question(), fields={"age": 1, "mood": np.array([0.0, -0.0]), "party": "x"})
    assert len(policy.seen) == 2


def test_half_a_character_is_a_text_like_any_other_as_it_is_agent_by_agent():
    policy = Hashed()
    _, people = world(3, policy=policy)
    people.ask(view_question(), fields={"age": 1, "mood": 0.0, "party": ["\ud83d", "x", "\ud83d"]})
    assert [request["party"] for request in policy.seen] == ["\ud83d", "x"]


def test_numbers_texts_and_truth_values_that_compare_equal_are_different_requests():
    policy = Hashed()
    _, people = world(4, policy=policy)
    people.ask(view_question(), fields={"age": [1, 1.0, True, "1"], "mood": 0, "party": "x"})
    # A plain list of mixed numbers and texts keeps each value's own type.
    assert sorted(type(request["age"]).__name__ for request in policy.seen) == [
        "bool",
        "float",
        "int",
        "str",
    ]


def test_the_log_holds_the_same_counts_as_agent_by_agent():
    question = view_question()
    columnar, people = world(80)
    single, others = world(80)
    people.ask(question, fields=columns(people))
    others.model.agents_asked = [agent.ask(question) for agent in others.agents()]
    assert columnar.decisions.frame().equals(single.decisions.frame())
    assert columnar.decisions.summary() == single.decisions.summary()


def test_a_log_by_agent_has_one_row_per_decision():
    question = view_question()
    columnar, people = world(12)
    single, others = world(12)
    columnar.decisions.by_agent = single.decisions.by_agent = True
    people.ask(question)
    for agent in others.agents():
        agent.ask(question)
    assert columnar.decisions.agents_frame().equals(single.decisions.agents_frame())


def test_skipped_decisions_are_minus_one_with_their_reason():
    question = view_question()
    policy = Hashed(fails=lambda request: request["age"] == 21)
    model, people = world(50, policy=policy, failures="skip")
    asked = people.ask_all(question, fields=columns(people))
    young = people.age == 21
    assert 0 < young.sum() < 50
    assert ((asked.values == -1) == young).all()
    assert (asked.answered == ~young).all()
    assert set(asked.skipped) == set(np.flatnonzero(young).tolist())
    assert all(s.status is Status.OFF_MENU for s in asked.skipped.values())
    assert model.decisions.failures() == {"off_menu": int(young.sum())}
    _, others = world(50, policy=policy, failures="skip")
    singly = [agent.ask(question) for agent in others.agents()]
    assert [isinstance(value, Skipped) for value in singly] == young.tolist()


def test_a_failure_aborts_by_default_and_names_the_row():
    policy = Hashed(fails=lambda request: request["age"] == 21)
    _, people = world(50, policy=policy)
    with pytest.raises(DecisionFailed, match="off_menu") as caught:
        people.ask(view_question(), fields=columns(people))
    first = int(np.flatnonzero(people.age == 21)[0])
    assert any(f"row {first} " in note for note in caught.value.__notes__)


def test_a_named_rule_stands_in_and_is_named():
    def uniform(fields, options):
        return np.zeros((fields.n, len(options)))

    question = view_question()
    results = []
    for columnar in (True, False):
        model = abm.Model(
            seed=3,
            policies={
                "rule": Hashed(fails=lambda request: request["age"] == 21),
                "twin": RulePolicy(uniform, "twin"),
            },
            assignment="rule",
            failures=FailureHandling("rule twin"),
        )
        _, source = world(50)
        people = Population.from_frame(source.frame(), model=model)
        if columnar:
            asked = people.ask_all(question, fields=columns(people))
            assert ((asked.policies == "twin") == (people.age == 21)).all()
            results.append([SCALE[i] for i in asked.values])
        else:
            results.append([agent.ask(question) for agent in people.agents()])
        results.append(model.decisions.frame())
    assert results[0] == results[2]
    assert results[1].equals(results[3])


def test_transforms_apply_to_columns_as_to_agents():
    question = view_question()
    kwargs = {"transforms": {"view": Transform(temperature=0.3, option_bias=(0.5,) * 7)}}
    _, by_column = world(40, **kwargs)
    _, by_agent = world(40, **kwargs)
    _, plain = world(40)
    chosen = by_column.ask(question)
    assert [SCALE[i] for i in chosen] == [agent.ask(question) for agent in by_agent.agents()]
    assert chosen.tolist() != plain.ask(question).tolist()


class Alternating:
    """An assignment with state: every other request, in the order raised."""

    def __init__(self):
        self.n = 0

    def policy_for(self, _key, _request, _time, *, agent=None):
        self.n += 1
        return "even" if agent.age % 2 == 0 and self.n % 2 else "odd"


def test_an_assignment_with_state_sees_requests_row_by_row():
    question = view_question()
    seen = []
    for columnar in (True, False):
        model = abm.Model(
            seed=3, policies={"even": Hashed(), "odd": Hashed()}, assignment=Alternating()
        )
        _, source = world(50)
        people = Population.from_frame(source.frame(), model=model)
        if columnar:
            people.ask(question, fields=columns(people))
        else:
            for agent in people.agents():
                agent.ask(question)
        seen.append(model.decisions.frame())
    assert seen[0].equals(seen[1])
    assert set(seen[0]["policy"]) == {"even", "odd"}


def test_a_policy_can_be_named_and_an_unknown_one_is_refused():
    model = abm.Model(seed=1, policies={"a": Hashed(), "b": Hashed()}, assignment="a")
    people = Population(model, age=[1, 2], mood=0.5, party="x")
    assert people.ask_all(view_question(), policy="b").policies.tolist() == ["b", "b"]
    with pytest.raises(PolicyError, match="'c'"):
        people.ask(view_question(), policy="c")


def test_an_extra_agent_moves_nobody_elses_choice():
    question = view_question()
    _, people = world(30)
    _, more = world(30)
    more.add(age=20, mood=0.5, party="left", n=1)
    assert more.ask(question)[:30].tolist() == people.ask(question).tolist()


def test_asking_some_rows_is_asking_them_within_all():
    question = view_question()
    _, everybody = world(40)
    _, some = world(40)
    rows = some.rows(pl.col("age") > 21)
    chosen = some.ask(question, rows, fields=columns(some, rows))
    assert chosen.tolist() == everybody.ask(question)[rows].tolist()
    assert some.select(np.setdiff1d(np.arange(40), rows)).ask(question).size == 40 - rows.size


def test_nobody_is_asked_without_harm():
    _, people = world(10)
    assert people.ask(view_question(), []).tolist() == []
    assert people.ask(POST, [], fields={"age": [], "mood": [], "party": []}) == []


def test_asking_wrongly_is_refused_before_anything_is_asked():
    policy = Hashed()
    _, people = world(5, policy=policy)
    silent = Question("silent", 1, "?", ("a", "b"))
    with pytest.raises(PopulationError, match="twice"):
        people.ask(view_question(), [1, 1])
    with pytest.raises(PopulationError, match="no perceive"):
        people.ask(silent)
    with pytest.raises(PopulationError, match="expected 5 rows"):
        people.ask(view_question(), fields={"age": [1, 2], "mood": 0.0, "party": "x"})
    with pytest.raises(PopulationError, match="expected a list of row numbers"):
        people.ask(view_question(), [[1], [2]])
    with pytest.raises(PopulationError, match="column 'age' of type Int64 has 2 missing"):
        people.ask(view_question(), fields={"age": pl.Series([1, 2, 3, None, None])})
    for odd in ({"a": 1}, {1}, np.longdouble(1)):
        with pytest.raises(QuestionError, match=r"field age = .*expected a text, number"):
            people.ask(view_question(), fields={"age": [odd] * 5, "mood": 0.0, "party": "x"})
    with pytest.raises(PopulationError, match="no model"):
        Population(n=2).ask(silent, fields={})
    assert policy.seen == []
    assert people.asked("view").tolist() == [0] * 5


def test_a_row_sees_its_own_columns_and_nothing_else():
    seen = []

    def curious(me):
        seen.append((me.age, me.key, me.now))
        return {"x": me.opinion}

    _, people = world(2)
    question = Question("q", 1, "{x}", ("a", "b"), perceive=curious)
    with pytest.raises(AttributeError, match="opinion"):
        people.ask(question)
    assert seen == [(people.age[0], people.keys[0], 0.0)]
    reach = Question("q", 1, "{x}", ("a", "b"), perceive=lambda me: {"x": me.model})
    with pytest.raises(abm.errors.VisibilityError):
        people.ask(reach)


class Citizen(RowAgent):
    def life(self):
        while True:
            yield self.wait(1)
            self.opinion = SCALE.index((yield self.decide(view_question())))


def test_agents_that_live_and_agents_in_columns_share_one_state_and_one_chance():
    """Half of the people live as processes, half are asked in columns at the same times."""
    question = view_question()
    model, people = world(20)
    people["opinion"] = -1
    people.agents(np.arange(10), Citizen)

    def columnar():
        while True:
            yield model.timeout(1)
            people.opinion[10:] = people.ask(question, np.arange(10, 20))

    model.process(columnar())
    _, plain = world(20)
    for day in range(1, 4):
        model.run_until(day)
        assert people.opinion.tolist() == plain.ask(question).tolist()


@pytest.mark.parametrize("text", [False, True])
def test_blocks_of_requests_change_nothing(monkeypatch, text):
    from abm.population import settling

    question = POST if text else view_question()
    kwargs = {"failures": "skip"}
    told = []
    for block in (3, 1 << 15):
        monkeypatch.setattr(settling, "BLOCK", block)
        model, people = world(60, policy=Hashed(fails=lambda r: r["age"] == 21), **kwargs)
        asked = people.ask_all(question, fields=columns(people))
        by_view = people.ask_all(question)
        told.append(
            (
                list(asked.values),
                list(by_view.values),
                dict(asked.skipped),
                asked.policies.tolist(),
                model.decisions.frame().rows(),
                model.decisions.summary(),
            )
        )
    assert told[0] == told[1]


def test_many_different_requests_are_asked_in_blocks_as_agent_by_agent(monkeypatch):
    """3,000 people of whom no two are alike, in blocks of 64, against one by one."""
    from abm.population import raising, settling

    monkeypatch.setattr(settling, "BLOCK", 64)
    monkeypatch.setattr(raising, "BLOCK", 64)
    question, largest = view_question(), []

    class Watched(Hashed):
        def answer(self, requests):
            largest.append(len(requests))
            return super().answer(requests)

    answered = []
    for way in ("columns", "view", "router", "agents"):
        model, people = world(3000, policy=Watched())
        people["age"] = np.arange(3000)
        if way == "router":
            model.assignment = PolicyOfAll()
        if way == "agents":
            agents = people.agents()
            answered.append([SCALE.index(agent.ask(question)) for agent in agents])
            continue
        asked = people.ask_all(question, fields=None if way == "view" else columns(people))
        answered.append(asked.values.tolist())
        assert asked.n_requests == model.decisions.distinct == 3000
    assert max(largest) == 64
    assert answered[0] == answered[1] == answered[2] == answered[3]


class PolicyOfAll:
    """An assignment of its own class: evaluated request by request."""

    def policy_for(self, key, request, time, *, agent=None):
        assert request["age"] >= 0
        return "rule"


def test_rows_that_perceive_other_fields_ask_what_they_would_ask_alone():
    """Some return a field more, some a number of another type; nothing is filled in."""

    def ragged(me):
        fields = {"age": me.age if me.age < 22 else float(me.age), "mood": me.mood}
        return fields | ({"party": me.party, "both": (me.party, "x")} if me.age == 21 else {})

    question = Question("view", 1, "{age}: agree?", SCALE, perceive=ragged)
    _, by_view = world(60, policy=(seen := Hashed()))
    _, by_agent = world(60, policy=(alone := Hashed()))
    choices = [agent.ask(question) for agent in by_agent.agents()]
    assert [SCALE[i] for i in by_view.ask(question)] == choices
    assert {request.key for request in seen.seen} == {request.key for request in alone.seen}
    assert len({len(request.fields) for request in seen.seen}) == 2


def test_a_long_wait_for_a_slow_policy_is_announced(monkeypatch):
    from abm.population import settling

    monkeypatch.setattr(settling, "PROBE", 8)
    monkeypatch.setattr(settling, "MANY", 20)
    monkeypatch.setattr(settling, "LONG", 0.0)
    slow = Hashed()
    slow.recorded = True
    _, people = world(50, policy=slow)
    people["age"] = np.arange(50)
    with pytest.warns(CostWarning, match="50 different requests .* first 8 "):
        told = people.ask(view_question(), fields=columns(people))
    _, plain = world(50)
    plain["age"] = np.arange(50)
    assert told.tolist() == plain.ask(view_question(), fields=columns(plain)).tolist()


def test_a_failure_in_a_later_block_names_the_first_row_that_has_it(monkeypatch):
    from abm.population import settling

    monkeypatch.setattr(settling, "BLOCK", 2)
    _, people = world(50, policy=Hashed(fails=lambda request: request["age"] == 21))
    with pytest.raises(DecisionFailed) as caught:
        people.ask(view_question(), fields=columns(people))
    first = int(np.flatnonzero(people.age == 21)[0])
    assert any(f"row {first} " in note for note in caught.value.__notes__)


def test_a_mixture_answers_in_columns_as_agent_by_agent():
    question = view_question()
    seen = []
    for columnar in (True, False):
        mixture = Mixture({"a": 0.3, "b": 0.7}, seed=3, keys=[1, 2, 3])
        model = abm.Model(
            seed=3,
            policies={"a": Hashed(), "b": Hashed(), "c": Hashed(), "d": Hashed()},
            assignment=PerQuestion({"view": mixture}),
        )
        model.desk.mixtures["b"] = Mixture({"c": 0.5, "d": 0.5}, seed=3, purpose="members")
        _, source = world(50)
        people = Population.from_frame(source.frame(), model=model)
        if columnar:
            chosen = people.ask(question, fields=columns(people)).tolist()
        else:
            chosen = [SCALE.index(agent.ask(question)) for agent in people.agents()]
        seen.append((chosen, model.decisions.frame().rows()))
    assert seen[0] == seen[1]
    assert {row[1] for row in seen[0][1]} == {"a", "c", "d"}


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_different_questions(tmp_path):
    """After 20,000 different questions, 20,000 more take less than 40 bytes each.

    Traced by Python's allocator, through engine, recorder of the run and ledger: what may grow is
    the tallies of distinct requests, of 12 to 20 bytes per key each.
    """
    import tracemalloc

    from abm.ledger import Ledger, Recorded, RunRecorder

    policy = Hashed()
    policy.recorded = True
    policy.answer = lambda requests: [policy._one(request) for request in requests]
    question = Question("q", 1, "{n}", ("no", "yes"))
    sizes = []
    with Ledger(tmp_path / "l.sqlite") as ledger:
        recorder = RunRecorder(Recorded(policy, ledger), "run")
        people = Population(abm.Model(seed=1, policies={"llm": recorder}), n=1000)
        tracemalloc.start()
        for block in range(40):
            people.ask(question, fields={"n": np.arange(1000) + 1000 * block})
            sizes.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
    assert len(recorder.entries) == 40_000
    assert sizes[39] - sizes[19] < 3 * 40 * 20_000
