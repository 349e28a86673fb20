"""A town in which everything that draws happens: waits, decisions, births, clocks, rounds."""

from __future__ import annotations

import numpy as np

import abm
from abm.engine.activation import HawkesClocks, PoissonClocks, RandomSequential
from abm.questions import Answer, Question

ACT = Question("act", 1, "{age}", ("yes", "no", "maybe"), perceive=lambda me: {"age": me.age})
PROBE = Question("probe", 1, "{age}", ("yes", "no"), perceive=lambda me: {"age": me.age})


class Rule:
    fingerprint, recorded = "rule", False

    def answer(self, requests):
        return [
            Answer(scores=tuple(0.1 * i for i in range(len(request.question.options))))
            for request in requests
        ]


class Citizen(abm.Agent):
    """Waits at random, decides, posts on a clock, bears children."""

    def __init__(self, model, age, key=None):
        super().__init__(model, key=key)
        self.age = age

    def life(self):
        for turn in range(6):
            yield self.wait(-np.log1p(-self.uniform("wait", turn)))
            choice = yield self.decide(ACT, self.model.deliberation)
            self.note("decided", choice)
            if self.chance("fertile", turn).random() < 0.3:
                self.note("bore", self.bear(Citizen, 0).key)

    def post(self):
        self.note("posted")

    def step(self):
        self.note("stepped")

    def note(self, what, value=None):
        self.model.notes.setdefault(self.key, []).append((self.model.now, what, value))


class Stranger(Citizen):
    """Of another class: its presence must not move anybody."""


class Town(abm.Model):
    def __init__(self, seed=3, n=12, change=None, deliberation=0.25):
        super().__init__(seed=seed, policies={"rule": Rule()})
        self.notes, self.deliberation = {}, deliberation
        if change == "an extra agent first":
            Stranger(self, 0)
        for age in range(n):
            Citizen(self, age)
        if change == "an extra agent last":
            Citizen(self, 0)
        if change == "an extra birth":
            extra = next(iter(self.agents))
            self.env.call_at(1.0, lambda _: Stranger(self, 0, key=f"extra of {extra.key}"))
        if change == "extra draws":
            self.env.call_at(0.5, lambda _: [self.uniform("extra", i) for i in range(9)])
            self.env.call_at(0.7, lambda _: self.random.random() + self.rng.random())
        if change == "a probe":
            self.env.call_at(1.2, lambda _: self.agents.ask(PROBE))
        PoissonClocks(self, Citizen, "post", rate=1.0)
        HawkesClocks(self, Citizen, "post", base_rate=0.5, branching=0.5, decay=2.0)
        RandomSequential(self, Citizen, "step", every=2.0)
        self.run_until(5)


def notes(seed):
    """What everybody noted in a run with this seed."""
    return Town(seed).notes
