"""A llama.cpp context: a cache of attention cells and one batch of tokens.

`Context` makes and calls it. `PathContext` holds at most one *path* (the blocks of a shared prefix)
in the cells 0, 1, 2, ...; what branches off it is evaluated after it and taken back. Every cell of
the path belongs to the sequences 0 ... n_shared - 1, so that as many branches can see it.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.errors import BackendError
from abm.llm.llamacpp.library import last_words, library
from abm.llm.llamacpp.model import Model
from abm.llm.llamacpp.prefixes import PrefixStore
from abm.llm.llamacpp.tokens import Path, Tokens
from abm.llm.llamacpp.tree import Branches, common_blocks
from abm.llm.statistics import Counts

__all__ = ["Context", "PathContext"]

_PAD = 256


class Context:
    """A context of llama.cpp, its batch, and copies of its cells.

    Parameters
    ----------
    model
        A loaded model; must outlive the context.
    n_cells
        Tokens that the cache can hold; with streams, of each sequence.
    n_sequences
        Branches that can be alive at once, at most 256.
    n_batch
        Most tokens per call of llama.cpp.
    n_threads
        Threads of llama.cpp.
    store
        Where shared prefixes stay resident; `None` keeps none.
    flash_attention
        Off in everything that promises equal bits.
    streams
        Whether every sequence has cells of its own instead of a share in one cache.
    counts
        Where calls and tokens are counted.
    kind
        Name of this kind of context in the store.
    """

    def __init__(
        self,
        model: Model,
        *,
        n_cells: int,
        n_sequences: int,
        n_batch: int,
        n_threads: int,
        n_ubatch: int | None = None,
        store: PrefixStore | None = None,
        flash_attention: bool = False,
        streams: bool = False,
        counts: Counts | None = None,
        kind: str = "",
    ) -> None:
        api = library()
        parameters = api.llama_context_default_params()
        padded = -(-n_cells // _PAD) * _PAD
        parameters.n_ctx = padded * (n_sequences if streams else 1)
        parameters.n_batch = n_batch
        parameters.n_ubatch = n_ubatch or n_batch
        parameters.n_seq_max = n_sequences
        parameters.n_threads = parameters.n_threads_batch = n_threads
        parameters.flash_attn_type = int(flash_attention)
        parameters.kv_unified = not streams
        parameters.swa_full = True
        parameters.no_perf = True
        self.api, self.model, self.store, self.kind = api, model, store, kind
        self.counts, self.n_threads = counts or Counts(), n_threads
        self.n_cells, self.n_batch, self.n_sequences = padded, n_batch, n_sequences
        self.handle = api.llama_init_from_model(model.handle, parameters)
        if not self.handle:
            raise BackendError(
                f"llama.cpp cannot make a context of {n_cells} tokens for {model.path}: "
                f"{last_words()}. Give a smaller n_ctx, or free memory",
                path=str(model.path),
            )
        self.memory = api.llama_get_memory(self.handle)
        self._make_batch()

    def _make_batch(self) -> None:
        n = self.n_batch
        self._sequences = np.arange(256, dtype=np.int32)
        self._sequence_at = self._sequences.ctypes.data
        self.tokens = np.zeros(n, dtype=np.int32)
        self.positions = np.zeros(n, dtype=np.int32)
        self.n_members = np.ones(n, dtype=np.int32)
        self.members = np.zeros(n, dtype=np.uint64)
        self.outputs = np.zeros(n, dtype=np.int8)
        batch = self.api.llama_batch()
        for name, array in (
            ("token", self.tokens),
            ("pos", self.positions),
            ("n_seq_id", self.n_members),
            ("seq_id", self.members),
            ("logits", self.outputs),
        ):
            kind = type(getattr(batch, name))
            setattr(batch, name, ctypes.cast(array.ctypes.data, kind))
        self.batch = batch
        self.filled = 0

    def use_threads(self, n_threads: int) -> None:
        """Use so many threads of llama.cpp from now on."""
        if n_threads != self.n_threads:
            self.n_threads = n_threads
            self.api.llama_set_n_threads(self.handle, n_threads, n_threads)

    def put(self, tokens: Tokens, position: int, first: int, count: int) -> None:
        """Add consecutive tokens of the sequences first ... first + count - 1, without outputs."""
        a, b = self.filled, self.filled + len(tokens)
        self.tokens[a:b] = tokens
        self.positions[a:b] = np.arange(position, position + b - a, dtype=np.int32)
        self.n_members[a:b] = count
        self.members[a:b] = self._sequence_at + 4 * first
        self.outputs[a:b] = 0
        self.filled = b

    def put_branches(self, branches: Branches, position: int, first: int) -> None:
        """Add a tree below `position` - 1, with outputs; leaf k is the sequence first + k."""
        a, b = self.filled, self.filled + branches.size
        self.tokens[a:b] = branches.token
        self.positions[a:b] = branches.depth + (position - 1)
        self.n_members[a:b] = branches.n_leaves
        self.members[a:b] = self._sequence_at + 4 * (branches.first_leaf + first)
        self.outputs[a:b] = 1
        self.filled = b

    def run(self, n_counted: int | None = None) -> None:
        """Evaluate what was put, and empty the batch; counts all tokens unless told how many."""
        self.batch.n_tokens, filled = self.filled, self.filled
        self.filled = 0
        self.counts.add(calls=1, tokens_evaluated=filled if n_counted is None else n_counted)
        code = self.api.llama_decode(self.handle, self.batch)
        if code != 0:
            self.clear()
            raise BackendError(f"llama.cpp stopped with code {code}: {last_words()}", code=code)

    def logits(self, n_rows: int) -> NDArray[np.float32]:
        """The outputs of the last call, in batch order, shape (n_rows, n_vocabulary). A view."""
        pointer = self.api.llama_get_logits(self.handle)
        n = self.model.n_vocabulary
        data: Any = ctypes.cast(pointer, ctypes.POINTER(ctypes.c_float * (n_rows * n))).contents
        return np.frombuffer(data, dtype=np.float32).reshape(n_rows, n)

    def clear(self) -> None:
        """Forget everything in the cache."""
        self.api.llama_memory_clear(self.memory, False)
        self.filled = 0

    def copy_out(self, sequence: int, most: int | None = None) -> Any:
        """A copy of the cells of a sequence, or `None` if it has none or more than `most` bytes."""
        size = int(self.api.llama_state_seq_get_size(self.handle, sequence))
        if not size or (most is not None and size > most):
            return None
        state = (ctypes.c_uint8 * size)()
        written = self.api.llama_state_seq_get_data(self.handle, state, size, sequence)
        return state if written == size else None

    def copy_in(self, state: Any, sequence: int) -> bool:
        """Give a sequence the cells of a copy."""
        size = len(state)
        return bool(self.api.llama_state_seq_set_data(self.handle, state, size, sequence) == size)

    def keep(self, path: Path, wanted: bool, sequence: int = 0) -> None:
        """Keep a copy of a sequence that holds just `path`, if it is worth it and there is room."""
        store = self.store
        if store is None or not store.n_bytes or not store.worth_keeping(path, wanted, self.kind):
            return
        state = self.copy_out(sequence, store.n_bytes)
        if state is not None:
            store.add(path, state, self.kind)

    def free(self) -> None:
        """Give the memory back."""
        handle, self.handle = self.handle, None
        if handle:
            self.api.llama_free(handle)


class PathContext(Context):
    """A context with one unified cache that holds one path."""

    def __init__(self, model: Model, **options: Any) -> None:
        super().__init__(model, **options)
        self.path: Path = ()
        self.length = 0
        self.n_shared = 1

    def clear(self) -> None:
        """Forget everything in the cache."""
        super().clear()
        self.path, self.length, self.n_shared = (), 0, 1

    def rewind(self, depth: int) -> None:
        """Take back everything after the first `depth` blocks of the path."""
        self.path = self.path[:depth]
        self.length = sum(map(len, self.path))
        if not self.length or not self.api.llama_memory_seq_rm(self.memory, -1, self.length, -1):
            self.clear()

    def share(self, n_sequences: int) -> None:
        """Let at least so many sequences see the path."""
        if self.length:
            for sequence in range(self.n_shared, n_sequences):
                self.api.llama_memory_seq_cp(self.memory, 0, sequence, -1, -1)
        self.n_shared = max(self.n_shared, n_sequences)

    def go_to(self, path: Path, n_sequences: int, wanted: Any = ()) -> None:
        """Make `path` the live path, visible to at least `n_sequences` sequences.

        What was evaluated after the live path has been taken back before (see `rewind`). Blocks
        are evaluated one by one, never together, so that the cut does not depend on what was
        shared. `wanted` holds paths that should stay resident.
        """
        depth = common_blocks(self.path, path)
        stored = self.store.deepest(path, self.kind) if self.store else 0
        if stored > depth:
            self._restore(path[:stored])
        elif depth < len(self.path):
            self.rewind(depth)
        self.share(n_sequences)
        for depth in range(len(self.path), len(path)):
            self._extend(path[depth])
            if self.store is not None:
                self.keep(path[: depth + 1], path[: depth + 1] in wanted)

    def _extend(self, block: Tokens) -> None:
        for start in range(0, len(block), self.n_batch):
            piece = block[start : start + self.n_batch]
            self.put(piece, self.length + start, 0, self.n_shared)
            self.run()
        self.path = (*self.path, block)
        self.length += len(block)

    def _restore(self, path: Path) -> None:
        state = self.store.state(path, self.kind) if self.store else None
        self.clear()
        if state is not None and self.copy_in(state, 0):
            self.path, self.length = path, sum(map(len, path))
            self.counts.add(prefix_hits=1, tokens_restored=self.length)
        else:
            self.clear()
