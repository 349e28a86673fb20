"""One clock: a total order of events, absolute times, runs that end where they say."""

from __future__ import annotations

import mesa
import pytest
import simpy

import abm
from abm.engine import Environment, Priority
from abm.engine.environment import DECISION, HIGH, INTERVENTION, LOW, NORMAL, OBSERVATION
from abm.errors import EngineError
from abm.questions import Answer, Question

YES = Question("yes", 1, "?", ("yes", "no"), perceive=lambda me: {})


class Yes:
    fingerprint, recorded = "yes", False

    def answer(self, requests):
        return [Answer(scores=(0.0, float("-inf"))) for _ in requests]


class Order(abm.Model):
    """Schedules one thing of every kind for time 1, in the wrong order."""

    def __init__(self):
        super().__init__(seed=1, policies={"yes": Yes()})
        self.seen = []
        self.observe(lambda: self.seen.append("observation"))
        Decider(self)
        self.mark = 0
        self.schedule_event(self.low_event, at=1.0, priority=Priority.LOW)
        self.schedule_event(self.default_event, at=1.0)
        self.process(self.waiting())
        self.schedule_event(self.high_event, at=1.0, priority=Priority.HIGH)
        self.schedule_interventions([abm.Intervention(at=1.0, change={"mark": 1}, label="x")])

    def apply_intervention(self, intervention):
        self.seen.append("intervention")

    def low_event(self):
        self.seen.append("low")

    def high_event(self):
        self.seen.append("high")

    def default_event(self):
        self.seen.append("default")

    def waiting(self):
        yield self.timeout(1)
        self.seen.append("timeout")
        self.process(self.child())

    def child(self):
        self.seen.append("process start")
        yield self.timeout(0)

    def step(self):
        self.seen.append("step")


class Decider(abm.Agent):
    def life(self):
        yield self.model.at(1.0)
        yield self.decide(YES)
        self.model.seen.append("decision")


def test_an_instant_has_the_documented_order():
    model = Order()
    model.run_until(1)
    assert model.seen[0] == "observation"  # of time 0
    assert model.seen[1:] == [
        "intervention",
        "step",
        "high",
        "default",
        "timeout",
        "process start",
        "low",
        "decision",
        "observation",
    ]


def test_the_priorities_are_in_the_documented_order():
    order = [INTERVENTION, 0.0, HIGH, NORMAL, LOW, DECISION, OBSERVATION]
    assert order == sorted(order)
    assert (HIGH, NORMAL, LOW, DECISION, OBSERVATION) == (0.5, 1, 2, 100, 200)


def test_events_of_equal_time_and_priority_keep_their_insertion():
    env = Environment()
    seen = []
    for number in range(50):
        env.call_at(2.0, lambda _, n=number: seen.append(n))
    env.run()
    assert seen == list(range(50))


def test_an_absolute_time_is_met_exactly():
    # 0.1 + (u - 0.1) misses u by one unit in the last place for many decimals u.
    targets = [round(0.2 + 0.01 * i, 2) for i in range(100)]
    missed = [u for u in targets if 0.1 + (u - 0.1) != u]
    assert missed
    env = Environment()
    met = []

    def walk(target):
        yield env.timeout(0.1)
        yield env.at(target)
        met.append(env.now)

    for target in targets:
        env.process(walk(target))
    env.run()
    assert met == targets


def test_a_run_includes_its_end_and_simpys_own_run_does_not():
    model = abm.Model(seed=1)
    seen = []
    for time in (1.0, 2.0):
        model.env.call_at(time, lambda _: seen.append(model.now))
    model.env.run(until=1)
    assert (seen, model.now) == ([], 1.0)
    model.run_until(1)
    assert (seen, model.now) == ([1.0], 1.0)
    model.run_for(1)
    assert (seen, model.now) == ([1.0, 2.0], 2.0)
    model.step()
    assert (model.now, model.steps) == (3.0, 1)


def test_the_past_is_refused():
    model = abm.Model(seed=1)
    model.run_until(5)
    for attempt in (
        lambda: model.run_until(4),
        lambda: model.at(4.9),
        lambda: model.at(float("nan")),
        lambda: model.timeout(-1),
        lambda: model.timeout(float("nan")),
        lambda: model.env.run(until=5),
    ):
        with pytest.raises(EngineError, match=r"clock stands at 5|expected a duration"):
            attempt()


@pytest.mark.parametrize("call", ["step", "run_until", "run_for", "env.run", "env.step"])
def test_a_run_inside_an_event_is_refused(call):
    class Nested(abm.Model):
        def step(self):
            {
                "step": lambda: type(self).__mro__ and self.__dict__["step"](),
                "run_until": lambda: self.run_until(9),
                "run_for": lambda: self.run_for(1),
                "env.run": lambda: self.env.run(9),
                "env.step": lambda: self.env.step(),
            }[call]()

    model = Nested(seed=1)
    with pytest.raises(EngineError, match="from inside an event at time 1"):
        model.step()
    assert model.now == 1.0


