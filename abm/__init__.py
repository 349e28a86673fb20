"""Agora: discrete-event agent-based models in which rules and language models share one society.

The names below are the front door; each is imported when it is first used, so that `import abm`
is quick and nothing heavy is loaded that a model does not need.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "Agent": "abm.engine",
    "Intervention": "abm.engine",
    "Message": "abm.engine",
    "Model": "abm.engine",
    "View": "abm.engine",
    "Network": "abm.networks",
    "Population": "abm.population",
    "RowAgent": "abm.population",
    "LLMPolicy": "abm.policies",
    "Mixture": "abm.policies",
    "Router": "abm.policies",
    "RulePolicy": "abm.policies",
    "Skipped": "abm.policies",
    "SurrogatePolicy": "abm.policies",
    "Answer": "abm.questions",
    "Question": "abm.questions",
    "Request": "abm.questions",
    "Status": "abm.questions",
    "TextConstraint": "abm.questions",
    "Transform": "abm.questions",
    "Scenario": "abm.studies",
    "Seeds": "abm.studies",
    "Study": "abm.studies",
    "load": "abm.studies",
    "parameter": "abm.studies",
    "chance": "abm.rng",
    "uniform": "abm.rng",
    "uniforms": "abm.rng",
}

__all__ = [
    "Agent",
    "Answer",
    "Intervention",
    "LLMPolicy",
    "Message",
    "Mixture",
    "Model",
    "Network",
    "Population",
    "Question",
    "Request",
    "Router",
    "RowAgent",
    "RulePolicy",
    "Scenario",
    "Seeds",
    "Skipped",
    "Status",
    "Study",
    "SurrogatePolicy",
    "TextConstraint",
    "Transform",
    "View",
    "__version__",
    "chance",
    "load",
    "parameter",
    "uniform",
    "uniforms",
]

if TYPE_CHECKING:
    from abm.engine import Agent, Intervention, Message, Model, View
    from abm.networks import Network
    from abm.policies import (
        LLMPolicy,
        Mixture,
        Router,
        RulePolicy,
        Skipped,
        SurrogatePolicy,
    )
    from abm.population import Population, RowAgent
    from abm.questions import (
        Answer,
        Question,
        Request,
        Status,
        TextConstraint,
        Transform,
    )
    from abm.rng import chance, uniform, uniforms
    from abm.studies import Scenario, Seeds, Study, load, parameter


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'abm' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
