"""Interventions: what a scenario changes at a date. Runs are bit-equal until one acts.

An intervention is the first event of its instant. It changes parameters, who answers, or what
agents get to read. It is checked when it is scheduled, before anything runs.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from abm.errors import ScenarioError, require

__all__ = ["Intervention", "apply", "check", "replaced"]


@dataclass(frozen=True)
class Intervention:
    """Something that changes at a date.

    Parameters
    ----------
    at
        Simulated time, >= 0, at which it acts, before anything else of that instant.
    change
        Parameter of the scenario or attribute of the model -> new value.
    assign
        Policy (role) -> policy that answers in its place from then on; `"*"` stands for all.
        Decisions raised before keep their policy.
    inject
        Content handed to the model's own `inject(content)`, such as a message.
    label
        Name for reports.

    Examples
    --------
    >>> Intervention(at=10, change={"exposure": 0.0}, label="feed off").name
    'feed off'
    """

    at: float
    change: Mapping[str, Any] = field(default_factory=dict)
    assign: Mapping[str, str] | None = None
    inject: Mapping[str, Any] | None = None
    label: str = ""

    @property
    def name(self) -> str:
        """The label, or what it does."""
        if self.label:
            return self.label
        parts = [f"change {', '.join(self.change)}"] if self.change else []
        parts += ["assign"] if self.assign else []
        parts += ["inject"] if self.inject else []
        return f"{' and '.join(parts) or 'nothing'} at {self.at:g}"


def check(model: Any, intervention: Intervention) -> None:
    """Refuse an intervention that could not act on this model."""
    name = f"intervention {intervention.name!r}"
    require(
        model.now <= intervention.at < math.inf,
        ScenarioError,
        f"{name}: at = {intervention.at!r}, expected a time at or after {model.now:g}",
        argument="at",
        value=intervention.at,
    )
    for parameter, value in intervention.change.items():
        _check_change(model, name, parameter, value)
    known = set(model.answerer.policies)
    for old, new in (intervention.assign or {}).items():
        require(
            (old in known or old == "*") and new in known,
            ScenarioError,
            f"{name}: assign {old!r} -> {new!r}, expected names of policies; declared are "
            f"{sorted(known)} ('*' stands for all)",
            argument="assign",
            value=(old, new),
        )
    require(
        not intervention.inject or callable(getattr(model, "inject", None)),
        ScenarioError,
        f"{name}: {type(model).__name__} has no method inject(content); define it, or leave "
        "`inject` out",
        argument="inject",
    )


def _check_change(model: Any, name: str, parameter: str, value: Any) -> None:
    scenario = getattr(model, "scenario", None)
    in_scenario = parameter in _fields(scenario)
    own = not parameter.startswith("_") and parameter in vars(model)
    require(
        in_scenario or own,
        ScenarioError,
        f"{name}: {parameter!r} is neither a parameter of the scenario "
        f"({sorted(_fields(scenario))}) nor an attribute of {type(model).__name__}",
        argument="change",
        value=parameter,
    )
    fixed: frozenset[str] = getattr(type(scenario), "only_at_start", frozenset)()
    require(
        parameter not in fixed,
        ScenarioError,
        f"{name}: {parameter} sets up a run and cannot change during it; give it in the scenario "
        "or in an arm",
        argument=parameter,
        value=value,
    )
    if in_scenario:
        replaced(scenario, {parameter: value})


def apply(model: Any, intervention: Intervention) -> None:
    """What an intervention does unless the model says otherwise."""
    scenario = getattr(model, "scenario", None)
    fields = _fields(scenario)
    changes = {name: value for name, value in intervention.change.items() if name in fields}
    if changes:
        model.scenario = replaced(scenario, changes)
    for name, value in intervention.change.items():
        if name in vars(model):
            setattr(model, name, value)
    model.desk.redirects.update(intervention.assign or {})
    if intervention.inject:
        model.inject(intervention.inject)


def replaced(scenario: Any, changes: Mapping[str, Any]) -> Any:
    """A scenario with some parameters changed, validated like any other."""
    if hasattr(scenario, "replaced"):
        return scenario.replaced(**changes)
    if dataclasses.is_dataclass(scenario):
        return dataclasses.replace(scenario, **changes)  # type: ignore[type-var]
    if hasattr(type(scenario), "model_validate"):
        return type(scenario).model_validate({**dict(scenario), **changes})
    return {**scenario, **changes}


def _fields(scenario: Any) -> set[str]:
    if scenario is None:
        return set()
    if dataclasses.is_dataclass(scenario):
        return {field.name for field in dataclasses.fields(scenario)}
    if hasattr(type(scenario), "model_fields"):
        return set(type(scenario).model_fields)
    return set(scenario) if isinstance(scenario, Mapping) else set()
