"""From prompts and options to tokens; nothing that an agent wrote becomes a control token.

Rules:

- Every block of a prompt is tokenised by itself: a declared border is a border between tokens.
- Control tokens are recognised in trusted text only (the modeller's words and the chat template),
  and only where they lie wholly inside it. Between them, trusted and inserted text is tokenised
  together, as the model saw it in training, with the recognition of control tokens off.
- A token that the vocabulary declares as markup (`user-defined`) is spelled out letter by letter
  where inserted text contains it.
- An option is tokenised by itself and never read as markup. It follows the prompt directly when the
  prompt as sent ends in white space or a control token; otherwise one space comes first
  (`Answer:` + ` yes`).
"""

from __future__ import annotations

import ctypes
import re
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from abm.llm.llamacpp.chat import Frame
from abm.llm.llamacpp.library import library
from abm.llm.llamacpp.model import Model
from abm.questions import Prompt, Segment
from abm.questions.template import Block

__all__ = ["Path", "Tokenizer", "Tokens"]

Tokens = tuple[int, ...]
Path = tuple[Tokens, ...]

_CONTROL, _USER_DEFINED, _UNKNOWN = 1 << 3, 1 << 4, 1 << 0
_SPM = 1


class _Tokenised(NamedTuple):
    path: Path
    closed: bool  # whether an option may follow without a space


