"""Study files: from TOML to a `Study`, with errors that name file, line, key, value and remedy."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from abm.errors import AbmError, ScenarioError
from abm.policies.answering import FailureHandling
from abm.studies.parameters import closest
from abm.studies.places import dotted

if TYPE_CHECKING:
    from abm.studies.study import Study

__all__ = ["line_of", "read_study", "to_toml"]

S = TypeVar("S", bound="Study")
Place = tuple[str | int, ...]

_TABLES = ("study", "scenario", "arms", "answerers", "failures", "interventions", "budget")
_STUDY = (
    "name",
    "model",
    "seed",
    "replications",
    "varies",
    "executor",
    "workers",
    "agents",
    "memory_gb",
)


def read_study(kind: type[S], path: Path) -> S:
    """Read and check a study file.

    Raises
    ------
    ScenarioError
        No such file, no TOML, or a study that cannot run. The message begins with `file:line`.
    """
    text = _read(path)
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"{path}: this is not TOML: {error}", file=str(path)) from error
    try:
        return _made(kind, raw, path, text).check()
    except AbmError as error:
        place = getattr(error, "place", ())
        line = line_of(text, place)
        where = f"{path}:{line}" if line else str(path)
        raise ScenarioError(f"{where}: {error}", file=str(path), line=line, place=place) from error


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        near = sorted(p.name for p in path.parent.glob("*.toml")) if path.parent.is_dir() else []
        there = f"; there are {', '.join(near)}" if near else ""
        raise ScenarioError(f"there is no study file {path}{there}", file=str(path)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path}: cannot be read as text: {error}", file=str(path)) from error


def _made(kind: type[S], raw: dict[str, Any], path: Path, text: str) -> S:
    from abm.studies.study import Budget

    other = "this file is a calibration and no study; run it with `abm calibrate`"
    _require("calibration" not in raw, ("calibration",), raw.get("calibration"), other)
    for name, value in raw.items():
        _known(name, _TABLES, (), value)
    head = _table(raw, "study")
    for name, value in head.items():
        _known(name, _STUDY, ("study",), value)
    for name in ("name", "model"):
        value = head.get(name)
        _require(isinstance(value, str), ("study", name), value, "expected a text; it is required")
    for name in ("varies",):
        value = head.get(name, [])
        _require(isinstance(value, list), ("study", name), value, "expected a list of texts")
    value = head.get("agents", False)
    _require(isinstance(value, bool), ("study", "agents"), value, "expected true or false")
    given: dict[str, Any] = {**head, "scenario": _table(raw, "scenario")}
    given["arms"] = _tables(raw, "arms") or {"base": {}}
    given["answerers"] = _answerers(raw) or {"rule": {}}
    given["failures"] = _failures(_table(raw, "failures"))
    given["interventions"] = _interventions(raw)
    given["budget"] = _budget(_table(raw, "budget"), Budget)
    return kind(**given, folder=path.resolve().parent, text=text)


def _table(raw: Mapping[str, Any], name: str, place: tuple[str, ...] = ()) -> dict[str, Any]:
    value = raw.get(name, {})
    _require(isinstance(value, dict), (*place, name), value, f"expected a table [{name}]")
    return dict(value)


def _tables(raw: Mapping[str, Any], name: str) -> dict[str, dict[str, Any]]:
    outer = _table(raw, name)
    return {key: _table(outer, key, (name,)) for key in outer}


def _answerers(raw: Mapping[str, Any]) -> dict[str, Any]:
    outer = _table(raw, "answerers")
    for name, value in outer.items():
        good = isinstance(value, (dict, str))
        _require(good, ("answerers", name), value, "expected a spec or a table of role = spec")
    return outer


def _failures(table: dict[str, Any]) -> FailureHandling:
    wait = table.pop("wait", FailureHandling.wait)
    number = isinstance(wait, (int, float)) and not isinstance(wait, bool) and 0 <= wait < 1e9
    _require(number, ("failures", "wait"), wait, "expected seconds >= 0 before the first retry")
    for name, value in table.items():
        what = "expected 'abort', 'skip', 'rule NAME' or 'retry N then ...'"
        _require(isinstance(value, str), ("failures", name), value, what)
    default = table.pop("default", "abort")
    for name, value in {"default": default, **table}.items():
        try:
            FailureHandling() if name == "default" else FailureHandling("abort", {name: "abort"})
            FailureHandling(value)
        except AbmError as error:
            raise _error(("failures", name), f"failures.{name} = {value!r}: {error}") from error
    return FailureHandling(default, table, float(wait))


def _interventions(raw: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = raw.get("interventions", [])
    good = isinstance(found, list) and all(isinstance(item, dict) for item in found)
    _require(good, ("interventions",), found, "expected tables [[interventions]]")
    return list(found)


def _budget(table: dict[str, Any], kind: Callable[..., Any]) -> Any:
    for name, value in table.items():
        _known(name, ("tokens", "hours"), ("budget",), value)
    return kind(**table)


def _known(name: str, names: Sequence[str], place: tuple[str, ...], value: Any) -> None:
    what = "table" if not place else "key"
    _require(name in names, (*place, name), value, f"unknown {what}; {closest(name, names)}")


def _require(good: bool, place: tuple[str | int, ...], value: Any, what: str) -> None:
    if not good:
        raise _error(place, f"{dotted(place)} = {_short(value)}: {what}")


def _short(value: Any) -> str:
    if value is None:
        return "(nothing)"
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _error(place: tuple[str | int, ...], message: str) -> ScenarioError:
    return ScenarioError(message, place=place)


def line_of(text: str, place: Sequence[str | int]) -> int:
    """Line of a key in a TOML text, counted from 1; the line of its table if it is not written
    by itself, 0 if nothing is found.

    Examples
    --------
    >>> line_of("[study]\\nname = 'a'\\n[arms.open]\\nbound = 2\\n", ("arms", "open", "bound"))
    4
    >>> twice = "[[interventions]]\\nat = 1\\n[[interventions]]\\nat = 9\\n"
    >>> line_of(twice, ("interventions", 1, "at"))
    4
    """
    best, table = (0, 0), Place()
    counts: dict[Place, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(#.*)?$", line)
        key = re.match(r"\s*([A-Za-z0-9_.\"' -]+?)\s*=", line)
        if header:
            table = _parts(header[2])
            if header[1] == "[[":
                index = counts[table] = counts.get(table, -1) + 1
                table = (*table, index)
            here = table
        elif key:
            here = (*table, *_parts(key[1]))
        else:
            continue
        if tuple(place[: len(here)]) == here and len(here) > best[0]:
            best = (len(here), number)
    return best[1]


def _parts(dotted: str) -> Place:
    return tuple(part.strip().strip("\"'") for part in dotted.split("."))


def to_toml(tables: Mapping[str, Any]) -> str:
    """A TOML text of nested plain values, for studies that were written in Python.

    Examples
    --------
    >>> print(to_toml({"study": {"name": "a", "seed": 1}, "arms": {"x": {"rate": 0.5}}}), end="")
    [study]
    name = "a"
    seed = 1
    <BLANKLINE>
    [arms.x]
    rate = 0.5
    """
    lines: list[str] = []
    _write_table(lines, (), tables)
    return "\n".join(lines).strip() + "\n"


def _write_table(lines: list[str], path: tuple[str, ...], table: Mapping[str, Any]) -> None:
    plain = {k: v for k, v in table.items() if not isinstance(v, Mapping) and not _is_array(v)}
    if path and (plain or not table):
        lines.extend(["", f"[{'.'.join(map(_key, path))}]"])
    lines.extend(f"{_key(name)} = {_value(value)}" for name, value in plain.items())
    for name, value in table.items():
        if isinstance(value, Mapping):
            _write_table(lines, (*path, name), value)
        elif _is_array(value):
            for item in value:
                lines.extend(["", f"[[{'.'.join(map(_key, (*path, name)))}]]"])
                lines.extend(f"{_key(k)} = {_value(v)}" for k, v in item.items())


def _is_array(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and bool(value) and isinstance(value[0], Mapping)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name)


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False)
