"""Do 90 % intervals hold planted parameters in 90 % of data sets? Five models, three methods.

    python benchmarks/coverage_of_methods.py [--sets 200] [--models adoption epidemic]
        [--methods smc] [--keep FOLDER]

For each of 200 data sets parameters are drawn from the prior, data are simulated and moved through
the kernel of the last tolerance (for such data ABC is exact, so that a right method covers at the
nominal level), and the method is run at full price: rejection ABC, ABC-SMC, and multi-fidelity ABC
with a cheap twin whose parameters are 5 % off. Printed: the share of 90 % intervals that hold the
truth, for each parameter, against the 99.9 % binomial band, and the share of the prior variance
that the data removed, since intervals as wide as the prior would cover as well, and how well
estimates follow the planted values (correlation and slope of posterior means on them).

With `--keep` the draws of every data set lie in a folder, and what was stopped goes on where it
was; a file is named by the problem, its data, the code of the models and the method's options.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np

from abm.calibration import Posterior, Simulations
from abm.calibration.multifidelity import multifidelity
from abm.calibration.rejection import rejection
from abm.calibration.smc import smc
from abm.calibration.trust import TrustReport, check_method
from abm.errors import CalibrationError
from abm.models.textbook.planted import PLANTED, planted_problem

Method = Callable[[Simulations], Posterior]


def methods(tolerance: float) -> dict[str, partial[Posterior]]:
    """The three; multi-fidelity draws have weights, so that it needs more of them."""
    return {
        "rejection": partial(rejection, n_simulations=1500, tolerance=tolerance),
        "smc": partial(smc, n_particles=100, tolerances=[4 * tolerance, 2 * tolerance, tolerance]),
        "multifidelity": partial(
            multifidelity,
            n_pilot=150,
            n_proposals=4000,
            tolerances={"cheap": tolerance, "model": tolerance},
            least=0.05,
        ),
    }


def kept(run: partial[Posterior], folder: Path | None) -> Method:
    """The method, whose draws are read where they lie in the folder already."""
    if folder is None:
        return run
    folder.mkdir(parents=True, exist_ok=True)

    def fit(simulations: Simulations) -> Posterior:
        about = [simulations.problem.describe(), run.func.__name__, run.keywords]
        text = json.dumps(about, sort_keys=True, default=str)
        file = folder / f"{sha256(text.encode()).hexdigest()[:24]}.npz"
        if file.exists():
            return read(file, simulations.problem.names)
        try:
            post = run(simulations)
        except CalibrationError as error:
            np.savez(file, failed=str(error))
            raise
        np.savez(file, draws=post.draws, weights=post.weights)
        return post

    return fit


def read(file: Path, names: tuple[str, ...]) -> Posterior:
    """Draws of an earlier execution, or its failure."""
    with np.load(file) as found:
        if "failed" in found:
            raise CalibrationError(str(found["failed"]))
        return Posterior(names, found["draws"], found["weights"], "kept")


def lines(name: str, method: str, report: TrustReport) -> list[str]:
    """Rows of the table, one per parameter."""
    made = []
    for row, share, found in zip(
        report.coverage.filter(level=0.9).iter_rows(named=True),
        report.contraction["contraction"],
        report.recovery.iter_rows(named=True),
        strict=True,
    ):
        made.append(
            f"| {name} | {method} | {row['parameter']} | {row['share']:.3f} | "
            f"{row['low']:.3f} to {row['high']:.3f}{'' if row['holds'] else ', MISSED'} | "
            f"{100 * share:.0f} % | {found['correlation']:.2f} | {found['slope']:.2f} | "
            f"{report.n_failed} |"
        )
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description="coverage of three methods on five models")
    parser.add_argument("--sets", type=int, default=200)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--models", nargs="+", choices=list(PLANTED), default=list(PLANTED))
    parser.add_argument("--methods", nargs="+", choices=list(methods(1.0)), default=None)
    parser.add_argument("--keep", type=Path, default=None, help="folder of every set's draws")
    given = parser.parse_args()
    print("| model | method | parameter | covered | band | prior variance removed | ", end="")
    print("correlation | slope | no posterior |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    good = True
    for name in given.models:
        planted = PLANTED[name]
        for method, run in methods(planted.coarse).items():
            if given.methods is not None and method not in given.methods:
                continue
            report = check_method(
                planted_problem(name, levels=method == "multifidelity"),
                kept(run, given.keep),
                n_sets=given.sets,
                tolerance=planted.coarse,
                workers=given.workers,
            )
            good &= bool(report.coverage.filter(level=0.9)["holds"].all())
            print(*lines(name, method, report), sep="\n", flush=True)
    print(f"{given.sets} data sets: {'all within the band' if good else 'NOT all within the band'}")


if __name__ == "__main__":
    main()
