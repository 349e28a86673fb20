"""Mesa 3: one object per agent, written as Mesa's documentation would."""

from __future__ import annotations

import math

import mesa
import numpy as np
from graphs import barabasi_albert, watts_strogatz
from measure import main

EPS, MU = 0.2, 0.5


class Holder(mesa.Agent):
    def __init__(self, model, opinion):
        super().__init__(model)
        self.opinion = opinion

    def meet(self, other):
        gap = other.opinion - self.opinion
        if abs(gap) < EPS:
            self.opinion += MU * gap
            other.opinion -= MU * gap


class Plain(mesa.Model):
    def __init__(self, n, seed=1):
        super().__init__(seed=seed)
        self.n = n
        self.people = [Holder(self, self.random.random()) for _ in range(n)]


def deffuant_complete(n):
    model = Plain(n)
    people, draw = model.people, model.random

    def step(count):
        for _ in range(count):
            i, j = int(draw.random() * n), int(draw.random() * n)
            if i != j:
                people[i].meet(people[j])
        return count

    return step, "interactions", {"version": mesa.__version__}


def deffuant_ws(n):
    model = Plain(n)
    people, draw = model.people, model.random
    indptr, indices = watts_strogatz(n, 10, 0.1, 1)
    for k, person in enumerate(people):
        person.friends = indices[indptr[k] : indptr[k + 1]].tolist()

    def step(count):
        for _ in range(count):
            person = people[int(draw.random() * n)]
            if person.friends:
                person.meet(people[draw.choice(person.friends)])
        return count

    return step, "interactions", {"version": mesa.__version__}


def deffuant_cells(n):
    """Mesa's own network space: CellAgents on a discrete_space.Network."""
    import networkx as nx
    from mesa.discrete_space import CellAgent, Network

    class Sitter(CellAgent):
        meet = Holder.meet

    class Society(mesa.Model):
        def __init__(self):
            super().__init__(seed=1)
            graph = nx.watts_strogatz_graph(n, 10, 0.1, seed=1)
            try:
                self.space = Network(graph, random=self.random, layout=None)
            except TypeError:
                self.space = Network(graph, random=self.random)
            self.people = []
            for cell in self.space.all_cells.cells:
                person = Sitter(self)
                person.cell, person.opinion = cell, self.random.random()
                self.people.append(person)

    model = Society()
    people, draw = model.people, model.random

    def step(count):
        for _ in range(count):
            person = people[int(draw.random() * n)]
            others = list(person.cell.neighborhood.agents)
            if others:
                person.meet(draw.choice(others))
        return count

    return step, "interactions", {"version": mesa.__version__}


def voter(n):
    model = Plain(n)
    people, draw = model.people, model.random
    indptr, indices = watts_strogatz(n, 10, 0.1, 1)
    for k, person in enumerate(people):
        person.opinion = k % 2
        person.friends = indices[indptr[k] : indptr[k + 1]].tolist()

    def step(count):
        for _ in range(count):
            person = people[int(draw.random() * n)]
            if person.friends:
                person.opinion = people[draw.choice(person.friends)].opinion
        return count

    return step, "updates", {"version": mesa.__version__}


class Patient(mesa.Agent):
    def __init__(self, model):
        super().__init__(model)
        self.state = self.next = 0

    def look(self):
        if self.state == 0:
            people, draw = self.model.people, self.model.random
            for k in self.friends:
                if people[k].state == 1 and draw.random() < 0.05:
                    self.next = 1
                    break
        elif self.state == 1 and self.model.random.random() < 0.1:
            self.next = 2

    def move(self):
        self.state = self.next


