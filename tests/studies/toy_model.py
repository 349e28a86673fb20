"""A town that votes: the smallest model with everything that a study needs, for tests.

Each citizen is asked daily whether to ban cars, having read how many neighbours said yes, and every
third day writes a post. `tone` changes what rule and prompt say; `fail_at` makes the run fail.
"""

from __future__ import annotations

import os
import time
from hashlib import sha256
from typing import ClassVar

import numpy as np
import polars as pl

import abm
from abm import Question, RulePolicy, Scenario, Seeds, TextConstraint, parameter
from abm.llm.backend import Generation, Scored
from abm.policies.answering import FailureHandling
from abm.questions import Status


class Town(Scenario):
    duration: float = parameter(5.0, gt=0, unit="day", doc="length of a run")
    n_citizens: int = parameter(6, ge=2, doc="citizens of the town")
    bound: float = parameter(0.3, ge=0, le=1, doc="opinions live in [0, 1]")
    tone: str = parameter("calm", doc="what the town's paper sounds like")
    fail_at: float | None = parameter(None, doc="time at which the model breaks, for tests")


def _see(view):
    return {
        "age": view.age,
        "tone": view.tone,
        "share": round(view.share, 1),
    }


def _see_post(view):
    return {"age": view.age, "tone": view.tone}


BAN = Question(
    "ban",
    1,
    "The paper is {tone}.\n---\nYou are {age}. {share} of your neighbours say yes.\nBan cars?",
    ("yes", "no"),
    draw="fresh",
    perceive=_see,
)
POST = Question(
    "post",
    1,
    "The paper is {tone}.\n---\nYou are {age}. Write a post.",
    text=TextConstraint(max_tokens=12),
    perceive=_see_post,
)


def _vote(fields, options):
    yes = 0.2 + 0.5 * fields["share"] + 0.2 * (fields["age"] < 40)
    yes = np.where(fields["tone"] == "shrill", yes / 2, yes)
    return np.column_stack([yes, 1 - yes])


def _write(fields):
    return [
        f"I am {age} and {seed % 97}"
        for age, seed in zip(fields["age"], fields["_seed"], strict=True)
    ]


VOTER = RulePolicy(_vote, "vote", returns="probabilities")
WRITER = RulePolicy(_write, "write", returns="texts")


class Citizen(abm.Agent):
    def __init__(self, model, key, age):
        self.age, self.share, self.said, self.tone, self.post = age, 0.0, 0, model.scenario.tone, ""
        super().__init__(model, key=key)

    def life(self):
        for day in range(10_000):
            yield self.wait(1.0 if day else 0.5)
            self.tone = self.model.scenario.tone
            self.share = self.model.yes_share()
            if self.model.scenario.fail_at == self.model.now:
                raise ZeroDivisionError("the town burns")
            choice = yield self.decide(BAN)
            self.said = int(choice == "yes")
            if day % 3 == 0:
                post = yield self.decide(POST)
                self.post = post if isinstance(post, str) else f"skipped: {post.status}"


class TownModel(abm.Model):
    Scenario = Town
    questions = (BAN, POST)
    roles: ClassVar = {"citizen": VOTER, "writer": WRITER}

    def __init__(self, scenario, *, seeds: Seeds, policies=None, failures=None, transforms=None):
        policies = {**self.roles, **(policies or {})}
        super().__init__(
            seed=seeds.chance,
            policies=policies,
            assignment=_ByQuestion(),
            failures=failures,
            transforms=transforms,
        )
        self.scenario = scenario
        ages = abm.chance(seeds.population, "ages").integers(18, 80, scenario.n_citizens)
        self.citizens = [Citizen(self, key, int(age)) for key, age in enumerate(ages)]
        self._rows = []
        self.observe(self._note, every=1.0)

    def yes_share(self):
        return float(np.mean([c.said for c in self.citizens]))

    def _note(self):
        letters = sum(len(c.post) for c in self.citizens)
        self._rows.append({"time": self.now, "yes": self.yes_share(), "letters": letters})

    def outcomes(self):
        return {"yes": self.yes_share(), "nothing": float("nan")}

    def series(self):
        return pl.DataFrame(self._rows)

    def agents_frame(self):
        return pl.DataFrame(
            {
                "key": [c.key for c in self.citizens],
                "age": [c.age for c in self.citizens],
                "said": [c.said for c in self.citizens],
                "post": [c.post for c in self.citizens],
            }
        )


class _ByQuestion:
    def policy_for(self, agent_key, request, time, *, agent=None):
        return "citizen" if request.question.id == "ban" else "writer"


def fair(text, options):
    """Probabilities of a scripted language model that knows nothing."""
    del text
    return [1 / len(options)] * len(options)


class Parrot:
    """A language model for tests: answers from a hash of the prompt, and counts what it is asked.

    Each computed answer is a line in the file `log`, so that several processes can be counted.
    """

    def __init__(self, name="parrot", log=None, delay=0.0):
        self.fingerprint, self.log, self.delay = f"{name}:1", log, delay

    def score(self, prompts, options):
        return [self._scored(prompt, menu) for prompt, menu in zip(prompts, options, strict=True)]

    def generate(self, prompts, constraints, seeds):
        return [self._text(p, seed) for p, _, seed in zip(prompts, constraints, seeds, strict=True)]

    def embed(self, texts):
        return np.ones((len(texts), 1), dtype=np.float32)

    def as_sent(self, prompt):
        return f"<s>{prompt.text}", tuple(range(len(prompt.text.split())))

    def _scored(self, prompt, menu):
        digest = self._asked(prompt.text)
        scores = tuple(-digest[i] / 64 for i in range(len(menu)))
        return Scored(scores, coverage=0.9, tokens_in=len(prompt.text.split()), tokens_out=2)

    def _text(self, prompt, seed):
        digest = self._asked(f"{prompt.text}{seed}")
        return Generation(f"word {digest[0]}", tokens_in=len(prompt.text.split()), tokens_out=2)

    def _asked(self, text):
        if self.delay:
            time.sleep(self.delay)
        digest = sha256(text.encode()).digest()
        if self.log is not None:
            with open(self.log, "a", encoding="utf-8") as log:
                log.write(digest.hex() + "\n")
        return digest


class OffMenu(Parrot):
    """A language model that gives the menu almost no probability."""

    def __init__(self):
        super().__init__("off-menu")

    def _scored(self, prompt, menu):
        return Scored((-9.0,) * len(menu), coverage=0.001, tokens_in=3, tokens_out=2)


class MortalTown(TownModel):
    """A town whose process dies in the middle of a run."""

    def __init__(self, scenario, **given):
        super().__init__(scenario, **given)
        if scenario.tone == "deadly":
            os._exit(7)


class Bare(abm.Model):
    """A model that no study can run: it names no scenario."""


class Moody(Parrot):
    """A language model whose server fails for some prompts."""

    def __init__(self):
        super().__init__("moody")

    def _scored(self, prompt, menu):
        if sha256(prompt.text.encode()).digest()[0] % 2:
            return Scored(None, status=Status.BACKEND_ERROR, detail="moody")
        return super()._scored(prompt, menu)


SKIP = FailureHandling("skip")
