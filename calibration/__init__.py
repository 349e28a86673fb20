"""Calibration: a model as a function of parameters, seed and fidelity, with a cost."""

if __name__ != "abm.calibration":
    raise ImportError(
        "this folder is the package abm.calibration: install Agora (`pip install -e .`) and write "
        "`import abm.calibration` instead of `import calibration`"
    )

from importlib import import_module
from typing import TYPE_CHECKING, Any

_HOME = {
    "Combined": "distances",
    "Constrained": "priors",
    "Correlated": "priors",
    "Disagreement": "distances",
    "Energy": "distances",
    "Independent": "priors",
    "Mahalanobis": "distances",
    "Marginal": "marginals",
    "Notice": "records",
    "Posterior": "posterior",
    "Problem": "problem",
    "Record": "records",
    "ScaledEuclidean": "distances",
    "Simulated": "problem",
    "Simulations": "simulations",
    "Target": "targets",
    "Targets": "targets",
    "Task": "problem",
    "Wasserstein": "distances",
    "beta": "marginals",
    "cross_table": "targets",
    "distribution": "targets",
    "exponential": "marginals",
    "gamma": "marginals",
    "half_normal": "marginals",
    "log_normal": "marginals",
    "log_uniform": "marginals",
    "normal": "marginals",
    "scalar": "targets",
    "series": "targets",
    "truncated_normal": "marginals",
    "uniform": "marginals",
}

__all__ = [
    "Combined",
    "Constrained",
    "Correlated",
    "Disagreement",
    "Energy",
    "Independent",
    "Mahalanobis",
    "Marginal",
    "Notice",
    "Posterior",
    "Problem",
    "Record",
    "ScaledEuclidean",
    "Simulated",
    "Simulations",
    "Target",
    "Targets",
    "Task",
    "Wasserstein",
    "beta",
    "cross_table",
    "distribution",
    "exponential",
    "gamma",
    "half_normal",
    "log_normal",
    "log_uniform",
    "normal",
    "scalar",
    "series",
    "truncated_normal",
    "uniform",
]

if TYPE_CHECKING:
    from abm.calibration.distances import (
        Combined,
        Disagreement,
        Energy,
        Mahalanobis,
        ScaledEuclidean,
        Wasserstein,
    )
    from abm.calibration.marginals import (
        Marginal,
        beta,
        exponential,
        gamma,
        half_normal,
        log_normal,
        log_uniform,
        normal,
        truncated_normal,
        uniform,
    )
    from abm.calibration.posterior import Posterior
    from abm.calibration.priors import Constrained, Correlated, Independent
    from abm.calibration.problem import Problem, Simulated, Task
    from abm.calibration.records import Notice, Record
    from abm.calibration.simulations import Simulations
    from abm.calibration.targets import (
        Target,
        Targets,
        cross_table,
        distribution,
        scalar,
        series,
    )


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"abm.calibration.{_HOME[name]}"), name)
    raise AttributeError(f"module 'abm.calibration' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
