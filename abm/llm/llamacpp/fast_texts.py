"""Texts in `fast`: a continuous batch in one cache, in which prompts enter together.

Prompts are sorted by their tokens, so that neighbours share the longest beginnings. Each call holds
one token of every text that is being written and the own tokens of prompts that enter, as many as
the measured layout says. A prompt enters when a row is free and the cache has room for it and for
all that may still be written; so a batch larger than the cache takes its turns and is never
refused.

What comes out depends on the batch, the layout and the size of the cache. The last digits depend on
the other texts of the batch, and rounding may tip a draw.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from abm.llm.backend import Generation
from abm.llm.llamacpp.drafts import Draft, TextJob, begun, draw, finished
from abm.llm.llamacpp.rows import Rows
from abm.llm.llamacpp.strict import shared_prefixes
from abm.llm.llamacpp.tokens import Path, Tokenizer, Tokens
from abm.llm.llamacpp.trie import common

__all__ = ["Queued", "cells_wanted", "in_order", "write_fast"]


@dataclass(eq=False)
class Queued:
    """A prompt in the order of the batch, and its text once it is in a row.

    Attributes
    ----------
    shared
        Tokens in common with the prompt before it; where that one is left out, with the one before
        that.
    link
        Tokens in common with the text before it among those in the cache.
    """

    job: TextJob
    tokens: Tokens
    shared: int = 0
    link: int = 0
    row: int = 0
    draft: Draft | None = None

    @property
    def length(self) -> int:
        return len(self.tokens)

    @property
    def n_new(self) -> int:
        """Tokens to evaluate if those shared are there."""
        return self.length - self.shared

    @property
    def n_cells(self) -> int:
        """Most cells that it comes to hold beyond those of the text before it."""
        return self.length - self.link + self.job.constraint.max_tokens


def in_order(jobs: Sequence[TextJob]) -> list[Queued]:
    """Jobs sorted by the tokens of their prompts."""
    found = [Queued(job, tuple(token for block in job.path for token in block)) for job in jobs]
    found.sort(key=lambda one: one.tokens)
    ids = [np.array(one.tokens, dtype=np.int32) for one in found]
    for k in range(1, len(found)):
        found[k].shared = common(ids[k - 1], ids[k])
    return found


def cells_wanted(jobs: Sequence[TextJob], n_rows: int) -> int:
    """Cells with which a batch hardly ever waits for any: the largest texts in all rows at once."""
    order = in_order(jobs)
    own = sorted((one.n_new + one.job.constraint.max_tokens for one in order), reverse=True)
    return max(one.length for one in order) + sum(own[:n_rows])


def write_fast(
    rows: Rows,
    tokenizer: Tokenizer,
    jobs: Sequence[TextJob],
    ends: NDArray[np.int64],
    n_tokens: int,
) -> Iterator[tuple[int, Generation]]:
    """(index, text) of each job, as the texts end.

    Parameters
    ----------
    rows
        A context with cells for the longest text at least.
    ends
        Tokens that end the turn.
    n_tokens
        Tokens of prompts that a call should not exceed.
    """
    batch = _Batch(rows, jobs, frozenset(ends.tolist()), n_tokens)
    try:
        for draft in batch.write():
            yield draft.job.index, finished(draft, tokenizer)
    finally:
        batch.free()


class _Batch:
    """The queue of prompts, the texts in the cache in their order, and the trunk after them.

    `link` is the number of tokens that the trunk has in common with the last text in the cache.
    """

    def __init__(
        self, rows: Rows, jobs: Sequence[TextJob], stops: frozenset[int], n_tokens: int
    ) -> None:
        self.rows, self.stops = rows, stops
        self.n_tokens = max(1, min(n_tokens, rows.n_batch - rows.n_rows))
        self.queue = deque(in_order(jobs))
        self.going: list[Queued] = []
        self.free_rows = list(range(rows.n_rows, 0, -1))
        self.link = 0
        self.known: NDArray[np.float32] | None = None
        rows.counts.add(tree_nodes=sum(one.n_new for one in self.queue))

    def write(self) -> Iterator[Draft]:
        """Drafts as they end."""
        self._begin()
        while True:
            entering: list[Queued] = []
            yield from self._admit(entering)
            if not self.going:
                return
            self._round(entering)
            yield from self._leave()

    def _begin(self) -> None:
        """Make the declared beginning that the first prompt shares the trunk."""
        paths = [one.job.path for one in self.queue]
        wanted = shared_prefixes(paths)
        path = _beginning(paths, wanted)
        self.rows.begin(path, wanted)
        self.queue[0].shared = self.rows.length

    def _admit(self, entering: list[Queued]) -> Iterator[Draft]:
        """Give rows to the next prompts as long as they fit; drafts that cannot begin."""
        n_new = 0
        while self.queue and self.free_rows:
            one = self.queue[0]
            n_new += one.n_new
            if self.going and not ((n_new <= self.n_tokens or not entering) and self._fits(one)):
                return
            self.queue.popleft()
            one.draft = begun(self.rows.model, one.job)
            self.link = min(self.link, one.shared)
            following = self.queue[0].shared if self.queue else 0
            if one.draft.status is None:
                one.row, one.link, self.link = self.free_rows.pop(), self.link, following
                entering.append(one)
                self.going.append(one)
            else:
                n_new -= one.n_new
                if self.queue:
                    self.queue[0].shared = min(one.shared, following)
                yield one.draft

    def _fits(self, one: Queued) -> bool:
        """Whether there are cells for a prompt and for all that may still be written."""
        held = sum(other.n_cells for other in self.going)
        link = min(self.link, one.shared)
        return held + one.n_cells - link <= self.rows.n_cells

    def _round(self, entering: Sequence[Queued]) -> None:
        """One call: a token of every text that goes on, the prompts that enter, and the draws."""
        old = self.going[: len(self.going) - len(entering)]
        drafts = [one.draft for one in self.going if one.draft is not None]
        last = drafts[: len(old)]
        logits = self.rows.evaluate(
            [one.row for one in old],
            [draft.tokens[-1] for draft in last],
            [draft.position for draft in last],
            entering,
            self.known,
        )
        if entering:
            self._follow(entering, logits)
        draw(drafts, logits, self.stops)

    def _follow(self, entering: Sequence[Queued], logits: NDArray[np.float32]) -> None:
        """Let the trunk lead to the next prompt; the logits after it, if that is all of it."""
        following = self.queue[0] if self.queue else None
        seen = min([self.rows.length, *(one.shared for one in entering[1:])])
        self.rows.follow(entering[-1].row, seen, following.shared if following else 0)
        equal = following is not None and not following.n_new
        self.known = logits[-1].copy() if equal else None

    def _leave(self) -> Iterator[Draft]:
        """Drafts that have ended; their rows and cells are free again."""
        kept: list[Queued] = []
        least: int | None = None  # what those that left since the last one kept had in common
        for one in self.going:
            if least is not None:
                one.link = min(one.link, least)
            draft, least = one.draft, None
            if draft is None or draft.status is None:
                kept.append(one)
                continue
            least = one.link
            self.rows.leave(one.row)
            self.free_rows.append(one.row)
            yield self._ended(draft)
        if least is not None:
            self.link = min(self.link, least)
        self.going = kept

    def _ended(self, draft: Draft) -> Draft:
        self.rows.counts.add(tokens_written=draft.n_drawn)
        draft.free()
        return draft

    def free(self) -> None:
        """Give the memory of unfinished texts back."""
        for one in self.going:
            self.rows.leave(one.row)
            if one.draft is not None:
                one.draft.free()


def _beginning(paths: Sequence[Path], wanted: set[Path]) -> Path:
    """The longest declared beginning of the first path that is worth keeping resident.

    That is one which others of the batch share, or all but the last block where there is no other.
    """
    first = paths[0]
    if all(path == first for path in paths):
        return first[:-1]
    depths = range(len(first) - 1, 0, -1)
    return next((first[:depth] for depth in depths if first[:depth] in wanted), ())
