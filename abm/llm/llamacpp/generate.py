"""Texts: many prompts, in rounds of one token each, every text with its own seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from abm.llm.backend import Generation
from abm.llm.llamacpp.context import Context
from abm.llm.llamacpp.fast import put_paths, windows
from abm.llm.llamacpp.sample import GrammarError, Sampler
from abm.llm.llamacpp.strict import put_last_block, shared_prefixes
from abm.llm.llamacpp.tokens import Path, Tokenizer
from abm.llm.llamacpp.tree import common_blocks, depth_first
from abm.questions import Status, TextConstraint

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
    sampler: Sampler | None
    sequence: int
    place: int
    tokens: list[int] = field(default_factory=list)
    n_drawn: int = 0
    status: Status | None = None
    detail: str = ""


def write_texts(
    context: Context,
    tokenizer: Tokenizer,
    jobs: Sequence[TextJob],
    ends: NDArray[np.int64],
    n_together: int,
) -> Iterator[tuple[int, Generation]]:
    """(index, text) of each job, `n_together` at a time.

    With one at a time nothing but the prompt and its own tokens is in the cache, so that the text
    depends on the request alone (`strict`).
    """
    wanted = shared_prefixes(job.path for job in jobs)
    order = [jobs[at] for at in depth_first([job.path for job in jobs])]
    paths = [job.path for job in order]
    sizes = [(1, job.constraint.max_tokens) for job in order]
    stops = frozenset(ends.tolist())
    for a, b in windows(context, paths, sizes, n_together):
        drafts = _begin(context, order[a:b], wanted)
        depth = len(context.path)
        try:
            while any(draft.status is None for draft in drafts):
                _round(context, drafts, stops)
        finally:
            for draft in drafts:
                if draft.sampler is not None:
                    draft.sampler.free()
        context.rewind(depth)
        for draft in drafts:
            yield draft.job.index, _finished(draft, tokenizer)


def _begin(context: Context, jobs: Sequence[TextJob], wanted: set[Path]) -> list[_Draft]:
    """Evaluate the prompts of a window."""
    paths = [job.path for job in jobs]
    depth = min(min(common_blocks(paths[0], path), len(path) - 1) for path in paths)
    context.go_to(paths[0][:depth], len(jobs), wanted)
    if len(jobs) == 1:
        put_last_block(context, paths[0][-1], 1, 0)
        last = [context.filled - 1]
    else:
        last = put_paths(context, paths, [1] * len(jobs))
        context.outputs[last] = 1
    drafts = [_draft(context, job, number, last[number]) for number, job in enumerate(jobs)]
    context.run()
    return drafts


def _draft(context: Context, job: TextJob, sequence: int, place: int) -> _Draft:
    try:
        sampler = Sampler(context.model, job.constraint, job.seed)
    except GrammarError as error:
        return _Draft(job, None, sequence, place, status=Status.INVALID, detail=str(error))
    return _Draft(job, sampler, sequence, place)


def _round(context: Context, drafts: list[_Draft], stops: frozenset[int]) -> None:
    """Draw one token for each unfinished text, and evaluate those that go on."""
    for draft in drafts:
        if draft.status is None:
            _draw(context, draft, stops)
    going = [draft for draft in drafts if draft.status is None]
    for draft in going:
        position = draft.job.n_prompt + len(draft.tokens) - 1
        context.put((draft.tokens[-1],), position, draft.sequence, 1)
        draft.place = context.filled - 1
        context.outputs[draft.place] = 1
    if going:
        context.run()


def _draw(context: Context, draft: _Draft, stops: frozenset[int]) -> None:
    if draft.sampler is None:
        return
    try:
        token = draft.sampler.draw(context.handle, draft.place)
    except GrammarError as error:
        draft.status, draft.detail = Status.INVALID, str(error)
        return
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
