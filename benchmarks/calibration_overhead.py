"""What a calibration adds to a simulator that takes 1 ms, side by side with pyABC.

    python benchmarks/calibration_overhead.py                     # this library alone
    python benchmarks/calibration_overhead.py --peer PEER_PYTHON  # and pyABC, in the same run

pyABC is no dependency: it lives in an environment of its own, made by

    python -m venv /some/place && /some/place/bin/pip install pyabc

and `--peer` names that environment's python. Every number is a ratio to the bare simulator called
as often in a loop, measured in the same run, in turns. The simulator burns 1 ms of its own
processor time, so what else the machine does enters both sides. One core runs it serially with a
ledger on disk; two cores run a pool whose processes have started. Ratios are of wall time; the
overhead is also given in processor time, which other work on the machine disturbs less.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

MILLISECOND = 1e-3


def burn(parameters, seed=0, fidelity="model"):  # type: ignore[no-untyped-def]  # noqa: ARG001
    """y = theta + N(0, 1), after 1 ms of work."""
    begun = time.thread_time()
    y = parameters["theta"] + np.random.default_rng(seed).normal()
    while time.thread_time() - begun < MILLISECOND:
        pass
    return {"y": y}


def bare(n: int) -> None:
    """The simulator in a loop, as often."""
    for index in range(n):
        burn({"theta": 0.5}, index)


def timed(function: Callable[[int], int | None], n: int) -> tuple[float, float, int]:
    """Seconds of wall time and of processor time, and how many simulations were run."""
    wall, cpu = time.perf_counter(), time.process_time()
    done = function(n)
    return time.perf_counter() - wall, time.process_time() - cpu, n if done is None else done


def ours(method: str, workers: int = 1) -> Callable[[int], int]:
    """Rejection, or ABC-SMC to a fixed list of tolerances, with a ledger on disk."""
    from abm.calibration import (
        Independent,
        Problem,
        ScaledEuclidean,
        Simulations,
        Targets,
        scalar,
        uniform,
    )
    from abm.calibration.rejection import rejection
    from abm.calibration.smc import smc

    problem = Problem(
        burn,
        Independent({"theta": uniform(-10, 10)}),
        Targets([scalar("y", 0.0)]),
        ScaledEuclidean("none"),
        seed=1,
    )

    def run(n: int) -> int:
        with tempfile.TemporaryDirectory() as folder:
            simulations = Simulations(problem, Path(folder) / "l.sqlite", workers=workers)
            with simulations:
                if workers > 1:  # start the processes before the clock
                    simulations.run_all(problem.tasks("warm", np.zeros((8 * workers, 1))))
                    run.begun = time.perf_counter()  # type: ignore[attr-defined]
                if method == "rejection":
                    rejection(simulations, n_simulations=n, accept=0.1)
                else:
                    smc(simulations, n_particles=n // 8, tolerances=[4.0, 2.0, 1.0])
                run.spent = time.perf_counter() - getattr(run, "begun", 0)  # type: ignore[attr-defined]
                return simulations.used.n_runs

    return run


PEER = """
import json, logging, sys, tempfile, time
import numpy as np
import pyabc
logging.disable(logging.CRITICAL)
n, cores = int(sys.argv[1]), int(sys.argv[2])
count = [0]
def burn(parameters, seed=0):
    begun = time.thread_time()
    y = parameters["theta"] + np.random.default_rng(seed).normal()
    while time.thread_time() - begun < 1e-3:
        pass
    return {"y": y}
def model(parameters):
    count[0] += 1
    return burn(parameters, count[0])
prior = pyabc.Distribution(theta=pyabc.RV("uniform", -10, 20))
sampler = pyabc.sampler.SingleCoreSampler() if cores == 1 else (
    pyabc.sampler.MulticoreEvalParallelSampler(n_procs=cores))
abc = pyabc.ABCSMC(model, prior, pyabc.PNormDistance(p=2), population_size=n // 8,
                   eps=pyabc.ListEpsilon([4.0, 2.0, 1.0]), sampler=sampler,
                   transitions=pyabc.MultivariateNormalTransition(scaling=2.0))
with tempfile.TemporaryDirectory() as folder:
    abc.new("sqlite:///" + folder + "/h.db", {"y": 0.0})
    wall, cpu = time.perf_counter(), time.process_time()
    history = abc.run(max_nr_populations=3)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    runs = history.total_nr_simulations
begun, begun_cpu = time.perf_counter(), time.process_time()
for i in range(runs):
    burn({"theta": 0.5}, i)
print(json.dumps({"wall": wall / (time.perf_counter() - begun),
                  "cpu": cpu / (time.process_time() - begun_cpu), "runs": runs}))
"""


def peer(python: str, n: int, cores: int) -> dict[str, float]:
    """pyABC's ABC-SMC on the same problem, as a ratio to the bare simulator in its own process."""
    done = subprocess.run(
        [python, "-c", PEER, str(n), str(cores)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"pyABC failed in {python}:\n{done.stderr[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--peer", default="", help="python of an environment with pyABC")
    parser.add_argument("--n", type=int, default=2000, help="simulations per measurement")
    parser.add_argument("--turns", type=int, default=3)
    given = parser.parse_args()
    bare(50)
    for method in ("rejection", "smc"):
        ours(method)(200)  # imports and first calls
    for method in ("rejection", "smc"):
        ratios = []
        for _ in range(given.turns):
            wall, cpu, runs = timed(ours(method), given.n)
            base_wall, base_cpu, _ = timed(bare, runs)
            ratios.append((wall / base_wall, cpu / base_cpu))
        wall, cpu = np.median(ratios, axis=0)
        print(f"ours, {method}, one core: {wall:.3f} x the bare simulator (processor {cpu:.3f})")
    speedups = []
    for _ in range(given.turns):
        alone, both = ours("rejection"), ours("rejection", workers=2)
        serial = timed(alone, given.n)[0]
        both(given.n)
        speedups.append(serial / both.spent)  # type: ignore[attr-defined]
    print(f"ours, rejection, two workers: {np.median(speedups):.2f} times faster than one")
    if given.peer:
        for cores in (1, 2):
            found = [peer(given.peer, given.n, cores) for _ in range(given.turns)]
            wall = np.median([f["wall"] for f in found])
            cpu = np.median([f["cpu"] for f in found])
            print(f"pyABC, smc, {cores} core(s): {wall:.3f} x the bare simulator, serial"
                  f" (processor of the parent {cpu:.3f})")  # fmt: skip
    print(f"{given.n} simulations, median of {given.turns} turns, Python {sys.version.split()[0]}")


if __name__ == "__main__":
    main()
