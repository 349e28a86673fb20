"""A document as Markdown, with the figures beside it."""

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
)
from abm.analysis.tables import to_markdown

__all__ = ["document_to_markdown"]


def document_to_markdown(document: Document) -> str:
    """The document as Markdown; figures are linked from the folder `figures/` beside it.

    Examples
    --------
    >>> print(document_to_markdown(Document("A study", (), (Section("Limits", (Text("Few."),)),))))
    # A study
    <BLANKLINE>
    ## Limits
    <BLANKLINE>
    Few.
    <BLANKLINE>
    """
    labels = [f"**{label.upper()}**" for label in document.labels]
    parts = [f"# {document.title}", *labels]
    for section in document.sections:
        parts += _section(section, 2)
    return "\n\n".join([*parts, *labels]) + "\n"


def _section(section: Section, depth: int) -> list[str]:
    parts = [f"{'#' * depth} {section.title}", *(_block(block) for block in section.blocks)]
    for inner in section.sections:
        parts += _section(inner, depth + 1)
    return parts


def _block(block: Block) -> str:
    if isinstance(block, Text):
        return block.text
    if isinstance(block, Items):
        return "\n".join(f"- {item}" for item in block.items)
    if isinstance(block, Code):
        return f"```\n{block.text.rstrip()}\n```"
    if isinstance(block, TableBlock):
        return to_markdown(block.table, caption=f"*{block.caption}*")
    if isinstance(block, Picture):
        name = block.saved.png.name
        return f"![{block.caption}](figures/{name})\n\n*{block.caption}*"
    return "\n".join(f"> **Note.** {item}\n>" for item in block.items).rstrip(">\n")
