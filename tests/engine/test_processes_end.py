"""Agents are born, live as processes, and leave."""

from __future__ import annotations

import mesa
import pytest
import simpy

import abm
from abm.errors import EngineError


class Citizen(abm.Agent):
    def life(self):
        self.log = self.model.log
        try:
            while True:
                yield self.wait(1)
                self.log.append((self.model.now, self.key))
        finally:
            self.log.append((self.model.now, self.key, "left"))


@pytest.fixture
def model():
    made = abm.Model(seed=1)
    made.log = []
    return made


def test_a_removed_agent_does_nothing_more(model):
    a, b = Citizen(model, key="a"), Citizen(model, key="b")
    model.env.call_at(1.5, lambda _: a.remove())
    model.run_until(3)
    assert model.log == [
        (1.0, "a"),
        (1.0, "b"),
        (1.5, "a", "left"),
        (2.0, "b"),
        (3.0, "b"),
    ]
    assert list(model.agents) == [b]
    assert not a._life.is_alive


def test_whoever_waits_for_the_process_of_a_removed_agent_goes_on(model):
    a = Citizen(model, key="a")

    def mourner():
        yield a._life
        model.log.append((model.now, "mourner"))

    model.process(mourner())
    model.env.call_at(0.5, lambda _: a.remove())
    model.run_until(1)
    assert model.log == [(0.5, "a", "left"), (0.5, "mourner")]


def test_an_agent_that_removes_itself_ends_at_its_next_yield(model):
    class Leaver(abm.Agent):
        def life(self):
            yield self.wait(1)
            self.remove()
            model.log.append("last words")
            yield self.wait(1)
            model.log.append("never said")

    Leaver(model)
    model.run_until(5)
    assert model.log == ["last words"]
    assert len(model.agents) == 0


def test_a_removed_agent_gives_back_its_place_in_a_queue(model):
    desk = simpy.Resource(model.env, capacity=1)

    class Customer(abm.Agent):
        def life(self):
            with desk.request() as turn:
                yield turn
                yield self.wait(10)
                model.log.append((model.now, self.key))

    first, second, third = (Customer(model, key=name) for name in "abc")
    model.env.call_at(2, lambda _: second.remove())
    model.env.call_at(3, lambda _: first.remove())
    model.run_until(20)
    assert model.log == [(13.0, "c")]
    assert (desk.count, len(desk.queue)) == (0, 0)
    assert not third._life.is_alive


def test_removal_ends_all_processes_of_an_agent(model):
    class Busy(abm.Agent):
        def life(self):
            self.process(self.hobby())
            yield self.wait(100)

        def hobby(self):
            while True:
                yield self.wait(1)
                model.log.append(model.now)

    busy = Busy(model)
    model.env.call_at(2.5, lambda _: busy.remove())
    model.run_until(10)
    assert model.log == [1.0, 2.0]


def test_removal_ends_processes_that_the_model_started_for_an_agent(model):
    def hobby(agent):
        while True:
            yield model.timeout(1)
            model.log.append((model.now, agent.unique_id))

    ours, plain = abm.Agent(model), mesa.Agent(model)
    for agent in (ours, plain):
        model.process(hobby(agent), agent=agent)
        model.env.call_at(1.5, lambda _, agent=agent: agent.remove())
    model.run_until(10)
    assert model.log == [(1.0, 1), (1.0, 2)]


def test_an_agent_may_be_removed_before_it_ever_ran_and_twice(model):
    agent = Citizen(model)
    agent.remove()
    agent.remove()
    model.run_until(3)
    assert model.log == []


def test_an_interrupt_under_way_to_a_removed_agent_is_harmless(model):
    agent = Citizen(model, key="a")

    def strike(_):
        agent._life.interrupt()
        agent.remove()

    model.env.call_at(1.5, strike)
    model.run_until(3)
    assert model.log == [(1.0, "a"), (1.5, "a", "left")]


def test_removing_an_agent_while_it_says_goodbye_is_harmless(model):
    class Polite(abm.Agent):
        def life(self):
            try:
                yield self.wait(9)
            finally:
                self.remove()

    agent = Polite(model)
    model.env.call_at(1, lambda _: agent.remove())
    model.run_until(2)
    assert len(model.agents) == 0


def test_two_agents_cannot_share_a_key(model):
    Citizen(model, key=7)
    with pytest.raises(EngineError, match="key 7 is taken by Citizen 1"):
        Citizen(model, key=7)


def test_the_key_of_an_agent_that_left_is_free_again(model):
    Citizen(model, key=7).remove()
    assert Citizen(model, key=7).key == 7


def test_an_agent_is_found_by_its_key(model):
    made = [Citizen(model, key=7), Citizen(model, key="r 8"), Citizen(model)]
    assert [model.find(key) for key in ("7", "r 8", "Citizen 1")] == made
    with pytest.raises(EngineError, match="no agent has the key 'nobody'"):
        model.find("nobody")


def test_a_negative_or_undefined_wait_is_refused(model):
    agent = Citizen(model)
    for delay in (-1, float("nan")):
        with pytest.raises(EngineError, match="expected a duration >= 0"):
            agent.wait(delay)
