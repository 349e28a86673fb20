"""`abm models` and `abm embedded`: what is installed, and how good the embedded model is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.text import Text

from abm.cli import show
from abm.studies.parameters import Parameter
from abm.studies.registry import families, resolve, studies_of

__all__ = ["describe", "evaluate_embedded", "list_families"]


def list_families() -> None:
    """Print the families that are installed."""
    found = families()
    show.table("", ("model", "what it is"), [(name, f.title) for name, f in found.items()])
    show.console.print()
    show.console.print("abm models NAME describes one; abm run NAME runs it once, by rules")


def describe(name: str) -> None:
    """Print a family or a model class: what it is, its parameters, questions and studies."""
    family = families().get(name)
    cls: Any = resolve(name)
    if family is not None:
        show.console.print(Text(family.title, style="bold"))
        for text in (family.description, f"source: {family.source}" if family.source else ""):
            if text:
                show.console.print(Text(text))
    columns = ("parameter", "default", "range", "unit", "meaning", "source of the default")
    show.console.print()
    show.table("", columns, [_row(p) for p in cls.Scenario.parameters()])
    _show_questions(cls)
    for file in studies_of(name):
        show.console.print(f"study: {name}/{file.stem}   (abm study {name}/{file.stem})")


def _row(p: Parameter) -> tuple[str, ...]:
    default = "required" if p.default is ... else _plain(p.default)
    return (p.name, default, p.range, p.unit, p.doc, p.source)


def _plain(value: Any) -> str:
    if value is None:
        return "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _show_questions(cls: Any) -> None:
    questions = getattr(cls, "questions", ())
    rows = [
        (q.id, q.version, q.draw, " / ".join(q.options) if q.options else "a text")
        for q in questions
    ]
    if rows:
        show.console.print()
        show.table("", ("question", "version", "draw", "answers"), rows)
    roles = getattr(cls, "roles", {})
    if roles:
        show.console.print()
        show.table("", ("role", "rule twin"), [(r, repr(twin)) for r, twin in roles.items()])


def evaluate_embedded(arguments: Sequence[str]) -> None:
    """Print the evaluation of the embedded model."""
    from abm.llm.embedded import evaluate

    evaluate.main(list(arguments))
