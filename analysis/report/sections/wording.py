"""Effects in words: tables of estimates as people read them, and what their intervals hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from abm.analysis.numbers import interval_text, number_text, plain_text
from abm.analysis.redraws import scope_of
from abm.analysis.report import results
from abm.analysis.report.comparing import Comparison
from abm.analysis.report.material import Material

__all__ = [
    "comparison_table",
    "effect_table",
    "estimate_text",
    "incomplete",
    "reading",
    "short",
    "terminal_tables",
]

NO_SPREAD = "(no spread)"
FEW = 4


def effect_table(table: pl.DataFrame, material: Material, heads: Sequence[str]) -> pl.DataFrame:
    """Effects as people read them: one column for estimate and interval."""
    return pl.DataFrame([_effect_row(row, material, heads) for row in table.iter_rows(named=True)])


def _effect_row(row: Mapping[str, Any], material: Material, heads: Sequence[str]) -> dict[str, Any]:
    head = {name: _written(material, name, row) for name in heads}
    head |= {n: material.titled(str(row[n])) for n in ("outcome", "measure") if n in heads}
    p = "—" if _no_spread(row) else results.p_text(row.get("p_adjusted", row.get("p_value")))
    made = {
        **head,
        f"difference [{100 * row['level']:g} % interval]": estimate_text(row),
        "pairs": row["n"],
        "correlation": _correlation(row["correlation"]),
        "p": p,
    }
    if "detectable" in row:
        known = row["detectable"] == row["detectable"]
        made["detectable"] = number_text(row["detectable"], row["detectable"]) if known else "—"
    return made | _margin(row)


def incomplete(table: pl.DataFrame, material: Material) -> list[str]:
    """Which rows of a table of estimates some runs did not enter, and why; one sentence each.

    Rows of one answerer and arm with one reason share a sentence, and so do all rows of a table.
    """
    reasons = table["reason"].unique().to_list()
    if len(reasons) == 1:
        return [f"All rows: {reasons[0]}."] if reasons[0] else []
    heads = [name for name in ("answerer", "quantity", "arm") if name in table.columns]
    inner = ["group", "measure"] if "measure" in table.columns else ["outcome"]
    every: dict[str, int] = {}
    said: dict[tuple[str, str], list[str]] = {}
    for row in table.iter_rows(named=True):
        where = ", ".join(_written(material, name, row) for name in heads)
        every[where] = every.get(where, 0) + 1
        if row["reason"]:
            what = " ".join(_written(material, name, row) for name in inner)
            said.setdefault((where, row["reason"]), []).append(what)
    return [
        f"{where}{_among(names, every[where])}: {reason}."
        for (where, reason), names in said.items()
    ]


def _among(names: Sequence[str], every: int) -> str:
    """Which of the rows are meant: nothing if all are, names if they are few, else how many."""
    if len(names) == every:
        return ""
    return f" ({', '.join(names)})" if len(names) <= FEW else f" ({len(names)} of {every} rows)"


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
            [_mean_text(v, h / 2) for v, h in zip(table[name], half, strict=True)],
        )
        for name in ("first", "second")
    ]


def _mean_text(value: float, half: float) -> str:
    return number_text(value, half) if half > 0 else plain_text(value)


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
            said = pl.col("equivalence")
            none = pl.when(said.str.contains("no spread")).then(pl.lit("no spread"))
            told = none.when(said.str.starts_with("shown")).then(pl.lit("shown"))
            part = part.with_columns(told.otherwise(pl.lit("not shown")).alias("equivalent"))
        shown = part.select(name for name in kept if name in part.columns).rename(narrow)
        made.append((", ".join(map(str, key)), shown))
    return made


def estimate_text(row: Mapping[str, Any]) -> str:
    """Estimate and interval; what is the same in all replications has no interval."""
    if _no_spread(row):
        return f"{plain_text(row['estimate'])} {NO_SPREAD}"
    return interval_text(row["estimate"], row["low"], row["high"])


def _no_spread(row: Mapping[str, Any]) -> bool:
    width = row["high"] - row["low"]
    return bool(row["n"] > 1 and width <= 1e-12 * abs(row["estimate"]))


def _margin(row: Mapping[str, Any]) -> dict[str, str]:
    if row.get("margin") is None:
        return {}
    said = "shown" if row["equivalent"] else "not shown"
    p = "no spread" if _no_spread(row) else f"p {results.p_text(row['p_equivalent'])}"
    needed = row.get("pairs_needed")
    return {
        "equivalence": f"{said} (± {row['margin']:g}, {p})",
        "pairs needed": "—" if needed is None else f"{needed:,}",
    }


def _correlation(value: float | None) -> str:
    return "—" if value is None or value != value else f"{value:.2f}".replace("-0.00", "0.00")


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
