"""A context with a stream of cells per text: texts enter and leave, and are written in parallel.

A prompt is evaluated by itself, block by block, into the stream of its slot. After that every call
has exactly one token for *every* slot (a placeholder in the free ones), so that the shape of a call
never changes: then the rows of a call do not depend on each other to the bit (found by trial, and
tested), which `strict` needs. Calls of fewer slots are made only where they give the same bits (see
`exact_sizes`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.llm.llamacpp.context import Context
from abm.llm.llamacpp.model import Model
from abm.llm.llamacpp.tokens import Path
from abm.llm.statistics import Counts

__all__ = ["Slots", "exact_sizes"]

_STEPS = 3


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

    Attributes
    ----------
    sizes
        Slots that a call may have, ascending; the last is `n_slots`. Empty: any number will do.
    """

    def __init__(self, model: Model, *, n_slots: int, **options: Any) -> None:
        super().__init__(
            model, n_sequences=n_slots, streams=n_slots > 1, kind=f"text{n_slots}", **options
        )
        self.n_slots = n_slots
        self.sizes: tuple[int, ...] = (n_slots,)

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

        `slots` ascend. The call has as many neighbouring slots as hold them all, of `sizes`.
        """
        first, last = _block(slots, self.sizes)
        taken = dict(zip(slots, zip(tokens, positions, strict=True), strict=True))
        for slot in range(first, last):
            token, position = taken.get(slot, (0, 0))
            self.put((token,), position, slot, 1)
        self.outputs[: self.filled] = 1
        self.counts.alive(len(slots))
        self.run(n_counted=0)
        for slot in range(first, last):
            if slot not in taken:
                self.leave(slot)
        return self.logits(last - first)[[slot - first for slot in slots]]

    def leave(self, slot: int) -> None:
        """Empty a slot."""
        self.api.llama_memory_seq_rm(self.memory, slot, -1, -1)


def _block(slots: Sequence[int], sizes: Sequence[int]) -> tuple[int, int]:
    """The smallest block of slots, first ... last - 1, that holds all of these."""
    if not sizes:
        return slots[0], slots[-1] + 1
    for size in sizes:
        first = slots[0] // size * size
        if slots[-1] < first + size:
            break
    return first, first + size


def exact_sizes(slots: Slots, candidates: Sequence[int]) -> tuple[int, ...]:
    """Those of the candidates with which calls give the bits of a call of all slots; and all.

    Texts of random tokens and unequal lengths are continued by some tokens in calls of all slots
    and again in calls of the first and of the last slots; every bit of the logits must be equal.

    Why a trial of some tokens is enough for weights of 16 and 32 bits on a CPU: the matrix products
    of a call differ with its size in how many columns a tile has. In each of llama.cpp's kernels
    for such weights an element of the product is one sum over the inner dimension, in an order that
    the tile does not enter. What a size decides is which kernel is taken (one column has another
    one than several, on some processors up to three), for all inputs alike; that is what a trial
    shows. Kernels of quantised weights work on blocks of columns, so nothing is claimed for them.

    Parameters
    ----------
    slots
        Emptied.
    candidates
        Ascending divisors of `n_slots`.
    """
    rng = np.random.default_rng(6)
    lengths = [2 + k % 5 * 3 for k in range(slots.n_slots)]
    prompts = [rng.integers(0, slots.model.n_vocabulary, n).tolist() for n in lengths]
    tokens = rng.integers(0, slots.model.n_vocabulary, (_STEPS, slots.n_slots)).tolist()
    every = list(range(slots.n_slots))
    kept = slots.store, slots.counts
    slots.store, slots.counts = None, Counts()
    for slot in every:
        slots.enter(slot, (tuple(prompts[slot]),), set())
    expected = _continued(slots, every, lengths, tokens)
    found = []
    for size in candidates:
        blocks = (every[:size], every[-size:])
        slots.sizes = (size,)
        if all(
            np.array_equal(_continued(slots, block, lengths, tokens), expected[:, block])
            for block in blocks
        ):
            found.append(size)
    slots.clear()
    (slots.store, slots.counts), slots.sizes = kept, (slots.n_slots,)
    return (*found, slots.n_slots)


def _continued(
    slots: Slots, block: Sequence[int], lengths: Sequence[int], tokens: Sequence[Sequence[int]]
) -> NDArray[np.float32]:
    """Logits of some more tokens, shape (n_steps, n_block, n_vocabulary), which are taken back."""
    rows = []
    for k, step in enumerate(tokens):
        rows.append(slots.step(block, [step[s] for s in block], [lengths[s] + k for s in block]))
    for slot in block:
        slots.api.llama_memory_seq_rm(slots.memory, slot, lengths[slot], -1)
    return np.array(rows)
