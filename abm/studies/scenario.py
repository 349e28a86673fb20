"""Scenarios: one full set of parameters, frozen, each checked against its declared range.

A model declares its parameters once, with unit, range, source and meaning. Whatever is wrong with
the values is refused when the scenario is made, long before anything runs, and the message names
the parameter, the value, what was expected and what to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from abm.errors import ScenarioError
from abm.studies.parameters import (
    Parameter,
    at_start,
    described,
    expected,
    fits,
    message,
    parameter,
    translated,
)

__all__ = ["Scenario"]


class Scenario(BaseModel):
    """Frozen, validated parameters of a model. Subclass it and declare fields with `parameter`.

    Numbers are taken as written: a text is no number, `true` is no number, nan and infinity are
    refused, and so is any name that was not declared.

    Raises
    ------
    ScenarioError
        Carries `argument`, `value`, `expected` of the first problem and `problems`, all messages.

    Examples
    --------
    >>> class Voting(Scenario):
    ...     bound: float = parameter(0.3, ge=0, le=1, doc="opinions live in [0, 1]")
    >>> Voting(duration=30, bound=1.4)
    Traceback (most recent call last):
    abm.errors.ScenarioError: bound = 1.4, expected 0 <= bound <= 1 (opinions live in [0, 1])
    >>> Voting(duration=30, bond=0.4)
    Traceback (most recent call last):
    abm.errors.ScenarioError: bond = 0.4: Voting has no parameter 'bond'; did you mean 'bound'?
    >>> Voting(duration=30).replaced(bound=0.1).bound
    0.1
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        validate_default=True,
        protected_namespaces=(),
    )

    duration: float = parameter(gt=0, doc="simulated time of a run, in the model's unit of time")

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise translated(type(self), error) from None

    @model_validator(mode="before")
    @classmethod
    def _plain_values(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        return {name: _checked(cls, name, _plain(value)) for name, value in values.items()}

    def __setattr__(self, name: str, value: Any) -> None:
        raise ScenarioError(
            f"{type(self).__name__} is frozen: {name} cannot be set to {value!r}; "
            f"make another one with scenario.replaced({name}={value!r})",
            argument=name,
            value=value,
        )

    def replaced(self, **changes: Any) -> Self:
        """A new scenario with these values changed, validated like any other."""
        return type(self)(**{**dict(self), **changes})

    def to_dict(self) -> dict[str, Any]:
        """Plain values of all parameters, ready for JSON or TOML."""
        return self.model_dump(mode="json")

    @classmethod
    def parameters(cls) -> list[Parameter]:
        """The declared parameters in order: name, default, unit, range, meaning, source."""
        return [described(name, info) for name, info in cls.model_fields.items()]

    @classmethod
    def only_at_start(cls) -> frozenset[str]:
        """Names of the parameters that set up a run and that no intervention can change.

        Examples
        --------
        >>> sorted(Scenario.only_at_start())
        ['duration']
        """
        declared = {name for name, info in cls.model_fields.items() if at_start(info)}
        return frozenset(declared | {"duration"})


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _checked(cls: type[Scenario], name: str, value: Any) -> Any:
    """Refuse what pydantic would quietly convert: texts and truth values given for numbers."""
    info = cls.model_fields.get(name)
    if info is not None and not fits(value, info.annotation):
        raise ScenarioError(
            message(cls, (name,), value),
            argument=name,
            value=value,
            expected=expected(name, info),
        )
    return value
