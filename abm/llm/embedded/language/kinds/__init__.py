"""All kinds of question: every module in this folder that defines `KINDS` is found by itself."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType

from abm.errors import QuestionError, require
from abm.llm.embedded.language.kind import Kind

__all__ = ["KINDS", "kind_named"]


def _find() -> dict[str, Kind]:
    modules = sorted(module.name for module in iter_modules(__path__))
    kinds = [kind for name in modules for kind in import_module(f"{__name__}.{name}").KINDS]
    return {kind.name: kind for kind in kinds}


KINDS: Mapping[str, Kind] = MappingProxyType(_find())


def kind_named(name: str) -> Kind:
    """The kind of this name, or a QuestionError that lists them."""
    require(
        name in KINDS, QuestionError, f"kind = {name!r}, expected one of {list(KINDS)}", kind=name
    )
    return KINDS[name]
