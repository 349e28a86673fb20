"""How much memory a model may come to take, from its header alone: what a shelf reckons with.

A model holds its weights, resident prefixes, attention cells and the work space of each context.
How large the work space of llama.cpp is, is known only when a context is made; here it is bounded
by its largest parts, the logits of a call and the attention scores of all heads.
"""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from pathlib import Path
from typing import Any

from abm.llm.llamacpp.backend import LlamaCpp
from abm.llm.llamacpp.contexts import N_BATCH, ROWS
from abm.llm.llamacpp.header import Header, read_header, shards
from abm.llm.llamacpp.loaded import MAX_NODES, MEDIUM, MOST_LANES, SMALL, default_threads

__all__ = ["footprint"]

_ALWAYS = 16 * 1024 * 1024  # vocabulary, graphs and other small things


def footprint(path: Path | str, options: Mapping[str, Any] | None = None) -> int:
    """Bytes that a `LlamaCpp` of this file and these options may come to hold, on a CPU.

    Embeddings are left out: their context is made for the longest text that is embedded.

    Raises
    ------
    ModelFileError
        The file is missing, truncated or no GGUF.

    Examples
    --------
    >>> from abm.llm.embedded import model_path
    >>> small, large = (footprint(model_path(), {"n_ctx": n}) for n in (128, 512))
    >>> 10e6 < small < large < 1e9
    True
    """
    header = read_header(path)
    given = {**_defaults(), **(options or {})}
    sizes = _Sizes(header)
    n_ctx = min(int(given["n_ctx"]), sizes.n_training_context or int(given["n_ctx"]))
    lanes = _lanes(sizes, n_ctx, given)
    return (
        sum(part.stat().st_size for part in shards(header))
        + int(given["resident_bytes"])
        + _scoring(sizes, n_ctx, lanes, str(given["mode"]))
        + _texts(sizes, n_ctx, lanes, given)
        + _ALWAYS
    )


class _Sizes:
    """What the header says about the shape of the model."""

    def __init__(self, header: Header) -> None:
        known, kind = header.metadata, str(header.metadata.get("general.architecture", ""))

        def said(name: str, default: int = 0) -> int:
            value = known.get(f"{kind}.{name}", default)
            return int(value) if isinstance(value, (int, float)) else default

        self.n_parameters = header.n_parameters
        self.n_training_context = said("context_length")
        self.n_vocabulary = int(known.get("tokenizer.ggml.tokens", 0))
        self.n_heads = said("attention.head_count", 1)
        self.width = max(said("embedding_length"), said("feed_forward_length"))
        usual = said("embedding_length") // max(self.n_heads, 1)
        heads = sum(said(f"attention.{x}_length", usual) for x in ("key", "value"))
        kept = said("attention.head_count_kv", self.n_heads)
        self.cell_bytes = 2 * said("block_count") * kept * heads

    def work(self, n_tokens: int, n_cells: int) -> int:
        """Work space of a context whose calls have so many tokens."""
        scores = 2 * self.n_heads * n_cells
        return 4 * n_tokens * (self.n_vocabulary + scores + 6 * self.width)


def _defaults() -> dict[str, Any]:
    parameters = signature(LlamaCpp).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty}


def _lanes(sizes: _Sizes, n_ctx: int, given: Mapping[str, Any]) -> int:
    """As many as the backend makes at most, for scores and texts alike."""
    if sizes.n_parameters >= MEDIUM:
        return 1
    threads = given["n_threads"] or default_threads(sizes.n_parameters < SMALL)
    each = (n_ctx + MAX_NODES) * sizes.cell_bytes
    return max(1, min(int(threads), MOST_LANES, int(given["text_bytes"]) // max(each, 1)))


def _scoring(sizes: _Sizes, n_ctx: int, lanes: int, mode: str) -> int:
    """Contexts of `strict`, which `fast` uses too for small batches, and those of `fast`."""
    cells = [n_ctx + MAX_NODES]
    if mode == "fast":
        cells.append(n_ctx + 4 * N_BATCH)
    return lanes * sum(n * sizes.cell_bytes + sizes.work(N_BATCH, n) for n in cells)


def _texts(sizes: _Sizes, n_ctx: int, lanes: int, given: Mapping[str, Any]) -> int:
    """Contexts of texts: a text of the whole context always has room, more only within a bound."""
    longest = n_ctx * sizes.cell_bytes
    cells = max(int(given["text_bytes"]), lanes * longest)
    if given["mode"] == "strict":
        cells = min(cells, lanes * ROWS[0] * longest)
    return cells + lanes * sizes.work(N_BATCH, n_ctx)
