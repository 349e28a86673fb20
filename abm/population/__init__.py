"""Populations: columns first, agent handles on rows where an agent needs a life of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from abm.population.conditional import draw_columns
from abm.population.households import FittedHouseholds, fit_households
from abm.population.microdata import draw, integerise
from abm.population.population import Population
from abm.population.raking import Raked, fit_table, rake
from abm.population.rows import Rows

if TYPE_CHECKING:
    from abm.population.agents import RowAgent
    from abm.population.settling import CostWarning

__all__ = [
    "CostWarning",
    "FittedHouseholds",
    "Population",
    "Raked",
    "RowAgent",
    "Rows",
    "draw",
    "draw_columns",
    "fit_households",
    "fit_table",
    "integerise",
    "rake",
]


def __getattr__(name: str) -> Any:
    # Handles are Mesa agents; a population without handles needs neither Mesa nor the engine.
    if name == "RowAgent":
        from abm.population.agents import RowAgent

        return RowAgent
    if name == "CostWarning":
        from abm.population.settling import CostWarning

        return CostWarning
    raise AttributeError(f"module 'abm.population' has no attribute {name!r}")
