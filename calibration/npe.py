"""Neural posterior estimation through `sbi`: a density estimator trained on prior simulations.

A network learns p(theta | statistics) from draws of the prior and what was simulated from them
(Papamakarios and Murray 2016; Greenberg, Nonnenmacher and Macke 2019, automatic posterior
transformation, of which one round is used). It interpolates between simulations, so it needs fewer
of them than rejection, and it can be confidently wrong: run the checks of `abm.calibration.trust`.
`sbi` and PyTorch come with the extra `npe`.
"""

from __future__ import annotations

import warnings
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

import numpy as np

from abm.calibration.checks import check_options
from abm.calibration.posterior import Posterior
from abm.calibration.reach import failures, out_of_reach
from abm.calibration.records import Notice, statistics_of
from abm.calibration.rejection import prior_draws
from abm.calibration.simulations import Simulations
from abm.errors import CalibrationError, MissingExtra, require
from abm.rng import uniform

__all__ = ["npe"]

_ESTIMATORS = ("maf", "nsf", "mdn")


def npe(
    simulations: Simulations,
    *,
    n_simulations: int = 1000,
    n_draws: int = 2000,
    density_estimator: str = "maf",
    max_epochs: int = 500,
) -> Posterior:
    """Draws of the posterior that a network learned.

    Parameters
    ----------
    n_simulations
        Draws of the prior that are simulated, >= 100; failed ones are left out, and said.
    n_draws
        Draws of the posterior.
    density_estimator
        `"maf"`, `"nsf"` or `"mdn"`, as `sbi` names them. For a single parameter `"maf"` is a
        normal distribution on the unbounded scale; the others are not so bound.
    max_epochs
        At most so many, >= 1; training stops earlier when a tenth of the simulations, kept back,
        says so. A network that did not get so far is used, with the notice `not_converged`.

    Returns
    -------
    Equally weighted draws on the support of the prior: parameters are learned on the unbounded
    scale. Statistics enter in units of their spread. Equal seeds give equal draws on one machine
    and build of PyTorch.

    Raises
    ------
    MissingExtra
        `sbi` is not installed.
    CalibrationError
        Too few usable simulations; no draw on the support of the prior.
    """
    check_options(npe, locals())
    _check(n_simulations, n_draws, density_estimator, max_epochs)
    try:
        import torch
        from sbi.inference import NPE
    except ImportError as error:
        raise MissingExtra(
            "neural posterior estimation needs sbi: install the extra `npe` "
            "(pip install 'agora-abm[npe]')"
        ) from error
    problem = simulations.problem
    simulations.stage("prior", n_simulations)
    draws = prior_draws(problem, "prior", n_simulations)
    records = simulations.run_all(problem.tasks("prior", draws))
    statistics = statistics_of(records)
    usable = np.isfinite(statistics).all(axis=1)
    require(
        int(usable.sum()) >= 100,
        CalibrationError,
        f"{int(usable.sum())} of {n_simulations} simulations have finite statistics, expected "
        "at least 100 to train a network",
    )
    rows, theta = statistics[usable], problem.prior.to_unbounded(draws[usable])
    spread = np.where(rows.std(axis=0) > 0, rows.std(axis=0), 1.0)
    before = torch.random.get_rng_state()
    torch.manual_seed(int(uniform(problem.seed, "npe") * 2**31))
    try:
        estimator: Any = NPE(
            density_estimator=density_estimator, tracker=_Untracked(), show_progress_bars=False
        )
        estimator.append_simulations(_tensor(torch, theta), _tensor(torch, rows / spread))
        learned, epochs = _trained(estimator, max_epochs)
        data = _tensor(torch, (problem.observed / spread)[None])
        with torch.no_grad():
            drawn = learned.sample((n_draws,), condition=data).reshape(n_draws, -1)
    finally:
        torch.random.set_rng_state(before)
    points = problem.prior.from_unbounded(drawn.numpy().astype(np.float64))
    allowed = np.isfinite(problem.prior.log_density(points))
    require(
        bool(allowed.any()),
        CalibrationError,
        f"none of {n_draws} draws of the network lies on the support of the prior: raise "
        f"n_simulations = {n_simulations}, or take another method",
        argument="n_simulations",
    )
    slow = [] if epochs <= max_epochs else [_not_converged(max_epochs)]
    return Posterior(
        problem.names,
        points[allowed],
        np.ones(int(allowed.sum())),
        "npe",
        simulations.used.total_cost,
        simulations.used.n_runs,
        notices=[*slow, *out_of_reach(problem, statistics), *failures(simulations.used)],
        details={
            "outside_constraints": float((~allowed).mean()),
            "density_estimator": density_estimator,
            "epochs": epochs,
        },
    )


def _check(n_simulations: int, n_draws: int, density_estimator: str, max_epochs: int) -> None:
    require(
        n_simulations >= 100 and n_draws >= 1,
        CalibrationError,
        f"n_simulations = {n_simulations}, n_draws = {n_draws}, expected >= 100 and >= 1",
        argument="n_simulations",
    )
    require(
        density_estimator in _ESTIMATORS,
        CalibrationError,
        f"density_estimator = {density_estimator!r}, expected one of {_ESTIMATORS}",
        argument="density_estimator",
        value=density_estimator,
    )
    require(
        max_epochs >= 1,
        CalibrationError,
        f"max_epochs = {max_epochs}, expected >= 1",
        argument="max_epochs",
        value=max_epochs,
    )


def _trained(estimator: Any, max_epochs: int) -> tuple[Any, int]:
    """The network and the number of its epochs; what `sbi` prints goes into a notice, not out."""
    with warnings.catch_warnings(), redirect_stdout(StringIO()):
        warnings.filterwarnings("ignore", message="Maximum number of epochs")
        learned = estimator.train(max_num_epochs=max_epochs)
    return learned, int(estimator.summary["epochs_trained"][-1])


def _not_converged(max_epochs: int) -> Notice:
    return Notice(
        "not_converged",
        f"training ended after max_epochs = {max_epochs} epochs before the simulations that were "
        "kept back said so: the posterior is not the best one these simulations give; raise it",
        "npe",
        float(max_epochs),
    )


class _Untracked:
    """Keeps `sbi` from writing training curves into the current folder."""

    log_dir = None

    def log_metric(self, name: str, value: float, step: int | None = None) -> None:
        """Nothing."""

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Nothing."""

    def log_params(self, params: dict[str, Any]) -> None:
        """Nothing."""

    def add_figure(self, name: str, figure: Any, step: int | None = None) -> None:
        """Nothing."""

    def flush(self) -> None:
        """Nothing."""


def _tensor(torch: Any, values: np.ndarray) -> Any:
    return torch.as_tensor(values, dtype=torch.float32)
