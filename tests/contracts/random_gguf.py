"""Tiny Llama-architecture GGUFs with random weights, for tests; needs only `gguf`.

The vocabulary is byte-level BPE in the manner of GPT-2: 256 bytes, merges that spell a few words,
control tokens and one markup token. Weights are drawn from a seed, so equal arguments give equal
files. What such a model says is noise; how it says it is llama.cpp in full.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

import gguf
import numpy as np

TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|{{ message.role }}|>\n"
    "{{ message.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
CONTROL = ("<|bos|>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>")
MARKUP = "<think>"
WORDS = (
    "yes", "no", "agree", "disagree", "strongly", "neutral", "age", "you", "are", "the", "friends",
    "topic", "answer", "read", "your", "post", "and", "park", "party", "10", "12",
)  # fmt: skip


def byte_letters() -> list[str]:
    """The letter that stands for each byte in a GPT-2 vocabulary."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters, extra = {byte: chr(byte) for byte in shown}, 0
    for byte in range(256):
        if byte not in letters:
            letters[byte] = chr(256 + extra)
            extra += 1
    return [letters[byte] for byte in range(256)]


def vocabulary() -> tuple[list[str], list[int], list[str]]:
    """Tokens, their types, and the merges."""
    space = byte_letters()[32]
    tokens, merges = byte_letters(), []
    for word in [text for plain in WORDS for text in (plain, space + plain)]:
        for cut in range(1, len(word)):
            if word[: cut + 1] not in tokens:
                merges.append(f"{word[:cut]} {word[cut]}")
                tokens.append(word[: cut + 1])
    types = [int(gguf.TokenType.NORMAL)] * len(tokens)
    tokens += [*CONTROL, MARKUP]
    types += [int(gguf.TokenType.CONTROL)] * len(CONTROL) + [int(gguf.TokenType.USER_DEFINED)]
    return tokens, types, merges


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
    tokens, types, merges = vocabulary()
    rng = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(str(path), "llama")
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
    _write_body(writer, rng, len(tokens), n_layers, width, n_ctx, scale)
    return path


def _write_body(
    writer: gguf.GGUFWriter,
    rng: np.random.Generator,
    n_tokens: int,
    n_layers: int,
    width: int,
    n_ctx: int,
    scale: float,
) -> None:
    """Everything but the vocabulary: four heads, two of keys and values."""
    n_heads, n_heads_kv, n_hidden, head = 4, 2, 2 * width, width // 4
    writer.add_name("random")
    writer.add_context_length(n_ctx)
    writer.add_embedding_length(width)
    writer.add_block_count(n_layers)
    writer.add_feed_forward_length(n_hidden)
    writer.add_head_count(n_heads)
    writer.add_head_count_kv(n_heads_kv)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(head)
    writer.add_vocab_size(n_tokens)
    writer.add_file_type(int(gguf.LlamaFileType.MOSTLY_F16))

    def matrix(name: str, rows: int, columns: int, size: float = 1.0) -> None:
        values = rng.normal(0.0, size * scale / np.sqrt(columns), (rows, columns))
        writer.add_tensor(name, values.astype(np.float16))

    def ones(name: str) -> None:
        writer.add_tensor(name, np.ones(width, dtype=np.float32))

    matrix("token_embd.weight", n_tokens, width, np.sqrt(width))
    for layer in range(n_layers):
        block = f"blk.{layer}."
        ones(block + "attn_norm.weight")
        ones(block + "ffn_norm.weight")
        matrix(block + "attn_q.weight", width, width, 2.0)
        matrix(block + "attn_k.weight", n_heads_kv * head, width, 2.0)
        matrix(block + "attn_v.weight", n_heads_kv * head, width)
        matrix(block + "attn_output.weight", width, width)
        matrix(block + "ffn_gate.weight", n_hidden, width)
        matrix(block + "ffn_up.weight", n_hidden, width)
        matrix(block + "ffn_down.weight", width, n_hidden)
    ones("output_norm.weight")
    matrix("output.weight", n_tokens, width, 3.0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


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
    _write_body(writer, np.random.default_rng(seed), len(tokens), 1, 64, 256, 1.0)
    return path
