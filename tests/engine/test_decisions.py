"""Decisions: perceived when raised, answered together, drawn by own chance, acted upon in order."""

from __future__ import annotations

import mesa
import numpy as np
import pytest

import abm
from abm.engine.desk import _cumulative
from abm.errors import DecisionFailed, EngineError, PolicyError, QuestionError
from abm.policies.answering import Skipped
from abm.questions import Answer, Question, Status, TextConstraint, Transform, pick
from abm.rng import uniform

ACT = Question("act", 1, "Age {age}?", ("yes", "no"), perceive=lambda me: {"age": me.age})
VIEW = Question(
    "view", 1, "Age {age}?", ("pro", "con"), draw="persistent", perceive=lambda me: {"age": me.age}
)
POST = Question(
    "post", 1, "Age {age}.", text=TextConstraint(9), perceive=lambda me: {"age": me.age}
)


class Recording:
    """Answers 50/50, remembers batches; fails with a status where told so."""

    recorded = False

    def __init__(self, name="rule", failing=None):
        self.fingerprint, self.failing = name, failing or {}
        self.batches = []

    def answer(self, requests):
        self.batches.append([request["age"] for request in requests])
        return [self._one(request) for request in requests]

    def _one(self, request):
        status = self.failing.get(request["age"])
        if status is not None:
            return Answer.failed(status, "on purpose", tokens_in=3)
        if request.question.options is None:
            return Answer(text=f"seed {request.seed}", tokens_in=10, tokens_out=4)
        return Answer(scores=(0.0, 0.0), tokens_in=10)


class Citizen(abm.Agent):
    def __init__(self, model, age, key=None):
        super().__init__(model, key=key)
        self.age = age


class Daily(Citizen):
    def life(self):
        while True:
            yield self.wait(1)
            choice = yield self.decide(ACT, self.model.deliberation)
            self.model.acts.append((self.model.now, self.key, choice))


def society(n=6, kind=Daily, deliberation=0.0, **kwargs):
    policies = kwargs.pop("policies", {"rule": Recording()})
    model = abm.Model(seed=5, policies=policies, **kwargs)
    model.acts, model.deliberation = [], deliberation
    for number in range(n):
        kind(model, age=number % 3, key=number)
    return model


def test_simultaneous_decisions_are_answered_in_one_batch_each_distinct_request_once():
    model = society()
    model.run_until(2)
    assert model.policies["rule"].batches == [[0, 1, 2], [0, 1, 2]]
    assert [(time, key) for time, key, _ in model.acts] == [
        (float(time), key) for time in (1, 2) for key in range(6)
    ]
    assert (model.decisions.asked, model.decisions.distinct) == (12, 3)


def test_deliberation_lets_decisions_of_different_moments_share_a_batch():
    class Late(Citizen):
        def life(self):
            yield self.wait(0.1 * self.age)
            yield self.decide(ACT, 1.0)
            self.model.acts.append((self.model.now, self.age))

    model = society(3, kind=Late)
    model.run_until(3)
    assert model.acts == [(1.0, 0), (1.1, 1), (1.2, 2)]
    assert model.policies["rule"].batches == [[0, 1, 2]]


def test_perceived_when_raised_acted_upon_when_committed():
    class Ageing(Citizen):
        def life(self):
            decision = self.decide(ACT, 1.0)
            self.age = 40
            yield decision

    model = society(1, kind=Ageing)
    model.run_until(2)
    assert model.policies["rule"].batches == [[0]]


def test_a_choice_takes_one_uniform_of_its_agent_question_and_occasion():
    model = society(3)
    model.run_until(4)
    for time, key, choice in model.acts:
        drawn = uniform(5, "decide:act", key=key, occasion=int(time) - 1)
        assert choice == ("yes" if drawn < 0.5 else "no")
    assert {choice for _, _, choice in model.acts} == {"yes", "no"}


def test_a_persistent_question_gives_an_unchanged_opinion():
    model = society(40, kind=Citizen)
    first = model.agents.ask(VIEW)
    assert model.agents.ask(VIEW) == first
    assert set(first) == {"pro", "con"}
    assert model.agents.ask(ACT) != model.agents.ask(ACT)


def test_a_text_has_the_seed_of_its_agent_and_occasion():
    model = society(2, kind=Citizen)
    agent = model.find(1)
    texts = [agent.ask(POST), agent.ask(POST)]
    seeds = [int(uniform(5, "text:post", 1, number) * 2**32) for number in (0, 1)]
    assert texts == [f"seed {seed}" for seed in seeds]


def test_scalar_and_columnar_draws_are_bit_equal():
    # 40 agents draw as a column, 40 single asks draw one by one, and both equal `pick`.
    together, alone = society(40, kind=Citizen), society(40, kind=Citizen)
    choices = together.agents.ask(ACT)
    assert choices == [agent.ask(ACT) for agent in alone.agents]
    draws = [uniform(5, "decide:act", key, 0) for key in range(40)]
    expected = pick([0.5, 0.5], draws)
    assert choices == [("yes", "no")[i] for i in expected]


