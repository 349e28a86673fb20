"""A draft of the ODD protocol from a model: what code can tell, and marks where a person must.

The protocol is that of Grimm et al. (2020), with the section on decisions of ODD+D (Mueller et al.
2013). The draft is read off the model: its scenario, its questions, its source, and the state of a
society that is built and not run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from abm.engine import Agent
from abm.errors import AbmError
from abm.studies.odd_source import draws, first_sentence, functions, modules, steps
from abm.studies.parameters import Parameter
from abm.studies.registry import Family, families, reference, resolve
from abm.studies.run import build_model
from abm.studies.study import Study

__all__ = ["TO_WRITE", "draft_odd", "markdown_table", "own_odd"]

TO_WRITE = "**TO WRITE**"
"""Marks what the model cannot say about itself."""

_INHERITED = set(dir(Agent)) | {"key", "model", "pos", "unique_id"}


def draft_odd(model: str | type | Study) -> str:
    """The draft, in Markdown.

    Parameters
    ----------
    model
        A family, `module:Class`, `file.py:Class`, a class, or a study of one: its first arm is the
        society that is described.

    Raises
    ------
    ScenarioError
        There is no such model.

    Examples
    --------
    >>> text = draft_odd("opinion_network")
    >>> "## 3. Process overview and scheduling" in text, TO_WRITE in text
    (True, True)
    """
    study = model if isinstance(model, Study) else None
    cls: Any = study.model_class if study is not None else resolve(model)  # type: ignore[arg-type]
    built, problem = _society(cls, study)
    name = cls.__name__
    parts = [
        f"# ODD: {name}",
        f"Draft read off `{reference(cls)}`. What is marked {TO_WRITE} only its author can say.",
        *_purpose(cls),
        *_entities(cls, built, problem),
        *_processes(cls, built),
        *_concepts(cls, built),
        *_initialisation(cls, built),
        *_input(cls),
        *_submodels(cls),
        *_decisions(cls, built),
    ]
    return "\n\n".join(parts) + "\n"


def _society(cls: Any, study: Study | None) -> tuple[Any, str]:
    """A model before its first event; or None and why there is none."""
    try:
        made = study or Study("odd", cls)
        run = made.check().run_of(next(iter(made.arms)), next(iter(made.answerers)))
        return build_model(run, dict(getattr(cls, "roles", {}))), ""
    except AbmError as error:
        return None, str(error)
    except Exception as error:  # the model's own code
        return None, f"{type(error).__name__}: {error}"


def _purpose(cls: Any) -> list[str]:
    family = _family(cls)
    said = family.description if family is not None and family.description else ""
    said = said or first_sentence(cls.__doc__)
    parts = ["## 1. Purpose and patterns", said or f"{TO_WRITE}: the question of the model."]
    if family is not None and family.source:
        parts.append(f"Sources: {family.source}.")
    return [
        *parts,
        f"{TO_WRITE}: the patterns that the model must reproduce, and how each is tested.",
    ]


def _entities(cls: Any, built: Any, problem: str) -> list[str]:
    parts = ["## 2. Entities, state variables, and scales"]
    if built is None:
        return [*parts, f"{TO_WRITE}: the society could not be built to look at it: {problem}"]
    rows = [row for table in _populations(built) for row in _columns(table)]
    if rows:
        parts.append(
            markdown_table(("column of the population", "type", "range at the start"), rows)
        )
    for kind, agents in _agents(built).items():
        doc = first_sentence(kind.__doc__)
        parts.append(f"**{kind.__name__}** ({len(agents)} at the start). {doc or TO_WRITE}")
        state = _state(agents)
        if state:
            parts.append(markdown_table(("state variable", "type", "at the start"), state))
    network = getattr(built, "network", None)
    if network is not None:
        parts.append(f"**Network**: `{network!r}`")
    duration = next((p for p in cls.Scenario.parameters() if p.name == "duration"), None)
    unit = duration.unit if duration is not None else ""
    parts.append(
        f"Time is continuous{', in ' + unit if unit else ''}; a run lasts `duration`. "
        f"{TO_WRITE}: units and meaning of each state variable, and the spatial scale if any."
    )
    return parts


def _processes(cls: Any, built: Any) -> list[str]:
    parts = [
        "## 3. Process overview and scheduling",
        "Events are ordered by (time, priority, insertion). Within an instant: interventions; "
        "starts and interrupts of processes; `step()`; everything else by insertion; decisions; "
        "observation. A decision perceives when it is raised and acts when its deliberation ends.",
    ]
    listed = [("the model, when it is made", steps(cls.__init__))]
    kinds = _agents(built) if built is not None else {}
    listed += [
        (f"{k.__name__}.life", steps(getattr(k, "life", None))) for k in kinds if _own(k, "life")
    ]
    listed += [
        (f"{k.__name__}.step", steps(getattr(k, "step", None))) for k in kinds if _own(k, "step")
    ]
    listed += [("the model, each step", steps(cls.step))] if "step" in vars(cls) else []
    for title, events in listed:
        if events:
            parts.append(f"{title}:\n\n```\n" + "\n".join(events) + "\n```")
    parts += [_cohort(cohort) for table in _populations(built) for cohort in _cohorts(table)]
    return [*parts, f"{TO_WRITE}: why the processes happen in this order, and what it decides."]


def _cohort(cohort: Any) -> str:
    """Who acts in columns: the doing of a cohort, its rule where it names one, and its size."""
    record, rows = getattr(cohort, "record", None), getattr(cohort, "rows", None)
    doing = f"the rule `{record.rule}` ({record.driver}, {record.schedule})" if record else ""
    doing = (doing or first_sentence(type(cohort).__doc__) or TO_WRITE).rstrip(".")
    many = f", {len(rows):,} agents," if rows is not None else ""
    return (
        f"**{type(cohort).__name__}**{many} acts in columns, on the same clock: {doing}. "
        "Its events are applied before anybody else sees or changes a column."
    )


def _concepts(cls: Any, built: Any) -> list[str]:
    rows = [(d.purpose, d.seed, d.place) for d in draws(cls)]
    rows += [
        (f"decide:{q.id}", "the run's chance seed", f"the draw of an answer ({q.draw})")
        for q in _questions(cls)
    ]
    parts = [
        "## 4. Design concepts",
        *(
            f"- *{name}.* {TO_WRITE}"
            for name in (
                "Basic principles",
                "Emergence",
                "Adaptation",
                "Objectives",
                "Learning",
                "Prediction",
                "Interaction",
                "Collectives",
            )
        ),
        "- *Sensing.* "
        + (
            "Agents are asked from the fields that section 8 lists and see nothing else. "
            if _questions(cls)
            else ""
        )
        + f"{TO_WRITE}: what the rules look at.",
        "- *Stochasticity.* Chance is a function of (seed, purpose, agent, occasion), so what one "
        "purpose draws moves nobody else's chance. Purposes:",
    ]
    none = "No draw was found in the model's files."
    parts.append(markdown_table(("purpose", "seed", "where"), rows) if rows else none)
    observed = ", ".join(f"`{name}`" for name in _outcomes(built))
    return [*parts, f"- *Observation.* Outcomes: {observed or TO_WRITE}."]


def _initialisation(cls: Any, built: Any) -> list[str]:
    rows = [_parameter_row(p) for p in cls.Scenario.parameters()]
    head = ("parameter", "default", "unit", "range", "meaning", "source of the default")
    n = sum(len(agents) for agents in _agents(built).values()) if built is not None else 0
    return [
        "## 5. Initialisation",
        f"{f'{n} agent objects are made. ' if n else ''}Parameters:",
        markdown_table(head, rows),
        f"{TO_WRITE}: how the initial state is made, and from which data.",
    ]


def _input(cls: Any) -> list[str]:
    named = [
        p.name
        for p in cls.Scenario.parameters()
        if any(word in f"{p.name} {p.doc}".lower() for word in ("file", "path", "data"))
    ]
    said = f"Parameters that name data: {', '.join(f'`{n}`' for n in named)}. " if named else ""
    return ["## 6. Input data", f"{said}{TO_WRITE}: what is read during a run, if anything."]


def _submodels(cls: Any) -> list[str]:
    rows = [(file, f"`{name}`", text) for file, name, text in functions(cls)]
    parts = ["## 7. Submodels"]
    if rows:
        parts.append(markdown_table(("file", "function", "what it does"), rows))
    return [*parts, f"{TO_WRITE}: the equations, with their sources."]


def _decisions(cls: Any, built: Any) -> list[str]:
    parts = ["## 8. Decisions (ODD+D)"]
    questions = _questions(cls)
    if not questions:
        return [
            *parts,
            f"No questions are asked: all behaviour is rules. {TO_WRITE}: on which theory.",
        ]
    roles: Mapping[str, Any] = getattr(cls, "roles", {})
    parts += [
        f"Role `{role}` is answered by its rule twin {twin!r} unless a study names another "
        "answerer."
        for role, twin in roles.items()
    ]
    for question in questions:
        parts += _question(question, built)
    missing = (
        "Theoretical and empirical background of the decisions",
        "Why these options, and what an agent may want that is not among them",
        "How far agents differ in deciding (heterogeneity)",
        "Evidence that the prompt means to people what it means to the model",
    )
    return [*parts, *(f"- *{name}.* {TO_WRITE}" for name in missing)]


def _question(question: Any, built: Any) -> list[str]:
    draw = {
        "persistent": "one draw per agent, kept while the distribution is unchanged",
        "fresh": "a new draw each time",
    }[question.draw]
    options = ", ".join(f"`{o}`" for o in question.options or ())
    limit = f"a text of at most {question.text.max_tokens} tokens" if question.text else ""
    perceive = question.perceive
    seen = first_sentence(getattr(perceive, "__doc__", "")) if perceive is not None else ""
    fields = ", ".join(f"`{name}`" for name in question.template.fields)
    parts = [
        f"### {question.id}, version {question.version}",
        f"- answers: {options or limit}\n- draw: {draw}\n- shown fields: {fields or 'none'}\n"
        f"- what the agent knows: {seen or TO_WRITE}",
        "Prompt (`---` separates blocks that are shared):\n\n```\n"
        + "\n---\n".join(block.rstrip("\n") for block in question.template.blocks)
        + "\n```",
    ]
    example = _example(question, built)
    return (
        [*parts, f"As the first agent that can be asked would read it:\n\n```\n{example}\n```"]
        if (example)
        else parts
    )


def _example(question: Any, built: Any) -> str:
    """The prompt of the first agent who can be asked before the run starts; empty if none can."""
    for agent in list(getattr(built, "agents", ()))[:5]:
        with suppress(Exception):  # an agent need not have what every question looks at
            return str(question.preview(agent).request.prompt.text).rstrip()
    return ""


def _questions(cls: Any) -> Sequence[Any]:
    return tuple(getattr(cls, "questions", ()) or ())


def _populations(built: Any) -> list[Any]:
    return [
        value
        for value in (vars(built).values() if built is not None else ())
        if hasattr(value, "columns") and hasattr(value, "n") and hasattr(value, "keys")
    ]


def _cohorts(table: Any) -> tuple[Any, ...]:
    """What moves the columns; no public name, because every public name is one column fewer."""
    return tuple(table._cohorts)


def _columns(table: Any) -> Iterable[tuple[str, str, str]]:
    for name in table.columns:
        yield f"`{name}`", str(table[name].dtype), _span(table[name])


def _agents(built: Any) -> dict[type, list[Any]]:
    found: dict[type, list[Any]] = {}
    for agent in getattr(built, "agents", ()):
        found.setdefault(type(agent), []).append(agent)
    return found


def _state(agents: Sequence[Any]) -> list[tuple[str, str, str]]:
    """Public plain attributes of an agent class, with their types and values over its agents."""
    names = [n for n in vars(agents[0]) if not n.startswith("_") and n not in _INHERITED]
    rows = []
    for name in names:
        values = [getattr(agent, name, None) for agent in agents]
        if not callable(values[0]):
            rows.append((f"`{name}`", type(values[0]).__name__, _span(np.array(values, object))))
    return rows


def _span(values: Any) -> str:
    """Lowest to highest value of numbers; else how many different ones."""
    array = np.asarray(values)
    with suppress(TypeError, ValueError):
        numbers = array.astype(float)
        numbers = numbers[np.isfinite(numbers)]
        if numbers.size and array.dtype.kind != "b" and not isinstance(array.flat[0], str | bool):
            low, high = float(numbers.min()), float(numbers.max())
            return f"{low:g}" if low == high else f"{low:.4g} to {high:.4g}"
    different = sorted({str(v) for v in array.ravel().tolist()})
    shown = ", ".join(text[:40] or "(empty)" for text in different[:4])
    return shown if len(different) <= 4 else f"{len(different)} different values"


def _outcomes(built: Any) -> list[str]:
    with suppress(
        Exception
    ):  # before the first event an outcome may have nothing to be computed from
        return [str(name) for name in built.outcomes()]
    return []


def _parameter_row(p: Parameter) -> tuple[str, ...]:
    default = (
        "(required)" if p.default is ... else ("none" if p.default is None else f"{p.default}")
    )
    source = p.source or f"{TO_WRITE}"
    return (f"`{p.name}`", default or '""', p.unit or "—", p.range, p.doc or TO_WRITE, source)


def _own(kind: type, name: str) -> bool:
    return getattr(kind, name, None) is not getattr(Agent, name, None)


def _family(cls: type) -> Family | None:
    return next((f for f in families().values() if f.model == reference(cls)), None)


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown; a bar in a text is escaped."""
    lines = [head, [":--"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(str(c).replace("|", "\\|").replace("\n", " ") for c in line) + " |"
        for line in lines
    )


def own_odd(cls: type) -> Path | None:
    """The ODD that the model's own folder holds, if there is one."""
    return next((f.parent / "ODD.md" for f in modules(cls) if (f.parent / "ODD.md").exists()), None)
