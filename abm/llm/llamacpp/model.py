"""A loaded GGUF: weights, vocabulary, and everything about them that can change an answer."""

from __future__ import annotations

import ctypes
import os
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.errors import ModelFileError
from abm.llm.llamacpp.header import read_header, shards
from abm.llm.llamacpp.library import last_words, library

__all__ = ["Model", "file_hash"]


class Model:
    """The weights and vocabulary of one GGUF file, held until `free`.

    Parameters
    ----------
    path
        The GGUF file; of a split model its first part.
    n_gpu_layers
        Layers on the GPU, negative for all; without effect when the build has no GPU.

    Raises
    ------
    ModelFileError
        The file is missing, truncated, not a GGUF, or llama.cpp refuses it.
    """

    def __init__(self, path: Path | str, n_gpu_layers: int = -1) -> None:
        self.path = Path(path)
        self.header = read_header(self.path)
        self.files = shards(self.header)
        api = library()
        self.on_gpu = bool(api.llama_supports_gpu_offload()) and n_gpu_layers != 0
        parameters = api.llama_model_default_params()
        parameters.n_gpu_layers = n_gpu_layers if self.on_gpu else 0
        self.handle = api.llama_model_load_from_file(os.fsencode(self.path), parameters)
        if not self.handle:
            raise ModelFileError(
                f"llama.cpp cannot load {self.path}: {last_words()}. "
                "The file may be damaged or need a newer llama-cpp-python",
                path=str(self.path),
            )
        self.vocabulary = api.llama_model_get_vocab(self.handle)
        self.n_vocabulary = int(api.llama_vocab_n_tokens(self.vocabulary))
        try:
            self._check()
        except ModelFileError:
            self.free()
            raise

    def _check(self) -> None:
        api = library()
        generates = api.llama_model_has_decoder(self.handle)
        encodes = api.llama_model_has_encoder(self.handle)
        rewinds = not (
            api.llama_model_is_recurrent(self.handle) or api.llama_model_is_hybrid(self.handle)
        )
        if encodes or not generates or not rewinds:
            kind = self.header.metadata.get("general.architecture", "unknown")
            raise ModelFileError(
                f"{self.path}: architecture {kind!r} is an encoder or keeps a running state, so "
                "that a shared prefix cannot be taken back; use a decoder-only transformer "
                "(Llama, Qwen, Mistral, Gemma, ...)",
                path=str(self.path),
            )
        if not self.ends_of_turn.size:
            raise ModelFileError(
                f"{self.path}: the vocabulary has no token that ends a turn, so an option's end "
                "cannot be scored; set tokenizer.ggml.eos_token_id in the file",
                path=str(self.path),
            )

    @property
    def ends_of_turn(self) -> NDArray[np.int64]:
        """Tokens that end a turn, in ascending order."""
        api = library()
        found = [
            token
            for token in range(self.n_vocabulary)
            if api.llama_vocab_is_eog(self.vocabulary, token)
        ]
        return np.array(found, dtype=np.int64)

    @property
    def n_training_context(self) -> int:
        """Longest text that the model was trained on, in tokens."""
        return int(library().llama_model_n_ctx_train(self.handle))

    @property
    def chat_template(self) -> str | None:
        """The Jinja template of an instruct model, or None."""
        found = library().llama_model_chat_template(self.handle, None)
        return found.decode("utf-8", "replace") if found else None

    @property
    def quantisation(self) -> str:
        """Type of the weights, such as `F16` or `Q8_0`."""
        name = library().llama_ftype_name(library().llama_model_ftype(self.handle))
        return name.decode() if name else "unknown"

    @property
    def is_quantised(self) -> bool:
        """Whether weights have fewer bits than a half-precision number."""
        api = library()
        whole = (api.LLAMA_FTYPE_ALL_F32, api.LLAMA_FTYPE_MOSTLY_F16, api.LLAMA_FTYPE_MOSTLY_BF16)
        return int(api.llama_model_ftype(self.handle)) not in whole

    @property
    def description(self) -> str:
        buffer = ctypes.create_string_buffer(256)
        library().llama_model_desc(self.handle, buffer, 256)
        return buffer.value.decode("utf-8", "replace")

    @property
    def n_parameters(self) -> int:
        return int(library().llama_model_n_params(self.handle))

    @property
    def n_bytes(self) -> int:
        """Size of the weights in memory."""
        return int(library().llama_model_size(self.handle))

    @property
    def cell_bytes(self) -> int:
        """Memory that the attention cells of one token take in all layers, in bytes."""
        api, known = library(), self.header.metadata
        arch = str(known.get("general.architecture", ""))
        usual = int(api.llama_model_n_embd(self.handle)) // int(api.llama_model_n_head(self.handle))
        width = sum(int(known.get(f"{arch}.attention.{x}_length", usual)) for x in ("key", "value"))
        layers = int(api.llama_model_n_layer(self.handle))
        return 2 * layers * int(api.llama_model_n_head_kv(self.handle)) * width

    def piece(self, token: int, special: bool = False) -> bytes:
        """The bytes of one token; nothing for a control token unless `special`."""
        buffer = ctypes.create_string_buffer(64)
        api = library()
        size = api.llama_token_to_piece(self.vocabulary, token, buffer, 64, 0, special)
        if size < 0:
            buffer = ctypes.create_string_buffer(-size)
            size = api.llama_token_to_piece(self.vocabulary, token, buffer, -size, 0, special)
        return buffer.raw[:size]

    def hash(self) -> str:
        """SHA-256 over the bytes of all files of the model."""
        hashes = [file_hash(path) for path in self.files]
        return hashes[0] if len(hashes) == 1 else sha256("".join(hashes).encode()).hexdigest()

    def free(self) -> None:
        """Give the memory back. Every context of the model must be freed before."""
        handle: Any = self.handle
        self.handle = None
        if handle:
            library().llama_model_free(handle)


def file_hash(path: Path) -> str:
    """SHA-256 of a file, read once per path, size and time of change."""
    state = path.stat()
    return _file_hash(str(path.resolve()), state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=256)
def _file_hash(path: str, size: int, changed: int) -> str:  # noqa: ARG001 - parts of the cache key
    digest = sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 22):
            digest.update(chunk)
    return digest.hexdigest()
