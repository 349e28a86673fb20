"""Agents that each own a SimPy process, beside bare SimPy: events per second.

Both sides run the same lives (wait, wait, wait ...) with the same waiting times, in one Python
process, in turns, on the processor's own clock (`time.process_time`), so that the ratio means
something on a busy machine too. The figure to look at is the ratio: the median over repeats of ours
over bare SimPy. The goal is 0.85 or more at every size.

    python benchmarks/engine_processes.py
    python benchmarks/engine_processes.py --sizes 1000 --repeats 3 --json out.json
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mesa
import numpy as np
import simpy

import abm

GOAL = 0.85
EVENTS = 60_000  # per measurement: short turns, so that both sides meet the same disturbances


class Walker(abm.Agent):
    """Waits for ever, always equally long."""

    def __init__(self, model: abm.Model, gap: float) -> None:
        super().__init__(model)
        self.gap = gap

    def life(self) -> Iterator[Any]:
        gap = self.gap
        while True:
            yield self.wait(gap)


def bare_life(env: simpy.Environment, gap: float) -> Iterator[Any]:
    """The same life in SimPy alone."""
    while True:
        yield env.timeout(gap)


def rate(env: Any, run: Callable[[float], Any], duration: float) -> float:
    """Events per second of processor time while the clock advances by `duration`."""
    first = next(env._eid)
    begun = time.process_time()
    run(env.now + duration)
    spent = time.process_time() - begun
    return (next(env._eid) - first - 1) / spent


def measure(size: int, repeats: int) -> dict[str, Any]:
    """Rates of both sides at `size` pending events, in turns."""
    gaps = np.random.default_rng(7).uniform(0.5, 1.5, size).tolist()
    bare = simpy.Environment()
    for gap in gaps:
        bare.process(bare_life(bare, gap))
    model = abm.Model(seed=7)
    for gap in gaps:
        Walker(model, gap)
    duration = EVENTS / size
    sides = [
        ("simpy", bare, lambda until: bare.run(until=until)),
        ("agora", model.env, model.run_until),
    ]
    for _, _, run in sides:
        run(1.5)  # everybody has started, the queue is mixed
    gc.collect()
    rates: dict[str, list[float]] = {"simpy": [], "agora": []}
    for repeat in range(repeats):
        for name, env, run in sides if repeat % 2 == 0 else sides[::-1]:
            rates[name].append(rate(env, run, duration))
    ratios = [ours / theirs for ours, theirs in zip(rates["agora"], rates["simpy"], strict=True)]
    return {
        "pending": size,
        "simpy_per_second": statistics.median(rates["simpy"]),
        "agora_per_second": statistics.median(rates["agora"]),
        "ratio": statistics.median(ratios),
        "ratios": ratios,
    }


def main() -> None:
    """Measure, print a table, and write JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 100_000, 1_000_000])
    parser.add_argument("--repeats", type=int, default=25, help="measurements of each side")
    parser.add_argument("--json", type=Path, help="file for the results")
    options = parser.parse_args()
    versions = {
        "python": platform.python_version(),
        "simpy": simpy.__version__,
        "mesa": mesa.__version__,
    }
    print(" ".join(f"{name} {version}" for name, version in versions.items()))
    print(f"{'pending':>10} {'SimPy ev/s':>12} {'Agora ev/s':>12} {'ratio':>7}  goal {GOAL}")
    rows = []
    for size in options.sizes:
        row = measure(size, options.repeats)
        rows.append(row)
        print(
            f"{size:>10,} {row['simpy_per_second']:>12,.0f} {row['agora_per_second']:>12,.0f} "
            f"{row['ratio']:>7.3f}  {'met' if row['ratio'] >= GOAL else 'missed'}",
            flush=True,
        )
        gc.collect()
    if options.json:
        options.json.write_text(json.dumps({"versions": versions, "results": rows}, indent=2))


if __name__ == "__main__":
    main()
