"""Tiny Llama-architecture GGUFs with random weights, for tests; needs only `gguf`."""

from __future__ import annotations

import ctypes
from pathlib import Path

import gguf
import numpy as np

from abm.llm.bench.random_model import CONTROL, MARKUP, Shape, write_body, write_random_model

__all__ = ["CONTROL", "MARKUP", "TEMPLATE", "quantise", "write_random_gguf", "write_spm_gguf"]

TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|{{ message.role }}|>\n"
    "{{ message.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)


def write_random_gguf(
    path: Path,
    *,
    seed: int = 1,
    template: str | None = None,
    n_layers: int = 2,
    width: int = 64,
    n_ctx: int = 1024,
    scale: float = 1.0,
) -> Path:
    """An F16 model of `n_layers` layers; about 0.2 million parameters as it stands."""
    shape = Shape(width=width, n_layers=n_layers, hidden=2 * width, n_ctx=n_ctx)
    return write_random_model(path, shape, seed=seed, scale=scale, template=template)


def quantise(source: Path, target: Path) -> Path:
    """An 8-bit (Q8_0) copy."""
    from abm.llm.llamacpp.library import library

    api = library()
    parameters = api.llama_model_quantize_default_params()
    parameters.ftype = api.LLAMA_FTYPE_MOSTLY_Q8_0
    parameters.nthread = 1
    code = api.llama_model_quantize(
        str(source).encode(), str(target).encode(), ctypes.byref(parameters)
    )
    assert code == 0, f"llama_model_quantize gave {code}"
    return target


def write_spm_gguf(path: Path, *, seed: int = 3) -> Path:
    """A one-layer model with a SentencePiece vocabulary (as of Llama 2) that could spell `</s>`."""
    pieces = ["\N{LOWER ONE EIGHTH BLOCK}", "</", "</s", "s>", *map(chr, range(33, 127))]
    words = ["ye", "yes", "no", "pa", "par", "park", "an", "ans", "answ"]
    pieces += [text for word in words for text in (word, "\N{LOWER ONE EIGHTH BLOCK}" + word)]
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *pieces]
    kinds = gguf.TokenType
    types = [kinds.UNKNOWN, kinds.CONTROL, kinds.CONTROL]
    types += [kinds.BYTE] * 256 + [kinds.NORMAL] * len(pieces)
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * 259 + [float(len(piece)) for piece in pieces])
    writer.add_token_types([int(kind) for kind in types])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(True)
    shape = Shape(n_layers=1, n_ctx=256)
    write_body(writer, shape, len(tokens), np.random.default_rng(seed), 1.0)
    return path
