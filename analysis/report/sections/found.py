"""What was found: means, effects of arms, effects by group, what the model added, comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from abm.analysis.report import results
from abm.analysis.report.comparing import Comparison
from abm.analysis.report.document import Block, Items, Section, TableBlock, Text
from abm.analysis.report.groups import by_group, group_differences, group_effects
from abm.analysis.report.material import Material
from abm.analysis.report.moved import moved
from abm.analysis.report.sections.wording import (
    comparison_table,
    effect_table,
    estimate_text,
    incomplete,
    reading,
    short,
)
from abm.analysis.tables import spread

__all__ = ["compared", "heterogeneity", "main_results"]

PER_TABLE = 4
MOST_NOTES = 12
MOST_GROUP_ROWS = 24
"""Rows of a table by group on the page; a longer one is cut to those of the smallest p."""
OWN = "The model's own table: without the error of sampled answers, unless it says otherwise."


def main_results(
    material: Material,
    level: float,
    control: str | None = None,
    folder: Path | None = None,
    prefix: str = "",
) -> Section:
    """Means, effects of arms, and what the model added; whole tables by group go to `folder`."""
    blocks: list[Block] = []
    table = results.means(material, level)
    caption = (
        f"Means over replications ({results.counted(table)}). {reading(table)}"
        + " Intervals of parts of a whole are cut to 0 to 1." * bool(results.wholes(material))
    )
    for outcomes in _chunks(material.main_outcomes, PER_TABLE):
        part = table.filter(pl.col("outcome").is_in(outcomes))
        blocks.append(TableBlock(_wide(part, material, outcomes), caption))
    blocks += _incomplete(table, material)
    left = len(material.outcome_names) - len(material.main_outcomes)
    if left:
        blocks.append(Text(f"{left} further outcomes are in outcomes.csv beside this page."))
    sections = [
        *_effects(material, level, control),
        *heterogeneity(material, level, control, folder, prefix),
        *_added(material, level, control),
        *moved(material),
        *_own_tables(material),
    ]
    return Section("Results", tuple(blocks), tuple(sections))


def _effects(material: Material, level: float, control: str | None) -> list[Section]:
    """Effects of the arms; nothing with one arm."""
    effects = results.effects(material, level, control)
    if not effects.height:
        return []
    base = material.written(control or material.control)
    caption = (
        f"Differences to {base} within replications. {reading(effects)} Correlation: what common "
        "random numbers achieved. p: Holm, over the table. Detectable: the smallest true effect "
        "that so many pairs find with 80 % power."
    )
    shown = effect_table(effects, material, ["answerer", "arm", "outcome"])
    blocks = (TableBlock(shown, caption), *_incomplete(effects, material))
    return [Section(f"Effects against {base}", blocks)]


def heterogeneity(
    material: Material,
    level: float,
    control: str | None = None,
    folder: Path | None = None,
    prefix: str = "",
) -> list[Section]:
    """Effects by group and the differences between groups; nothing where runs have no groups.

    Parameters
    ----------
    folder
        Where the whole tables are written, as `effects_by_group.csv` and `differences_by_group.csv`
        after the prefix; the page shows those rows of a long table that have the smallest p.
    """
    means = by_group(material)
    if not means.height:
        return []
    base = material.written(control or material.control)
    effects = group_effects(material, means, level, control)
    gaps = group_differences(material, means, level, control)
    heads = ["answerer", "factor", "group", "arm", "measure"]
    caption = f"Differences to {base} in the mean of each group. {reading(effects)} p: Holm."
    name = f"{prefix}effects_by_group.csv"
    blocks = [
        Text(_about_groups(material)),
        *_longest(effects, material, heads, caption, folder and folder / name),
    ]
    if gaps.height:
        heads = ["answerer", "factor", "group", "reference", "arm", "measure"]
        caption = (
            f"Effect of the arm in the group minus that in the reference group. {reading(gaps)} "
            "p: Holm."
        )
        name = f"{prefix}differences_by_group.csv"
        blocks += _longest(gaps, material, heads, caption, folder and folder / name)
    return [Section("Heterogeneity by group", tuple(blocks))]


def _longest(
    table: pl.DataFrame, material: Material, heads: list[str], caption: str, file: Path | None
) -> list[Block]:
    """A table of which a page shows so many rows, those of the smallest p, and all in a file."""
    if file is not None:
        table.write_csv(file)
    shown, said = table, ""
    if table.height > MOST_GROUP_ROWS and file is not None:
        ranked = table.with_row_index("\x00row").sort("p_adjusted", "p_value", nulls_last=True)
        shown = ranked.head(MOST_GROUP_ROWS).sort("\x00row").drop("\x00row")
        which = "with the smallest p" if table["p_adjusted"].is_finite().any() else "in front"
        said = f" The {shown.height} of {table.height} rows {which}; all: {file.name}."
    made = TableBlock(effect_table(shown, material, heads), caption + said)
    return [made, *_incomplete(table, material)]


def _about_groups(material: Material) -> str:
    left_out = bool(material.with_sampled) and not material.redraws.height
    return (
        "Groups are columns that no arm changes. Whether an arm acts differently in two groups "
        "is read from the second table, the difference between its effects within "
        "replications, never from two intervals beside each other. Looking at many groups "
        "finds some difference by chance: p is corrected over each table."
        + " The error of sampled answers is not in these."
        * left_out
    )


def _added(material: Material, level: float, control: str | None) -> list[Section]:
    """Answerers against the rule twin; nothing without both."""
    added = results.added(material, level, control)
    if not added.height:
        return []
    shown = added.with_columns(
        pl.col("quantity").replace({"level": "outcome", "effect": "effect of the arm"})
    )
    words = Text(
        "The rule twin answered the same questions with the same random numbers. Where an "
        "effect of an arm differs from the twin's, the finding needed the language model; "
        "where it does not, the rule would have given it too."
    )
    table = TableBlock(
        effect_table(shown, material, ["answerer", "quantity", "arm", "outcome"]),
        f"Answerers minus the rule twin. {reading(added)} p: Holm, over outcomes and over effects.",
    )
    return [Section("What the language model added", (words, table, *_incomplete(added, material)))]


def _own_tables(material: Material) -> list[Section]:
    """Tables of the model's own, which know nothing of redrawn answers."""
    caption = OWN if material.with_sampled else ""
    return [Section(title, (TableBlock(table, caption),)) for title, table in material.parts.tables]


