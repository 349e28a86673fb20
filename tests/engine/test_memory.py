"""A thousand models run one after another free their memory."""

from __future__ import annotations

import gc
import os
import weakref
from pathlib import Path

import mesa
import pytest

import abm
from abm.questions import Answer, Question

ACT = Question("act", 1, "?", ("yes", "no"), perceive=lambda me: {})


def resident_mib():
    """Resident memory of this process now (Linux), in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


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
    models, sizes = [], []
    for seed in range(1_000):
        model = Town(seed)
        model.run_until(3)
        models.append(weakref.ref(model))
        del model
        if seed in (199, 999):
            gc.collect()
            sizes.append(resident_mib())
    gc.collect()
    assert [ref() for ref in models].count(None) == 1_000
    # Each model holds 80 kB of memories: 800 kept models would be 64 MB.
    assert sizes[1] - sizes[0] < 20, f"{sizes} MiB"
