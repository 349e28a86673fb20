"""The contexts of a loaded model: made when first needed, one per lane and kind of work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from abm.errors import BackendError
from abm.llm.llamacpp.context import Context, PathContext
from abm.llm.llamacpp.fast import TreeContext
from abm.llm.llamacpp.loaded import Loaded
from abm.llm.llamacpp.rows import Rows
from abm.llm.llamacpp.slots import Slots, exact_sizes
from abm.llm.llamacpp.strict import MAX_LEAVES, MAX_NODES
from abm.llm.llamacpp.variation import Variation, measure_variation

__all__ = ["N_BATCH", "ROWS", "Contexts"]

N_BATCH = 512
ROWS = (8, 4, 2, 1)  # texts that `strict` writes in parallel: the first whose cells fit the memory
TEXTS = ("text", "apart")  # kinds of contexts in which texts are written


class Contexts(Loaded):
    """A loaded model with contexts: `strict`, `fast` for scores, `text`, `apart` for texts."""

    _sizes: tuple[int, ...] | None = None
    _variation: Variation | None = None

    @property
    def variation(self) -> Variation:
        """How far this model's answers move when prompts are evaluated together.

        Total variation of the next token between `fast` and `strict` evaluation, on prompts of
        random tokens; measured when first asked for, then kept on disk like `layout`.
        """
        model = self._open()
        with self._lock:
            if self._variation is None:
                kept = self._remembered().get("variation")
                if kept is None:
                    n_prompts = 32 if self.layout.source == "measured" else 4
                    with self._using("strict") as alone, self._using("fast") as batched:
                        found = measure_variation(
                            model, alone, batched, self.layout.n_tokens, n_prompts
                        )
                    kept = found.as_dict()
                    self._remembered().put("variation", kept)
                self._variation = Variation(**kept)
            return self._variation

    def memory(self) -> dict[str, int]:
        """Bytes held now: weights (mapped from the file), attention cells, resident prefixes."""
        cell = self._open().cell_bytes
        cells = sum(
            context.n_cells * (context.n_sequences if isinstance(context, Slots) else 1)
            for context in self._contexts.values()
            if isinstance(context, Context)
        )
        return {
            "weights": self._model.n_bytes,
            "cells": cells * cell,
            "resident": self._store.used,
        }

    @contextmanager
    def _using(self, kind: str, needed: int = 0) -> Iterator[Any]:
        """A context, for one thread at a time; emptied if the work is interrupted."""
        with self._lanes(kind, 1, needed) as contexts:
            yield contexts[0]

    @contextmanager
    def _lanes(self, kind: str, n: int, needed: int = 0) -> Iterator[list[Any]]:
        """A context for each of at most n lanes, emptied if the work is interrupted."""
        with self._lock:
            contexts = self._contexts_of(kind, n, needed)
            for context in contexts:
                context.use_threads(self._threads_of(len(contexts)))
            done = False
            try:
                yield contexts
                done = True
            finally:
                if not done:
                    for context in contexts:
                        context.clear()

    def _contexts_of(self, kind: str, n: int, needed: int) -> list[Any]:
        """At least one context; where the memory does not suffice for more, there are no more."""
        contexts = [self._context(kind, needed)]
        for lane in range(1, min(n, self.n_lanes)):
            try:
                contexts.append(self._context(kind, needed, lane))
            except BackendError:
                self.n_lanes = lane
                break
        return contexts

    def _context(self, kind: str, needed: int = 0, lane: int = 0) -> Any:
        """The context of a kind (`strict`, `fast`, `text`) and lane, made when first needed."""
        name = f"{kind} {lane}" if lane else kind
        found = self._contexts.get(name)
        if found is not None and found.n_cells < needed:
            self._contexts.pop(name).free()
            found = None
        if found is None:
            self._free_other_texts(kind)
            found = self._texts(kind, needed) if kind in TEXTS else self._scoring(kind)
            self._contexts[name] = found
        return found

    def _free_other_texts(self, kind: str) -> None:
        """Let the cells of texts be those of one kind, so that they keep to their bound."""
        others = set(TEXTS) - {kind} if kind in TEXTS else set()
        for name in [name for name in self._contexts if name.split()[0] in others]:
            self._contexts.pop(name).free()

    def _scoring(self, kind: str) -> Context:
        options: dict[str, Any] = {
            "n_threads": self._threads_of(self.n_lanes),
            "store": self._store,
            "counts": self._counts,
            "n_ubatch": N_BATCH,
        }
        if kind == "strict":
            return PathContext(
                self._model,
                n_cells=self.n_ctx + MAX_NODES,
                n_sequences=MAX_LEAVES,
                n_batch=N_BATCH,
                **options,
            )
        return TreeContext(
            self._model,
            n_cells=self.n_ctx + 4 * N_BATCH,
            n_sequences=256,
            n_batch=4 * N_BATCH,
            flash_attention=self.layout.flash,
            kind="fast",
            **options,
        )

    def _texts(self, kind: str, needed: int) -> Context:
        """Where texts are written: with cells for the longest, or in one cache for all."""
        options: dict[str, Any] = {
            "n_cells": -(-needed // 256) * 256,
            "n_threads": self._threads_of(self.n_lanes),
            "store": self._store,
            "counts": self._counts,
        }
        if self.mode == "strict":
            slots = Slots(self._model, n_slots=self._n_rows(), n_batch=N_BATCH, **options)
            slots.sizes = self._sizes_of_calls(slots)
            return slots
        if kind == "apart":
            slots = Slots(self._model, n_slots=self._streams(needed), n_batch=N_BATCH, **options)
            slots.sizes = ()
            return slots
        n_rows = self._most_texts()
        n_batch = min(N_BATCH, n_rows + max(64, self.layout.n_tokens))
        return Rows(self._model, n_rows=n_rows, n_batch=n_batch, **options)

    def _sizes_of_calls(self, slots: Slots) -> tuple[int, ...]:
        """Texts that a call of `strict` may hold: fewer than all where that gives the same bits."""
        whole = not (self._model.is_quantised or self._model.on_gpu)
        if self._sizes is None:
            smaller = [n for n in ROWS[::-1] if 1 < n < slots.n_slots] if whole else []
            self._sizes = exact_sizes(slots, smaller) if smaller else (slots.n_slots,)
        return self._sizes

    def _n_rows(self) -> int:
        """Texts that `strict` writes in parallel: so many that the longest fit the memory.

        A call costs as much for free places as for taken ones. With a small model on a CPU two
        places take no longer than one, and eight six times as long.
        """
        most = self.n_parallel or (2 if self._is_small else ROWS[0])
        each = self._longest_bytes()
        return next((n for n in ROWS if n <= most and n * each <= self.text_bytes), 1)

    def _longest_bytes(self) -> int:
        """Memory of the cells of a text of `n_ctx` tokens."""
        return -(-self.n_ctx // 256) * 256 * self._model.cell_bytes

    def _most_texts(self) -> int:
        """Texts that `fast` writes in a call; one of llama.cpp's 256 sequences is the trunk."""
        return min(self.n_parallel or self.layout.n_rows, 255)

    def _streams(self, longest: int) -> int:
        """Texts of a lane whose streams fit the memory, at most those of the layout."""
        room = self.text_bytes // self.n_lanes // self._model.cell_bytes
        return max(1, min(self._most_texts(), room // (-(-longest // 256) * 256)))
