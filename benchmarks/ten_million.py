"""Ten million Deffuant agents on a small-world network, and the memory that it takes.

Everybody holds an opinion and meets a neighbour (Watts-Strogatz, 10 neighbours, a tenth of the ties
rewired); they compromise if they are close enough (Deffuant et al. 2000). The run is one process of
its own, through the public API; what is told is its largest resident memory, as the system counts
it, and how much of that were the interpreter, the imports and the compiled code.

    python benchmarks/ten_million.py
    python benchmarks/ten_million.py --agents 1000000 --rounds 10
    python benchmarks/ten_million.py --write docs/scale.md     # replaces the table of that page
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from pages import replace_between

LIMIT = 1_000_000_000


def peak() -> int:
    """Largest resident memory of this process so far, in bytes."""
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else 1024 * largest


def compromise(own: float, other: float, p: tuple[float, float]) -> tuple[float, float]:
    """Deffuant et al. (2000), eq. 1."""
    gap = other - own
    return (own + p[1] * gap, other - p[1] * gap) if abs(gap) < p[0] else (own, other)


def society(n: int, rounds: float, seed: int) -> dict[str, Any]:
    """Make the agents and their ties, let them meet, and tell memory and time of each part."""
    told: dict[str, Any] = {"interpreter": peak()}
    import abm
    from abm.kernels import PairwiseCohort
    from abm.networks import watts_strogatz

    def run(size: int, days: float) -> dict[str, Any]:
        model, seconds = abm.Model(seed=seed), {}
        begun = time.process_time()
        ties = watts_strogatz(size, 10, 0.1, rng=model.chance("ties"))
        seconds["network"] = time.process_time() - begun
        after = peak()
        people = abm.Population(
            model, opinion=model.chance("opinions").random(size, dtype="float32")
        )
        cohort = PairwiseCohort(
            compromise, people.opinion, rate=1.0, network=ties, params=(0.3, 0.5),
            bounds=(0.0, 1.0), rng=model.chance("encounters"), compiled=True,
        )  # fmt: skip
        people.attach(cohort)
        begun = time.process_time()
        model.run_until(days)
        people.catch_up()
        seconds["encounters"] = time.process_time() - begun
        raw = people.opinion.nbytes + ties.indptr.nbytes + ties.indices.nbytes
        return {
            "with the network": after, "encounters": cohort.n_updates, "raw": raw,
            "mean opinion": float(people.opinion.mean(dtype="float64")), "seconds": seconds,
        }  # fmt: skip

    told["imports"] = peak()
    run(1000, 1.0)  # compiles
    told["compiled code"] = peak()
    return told | run(n, rounds) | {"peak": peak(), "agents": n, "rounds": rounds}


def table(told: dict[str, Any]) -> str:
    """The numbers as a table."""
    mb = 1e6
    rows = [
        ("interpreter alone", told["interpreter"] / mb),
        ("with imports", told["imports"] / mb),
        ("with compiled code, after 1,000 agents", told["compiled code"] / mb),
        ("with the network, its making included", told["with the network"] / mb),
        ("whole run", told["peak"] / mb),
    ]
    lines = ["| largest resident memory, MB | |", "| --- | --- |"]
    lines += [f"| {name} | {value:,.0f} |" for name, value in rows]
    over, raw = told["peak"] - told["compiled code"], told["raw"]
    seconds = told["seconds"]
    return "\n".join([
        *lines, "",
        f"{told['agents']:,} agents, {told['encounters']:,} encounters: {seconds['network']:.1f} "
        f"processor seconds for the network and {seconds['encounters']:.1f} for the encounters. "
        f"Opinions and ties are {raw / mb:,.0f} MB; the run needs {over / raw:.2f} times that "
        "beside interpreter, imports and compiled code.",
    ])  # fmt: skip


def main() -> int:
    """Run from the command line; 1 if the memory is above the limit."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--agents", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=float, default=3.0, help="encounters per agent")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="file for the numbers")
    parser.add_argument("--write", type=Path, help="page whose table is replaced")
    parser.add_argument("--inner", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.inner:
        print(json.dumps(society(given.agents, given.rounds, given.seed)))
        return 0
    command = [sys.executable, __file__, "--inner", "--agents", str(given.agents)]
    command += ["--rounds", str(given.rounds), "--seed", str(given.seed)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    told = json.loads(done.stdout)
    machine = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}."
    print(table(told), f"\n{machine}")
    if given.json:
        given.json.write_text(json.dumps(told | {"machine": machine}, indent=2), encoding="utf-8")
    if given.write:
        replace_between(given.write, "ten million", f"{table(told)}\n\n{machine}")
    if told["peak"] > LIMIT:
        print(f"above the limit of {LIMIT / 1e6:,.0f} MB")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