def sir_discrete(n):
    class Ward(mesa.Model):
        def __init__(self):
            super().__init__(seed=1)
            indptr, indices = barabasi_albert(n, 3, 1)
            self.people = [Patient(self) for _ in range(n)]
            for k, person in enumerate(self.people):
                person.friends = indices[indptr[k] : indptr[k + 1]].tolist()
            self.start()

        def start(self):
            for person in self.people:
                person.state = person.next = 0
            for person in self.random.sample(self.people, max(1, n // 100)):
                person.state = person.next = 1

    model = Ward()

    def step(count):
        for _ in range(max(1, count // n)):
            if not any(person.state == 1 for person in model.people):
                model.start()
            model.agents.do("look")
            model.agents.do("move")
        return max(1, count // n) * n

    return step, "node-steps", {"version": mesa.__version__}


def schelling(n):
    """Mesa's shipped example; `n` is the width of its square grid."""
    from mesa.examples.basic.schelling.model import Schelling

    try:
        model = Schelling(height=n, width=n, density=0.8, homophily=0.5, seed=1)
    except Exception:  # the newest versions take a scenario object
        from mesa.examples.basic.schelling.model import SchellingScenario

        model = Schelling(SchellingScenario(height=n, width=n, density=0.8, homophily=0.5, rng=1))
    size = len(model.agents)

    def step(count):
        nonlocal model
        for _ in range(max(1, count // size)):
            model.running = True
            model.step()
        return max(1, count // size) * size

    return step, "agent-steps", {"version": mesa.__version__, "agents": size}


class Purse(mesa.Agent):
    def __init__(self, model):
        super().__init__(model)
        self.wealth = 1

    def give(self):
        if self.wealth > 0:
            other = self.model.people[int(self.model.random.random() * self.model.n)]
            other.wealth += 1
            self.wealth -= 1


def boltzmann(n):
    class Market(mesa.Model):
        def __init__(self):
            super().__init__(seed=1)
            self.n = n
            self.people = [Purse(self) for _ in range(n)]

    model = Market()
    facts = {"version": mesa.__version__}

    def step(count):
        for _ in range(max(1, count // n)):
            model.agents.shuffle_do("give")
        return max(1, count // n) * n

    return step, "agent-steps", facts


def timers(n):
    """`n` agents that reschedule themselves after exponential times, with Mesa's own scheduler."""
    model = mesa.Model(seed=1)
    draw = model.random
    fired = 0

    class Clock(mesa.Agent):
        def ring(self):
            nonlocal fired
            fired += 1
            later(self, -math.log(1.0 - draw.random()))

    if hasattr(model, "schedule_event"):

        def later(agent, delay):
            model.schedule_event(agent.ring, after=delay)

        def advance(until):
            model.run_until(until)
    else:
        from mesa.experimental.devs import DEVSimulator

        simulator = DEVSimulator()
        simulator.setup(model)

        def later(agent, delay):
            simulator.schedule_event_relative(agent.ring, delay)

        def advance(until):
            simulator.run_until(until)

    clocks = [Clock(model) for _ in range(n)]
    for clock in clocks:
        later(clock, -math.log(1.0 - draw.random()))
    now = 0.0

    def step(count):
        nonlocal now
        before = fired
        now += count / n
        advance(now)
        return max(1, fired - before)

    return step, "events", {"version": mesa.__version__}


def three_floats(n):
    """Nothing but `n` agents with three floats, for the memory they take."""

    class Three(mesa.Agent):
        def __init__(self, model):
            super().__init__(model)
            self.a, self.b, self.c = float(np.float64(1)), 2.5, 3.5

    import tracemalloc

    tracemalloc.start()
    model = mesa.Model(seed=1)
    held = [Three(model) for _ in range(n)]
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    facts = {"version": mesa.__version__, "bytes_per_agent": size / n, "held": len(held)}
    return (lambda count: count), "nothing", facts


if __name__ == "__main__":
    main(
        "Mesa",
        {
            "deffuant_complete": deffuant_complete,
            "deffuant_ws": deffuant_ws,
            "deffuant_cells": deffuant_cells,
            "voter": voter,
            "sir_discrete": sir_discrete,
            "schelling": schelling,
            "boltzmann": boltzmann,
            "timers": timers,
            "memory": three_floats,
        },
    )
