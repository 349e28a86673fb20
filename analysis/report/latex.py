"""A document as LaTeX that compiles by itself: booktabs tables, figures as PDF beside it."""

from __future__ import annotations

from abm.analysis.report.document import (
    Block,
    Code,
    Document,
    Items,
    Picture,
    Section,
    TableBlock,
    Text,
    Warn,
)
from abm.analysis.tables import declared_letters, escape_latex, to_latex

__all__ = ["document_to_latex"]

HEAD = r"""\documentclass[11pt,a4paper]{article}
\usepackage{iftex}
\ifPDFTeX
\usepackage[utf8]{inputenc}
\usepackage[T1]{fontenc}
\IfFileExists{lmodern.sty}{\usepackage{lmodern}}{}
%s\else
\usepackage{fontspec}
\fi
\usepackage{textcomp,array,booktabs,graphicx,adjustbox,fancyvrb}
\usepackage[margin=25mm]{geometry}
\setlength{\parindent}{0pt}\setlength{\parskip}{6pt}
"""
MOST_ROWS = 40
"""Rows after which a table goes on in a further one, so that it is not shrunk to a page."""
WRAP = 44
LEVELS = {1: "section", 2: "subsection", 3: "subsubsection"}


def document_to_latex(document: Document) -> str:
    """The document as a LaTeX file; figures are read from `figures/` beside it.

    Tried with pdfLaTeX, which prints the place in Unicode of letters beyond Latin and Greek ones.
    For XeLaTeX and LuaLaTeX the head loads fontspec instead; with these it is not tried.

    Examples
    --------
    >>> text = document_to_latex(Document("50 %", (), (Section("Limits", (Text("a_b"),)),)))
    >>> r"\\title{50 \\%}" in text, r"a\\_b" in text
    (True, True)
    """
    labels = [rf"\textbf{{{escape_latex(label)}}}" for label in document.labels]
    parts = [
        rf"\title{{{escape_latex(document.title)}}}",
        r"\date{}",
        r"\begin{document}",
        r"\maketitle",
        *labels,
    ]
    for section in document.sections:
        parts += _section(section, 1)
    text = "\n".join([*parts, *labels, r"\end{document}"]) + "\n"
    declared = "".join(f"{line}\n" for line in declared_letters(text))
    return HEAD.replace("%s", declared) + text


def _section(section: Section, depth: int) -> list[str]:
    parts = [rf"\{LEVELS[min(depth, 3)]}{{{escape_latex(section.title)}}}"]
    parts += [_block(block) for block in section.blocks]
    for inner in section.sections:
        parts += _section(inner, depth + 1)
    return parts


def _block(block: Block) -> str:
    if isinstance(block, Text):
        return escape_latex(block.text) + "\n"
    if isinstance(block, Items | Warn):
        items = "\n".join(rf"\item {{}}{escape_latex(item)}" for item in block.items)
        return f"\\begin{{itemize}}\n{items}\n\\end{{itemize}}"
    if isinstance(block, Code):
        plain = block.text.rstrip().encode("ascii", "replace").decode()
        return f"\\begin{{Verbatim}}[fontsize=\\scriptsize]\n{plain}\n\\end{{Verbatim}}"
    if isinstance(block, TableBlock):
        return _table(block)
    return _picture(block)


def _table(block: TableBlock) -> str:
    lines = [r"\begin{center}\small", rf"{escape_latex(block.caption)}\par\medskip"]
    for part in block.table.iter_slices(MOST_ROWS):
        lines += [
            r"\begin{adjustbox}{max width=\linewidth,max totalheight=0.85\textheight}",
            to_latex(part, wrap=WRAP),
            r"\end{adjustbox}\par\medskip",
        ]
    return "\n".join([*lines, r"\end{center}"])


def _picture(block: Picture) -> str:
    return "\n".join(
        [
            r"\begin{center}",
            rf"\includegraphics[width=\linewidth]{{figures/{block.saved.pdf.name}}}\par",
            rf"\small {escape_latex(block.caption)}",
            r"\end{center}",
        ]
    )
