"""One society of a million rules and a thousand language-model agents, and how cost grows.

Everybody holds an opinion on one question and meets somebody along the ties of a small-world
network (10 neighbours) once a day on average. Rule agents compromise with those they meet (Deffuant
et al. 2000). Language-model agents are met as well, and stay as they are; once a day, at their own
hour, each of them is asked how much it agrees, sees what its friends think, and takes the answer as
its opinion. All of it runs on one clock. The seconds of each part are the processor's own, and
those of the wall beside them.

    python benchmarks/hybrid_million.py --out runs/hybrid
    python benchmarks/hybrid_million.py --agents 100000 --asked 100 --days 5 --out runs/small

The embedded model answers: synthetic answers, no evidence about people.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import abm
from abm.analysis.figures import save
from abm.analysis.figures.fidelity import cost_against_fidelity
from abm.analysis.figures.style import INSTRUMENT_CHECK
from abm.kernels import PairwiseCohort
from abm.llm import embedded
from abm.llm.embedded import language
from abm.networks import watts_strogatz

TOPIC = "nuclear power"
MEETINGS_PER_DAY = 1.0
BOUND, RATE = 0.3, 0.5


class Costs:
    """Processor and wall seconds by part."""

    def __init__(self) -> None:
        self.processor: dict[str, float] = {}
        self.wall: dict[str, float] = {}

    @contextmanager
    def count(self, part: str) -> Iterator[None]:
        """Add the time of a block to a part."""
        cpu, wall = time.process_time(), time.perf_counter()
        yield
        self.processor[part] = self.processor.get(part, 0.0) + time.process_time() - cpu
        self.wall[part] = self.wall.get(part, 0.0) + time.perf_counter() - wall


class Counted:
    """A policy, or a cohort, whose time is counted."""

    def __init__(self, inner: Any, costs: Costs, part: str, method: str) -> None:
        self._inner, self._costs, self._part, self._method = inner, costs, part, method

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name != self._method:
            return found

        def counted(*given: Any) -> Any:
            with self._costs.count(self._part):
                return found(*given)

        return counted


def compromise(own: float, other: float, p: tuple[float, float]) -> tuple[float, float]:
    """Deffuant et al. (2000), eq. 1."""
    gap = other - own
    return (own + p[1] * gap, other - p[1] * gap) if abs(gap) < p[0] else (own, other)


def perceive(me: Any) -> dict[str, Any]:
    """What a citizen knows: its age, its view, and what its friends think, in tenths."""
    return {
        "statement": language.statement_text(TOPIC),
        "persona": language.persona_text(age=me.age),
        "view": language.view_text(me.stance),
        "posts": "",
        "friends": language.friends_text(me.friends_share),
    }


QUESTION = language.agreement(7, id="opinion", version=1, draw="persistent", perceive=perceive)


class Asked(abm.RowAgent):
    """A citizen whom the language model speaks for."""

    @property
    def stance(self) -> int:
        """Own opinion as an answer, 1 to 7."""
        return int(min(7, max(1, round(1 + 6 * self.opinion))))

    def life(self) -> Iterator[Any]:
        """Once a day, at an hour of its own."""
        population, ties = self.population, self.model.ties
        yield self.wait(self.model.uniform("hour", self.key))
        while True:
            share = float((population.opinion[ties.neighbours(self.row)] > 0.5).mean())
            self.friends_share = round(share, 1)
            answer = yield self.decide(QUESTION, deliberation=0.02)
            self.opinion = (int(answer) - 1) / 6
            yield self.wait(0.98)


def build(n: int, n_asked: int, costs: Costs, seed: int) -> abm.Model:
    """The society: columns, ties, a cohort of rules, and handles for those who are asked."""
    with costs.count("loading the language model"):
        policies = {"llm": Counted(embedded.policy(), costs, "language model", "answer")}
    model = abm.Model(seed=seed, policies=policies)
    with costs.count("population and network"):
        rng = model.chance("people")
        model.ties = watts_strogatz(n, 10, 0.1, rng=model.chance("ties"))
        people = abm.Population(
            model,
            opinion=rng.random(n, dtype=np.float32),
            age=rng.integers(18, 90, n).astype(np.int8),
        )
        rows = rng.choice(n, n_asked, replace=False)
        rules = np.ones(n, dtype=bool)
        rules[rows] = False
    cohort = cohort_of(model, people, rules if n_asked else None)
    people.attach(Counted(cohort, costs, "rules", "advance"))
    model.people = people
    people.agents(rows, Asked)
    return model


def cohort_of(model: abm.Model, people: Any, members: Any) -> PairwiseCohort:
    """The rule agents, as one participant of the clock."""
    return PairwiseCohort(
        compromise, people.opinion, rate=MEETINGS_PER_DAY, network=model.ties, params=(BOUND, RATE),
        members=members, bounds=(0.0, 1.0), rng=model.chance("encounters"), compiled=True,
    )  # fmt: skip


def hybrid(n: int, n_asked: int, days: float, seed: int) -> dict[str, Any]:
    """Run the society and tell what each part cost."""
    costs = Costs()
    with costs.count("all"):
        model = build(n, n_asked, costs, seed)
        model.run_until(days)
        model.people.catch_up()
    parts = {name: value for name, value in costs.wall.items() if name != "all"}
    rest = costs.wall["all"] - sum(parts.values())
    opinion = model.people.opinion
    return {
        "agents": n,
        "asked agents": n_asked,
        "days": days,
        "decisions": model.decisions.asked,
        "requests that differ": model.decisions.distinct,
        "mean opinion": round(float(opinion.mean()), 6),
        "wall seconds": parts | {"clock and handles": rest, "all": costs.wall["all"]},
        "processor seconds": costs.processor,
        "memory, MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def growth(sizes: Sequence[int], days: float, seed: int) -> pl.DataFrame:
    """Processor seconds of the rule agents, and of building them, by number of agents."""
    rows = []
    warm_up(seed)
    for n in sizes:
        costs = Costs()
        model = abm.Model(seed=seed)
        with costs.count("population and network"):
            model.ties = watts_strogatz(n, 10, 0.1, rng=model.chance("ties"))
            x = model.chance("people").random(n, dtype=np.float32)
            people = abm.Population(model, opinion=x)
        people.attach(cohort_of(model, people, None))
        with costs.count("rules"):
            model.run_until(days)
            people.catch_up()
        rows += [
            {"part": part, "agents": n, "seconds": seconds}
            for part, seconds in costs.processor.items()
        ]
    return pl.DataFrame(rows)


def warm_up(seed: int) -> None:
    """Compile what is measured."""
    model = abm.Model(seed=seed)
    model.ties = watts_strogatz(100, 10, 0.1, rng=model.chance("ties"))
    people = abm.Population(model, opinion=model.chance("people").random(100, dtype=np.float32))
    people.attach(cohort_of(model, people, None))
    model.run_until(1)
    people.catch_up()


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--agents", type=int, default=1_000_000)
    parser.add_argument("--asked", type=int, default=1000)
    parser.add_argument("--days", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--largest", type=int, default=10_000_000, help="of the growth")
    parser.add_argument("--no-growth", action="store_true")
    parser.add_argument("--out", type=Path, required=True, help="folder for the figure and numbers")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    facts: dict[str, Any] = {"python": platform.python_version(), "machine": platform.machine()}
    if given.asked:
        facts["hybrid"] = hybrid(given.agents, given.asked, given.days, given.seed)
        print(json.dumps(facts["hybrid"], indent=2))
        (given.out / "hybrid.json").write_text(json.dumps(facts, indent=2))
    if given.no_growth:
        return
    sizes = [10**k for k in range(3, 8) if 10**k <= given.largest]
    table = growth(sizes, given.days, given.seed)
    print(table)
    figure = cost_against_fidelity(
        table, x="agents", y="seconds", series="part", low=None, high=None, xlabel="rule agents",
        ylabel=f"processor seconds, {given.days:g} days",
    )  # fmt: skip
    save(figure, given.out, "growth", table, facts, label=INSTRUMENT_CHECK if given.asked else "")


if __name__ == "__main__":
    main()
