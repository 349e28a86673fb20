"""What the source of a model says about itself: what it draws, what its agents do in order."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Draw", "draws", "first_sentence", "functions", "modules", "steps"]

_DRAWING = {"chance": 0, "uniform": 0, "uniforms": 1}
"""Function -> place of the purpose among its arguments, when it is a method of model or agent."""
_WAITING = (
    "wait", "wait_until", "timeout", "decide", "ask", "interrupt", "activate", "observe", "process",
    "attach", "call_at", "schedule_event", "schedule_recurring",
)  # fmt: skip


@dataclass(frozen=True)
class Draw:
    """A place in the source that draws: its purpose, and the seed as it is written there."""

    purpose: str
    seed: str
    place: str


def modules(cls: Any) -> list[Path]:
    """The Python files of a model (class or function): its own, and those that it imports from its
    package.

    A package may hold more than one model; what only the others use is left out.
    """
    module = sys.modules.get(cls.__module__)
    file = getattr(module, "__file__", None)
    if file is None:
        return []
    package = getattr(module, "__package__", "") or ""
    found = {Path(file)}
    waiting = [cls.__module__] if package and package != "abm" else []
    while waiting:
        for name in sorted(_imported(waiting.pop(), package)):
            path = _file(name)
            if path is not None and path not in found:
                found.add(path)
                waiting.append(name)
    return sorted(found)


def _imported(name: str, package: str) -> set[str]:
    """Modules of a package that one of them may import: every name that stands in its imports."""
    path = _file(name)
    if path is None:
        return set()
    home = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = home.rsplit(".", node.level - 1)[0] if node.level else ""
            base = ".".join(part for part in (above, node.module) if part)
            found.update({base, *(f"{base}.{alias.name}" for alias in node.names)})
    return {one for one in found if one.startswith(f"{package}.")}


def _file(name: str) -> Path | None:
    """The source file of a module, without importing it; `None` where the name is no module."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    return Path(spec.origin) if spec is not None and spec.origin else None


def draws(cls: Any) -> list[Draw]:
    """Every call of `chance`, `uniform` or `uniforms` in the model's files, in order of purpose."""
    found = []
    for path in modules(cls):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found += [
            Draw(*drawn, f"{path.name}:{node.lineno}")
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and (drawn := _drawn(node)) is not None
        ]
    return sorted(set(found), key=lambda d: (d.purpose, d.place))


def _drawn(call: ast.Call) -> tuple[str, str] | None:
    """(purpose, seed) of a call that draws."""
    function = call.func
    name = getattr(function, "attr", getattr(function, "id", ""))
    if name not in _DRAWING or not call.args:
        return None
    own = isinstance(function, ast.Attribute) and ast.unparse(function.value) != "abm"
    place = 0 if own and name != "uniforms" else 1
    if len(call.args) <= place:
        return None
    purpose, seed = call.args[place], "the run's chance seed"
    if place:
        seed = ast.unparse(call.args[0])
    return _words(purpose), seed


def _words(node: ast.expr) -> str:
    """A purpose as text; what is filled in at run time stands in braces."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else "{...}" for part in node.values
        )
    return f"{{{ast.unparse(node)}}}"


def steps(function: object) -> list[str]:
    """What a `life`, `step` or constructor does with the clock, in the order it is written."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))  # type: ignore[arg-type]
    except (OSError, TypeError, SyntaxError):
        return []
    return [text for node in tree.body for text in _events(node, 0)]


def _events(node: ast.AST, depth: int) -> Iterator[str]:
    if isinstance(node, ast.While | ast.For):
        inside = [
            text for child in ast.iter_child_nodes(node) for text in _within(child, depth + 1)
        ]
        head = "for ever" if _is_endless(node) else "in a loop"
        yield from [f"{'  ' * depth}{head}:", *inside] if inside else []
        return
    for child in ast.iter_child_nodes(node):
        yield from _within(child, depth)


def _within(node: ast.AST, depth: int) -> Iterator[str]:
    """The node itself if it touches the clock; else what is inside it."""
    name = getattr(node.func, "attr", "") if isinstance(node, ast.Call) else ""
    if name in _WAITING:
        yield f"{'  ' * depth}{ast.unparse(node)}"
        return
    yield from _events(node, depth)


def _is_endless(node: ast.AST) -> bool:
    return isinstance(node, ast.While) and isinstance(node.test, ast.Constant)


def functions(cls: Any) -> list[tuple[str, str, str]]:
    """Documented public functions of the model's files: (file, name, first sentence)."""
    found = []
    for path in modules(cls):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found += [
            (path.name, node.name, first_sentence(ast.get_docstring(node)))
            for node in tree.body
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
        ]
    return [item for item in found if item[2]]


def first_sentence(text: str | None) -> str:
    """The first paragraph of a docstring on one line; empty without one.

    Examples
    --------
    >>> first_sentence("Citizens read.\\n\\n    More.")
    'Citizens read.'
    """
    return " ".join((text or "").strip().split("\n\n")[0].split())
