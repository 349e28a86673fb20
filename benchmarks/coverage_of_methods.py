"""Do 90 % intervals hold planted parameters in 90 % of data sets? Five models, three methods.

    python benchmarks/coverage_of_methods.py [--sets 200] [--workers 2]

For each of 200 data sets parameters are drawn from the prior, data are simulated and moved through
the kernel of the last tolerance (for such data ABC is exact, so that a right method covers at the
nominal level), and the method is run at full price: rejection ABC, ABC-SMC, and multi-fidelity ABC
with a cheap twin whose parameters are 5 % off. Printed: the share of 90 % intervals that hold the
truth, for each parameter, against the 99.9 % binomial band, and the share of the prior variance
that the data removed, since intervals as wide as the prior would cover as well.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial

from abm.calibration import Posterior, Simulations
from abm.calibration.multifidelity import multifidelity
from abm.calibration.rejection import rejection
from abm.calibration.smc import smc
from abm.calibration.trust import check_method
from abm.models.textbook.planted import PLANTED, planted_problem


def methods(tolerance: float) -> dict[str, Callable[[Simulations], Posterior]]:
    """The three, at about the same price."""
    return {
        "rejection": partial(rejection, n_simulations=1500, tolerance=tolerance),
        "smc": partial(smc, n_particles=100, tolerances=[4 * tolerance, 2 * tolerance, tolerance]),
        "multifidelity": partial(
            multifidelity,
            n_pilot=150,
            n_proposals=1500,
            tolerances={"cheap": tolerance, "model": tolerance},
            least=0.05,
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="coverage of three methods on five models")
    parser.add_argument("--sets", type=int, default=200)
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    print("| model | method | parameter | covered | band | prior variance removed | no posterior |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    good = True
    for name, planted in PLANTED.items():
        for method, run in methods(planted.coarse).items():
            report = check_method(
                planted_problem(name, levels=method == "multifidelity"),
                run,
                n_sets=given.sets,
                tolerance=planted.coarse,
                workers=given.workers,
            )
            removed = report.contraction["contraction"].to_list()
            rows = report.coverage.filter(level=0.9).iter_rows(named=True)
            for row, share in zip(rows, removed, strict=True):
                good &= bool(row["holds"])
                print(
                    f"| {name} | {method} | {row['parameter']} | {row['share']:.3f} | "
                    f"{row['low']:.3f} to {row['high']:.3f}{'' if row['holds'] else ', MISSED'} | "
                    f"{100 * share:.0f} % | {report.n_failed} |",
                    flush=True,
                )
    print(f"{given.sets} data sets: {'all within the band' if good else 'NOT all within the band'}")


if __name__ == "__main__":
    main()
