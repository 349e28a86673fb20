"""What an agent can see of itself: plain data, read-only, and nobody else.

`perceive` gets a `View`, never the agent. A view shows the agent's own attributes as frozen plain
data. Properties and methods of the agent's class run with the view in place of `self`, so they
cannot reach further than the view can. Whatever holds an agent, a model, an agent set, the
environment or a network is refused with `VisibilityError`: an agent cannot look into another's
head by accident.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import fractions
import operator
import types
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn

import numpy as np

from abm.engine.messages import Message
from abm.errors import VisibilityError

__all__ = ["View", "frozen", "view_of"]

_ATOMS = frozenset(
    {bool, int, float, complex, str, bytes, type(None), Message, datetime.date, datetime.datetime}
    | {datetime.time, datetime.timedelta, decimal.Decimal, fractions.Fraction, uuid.UUID}
)
_MISSING = object()


class View:
    """An agent as `perceive` sees it.

    Attributes are the agent's own: lists come as tuples, dictionaries as read-only mappings, arrays
    as read-only arrays. `now` is the simulated time, `key` and `unique_id` say who it is.

    Raises
    ------
    VisibilityError
        An attribute holds, or a method reaches for, anything but the agent's own plain data; or
        somebody tries to set an attribute.

    Examples
    --------
    >>> import abm
    >>> class Citizen(abm.Agent):
    ...     def __init__(self, model, age):
    ...         super().__init__(model)
    ...         self.age, self.read = age, ["More parks!"]
    ...     def is_old(self):
    ...         return self.age > 60
    >>> view = Citizen(abm.Model(seed=1), 70).view()
    >>> view.age, view.read, view.is_old()
    (70, ('More parks!',), True)
    >>> view.model
    Traceback (most recent call last):
    abm.errors.VisibilityError: Citizen 1: perceive reached for 'model', which is no plain data...
    """

    __slots__ = ("__agent",)

    def __init__(self, agent: Any) -> None:
        object.__setattr__(self, "_View__agent", agent)

    def __getattr__(self, name: str) -> Any:
        agent = object.__getattribute__(self, "_View__agent")
        if name.startswith("__"):
            raise AttributeError(name)
        if name == "now":
            return agent.model.now
        look = getattr(type(agent), "look", None)
        value = look(agent, name) if look else vars(agent).get(name, _MISSING)
        if value is _MISSING or value is NotImplemented:
            return self._from_class(agent, name)
        return frozen(value, lambda found: _refuse(agent, name, found))

    def _from_class(self, agent: Any, name: str) -> Any:
        found = _static(type(agent), name)
        if found is _MISSING:
            raise AttributeError(
                f"{type(agent).__name__} {agent.unique_id} has no attribute {name!r}; "
                f"perceive sees {sorted(dir(self))}"
            )
        if isinstance(found, property):
            value = found.fget(self) if found.fget else None
        elif isinstance(found, types.FunctionType):
            return types.MethodType(found, self)
        elif isinstance(found, staticmethod):
            return found.__func__
        elif hasattr(found, "func") and hasattr(found, "attrname"):  # functools.cached_property
            value = found.func(self)
        else:
            value = found
        return frozen(value, lambda deep: _refuse(agent, name, deep))

    def __dir__(self) -> list[str]:
        agent = object.__getattribute__(self, "_View__agent")
        names = getattr(agent, "visible_names", None)
        own = list(names()) if names else [name for name in vars(agent) if name != "model"]
        return ["now", *own]

    def __setattr__(self, name: str, value: object) -> NoReturn:
        agent = object.__getattribute__(self, "_View__agent")
        raise VisibilityError(
            f"perceive set {name!r} of {type(agent).__name__} {agent.unique_id}: a view is "
            "read-only; perceive returns fields and changes nothing",
            attribute=name,
        )

    def __delattr__(self, name: str) -> NoReturn:
        self.__setattr__(name, None)

    def __reduce__(self) -> NoReturn:
        raise VisibilityError("a view stays with its agent: it can be neither copied nor pickled")


def view_of(agent: Any) -> Any:
    """The agent's own view if it has one (`abm.Agent`), or a view of a plain Mesa agent."""
    own = getattr(agent, "view", None)
    return own() if callable(own) else View(agent)


