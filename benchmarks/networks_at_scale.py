"""Processor seconds to make networks of a million nodes, by generator.

    python benchmarks/networks_at_scale.py
    python benchmarks/networks_at_scale.py --nodes 100000 --repeats 1
    python benchmarks/networks_at_scale.py --only homophilous --homophily 8

Each generator makes a small network first, which loads or compiles its machine code; then the
median of the repeats is told. Mean degree 10; homophilous networks by four normal features, with
homophily 3 (or as told) and a pool of 2,000 others.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np

from abm.networks import (
    Network,
    barabasi_albert,
    configuration,
    erdos_renyi,
    homophilous,
    random_geometric,
    stochastic_block,
    watts_strogatz,
)

Make = Callable[[int, np.random.Generator], Network]


def blocks(n: int, rng: np.random.Generator) -> Network:
    """Ten blocks; half of the ties within them."""
    chances = np.full((10, 10), 50 / 9 / n) + np.eye(10) * (50 / n - 50 / 9 / n)
    return stochastic_block([n // 10] * 10, chances, rng=rng)


GENERATORS: dict[str, Make] = {
    "Watts-Strogatz": lambda n, rng: watts_strogatz(n, 10, 0.1, rng=rng),
    "Barabasi-Albert": lambda n, rng: barabasi_albert(n, 5, rng=rng),
    "10 blocks": blocks,
    "Erdős-Rényi": lambda n, rng: erdos_renyi(n, 10 / (n - 1), rng=rng),
    "configuration": lambda n, rng: configuration(np.full(n, 10), rng=rng),
    "spatial": lambda n, rng: random_geometric(n, float(np.sqrt(10 / n / np.pi)), rng=rng),
}


def alike(homophily: float) -> Make:
    """People with four normal features, who like the alike."""
    return lambda n, rng: homophilous(rng.normal(size=(n, 4)), 10, homophily, rng=rng)


def seconds(make: Make, n: int, repeats: int) -> float:
    """Median processor seconds of making one network."""
    make(2000, np.random.default_rng(1))
    found = []
    for repeat in range(repeats):
        rng = np.random.default_rng(repeat)
        begun = time.process_time()
        make(n, rng)
        found.append(time.process_time() - begun)
    return statistics.median(found)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--nodes", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", help="one generator")
    parser.add_argument("--homophily", type=float, default=3.0)
    given = parser.parse_args()
    known = {**GENERATORS, "homophilous": alike(given.homophily)}
    if given.only and given.only not in known:
        parser.error(f"--only {given.only}, expected one of {', '.join(known)}")
    print("| generator | processor seconds |\n| --- | --- |")
    for name in [given.only] if given.only else known:
        make = known[name]
        print(f"| {name} | {seconds(make, given.nodes, given.repeats):.2f} |", flush=True)


if __name__ == "__main__":
    main()
