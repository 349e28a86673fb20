"""One society of a million rules and a thousand language-model agents, and how cost grows.

Everybody holds an opinion on one question. Rule agents meet somebody along the ties of a
small-world network (10 neighbours) once a day on average, and compromise with those they meet
(Deffuant et al. 2000). Language-model agents are met as well, and stay as they are; once a day, at
their own hour, each of them is asked how much it agrees, sees what its friends think, and takes the
answer as its opinion. All of it runs on one clock.

Each size is a process of its own, so that its memory is its own. What is compiled is compiled
before the clock of the costs starts; loading the language model is a part of the costs. Processor
seconds are summed over threads; wall seconds are what a user waits.

    python benchmarks/hybrid_million.py --out runs/hybrid
    python benchmarks/hybrid_million.py --sizes 1000 10000 --asked 50 --days 3 --out runs/small
    python benchmarks/hybrid_million.py --out runs/hybrid --write docs/scale.md

The last form replaces the table on that page and the figure beside it. The embedded model answers:
synthetic answers, no evidence about people.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from pages import replace_between

import abm
from abm.kernels import PairwiseCohort
from abm.networks import watts_strogatz

TOPIC = "nuclear power"
MEETINGS_PER_DAY = 1.0
BOUND, RATE = 0.3, 0.5
SIZES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
LOADING, BUILDING, RULES, MODEL, REST = PARTS = (
    "loading the language model",
    "population and network",
    "rules",
    "language model",
    "clock and handles",
)


class Costs:
    """Processor and wall seconds by part. Parts are not nested."""

    def __init__(self) -> None:
        self.processor = dict.fromkeys(PARTS, 0.0)
        self.wall = dict.fromkeys(PARTS, 0.0)

    @contextmanager
    def count(self, part: str) -> Iterator[None]:
        """Add the time of a block to a part."""
        cpu, wall = time.process_time(), time.perf_counter()
        try:
            yield
        finally:
            self.processor[part] += time.process_time() - cpu
            self.wall[part] += time.perf_counter() - wall

    def rest(self, processor: float, wall: float) -> None:
        """What is left of the whole run is the clock's and the handles'."""
        self.processor[REST] = processor - sum(self.processor.values())
        self.wall[REST] = wall - sum(self.wall.values())


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


def question() -> abm.Question:
    """How much a citizen agrees, who knows its age, its view, and what its friends think."""
    from abm.llm.embedded import language

    def perceive(me: Any) -> dict[str, Any]:
        return {
            "statement": language.statement_text(TOPIC),
            "persona": language.persona_text(age=me.age),
            "view": language.view_text(me.stance),
            "posts": "",
            "friends": language.friends_text(me.friends_share),
        }

    return language.agreement(7, id="opinion", version=1, draw="persistent", perceive=perceive)


class Asked(abm.RowAgent):
    """A citizen whom the language model speaks for."""

    @property
    def stance(self) -> int:
        """Own opinion as an answer, 1 to 7."""
        return int(min(7, max(1, round(1 + 6 * self.opinion))))

    def life(self) -> Generator[Any, Any, None]:
        """Once a day, at an hour of its own."""
        population, ties = self.population, self.model.ties
        yield self.wait(self.model.uniform("hour", self.key))
        while True:
            share = float((population.opinion[ties.neighbours(self.row)] > 0.5).mean())
            self.friends_share = round(share, 1)
            answer = yield self.decide(self.model.question, deliberation=0.02)
            self.opinion = (int(str(answer)) - 1) / 6
            yield self.wait(0.98)


def build(n: int, n_asked: int, costs: Costs, seed: int) -> abm.Model:
    """n rule agents and n_asked others: columns, ties, a cohort of rules, and handles."""
    policies = {}
    if n_asked:
        from abm.llm import embedded

        with costs.count(LOADING):
            policies = {"llm": Counted(embedded.policy(), costs, MODEL, "answer")}
    model = abm.Model(seed=seed, policies=policies)
    with costs.count(BUILDING):
        rng, size = model.chance("people"), n + n_asked
        model.ties = watts_strogatz(size, 10, 0.1, rng=model.chance("ties"))
        people = abm.Population(
            model,
            opinion=rng.random(size, dtype=np.float32),
            age=rng.integers(18, 90, size, dtype=np.int8),
        )
        rows = rng.choice(size, n_asked, replace=False)
        rules = np.ones(size, dtype=bool)
        rules[rows] = False
        cohort = PairwiseCohort(
            compromise, people.opinion, rate=MEETINGS_PER_DAY, network=model.ties,
            params=(BOUND, RATE), members=rules, bounds=(0.0, 1.0),
            rng=model.chance("encounters"), compiled=True,
        )  # fmt: skip
        people.attach(Counted(cohort, costs, RULES, "advance"))
    model.people, model.cohort = people, cohort
    if n_asked:
        model.question = question()
        people.agents(rows, Asked)
    return model


def hybrid(n: int, n_asked: int, days: float, seed: int) -> dict[str, Any]:
    """Run the society and tell what each part cost."""
    warm_up(seed)
    costs = Costs()
    cpu, wall = time.process_time(), time.perf_counter()
    model = build(n, n_asked, costs, seed)
    model.run_until(days)
    model.people.catch_up()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    costs.rest(cpu, wall)
    return {
        "rule agents": n,
        "language-model agents": n_asked,
        "days": days,
        "seed": seed,
        "encounters": model.cohort.n_updates,
        "decisions": model.decisions.asked,
        "distinct requests": model.decisions.distinct,
        "mean opinion": round(float(model.people.opinion.mean(dtype=np.float64)), 6),
        "wall": costs.wall | {"all": wall},
        "processor": costs.processor | {"all": cpu},
        "memory, MB": round(_peak() / 1e6),
    }


def warm_up(seed: int) -> None:
    """Compile what is measured, on a small society without a language model."""
    model = build(200, 0, Costs(), seed)
    model.run_until(1)
    model.people.catch_up()


def _peak() -> int:
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else 1024 * largest


# ---------------------------------------------------------------------- what is told


def cost_split(told: dict[str, Any]) -> str:
    """The parts of one run as a table."""
    lines = ["| part | wall seconds | processor seconds |", "| --- | --- | --- |"]
    lines += [
        f"| {part} | {told['wall'][part]:,.1f} | {told['processor'][part]:,.1f} |"
        for part in (*PARTS, "all")
    ]
    return "\n".join([
        *lines, "",
        f"{told['rule agents']:,} rule agents and {told['language-model agents']:,} language-model "
        f"agents for {told['days']:g} days: {told['encounters']:,} encounters, "
        f"{told['decisions']:,} decisions of {told['distinct requests']:,} distinct requests, at "
        f"most {told['memory, MB']:,} MB.",
    ])  # fmt: skip


def growth(results: list[dict[str, Any]]) -> pl.DataFrame:
    """Seconds by part and number of rule agents."""
    return pl.DataFrame([
        {
            "part": part,
            "agents": told["rule agents"],
            "seconds": told["processor"][part],
            "wall_seconds": told["wall"][part],
            "memory_mb": told["memory, MB"],
        }
        for told in results
        for part in (BUILDING, RULES, MODEL, REST, "all")
        if told["processor"][part] > 0
    ])  # fmt: skip


def draw(results: list[dict[str, Any]], folder: Path, facts: dict[str, Any]) -> Path:
    """The figure of the growth, with the table it shows."""
    from abm.analysis.figures import cost_against_fidelity, save
    from abm.analysis.figures.style import INSTRUMENT_CHECK

    table, asked = growth(results), results[0]["language-model agents"]
    figure = cost_against_fidelity(
        table, x="agents", y="seconds", series="part", low=None, high=None,
        order={"part": ("all", BUILDING, RULES, MODEL, REST)},
        xlabel=f"rule agents, beside {asked:,} language-model agents",
        ylabel=f"processor seconds, {results[0]['days']:g} days", width="middle", height=80.0,
    )  # fmt: skip
    label = INSTRUMENT_CHECK if asked else ""
    return Path(save(figure, folder, "hybrid_growth", table, facts, label=label).png)


def write(page: Path, text: str, figure: Path) -> None:
    """Replace the table of a page, and the figure beside it."""
    place = page.parent / "figures" / figure.name
    shown = f"![Processor seconds by part and number of rule agents](figures/{figure.name})"
    replace_between(page, "hybrid", f"{text}\n\n{shown}")
    place.write_bytes(figure.read_bytes())


def measured(n: int, given: argparse.Namespace) -> dict[str, Any]:
    """One size, in a process of its own; its numbers are kept at once."""
    command = [sys.executable, __file__, "--inner", str(n), "--asked", str(given.asked)]
    command += ["--days", str(given.days), "--seed", str(given.seed), "--out", str(given.out)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    (given.out / f"hybrid_{n}.json").write_text(json.dumps(told, indent=2), encoding="utf-8")
    print(f"\n{cost_split(told)}", flush=True)
    return told


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="rule agents")
    parser.add_argument("--asked", type=int, default=1000, help="language-model agents")
    parser.add_argument("--days", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=1_000_000, help="size whose parts are written")
    parser.add_argument("--out", type=Path, required=True, help="folder for the numbers and figure")
    parser.add_argument("--write", type=Path, help="page whose table and figure are replaced")
    parser.add_argument("--inner", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.inner is not None:
        print(json.dumps(hybrid(given.inner, given.asked, given.days, given.seed)))
        return
    given.out.mkdir(parents=True, exist_ok=True)
    results = [measured(n, given) for n in sorted(given.sizes)]
    facts = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "agora": abm.__version__,
        "results": results,
    }
    (given.out / "hybrid.json").write_text(json.dumps(facts, indent=2), encoding="utf-8")
    figure = draw(results, given.out, facts)
    print(f"\n{figure}")
    if given.write:
        shown = [told for told in results if told["rule agents"] == given.show] or results[-1:]
        machine = f"Python {facts['python']}, {facts['cores']} cores, {facts['machine']}."
        write(given.write, f"{cost_split(shown[0])} {machine}", figure)


if __name__ == "__main__":
    main()
