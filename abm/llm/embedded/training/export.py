"""From PyTorch to GGUF: architecture `llama`, F16 matrices, byte-level BPE split as gpt-2 does."""

from __future__ import annotations

import json
from pathlib import Path

import gguf
import numpy as np
from tokenizers import Tokenizer

from abm.llm.embedded.label import LABEL
from abm.llm.embedded.training.network import Llama

__all__ = ["write_gguf"]

_NAMES = {
    "attention_norm": "attn_norm",
    "query": "attn_q",
    "key": "attn_k",
    "value": "attn_v",
    "out": "attn_output",
    "hidden_norm": "ffn_norm",
    "gate": "ffn_gate",
    "up": "ffn_up",
    "down": "ffn_down",
}


def write_gguf(path: Path, model: Llama, tokenizer: Tokenizer) -> None:
    """Write atomically: a reader sees the old file or the new one."""
    partial = path.with_suffix(".partial")
    writer = gguf.GGUFWriter(partial, "llama")
    _describe(writer, model)
    _vocabulary(writer, tokenizer)
    for name, weight in model.named_parameters():
        array = weight.detach().float().numpy()
        writer.add_tensor(_tensor(name), array.astype(np.float16) if array.ndim == 2 else array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    partial.replace(path)


def _tensor(name: str) -> str:
    parts = name.split(".")
    if parts[0] == "embedding":
        return "token_embd.weight"
    if parts[0] == "norm":
        return "output_norm.weight"
    return f"blk.{parts[1]}.{_NAMES[parts[2]]}.weight"


def _describe(writer: gguf.GGUFWriter, model: Llama) -> None:
    shape = model.shape
    writer.add_name("Agora embedded model")
    writer.add_description(LABEL)
    writer.add_license("MIT")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.hidden)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.key_heads)
    writer.add_rope_dimension_count(shape.head_width)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_layer_norm_rms_eps(shape.epsilon)
    writer.add_vocab_size(shape.vocabulary)


def _vocabulary(writer: gguf.GGUFWriter, tokenizer: Tokenizer) -> None:
    table = tokenizer.get_vocab()
    tokens = sorted(table, key=table.__getitem__)
    kinds = [gguf.TokenType.CONTROL] + [gguf.TokenType.NORMAL] * (len(tokens) - 1)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    pairs = [merge if isinstance(merge, str) else " ".join(merge) for merge in merges]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(pairs)
    writer.add_eos_token_id(0)
    writer.add_eot_token_id(0)
    writer.add_bos_token_id(0)
    writer.add_pad_token_id(0)
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)