def test_drawing_from_cumulative_bounds_equals_pick():
    rng = np.random.default_rng(3)
    for n_options in (2, 3, 7):
        for _ in range(200):
            scores = tuple(rng.normal(0, 3, n_options).tolist())
            if rng.random() < 0.3:
                scores = (*scores[:-1], float("-inf"))
            transform = Transform(temperature=float(rng.uniform(0.3, 2)))
            bounds, last = _cumulative(scores, transform)
            draws = [0.0, 1 - 2**-53, *rng.random(5).tolist(), *bounds[:-1]]
            draws = [draw for draw in draws if draw < 1]
            chosen = [min(np.searchsorted(bounds, draw, side="right"), last) for draw in draws]
            assert chosen == pick(transform.apply([scores])[0], draws).tolist()


def test_agents_ask_answers_before_it_returns_in_one_batch():
    class Steps(abm.Model):
        def step(self):
            self.answers = self.agents.ask(ACT)
            assert all(answer in ("yes", "no") for answer in self.answers)
            self.old = self.agents.select(lambda agent: agent.age == 2).ask(ACT)

    model = Steps(seed=5, policies={"rule": Recording()})
    for age in (1, 2, 2):
        Citizen(model, age)
    model.step()
    assert (len(model.answers), len(model.old)) == (3, 2)
    assert model.policies["rule"].batches == [[1, 2], [2]]
    assert model.agents_by_type[Citizen].ask(ACT) is not None
    assert model.agents.select(lambda _: False).ask(ACT) == []


def test_random_sequential_activation_asks_one_at_a_time():
    class Talker(Citizen):
        def step(self):
            self.choice = self.ask(ACT)
            self.model.loudness += 1
            for other in self.model.agents:
                other.age = self.model.loudness

    class Steps(abm.Model):
        def step(self):
            self.agents.shuffle_do("step")

    model = Steps(seed=5, policies={"rule": Recording()})
    model.loudness = 0
    for _ in range(4):
        Talker(model, 0)
    model.step()
    assert model.policies["rule"].batches == [[0], [1], [2], [3]]


def test_data_are_collected_after_decisions_have_settled():
    class Model(abm.Model):
        def __init__(self):
            super().__init__(seed=5, policies={"rule": Recording()})
            self.acts, self.deliberation = [], 0.0
            self.datacollector = mesa.DataCollector({"acts": lambda model: len(model.acts)})
            self.observe(self.datacollector, every=1.0)
            for number in range(4):
                Daily(self, number, key=number)

    model = Model()
    model.run_until(3)
    assert model.datacollector.model_vars["acts"] == [0, 4, 8, 12]
    assert model.series().rows() == [
        (0.0, "acts", 0.0),
        (1.0, "acts", 4.0),
        (2.0, "acts", 8.0),
        (3.0, "acts", 12.0),
    ]
    assert model.outcomes() == {"acts": 12.0}


def test_data_collected_in_a_plain_step_hold_the_answers_of_that_step():
    class Steps(abm.Model):
        def __init__(self):
            super().__init__(seed=5, policies={"rule": Recording()})
            self.yes = 0
            self.datacollector = mesa.DataCollector({"yes": "yes"})
            for number in range(9):
                Citizen(self, number)

        def step(self):
            self.yes = self.agents.ask(ACT).count("yes")
            self.datacollector.collect(self)

    model = Steps()
    model.run_until(3)
    frame = model.series()
    assert frame["time"].to_list() == [1.0, 2.0, 3.0]
    assert frame["value"].to_list()[-1] == model.yes > 0


def test_endless_decisions_within_one_instant_are_stopped_with_a_message():
    class Obsessed(Citizen):
        def life(self):
            while True:
                yield self.decide(ACT)

    class Impatient(abm.Model):
        max_rounds = 50

    model = Impatient(seed=5, policies={"rule": Recording()})
    Obsessed(model, 3, key="o1")
    with pytest.raises(EngineError, match=r"50 rounds of decisions at time 0, and .*o1") as caught:
        model.run_until(1)
    assert caught.value.agent_id == 1


def test_many_decisions_in_one_instant_and_over_time_are_not_endless():
    class Patient(abm.Model):
        max_rounds = 3

    class Steady(Citizen):
        def life(self):
            for _ in range(20):
                yield self.decide(ACT, deliberation=0.5)
                yield self.wait(0)
                yield self.decide(ACT)

    model = Patient(seed=5, policies={"rule": Recording()})
    for number in range(30):
        Steady(model, number)
    model.run_until(30)
    assert model.decisions.asked == 30 * 40


def test_an_abandoned_request_is_still_asked():
    class Hurried(Citizen):
        def life(self):
            yield self.decide(ACT, 5.0) | self.wait(1)

    model = society(1, kind=Hurried)
    model.run_until(2)
    assert model.policies["rule"].batches == [[0]]
    assert model.decisions.count(question="act") == 1


