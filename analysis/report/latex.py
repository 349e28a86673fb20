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
from abm.analysis.tables import escape_latex, to_latex

__all__ = ["document_to_latex"]

HEAD = r"""\documentclass[11pt,a4paper]{article}
\usepackage[utf8]{inputenc}
\usepackage[T1]{fontenc}
\usepackage{textcomp,booktabs,graphicx,adjustbox,fancyvrb}
\usepackage[margin=25mm]{geometry}
\setlength{\parindent}{0pt}\setlength{\parskip}{6pt}
"""
LEVELS = {1: "section", 2: "subsection", 3: "subsubsection"}


def document_to_latex(document: Document) -> str:
    """The document as a LaTeX file for pdflatex; figures are read from `figures/` beside it.

    Examples
    --------
    >>> text = document_to_latex(Document("50 %", (), (Section("Limits", (Text("a_b"),)),)))
    >>> r"\\title{50 \\%}" in text, r"a\\_b" in text
    (True, True)
    """
    labels = [rf"\textbf{{{escape_latex(label)}}}" for label in document.labels]
    parts = [
        HEAD,
        rf"\title{{{escape_latex(document.title)}}}",
        r"\date{}",
        r"\begin{document}",
        r"\maketitle",
        *labels,
    ]
    for section in document.sections:
        parts += _section(section, 1)
    return "\n".join([*parts, *labels, r"\end{document}"]) + "\n"


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
        items = "\n".join(rf"\item {escape_latex(item)}" for item in block.items)
        return f"\\begin{{itemize}}\n{items}\n\\end{{itemize}}"
    if isinstance(block, Code):
        plain = block.text.rstrip().encode("ascii", "replace").decode()
        return f"\\begin{{Verbatim}}[fontsize=\\scriptsize]\n{plain}\n\\end{{Verbatim}}"
    if isinstance(block, TableBlock):
        return _table(block)
    return _picture(block)


def _table(block: TableBlock) -> str:
    made = to_latex(block.table)
    return "\n".join(
        [
            r"\begin{center}\small",
            rf"{escape_latex(block.caption)}\par\medskip",
            r"\begin{adjustbox}{max width=\linewidth,max totalheight=0.85\textheight}",
            made,
            r"\end{adjustbox}",
            r"\end{center}",
        ]
    )


def _picture(block: Picture) -> str:
    return "\n".join(
        [
            r"\begin{center}",
            rf"\includegraphics[width=\linewidth]{{figures/{block.saved.pdf.name}}}\par",
            rf"\small {escape_latex(block.caption)}",
            r"\end{center}",
        ]
    )
