"""The methods by name. A method is a function of `Simulations` and its own options.

    method(simulations, **options) -> result

A result has `summary()` (a Polars table, one row per parameter), `notices` and `details`; most are
a `Posterior`. A new method is a new file and one line here.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from abm.calibration.checks import check_options
from abm.errors import CalibrationError, require
from abm.studies.parameters import closest

__all__ = ["METHODS", "POSTERIORS", "method_named"]

METHODS: dict[str, str] = {
    "bayesian_optimisation": "abm.calibration.optimise:bayesian_optimisation",
    "cma_es": "abm.calibration.optimise:cma_es",
    "history_match": "abm.calibration.history:history_match",
    "morris": "abm.calibration.sensitivity:morris",
    "multifidelity": "abm.calibration.multifidelity:multifidelity",
    "npe": "abm.calibration.npe:npe",
    "rejection": "abm.calibration.rejection:rejection",
    "simulated_moments": "abm.calibration.moments:simulated_moments",
    "smc": "abm.calibration.smc:smc",
    "sobol": "abm.calibration.sensitivity:sobol",
}
"""Name in a file -> where the function is."""
POSTERIORS = ("multifidelity", "npe", "rejection", "smc")
"""Those whose result is a `Posterior`, which a check on planted sets needs."""


def method_named(name: str, options: Mapping[str, Any]) -> Callable[..., Any]:
    """The function of a method, its options checked against its parameters.

    Examples
    --------
    >>> method_named("smc", {"n_particles": 10}).__name__
    'smc'
    >>> method_named("smc", {"n_particle": 10})
    Traceback (most recent call last):
    abm.errors.CalibrationError: method smc has no option 'n_particle'; did you mean 'n_particles'?
    """
    require(
        name in METHODS,
        CalibrationError,
        f"method = {name!r}: {closest(name, METHODS)}",
        argument="method",
        value=name,
        place=("method", "name"),
    )
    module, _, function = METHODS[name].partition(":")
    found: Callable[..., Any] = getattr(import_module(module), function)
    parameters = inspect.signature(found).parameters.values()
    known = [p.name for p in parameters if p.name != "simulations"]
    for option in options:
        require(
            option in known,
            CalibrationError,
            f"method {name} has no option {option!r}; {closest(option, known)}",
            argument=option,
            place=("method", option),
        )
    needed = [p.name for p in parameters if p.default is p.empty and p.name != "simulations"]
    missing = [name for name in needed if name not in options]
    require(
        not missing,
        CalibrationError,
        f"method {name} needs the options {missing}",
        argument=missing[0] if missing else "",
        place=("method",),
    )
    check_options(found, options)
    return found
