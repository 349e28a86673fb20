"""`abm bench llm`: what the batching is worth, as ratios against named alternatives.

Each module of `MODULES` has a tuple `ROWS` of functions `Setting -> figures`. A further row is a
function in one of them, or a module of its own added here.
"""

from __future__ import annotations

from importlib import import_module

from abm.llm.bench.figures import Figure, Row, Setting

__all__ = ["MODULES", "Figure", "Row", "Setting", "rows"]

MODULES: tuple[str, ...] = (
    "abm.llm.bench.model_rows",
    "abm.llm.bench.main_job",
    "abm.llm.bench.society",
)


def rows() -> dict[str, Row]:
    """All rows by name (that of the function), in the order of the table."""
    found = [row for name in MODULES for row in import_module(name).ROWS]
    return {row.__name__: row for row in found}
