"""A draft of the ODD protocol for a simulator that is a function, from the calibrations of it.

Such a model has no class to look at: parameters and a seed go in, numbers come out. The draft is
read off the function's source and off the calibration files that name it.
"""

from __future__ import annotations

import importlib
import inspect
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from abm.errors import ScenarioError
from abm.studies.odd import TO_WRITE, draft_odd, markdown_table
from abm.studies.odd_source import draws, first_sentence, functions
from abm.studies.registry import load_file
from abm.studies.study import Study

__all__ = ["draft_simulators", "is_calibration"]

Raw = Mapping[str, Any]
CONCEPTS = ("Basic principles", "Emergence", "Interaction", "Collectives")
NONE = ("Adaptation", "Objectives", "Learning", "Prediction", "Sensing")


def is_calibration(file: Path) -> bool:
    """Whether a file is a calibration, which names a simulator, and no study."""
    return "calibration" in _read(file)


def draft_simulators(files: Sequence[Path]) -> str:
    """One draft per simulator that some calibration files name, in Markdown.

    Raises
    ------
    ScenarioError
        A file is no calibration, or its simulator cannot be found.

    Examples
    --------
    >>> from abm.studies.registry import studies_of
    >>> text = draft_simulators(studies_of("textbook"))
    >>> text.count("# ODD: "), "| `infection` | log_uniform = [0.2, 5.0] | per day |" in text
    (2, True)
    """
    groups: dict[str, list[tuple[Path, Raw]]] = {}
    for file in files:
        raw = _read(file)
        groups.setdefault(_simulator(raw, file), []).append((file, raw))
    return "\n".join(_draft(name, named) for name, named in groups.items())


def _draft(name: str, named: Sequence[tuple[Path, Raw]]) -> str:
    file = named[0][0]
    if name.endswith(".toml"):
        return draft_odd(Study.from_toml(file.parent / name))
    function = _function(name, file)
    parts = [
        f"# ODD: {_title(name)}",
        f"Draft read off `{name}`, a simulator that is a function, and its calibrations "
        f"{', '.join(path.stem for path, _ in named)}. What is marked {TO_WRITE} only its author "
        "can say.",
        *_purpose(function, named),
        *_entities(function),
        *_concepts(function),
        *_initialisation(function, named),
        *_input(named),
        "## 7. Submodels",
        markdown_table(
            ("file", "function", "what it does"),
            [(place, f"`{called}`", text) for place, called, text in functions(function)],
        ),
        f"{TO_WRITE}: the equations, with their sources.",
        "## 8. Decisions (ODD+D)",
        "No questions are asked: nobody in this simulator decides by a policy. "
        f"{TO_WRITE}: on which theory its rules rest.",
    ]
    return "\n\n".join(parts) + "\n"


def _purpose(function: Callable[..., Any], named: Sequence[tuple[Path, Raw]]) -> list[str]:
    module = inspect.getmodule(function)
    heads = [f"`{path.stem}`: {text}" for path, _ in named if (text := _head(path))]
    return [
        "## 1. Purpose and patterns",
        " ".join((inspect.getdoc(module) or f"{TO_WRITE}: the question of the model.").split()),
        *(["Calibrations:\n\n" + "\n".join(f"- {text}" for text in heads)] if heads else []),
        f"{TO_WRITE}: the patterns that the model must reproduce, and how each is tested.",
    ]


def _entities(function: Callable[..., Any]) -> list[str]:
    said = first_sentence(inspect.getdoc(function))
    return [
        "## 2. Entities, state variables, and scales",
        f"The simulator keeps its state inside one call: {said or TO_WRITE}",
        f"{TO_WRITE}: entities, their state variables with units, and the scales of time and "
        "space.",
        "## 3. Process overview and scheduling",
        f"One call is one run. {TO_WRITE}: which processes happen in which order, and how time "
        "goes on.",
    ]


def _concepts(function: Callable[..., Any]) -> list[str]:
    rows = [(d.purpose, d.seed, d.place) for d in draws(function)]
    table = markdown_table(("purpose", "seed", "where"), rows)
    return [
        "## 4. Design concepts",
        *(f"- *{name}.* {TO_WRITE}" for name in CONCEPTS),
        f"- *{', '.join(NONE)}.* Nobody in a function perceives, decides or learns through the "
        f"framework. {TO_WRITE}, if its rules stand for such behaviour.",
        "- *Stochasticity.* Chance is a function of (seed, purpose). Purposes:",
        table if rows else "No draw was found in the simulator's files.",
        f"- *Observation.* The summaries that it returns. {TO_WRITE}: each with its unit.",
    ]


