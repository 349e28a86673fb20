"""Interventions: bit-equal until they act, first in their instant, refused when they cannot act."""

from __future__ import annotations

import dataclasses

import pytest

import abm
from abm.errors import ScenarioError
from abm.questions import Answer, Question

ACT = Question(
    "act",
    1,
    "{exposure} {age}",
    ("yes", "no"),
    perceive=lambda me: {"exposure": me.exposure, "age": me.age},
)


class Rule:
    recorded = False

    def __init__(self, name, lean):
        self.fingerprint, self.lean = name, lean

    def answer(self, requests):
        return [Answer(scores=(self.lean * request["exposure"], 0.0)) for request in requests]


@dataclasses.dataclass(frozen=True)
class Scenario:
    exposure: float = 1.0
    rate: float = 0.5

    def __post_init__(self):
        if not 0 <= self.rate <= 1:
            raise ScenarioError(f"rate = {self.rate}, expected 0 <= rate <= 1")


class Citizen(abm.Agent):
    age = 0

    def life(self):
        turn = 0
        while True:
            yield self.wait(0.2 + self.uniform("wait", turn))
            turn += 1
            self.exposure = self.model.scenario.exposure
            self.age = turn % 3
            choice = yield self.decide(ACT, deliberation=0.5 * (turn % 2))
            self.model.log.append((self.model.now, self.key, choice))


class Town(abm.Model):
    def __init__(self, planned=()):
        super().__init__(
            seed=9,
            policies={"llm": Rule("llm", 0.5), "rule": Rule("rule", -5.0)},
            assignment="llm",
        )
        self.scenario, self.rate, self.log, self.news = Scenario(), 0.5, [], []
        self.schedule_interventions(planned)
        for _ in range(20):
            Citizen(self)

    def inject(self, content):
        self.news.append((self.now, content))


def run(*planned, until=12.0):
    model = Town(planned)
    model.run_until(until)
    return model


DATE = 5.0


@pytest.mark.parametrize(
    "what",
    [{"change": {"exposure": -8.0}}, {"assign": {"llm": "rule"}}, {"assign": {"*": "rule"}}],
    ids=["a parameter", "a policy", "all policies"],
)
def test_two_runs_are_bit_equal_until_the_intervention_acts(what):
    baseline = run().log
    changed = run(abm.Intervention(at=DATE, **what)).log
    before = [entry for entry in baseline if entry[0] < DATE]
    assert len(before) > 40
    assert changed[: len(before)] == before
    after, later = baseline[len(before) :], changed[len(before) :]
    # Waits and draws stay coupled: the same agents act at the same times, and choose otherwise.
    assert [entry[:2] for entry in after] == [entry[:2] for entry in later]
    assert after != later


def test_decisions_raised_before_keep_their_policy():
    class Slow(Citizen):
        def life(self):
            self.exposure = 1.0
            self.model.log.append((yield self.decide(ACT, deliberation=10.0)))

    model = Town([abm.Intervention(at=DATE, assign={"llm": "rule"})])
    for _ in range(5):
        Slow(model)
    model.run_until(11)
    assert model.decisions.count(policy="rule", time=0) == 0
    assert model.decisions.count(policy="llm", time=0) >= 5
    assert model.decisions.count(policy="rule", time=6) > 0


def test_a_change_reaches_scenario_and_attribute():
    model = run(abm.Intervention(at=2.0, change={"rate": 0.9, "exposure": 3.0}))
    assert (model.scenario, model.rate) == (Scenario(exposure=3.0, rate=0.9), 0.9)


def test_content_is_injected_at_its_date():
    model = run(abm.Intervention(at=2.0, inject={"text": "war"}))
    assert model.news == [(2.0, {"text": "war"})]


def test_a_model_may_say_what_an_intervention_does():
    class Own(Town):
        def apply_intervention(self, intervention):
            self.news.append(intervention.name)

    model = Own([abm.Intervention(at=0.0, change={"rate": 1.0}, label="new rate")])
    model.run_until(0)
    assert model.news == ["new rate"]


@pytest.mark.parametrize(
    ("intervention", "message"),
    [
        (abm.Intervention(at=-1.0), "at = -1.0, expected a time at or after 0"),
        (abm.Intervention(at=float("nan")), "at = nan"),
        (abm.Intervention(at=1, change={"exposre": 1}), "'exposre' is neither a parameter"),
        (abm.Intervention(at=1, change={"rate": 2.0}), "rate = 2.0, expected 0 <= rate <= 1"),
        (abm.Intervention(at=1, assign={"llm": "ghost"}), "expected names of policies"),
        (abm.Intervention(at=1, assign={"gost": "rule"}), r"declared are \['llm', 'rule'\]"),
    ],
)
def test_what_cannot_act_is_refused_before_the_run(intervention, message):
    with pytest.raises(ScenarioError, match=message):
        Town([intervention])


def test_content_for_a_model_that_takes_none_is_refused():
    with pytest.raises(ScenarioError, match="has no method inject"):
        abm.Model(seed=1).schedule_interventions([abm.Intervention(at=1, inject={"a": 1})])
