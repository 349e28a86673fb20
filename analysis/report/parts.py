"""What a model says about its own studies: its question, its main outcomes, its own figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import polars as pl
from matplotlib.figure import Figure

from abm.errors import AnalysisError, require

__all__ = ["Drawing", "Parts", "as_parts"]


@dataclass(frozen=True)
class Drawing:
    """A figure with the table it draws and the words beneath it. `name` is a plain file name."""

    name: str
    figure: Figure
    table: pl.DataFrame
    caption: str


@dataclass(frozen=True)
class Parts:
    """What a model adds to the report of a study. Everything may be left out.

    A model class returns it, or a mapping with some of its names, from the class method
    ``report_parts(study)``; `study` is what `abm.load` gives.

    Attributes
    ----------
    question
        What the study asks, in a sentence or two.
    outcomes
        The main outcomes, in order; otherwise the report takes the first that vary.
    control
        The arm to which effects are differences; the first arm otherwise.
    twin
        The answerer that is the rule twin, if it is called something else than `rule`.
    names
        Arm, answerer or outcome -> how it is written; a group as `factor.group`.
    units
        Outcome -> its unit.
    fidelity, diversity
        Outcomes that measure closeness to data, and outcomes that measure how different agents are.
        A report with the first and without the second says what is missing.
    groups
        Columns of the table of agents by which effects are shown, such as a party; otherwise the
        report takes up to three columns of words that no arm changes.
    tables
        (title, table) pairs of the model's own.
    figures
        The model's own figures, beside those that every study gets.
    notes
        Sentences for the section on limits.

    Examples
    --------
    >>> Parts(question="Do labels help?", outcomes=("shared",)).outcomes
    ('shared',)
    """

    question: str = ""
    outcomes: Sequence[str] = ()
    control: str = ""
    twin: str = "rule"
    names: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    fidelity: Sequence[str] = ()
    diversity: Sequence[str] = ()
    groups: Sequence[str] = ()
    tables: Sequence[tuple[str, pl.DataFrame]] = ()
    figures: Sequence[Drawing] = ()
    notes: Sequence[str] = ()


def as_parts(given: Any, model: str = "the model") -> Parts:
    """Parts from what a model's `report_parts` returned.

    Examples
    --------
    >>> as_parts({"question": "Do labels help?"}).question
    'Do labels help?'
    """
    if isinstance(given, Parts):
        return given
    known = [one.name for one in fields(Parts)]
    require(
        isinstance(given, Mapping) and set(given) <= set(known),
        AnalysisError,
        f"report_parts of {model} returned {given!r:.200}, expected abm.analysis.report.Parts or "
        f"a mapping with some of {known}",
    )
    return Parts(**given)