def test_skip_gives_a_typed_value_and_never_none():
    model = society(
        3,
        kind=Citizen,
        policies={"rule": Recording(failing={1: Status.OFF_MENU})},
        failures="skip",
    )
    answers = model.agents.ask(ACT)
    assert answers[1] == Skipped("act", Status.OFF_MENU, "on purpose")
    assert model.decisions.failures() == {"off_menu": 1}
    assert model.decisions.frame().filter(status="off_menu")["choice"].to_list() == [None]


def test_a_rule_stands_in_and_the_failure_stays_on_record():
    model = society(
        3,
        kind=Citizen,
        policies={"llm": Recording(failing={1: Status.TIMEOUT}), "twin": Recording("twin")},
        assignment="llm",
        failures="rule twin",
    )
    assert model.agents.ask(ACT)[1] in ("yes", "no")
    row = model.decisions.frame().filter(status="timeout").row(0, named=True)
    assert (row["policy"], row["answered_by"], row["decisions"]) == ("llm", "twin", 1)


def test_abort_stops_the_run_when_the_decision_would_have_acted():
    model = society(3, deliberation=0.25, policies={"rule": Recording(failing={2: Status.INVALID})})
    with pytest.raises(DecisionFailed, match="invalid") as caught:
        model.run_until(3)
    assert (caught.value.time, caught.value.agent_key) == (1.25, 2)
    assert [key for _, key, _ in model.acts] == [0, 1]


def test_the_log_counts_by_question_policy_time_choice_and_status():
    model = society(6)
    model.decisions.by_agent = True
    model.run_until(3)
    frame = model.decisions.frame()
    assert frame["decisions"].sum() == 18
    assert frame["time"].unique().sort().to_list() == [1, 2, 3]
    yes = sum(choice == "yes" for _, _, choice in model.acts)
    assert model.decisions.count(choice="yes") == yes
    rows = model.decisions.agents_frame().select("time", "key", "value").rows()
    assert rows == [(time, str(key), choice) for time, key, choice in model.acts]
    summary = model.decisions.summary()
    assert (summary["decisions"], summary["asked"], summary["distinct"]) == (18, 18, 3)
    assert summary["tokens_in"] == 180


def test_a_run_that_an_answerer_broke_off_can_go_on():
    class Flaky(Recording):
        up = False

        def answer(self, requests):
            if not self.up:
                raise ConnectionError("server is down")
            return super().answer(requests)

    model, steady = society(policies={"rule": Flaky()}), society()
    steady.run_until(3)
    for _ in range(2):
        with pytest.raises(ConnectionError):
            model.run_until(3)
        assert (model.now, model.acts) == (1.0, [])
        with pytest.raises(ConnectionError):
            model.find(0).ask(VIEW)
    model.policies["rule"].up = True
    model.run_until(3)
    assert model.acts == steady.acts
    assert model.decisions.count(question="view") == 0


def test_plain_mesa_agents_decide_too():
    class Plain(mesa.Agent):
        age = 0

        def __init__(self, model):
            super().__init__(model)
            self.age = 1

    model = abm.Model(seed=5, policies={"rule": Recording()})
    agents = [Plain(model) for _ in range(3)]
    assert set(model.agents.ask(ACT)) <= {"yes", "no"}

    def life(agent):
        seen.append((yield model.decide(agent, ACT)))

    seen = []
    model.process(life(agents[0]), agent=agents[0])
    model.run_until(1)
    assert len(seen) == 1


def test_mistakes_are_told_where_they_are_made():
    blind = Question("blind", 1, "?", ("a", "b"))
    model = society(1, kind=Citizen)
    agent = model.find(0)
    with pytest.raises(QuestionError, match="has no perceive"):
        agent.ask(blind)
    assert agent.ask(blind, fields={"age": 4}) in ("a", "b")
    with pytest.raises(EngineError, match="deliberation = -1"):
        agent.decide(ACT, -1)
    with pytest.raises(EngineError, match="cannot be triggered by hand"):
        agent.decide(ACT, 1).succeed("yes")
    with pytest.raises(PolicyError, match="no policy has that name"):
        abm.Model(seed=1, policies={"rule": Recording()}, assignment="llm")
    two = abm.Model(seed=1, policies={"a": Recording(), "b": Recording()})
    with pytest.raises(PolicyError, match="no assignment"):
        Citizen(two, 1).ask(ACT)


class Nobody:
    """An assignment that names a policy that does not exist."""

    def policy_for(self, agent_key, request, time, *, agent=None):
        return "ghost"


def test_an_assignment_to_an_unknown_policy_names_the_agent():
    model = society(1, kind=Citizen, assignment=Nobody())
    with pytest.raises(PolicyError, match=r"Citizen 1 .*'ghost'; declared are \['rule'\]"):
        model.find(0).ask(ACT)
