"""A document as blocks, which HTML, Markdown and LaTeX write each in its own way."""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl

from abm.analysis.figures import Saved

__all__ = ["Block", "Code", "Document", "Items", "Picture", "Section", "TableBlock", "Text", "Warn"]


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Items:
    """A list of sentences."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Warn:
    """Sentences that must not be overlooked."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class TableBlock:
    """A table for people: texts and numbers as they are to be read."""

    table: pl.DataFrame
    caption: str


@dataclass(frozen=True)
class Picture:
    """A saved figure. `svg` is drawn with letters as shapes, so that it needs no font."""

    saved: Saved
    caption: str
    svg: str = ""


@dataclass(frozen=True)
class Code:
    """Text to be copied: commands, a study file."""

    text: str


Block = Text | Items | Warn | TableBlock | Picture | Code


@dataclass(frozen=True)
class Section:
    """A heading with what stands beneath it."""

    title: str
    blocks: tuple[Block, ...]
    sections: tuple[Section, ...] = ()


@dataclass(frozen=True)
class Document:
    """A whole report."""

    title: str
    labels: tuple[str, ...]
    sections: tuple[Section, ...] = field(default=())
