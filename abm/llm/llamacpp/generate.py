"""Texts: a continuous batch, in which a text enters as another ends, each with its own seed."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.llm.backend import Generation
from abm.llm.llamacpp.draw import draw_rows
from abm.llm.llamacpp.sample import GrammarError, Matcher, grammar_of
from abm.llm.llamacpp.slots import Slots
from abm.llm.llamacpp.strict import shared_prefixes
from abm.llm.llamacpp.tokens import Path, Tokenizer
from abm.llm.llamacpp.tree import depth_first
from abm.llm.llamacpp.trie import block_nodes
from abm.questions import Status, TextConstraint
from abm.rng import uniforms

__all__ = ["TextJob", "write_texts"]


@dataclass
class TextJob:
    """One prompt with its constraint and seed."""

    index: int
    path: Path
    constraint: TextConstraint
    seed: int

    @property
    def n_prompt(self) -> int:
        return sum(map(len, self.path))


@dataclass
class _Draft:
    """A text that is being written."""

    job: TextJob
    matcher: Matcher | None = None
    tokens: list[int] = field(default_factory=list)
    n_drawn: int = 0
    status: Status | None = None
    detail: str = ""


@dataclass
class _Evaluated:
    """The last prompt that was evaluated: its logits, and its cells if others start from it."""

    path: Path
    logits: NDArray[np.float32]
    cells: Any


def write_texts(
    slots: Slots, tokenizer: Tokenizer, jobs: Sequence[TextJob], ends: NDArray[np.int64]
) -> Iterator[tuple[int, Generation]]:
    """(index, text) of each job, as the texts end."""
    batch = _Batch(slots, jobs, frozenset(ends.tolist()))
    try:
        for draft in batch.write():
            yield draft.job.index, _finished(draft, tokenizer)
    finally:
        batch.free()


class _Batch:
    """Jobs in the order of their tree, and the drafts in the slots."""

    def __init__(self, slots: Slots, jobs: Sequence[TextJob], stops: frozenset[int]) -> None:
        paths = [job.path for job in jobs]
        self.slots, self.stops = slots, stops
        self.wanted = shared_prefixes(paths)
        self.queue = deque(jobs[at] for at in depth_first(paths))
        self.drafts: list[_Draft | None] = [None] * slots.n_slots
        self.before: _Evaluated | None = None
        slots.counts.add(tree_nodes=block_nodes((path, ()) for path in set(paths)))

    def write(self) -> Iterator[_Draft]:
        """Drafts as they end."""
        while True:
            yield from self._fill()
            going = [slot for slot, draft in enumerate(self.drafts) if draft is not None]
            if not going:
                return
            yield from self._round(going)

    def _fill(self) -> Iterator[_Draft]:
        """Begin a text in each free slot; a text may end with its first token."""
        for slot in range(self.slots.n_slots):
            while self.queue and self.drafts[slot] is None:
                draft = _begun(self.slots, self.queue.popleft())
                if draft.status is None:
                    self._draw([draft], self._enter(slot, draft.job.path))
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

    def _round(self, going: list[int]) -> Iterator[_Draft]:
        """One more token for each text."""
        drafts = [draft for draft in self.drafts if draft is not None]
        last = [draft.tokens[-1] for draft in drafts]
        places = [draft.job.n_prompt + len(draft.tokens) - 1 for draft in drafts]
        self._draw(drafts, self.slots.step(going, last, places))
        for slot, draft in zip(going, drafts, strict=True):
            if draft.status is not None:
                self.drafts[slot] = None
                self.slots.leave(slot)
                yield self._ended(draft)

    def _draw(self, drafts: list[_Draft], logits: NDArray[np.float32]) -> None:
        """Draw a token for each draft, free first and then under its grammar."""
        seeds = np.array([draft.job.seed for draft in drafts], dtype=np.int64)
        at = np.array([2 * draft.n_drawn for draft in drafts], dtype=np.int64)
        heat = np.array([draft.job.constraint.temperature for draft in drafts], dtype=np.float64)
        tokens = draw_rows(logits, heat, uniforms(0, "text", seeds, at)).tolist()
        for row, draft in enumerate(drafts):
            token = tokens[row]
            if draft.matcher is not None:
                again = uniforms(0, "text", seeds[row : row + 1], at[row : row + 1] + 1)
                try:
                    token = _allowed(draft.matcher, token, logits[row], heat[row : row + 1], again)
                except GrammarError as error:
                    draft.status, draft.detail = Status.INVALID, str(error)
                    continue
            _take(draft, token, self.stops)

    def _ended(self, draft: _Draft) -> _Draft:
        self.slots.counts.add(tokens_written=draft.n_drawn)
        if draft.matcher is not None:
            draft.matcher.free()
        return draft

    def free(self) -> None:
        """Give the memory of unfinished texts back."""
        for slot, draft in enumerate(self.drafts):
            if draft is not None:
                self.slots.leave(slot)
                if draft.matcher is not None:
                    draft.matcher.free()


def _begun(slots: Slots, job: TextJob) -> _Draft:
    try:
        grammar = grammar_of(job.constraint)
        return _Draft(job, None if grammar is None else Matcher(slots.model, grammar))
    except GrammarError as error:
        return _Draft(job, status=Status.INVALID, detail=str(error))


def _allowed(
    matcher: Matcher,
    token: int,
    logits: NDArray[np.float32],
    temperature: NDArray[np.float64],
    u: NDArray[np.float64],
) -> int:
    """The token, if the grammar allows it; else one drawn among those that it allows.

    That is the distribution restricted to the grammar: P(t) + P(not allowed) P(t | allowed) =
    P(t | allowed). The grammar is matched against the whole vocabulary only when it must be.
    """
    if not matcher.allows(token):
        token = int(draw_rows(matcher.restrict(logits)[None, :], temperature, u)[0])
    matcher.accept(token)
    return token


def _take(draft: _Draft, token: int, stops: frozenset[int]) -> None:
    """Add a drawn token to its text, or end it."""
    draft.n_drawn += 1
    if token in stops:
        draft.status = Status.OK
        return
    draft.tokens.append(token)
    if draft.n_drawn >= draft.job.constraint.max_tokens:
        draft.status = Status.TRUNCATED
        draft.detail = f"no end of the turn within {draft.n_drawn} tokens"


def _finished(draft: _Draft, tokenizer: Tokenizer) -> Generation:
    status = draft.status or Status.OK
    text = None if status is Status.INVALID else tokenizer.text(draft.tokens).strip()
    return Generation(text, draft.job.n_prompt, draft.n_drawn, status, draft.detail)
