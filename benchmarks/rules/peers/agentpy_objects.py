"""agentpy: one object per agent."""

from __future__ import annotations

import agentpy as ap
from measure import main

EPS, MU = 0.2, 0.5


class Holder(ap.Agent):
    def setup(self):
        self.opinion = self.model.random.random()

    def meet(self, other):
        gap = other.opinion - self.opinion
        if abs(gap) < EPS:
            self.opinion += MU * gap
            other.opinion -= MU * gap


class Society(ap.Model):
    def setup(self):
        self.people = ap.AgentList(self, self.p.n, Holder)


def deffuant_complete(n):
    model = Society({"n": n, "seed": 1})
    model.sim_setup(steps=1, seed=1)
    people, draw = list(model.people), model.random

    def step(count):
        for _ in range(count):
            i, j = int(draw.random() * n), int(draw.random() * n)
            if i != j:
                people[i].meet(people[j])
        return count

    return step, "interactions", {"version": ap.__version__}


if __name__ == "__main__":
    main("agentpy", {"deffuant_complete": deffuant_complete})
