"""Parameters of a scenario: how they are declared, and how a mistake in one is told."""

from __future__ import annotations

import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, Field, ValidationError
from pydantic.fields import FieldInfo

from abm.errors import ScenarioError

__all__ = [
    "Parameter",
    "at_start",
    "closest",
    "described",
    "fits",
    "message",
    "parameter",
    "translated",
]

_BOUNDS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
_KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


def parameter(
    default: Any = ...,
    *,
    unit: str = "",
    doc: str = "",
    source: str = "",
    remedy: str = "",
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    at_start: bool = False,
) -> Any:
    """Declare a parameter of a scenario.

    Parameters
    ----------
    default
        Value when none is given; without one the parameter is required.
    unit
        Unit of the value; empty when dimensionless.
    doc
        What the parameter means; shown by `abm models NAME` and in error messages.
    source
        Where the default comes from.
    remedy
        What to do when the value is out of range, for mistakes that are easily made.
    ge, gt, le, lt
        Bounds.
    at_start
        Whether it only sets up a run: an intervention that would change it during the run is
        refused when the study is read.

    Examples
    --------
    >>> from abm.studies import Scenario
    >>> class Growth(Scenario):
    ...     rate: float = parameter(0.5, unit="1/day", ge=0, le=1, doc="share added per day")
    >>> Growth(duration=10.0).rate
    0.5
    """
    extra: dict[str, Any] = {"unit": unit, "source": source, "remedy": remedy}
    if at_start:
        extra["at_start"] = True
    return Field(default, ge=ge, gt=gt, le=le, lt=lt, description=doc, json_schema_extra=extra)


def at_start(info: FieldInfo) -> bool:
    """Whether the parameter only sets up a run."""
    return bool(_extra(info).get("at_start", False))


@dataclass(frozen=True)
class Parameter:
    """One declared parameter, for tables and help texts. `default` is `...` when required."""

    name: str
    default: Any
    unit: str
    range: str
    doc: str
    source: str


def closest(name: str, known: Iterable[str]) -> str:
    """The end of an error message: the nearest known name, or all of them.

    Examples
    --------
    >>> closest("duratoin", ["duration", "rate"])
    "did you mean 'duration'?"
    >>> closest("x", ["duration", "rate"])
    "expected one of 'duration', 'rate'"
    """
    names = sorted(set(known))
    near = get_close_matches(name, names, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]!r}?"
    return "expected one of " + ", ".join(map(repr, names)) if names else "none is declared"


def fits(value: Any, annotation: Any) -> bool:
    """Whether a value is of a declared kind as written, without conversion of texts or truths."""
    kinds = set(_members(annotation)) - {type(None)}
    scalars = kinds & {int, float, bool, str}
    if isinstance(value, (list, tuple)):
        inner = [a for kind in kinds for a in get_args(kind) if a is not Ellipsis]
        return not inner or all(any(fits(item, a) for a in inner) for item in value)
    if not scalars or scalars != kinds:
        return True
    if isinstance(value, bool):
        return bool in scalars
    if isinstance(value, (int, float)):
        return bool(scalars & {int, float})
    return not isinstance(value, str) or str in scalars


def _members(annotation: Any) -> tuple[Any, ...]:
    """The alternatives of a union; the annotation itself when there is no choice."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _members(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return tuple(m for a in get_args(annotation) for m in _members(a))
    return (annotation,)


def translated(cls: type[BaseModel], error: ValidationError) -> ScenarioError:
    """Our error for pydantic's, one line per problem."""
    details = error.errors(include_url=False)
    problems = [_problem(cls, dict(detail)) for detail in details]
    first = details[0]
    name = str(first["loc"][0]) if first["loc"] else ""
    info = cls.model_fields.get(name)
    return ScenarioError(
        "\n".join(problems),
        argument=name,
        value=first["input"] if first["type"] != "missing" else None,
        expected="" if info is None else expected(name, info),
        problems=problems,
    )


