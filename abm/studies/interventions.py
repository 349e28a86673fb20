"""Interventions as a study writes them, checked against every arm before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from abm.errors import ScenarioError, require
from abm.studies.parameters import closest

if TYPE_CHECKING:
    from abm.engine import Intervention

__all__ = ["Planned", "parse_planned"]

_KEYS = ("at", "change", "assign", "inject", "arms", "label")


@dataclass(frozen=True)
class Planned:
    """An intervention and the arms in which it acts.

    Parameters
    ----------
    at
        Simulated time, 0 <= at <= duration.
    change
        Parameter -> new value.
    assign
        Role -> role, or `ROLE_twin` for a rule twin, that answers in its place from then on.
    inject
        Content for the model's own `inject(content)`, such as a message.
    arms
        Arms in which it acts; all when empty.
    label
        What it is called in reports.

    Examples
    --------
    >>> Planned(10.0, change={"bound": 0.1}, arms=("treated",)).acts_in("placebo")
    False
    """

    at: float
    change: Mapping[str, Any] = field(default_factory=dict)
    assign: Mapping[str, str] | None = None
    inject: Mapping[str, Any] | None = None
    arms: tuple[str, ...] = ()
    label: str = ""

    def acts_in(self, arm: str) -> bool:
        """Whether it acts in this arm."""
        return not self.arms or arm in self.arms

    def to_engine(self) -> Intervention:
        """The engine's form."""
        from abm.engine import Intervention

        return Intervention(self.at, dict(self.change), self.assign, self.inject, self.label)

    def to_dict(self) -> dict[str, Any]:
        """Plain values; only what was given."""
        given = {name: getattr(self, name) for name in _KEYS}
        given["arms"] = list(self.arms)
        return {
            n: dict(v) if isinstance(v, Mapping) else v for n, v in given.items() if v != "" and v
        }

    def check(self, model: type, scenarios: Mapping[str, Any], specs: Mapping[str, Any]) -> None:
        """Refuse what cannot act: unknown arm, parameter or role, a time outside the run.

        A model's attribute `changeable` names what may change besides the scenario's parameters.
        """
        for arm in self.arms:
            _expect(arm in scenarios, "arms", arm, f"no such arm; {closest(arm, scenarios)}")
        for arm, scenario in scenarios.items():
            if self.acts_in(arm):
                self._check_arm(arm, model, scenario)
        roles = {role for table in specs.values() for role in table}
        policies = roles | {f"{role}_twin" for role in roles}
        for role, new in (self.assign or {}).items():
            what = f"no such role; {closest(role, roles)} ('*' stands for all)"
            _expect(role in roles | {"*"}, "assign", {role: new}, what)
            _expect(new in policies, "assign", {role: new}, closest(str(new), policies))
        inject = callable(getattr(model, "inject", None))
        what = f"{model.__name__} has no method inject(content)"
        _expect(not self.inject or inject, "inject", self.inject, what)

    def _check_arm(self, arm: str, model: type, scenario: Any) -> None:
        good = 0 <= self.at <= scenario.duration
        what = f"expected 0 <= at <= {scenario.duration:g}, the duration of arm {arm!r}"
        _expect(good, "at", self.at, what)
        known = set(type(scenario).model_fields)
        own = set(getattr(model, "changeable", ()))
        for name, value in self.change.items():
            what = f"{model.__name__} has no such parameter; {closest(name, known | own)}"
            _expect(name in known | own, "change", {name: value}, what)
        for name in sorted(type(scenario).only_at_start() & set(self.change)):
            what = (
                f"{name} sets up a run and cannot change during it; give it in [scenario] or an arm"
            )
            _expect(False, "change", {name: self.change[name]}, what)
        try:
            scenario.replaced(**{n: v for n, v in self.change.items() if n in known})
        except ScenarioError as error:
            raise ScenarioError(str(error), place=("change",), said=str(error)) from error


def parse_planned(value: Mapping[str, Any] | Planned) -> Planned:
    """Read an intervention from a mapping.

    Examples
    --------
    >>> parse_planned({"at": 10, "change": {"bound": 0.1}}).at
    10.0
    >>> parse_planned({"at": 10, "chance": {"bound": 0.1}})
    Traceback (most recent call last):
    abm.errors.ScenarioError: chance = {'bound': 0.1}: unknown key; did you mean 'change'?
    """
    if isinstance(value, Planned):
        return value
    for key in value:
        _expect(key in _KEYS, key, value[key], f"unknown key; {closest(key, _KEYS)}")
    time = value.get("at")
    good = isinstance(time, (int, float)) and not isinstance(time, bool)
    _expect(good, "at", time, "expected a simulated time, a number >= 0")
    assert isinstance(time, (int, float))
    for key in ("change", "assign", "inject"):
        table = value.get(key, {})
        _expect(isinstance(table, Mapping), key, table, "expected a table { name = value }")
    does = any(value.get(key) for key in ("change", "assign", "inject"))
    require(
        does,
        ScenarioError,
        "the intervention changes nothing; give it change, assign or inject = {...}",
    )
    arms = value.get("arms", ())
    texts = isinstance(arms, (list, tuple)) and all(isinstance(arm, str) for arm in arms)
    _expect(texts, "arms", arms, "expected a list of arm names")
    return Planned(
        at=float(time),
        change=dict(value.get("change", {})),
        assign=value.get("assign") or None,
        inject=value.get("inject") or None,
        arms=tuple(arms),
        label=str(value.get("label", "")),
    )


def _expect(good: bool, key: str, value: Any, what: str) -> None:
    if not good:
        text = f"{key} = {value!r}: {what}"
        raise ScenarioError(text, place=(key,), said=text)
