"""What it costs to interpret a rule: every driver compiled, interpreted and, for pairs, in layers.

Processor time on one core, machine code made or loaded before the clock starts. Each turn measures
all ways of a driver one after another; the table has the medians, and how often the compiled way is
quicker.

    python benchmarks/rules/interpreted.py
    python benchmarks/rules/interpreted.py --turns 5 --write docs/rules_benchmarks.md
"""

from __future__ import annotations

import argparse
import datetime
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from run import machine

from abm.kernels import (
    EventCohort,
    RateCohort,
    run_neighbours,
    run_pairwise,
    run_rows,
    run_transitions,
    run_within,
)
from abm.networks import watts_strogatz

sys.path.insert(0, str(Path(__file__).parents[1]))
from pages import replace_between

N = 100_000
SECONDS = 0.2  # of processor time per way and turn, at least
Step = Callable[[int], int]  # rounds of work -> updates
TIES = watts_strogatz(N, 10, 0.1, rng=np.random.default_rng(1))


def compromise(own, other, p):
    gap = other - own
    return (own + p[1] * gap, other - p[1] * gap) if abs(gap) < p[0] else (own, other)


def compromise_many(own, other, p):
    gap = other - own
    near = abs(gap) < p[0]
    return np.where(near, own + p[1] * gap, own), np.where(near, other - p[1] * gap, other)


def average(own, others, p):
    total = own
    for value in others:
        total += value
    return total / (len(others) + 1)


def near_mean(own, n_near, mean_near, p):
    return mean_near


def sis(state, counts, p, rng):
    if state == 0:
        return 1 if counts[1] > 0 and rng.random() < p[0] * counts[1] else 0
    return 0 if rng.random() < p[1] else 1


def give(i, state, p, rng):
    wealth = state[0]
    if wealth[i] > 0:
        wealth[i] -= 1
        wealth[rng.integer(len(wealth))] += 1


def ring(i, now, state, p, rng):
    state[0][i] += 1
    return rng.exponential()


def rate(state, counts, p):
    return p[0] * counts[1] if state == 0 else p[1]


def flip(state, counts, p):
    return 1 - state


def of_pairs(network: Any) -> Callable[[dict[str, Any]], Step]:
    def made(form: dict[str, Any]) -> Step:
        x, rng = np.random.default_rng(2).random(N), np.random.default_rng(3)
        return lambda rounds: (
            run_pairwise(compromise, x, network, rounds * N, (0.2, 0.5), rng=rng, **form).n_updates
        )

    return made


def of_neighbours(form: dict[str, Any]) -> Step:
    x, given = np.random.default_rng(2).random(N), {"rng": np.random.default_rng(3), **form}
    return lambda rounds: (
        run_neighbours(average, x, TIES, rounds=rounds, schedule="sweep", **given).n_updates
    )


def of_within(form: dict[str, Any]) -> Step:
    x, given = np.random.default_rng(2).random(N), {"rng": np.random.default_rng(3), **form}
    return lambda rounds: run_within(near_mean, x, 0.01, rounds=rounds, **given).n_updates


def of_transitions(form: dict[str, Any]) -> Step:
    states = np.random.default_rng(2).integers(0, 2, N)
    given = {"rng": np.random.default_rng(3), **form}
    return lambda rounds: (
        run_transitions(
            sis, states, TIES, (0.05, 0.2), n_states=2, rounds=rounds, schedule="sweep", **given
        ).run.n_updates
    )


def of_rows(form: dict[str, Any]) -> Step:
    wealth, given = np.ones(N, dtype=np.int64), {"rng": np.random.default_rng(3), **form}
    return lambda rounds: (
        run_rows(give, (wealth,), rounds=rounds, schedule="sweep", **given).n_updates
    )


def of_events(form: dict[str, Any]) -> Step:
    rng = np.random.default_rng(3)
    cohort = EventCohort(ring, (np.zeros(N),), rng.exponential(size=N), rng=rng, **form)
    return lambda rounds: cohort.advance(cohort.time + rounds / 10)


def of_rates(form: dict[str, Any]) -> Step:
    states = np.random.default_rng(2).integers(0, 2, N).astype(np.int8)
    cohort = RateCohort(
        rate, flip, states, TIES, (0.2, 1.0), n_states=2, rng=np.random.default_rng(3), **form
    )
    return lambda rounds: cohort.advance(cohort.time + rounds / 10)


WAYS: dict[str, dict[str, Any]] = {
    "compiled": {"compiled": True},
    "interpreted": {"compiled": False},
    "layers": {"compiled": False, "vectorised": compromise_many},
}
DRIVERS: dict[str, tuple[Callable[[dict[str, Any]], Step], str]] = {
    "pairs of all": (of_pairs(None), "run_pairwise"),
    "pairs on ties": (of_pairs(TIES), "run_pairwise"),
    "neighbours": (of_neighbours, "run_neighbours"),
    "within": (of_within, "run_within"),
    "states": (of_transitions, "run_transitions"),
    "rows": (of_rows, "run_rows"),
    "events": (of_events, "EventCohort"),
    "rates": (of_rates, "RateCohort"),
}


def speed(step: Step) -> float:
    """Updates per second of processor time."""
    rounds, updates, begun = 1, 0, time.process_time()
    while (spent := time.process_time() - begun) < SECONDS:
        updates += step(rounds)
        rounds *= 2 if spent < SECONDS / 8 else 1
    return updates / spent


def row(name: str, turns: int) -> str:
    """The line of a driver."""
    make, driver = DRIVERS[name]
    ways = [way for way in WAYS if way != "layers" or driver == "run_pairwise"]
    steps = {way: make(WAYS[way]) for way in ways}
    for step in steps.values():
        step(1)
    found = [{way: speed(step) for way, step in steps.items()} for _ in range(turns)]
    middle = {way: statistics.median(turn[way] for turn in found) for way in ways}
    cells = [f"{middle[way]:.2e}" if way in middle else "" for way in WAYS]
    times = [
        f"{middle['compiled'] / middle[way]:.0f}" if way in middle else ""
        for way in ("interpreted", "layers")
    ]
    return f"| {name} | `{driver}` | " + " | ".join([*cells, *times]) + " |"


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", default=",".join(DRIVERS), help="drivers, with commas between")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--write", type=Path, help="page whose table is replaced")
    given = parser.parse_args()
    facts = machine()
    told = [
        f"Measured {datetime.date.today().isoformat()} on {facts['processor']}, one of "
        f"{facts['cores']} cores, Python {facts['python']}, {N:,} agents, {given.turns} turns. "
        "Updates per second of processor time.",
        "",
        "| work | driver | compiled | interpreted | layers | interpreted: times slower "
        "| layers: times slower |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for name in given.only.split(","):
        told.append(row(name, given.turns))
        print(told[-1], flush=True)
    if given.write:
        replace_between(given.write, "interpreted", "\n".join(told))


if __name__ == "__main__":
    main()
