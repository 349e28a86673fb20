"""Llama-architecture GGUFs of any shape with random weights, for benchmarks and tests.

The vocabulary is byte-level BPE in the manner of GPT-2: 256 bytes, merges that spell some words,
control tokens and one markup token, and as many made-up merges as the shape asks for. Weights are
drawn from a seed, so equal arguments give equal files. What such a model says is noise; what it
costs is what a trained model of its shape costs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.errors import MissingExtra

__all__ = ["CONTROL", "MARKUP", "SHAPES", "Shape", "byte_letters", "write_random_model"]

CONTROL = ("<|bos|>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>")
MARKUP = "<think>"
WORDS = (
    "yes", "no", "agree", "disagree", "strongly", "neutral", "age", "you", "are", "the", "friends",
    "topic", "answer", "read", "your", "post", "and", "park", "party", "10", "12",
)  # fmt: skip


@dataclass(frozen=True)
class Shape:
    """The sizes of a Llama-architecture model.

    Attributes
    ----------
    width, n_layers, n_heads, n_heads_kv, hidden
        Of the residual stream, the layers, the heads of queries and of keys, the feed-forward part.
    n_vocabulary
        Least number of tokens; a few hundred are always there.
    n_ctx
        Training context that the file declares, in tokens.

    Examples
    --------
    >>> round(SHAPES["45M"].n_parameters / 1e6)
    45
    """

    width: int = 64
    n_layers: int = 2
    n_heads: int = 4
    n_heads_kv: int = 2
    hidden: int = 128
    n_vocabulary: int = 0
    n_ctx: int = 1024

    @property
    def n_parameters(self) -> int:
        """Weights of all matrices; with a vocabulary of `n_vocabulary`."""
        kv = self.n_heads_kv * (self.width // self.n_heads)
        layer = 2 * self.width * (self.width + kv) + 3 * self.width * self.hidden
        return self.n_layers * layer + 2 * self.n_vocabulary * self.width


SHAPES = {
    "tiny": Shape(),
    "45M": Shape(512, 12, 8, 4, 1536, 7200, 4096),
    "0.5B": Shape(1024, 28, 16, 8, 4096, 32000, 8192),
    "7B": Shape(4096, 32, 32, 8, 14336, 32000, 8192),
}
"""Shapes by name: the smallest that works, and three whose costs are of interest."""


def _gguf() -> Any:
    try:
        import gguf
    except ModuleNotFoundError as error:
        raise MissingExtra(
            "writing a GGUF needs the package gguf, which is not installed: "
            'run pip install "agora-abm[train]", or pip install gguf',
            extra="train",
        ) from error
    return gguf


def byte_letters() -> list[str]:
    """The letter that stands for each byte in a GPT-2 vocabulary."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters, extra = {byte: chr(byte) for byte in shown}, 0
    for byte in range(256):
        if byte not in letters:
            letters[byte] = chr(256 + extra)
            extra += 1
    return [letters[byte] for byte in range(256)]


def vocabulary(n_tokens: int = 0) -> tuple[list[str], list[int], list[str]]:
    """Tokens, their types, and the merges; at least `n_tokens` tokens."""
    kinds = _gguf().TokenType
    space = byte_letters()[32]
    tokens, merges = byte_letters(), []
    for word in [text for plain in WORDS for text in (plain, space + plain)]:
        for cut in range(1, len(word)):
            if word[: cut + 1] not in tokens:
                merges.append(f"{word[:cut]} {word[cut]}")
                tokens.append(word[: cut + 1])
    for left, right in _made_up(tokens, n_tokens - len(tokens) - len(CONTROL) - 1):
        merges.append(f"{left} {right}")
        tokens.append(left + right)
    types = [int(kinds.NORMAL)] * len(tokens)
    tokens += [*CONTROL, MARKUP]
    types += [int(kinds.CONTROL)] * len(CONTROL) + [int(kinds.USER_DEFINED)]
    return tokens, types, merges


