"""What moves an outcome: its variance over the runs, by arms, answerers and replications."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import polars as pl

from abm.analysis.heterogeneity import variance_shares
from abm.analysis.numbers import percent_text
from abm.analysis.report import results
from abm.analysis.report.document import Section, TableBlock, Text
from abm.analysis.report.material import Material

__all__ = ["moved"]

WORDS = {"arm": "arms", "answerer": "answerers", "replication": "seeds"}
"""Factor -> what varies with it, as the table calls it."""


def moved(material: Material) -> list[Section]:
    """The shares of variance; nothing where fewer than two of the factors vary."""
    frame = results.per_replication(material)
    factors = [name for name in WORDS if frame[name].n_unique() > 1]
    if len(factors) < 2:
        return []
    rows = [_row(material, frame, name, factors) for name in material.main_outcomes]
    table = TableBlock(pl.DataFrame(rows), _caption(material, factors))
    words = Text(
        "How the variance of each outcome over these runs divides: arms are parameters, answerers "
        "are who answers (a language model with its prompt, or rules), seeds are replications "
        f"({', '.join(material.varied) or 'nothing varied'}). It describes exactly these runs, "
        "whose arms were chosen, so no interval is given; effects and their intervals are above."
        + " Prompts were not varied between runs: an audit says what other words do."
        * bool(material.language_models)
    )
    return [Section("What moves the outcomes", (words, table))]


def _caption(material: Material, factors: Sequence[str]) -> str:
    pair = "A pair such as arms × seeds: how much one acts differently with the other"
    rest = "; rest: all three together." if len(factors) > 2 else ", chance included."
    fixed = ", ".join(material.fixed)
    return (
        "Share of the variance by source (Fisher's decomposition of a balanced design), over the "
        f"replications that are complete. {pair}{rest} Held fixed: {fixed}."
    )


def _row(
    material: Material, frame: pl.DataFrame, outcome: str, factors: Sequence[str]
) -> dict[str, Any]:
    whole, sources = _complete(frame, outcome, factors), _sources(factors)
    shares: dict[str, float] = {}
    if whole["replication"].n_unique() > ("replication" in factors):
        found = variance_shares(whole, outcome=outcome, factors=factors)
        shares = dict(zip(found["source"], found["share"], strict=True))
    written = {_written(name): percent_text(shares.get(name, float("nan"))) for name in sources}
    n = whole["replication"].n_unique()
    return {"outcome": material.written(outcome), "replications": n, **written}


def _complete(frame: pl.DataFrame, outcome: str, factors: Sequence[str]) -> pl.DataFrame:
    """The replications in which every combination of the factors has a defined outcome."""
    cells = frame.select(name for name in factors if name != "replication").n_unique()
    defined = frame.filter(pl.col(outcome).is_finite())
    return defined.filter(pl.len().over("replication") == cells)


def _sources(factors: Sequence[str]) -> list[str]:
    pairs = [f"{a} x {b}" for a, b in combinations(factors, 2)]
    return [*factors, *pairs, *(["rest"] if len(factors) > 2 else [])]


def _written(source: str) -> str:
    return " × ".join(WORDS.get(part, part) for part in source.split(" x "))
