"""An exception in an agent's process surfaces as itself, with agent id and time."""

from __future__ import annotations

import pickle

import pytest
import simpy

import abm
from abm.errors import AgentError, DecisionFailed, EngineError
from abm.questions import Answer, Question, Status


def nothing(me):
    return {}


ANY = Question("any", 1, "?", ("a", "b"), perceive=nothing)


class TwoArguments(Exception):
    """SimPy re-raises as `type(e)(*e.args)`, which fails for this class and hides the cause."""

    def __init__(self, code, reason):
        super().__init__(f"{code}: {reason}")
        self.code, self.reason = code, reason


class Faulty(abm.Agent):
    def __init__(self, model, error, key=None):
        super().__init__(model, key=key)
        self.error = error

    def life(self):
        yield self.wait(2.5)
        raise self.error


@pytest.mark.parametrize(
    "error", [ZeroDivisionError("division"), TwoArguments(7, "why"), KeyError("x"), OSError(2, "y")]
)
def test_the_very_object_that_was_raised_reaches_the_caller(error):
    model = abm.Model(seed=1)
    Faulty(model, ValueError("later"), key="other").remove()
    agent = Faulty(model, error, key="respondent 7")
    with pytest.raises(type(error)) as caught:
        model.run_until(10)
    assert caught.value is error
    assert (error.agent_id, error.agent_key, error.time) == (agent.unique_id, "respondent 7", 2.5)
    assert error.__notes__ == ["in Faulty 2 (key 'respondent 7') at time 2.5"]
    assert model.now == 2.5


def test_an_error_passes_through_processes_that_wait_for_the_failed_one():
    model = abm.Model(seed=1)

    class Parent(abm.Agent):
        def life(self):
            child = self.bear(Faulty, TwoArguments(1, "deep"))
            try:
                yield child._life
            except TwoArguments as error:
                seen.append((error.code, error.agent_id, child.unique_id))
                raise

    seen = []
    Parent(model)
    with pytest.raises(TwoArguments) as caught:
        model.run_until(10)
    assert seen == [(1, 2, 2)]  # the innermost process is to blame
    assert caught.value.agent_id == 2


def test_an_error_in_a_plain_step_names_the_agent_too():
    class Stepper(abm.Agent):
        def step(self):
            if self.unique_id == 2:
                raise TwoArguments(3, "in step")

    class Steps(abm.Model):
        def step(self):
            self.agents.shuffle_do("step")

    model = Steps(seed=1)
    for _ in range(3):
        Stepper(model)
    model.run_until(0.5)
    with pytest.raises(TwoArguments) as caught:
        model.step()
    assert (caught.value.agent_id, caught.value.time) == (2, 1.0)


def test_a_failed_decision_names_agent_and_time_and_survives_pickling():
    class Silent:
        fingerprint, recorded = "silent", False

        def answer(self, requests):
            return [Answer.failed(Status.OUT_OF_LANGUAGE, "never heard of it") for _ in requests]

    class Citizen(abm.Agent):
        def life(self):
            yield self.wait(1)
            yield self.decide(ANY, deliberation=0.5)

    model = abm.Model(seed=1, policies={"silent": Silent()})
    Citizen(model, key="c1")
    with pytest.raises(DecisionFailed, match="never heard of it") as caught:
        model.run_until(3)
    error = pickle.loads(pickle.dumps(caught.value))
    assert (error.agent_id, error.agent_key, error.time) == (1, "c1", 1.5)
    assert error.status is Status.OUT_OF_LANGUAGE
    assert error.__notes__ == ["in Citizen 1 (key 'c1') at time 1.5"]


def test_what_is_no_event_is_refused_with_the_agent():
    class Wrong(abm.Agent):
        def life(self):
            yield 5

    model = abm.Model(seed=1)
    Wrong(model)
    with pytest.raises(EngineError, match="life yielded 5, expected an event") as caught:
        model.run_until(1)
    assert caught.value.agent_id == 1


def test_an_unhandled_interrupt_names_the_interrupted_agent():
    class Sleeper(abm.Agent):
        def life(self):
            yield self.wait(100)

    model = abm.Model(seed=1)
    sleeper = Sleeper(model)
    model.env.call_at(3, lambda _: sleeper._life.interrupt("wake up"))
    with pytest.raises(simpy.Interrupt, match="wake up") as caught:
        model.run_until(5)
    assert (caught.value.agent_id, caught.value.time) == (1, 3.0)


def test_a_decision_that_nobody_awaits_stops_the_run_and_names_the_agent():
    class Careless(abm.Agent):
        def step(self):
            self.choice = self.decide(ANY)

    class Steps(abm.Model):
        def step(self):
            self.agents.do("step")

    class First:
        fingerprint, recorded = "first", False

        def answer(self, requests):
            return [Answer(scores=(0.0, -9.0)) for _ in requests]

    model = Steps(seed=1, policies={"first": First()})
    Careless(model, key="c9")
    with pytest.raises(AgentError, match=r"c9.*'any' at time 1 and nothing waits") as caught:
        model.step()
    assert (caught.value.agent_id, caught.value.time) == (1, 1.0)


def test_a_generator_step_is_refused_when_the_class_is_created():
    with pytest.raises(EngineError, match=r"Lazy.step contains `yield`.*Call it `life`"):

        class Lazy(abm.Agent):
            def step(self):
                yield self.wait(1)

    with pytest.raises(EngineError, match=r"Idle\.life must be a generator"):

        class Idle(abm.Agent):
            def life(self):
                self.x = 1

    with pytest.raises(EngineError, match=r"Sleepy.step contains `yield`"):

        class Sleepy(abm.Model):
            def step(self):
                yield self.timeout(1)


def test_a_generator_step_of_a_plain_mesa_agent_is_refused_when_it_is_registered():
    import mesa

    class Plain(mesa.Agent):
        def step(self):
            yield

    with pytest.raises(EngineError, match=r"Plain.step contains `yield`"):
        Plain(abm.Model(seed=1))
