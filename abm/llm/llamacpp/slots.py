"""A context with a stream of cells per text: texts enter and leave, and are written in parallel.

A prompt is evaluated by itself, block by block, into the stream of its slot. After that every call
has exactly one token for *every* slot (a placeholder in the free ones), so that the shape of a call
never changes: then the rows of a call do not depend on each other to the bit (found by trial, and
tested), which `strict` needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.llm.llamacpp.context import Context
from abm.llm.llamacpp.model import Model
from abm.llm.llamacpp.tokens import Path

__all__ = ["Slots"]


class Slots(Context):
    """Streams of one size, each for one text.

    Parameters
    ----------
    model
        A loaded model.
    n_slots
        Texts that are written in parallel, 1 to 256.
    options
        As for `Context`; `n_cells` counts for each slot.
    """

    def __init__(self, model: Model, *, n_slots: int, **options: Any) -> None:
        super().__init__(
            model, n_sequences=n_slots, streams=n_slots > 1, kind=f"text{n_slots}", **options
        )
        self.n_slots = n_slots

    def enter(self, slot: int, path: Path, wanted: set[Path]) -> NDArray[np.float32]:
        """Evaluate a prompt in a free slot; the logits after it, shape (1, n_vocabulary).

        Blocks but the last may come from resident copies; they are evaluated one by one.
        """
        self.leave(slot)
        depth = self._resident(slot, path[:-1])
        position = sum(map(len, path[:depth]))
        for level in range(depth, len(path)):
            block = path[level]
            for start in range(0, len(block), self.n_batch):
                if self.filled:
                    self.run()
                self.put(block[start : start + self.n_batch], position + start, slot, 1)
            position += len(block)
            if level < len(path) - 1:
                self.run()
                self.keep(path[: level + 1], path[: level + 1] in wanted, slot)
        self.outputs[self.filled - 1] = 1
        self.run()
        return self.logits(1)

    def _resident(self, slot: int, path: Path) -> int:
        """Take the longest resident prefix into a slot; its number of blocks."""
        depth = self.store.deepest(path, self.kind) if self.store else 0
        state = self.store.state(path[:depth], self.kind) if self.store and depth else None
        if state is None:
            return 0
        if not self.copy_in(state, slot):
            self.leave(slot)
            return 0
        self.counts.add(prefix_hits=1, tokens_restored=sum(map(len, path[:depth])))
        return depth

    def step(
        self, slots: Sequence[int], tokens: Sequence[int], positions: Sequence[int]
    ) -> NDArray[np.float32]:
        """Evaluate one more token of some texts; logits of each, shape (n, n_vocabulary).

        `slots` ascend.
        """
        n = 0
        for slot in range(self.n_slots):
            if n < len(slots) and slots[n] == slot:
                self.put((tokens[n],), positions[n], slot, 1)
                n += 1
            else:
                self.put((0,), 0, slot, 1)
        self.outputs[: self.filled] = 1
        self.counts.alive(len(slots))
        self.run(n_counted=0)
        taken = set(slots)
        for slot in range(self.n_slots):
            if slot not in taken:
                self.leave(slot)
        return self.logits(self.n_slots)[list(slots)]

    def leave(self, slot: int) -> None:
        """Empty a slot."""
        self.api.llama_memory_seq_rm(self.memory, slot, -1, -1)
