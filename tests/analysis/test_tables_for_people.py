"""Tables: the digits that the uncertainty supports, in four formats."""

import io
import math

import polars as pl
import pytest
from rich.console import Console

from abm.analysis.tables import readable, spread, to_csv, to_latex, to_markdown, to_rich
from abm.errors import AnalysisError

EFFECTS = pl.DataFrame(
    {
        "arm": ["a", "a", "b", "b"],
        "outcome": ["x_1", "y", "x_1", "y"],
        "estimate": [0.123456, 12.3456, math.nan, -0.5],
        "low": [0.1, 10.0, math.nan, math.nan],
        "high": [0.15, 15.0, math.nan, math.nan],
        "level": [0.95] * 4,
    }
)


def test_digits_are_those_that_the_interval_supports():
    texts = readable(EFFECTS)["estimate [95 % interval]"].to_list()
    assert texts == ["0.123 [0.100, 0.150]", "12.3 [10.0, 15.0]", "undefined", "-0.500"]


def test_one_factor_goes_into_columns_and_an_absent_cell_is_a_dash():
    text = readable(EFFECTS.head(3), into="text")
    wide = spread(text, rows="arm", columns="outcome", values="text")
    assert wide.columns == ["arm", "x_1", "y"]
    assert wide.row(1) == ("b", "undefined", "—")


def test_two_values_for_one_cell_are_refused():
    text = readable(EFFECTS, into="text").with_columns(answerer=pl.lit("rule"))
    with pytest.raises(AnalysisError, match="one cell"):
        spread(text, rows="arm", columns="answerer", values="text")


def test_latex_is_escaped_and_uses_booktabs():
    made = to_latex(readable(EFFECTS, into="50 % & more"), caption="A_b", label="tab:a")
    assert r"x\_1" in made
    assert r"50 \% \& more" in made
    assert r"\caption{A\_b}" in made
    assert made.count(r"\\") == 5
    for rule in ("toprule", "midrule", "bottomrule"):
        assert made.count(rule) == 1


def test_markdown_has_one_line_per_row_and_escapes_bars():
    made = to_markdown(pl.DataFrame({"name": ["a|b"], "n": [3]})).splitlines()
    assert made == ["| name | n |", "| :-- | --: |", "| a\\|b | 3 |"]


def test_csv_keeps_all_digits():
    assert "0.123456" in to_csv(EFFECTS)


def test_the_terminal_shows_brackets_as_they_are():
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(to_rich(readable(EFFECTS), title="Effects"))
    assert "0.123 [0.100, 0.150]" in console.export_text()


def test_a_table_without_an_interval_is_refused():
    with pytest.raises(AnalysisError, match="low"):
        readable(EFFECTS.drop("low"))