def _made_up(known: list[str], n_more: int) -> Iterator[tuple[str, str]]:
    """Pairs of pieces whose joint is new: all of two letters first, then longer ones."""
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    seen, pieces = set(known), list(letters)
    at = 0
    while n_more > 0:
        left, at = pieces[at], at + 1
        for right in letters:
            if left + right not in seen:
                yield left, right
                seen.add(left + right)
                n_more -= 1
            pieces.append(left + right)
            if n_more <= 0:
                return


def write_random_model(
    path: Path,
    shape: Shape | None = None,
    *,
    seed: int = 1,
    scale: float = 1.0,
    template: str | None = None,
) -> Path:
    """Write an F16 model; its memory need is that of its largest matrix.

    Parameters
    ----------
    shape
        Sizes; the smallest by default, about 0.2 million parameters.
    scale
        Factor of all weights; below 1 the distributions are flatter.
    template
        Chat template, or None.

    Raises
    ------
    MissingExtra
        The package `gguf` is not installed.
    """
    tokens, types, merges = vocabulary(shape.n_vocabulary if shape else 0)
    writer = _gguf().GGUFWriter(str(path), "llama")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(merges)
    writer.add_bos_token_id(tokens.index("<|bos|>"))
    writer.add_eos_token_id(tokens.index("<|end|>"))
    writer.add_add_bos_token(True)
    if template is not None:
        writer.add_chat_template(template)
    write_body(writer, shape or Shape(), len(tokens), np.random.default_rng(seed), scale)
    return path


def write_body(
    writer: Any, shape: Shape, n_tokens: int, rng: np.random.Generator, scale: float
) -> None:
    """Everything but the vocabulary, one matrix in memory at a time."""
    gguf = _gguf()
    writer.add_name("random")
    writer.add_context_length(shape.n_ctx)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.n_layers)
    writer.add_feed_forward_length(shape.hidden)
    writer.add_head_count(shape.n_heads)
    writer.add_head_count_kv(shape.n_heads_kv)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(shape.width // shape.n_heads)
    writer.add_vocab_size(n_tokens)
    writer.add_file_type(int(gguf.LlamaFileType.MOSTLY_F16))
    found = list(_matrices(shape, n_tokens))
    for name, size, _ in found:
        dtype = np.dtype(np.float32 if len(size) == 1 else np.float16)
        writer.add_tensor_info(name, size, dtype, int(np.prod(size)) * dtype.itemsize)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for _, size, factor in found:
        writer.write_tensor_data(_drawn(rng, size, factor * scale))
    writer.close()


def _drawn(rng: np.random.Generator, size: tuple[int, ...], factor: float) -> NDArray[Any]:
    """A matrix of normal numbers, each row of length about `factor`; ones for a norm."""
    if len(size) == 1:
        return np.ones(size, dtype=np.float32)
    return rng.normal(0.0, factor / np.sqrt(size[1]), size).astype(np.float16)


def _matrices(shape: Shape, n_tokens: int) -> Iterator[tuple[str, tuple[int, ...], float]]:
    """Name, shape (rows, columns) and relative size of each tensor, in the order of the file."""
    width, hidden = shape.width, shape.hidden
    kv = shape.n_heads_kv * (width // shape.n_heads)
    yield "token_embd.weight", (n_tokens, width), float(np.sqrt(width))
    for layer in range(shape.n_layers):
        block = f"blk.{layer}."
        yield block + "attn_norm.weight", (width,), 1.0
        yield block + "ffn_norm.weight", (width,), 1.0
        yield block + "attn_q.weight", (width, width), 2.0
        yield block + "attn_k.weight", (kv, width), 2.0
        yield block + "attn_v.weight", (kv, width), 1.0
        yield block + "attn_output.weight", (width, width), 1.0
        yield block + "ffn_gate.weight", (hidden, width), 1.0
        yield block + "ffn_up.weight", (hidden, width), 1.0
        yield block + "ffn_down.weight", (width, hidden), 1.0
    yield "output_norm.weight", (width,), 1.0
    yield "output.weight", (n_tokens, width), 3.0
