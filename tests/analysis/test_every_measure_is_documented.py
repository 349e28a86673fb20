"""Every public measure names its source, says what it returns, and is exported and on the page."""

import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import abm.analysis

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "analysis.md").read_text()
OTHERS = [path for path in Path(__file__).parent.glob("test_*.py") if path != Path(__file__)]
TESTS = "\n".join(path.read_text() for path in OTHERS)
FILES = {path.stem for path in (ROOT / "analysis").glob("*.py")}

NO_MEASURES = {"arrays", "command", "numbers", "tables"}
"""Modules that read arguments, write texts or run commands."""

DESIGNS = {"added", "doses", "effects", "equivalence", "heterogeneity", "paired", "planning"} | {
    "redraws",
    "sampled",
}
"""Modules of effects between runs, which have tests and pages of their own."""

PLUMBING = {
    "check_level",
    "fit_cutoff",
    "largest",
    "log_mass",
    "score_residuals",
    "t_halfwidth",
}
"""Parts of measures, neither exported nor on the page; their sources are asked for all the same."""

NO_SOURCE = {"check_level", "draws_in", "scope_of", "with_spread"}
"""Checks of an argument, and what reads or joins results: nothing is measured."""


def modules(but=NO_MEASURES):
    path = abm.analysis.__path__
    names = [module.name for module in pkgutil.iter_modules(path) if not module.ispkg]
    return [name for name in names if name not in but]


def public(kind, but):
    """(module, name) of all functions or classes that a module defines and names in `__all__`."""
    found = []
    for name in modules(but):
        module = importlib.import_module(f"abm.analysis.{name}")
        for member in module.__all__:
            thing = getattr(module, member)
            if kind(thing) and thing.__module__ == module.__name__:
                found.append((name, member))
    return found


FUNCTIONS = public(inspect.isfunction, NO_MEASURES | DESIGNS)
CLASSES = public(inspect.isclass, NO_MEASURES | DESIGNS)
EFFECTS = [name for name in public(inspect.isfunction, NO_MEASURES) if name not in FUNCTIONS]


def page(module, name):
    return inspect.getdoc(getattr(importlib.import_module(f"abm.analysis.{module}"), name)) or ""


def test_the_walk_finds_the_measures():
    names = {name for _, name in FUNCTIONS}
    assert len(names) > 90
    assert {"agreement", "fit_hawkes", "yules_k", "core_periphery", "drift"} <= names


@pytest.mark.parametrize(("module", "name"), FUNCTIONS + EFFECTS)
def test_a_measure_names_its_source_and_has_an_example(module, name):
    text = page(module, name)
    if name in NO_SOURCE:
        return
    assert ">>> " in text, f"{name} has no example"
    source = re.search(r"^References\n-+\n(.*?)(?:\n\n|\Z)", text, re.DOTALL | re.MULTILINE)
    assert source, f"{name} names no source"
    named = re.search(r"\(\d{4}\)", source[1]) or re.search(
        r"Defined here|Those of each|That of `|As `|nothing is estimated", source[1]
    )
    assert named, f"{name}: no year, and not said to be defined here: {source[1]!r}"


@pytest.mark.parametrize(("module", "name"), FUNCTIONS)
def test_a_measure_says_what_is_undefined_or_refused(module, name):
    text = page(module, name).lower()
    words = ("nan", "undefined", "refuse", "raises", "nothing is estimated", "no rows")
    assert any(word in text for word in words), f"{name} does not say when it is undefined"


@pytest.mark.parametrize(("module", "name"), CLASSES)
def test_a_result_describes_its_fields(module, name):
    text = page(module, name)
    fields = getattr(importlib.import_module(f"abm.analysis.{module}"), name).__dataclass_fields__
    missing = [field for field in fields if not re.search(rf"\b{field}\b", text)]
    assert not missing, f"{name} does not describe {missing}"


@pytest.mark.parametrize(("module", "name"), FUNCTIONS)
def test_a_measure_is_exported_named_on_the_page_and_tested(module, name):
    home = importlib.import_module(f"abm.analysis.{module}")
    if name not in PLUMBING and name not in FILES:
        assert getattr(abm.analysis, name) is getattr(home, name)
        assert name in abm.analysis.__all__
    assert re.search(rf"\b{name}\b", TESTS), f"no test mentions {name}"
    if name not in PLUMBING:
        assert re.search(rf"`{name}`|\b{name}\(", PAGE), f"docs/analysis.md does not name {name}"


def test_every_name_at_the_front_door_is_there():
    for name in abm.analysis.__all__:
        assert getattr(abm.analysis, name).__doc__
    with pytest.raises(AttributeError, match="nonsense"):
        _ = abm.analysis.nonsense
