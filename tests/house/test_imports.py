"""Imports point one way: see the table of folders in the README."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODELS = {"abm.models", "abm.calibration", "abm.analysis"}
FORBIDDEN = {
    "abm": MODELS,
    "abm/engine": MODELS | {"abm.llm", "abm.studies", "abm.cli", "abm.ledger"},
    "abm/population": MODELS | {"abm.llm", "abm.studies", "abm.cli", "abm.ledger"},
    "abm/networks": MODELS | {"abm.llm", "abm.studies", "abm.cli", "abm.ledger", "abm.engine"},
    "abm/questions": MODELS | {"abm.llm", "abm.studies", "abm.cli", "abm.ledger"},
    "analysis": {"abm.models", "abm.engine", "abm.studies", "abm.population", "abm.llm"},
    "analysis/report": {"abm.models", "abm.population", "abm.llm"},
    "calibration": {"abm.models", "abm.engine"},
}
OWN_RULES = {"analysis": {"analysis/report"}}
"""Folders in a folder that have a rule of their own: reports replay runs, measures see tables."""


def imported(path: Path) -> set[str]:
    """Names of the modules that a file imports, at any depth of its code."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("folder", sorted(FORBIDDEN))
def test_imports_point_one_way(folder):
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in (ROOT / folder).rglob("*.py")
        if not any(path.is_relative_to(ROOT / own) for own in OWN_RULES.get(folder, ()))
        for name in imported(path)
        if any(name == bad or name.startswith(bad + ".") for bad in FORBIDDEN[folder])
    ]
    assert not wrong