class Tokenizer:
    """The vocabulary of a model and the frame of its chat template.

    Parameters
    ----------
    model
        A loaded model.
    frame
        Text around every prompt.
    n_remembered
        Tokenised blocks that are kept for reuse.
    """

    def __init__(self, model: Model, frame: Frame, n_remembered: int = 16384) -> None:
        api = library()
        self.model, self.frame = model, frame
        vocabulary = model.vocabulary
        attributes = [
            int(api.llama_vocab_get_attr(vocabulary, token)) for token in range(model.n_vocabulary)
        ]
        self.control = frozenset(
            token for token, a in enumerate(attributes) if a & (_CONTROL | _UNKNOWN)
        )
        self._control = self._texts(attributes, _CONTROL)
        markup = {text for text in self._texts(attributes, _USER_DEFINED) if text.strip()}
        self._find_control = _any_of(self._control)
        self._find_markup = _any_of(markup)
        self.bos = int(api.llama_vocab_bos(vocabulary))
        self.eos = int(api.llama_vocab_eos(vocabulary))
        self._adds_bos = bool(api.llama_vocab_get_add_bos(vocabulary)) and self.bos >= 0
        spm = int(api.llama_vocab_type(vocabulary)) == _SPM
        adds_space = model.header.metadata.get("tokenizer.ggml.add_space_prefix", True)
        self._anchor = self._encode_bytes(b"\n") if spm and adds_space else None
        self._blocks: OrderedDict[tuple[Block, bool], tuple[Tokens, bool]] = OrderedDict()
        self._options: dict[tuple[str, bool], Tokens] = {}
        self._n_remembered = n_remembered

    def _texts(self, attributes: Sequence[int], flag: int) -> dict[str, int]:
        found = {}
        for token, attribute in enumerate(attributes):
            if attribute & flag:
                text = self.model.piece(token, special=True).decode("utf-8", "replace")
                if text:
                    found[text] = token
        return found

    def prompt(self, prompt: Prompt) -> _Tokenised:
        """The path of a prompt (one entry per block that has tokens) and how it ends."""
        path, closed = [], True
        for tokens, ends_closed in self._each_block(prompt):
            if tokens:
                path.append(tokens)
                closed = ends_closed
        return _Tokenised(tuple(path), closed)

    def _each_block(self, prompt: Prompt) -> Iterator[tuple[Tokens, bool]]:
        blocks = list(prompt.blocks) or [()]
        head, tail = Segment(self.frame.head, True), Segment(self.frame.tail, True)
        if head.text:
            blocks[0] = (head, *blocks[0])
        if tail.text:
            blocks[-1] = (*blocks[-1], tail)
        for number, block in enumerate(blocks):
            yield self._block(block, number == 0)

    def _block(self, block: Block, first: bool) -> tuple[Tokens, bool]:
        key = (block, first)
        found = self._blocks.get(key)
        if found is None:
            found = self._tokenise(block, first)
            self._blocks[key] = found
            if len(self._blocks) > self._n_remembered:
                self._blocks.popitem(last=False)
        return found

    def _tokenise(self, block: Block, first: bool) -> tuple[Tokens, bool]:
        tokens: list[int] = []
        closed = True
        for part in self._parts(block):
            if isinstance(part, int):
                tokens.append(part)
                closed = True
            elif text := "".join(segment.text for segment in part):
                tokens.extend(self._run(part, middle=bool(tokens) or not first))
                closed = text[-1].isspace()
        if first and self._adds_bos and tokens[:1] != [self.bos]:
            tokens.insert(0, self.bos)
        return tuple(tokens), closed

    def _parts(self, block: Block) -> Iterator[int | list[Segment]]:
        """Control tokens of trusted text, and the runs of text between them."""
        run: list[Segment] = []
        for segment in _joined(block):
            at = 0
            if segment.trusted and self._find_control:
                for match in self._find_control.finditer(segment.text):
                    run.append(Segment(segment.text[at : match.start()], True))
                    yield run
                    yield self._control[match.group()]
                    run, at = [], match.end()
            run.append(Segment(segment.text[at:], segment.trusted))
        yield run

    def _run(self, run: list[Segment], middle: bool) -> list[int]:
        tokens: list[int] = []
        for text in self._safe(run):
            tokens.extend(self._plain(text, middle or bool(tokens)))
        return tokens

    def _safe(self, run: list[Segment]) -> Iterator[str]:
        """The text of a run, cut so that inserted markup is spelled letter by letter."""
        text = "".join(segment.text for segment in run)
        at = 0
        if self._find_markup and any(not segment.trusted for segment in run):
            inserted = _inserted(run)
            for match in self._find_markup.finditer(text):
                if any(a < match.end() and match.start() < b for a, b in inserted):
                    yield text[at : match.start()]
                    yield from match.group()
                    at = match.end()
        yield text[at:]

    def _plain(self, text: str, middle: bool) -> list[int]:
        """Tokens of text in which no control token is recognised."""
        tokens = self._encode(text, middle)
        if self.control.isdisjoint(tokens):
            return tokens
        spelled: list[int] = []
        for token in tokens:
            if token in self.control:
                shown = self.model.piece(token, special=True).decode("utf-8", "replace")
                letters = [t for letter in shown for t in self._encode(letter, True)]
                spelled.extend(t for t in letters if t not in self.control)
            else:
                spelled.append(token)
        return spelled

    def _encode(self, text: str, middle: bool) -> list[int]:
        data = text.encode("utf-8", "replace")
        if not (middle and self._anchor):
            return self._encode_bytes(data)
        found = self._encode_bytes(b"\n" + data)
        n = len(self._anchor)
        return found[n:] if found[:n] == self._anchor else self._encode_bytes(data)

    def _encode_bytes(self, data: bytes) -> list[int]:
        if not data:
            return []
        api = library()
        size = len(data) + 8
        buffer = (ctypes.c_int32 * size)()
        arguments: tuple[Any, ...] = (self.model.vocabulary, data, len(data), buffer)
        count = api.llama_tokenize(*arguments, size, False, False)
        if count < 0:
            buffer = (ctypes.c_int32 * -count)()
            count = api.llama_tokenize(*arguments[:3], buffer, -count, False, False)
        return buffer[:count]

    def option(self, text: str, closed: bool) -> Tokens:
        """Tokens of an option after a prompt that is closed (white space, control token) or not."""
        found = self._options.get((text, closed))
        if found is None:
            run = [Segment(text if closed else " " + text, False)]
            found = tuple(self._run(run, middle=True))
            if len(self._options) < self._n_remembered:
                self._options[text, closed] = found
        return found

    def plain_text(self, text: str) -> Tokens:
        """Tokens of a bare text for an embedding, with a first token if the model has one."""
        tokens = self._run([Segment(text, False)], middle=False)
        return tuple([self.bos, *tokens] if self._adds_bos else tokens)

    def text(self, tokens: Sequence[int]) -> str:
        """The text of tokens, control tokens left out."""
        return b"".join(self.model.piece(token) for token in tokens).decode("utf-8", "replace")


def _any_of(texts: Any) -> re.Pattern[str] | None:
    longest_first = sorted(texts, key=lambda text: (-len(text), text))
    return re.compile("|".join(map(re.escape, longest_first))) if longest_first else None


def _joined(block: Block) -> Iterator[Segment]:
    """Segments with neighbours of equal trust joined and empty ones left out."""
    text, trusted = "", True
    for segment in block:
        if segment.trusted != trusted and segment.text:
            if text:
                yield Segment(text, trusted)
            text, trusted = "", segment.trusted
        text += segment.text
    if text:
        yield Segment(text, trusted)


def _inserted(run: list[Segment]) -> list[tuple[int, int]]:
    spans, at = [], 0
    for segment in run:
        end = at + len(segment.text)
        if not segment.trusted:
            spans.append((at, end))
        at = end
    return spans