def test_a_run_after_a_failed_run_starts_clean():
    env = Environment()

    def failing():
        yield env.timeout(3)
        raise ValueError("boom")

    def ticking():
        while True:
            yield env.timeout(1)

    env.process(ticking())
    env.process(failing())
    with pytest.raises(ValueError, match="boom"):
        env.run(until=10)
    assert (env.now, env.active_process, env.running) == (3, None, False)
    env.run(until=20)  # a stop event left behind would end this run at 10
    assert env.now == 20


def test_a_run_until_an_event_leaves_nothing_behind_when_it_fails():
    env = Environment()
    goal = env.timeout(5, "goal")

    def failing():
        yield env.timeout(3)
        raise ValueError("boom")

    env.process(failing())
    with pytest.raises(ValueError, match="boom"):
        env.run(until=goal)
    assert env.run(until=8) is None
    assert env.now == 8
    assert env.run(until=goal) == "goal"


def test_running_until_an_event_that_never_happens_is_an_error():
    env = Environment()
    env.timeout(1)
    with pytest.raises(EngineError, match="nothing is left to happen at time 1"):
        env.run(until=env.event())


def test_what_simpy_offers_works():
    model = abm.Model(seed=1)
    env, seen = model.env, []
    desk = simpy.PriorityResource(env, capacity=1)
    box = simpy.Store(env)

    def customer(name, priority):
        with desk.request(priority=priority) as turn:
            result = yield turn | env.timeout(2.5)
            if turn in result:
                yield env.timeout(2)
                yield box.put(name)
            else:
                seen.append((env.now, name, "gave up"))

    def clerk():
        while True:
            name = yield box.get()
            seen.append((env.now, name))

    for name, priority in (("a", 1), ("b", 1), ("c", 0)):
        model.process(customer(name, priority))
    both = env.all_of([env.timeout(1, "x"), env.timeout(2, "y")])
    model.process(clerk())
    assert list(env.run(until=both).values()) == ["x", "y"]
    model.run_until(20)
    assert seen == [(2.0, "a"), (2.5, "b", "gave up"), (4.0, "c")]


def test_a_model_without_steps_comes_to_rest():
    model = abm.Model(seed=1)
    model.timeout(2.5)
    model.env.run()  # a step chain would never end
    assert model.now == 2.5


def test_a_model_with_steps_takes_them_while_it_runs():
    class Steps(abm.Model):
        def step(self):
            times.append(self.now)

    times = []
    model = Steps(seed=1)
    model.run_until(2.5)
    model.step()
    assert (times, model.now, model.steps) == ([1.0, 2.0, 3.0], 3.5, 3)


def test_scheduled_events_of_mesa_can_be_cancelled():
    model = abm.Model(seed=1)
    seen = []

    def ring():
        seen.append(model.now)

    first = model.schedule_event(ring, at=1)
    model.schedule_event(ring, after=2)
    first.cancel()
    model.run_for(5)
    assert seen == [2.0]


@pytest.mark.skipif(not hasattr(mesa.Model, "schedule_recurring"), reason="needs Mesa 3.5")
def test_recurring_events_of_mesa_are_simpy_events():
    from mesa.time import Schedule

    model = abm.Model(rng=1)
    seen = []

    def ring():
        seen.append(model.now)

    def clock():
        yield model.timeout(1.25)
        seen.append("simpy")

    model.schedule_recurring(ring, Schedule(interval=0.5, start=0.5, count=3))
    model.process(clock())
    assert len(model._event_list) == 1
    assert model._event_list.peek_ahead(1)[0].time == 0.5
    model.run_until(5)
    assert seen == [0.5, 1.0, "simpy", 1.5]
    assert model.time == model.now == 5.0


def test_a_mesa_model_may_keep_a_time_of_its_own_where_mesa_has_none():
    if hasattr(mesa.Model(), "time"):
        assert abm.Model(seed=1).time == 0.0
        return

    class Years(abm.Model):
        def __init__(self):
            super().__init__(seed=1)
            self.time = 1990

        def step(self):
            self.time += 5

    model = Years()
    model.run_until(3)
    assert (model.time, model.now) == (2005, 3.0)


def test_agents_in_spaces_live_and_leave():
    from mesa.discrete_space import CellAgent, OrthogonalMooreGrid

    class Walker(abm.Agent, CellAgent):
        def __init__(self, model, cell):
            super().__init__(model)
            self.cell = cell

        def life(self):
            while True:
                yield self.wait(1)
                self.cell = self.cell.neighborhood.select_random_cell()

    model = abm.Model(seed=1)
    grid = OrthogonalMooreGrid((4, 4), torus=True, random=model.random)
    walkers = [Walker(model, cell) for cell in list(grid.all_cells)[:3]]
    model.run_until(5)
    assert sum(len(cell.agents) for cell in grid.all_cells) == 3
    walkers[0].remove()
    model.run_until(6)
    assert sum(len(cell.agents) for cell in grid.all_cells) == 2
