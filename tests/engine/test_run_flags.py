"""A run in which something never happened says so."""

from __future__ import annotations

import abm
from abm.engine.activation import FixedStep
from abm.questions import Answer, Question, Status

ACT = Question("act", 1, "?", ("yes", "no"), perceive=lambda me: {})
OTHER = Question("other", 1, "?", ("yes", "no"), perceive=lambda me: {})


class Fair:
    fingerprint, recorded = "fair", False

    def answer(self, requests):
        return [Answer(scores=(0.0, 0.0)) for _ in requests]


class Mute:
    fingerprint, recorded = "mute", False

    def answer(self, requests):
        return [Answer.failed(Status.OUT_OF_LANGUAGE, "mute") for _ in requests]


class Alive(abm.Agent):
    def life(self):
        yield self.wait(1)
        yield self.decide(ACT)


class Stepper(abm.Agent):
    def step(self):
        self.stepped = True


class Institution(abm.Agent):
    """Passive: neither lives nor steps, and is not expected to act."""


def test_a_run_in_which_everything_happened_has_no_flags():
    class Steps(abm.Model):
        questions = (ACT,)

        def step(self):
            self.agents_by_type[Stepper].do("step")

    model = Steps(seed=1, policies={"fair": Fair(), "twin": Fair()}, assignment="fair")
    model.answerer.failures = abm.policies.answering.FailureHandling("rule twin")
    for kind in (Alive, Stepper, Institution):
        kind(model)
    model.run_until(2)
    assert model.run_flags() == []


def test_what_never_happened_is_flagged():
    class Idle(abm.Model):
        questions = (ACT, OTHER)

    model = Idle(
        seed=1, policies={"mute": Mute(), "fair": Fair()}, assignment="mute", failures="skip"
    )
    Alive(model)
    Stepper(model)
    Institution(model)
    model.schedule_interventions([abm.Intervention(at=9, change={"running": False}, label="late")])
    model.run_until(2)
    assert model.run_flags() == [
        "policy 'fair' never ran",
        "agent class Stepper never acted",
        "question 'act' was asked 1 times and never answered",
        "question 'other' was declared and never asked",
        "intervention 'late' never acted: the run ended at 2",
    ]


def test_a_class_whose_activation_never_reached_it_is_flagged():
    model = abm.Model(seed=1)
    FixedStep(model, Institution, action=lambda agent: None, every=5)
    Institution(model)
    model.run_until(2)
    assert model.run_flags() == ["agent class Institution never acted"]
    model.run_until(5)
    assert model.run_flags() == []


def test_a_model_that_never_ran_is_flagged():
    assert abm.Model(seed=1).run_flags() == ["the model never ran: time is 0"]
