"""Texts in streams of their own: a continuous batch, in which a text enters as another ends.

In `strict` a text depends on its request and seed alone, to the bit (see `slots`). `fast` writes in
this way where that is faster than in one cache.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.errors import BackendError
from abm.llm.backend import Generation
from abm.llm.llamacpp.drafts import Draft, TextJob, begun, draw, finished
from abm.llm.llamacpp.lanes import side_by_side
from abm.llm.llamacpp.slots import Slots
from abm.llm.llamacpp.strict import shared_prefixes
from abm.llm.llamacpp.tokens import Path, Tokenizer
from abm.llm.llamacpp.tree import depth_first
from abm.llm.llamacpp.trie import block_nodes

__all__ = ["write_apart", "write_strict"]


@dataclass
class _Evaluated:
    """The last prompt that was evaluated: its logits, and its cells if others start from it."""

    path: Path
    logits: NDArray[np.float32]
    cells: Any


def write_strict(
    lanes: Sequence[Slots], tokenizer: Tokenizer, jobs: Sequence[TextJob], ends: NDArray[np.int64]
) -> tuple[dict[int, Generation], list[BackendError]]:
    """Texts by index of job, and errors of lanes that failed.

    Each context is a lane (see `lanes`); all take their texts from one queue, as others end. What a
    lane was writing when llama.cpp failed has no result; the others write the rest.
    """
    queue, wanted = _queue(lanes[0], jobs)
    stops = frozenset(ends.tolist())
    results: dict[int, Generation] = {}

    def lane(number: int) -> None:
        results.update(_texts(_Batch(lanes[number], queue, wanted, stops), tokenizer))

    return results, side_by_side(lane, len(lanes), queue.clear)


def write_apart(
    slots: Slots, tokenizer: Tokenizer, jobs: Sequence[TextJob], ends: NDArray[np.int64]
) -> Iterator[tuple[int, Generation]]:
    """(index, text) of each job, as the texts end: the portion of one lane."""
    queue, wanted = _queue(slots, jobs)
    yield from _texts(_Batch(slots, queue, wanted, frozenset(ends.tolist())), tokenizer)


def _queue(slots: Slots, jobs: Sequence[TextJob]) -> tuple[deque[TextJob], set[Path]]:
    """Jobs in the order of their blocks, and the prefixes that are worth keeping."""
    paths = [job.path for job in jobs]
    slots.counts.add(tree_nodes=block_nodes((path, ()) for path in set(paths)))
    return deque(jobs[at] for at in depth_first(paths)), shared_prefixes(paths)


def _texts(batch: _Batch, tokenizer: Tokenizer) -> Iterator[tuple[int, Generation]]:
    """(index, text), as they end."""
    try:
        for draft in batch.write():
            yield draft.job.index, finished(draft, tokenizer)
    finally:
        batch.free()


class _Batch:
    """The drafts in the slots of a lane, and the queue that it takes them from."""

    def __init__(
        self, slots: Slots, queue: deque[TextJob], wanted: set[Path], stops: frozenset[int]
    ) -> None:
        self.slots, self.queue, self.wanted, self.stops = slots, queue, wanted, stops
        self.drafts: list[Draft | None] = [None] * slots.n_slots
        self.before: _Evaluated | None = None

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
            while self.drafts[slot] is None and (job := self._next()) is not None:
                draft = begun(self.slots.model, job)
                if draft.status is None:
                    draw([draft], self._enter(slot, draft.job.path), self.stops)
                if draft.status is None:
                    self.drafts[slot] = draft
                else:
                    self.slots.leave(slot)
                    yield self._ended(draft)

    def _next(self) -> TextJob | None:
        """The next text; None when all are taken."""
        try:
            return self.queue.popleft()
        except IndexError:
            return None

    def _is_next(self, path: Path) -> bool:
        """Whether the next text has this prompt."""
        try:
            return self.queue[0].path == path
        except IndexError:
            return False

    def _enter(self, slot: int, path: Path) -> NDArray[np.float32]:
        """The logits after a prompt, evaluated in a slot or copied from an equal one before it."""
        before = self.before
        if before is not None and before.path == path and before.cells is not None:
            self.slots.leave(slot)
            if self.slots.copy_in(before.cells, slot):
                return before.logits
        logits = self.slots.enter(slot, path, self.wanted).copy()
        cells = self.slots.copy_out(slot) if self._is_next(path) else None
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