def compared(comparison: Comparison, material: Material) -> Section:
    """A comparison of two sets of runs."""
    blocks: list[Block] = [
        Text(f"{comparison.second} minus {comparison.first}."),
        TableBlock(comparison_table(comparison, material), reading(comparison.table)),
        *_incomplete(comparison.table, material),
    ]
    if comparison.differs:
        blocks.append(TableBlock(_differs(comparison), "In what the two differ."))
    if comparison.notes:
        blocks.append(Items(tuple(f"{note}." for note in comparison.notes)))
    return Section(f"{comparison.second} against {comparison.first}", tuple(blocks))


def _incomplete(table: pl.DataFrame, material: Material) -> list[Block]:
    """What did not enter the rows of a table, or why they have no interval; perhaps nothing."""
    found = incomplete(table, material)
    more = [f"and {len(found) - MOST_NOTES} more."] * (len(found) > MOST_NOTES)
    return [Items((*found[:MOST_NOTES], *more))] if found else []


def _wide(part: pl.DataFrame, material: Material, outcomes: Sequence[str]) -> pl.DataFrame:
    cells = [
        {
            "answerer": material.written(row["answerer"]),
            "arm": material.written(row["arm"]),
            "outcome": material.titled(row["outcome"]),
            "text": estimate_text(row),
        }
        for row in part.iter_rows(named=True)
    ]
    table = spread(pl.DataFrame(cells), rows=("answerer", "arm"), columns="outcome", values="text")
    columns = [material.titled(name) for name in outcomes]
    return table.select("answerer", "arm", *columns)


def _differs(comparison: Comparison) -> pl.DataFrame:
    names = ["what", comparison.first, comparison.second]
    rows = [[short(value, 80) for value in row] for row in comparison.differs]
    return pl.DataFrame(rows, schema=names, orient="row")


def _chunks(names: Sequence[str], size: int) -> list[list[str]]:
    return [list(names[start : start + size]) for start in range(0, len(names), size)]
