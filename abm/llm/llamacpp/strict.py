"""Strict scoring: an answer depends on its request and the fingerprint alone, to the bit.

What guarantees it, whatever else is in the batch, resident or already asked, and for any number of
threads (found by trial, and tested):

- flash attention is off; the sizes of batches are fixed;
- one prompt at a time: the cache holds nothing of any other, and its cells lie at 0, 1, 2, ...;
- a prompt is cut at its declared blocks and nowhere else, whether or not a prefix is shared;
- the last block and the options are evaluated in one call, as a tree whose shape depends on the
  request alone; the last block is never taken from the cache.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from abm.errors import BackendError
from abm.llm.backend import Scored
from abm.llm.llamacpp.context import PathContext
from abm.llm.llamacpp.lanes import Portions, side_by_side
from abm.llm.llamacpp.scoring import ScoreJob, round_scores, scored
from abm.llm.llamacpp.tokens import Path, Tokens
from abm.llm.llamacpp.tree import Round, common_blocks, depth_first
from abm.llm.llamacpp.trie import block_nodes

__all__ = [
    "MAX_LEAVES",
    "MAX_NODES",
    "put_last_block",
    "score_one",
    "score_strict",
    "shared_prefixes",
]

MAX_LEAVES, MAX_NODES = 32, 192  # of a round of options


def score_strict(
    contexts: Sequence[PathContext], jobs: Sequence[ScoreJob], ends: NDArray[np.int64]
) -> tuple[dict[int, Scored], list[BackendError]]:
    """Results by index of job, walking shared prefixes once; and errors of lanes that failed.

    Each context is a lane (see `lanes`). What a lane was at when llama.cpp failed has no result;
    the others answer the rest.
    """
    wanted = shared_prefixes(job.path for job in jobs)
    same: dict[tuple[Path, tuple[Tokens, ...]], list[ScoreJob]] = {}
    for job in jobs:
        same.setdefault((job.path, job.options), []).append(job)
    distinct = [equal[0] for equal in same.values()]
    contexts[0].counts.add(
        tree_nodes=block_nodes((job.path, job.options) for job in distinct), waves=len(distinct)
    )
    order = [distinct[at] for at in depth_first([job.path for job in distinct])]
    work = Portions([len(job.path[-1]) + job.n_options for job in order], len(contexts))
    results: dict[int, Scored] = {}

    def lane(number: int) -> None:
        while (at := work.take(number)) is not None:
            found = score_one(contexts[number], order[at], ends, wanted)
            for job in same[order[at].path, order[at].options]:
                results[job.index] = found

    if len(contexts) > 1:
        each = contexts[0].n_threads
        contexts[0].use_threads(each * len(contexts))
        _begin(contexts[0], order, wanted)
        contexts[0].use_threads(each)
    return results, side_by_side(lane, len(contexts), work.drop)


def _begin(context: PathContext, order: Sequence[ScoreJob], wanted: set[Path]) -> None:
    """Evaluate what all prompts share in one lane, where others can take a copy of it."""
    first, last = order[0].path[:-1], order[-1].path[:-1]
    path = first[: common_blocks(first, last)]
    if context.store is not None and common_blocks(context.path, path) < len(path):
        context.go_to(path, 1, wanted)


def shared_prefixes(paths: Iterable[Path]) -> set[Path]:
    """Prefixes, last blocks left out, that at least two of the paths have."""
    once: set[Path] = set()
    twice: set[Path] = set()
    for path in paths:
        for depth in range(len(path) - 1, 0, -1):
            prefix = path[:depth]
            if prefix in twice:
                break
            (twice if prefix in once else once).add(prefix)
    return twice


def score_one(
    context: PathContext, job: ScoreJob, ends: NDArray[np.int64], wanted: set[Path]
) -> Scored:
    """Score one job by the layout above."""
    n_leaves = max(round_.branches.leaves for round_ in job.rounds)
    context.counts.alive(n_leaves)
    context.go_to(job.path[:-1], n_leaves, wanted)
    depth = len(context.path)
    first = job.rounds[0]
    together = put_last_block(context, job.path[-1], n_leaves, first.branches.size)
    position = job.n_prompt
    scores = np.empty(len(job.options))
    root = None
    for number, round_ in enumerate(job.rounds):
        if number or not together:
            root, logits = _apart(context, round_, position, root)
        else:
            context.put_branches(round_.branches, position, 0)
            context.run()
            logits = context.logits(1 + round_.branches.size)
            root = logits[0].copy() if len(job.rounds) > 1 else None
        scores[round_.members] = round_scores(round_, logits, ends)
    context.rewind(depth)
    return scored(job, scores.tolist())


def put_last_block(
    context: PathContext, block: tuple[int, ...], n_sequences: int, extra: int
) -> bool:
    """Put the last block, its last token with output; whether `extra` more tokens fit in the call.

    A block longer than a batch is cut from its start on. If the rest of it does not leave room for
    the extra tokens, it is evaluated by itself.
    """
    start = context.length
    for at in range(0, len(block), context.n_batch):
        if context.filled:
            context.run()
        context.put(block[at : at + context.n_batch], start + at, 0, n_sequences)
    context.outputs[context.filled - 1] = 1
    if context.filled + extra <= context.n_batch:
        return True
    context.run()
    return False


def _apart(
    context: PathContext, round_: Round, position: int, root: NDArray[np.float32] | None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Evaluate a round in a call of its own; the row after the prompt, and all rows."""
    if root is None:
        root = context.logits(1)[0].copy()
    else:
        context.api.llama_memory_seq_rm(context.memory, -1, position, -1)
    rows = [root[None, :]]
    size = round_.branches.size
    context.put_branches(round_.branches, position, 0)
    context.run()
    rows.append(context.logits(size))
    return root, np.concatenate(rows)
