"""Texts in `strict`: a continuous batch, in which a text enters as another ends.

A text depends on its request and seed alone, to the bit (see `slots`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.llm.backend import Generation
from abm.llm.llamacpp.drafts import Draft, TextJob, begun, draw, finished
from abm.llm.llamacpp.slots import Slots
from abm.llm.llamacpp.strict import shared_prefixes
from abm.llm.llamacpp.tokens import Path, Tokenizer
from abm.llm.llamacpp.tree import depth_first
from abm.llm.llamacpp.trie import block_nodes

__all__ = ["write_strict"]


@dataclass
class _Evaluated:
    """The last prompt that was evaluated: its logits, and its cells if others start from it."""

    path: Path
    logits: NDArray[np.float32]
    cells: Any


def write_strict(
    slots: Slots, tokenizer: Tokenizer, jobs: Sequence[TextJob], ends: NDArray[np.int64]
) -> Iterator[tuple[int, Generation]]:
    """(index, text) of each job, as the texts end."""
    batch = _Batch(slots, jobs, frozenset(ends.tolist()))
    try:
        for draft in batch.write():
            yield draft.job.index, finished(draft, tokenizer)
    finally:
        batch.free()


class _Batch:
    """Jobs in the order of their tree, and the drafts in the slots."""

    def __init__(self, slots: Slots, jobs: Sequence[TextJob], stops: frozenset[int]) -> None:
        paths = [job.path for job in jobs]
        self.slots, self.stops = slots, stops
        self.wanted = shared_prefixes(paths)
        self.queue = deque(jobs[at] for at in depth_first(paths))
        self.drafts: list[Draft | None] = [None] * slots.n_slots
        self.before: _Evaluated | None = None
        slots.counts.add(tree_nodes=block_nodes((path, ()) for path in set(paths)))

    def write(self) -> Iterator[Draft]:
        """Drafts as they end."""
        while True:
            yield from self._fill()
            going = [slot for slot, draft in enumerate(self.drafts) if draft is not None]
            if not going:
                return
            yield from self._round(going)

    def _fill(self) -> Iterator[Draft]:
        """Begin a text in each free slot; a text may end with its first token."""
        for slot in range(self.slots.n_slots):
            while self.queue and self.drafts[slot] is None:
                draft = begun(self.slots.model, self.queue.popleft())
                if draft.status is None:
                    draw([draft], self._enter(slot, draft.job.path), self.stops)
                if draft.status is None:
                    self.drafts[slot] = draft
                else:
                    self.slots.leave(slot)
                    yield self._ended(draft)

    def _enter(self, slot: int, path: Path) -> NDArray[np.float32]:
        """The logits after a prompt, evaluated in a slot or copied from an equal one before it."""
        before = self.before
        if before is not None and before.path == path and before.cells is not None:
            self.slots.leave(slot)
            if self.slots.copy_in(before.cells, slot):
                return before.logits
        logits = self.slots.enter(slot, path, self.wanted).copy()
        again = bool(self.queue) and self.queue[0].path == path
        cells = self.slots.copy_out(slot) if again else None
        self.before = _Evaluated(path, logits, cells)
        return logits

    def _round(self, going: list[int]) -> Iterator[Draft]:
        """One more token for each text."""
        drafts = [draft for draft in self.drafts if draft is not None]
        last = [draft.tokens[-1] for draft in drafts]
        places = [draft.position for draft in drafts]
        draw(drafts, self.slots.step(going, last, places), self.stops)
        for slot, draft in zip(going, drafts, strict=True):
            if draft.status is not None:
                self.drafts[slot] = None
                self.slots.leave(slot)
                yield self._ended(draft)

    def _ended(self, draft: Draft) -> Draft:
        self.slots.counts.add(tokens_written=draft.n_drawn)
        draft.free()
        return draft

    def free(self) -> None:
        """Give the memory of unfinished texts back."""
        for slot, draft in enumerate(self.drafts):
            if draft is not None:
                self.slots.leave(slot)
                draft.free()
