"""One unified cache in which texts are written: a trunk, and a row for each text.

The *trunk* holds the beginning that prompts still to come share with the one that entered last. A
text takes its part of the trunk by reference, so that a shared token is evaluated and stored once,
and adds cells of its own. A cell is free again when neither the trunk nor a row refers to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from abm.llm.llamacpp.context import Context
from abm.llm.llamacpp.model import Model
from abm.llm.llamacpp.tokens import Path, Tokens
from abm.llm.llamacpp.trie import segments

__all__ = ["Entering", "Rows"]


class Entering(Protocol):
    """A prompt that enters a row.

    Attributes
    ----------
    tokens
        All of it.
    shared
        Tokens in common with the prompt before it in the order; of the first one that enters a
        call: those it has in common with the trunk.
    row
        A free row, 1 ... n_rows.
    """

    row: int

    @property
    def tokens(self) -> Tokens: ...
    @property
    def shared(self) -> int: ...
    @property
    def length(self) -> int: ...


class Rows(Context):
    """A context whose sequence 0 is the trunk; the sequences 1 ... n_rows are texts.

    Parameters
    ----------
    model
        A loaded model.
    n_rows
        Texts that are written in parallel, 1 to 255.
    options
        As for `Context`; `n_cells` is what all texts share.
    """

    def __init__(self, model: Model, *, n_rows: int, **options: Any) -> None:
        super().__init__(model, n_sequences=n_rows + 1, kind="rows", **options)
        self.n_rows, self.length = n_rows, 0

    def clear(self) -> None:
        """Forget everything in the cache."""
        super().clear()
        self.length = 0

    def begin(self, path: Path, wanted: set[Path]) -> None:
        """Empty the cache and make a path the trunk: resident, or evaluated block by block.

        Both give the same bits.
        """
        self.clear()
        depth = self.store.deepest(path, self.kind) if self.store else 0
        state = self.store.state(path[:depth], self.kind) if self.store and depth else None
        if state is not None and self.copy_in(state, 0):
            self.length = sum(map(len, path[:depth]))
            self.counts.add(prefix_hits=1, tokens_restored=self.length)
        else:
            self.clear()
            depth = 0
        for level in range(depth, len(path)):
            self.extend(path[level])
            self.keep(path[: level + 1], path[: level + 1] in wanted)

    def extend(self, tokens: Tokens) -> None:
        """Evaluate more tokens of the trunk, in calls of their own."""
        for start in range(0, len(tokens), self.n_batch):
            piece = tokens[start : start + self.n_batch]
            self.put(piece, self.length, 0, 1)
            self.run()
            self.length += len(piece)

    def cut(self, length: int) -> None:
        """Keep at most the first `length` tokens of the trunk."""
        if length < self.length:
            self.api.llama_memory_seq_rm(self.memory, 0, length, -1)
            self.length = length

    def follow(self, row: int, common: int, length: int) -> None:
        """Make the first `length` tokens of a row the trunk, which has `common` of them."""
        self.cut(min(common, length))
        if length > self.length:
            self.api.llama_memory_seq_cp(self.memory, row, 0, self.length, length)
            self.length = length

    def leave(self, row: int) -> None:
        """Empty a row."""
        self.api.llama_memory_seq_rm(self.memory, row, -1, -1)

    def evaluate(
        self,
        rows: Sequence[int],
        tokens: Sequence[int],
        positions: Sequence[int],
        entering: Sequence[Entering] = (),
        known: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """One more token of some texts, and the prompts of others, in one call.

        Parameters
        ----------
        rows, tokens, positions
            The texts that go on, with their last token and where it lies.
        entering
            Neighbours in the order of the prompts. Only the first may be so long that its
            beginning takes calls of its own.
        known
            Logits after the trunk, for prompts that are no longer than it.

        Returns
        -------
        Logits after each text and then after each prompt, shape (n, n_vocabulary).
        """
        n = len(rows)
        if entering:
            self.cut(entering[0].shared)
            rest = entering[0].tokens[self.length :]
            self.extend(rest[: max(0, len(rest) - self.n_batch + n)])
        self._put_texts(rows, tokens, positions)
        held, last = self._put_prompts(entering)
        self.outputs[last[last >= 0]] = 1
        found = self._found(n, last, known)
        del held
        return found

    def _put_texts(
        self, rows: Sequence[int], tokens: Sequence[int], positions: Sequence[int]
    ) -> None:
        n = len(rows)
        self.tokens[:n], self.positions[:n] = tokens, positions
        self.n_members[:n] = self.outputs[:n] = 1
        self.members[:n] = self._sequence_at + 4 * np.asarray(rows, dtype=np.int64)
        self.filled = n

    def _put_prompts(
        self, entering: Sequence[Entering]
    ) -> tuple[list[NDArray[np.int32]], NDArray[np.int64]]:
        """Every new token once, for all rows that share it.

        Returns the sequences that the batch points to, and where the last token of each prompt
        lies in it (-1: in the trunk).
        """
        last = np.full(len(entering), -1, dtype=np.int64)
        rows = np.array([one.row for one in entering], dtype=np.int32)
        seen = self.length
        for k, one in enumerate(entering):
            seen = min(seen, one.shared) if k else seen
            if seen:
                self.api.llama_memory_seq_cp(self.memory, 0, one.row, 0, seen)
        for piece in segments(entering, self.length):
            start = self.filled
            self.put(entering[piece.unit].tokens[piece.start : piece.stop], piece.start, 0, 1)
            self.n_members[start : self.filled] = piece.last - piece.unit
            self.members[start : self.filled] = rows.ctypes.data + 4 * piece.unit
            if piece.stop == entering[piece.unit].length:
                last[piece.unit] = self.filled - 1
        for k in range(1, len(entering)):
            if entering[k].shared == entering[k].length:  # equal to the one before
                last[k] = last[k - 1]
        return [rows], last

    def _found(
        self, n: int, last: NDArray[np.int64], known: NDArray[np.float32] | None
    ) -> NDArray[np.float32]:
        """Run the call; the logits of `n` texts and of the prompts that end at `last`."""
        flagged = np.flatnonzero(self.outputs[: self.filled])
        logits = np.zeros((1, self.model.n_vocabulary), dtype=np.float32)
        self.counts.alive(n + len(last))
        if self.filled:
            self.run(n_counted=self.filled - n)
            logits = self.logits(len(flagged))
        if not len(last):
            return logits
        at = np.concatenate([np.arange(n), np.searchsorted(flagged, last)])
        found: NDArray[np.float32] = logits[np.minimum(at, len(logits) - 1)]
        if known is not None:
            found[n:][last < 0] = known
        return found
