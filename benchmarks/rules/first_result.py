"""From nothing to a first result: imports, compiling or finding what was compiled, one interaction.

Each line is a process of its own, timed from outside by its processor time and by the clock, in
turns, on one pinned core. `cold` starts with an empty folder of compiled rules; `warm` finds what
the run before has left; a peer imports, makes its agents and lets one pair meet. From how long both
take to start, and how quick they are afterwards, follows how many interactions it takes until ours
is ahead.

    python benchmarks/rules/first_result.py                  # peers as in run.py
    python benchmarks/rules/first_result.py --turns 5 --json first_result.json
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from run import HERE, machine, measured, python_of

N = 1000

OURS = """
import sys
import numpy as np
from abm.kernels import run_pairwise

def compromise(own, other, p):
    bound, rate = p
    gap = other - own
    if abs(gap) < bound:
        return own + rate * gap, other - rate * gap
    return own, other

rng = np.random.default_rng(1)
x = rng.random(int(sys.argv[1]), np.float32)
run = run_pairwise(compromise, x, None, 1, (0.2, 0.5), rng=rng, compiled=sys.argv[2] == "compiled")
assert run.n_updates == 1
"""

MESA = """
import sys
import mesa

class Holder(mesa.Agent):
    def __init__(self, model, opinion):
        super().__init__(model)
        self.opinion = opinion

    def meet(self, other):
        gap = other.opinion - self.opinion
        if abs(gap) < 0.2:
            self.opinion += 0.5 * gap
            other.opinion -= 0.5 * gap

model = mesa.Model(seed=1)
people = [Holder(model, model.random.random()) for _ in range(int(sys.argv[1]))]
people[0].meet(people[1])
"""

IMPORT = "import numpy\n"


def spent(python: Path, code: str, form: str, folder: Path) -> dict[str, float]:
    """Seconds of the clock and of the processor that a process takes from start to end."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "AGORA_CACHE": str(folder)}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.perf_counter()
    command = [str(python), "-c", code, str(N), form]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    clock = time.perf_counter() - begun
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"clock": clock, "cpu": cpu}


def started(peers: dict[str, Path], turns: int) -> dict[str, list[dict[str, float]]]:
    """What every start takes, once per turn."""
    own = Path(sys.executable)
    found: dict[str, list[dict[str, float]]] = {}
    for _ in range(turns):
        with tempfile.TemporaryDirectory() as empty:
            ways = [
                ("NumPy alone", own, IMPORT, ""),
                ("cold", own, OURS, "compiled"),
                ("warm", own, OURS, "compiled"),
                ("interpreted", own, OURS, "interpreted"),
                *((name, python, MESA, "") for name, python in peers.items()),
            ]
            for name, python, code, form in ways:
                found.setdefault(name, []).append(spent(python, code, form, Path(empty)))
    return found


def break_even(late: float, ours: float, theirs: float) -> float:
    """Interactions after which who starts `late` seconds later is ahead, at these speeds."""
    return max(0.0, late / (1 / theirs - 1 / ours))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=Path, default=Path(".peers"), help="their environments")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="per measured speed")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    folder = given.peers.resolve()
    peers = {"mesa33": python_of("mesa33", folder)}
    times = started(peers, given.turns)
    speeds = {"ours": _speed(Path(sys.executable), HERE / "ours.py", given.seconds)}
    for name, python in peers.items():
        speeds[name] = _speed(python, HERE / "peers" / "mesa_objects.py", given.seconds)
    told = report(times, speeds, list(peers))
    if given.json:
        facts = {"machine": machine(), "times": times, "speeds": speeds, "break_even": told}
        given.json.write_text(json.dumps(facts, indent=1))


def _speed(python: Path, script: Path, seconds: float) -> float:
    return float(measured(python, script, "deffuant_complete", N, seconds)["per_cpu_second"])


def report(times: dict[str, Any], speeds: dict[str, float], peers: list[str]) -> dict[str, float]:
    """Print both tables; returns interactions to break even, by peer and start."""
    print("| start | clock, s | processor, s (lowest to highest) |")
    print("|---|---:|---|")
    middle = {}
    for name, turns in times.items():
        cpu = [turn["cpu"] for turn in turns]
        middle[name] = statistics.median(cpu)
        clock = statistics.median(turn["clock"] for turn in turns)
        print(f"| {name} | {clock:.2f} | {middle[name]:.2f} ({min(cpu):.2f} to {max(cpu):.2f}) |")
    told = {}
    print("\n| against | ours starts | interactions until ours is ahead | at most 1,000,000 |")
    print("|---|---|---:|---|")
    for peer in peers:
        for start in ("cold", "warm"):
            even = break_even(middle[start] - middle[peer], speeds["ours"], speeds[peer])
            told[f"{peer}, {start}"] = even
            met = "met" if even <= 1e6 else "**missed**"
            print(f"| {peer} | {start} | {even:,.0f} | {met} |")
    print(f"\nSpeeds after the start, interactions per CPU-second: {speeds}")
    met = "met" if middle["warm"] <= 1.5 else "**missed**"
    print(f"Warm start of at most 1.5 s of processor time: {met}")
    return told


if __name__ == "__main__":
    main()
