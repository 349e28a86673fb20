"""Opinions on a network: private opinions, public posts, and who is shown what.

The first model family. `README.md` in this folder says what it is for, `ODD.md` how it works.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from abm.studies.registry import Family

if TYPE_CHECKING:
    from abm.models.opinion_network.model import OpinionNetwork
    from abm.models.opinion_network.scenario import OpinionScenario

__all__ = ["FAMILY", "OpinionNetwork", "OpinionScenario"]

FAMILY = Family(
    title="Opinions on a network: rule citizens and citizens who are asked",
    model="abm.models.opinion_network.model:OpinionNetwork",
    description=(
        "Does it matter whose posts people are shown? Citizens drawn from a survey hold private "
        "opinions, read and write public posts for a month, and are shown posts of their friends, "
        "of their own side, of the other side, or none."
    ),
    source=(
        "Deffuant et al. 2000; Hegselmann & Krause 2002; Friedkin & Johnsen 1990; Dandekar et al. "
        "2013; the polarisation study of AgentSociety 2025"
    ),
    studies=(
        "exposure_arms",
        "preset_small",
        "preset_paper",
        "anes96_party",
        "anes96_ideology",
        "anes96_citizens",
    ),
)

_HOME = {"OpinionNetwork": "model", "OpinionScenario": "scenario"}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