def _problem(cls: type[BaseModel], detail: dict[str, Any]) -> str:
    place, value, kind = detail["loc"], detail["input"], detail["type"]
    if not place:
        return str(detail.get("ctx", {}).get("error", detail["msg"]))
    name = str(place[0])
    if kind == "extra_forbidden" and name not in cls.model_fields:
        hint = closest(name, cls.model_fields)
        return f"{name} = {value!r}: {cls.__name__} has no parameter {name!r}; {hint}"
    if kind == "missing" and len(place) == 1:
        return f"{name} is missing: {message(cls, place, ...)}"
    if kind == "value_error":
        return f"{_dotted(place)} = {value!r}: {detail['ctx']['error']}"
    return message(cls, place, value, detail["msg"])


def message(
    cls: type[BaseModel], place: tuple[Any, ...], value: Any, said: str | None = None
) -> str:
    """`name = value, expected range [unit] (meaning). remedy`; `...` stands for no value."""
    name = str(place[0])
    info = cls.model_fields[name]
    extra = _extra(info)
    wanted = expected(name, info)
    if said and (len(place) > 1 or not (_bounds(info) or _known_kind(info))):
        wanted = f"{wanted}: {said}" if wanted else said
    text = f"expected {wanted}"
    if value is not ...:
        text = f"{_dotted(place)} = {value!r}, {text}"
    unit = f" [{extra['unit']}]" if extra.get("unit") else ""
    doc = f" ({info.description})" if info.description else ""
    remedy = f". {extra['remedy']}" if extra.get("remedy") else ""
    return f"{text}{unit}{doc}{remedy}"


def _dotted(place: tuple[Any, ...]) -> str:
    return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in place).removeprefix(".")


def _extra(info: FieldInfo) -> dict[str, Any]:
    extra = info.json_schema_extra
    return dict(extra) if isinstance(extra, Mapping) else {}


def _bounds(info: FieldInfo) -> dict[str, Any]:
    found = {}
    for rule in info.metadata:
        found.update({k: getattr(rule, k) for k in _BOUNDS if getattr(rule, k, None) is not None})
    return found


def _known_kind(info: FieldInfo) -> bool:
    return all(
        m in _KINDS or m is type(None) or get_origin(m) is Literal
        for m in _members(info.annotation)
    )


def expected(name: str, info: FieldInfo) -> str:
    """What a field accepts, in words: `0 <= x <= 1`, `one of 'a', 'b'`, `a whole number > 0`."""
    kinds = [_kind(m) for m in _members(info.annotation)]
    bounds = _bounds(info)
    low = next(
        (f"{bounds[k]:g} {'<=' if k == 'ge' else '<'} " for k in ("ge", "gt") if k in bounds), ""
    )
    high = next((f" {_BOUNDS[k]} {bounds[k]:g}" for k in ("le", "lt") if k in bounds), "")
    whole = "a whole number " if int in _members(info.annotation) else ""
    if low and high:
        return f"{whole and whole + 'with '}{low}{name}{high}"
    if low:
        symbol = ">=" if "ge" in bounds else ">"
        return f"{whole}{symbol} {bounds.get('ge', bounds.get('gt')):g}"
    return f"{whole}{high.strip()}" if high else " or ".join(dict.fromkeys(kinds))


def _kind(annotation: Any) -> str:
    if annotation is type(None):
        return "nothing"
    if get_origin(annotation) is Literal:
        return "one of " + ", ".join(map(repr, get_args(annotation)))
    if get_origin(annotation) in (tuple, list):
        inner = next((a for a in get_args(annotation) if a is not Ellipsis), None)
        return "a list" + (f" of {_KINDS[inner].split()[-1]}s" if inner in _KINDS else "")
    return _KINDS.get(annotation, getattr(annotation, "__name__", str(annotation)))


def described(name: str, info: FieldInfo) -> Parameter:
    """What was declared about a field."""
    extra = _extra(info)
    return Parameter(
        name=name,
        default=... if info.is_required() else info.default,
        unit=str(extra.get("unit", "")),
        range=expected(name, info),
        doc=info.description or "",
        source=str(extra.get("source", "")),
    )