def _initialisation(function: Callable[..., Any], named: Sequence[tuple[Path, Raw]]) -> list[str]:
    known = [p for p in inspect.signature(function).parameters.values() if p.default is not p.empty]
    fixed = [(f"`{p.name}`", str(p.default), TO_WRITE) for p in known]
    parts = ["## 5. Initialisation"]
    if fixed:
        given_to_all = ("what is given to every run", "default", "meaning and source")
        parts.append(markdown_table(given_to_all, fixed))
    for path, raw in named:
        given = _options(raw.get("simulator"))
        parts += [f"Parameters calibrated in `{path.stem}`{', with ' + given if given else ''}:"]
        head = ("parameter", "prior", "said in the file", "source of the prior")
        parts.append(markdown_table(head, _prior_rows(path, raw)))
    return [*parts, f"{TO_WRITE}: how the initial state is made."]


def _prior_rows(path: Path, raw: Raw) -> list[tuple[str, str, str, str]]:
    said = _comments(path)
    rows = []
    for name, written in raw.get("prior", {}).items():
        if name in ("constraints", "correlation"):
            continue
        shown = (
            ", ".join(f"{kind} = {value}" for kind, value in written.items())
            if isinstance(written, Mapping)
            else str(written)
        )
        rows.append((f"`{name}`", shown, said.get(name) or "—", TO_WRITE))
    return rows


def _input(named: Sequence[tuple[Path, Raw]]) -> list[str]:
    lines = []
    for path, raw in named:
        targets = raw.get("targets")
        given = targets.get("function") if isinstance(targets, Mapping) else targets
        more = _options(targets)
        said = f"`{given}`{', with ' + more if more else ''}" if given else "values in the file"
        lines.append(f"- `{path.stem}` is fitted to {said}.")
    return [
        "## 6. Input data",
        "\n".join(lines),
        f"{TO_WRITE}: where the data come from and what was done to them.",
    ]


def _options(table: Any) -> str:
    """What a table of a calibration gives besides its function, as `name = value`."""
    if not isinstance(table, Mapping):
        return ""
    kept = {k: v for k, v in table.items() if k not in ("function", "discrepancy")}
    return ", ".join(f"`{name} = {value}`" for name, value in kept.items())


def _head(path: Path) -> str:
    """The comment at the top of a file, on one line."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            break
        lines.append(line.lstrip("#").strip())
    return " ".join(" ".join(lines).split())


def _comments(path: Path) -> dict[str, str]:
    """Name -> the comment behind its line."""
    found = re.findall(r"^(\w+) *=.*?[\]}\w\"'] *# *(.*)$", path.read_text(encoding="utf-8"), re.M)
    return {name: text.strip() for name, text in found}


def _title(name: str) -> str:
    place, _, called = name.rpartition(":")
    short = Path(place).stem if place.endswith(".py") else place.removeprefix("abm.models.")
    return short if called == "simulate" else f"{short}, {called}"


def _simulator(raw: Raw, file: Path) -> str:
    """Reference of the function, or path of the study, that a calibration simulates with."""
    written = raw.get("simulator")
    found = (
        written.get("function") or written.get("study") if isinstance(written, Mapping) else written
    )
    if not isinstance(found, str):
        raise ScenarioError(
            f"{file}: [simulator] names no function and no study, so there is no model to describe"
        )
    return found


def _function(name: str, file: Path) -> Callable[..., Any]:
    place, _, called = name.rpartition(":")
    try:
        module = (
            load_file(file.resolve().parent / place)
            if place.endswith(".py")
            else importlib.import_module(place)
        )
        found: Callable[..., Any] = getattr(module, called)
    except (ImportError, AttributeError, ValueError) as error:
        raise ScenarioError(
            f"{file}: the simulator {name!r} cannot be found: {error}; expected 'module:function' "
            "or 'file.py:function'"
        ) from error
    return found


def _read(file: Path) -> Raw:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ScenarioError(f"there is no file {file}") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ScenarioError(f"{file}: cannot be read: {error}") from error
