"""What a calibration adds to a simulator that takes 1 ms, side by side with pyABC.

    python benchmarks/calibration_overhead.py                     # this library alone
    python benchmarks/calibration_overhead.py --serial            # on one core alone
    python benchmarks/calibration_overhead.py --peer PEER_PYTHON  # and pyABC, in the same run

pyABC is no dependency: it lives in an environment of its own, made by

    python -m venv /some/place && /some/place/bin/pip install pyabc

and `--peer` names that environment's python. There are three simulators of about 1 ms: *burning*
takes 1 ms of its own processor time, however fast the processor is just then; *computing* does a
fixed amount of arithmetic, so that two on one core slow each other down; *sleeping* needs no
processor. Overhead is the ratio to the bare simulator called as often in a loop, measured in the
same run, in turns, serially with a ledger on disk; it is also given in processor time, which other
work on the machine disturbs less. Two workers are a pool whose processes have started. Beside their
gain stands the limit of the machine: two independent processes that call the bare simulator half as
often each, against one that calls it as often, started at one word.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

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

MILLISECOND = 1e-3
Simulator = Callable[..., dict[str, float]]


def burn(parameters, seed=0, fidelity="model"):  # type: ignore[no-untyped-def]  # noqa: ARG001
    """y = theta + N(0, 1), after 1 ms of work."""
    begun = time.thread_time()
    y = parameters["theta"] + np.random.default_rng(seed).normal()
    while time.thread_time() - begun < MILLISECOND:
        pass
    return {"y": y}


def compute(parameters, seed=0, fidelity="model", steps=10_000):  # type: ignore[no-untyped-def]  # noqa: ARG001
    """y = theta + N(0, 1), after `steps` multiplications."""
    x = 1.0
    for _ in range(steps):
        x = x * 0.999 + 0.001
    return {"y": parameters["theta"] * x + np.random.default_rng(seed).normal()}


def sleep(parameters, seed=0, fidelity="model"):  # type: ignore[no-untyped-def]  # noqa: ARG001
    """y = theta + N(0, 1), after 1 ms of waiting."""
    time.sleep(MILLISECOND)
    return {"y": parameters["theta"] + np.random.default_rng(seed).normal()}


def steps_of_a_millisecond() -> int:
    """How many multiplications `compute` takes a millisecond for, when it is alone."""
    spent = []
    for _ in range(20):
        begun = time.perf_counter()
        compute({"theta": 0.5}, 1)
        spent.append(time.perf_counter() - begun)
    return max(1, round(10_000 * MILLISECOND / float(np.median(spent))))


def simulators(steps: int) -> dict[str, Simulator]:
    """The three."""
    return {"burning": burn, "computing": partial(compute, steps=steps), "sleeping": sleep}


def bare(n: int, simulate: Simulator = burn) -> None:
    """The simulator in a loop, as often."""
    for index in range(n):
        simulate({"theta": 0.5}, index)


def timed(function: Callable[[int], int | None], n: int) -> tuple[float, float, int]:
    """Seconds of wall time and of processor time, and how many simulations were run."""
    wall, cpu = time.perf_counter(), time.process_time()
    done = function(n)
    return time.perf_counter() - wall, time.process_time() - cpu, n if done is None else done


def ours(method: str, simulate: Simulator = burn) -> Callable[[int], int]:
    """Rejection, or ABC-SMC to a fixed list of tolerances, with a ledger on disk, serially."""

    def run(n: int) -> int:
        with tempfile.TemporaryDirectory() as folder:
            given = Path(folder) / "l.sqlite"
            with Simulations(problem_of(simulate), given) as simulations:
                if method == "rejection":
                    rejection(simulations, n_simulations=n, accept=0.1)
                else:
                    smc(simulations, n_particles=n // 8, tolerances=[4.0, 2.0, 1.0])
                return simulations.used.n_runs

    return run


def pooled(n: int, simulate: Simulator) -> float:
    """Seconds of rejection by two workers that have started, with a ledger on disk."""
    problem = problem_of(simulate)
    with (
        tempfile.TemporaryDirectory() as folder,
        Simulations(problem, Path(folder) / "l.sqlite", workers=2) as simulations,
    ):
        simulations.run_all(problem.tasks("warm", np.zeros((16, 1))))
        begun = time.perf_counter()
        rejection(simulations, n_simulations=n, accept=0.1)
        return time.perf_counter() - begun


def problem_of(simulate: Simulator) -> Problem:
    """theta ~ U(-10, 10), y = 0."""
    return Problem(
        simulate,
        Independent({"theta": uniform(-10, 10)}),
        Targets([scalar("y", 0.0)]),
        ScaledEuclidean("none"),
        seed=1,
    )


def independent(kind: str, steps: int, counts: list[int]) -> float:
    """Seconds that bare loops of so many simulations take, each in a process of its own."""
    processes = [
        subprocess.Popen(
            [sys.executable, __file__, "--bare", kind, str(steps), str(n)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for n in counts
    ]
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()  # it has imported and warmed up
    begun = time.perf_counter()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()
    spent = time.perf_counter() - begun
    for process in processes:
        process.communicate()
    return spent


def serve(kind: str, steps: str, n: str) -> None:
    """What `independent` starts: says that it is there, waits for the word, runs, says so."""
    simulate = simulators(int(steps))[kind]
    bare(20, simulate)
    print("ready", flush=True)
    sys.stdin.readline()
    bare(int(n), simulate)
    print("done", flush=True)


def two_workers(kind: str, n: int, turns: int, steps: int) -> str:
    """One line: the gain of two workers, and what two bare processes gain."""
    simulate = simulators(steps)[kind]
    gains, limits = [], []
    for _ in range(turns):
        serial = timed(ours("rejection", simulate), n)[0]
        gains.append(serial / pooled(n, simulate))
        alone = independent(kind, steps, [n])
        limits.append(alone / independent(kind, steps, [n // 2, n - n // 2]))
    gain, limit = float(np.median(gains)), float(np.median(limits))
    return (
        f"ours, rejection, two workers, {kind}: {gain:.2f} times faster than one"
        f" ({min(gains):.2f} to {max(gains):.2f}); two bare processes {limit:.2f}"
        f" ({min(limits):.2f} to {max(limits):.2f}): {gain / limit:.2f} of it"
    )


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


def overhead(method: str, n: int, turns: int) -> str:
    """One line: serial time against the bare simulator."""
    ratios = []
    for _ in range(turns):
        wall, cpu, runs = timed(ours(method), n)
        base_wall, base_cpu, _ = timed(bare, runs)
        ratios.append((wall / base_wall, cpu / base_cpu))
    wall, cpu = np.median(ratios, axis=0)
    return f"ours, {method}, one core: {wall:.3f} x the bare simulator (processor {cpu:.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--peer", default="", help="python of an environment with pyABC")
    parser.add_argument("--n", type=int, default=2000, help="simulations per measurement")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--serial", action="store_true", help="leave out what needs two cores")
    parser.add_argument("--bare", nargs=3, metavar=("KIND", "STEPS", "N"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.bare:
        serve(*given.bare)
        return
    bare(50)
    for method in ("rejection", "smc"):
        ours(method)(200)  # imports and first calls
    for method in ("rejection", "smc"):
        print(overhead(method, given.n, given.turns), flush=True)
    steps = steps_of_a_millisecond()
    for kind in () if given.serial else simulators(steps):
        print(two_workers(kind, given.n, given.turns, steps), flush=True)
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
