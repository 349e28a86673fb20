"""Studies: scenarios, seeds, runs, their folders, and how to resume, replay and fork them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

_HOME = {
    "Budget": "abm.studies.study",
    "Fork": "abm.studies.single",
    "Family": "abm.studies.registry",
    "ReplayDiffers": "abm.studies.replaying",
    "RunFolder": "abm.studies.reading",
    "Study": "abm.studies.study",
    "StudyFolder": "abm.studies.reading",
    "families": "abm.studies.registry",
    "fork": "abm.studies.single",
    "load": "abm.studies.reading",
    "replay": "abm.studies.replaying",
    "Parameter": "abm.studies.parameters",
    "Scenario": "abm.studies.scenario",
    "Seeds": "abm.studies.seeds",
    "parameter": "abm.studies.parameters",
}

__all__ = [
    "Budget",
    "Family",
    "Fork",
    "Parameter",
    "ReplayDiffers",
    "RunFolder",
    "Scenario",
    "Seeds",
    "Study",
    "StudyFolder",
    "families",
    "fork",
    "load",
    "parameter",
    "replay",
]

if TYPE_CHECKING:
    from abm.studies.parameters import Parameter, parameter
    from abm.studies.reading import RunFolder, StudyFolder, load
    from abm.studies.registry import Family, families
    from abm.studies.replaying import ReplayDiffers, replay
    from abm.studies.scenario import Scenario
    from abm.studies.seeds import Seeds
    from abm.studies.single import Fork, fork
    from abm.studies.study import Budget, Study


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'abm.studies' has no attribute {name!r}")
