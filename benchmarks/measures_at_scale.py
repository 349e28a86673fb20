"""Time the measures on a million opinions, on ten million ties, and on cascades and tails.

    python benchmarks/measures_at_scale.py [--small] [--only opinions|ties|others|events]

Prints seconds of the second call of each (the first may compile). `--small` uses a hundredth of the
size, to see that everything runs; `--only` runs one of the parts.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import polars as pl

from abm.analysis import networks, opinions
from abm.analysis.cascades import cascade_table
from abm.analysis.controversy import random_walk_controversy
from abm.analysis.directed import follower_paradoxes, reciprocity
from abm.analysis.diversity import effective_channels, mean_cosine
from abm.analysis.dynamics import early_warning, flip_rate
from abm.analysis.exposure import adoption_curve, exposure_spells
from abm.analysis.hawkes import fit_hawkes, simulate_hawkes
from abm.analysis.hazards import cox_regression
from abm.analysis.influence import transfer_entropy
from abm.analysis.modality import dip_test
from abm.analysis.nulls import rewired
from abm.analysis.opinion_table import opinion_measures
from abm.analysis.paradox import friendship_paradox
from abm.analysis.roles import core_periphery
from abm.analysis.tail_alternatives import compare_tails
from abm.analysis.tails import draw_tail, fit_tail

Job = tuple[str, Callable[[], Any]]


def distributions(n: int, rng: np.random.Generator) -> Iterator[Job]:
    x = rng.beta(2, 3, n)
    later = np.clip(x + rng.normal(0, 0.1, n), 0, 1)
    yield "variance over maximum", lambda: opinions.variance_over_maximum(x)
    yield "bimodality coefficient", lambda: opinions.bimodality_coefficient(x)
    yield (
        "dispersion, spread, coverage",
        lambda: (opinions.dispersion(x), opinions.spread(x), opinions.coverage(x)),
    )
    yield "clusters", lambda: opinions.clusters(x)
    yield "dip test", lambda: dip_test(x)
    yield "shifts", lambda: opinions.shift_shares(x, later, middle=0.5)
    yield "flip rate, two times", lambda: flip_rate(np.stack([x, later]), middle=0.5)
    yield "all of them, with intervals", lambda: opinion_measures(x, rng=np.random.default_rng(1))


def ties(n: int, m: int, rng: np.random.Generator) -> Iterator[Job]:
    edges = rng.integers(0, n, (m, 2))
    edges = edges[edges[:, 0] != edges[:, 1]]
    edges = np.unique(edges[:, 0] * n + edges[:, 1])
    edges = np.stack([edges // n, edges % n], axis=1)
    sides, x = rng.integers(0, 2, n), rng.random(n)
    yield "assortativity", lambda: networks.assortativity(edges, sides)
    yield "modularity", lambda: networks.modularity(edges, sides)
    yield "E-I index", lambda: networks.ei_index(edges, sides)
    yield "disagreement", lambda: networks.disagreement(edges, x)
    yield "neighbours' mean", lambda: networks.neighbour_mean(edges, x)
    yield "neighbour correlation", lambda: networks.neighbour_correlation(edges, x)
    yield "homophily slope", lambda: networks.homophily_slope(edges, x)
    yield "friendship paradox", lambda: friendship_paradox(edges, n=n)
    yield "reciprocity", lambda: reciprocity(edges, n=n)
    yield "four directed paradoxes", lambda: follower_paradoxes(edges, n=n)
    yield "core and periphery", lambda: core_periphery(edges, n=n)


def others(scale: float, rng: np.random.Generator) -> Iterator[Job]:
    n = int(1e5 * scale)
    camps = rng.integers(0, 2, n)
    a, b = rng.integers(0, n, (2, 5 * n))
    keep = (a != b) & ((camps[a] == camps[b]) | (rng.random(5 * n) < 0.1))
    pairs = np.unique(np.sort(np.stack([a, b], 1)[keep], axis=1), axis=0)
    yield (
        f"random-walk controversy, {n:,} nodes, {len(pairs):,} ties",
        lambda: random_walk_controversy(pairs, camps, n_hubs=100),
    )
    yield (
        "one null network of these degrees, 10 swaps per tie",
        lambda: rewired(pairs, rng=np.random.default_rng(1)),
    )
    many = int(1e6 * scale)
    parents = np.where(rng.random(many) < 0.1, -1, (rng.random(many) * np.arange(many)).astype(int))
    parents[0] = -1
    yield f"shapes of cascades, {many:,} messages", lambda: cascade_table(parents)
    sizes = draw_tail(2.57, 1, many, discrete=True, rng=rng)
    yield f"discrete power law, {many:,} sizes", lambda: fit_tail(sizes, discrete=True)
    lengths = draw_tail(2.57, 1, many, discrete=False, rng=rng)
    yield f"continuous power law, {many:,} sizes", lambda: fit_tail(lengths, discrete=False)
    times = simulate_hawkes(1.0, 0.5, 1.0, end=5e4 * scale, rng=rng)
    yield f"Hawkes fit, {times.size:,} events", lambda: fit_hawkes(times, end=5e4 * scale)
    texts = rng.normal(size=(int(1e5 * scale), 384))
    yield (
        f"K* and mean cosine, {len(texts):,} x 384",
        lambda: (effective_channels(texts), mean_cosine(texts)),
    )


def events(scale: float, rng: np.random.Generator) -> Iterator[Job]:
    """What is recorded in time: exposures, adoptions, states and series."""
    many = int(1e6 * scale)
    seen = pl.DataFrame({"agent": rng.integers(0, many // 4, many), "time": rng.random(many)})
    half = many // 8
    done = pl.DataFrame({"agent": np.arange(half), "time": rng.random(half)})
    yield (
        f"spells of {many:,} exposures, and their curve",
        lambda: adoption_curve(exposure_spells(seen, done, end=1.0)),
    )
    x, start = rng.integers(0, 4, many), rng.exponential(1.0, many)
    columns = {"start": start, "stop": start + rng.exponential(1 / 0.53**x), "exposures": x}
    spells = pl.DataFrame(columns | {"adopted": rng.random(many) < 0.5})
    yield f"Cox regression, {many:,} spells", lambda: cox_regression(spells)
    sizes = draw_tail(2.57, 1, many, discrete=True, rng=rng)
    fit = fit_tail(sizes, discrete=True)
    yield f"alternatives to a power law, {many:,} sizes", lambda: compare_tails(sizes, fit)
    states = rng.integers(0, 3, (1000, many // 1000))
    heard = np.roll(states, 1, axis=0)
    yield (
        f"transfer entropy, {many:,} states, 19 permutations",
        lambda: transfer_entropy(heard, states, rng=np.random.default_rng(1), n_permutations=19),
    )
    series = rng.normal(size=many // 10)
    yield (
        f"early warnings, {series.size:,} times in windows of {series.size // 100:,}",
        lambda: early_warning(series, window=series.size // 100),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="a hundredth of the size")
    parser.add_argument("--only", choices=("opinions", "ties", "others", "events"))
    chosen = parser.parse_args()
    scale = 0.01 if chosen.small else 1.0
    rng = np.random.default_rng(1)
    n, m = int(1e6 * scale), int(1e7 * scale)
    parts = {
        "opinions": (f"{n:,} opinions", distributions(n, rng)),
        "ties": (f"{n:,} nodes, {m:,} ties", ties(n, m, rng)),
        "others": ("others", others(scale, rng)),
        "events": ("events", events(scale, rng)),
    }
    for title, jobs in parts.values() if chosen.only is None else [parts[chosen.only]]:
        print(f"\n{title}")
        for name, job in jobs:
            job()
            before = time.perf_counter()
            job()
            print(f"  {name:60s} {time.perf_counter() - before:8.3f} s", flush=True)


if __name__ == "__main__":
    main()
