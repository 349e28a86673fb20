"""Chance is a function: extra agents, draws, births and probes move nobody else; runs repeat."""

from __future__ import annotations

import multiprocessing
import sys
from pathlib import Path

import numpy as np
import pytest

import abm
from abm.engine.activation import RandomSequential

sys.path.insert(0, str(Path(__file__).parent))  # also for the processes of the pool

from town import Citizen, Stranger, Town, notes

CHANGES = (
    "an extra agent first",
    "an extra agent last",
    "an extra birth",
    "extra draws",
    "a probe",
)


@pytest.mark.parametrize("change", CHANGES)
def test_nobody_else_is_moved_by(change):
    before, after = Town().notes, Town(change=change).notes
    assert {what for lines in before.values() for _, what, _ in lines} == {
        "decided",
        "bore",
        "posted",
        "stepped",
    }
    assert {key: after[key] for key in before} == before
    assert Town(seed=4).notes != before


def test_equal_seeds_are_bit_equal_alone_and_in_a_pool():
    alone = [notes(seed) for seed in (1, 2, 3, 1)]
    assert alone[0] == alone[3] != alone[1]
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pooled = pool.map(notes, (1, 2, 3, 1))
    assert pooled == alone


def test_random_sequential_order_differs_between_rounds_and_keeps_places_of_the_others():
    def orders(extra):
        model = abm.Model(seed=1)
        model.notes = {}
        agents = [Citizen(model, 0) for _ in range(8)]
        agents += [Stranger(model, 0)] if extra else []
        seen = []
        RandomSequential(model, agents, lambda agent: seen.append(agent.key))
        for agent in agents:
            agent._life.end()
        model.run_until(3)
        names = [key for key in seen if not key.startswith("Stranger")]
        return [names[i : i + 8] for i in range(0, 24, 8)]

    plain = orders(False)
    assert len({tuple(order) for order in plain}) == 3
    assert all(sorted(order) == sorted(plain[0]) for order in plain)
    assert orders(True) == plain


def test_the_chance_seed_is_the_seed_or_comes_from_the_generator():
    assert abm.Model(seed=7).chance_seed == 7
    assert abm.Model(rng=7).chance_seed == (7 if abm.Model(rng=7)._seed == 7 else _hashed(7))
    same = [abm.Model(rng=np.random.default_rng(5)) for _ in range(2)]
    assert same[0].chance_seed == same[1].chance_seed
    assert abm.Model().chance_seed != abm.Model().chance_seed


def _hashed(seed):
    return abm.Model(rng=seed).chance_seed


def test_a_child_born_in_a_process_has_the_key_of_its_birth_whoever_else_is_born():
    class Parent(abm.Agent):
        def life(self):
            yield self.wait(1)
            self.child = Child(self.model)

    class Child(abm.Agent):
        pass

    model = abm.Model(seed=1)
    first, second = Parent(model, key=1), Parent(model, key=2)
    model.run_until(2)
    assert first.child.key == abm.rng.child_key(1, 1)
    assert second.child.key == abm.rng.child_key(2, 1)