def frozen(value: Any, refuse: Callable[[Any], NoReturn] | None = None) -> Any:
    """Plain data as read-only plain data; `refuse(part)` is called for anything else.

    Plain are numbers, texts, dates, enumerations, messages, NumPy arrays without objects, and
    tuples, lists, sets, mappings, named tuples, dataclasses and pydantic models of these. An object
    with a method `__plain__` stands for what that returns.

    Examples
    --------
    >>> frozen([1, [2]])
    (1, (2,))
    >>> frozen(object())
    Traceback (most recent call last):
    abm.errors.VisibilityError: <object object at ...> of type object is no plain data
    """
    refuse = refuse or _refuse_value
    kind = type(value)
    if kind in _ATOMS:
        return value
    if kind in (list, tuple, deque):
        items = tuple([item if type(item) in _ATOMS else frozen(item, refuse) for item in value])
        same = kind is tuple and all(map(operator.is_, items, value))
        return value if same else items
    if isinstance(value, (enum.Enum, np.generic)) or kind in (range, str):
        return value
    if isinstance(value, np.ndarray):
        return _frozen_array(value, refuse)
    if isinstance(value, types.FunctionType | types.MethodType | type):
        refuse(value)
    return _frozen_object(value, refuse)


def _frozen_object(value: Any, refuse: Callable[[Any], NoReturn]) -> Any:
    if isinstance(value, tuple):
        return type(value)(*(frozen(item, refuse) for item in value))
    if isinstance(value, dict | types.MappingProxyType):
        pairs = {frozen(name, refuse): frozen(item, refuse) for name, item in value.items()}
        return types.MappingProxyType(pairs)
    if isinstance(value, set | frozenset):
        return frozenset(frozen(item, refuse) for item in value)
    plain = getattr(type(value), "__plain__", None)
    if plain is not None:
        return frozen(plain(value), refuse)
    if dataclasses.is_dataclass(value):
        return _frozen_record(value, [field.name for field in dataclasses.fields(value)], refuse)
    if hasattr(type(value), "model_fields"):
        return _frozen_record(value, list(type(value).model_fields), refuse)
    if isinstance(value, str | int | float | bytes | datetime.date):
        return value
    return refuse(value)


class _Record:
    """A dataclass or pydantic model as frozen plain data, with its name, fields and properties."""

    __slots__ = ("__class", "__fields")

    def __init__(self, kind: type, fields: Mapping[str, Any]) -> None:
        object.__setattr__(self, "_Record__class", kind)
        object.__setattr__(self, "_Record__fields", dict(fields))

    def __getattr__(self, name: str) -> Any:
        fields = object.__getattribute__(self, "_Record__fields")
        if name in fields:
            return fields[name]
        kind = object.__getattribute__(self, "_Record__class")
        found = _MISSING if name.startswith("__") else _static(kind, name)
        if isinstance(found, property) and found.fget:
            return found.fget(self)
        if isinstance(found, types.FunctionType):
            return types.MethodType(found, self)
        if found is _MISSING or isinstance(found, property):
            raise AttributeError(f"{kind.__name__} has no attribute {name!r}")
        return frozen(found)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise VisibilityError(f"perceive set {name!r}: a view is read-only", attribute=name)

    def __dir__(self) -> list[str]:
        return list(object.__getattribute__(self, "_Record__fields"))

    def __iter__(self) -> Iterator[Any]:
        return iter(object.__getattribute__(self, "_Record__fields").items())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Record) and dict(self) == dict(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        kind = object.__getattribute__(self, "_Record__class")
        return f"{kind.__name__}({', '.join(f'{name}={value!r}' for name, value in self)})"


def _frozen_record(value: Any, names: list[str], refuse: Callable[[Any], NoReturn]) -> Any:
    fields = {name: frozen(getattr(value, name), refuse) for name in names}
    if _is_frozen(type(value)) and all(fields[name] is getattr(value, name) for name in names):
        return value
    return _Record(type(value), fields)


def _is_frozen(kind: Any) -> bool:
    if dataclasses.is_dataclass(kind):
        return bool(vars(kind)["__dataclass_params__"].frozen)
    return bool(getattr(kind, "model_config", {}).get("frozen", False))


def _frozen_array(value: np.ndarray[Any, Any], refuse: Callable[[Any], NoReturn]) -> Any:
    if value.dtype.hasobject:
        for item in value.flat:
            frozen(item, refuse)
    shown = value.view()
    shown.flags.writeable = False
    return shown


def _static(kind: type, name: str) -> Any:
    for base in kind.__mro__:
        if name in vars(base):
            return vars(base)[name]
    return _MISSING


def _refuse(agent: Any, name: str, found: Any) -> NoReturn:
    what = "" if name == "model" else f" (it holds {type(found).__name__})"
    raise VisibilityError(
        f"{type(agent).__name__} {agent.unique_id}: perceive reached for {name!r}, which is no "
        f"plain data{what}. An agent sees its own state and the messages it received; keep ids "
        "and values in the agent, and look others up before it decides",
        attribute=name,
        agent_id=agent.unique_id,
    )


def _refuse_value(value: Any) -> NoReturn:
    raise VisibilityError(f"{value!r} of type {type(value).__name__} is no plain data")
