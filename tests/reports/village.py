"""A village that votes on a tax: small enough to know by hand what a report must say.

The language model says yes with 0.7 - tax; asked "Is that right?" it moves exactly 0.1 from yes to
no; it moves 0.05 to whatever is listed first. The rule says 0.4, 0.4, 0.2 whatever the tax. Whoever
earns more than 60 is off the menu, and the rule stands in.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import polars as pl

import abm
from abm import Question, RulePolicy, Scenario, Seeds, parameter
from abm.llm.backend import Scored
from abm.networks import Network
from abm.population import Population
from abm.questions import Kind

OPTIONS = ("yes", "no", "unsure")


class Land(Scenario):
    duration: float = parameter(3.0, gt=0, unit="days", doc="length of a run")
    n_villagers: int = parameter(12, ge=2, doc="villagers", source="assumption")
    tax: float = parameter(0.2, ge=0, le=0.5, doc="share of income")
    step: float = parameter(10.0, gt=0, doc="granularity at which incomes are told")
    breaks: bool = parameter(False, doc="whether the run fails")


def look(view):
    """What a villager knows: the tax, and its income coarsely."""
    return {"tax": view.tax, "income": view.told, "listed": OPTIONS}


VOTE = Question(
    "vote",
    1,
    "The tax is {tax}.\n---\nYou earn {income}.\n{listed}\nAgree?",
    OPTIONS,
    perceive=look,
    paraphrases=["Tax: {tax}.\n---\nYour income: {income}.\n{listed}\nIs that right?"],
)


def score(text, options):
    """The language model of the village."""
    tax = float(text.split("ax is " if "ax is" in text else "ax: ")[1].split(".\n")[0])
    income = float(text.split("earn " if "earn" in text else "income: ")[1].split(".\n")[0])
    if income > 60:
        return [0.001, 0.001, 0.001]
    p = dict(zip(OPTIONS, (0.7 - tax, 0.2 + tax, 0.1), strict=True))
    if "Is that right?" in text:
        p["yes"] -= 0.1
        p["no"] += 0.1
    first = next(line for line in text.split("\n") if line in OPTIONS)
    if first != "yes":
        p["yes"] -= 0.05
        p[first] += 0.05
    return [p[option] for option in options]


def drawn(text, options):
    """A server that gives no probabilities: its shares come from 20 draws."""
    logs = tuple(float(np.log(p)) for p in (0.5, 0.25, 0.25))
    return Scored(logs, 1.0, 5, 1, detail="20 draws", kind=Kind.SAMPLED)


def rule(fields, options):
    return np.tile([0.4, 0.4, 0.2], (fields.n, 1))


class Villager(abm.Agent):
    """Somebody who votes every day."""

    def __init__(self, model, key, income):
        step = model.scenario.step
        self.income, self.told, self.vote = income, float(round(income / step) * step), ""
        self.tax, self.opinion = model.scenario.tax, 0.5
        super().__init__(model, key=key)

    def life(self):
        while True:
            yield self.wait(1.0)
            if self.model.scenario.breaks:
                raise ZeroDivisionError("the village burns")
            self.vote = yield self.decide(VOTE)
            self.opinion = {"yes": 1.0, "no": 0.0}.get(self.vote, 0.5)


class VillageModel(abm.Model):
    """Does a higher tax lose votes?"""

    Scenario = Land
    kind = Villager
    questions = (VOTE,)
    roles: ClassVar = {"villager": RulePolicy(rule, "even", returns="probabilities")}

    def __init__(self, scenario, *, seeds: Seeds, policies=None, failures=None):
        given = {**self.roles, **(policies or {})}
        super().__init__(
            seed=seeds.chance, policies=given, assignment="villager", failures=failures
        )
        self.scenario = scenario
        incomes = abm.chance(seeds.population, "incomes").integers(10, 90, scenario.n_villagers)
        self.villagers = [self.kind(self, key, int(i)) for key, i in enumerate(incomes)]
        n = scenario.n_villagers
        self.network = Network.from_edges([(i, (i + 1) % n) for i in range(n)])
        self.rows = []
        self.observe(self.note, every=1.0)

    def share(self, option):
        return float(np.mean([v.vote == option for v in self.villagers]))

    def note(self):
        self.rows.append({"time": self.now, "yes": self.share("yes"), "no": self.share("no")})

    def series(self):
        return pl.DataFrame(self.rows)

    def outcomes(self):
        shares = {f"vote.{option}": self.share(option) for option in OPTIONS}
        return {**shares, "income": float(np.mean([v.income for v in self.villagers]))}


class Faithful(VillageModel):
    """A village that measures its fidelity, but not its diversity."""

    def outcomes(self):
        return {**super().outcomes(), "rmse": abs(self.share("yes") - 0.5)}


class Sleeper(abm.Agent):
    """Somebody who was meant to act."""

    def step(self):
        raise AssertionError("nobody wakes the sleeper")


class Sleepy(VillageModel):
    """A village with a class of agents that never acts."""

    def __init__(self, scenario, *, seeds, policies=None, failures=None):
        super().__init__(scenario, seeds=seeds, policies=policies, failures=failures)
        Sleeper(self, key="sleeper")


class Divided(VillageModel):
    """A village of two banks: the tax moves opinions in the south by its size, in the north not."""

    def agents_frame(self):
        n = self.scenario.n_villagers
        south = np.arange(n) % 2 == 1
        luck = self.chance("luck").normal(0.5, 0.01, n)
        return pl.DataFrame(
            {
                "key": [str(i) for i in range(n)],
                "bank": np.where(south, "south", "north"),
                "mood": np.where(luck + self.scenario.tax > 0.75, "angry", "calm"),
                "opinion": luck + self.scenario.tax * south,
            }
        )


POST = Question(
    "post", 1, "The tax is {tax}. Day {day}. Say something.", text=abm.TextConstraint(20)
)


def says(text, constraint, seed):
    """What the language model of the village writes: the same words, one more each day."""
    day = int(text.split("Day ")[1].split(".")[0])
    return "the tax is too high " + "really " * day


class Talker(Villager):
    """Somebody who votes every day and then says something."""

    def life(self):
        while True:
            yield self.wait(1.0)
            self.vote = yield self.decide(VOTE)
            day = {"tax": self.tax, "day": int(self.model.now)}
            yield self.decide(POST, fields=day)


class Talking(VillageModel):
    """A village whose people vote and talk."""

    questions = (VOTE, POST)
    kind = Talker


class Supported(VillageModel):
    """A village of two banks whose support for a tax is kept, less the tax in the south."""

    def agents_frame(self):
        n = self.scenario.n_villagers
        south = np.arange(n) % 2 == 1
        yes = np.array([v.vote == "yes" for v in self.villagers], dtype=float)
        bank = np.where(south, "south", "north")
        support = yes - self.scenario.tax * south
        return pl.DataFrame({"key": [str(i) for i in range(n)], "bank": bank, "support": support})


class Columnar(VillageModel):
    """A village that is asked in columns."""

    def __init__(self, scenario, *, seeds, policies=None, failures=None):
        super().__init__(scenario, seeds=seeds, policies=policies, failures=failures)
        n = scenario.n_villagers
        told = np.array([v.told for v in self.villagers])
        self.people = Population(self, keys=np.arange(1000, 1000 + n), told=told)
        self.chosen = []
        self.observe(self.ask_all, every=1.0)

    def ask_all(self):
        if self.now < 1:
            return
        tax = np.full(self.people.n, self.scenario.tax)
        listed = [OPTIONS] * self.people.n
        fields = {"tax": tax, "income": self.people.told, "listed": listed}
        self.chosen.append(self.people.ask(VOTE, fields=fields))
