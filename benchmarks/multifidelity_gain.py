"""How well is the gain of multi-fidelity ABC known, and how large should its pilot be?

    python benchmarks/multifidelity_gain.py [--repeats 100]

A model so cheap that everything is known: theta ~ U(-5, 5), y ~ N(theta, 1), data 0, and cheap
levels that see y with an error. Shares of the patterns of verdicts come from 400,000 draws and
stand for the truth. Each repeat draws a pilot, settles the probabilities of going on, freezes them,
and draws proposals. Printed: what the frozen probabilities achieve in truth, over the best there
are; what the formula predicted, what was achieved, and the ratio of the two, as quantiles over the
repeats; and how often the 90 % intervals of `abm.calibration.known_gain` hold the truth.
"""

from __future__ import annotations

import argparse
from itertools import product

import numpy as np

from abm.calibration.continuation import Continuation, Verdicts, best, ess_per_cost
from abm.calibration.known_gain import achieved_interval, predicted_interval

CASES = [
    # errors of the cheap levels, costs, pilot, proposals, least
    ((0.05,), (1.0, 100.0), 150, 6000, 0.05),
    ((0.05,), (1.0, 100.0), 300, 6000, 0.05),
    ((0.05,), (1.0, 100.0), 1200, 6000, 0.05),
    ((0.05,), (1.0, 100.0), 300, 6000, 0.01),
    ((0.3,), (1.0, 100.0), 300, 6000, 0.01),
    ((0.3, 0.1), (1.0, 2.0, 340.0), 300, 10_000, 0.05),
    ((0.3, 0.1), (1.0, 2.0, 340.0), 600, 10_000, 0.05),
]


def truth(errors: tuple[float, ...], rng: np.random.Generator, n: int = 400_000) -> np.ndarray:
    """Shares of the patterns of verdicts, shape (2,) * L; each level accepts a tenth."""
    y = rng.uniform(-5, 5, n) + rng.normal(size=n)
    levels = [np.abs(y + e + e * rng.normal(size=n)) for e in errors] + [np.abs(y)]
    verdicts = np.stack([x <= np.quantile(x, 0.1) for x in levels], axis=1)
    shares = np.zeros((2,) * len(levels))
    np.add.at(shares, tuple(verdicts.astype(int).T), 1 / n)
    return shares


def proposals(rows: np.ndarray, plan: Continuation, rng: np.random.Generator) -> list[list[bool]]:
    """The verdicts that each proposal gets under a plan, from those of all levels."""
    found = []
    for row, luck in zip(rows.tolist(), rng.random(rows.shape).tolist(), strict=True):
        one = [row[0]]
        for level, verdict in enumerate(row[1:]):
            if luck[level] >= plan.alpha(level, one[-1]):
                break
            one.append(verdict)
        found.append(one)
    return found


def repeat(
    shares: np.ndarray, costs: np.ndarray, n_pilot: int, n: int, least: float,
    rng: np.random.Generator,
) -> list[float]:  # fmt: skip
    """Plan over best, predicted and achieved over true, their ratio, and whether they are held."""
    patterns = np.array(list(product((False, True), repeat=shares.ndim)))
    draw = rng.choice(len(patterns), size=n_pilot + n, p=shares.ravel())
    rows, table = patterns[draw], np.repeat(costs[:, None], 2, axis=1)
    pilot = Verdicts.counted(rows[:n_pilot], np.tile(costs, (n_pilot, 1)))
    plan, exact = best(pilot, least), Verdicts(shares, table)
    true, predicted = ess_per_cost(exact, plan), ess_per_cost(pilot, plan)
    verdicts = proposals(rows[n_pilot:], plan, rng)
    weights = np.array([plan.weight(one) for one in verdicts])
    spent = sum(costs[: len(one)].sum() for one in verdicts)
    achieved = weights.sum() ** 2 / (weights**2).sum() / spent
    first = predicted_interval(pilot, plan, rng=rng)
    second = achieved_interval(verdicts, plan, table, rng=rng)
    held = [float(low <= true <= high) for low, high in (first, second)]
    loss = true / ess_per_cost(exact, best(exact, least))
    return [loss, predicted / true, achieved / true, achieved / predicted, *held]


def main() -> None:
    parser = argparse.ArgumentParser(description="how well the gain of multi-fidelity is known")
    parser.add_argument("--repeats", type=int, default=100)
    given = parser.parse_args()
    print(
        "| errors | least | pilot | plan over best | predicted over true | achieved over true | ",
        end="",
    )
    print("achieved over predicted | predicted held | achieved held |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for errors, costs, n_pilot, n, least in CASES:
        rng = np.random.default_rng(5)
        shares = truth(errors, rng)
        found = np.array(
            [repeat(shares, np.array(costs), n_pilot, n, least, rng) for _ in range(given.repeats)]
        )
        ranges = [
            "{:.2f} ({:.2f} to {:.2f})".format(*np.quantile(column, [0.5, 0.05, 0.95]))
            for column in found[:, :4].T
        ]
        held = [f"{share:.2f}" for share in found[:, 4:].mean(axis=0)]
        print(
            "|",
            " | ".join([str(errors), str(least), str(n_pilot), *ranges, *held]),
            "|",
            flush=True,
        )


if __name__ == "__main__":
    main()
