"""The report of a calibration whose truth is known: was it found?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from abm.analysis.tables import to_markdown
from abm.calibration.report import posterior_table, write_report

__all__ = ["report_with_truth"]


def report_with_truth(
    result: Any, problem: Any, folder: Path, simulations: Any, truth: Mapping[str, float]
) -> None:
    """Add a table of planted values to REPORT.md, and write `truth.csv` beside it."""
    path = Path(folder) / "REPORT.md"
    if not path.exists():
        write_report(result, problem, folder, simulations)
    table = (
        posterior_table(result)
        .select("parameter", "estimate", "low", "high", "level")
        .with_columns(planted=pl.col("parameter").replace_strict(dict(truth)))
        .with_columns(
            inside=(pl.col("low") <= pl.col("planted")) & (pl.col("planted") <= pl.col("high"))
        )
    )
    table.write_csv(Path(folder) / "truth.csv")
    text = path.read_text(encoding="utf-8").partition("\n## Was the planted")[0]
    text += "\n## Was the planted truth found?\n\n" + to_markdown(table) + "\n"
    path.write_text(text, encoding="utf-8")
