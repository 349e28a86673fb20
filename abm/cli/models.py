"""`abm models` and `abm embedded`: what is installed, and how good the embedded model is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.padding import Padding
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
    show.console.print()
    show.console.print(Text("parameters", style="bold"))
    for p in cls.Scenario.parameters():
        _show_parameter(p)
    _show_questions(cls)
    for file in studies_of(name):
        fits = "[calibration]" in file.read_text(encoding="utf-8")
        kind, command = ("calibration", "calibrate") if fits else ("study", "study")
        show.console.print(f"{kind}: {name}/{file.stem}   (abm {command} {name}/{file.stem})")


def _show_parameter(p: Parameter) -> None:
    """`name = default [unit]   range`, and below it what it means and where the default is from."""
    default = "(required)" if p.default is ... else _plain(p.default)
    unit = f" {p.unit}" if p.unit else ""
    show.console.print(Text.assemble((f"  {p.name}", "bold"), f" = {default}{unit}   {p.range}"))
    if p.doc or p.source:
        source = f" (default: {p.source})" if p.source else ""
        meaning = Padding(Text(f"{p.doc}{source}", style="dim"), (0, 0, 0, 6))
        show.console.print(meaning, soft_wrap=False)


def _plain(value: Any) -> str:
    if value is None:
        return "none"
    return f"{value:g}" if isinstance(value, float) else repr(value)


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


def evaluate_embedded(model: Path | None, per_kind: int, posts: int) -> None:
    """Print the evaluation of the embedded model."""
    from abm.llm.embedded import evaluate

    arguments = ["--per-kind", str(per_kind), "--posts", str(posts)]
    evaluate.main([*arguments, *(["--model", str(model)] if model else [])])
