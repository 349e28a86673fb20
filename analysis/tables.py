"""Tables for people: digits that the uncertainty supports, as text, Markdown, LaTeX or Rich.

`readable` merges an estimate with its interval into one column, `spread` puts one factor into
columns, and `to_markdown`, `to_latex`, `to_csv` and `to_rich` write what results.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl
from rich.table import Table

from abm.analysis.numbers import interval_text
from abm.errors import AnalysisError, require

__all__ = [
    "cells",
    "declared_letters",
    "escape_latex",
    "number_columns",
    "readable",
    "spread",
    "to_csv",
    "to_latex",
    "to_markdown",
    "to_rich",
]

_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "−": r"$-$",
    "±": r"$\pm$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "≠": r"$\neq$",
    "≈": r"$\approx$",
    "→": r"$\rightarrow$",
    "∞": r"$\infty$",
    "√": r"$\surd$",
    "µ": r"$\mu$",
    "²": r"\textsuperscript{2}",
    "³": r"\textsuperscript{3}",
    "\u00a0": "~",
    "\u202f": r"\,",
    "\u2009": r"\,",
    "\u200b": r"\allowbreak{}",
    '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}",
    "×": r"$\times$",
    "…": r"\ldots{}",
    "—": "---",
    "–": "--",
}

_KNOWN = frozenset("‐‑–—‘’‚“”„†‡•…‰‹›€™−≤≥≠≈→∞√\u202f\u2009\u200b")
_CAPITALS = frozenset(
    ("gamma", "delta", "theta", "lambda", "xi", "pi", "sigma", "upsilon", "phi", "psi", "omega")
)
_GREEK = _CAPITALS | frozenset(
    ("alpha", "beta", "epsilon", "zeta", "eta", "iota", "kappa", "mu", "nu", "rho", "tau", "chi")
)


def readable(
    table: pl.DataFrame,
    *,
    estimate: str = "estimate",
    low: str = "low",
    high: str = "high",
    into: str | None = None,
    scale: float = 1.0,
    keep: Sequence[str] | None = None,
) -> pl.DataFrame:
    """Merge estimate and interval into one text column, with the digits that the width supports.

    Parameters
    ----------
    into
        Name of the text column; by default the name of `estimate`, with the level of the interval
        when the table has one column `level`.
    scale
        Factor before printing: 100 for percentages.
    keep
        Columns to keep before it; by default all that stand before `estimate`.

    Examples
    --------
    >>> effects = pl.DataFrame({"arm": ["b"], "estimate": [0.12345], "low": [0.089],
    ...                         "high": [0.158], "level": [0.95]})
    >>> readable(effects).rows(named=True)
    [{'arm': 'b', 'estimate [95 % interval]': '0.123 [0.089, 0.158]'}]
    """
    missing = [name for name in (estimate, low, high) if name not in table.columns]
    require(not missing, AnalysisError, f"the table lacks {missing}; it has {table.columns}")
    kept = list(keep) if keep is not None else table.columns[: table.columns.index(estimate)]
    triples = zip(*(table[name].to_list() for name in (estimate, low, high)), strict=True)
    texts = [interval_text(*triple, scale=scale) for triple in triples]
    return table.select(kept).with_columns(pl.Series(into or _title(table, estimate), texts))


def spread(
    table: pl.DataFrame, *, rows: str | Sequence[str], columns: str, values: str
) -> pl.DataFrame:
    """One row per value of `rows`, one column per value of `columns`; an absent cell is an em dash.

    Examples
    --------
    >>> long = pl.DataFrame({"arm": ["a", "a"], "outcome": ["x", "y"], "text": ["1", "2"]})
    >>> spread(long, rows="arm", columns="outcome", values="text").rows()
    [('a', '1', '2')]
    """
    index = [rows] if isinstance(rows, str) else list(rows)
    chosen = table.select(*index, columns, values)
    twice = chosen.select(pl.struct(*index, columns).is_duplicated().any()).item()
    require(
        not twice,
        AnalysisError,
        f"several values for one cell of {index} x {columns!r}: name more columns in rows",
    )
    wide = chosen.pivot(on=columns, index=index, values=values)
    return wide.with_columns(pl.col(pl.String).exclude(index).fill_null("—"))


def to_markdown(table: pl.DataFrame, *, caption: str = "") -> str:
    """A Markdown table; columns of numbers are set flush right.

    Examples
    --------
    >>> print(to_markdown(pl.DataFrame({"arm": ["a"], "n": [10]})))
    | arm | n |
    | :-- | --: |
    | a | 10 |
    """
    marks = ["--:" if right else ":--" for right in number_columns(table)]
    lines = [table.columns, marks, *cells(table)]
    text = "\n".join("| " + " | ".join(_pipe(cell) for cell in line) + " |" for line in lines)
    return f"{text}\n\n{caption}" if caption else text


def to_latex(
    table: pl.DataFrame, *, caption: str = "", label: str = "", wrap: int | None = None
) -> str:
    """A LaTeX table with the rules of the package booktabs; texts are escaped.

    Parameters
    ----------
    wrap
        Letters from which the texts of a column are set in lines of about that many letters; needs
        the package array.

    Examples
    --------
    >>> print(to_latex(pl.DataFrame({"arm": ["a_b"], "n": [10]})))
    \\begin{tabular}{lr}
    \\toprule
    arm & n \\\\
    \\midrule
    a\\_b & 10 \\\\
    \\bottomrule
    \\end{tabular}
    """
    texts = [table.columns, *cells(table)]
    align = "".join(
        "r" if right else _column(column, wrap)
        for right, column in zip(number_columns(table), zip(*texts, strict=True), strict=True)
    )
    head, *body = (_row(line if wrap is None else map(_breakable, line)) for line in texts)
    rules = [rf"\begin{{tabular}}{{{align}}}", r"\toprule", head, r"\midrule", *body]
    lines = [*rules, r"\bottomrule", r"\end{tabular}"]
    if caption or label:
        titles = [rf"\caption{{{escape_latex(caption)}}}"] * bool(caption)
        titles += [rf"\label{{{label}}}"] * bool(label)
        lines = [r"\begin{table}", r"\centering", *titles, *lines, r"\end{table}"]
    return "\n".join(lines)


def to_csv(table: pl.DataFrame) -> str:
    """The table as CSV with all digits, for machines.

    Examples
    --------
    >>> to_csv(pl.DataFrame({"arm": ["a"], "share": [0.25]}))
    'arm,share\\na,0.25\\n'
    """
    return table.write_csv()


def to_rich(
    table: pl.DataFrame,
    *,
    title: str = "",
    caption: str = "",
    names: Mapping[str, str] | None = None,
) -> Table:
    """A Rich table for the terminal.

    Examples
    --------
    >>> to_rich(pl.DataFrame({"arm": ["a"], "n": [10]})).row_count
    1
    """
    made = Table(title=title or None, caption=caption or None, title_justify="left")
    for name, right in zip(table.columns, number_columns(table), strict=True):
        shown = (names or {}).get(name, name)
        made.add_column(_plain(shown), justify="right" if right else "left")
    for line in cells(table):
        made.add_row(*map(_plain, line))
    return made


def _title(table: pl.DataFrame, estimate: str) -> str:
    levels = table["level"].unique().to_list() if "level" in table.columns else []
    return f"{estimate} [{100 * levels[0]:g} % interval]" if len(levels) == 1 else estimate


def number_columns(table: pl.DataFrame) -> list[bool]:
    """Which columns hold numbers, also written as text such as `0.12 [0.05, 0.19]`."""
    return [_is_number_column(table[name]) for name in table.columns]


def _is_number_column(values: pl.Series) -> bool:
    if values.dtype.is_numeric():
        return True
    texts = [text for text in values.to_list() if text not in ("—", "undefined")]
    pattern = r"(< )?[-−]?\d[\d,]*(\.\d+)?( %)?( \[.*\]| \(no spread\))?"
    return bool(texts) and all(re.fullmatch(pattern, str(text)) for text in texts)


def cells(table: pl.DataFrame) -> list[list[str]]:
    """The table as texts, row by row.

    Examples
    --------
    >>> cells(pl.DataFrame({"arm": ["a", None], "share": [0.25, float("nan")]}))
    [['a', '0.25'], ['—', 'undefined']]
    """
    return [[_cell(value) for value in row] for row in table.iter_rows()]


def _cell(value: Any) -> str:
    if value is None:
        return "—"
    if isinstance(value, float):
        return "undefined" if value != value else f"{value:.4g}"
    return str(value)


def _pipe(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _plain(text: str) -> str:
    """Escape the brackets that Rich would read as styles."""
    return text.replace("[", r"\[")


def escape_latex(text: str) -> str:
    """Text in which nothing is a command of LaTeX, on one line.

    Letters that no font of pdfLaTeX has stay as they are; `declared_letters` makes it take them.

    Examples
    --------
    >>> print(escape_latex("50 % of a_b, --all"))
    50 \\% of a\\_b, -{}-all
    """
    plain = re.sub(r"[ \t\r\n\f\v]+", " ", text)
    kept = (letter for letter in plain if letter in _LATEX or letter.isprintable())
    escaped = "".join(_LATEX.get(letter, letter) for letter in kept)
    return re.sub("-(?=-)", "-{}", escaped)


def declared_letters(text: str) -> list[str]:
    """Lines for the head of a document that let pdfLaTeX print letters beyond the Latin ones.

    Greek letters are set in mathematics; of others the place in Unicode is printed. XeLaTeX and
    LuaLaTeX need no such lines, and a font that has the letters.

    Examples
    --------
    >>> for line in declared_letters("aβ漢"):
    ...     print(line)
    \\DeclareUnicodeCharacter{03B2}{\\ensuremath{\\beta}}
    \\DeclareUnicodeCharacter{6F22}{\\texttt{U+6F22}}
    """
    beyond = sorted({letter for letter in text if ord(letter) >= 0x180 and letter not in _KNOWN})
    return [rf"\DeclareUnicodeCharacter{{{ord(x):04X}}}{{{_stand_in(x)}}}" for x in beyond]


def _stand_in(letter: str) -> str:
    match unicodedata.name(letter, "").lower().replace("lamda", "lambda").split():
        case ["greek", size, "letter", word] if word in (_GREEK if size == "small" else _CAPITALS):
            return rf"\ensuremath{{\{word if size == 'small' else word.capitalize()}}}"
    return rf"\texttt{{U+{ord(letter):04X}}}"


def _column(texts: Sequence[str], wrap: int | None) -> str:
    """`l`, or lines of `wrap` letters where a text is longer; a letter is about 0.5 em wide."""
    longest = max(map(len, texts))
    if wrap is None or longest <= wrap:
        return "l"
    return rf">{{\raggedright\arraybackslash}}p{{{0.5 * wrap:g}em}}"


def _breakable(text: str) -> str:
    """Long words, such as fingerprints, with places (zero-width spaces) where a line may end."""

    def broken(word: re.Match[str]) -> str:
        parted = re.sub(r"(?<=[;:=|/,._])(?=.)", "\u200b", word.group())
        return re.sub(r"[^\u200b]{20}(?=[^\u200b])", lambda run: f"{run.group()}\u200b", parted)

    return re.sub(r"\S{25,}", broken, text)


def _row(line: Iterable[str]) -> str:
    """One row; a bracket or star at its start would be read as an argument of the row before."""
    made = " & ".join(map(escape_latex, line))
    return ("{}" if made.startswith(("[", "*")) else "") + made + r" \\"
