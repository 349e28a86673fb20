"""LaTeX is well formed whatever people call things: read token by token, as TeX would."""

from __future__ import annotations

import re
import shutil
import subprocess

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from abm.analysis.report.document import Code, Document, Items, Section, TableBlock, Text, Warn
from abm.analysis.report.latex import document_to_latex
from abm.analysis.tables import declared_letters, escape_latex, to_latex

NASTY = [
    "50 % of a_b & c#1",
    "$x^2$ ~ {y} \\begin{center}",
    "[0.1, 0.2]",
    "*starred",
    "--redraws 20",
    "1 < 2 > 0 | 3",
    "naïve Øre čeština",
    "β → ∞ ≠ 漢字 🙂",
    "two\nlines\n\nand a\ttab",
    "",
    "\u202fthin\u00a0space\u200b",
    "sha256=b78f8fa15531a31aeaf6c5416944d321f2bcad83e095fb99f47e771d1b5046bc;weights=F16",
    '`tick` "quoted" ^',
]
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(NASTY)
WORDS = """begin end textbackslash textasciitilde textasciicircum textless textgreater textquotedbl
textasciigrave textsuperscript pm leq geq times ldots neq approx rightarrow infty surd toprule
midrule bottomrule section subsection subsubsection item title date maketitle textbf small par
medskip linewidth textheight documentclass usepackage setlength parindent parskip ifPDFTeX else fi
DeclareUnicodeCharacter ensuremath texttt scriptsize raggedright arraybackslash centering caption
label IfFileExists includegraphics allowbreak
alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi
rho sigma tau upsilon phi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi
Omega"""
COMMANDS = set(WORDS.split())
KNOWN = set("‐‑–—‘’‚“”„†‡•…‰‹›€™")
TABULAR = r"\\begin\{tabular\}\{((?:[^{}]|\{[^{}]*\})*)\}(.*?)\\end\{tabular\}"


def tokens(text):
    """Commands, specials and letters, comments refused: a `%` outside a command is one."""
    return re.findall(r"\\[A-Za-z]+|\\.|\\\n|[{}$&#^_~%]|[^\\{}$&#^_~%]+", text, flags=re.S)


def problems(text):
    """What TeX would stop at in a document of ours; verbatim parts are left out."""
    text = re.sub(r"\\begin\{Verbatim\}.*?\\end\{Verbatim\}", "", text, flags=re.S)
    found, depth, mathematics, places = [], 0, False, []
    for token in tokens(text):
        depth += (token == "{") - (token == "}")
        mathematics ^= token == "$"
        if depth < 0 or token in ("#", "^", "_", "%") or (mathematics and token == "\n"):
            found.append(token)
        if re.match(r"\\[A-Za-z]", token) and token[1:] not in COMMANDS:
            found.append(token)
    for kind, place in re.findall(r"\\(begin|end)\{(\w+)\}", text):
        if kind == "begin":
            places.append(place)
        elif not places or places.pop() != place:
            found.append(f"end of {place}")
    found += [f"open {place}" for place in places]
    if depth or mathematics:
        found.append("open group")
    return found + [p for table in tables(text) for p in table_problems(table)]


def tables(text):
    return re.findall(TABULAR, text, re.S)


def table_problems(table):
    """Rows whose cells are not as many as the columns, and ends of rows that take an argument."""
    align, body = table
    columns = len(re.findall(r"[lrp]", re.sub(r"\{[^{}]*\}", "", align)))
    rows = [line for line in body.strip().split("\n") if line.endswith(r"\\")]
    cells = [len([t for t in tokens(line) if t == "&"]) + 1 for line in rows]
    found = [f"{n} cells in {columns} columns" for n in cells if n != columns]
    return found + [row for row in rows if row.startswith(("[", "*"))]


def document(names):
    table = pl.DataFrame({f"{name}{i}": [name, names[0]] for i, name in enumerate(names)})
    blocks = (Text(names[0]), Items(tuple(names)), Warn((names[-1],)), TableBlock(table, names[0]))
    inner = Section(names[-1], (Code("a % b_c\n{"),))
    return Document(names[0], (names[-1],), (Section(names[0], blocks, (inner,)),))


def test_a_document_of_nasty_names_is_well_formed():
    text = document_to_latex(document(NASTY))
    assert problems(text) == []
    assert r"\DeclareUnicodeCharacter{6F22}" in text.split(r"\begin{document}")[0]
    assert "-{}-redraws" in text


@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_no_text_becomes_a_command_or_another_column(names):
    assert problems(document_to_latex(document(names))) == []


def test_the_checker_finds_what_tex_would_stop_at():
    good = document_to_latex(document(["a"]))
    for broken in (
        good.replace(r"\toprule", r"\toprul"),
        good.replace(r"\end{tabular}", ""),
        good.replace("a0", "a_0"),
        good.replace("a0 ", "a0 & "),
        good.replace("a0 ", "{a0 "),
    ):
        assert broken != good
        assert problems(broken) != []


@given(TEXTS)
def test_every_letter_is_printable_by_pdflatex_or_declared(text):
    escaped = escape_latex(text)
    assert "\n" not in escaped
    lines = "".join(declared_letters(escaped))
    declared = {int(place, 16) for place in re.findall(r"\{([0-9A-F]+)\}\{", lines)}
    assert all(ord(x) < 0x180 or ord(x) in declared or x in KNOWN for x in escaped)


def test_long_texts_are_set_in_lines_and_long_tables_go_on():
    table = pl.DataFrame({"name": [str(i) for i in range(90)], "meaning": ["words " * 20] * 90})
    assert "p{22em}" in to_latex(table, wrap=44)
    text = document_to_latex(Document("t", (), (Section("s", (TableBlock(table, ""),)),)))
    assert text.count(r"\begin{tabular}") == 3
    mark = "sha256=b78f8fa15531a31aeaf6c5416944d321;weights=F16"
    made = to_latex(pl.DataFrame({"mark": [mark]}), wrap=44).split("\n")[4]
    parts = made.removesuffix(r" \\").split(r"\allowbreak{}")
    assert "".join(parts) == mark
    assert max(map(len, parts)) <= 20
    assert problems(text) == []


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no pdflatex here")
def test_pdflatex_compiles_a_document_of_nasty_names(tmp_path):
    (tmp_path / "report.tex").write_text(document_to_latex(document(NASTY)), encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "report.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
