"""Neural posterior estimation through `sbi`: a density estimator trained on prior simulations.

A network learns p(theta | statistics) from draws of the prior and what was simulated from them
(Papamakarios and Murray 2016; Greenberg, Nonnenmacher and Macke 2019, automatic posterior
transformation, of which one round is used). It interpolates between simulations, so it needs fewer
of them than rejection, and it can be confidently wrong: run the checks of `abm.calibration.trust`.
`sbi` and PyTorch come with the extra `npe`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from abm.calibration.posterior import Posterior
from abm.calibration.reach import failures, out_of_reach
from abm.calibration.records import statistics_of
from abm.calibration.rejection import prior_draws
from abm.calibration.simulations import Simulations
from abm.errors import CalibrationError, MissingExtra, require
from abm.rng import uniform

__all__ = ["npe"]


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
        `"maf"`, `"nsf"` or `"mdn"`, as `sbi` names them.
    max_epochs
        At most so many; training stops earlier when a tenth of the simulations, kept back, says so.

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
        Too few usable simulations.
    """
    try:
        import torch
        from sbi.inference import NPE
    except ImportError as error:
        raise MissingExtra(
            "neural posterior estimation needs sbi: install the extra `npe` "
            "(pip install 'agora-abm[npe]')"
        ) from error
    problem = simulations.problem
    require(
        n_simulations >= 100 and n_draws >= 1,
        CalibrationError,
        f"n_simulations = {n_simulations}, n_draws = {n_draws}, expected >= 100 and >= 1",
        argument="n_simulations",
    )
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
        estimator: Any = NPE(prior=None, density_estimator=density_estimator)
        estimator.append_simulations(_tensor(torch, theta), _tensor(torch, rows / spread))
        estimator.train(max_num_epochs=max_epochs, show_train_summary=False)
        learned = estimator._neural_net
        data = _tensor(torch, (problem.observed / spread)[None])
        with torch.no_grad():
            drawn = learned.sample((n_draws,), condition=data).reshape(n_draws, -1)
    finally:
        torch.random.set_rng_state(before)
    points = problem.prior.from_unbounded(drawn.numpy().astype(np.float64))
    allowed = np.isfinite(problem.prior.log_density(points))
    return Posterior(
        problem.names,
        points[allowed],
        np.ones(int(allowed.sum())),
        "npe",
        simulations.used.total_cost,
        simulations.used.n_runs,
        notices=[*out_of_reach(problem, statistics), *failures(simulations.used)],
        details={
            "outside_constraints": float((~allowed).mean()),
            "density_estimator": density_estimator,
            "epochs": int(estimator._summary["epochs_trained"][-1]),
        },
    )


def _tensor(torch: Any, values: np.ndarray) -> Any:
    return torch.as_tensor(values, dtype=torch.float32)
