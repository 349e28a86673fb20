"""Prompts: ordered blocks of text with {fields}, from most shared to most specific.

A block border is where a prompt may be cut for sharing, so borders are declared here and nowhere
else. Field values are inserted once and never read again: a persona that contains `{goal}` or
`<|im_end|>` is text. Rendering keeps skeleton and values apart (`Segment.trusted`), so that a
backend may read control tokens in the skeleton and never in a value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from string import Formatter
from typing import NamedTuple

from abm.errors import QuestionError, require

__all__ = ["Block", "Prompt", "Segment", "Template", "Value"]

Value = str | int | float | bool | tuple[str, ...]


class Segment(NamedTuple):
    """A piece of a prompt. `trusted`: the modeller's words; otherwise an inserted value."""

    text: str
    trusted: bool


Block = tuple[Segment, ...]


@dataclass(frozen=True)
class Prompt:
    """A rendered prompt: blocks of segments.

    Examples
    --------
    >>> Prompt(((Segment("Hello ", True), Segment("you", False)),)).text
    'Hello you'
    """

    blocks: tuple[Block, ...]

    @cached_property
    def text(self) -> str:
        return "".join(segment.text for block in self.blocks for segment in block)

    @classmethod
    def plain(cls, *blocks: str) -> Prompt:
        """A prompt of trusted text, one block per argument."""
        return cls(tuple((Segment(block, True),) for block in blocks))


class Template:
    """An ordered list of text blocks with named fields in braces; `{{` and `}}` stand for braces.

    Parameters
    ----------
    blocks
        From most shared (scenario, question) to most specific (memory, observations). One string
        may hold several blocks, separated by lines that contain only `---`.

    Examples
    --------
    >>> template = Template("Topic: {topic}\\n---\\nYou are {age}.\\n")
    >>> template.fields
    ('topic', 'age')
    >>> template.render({"topic": "parks", "age": 40}).text
    'Topic: parks\\nYou are 40.\\n'
    """

    def __init__(self, blocks: str | Sequence[str]) -> None:
        texts = blocks.split("\n---\n") if isinstance(blocks, str) else list(blocks)
        if isinstance(blocks, str):
            texts = [text + "\n" for text in texts[:-1]] + texts[-1:]
        self.blocks = tuple(texts)
        self._parsed = tuple(_parse(text) for text in self.blocks)
        names = [name for block in self._parsed for _, name in block if name is not None]
        self.fields: tuple[str, ...] = tuple(dict.fromkeys(names))

    def render(self, fields: Mapping[str, Value]) -> Prompt:
        """The prompt for these field values."""
        missing = [name for name in self.fields if name not in fields]
        require(
            not missing,
            QuestionError,
            f"the template needs {missing}, and perceive gave {sorted(fields)}; "
            "add them to what perceive returns, or take them out of the template",
        )
        return Prompt(tuple(_fill(block, fields) for block in self._parsed))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Template) and self.blocks == other.blocks

    def __hash__(self) -> int:
        return hash(self.blocks)


_Piece = tuple[str, str | None]


def _parse(text: str) -> tuple[_Piece, ...]:
    pieces = []
    try:
        parsed = list(Formatter().parse(text))
    except ValueError as error:
        raise QuestionError(
            f"template {text[:60]!r}: {error}; write {{{{ and }}}} for literal braces"
        ) from error
    for literal, name, spec, conversion in parsed:
        plain = name is None or (name.isidentifier() and not spec and not conversion)
        require(
            plain,
            QuestionError,
            f"template field {{{name}}}: expected a plain name such as {{age}}; "
            "format the value in perceive",
        )
        pieces.append((literal, name))
    return tuple(pieces)


def _fill(block: tuple[_Piece, ...], fields: Mapping[str, Value]) -> Block:
    segments = []
    for literal, name in block:
        if literal:
            segments.append(Segment(literal, True))
        if name is not None:
            segments.append(Segment(_show(fields[name]), False))
    return tuple(segments)


def _show(value: Value) -> str:
    return "\n".join(value) if isinstance(value, tuple) else str(value)
