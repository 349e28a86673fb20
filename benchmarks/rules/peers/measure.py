"""What every benchmark script here shares: one core, processor time, one JSON line.

A work is a function `(n) -> (step, unit, facts)`: `step(count)` does about `count` units of work
and returns how many it did. Set-up and compilation happen before the clock starts and are reported.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

Step = Callable[[int], int]
Work = Callable[[int], "tuple[Step, str, dict[str, Any]]"]


def on_one_core() -> None:
    """Pin this process to the first core that it may use."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def measure(work: Work, n: int, seconds: float) -> dict[str, Any]:
    """Units of work per second of processor time."""
    started = time.process_time()
    step, unit, facts = work(n)
    step(1)
    step(1)
    setup = time.process_time() - started
    count, done, spent = 1, 0, 0.0
    while spent < seconds and unit != "nothing":
        begin = time.process_time()
        made = step(count)
        took = time.process_time() - begin
        done, spent = done + made, spent + took
        if took < seconds / 8:
            count = min(10**8, 1 + int(count * min(8.0, max(1.5, seconds / 4 / max(took, 1e-6)))))
    return {
        "n": n,
        "unit": unit,
        "per_cpu_second": done / spent if spent else None,
        "cpu_seconds": spent,
        "setup_cpu_seconds": setup,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        **facts,
    }


def main(peer: str, works: dict[str, Work]) -> None:
    """`python script.py WORK N SECONDS` prints one JSON line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("work", choices=sorted(works))
    parser.add_argument("n", type=int)
    parser.add_argument("seconds", type=float, nargs="?", default=2.0)
    given = parser.parse_args()
    on_one_core()
    found = measure(works[given.work], given.n, given.seconds)
    version = ".".join(map(str, sys.version_info[:3]))
    print(json.dumps({"peer": peer, "work": given.work, "python": version, **found}))
