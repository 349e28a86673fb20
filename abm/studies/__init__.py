"""Studies: scenarios, seeds, runs, their folders, and how to resume, replay and fork them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

_HOME = {
    "Parameter": "abm.studies.parameters",
    "Scenario": "abm.studies.scenario",
    "Seeds": "abm.studies.seeds",
    "parameter": "abm.studies.parameters",
}

__all__ = ["Parameter", "Scenario", "Seeds", "parameter"]

if TYPE_CHECKING:
    from abm.studies.parameters import Parameter, parameter
    from abm.studies.scenario import Scenario
    from abm.studies.seeds import Seeds


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'abm.studies' has no attribute {name!r}")
