"""A thousand models run one after another free their memory."""

from __future__ import annotations

import gc
import resource
import sys
import weakref

import mesa
import pytest

import abm
from abm.questions import Answer, Question

ACT = Question("act", 1, "?", ("yes", "no"), perceive=lambda me: {})


class Rule:
    fingerprint, recorded = "rule", False

    def answer(self, requests):
        return [Answer(scores=(0.0, 0.0)) for _ in requests]


class Citizen(abm.Agent):
    def life(self):
        self.memory = [0.0] * 2_000
        while True:
            yield self.wait(1)
            yield self.decide(ACT)


class Plain(mesa.Agent):
    pass


class Town(abm.Model):
    def __init__(self, seed):
        super().__init__(seed=seed, policies={"rule": Rule()})
        self.datacollector = mesa.DataCollector({"n": lambda model: len(model.agents)})
        self.observe(self.datacollector)
        for _ in range(5):
            Citizen(self)
            Plain(self)

    def step(self):
        self.agents.select(lambda agent: isinstance(agent, Citizen)).ask(ACT)


@pytest.mark.slow
def test_a_thousand_models_one_after_another_free_their_memory():
    models, peaks = [], []
    for seed in range(1_000):
        model = Town(seed)
        model.run_until(3)
        models.append(weakref.ref(model))
        del model
        if seed in (199, 999):
            gc.collect()
            peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    gc.collect()
    assert [ref() for ref in models].count(None) == 1_000
    # Each model holds 80 kB of memories: 800 kept models would be 64 MB.
    assert peaks[1] - peaks[0] < 20, f"{peaks} MiB on {sys.platform}"
