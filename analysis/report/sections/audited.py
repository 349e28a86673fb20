"""How much the wording mattered, and what the rule twin would have said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from abm.analysis.numbers import number_text, percent_text
from abm.analysis.report.document import Block, Items, Section, TableBlock, Text
from abm.analysis.report.limits import audits_of
from abm.analysis.report.material import Material

__all__ = ["audits"]

Audits = Sequence[Mapping[str, Any]]


def audits(material: Material) -> Section:
    """The audits that were made, or that none was."""
    found = audits_of(material)
    if not found:
        said = (
            "No audit was made of these runs."
            if material.language_models
            else "No language model answered, so there is no wording to audit."
        )
        return Section("Audits", (Text(said),))
    notes = [
        f"{audit['kind']} of {audit['run']}: {text}" for audit in found for text in audit["notes"]
    ]
    blocks: list[Block] = [*_questions(found), *_outcomes(found, material)]
    return Section("Audits", (*blocks, *([Items(tuple(notes))] if notes else [])))


def _questions(found: Audits) -> list[TableBlock]:
    """How far the answers to each question moved."""
    rows = [
        {
            "audit": audit["kind"],
            "run": audit["run"],
            "question": row["question"],
            "requests": row["requests"],
            "variants": row["variants"],
            "total variation (mean)": number_text(row["mean_tv"], 0.01),
            "largest": number_text(row["max_tv"], 0.01),
            "other first choice": percent_text(row["other_mode"]),
        }
        for audit in found
        for row in audit["questions"]
    ]
    caption = (
        "Recorded requests asked again with other words, another order of options, coarser or "
        "finer fields, or of the rule twin. Total variation: share of probability that moves, 0 to "
        "1, weighted by how often the request decided."
    )
    return [TableBlock(pl.DataFrame(rows), caption)] if rows else []


def _outcomes(found: Audits, material: Material) -> list[TableBlock]:
    """What became of the outcomes of runs that were repeated with other words."""
    rows = [
        {
            "audit": audit["kind"],
            "run": audit["run"],
            "variant": row["variant"],
            "outcome": name,
            "recorded": number_text(row["recorded"][name], 1e-3),
            "change": number_text(row["changed"][name] - row["recorded"][name], 1e-3),
        }
        for audit in found
        for row in audit.get("outcomes", [])
        for name in material.main_outcomes
        if name in row["changed"]
    ]
    caption = (
        "Outcomes when the whole run is repeated with the variant's words and the same random "
        "numbers."
    )
    return [TableBlock(pl.DataFrame(rows), caption)] if rows else []
