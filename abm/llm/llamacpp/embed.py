"""Embeddings: one unit vector per text, each from a call of its own."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.errors import BackendError, require
from abm.llm.llamacpp.library import last_words, library
from abm.llm.llamacpp.model import Model
from abm.llm.llamacpp.tokens import Tokenizer, Tokens

__all__ = ["Embedder"]

_MEAN, _NONE, _UNSPECIFIED = 1, 0, -1


class Embedder:
    """A context that pools hidden states instead of giving logits.

    Texts are evaluated one per call, so that a vector depends on its text alone. The pooling is
    the one that the file declares, and the mean over tokens otherwise.
    """

    def __init__(self, model: Model, tokenizer: Tokenizer, n_threads: int) -> None:
        self.model, self.tokenizer, self.n_threads = model, tokenizer, n_threads
        self.handle: Any = None
        self.size = 0

    def embed(self, texts: Sequence[str], n_ctx: int) -> NDArray[np.float32]:
        """Unit vectors, shape (n_texts, n_dimensions)."""
        tokens = [self.tokenizer.plain_text(text) for text in texts]
        for index, (text, found) in enumerate(zip(texts, tokens, strict=True)):
            require(
                bool(text) and 0 < len(found) <= n_ctx,
                BackendError,
                f"text {index} has {len(found) if text else 0} tokens, expected 1 to {n_ctx}; "
                "leave empty texts out and shorten long ones before embedding",
                index=index,
            )
        self._make(max(map(len, tokens), default=1))
        vectors = [self._one(found) for found in tokens]
        width = int(library().llama_model_n_embd_out(self.model.handle))
        return np.array(vectors, dtype=np.float32).reshape(len(texts), width)

    def _make(self, n_tokens: int) -> None:
        """A context in which the longest text is one batch."""
        if self.handle is not None and n_tokens <= self.size:
            return
        self.free()
        api = library()
        size = -(-n_tokens // 256) * 256
        parameters = api.llama_context_default_params()
        parameters.n_ctx = parameters.n_batch = parameters.n_ubatch = size
        parameters.n_seq_max = 1
        parameters.n_threads = parameters.n_threads_batch = self.n_threads
        parameters.flash_attn_type = 0
        parameters.embeddings = True
        parameters.no_perf = True
        declared = self.model.header.metadata.get(f"{self._architecture}.pooling_type", _NONE)
        parameters.pooling_type = _MEAN if declared in (_NONE, _UNSPECIFIED) else int(declared)
        self.handle = api.llama_init_from_model(self.model.handle, parameters)
        require(
            bool(self.handle),
            BackendError,
            f"llama.cpp cannot make a context for embeddings: {last_words()}",
        )
        self.size = size

    @property
    def _architecture(self) -> str:
        return str(self.model.header.metadata.get("general.architecture", ""))

    def _one(self, tokens: Tokens) -> NDArray[np.float32]:
        api = library()
        api.llama_memory_clear(api.llama_get_memory(self.handle), False)
        data = (ctypes.c_int32 * len(tokens))(*tokens)
        code = api.llama_decode(self.handle, api.llama_batch_get_one(data, len(tokens)))
        require(code == 0, BackendError, f"llama.cpp stopped with code {code}: {last_words()}")
        width = int(api.llama_model_n_embd_out(self.model.handle))
        found = api.llama_get_embeddings_seq(self.handle, 0)
        vector = np.array(np.ctypeslib.as_array(found, shape=(width,)), dtype=np.float64)
        norm = float(np.sqrt(np.sum(vector * vector)))
        result: NDArray[np.float32] = (vector / (norm or 1.0)).astype(np.float32)
        return result

    def free(self) -> None:
        """Give the memory back."""
        handle, self.handle = self.handle, None
        if handle is not None:
            library().llama_free(handle)
