"""A preview shows the prompt as it would be sent, and moves nothing."""

import numpy as np
import pytest

import abm
from abm.errors import PolicyError, QuestionError
from abm.ledger import Ledger, Recorded, RunRecorder
from abm.llm.backend import Scored
from abm.policies import Every, LLMPolicy, Router, RulePolicy
from abm.questions import Question, TextConstraint, Transform

BAN = Question(
    "ban",
    1,
    "Town paper.\n---\nYou are {age}. Ban <cars>?",
    ("yes", "no"),
    perceive=lambda me: {"age": me.age, "mood": "calm"},
)
POST = Question(
    "post", 1, "Age {age}. Write.", text=TextConstraint(30), perceive=lambda me: {"age": me.age}
)


class Backend:
    fingerprint = "model"

    def __init__(self):
        self.calls = 0

    def score(self, prompts, options):
        self.calls += 1
        return [Scored((np.log(0.6), np.log(0.2)), 0.8, 9, 2) for _ in prompts]

    def generate(self, prompts, constraints, seeds):
        raise AssertionError("a preview generates no text")

    def as_sent(self, prompt):
        return f"<user>{prompt.text}<end>", (1, 2, 3)


class Citizen(abm.Agent):
    def __init__(self, model, age):
        super().__init__(model)
        self.age = age

    def life(self):
        while True:
            yield self.wait(1.0)
            self.last = yield self.decide(BAN)


def town(policies, assignment=None, **kwargs):
    model = abm.Model(seed=3, policies=policies, assignment=assignment, **kwargs)
    return model, [Citizen(model, age) for age in (30, 60)]


def test_it_shows_prompt_tokens_fields_and_distribution():
    _, (citizen, _) = town({"llm": LLMPolicy(Backend())})
    shown = BAN.preview(citizen)
    assert shown.prompt == "<user>Town paper.\nYou are 30. Ban <cars>?<end>"
    assert shown.tokens == (1, 2, 3)
    assert shown.policy == "llm"
    assert shown.fields == {"age": 30, "mood": "calm"}
    assert shown.distribution == pytest.approx({"yes": 0.75, "no": 0.25})
    text = str(shown)
    for part in ("ban (version 1)", "mood = 'calm'", "3 tokens", "| You are 30.", "yes  0.7500"):
        assert part in text
    assert "coverage 0.8000" in text
    page = shown._repr_html_()
    assert "Ban &lt;cars&gt;?&lt;end&gt;" in page
    assert "<cars>" not in page


def test_it_shows_the_corrected_distribution_and_failures_by_name():
    flat = {"ban": Transform(temperature=1e6)}
    _, (citizen, _) = town({"llm": LLMPolicy(Backend(), coverage_floor=0.9)}, transforms=flat)
    shown = BAN.preview(citizen)
    assert shown.distribution == pytest.approx({"yes": 0.5, "no": 0.5}, abs=1e-5)
    assert "off_menu: the menu has probability 0.8" in str(shown)


def test_a_text_is_previewed_by_its_constraint_and_not_written():
    _, (citizen, _) = town({"llm": LLMPolicy(Backend())})
    shown = POST.preview(citizen)
    assert shown.answer is None
    assert shown.distribution == {}
    assert "at most 30 tokens, temperature 1" in str(shown)
    assert 0 <= shown.request.seed < 2**32


def test_hostile_text_can_be_printed():
    _, (citizen, _) = town({"llm": LLMPolicy(Backend())})
    citizen.age = "old \ud800<b>"
    shown = BAN.preview(citizen)
    assert "old \\ud800<b>" in str(shown)
    assert "old \\ud800&lt;b&gt;" in shown._repr_html_()
    (str(shown) + shown._repr_html_()).encode()


def test_a_rule_is_shown_with_the_text_that_a_model_would_get():
    _, (citizen, _) = town({"rule": RulePolicy(lambda f, o: np.zeros((f.n, 2)))})
    shown = BAN.preview(citizen)
    assert shown.tokens is None
    assert shown.prompt == "Town paper.\nYou are 30. Ban <cars>?"


def test_previews_change_nothing_in_a_run(tmp_path):
    """Two runs, one of them previewed before and between events: equal decisions and counts."""
    outcomes = []
    for watched in (False, True):
        with Ledger(tmp_path / f"{watched}.sqlite") as ledger:
            recorder = RunRecorder(Recorded(LLMPolicy(Backend()), ledger), "run")
            router = Router("rule", "llm", [Every(3.0)], max_decisions=3)
            model, citizens = town(
                {"llm": recorder, "rule": RulePolicy(lambda f, o: np.zeros((f.n, 2)))}, router
            )
            told = []
            for end in range(1, 7):
                for citizen in citizens if watched else ():
                    BAN.preview(citizen)
                    POST.preview(citizen)
                model.run_until(float(end))
                told += [citizen.last for citizen in citizens]
            counts = recorder.counts.to_dict(), recorder.inner.counts.to_dict(), len(ledger)
            outcomes.append((told, counts, router.spent_decisions, router.refused))
    assert outcomes[0] == outcomes[1]
    assert outcomes[0][2] == 3


def test_the_preview_is_what_the_decision_then_asks():
    model, (citizen, _) = town({"llm": LLMPolicy(Backend())})
    shown = BAN.preview(citizen)
    raised = model.desk.decide(citizen, BAN, deliberation=1.0).raised
    assert raised.ticket.request == shown.request
    assert raised.ticket.policy == shown.policy


def test_what_cannot_be_previewed_says_why():
    model, (citizen, _) = town({"llm": LLMPolicy(Backend())}, "llm")
    with pytest.raises(QuestionError, match="has no perceive"):
        Question("q", 1, "?", ("a", "b")).preview(citizen)
    model.assignment = "lmm"
    with pytest.raises(PolicyError, match=r"policy 'lmm'; declared are \['llm'\]"):
        BAN.preview(citizen)
