"""Effects in words: tables of estimates as people read them, and what their intervals hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from abm.analysis.numbers import interval_text, number_text
from abm.analysis.redraws import scope_of
from abm.analysis.report import results
from abm.analysis.report.comparing import Comparison
from abm.analysis.report.material import Material

__all__ = [
    "comparison_table",
    "effect_table",
    "estimate_text",
    "reading",
    "short",
    "terminal_tables",
]

NO_SPREAD = "(no spread)"


def effect_table(table: pl.DataFrame, material: Material, heads: Sequence[str]) -> pl.DataFrame:
    """Effects as people read them: one column for estimate and interval."""
    return pl.DataFrame([_effect_row(row, material, heads) for row in table.iter_rows(named=True)])


def _effect_row(row: Mapping[str, Any], material: Material, heads: Sequence[str]) -> dict[str, Any]:
    head = {name: _written(material, name, row) for name in heads}
    unit = material.parts.units.get(row.get("outcome", ""), "") if "outcome" in heads else ""
    head |= {"outcome": f"{head['outcome']} ({unit})"} if unit else {}
    p = "—" if _no_spread(row) else results.p_text(row.get("p_adjusted", row.get("p_value")))
    made = {
        **head,
        f"difference [{100 * row['level']:g} % interval]": estimate_text(row),
        "pairs": row["n"],
        "correlation": _correlation(row["correlation"]),
        "p": p,
    }
    if "detectable" in row:
        made["detectable"] = number_text(row["detectable"], row["detectable"])
    return made | _margin(row)


def _written(material: Material, name: str, row: Mapping[str, Any]) -> str:
    """A value of a row as it is written; a group never takes the name of an answerer or an arm."""
    value = str(row[name])
    if name not in ("group", "reference"):
        return material.written(value)
    own = material.parts.names.get(f"{row['factor']}.{value}")
    taken = value in (*material.answerers, *material.arms)
    return own or (value if taken else material.written(value))


def comparison_table(comparison: Comparison, material: Material) -> pl.DataFrame:
    """A comparison as people read it."""
    heads = [*comparison.cells, "outcome"]
    shown = effect_table(comparison.table, material, heads)
    keep = [name for name in shown.columns if name not in heads]
    if not comparison.paired:
        shown = shown.rename({"pairs": "replications"})
        keep = ["replications" if name == "pairs" else name for name in keep]
        keep = [name for name in keep if name not in ("correlation", "detectable")]
    return shown.with_columns(_both_means(comparison)).select(*heads, "first", "second", *keep)


def _both_means(comparison: Comparison) -> list[pl.Series]:
    """The means of both sets of runs, with the digits that the interval supports."""
    table = comparison.table
    half = (table["high"] - table["low"]).to_list()
    return [
        pl.Series(
            name,
            [number_text(v, (h / 2) or 0.001) for v, h in zip(table[name], half, strict=True)],
        )
        for name in ("first", "second")
    ]


def terminal_tables(comparison: Comparison, material: Material) -> list[tuple[str, pl.DataFrame]]:
    """A comparison in narrow tables, one per cell, each with its title."""
    wide = comparison_table(comparison, material)
    cells = list(comparison.cells)
    narrow = {n: n.split(" [")[0] + " [interval]" for n in wide.columns if " [" in n}
    kept = ["outcome", "first", "second", *narrow, "p", "equivalent"]
    parts = wide.partition_by(cells, as_dict=True, maintain_order=True) if cells else {(): wide}
    made = []
    for key, part in parts.items():
        if "equivalence" in part.columns:
            yes = pl.when(pl.col("equivalence").str.starts_with("shown"))
            part = part.with_columns(
                yes.then(pl.lit("yes")).otherwise(pl.lit("no")).alias("equivalent")
            )
        shown = part.select(name for name in kept if name in part.columns).rename(narrow)
        made.append((", ".join(map(str, key)), shown))
    return made


def estimate_text(row: Mapping[str, Any]) -> str:
    """Estimate and interval; what is the same in all replications has no interval."""
    if _no_spread(row):
        return f"{number_text(row['estimate'], 0.01)} {NO_SPREAD}"
    return interval_text(row["estimate"], row["low"], row["high"])


def _no_spread(row: Mapping[str, Any]) -> bool:
    width = row["high"] - row["low"]
    return bool(row["n"] > 1 and width <= 1e-12 * max(1.0, abs(row["estimate"])))


def _margin(row: Mapping[str, Any]) -> dict[str, str]:
    if row.get("margin") is None:
        return {}
    said = "shown" if row["equivalent"] else "not shown"
    return {"equivalence": f"{said} (± {row['margin']:g}, p {results.p_text(row['p_equivalent'])})"}


def _correlation(value: float | None) -> str:
    return "—" if value is None or value != value else f"{value:.2f}"


def reading(table: pl.DataFrame) -> str:
    """What the intervals are, and what varied and was held fixed."""
    levels = ", ".join(f"{100 * v:g} %" for v in table["level"].unique().sort())
    varied, fixed = scope_of(table)
    same = sum(map(_no_spread, table.iter_rows(named=True)))
    note = (
        f" {NO_SPREAD[1].upper()}{NO_SPREAD[2:-1]}: the same in all replications, so that few of "
        "them cannot tell how far it may vary; not certainty."
    )
    said = f"Intervals: {levels}, Student's t; varied: {varied}; held fixed: {fixed}."
    return said + note * (same > 0)


def short(value: Any, most: int = 120) -> str:
    """A value in one line, cut where it is long."""
    text = f"{value:g}" if isinstance(value, float) else str(value)
    text = text if text else "(empty)"
    return text if len(text) <= most else f"{text[: most - 1]}…"
