"""Multi-fidelity ABC against plain ABC on the shipped study of citizens who are asked.

    python benchmarks/multifidelity_repeats.py [--repeats 10]

One pilot settles scales and tolerances for all. Each repeat has a seed of its own and runs
multi-fidelity ABC (with its own pilot for the probabilities of going on) and plain rejection ABC
at the dearest level, at the same tolerance. Printed: effective sample size per notional cost
against the formula and against plain ABC, and over the repeats the 90 % interval (Student t) of
both, of the difference in posterior mean, in posterior standard deviations, and in log standard
deviation.
Margins fixed beforehand: 0.9 of the formula, twice plain ABC, 0.2 and 0.2.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
from scipy import stats

from abm.calibration import Simulations
from abm.calibration.multifidelity import multifidelity, run_pilot
from abm.calibration.reading import Calibration
from abm.calibration.rejection import rejection


def main() -> None:
    parser = argparse.ArgumentParser(description="multi-fidelity against plain ABC")
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--plain", type=int, default=1000, help="simulations of plain ABC")
    given = parser.parse_args()
    calibration = Calibration.from_toml("opinion_network/anes96_citizens")
    options = dict(calibration.options)
    with Simulations(calibration.problem) as simulations:
        pilot = run_pilot(simulations, n_pilot=options["n_pilot"], accept=options["accept"])
    problem, tolerances = pilot.problem, dict(pilot.tolerances)
    ratios, gains, means, logs = [], [], [], []
    for number in range(given.repeats):
        fresh = replace(problem, seed=10_000 + number)
        with Simulations(fresh) as simulations:
            post = multifidelity(simulations, **{**options, "tolerances": tolerances})
        with Simulations(fresh_plain(fresh)) as simulations:
            plain = rejection(
                simulations, n_simulations=given.plain, tolerance=tolerances[problem.dearest]
            )
        details = post.details
        ratios.append(details["achieved_ess_per_cost"] / details["predicted_ess_per_cost"])
        gains.append(details["achieved_ess_per_cost"] / plain.ess_per_cost)
        means.append((post.mean - plain.mean) / plain.sd)
        logs.append(np.log(post.sd / plain.sd))
        print(
            f"repeat {number}: {ratios[-1]:.2f} of the formula, {gains[-1]:.2f} times plain ABC, "
            f"effective sample sizes {post.ess:.0f} and {plain.ess:.0f}, "
            f"{details['negative_weights']} negative weights",
            flush=True,
        )
    print(f"effective sample size per notional cost, means over {given.repeats} repeats:")
    for what, found in (("of the formula's", ratios), ("times plain ABC's", gains)):
        low, high = interval(np.array(found))
        print(f"{np.mean(found):.2f} {what}, 90 % interval {low:.2f} to {high:.2f}")
    for what, values in (("mean, in sd", np.array(means)), ("log sd", np.array(logs))):
        for name, column in zip(problem.names, values.T, strict=True):
            low, high = interval(column)
            inside = "inside" if low > -0.2 and high < 0.2 else "NOT inside"
            print(f"difference of {what}, {name}: [{low:+.3f}, {high:+.3f}], {inside} +-0.2")


def fresh_plain(problem):  # type: ignore[no-untyped-def]
    """The same problem with seeds of its own, so that the two methods share no simulation."""
    return replace(problem, seed=problem.seed + 1_000_000)


def interval(values: np.ndarray, level: float = 0.9) -> tuple[float, float]:
    """Student-t interval of the mean."""
    half = stats.t.ppf(0.5 + level / 2, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5
    return float(values.mean() - half), float(values.mean() + half)


if __name__ == "__main__":
    main()
