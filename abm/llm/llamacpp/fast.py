"""Fast scoring: several prompts, and all their options, in one call.

Neighbouring prompts form a window. What they all share is walked to first; the rest (blocks that
some of them share once, last blocks, options) is one tree and is evaluated in one call. The last
digits of a score depend on its window, so equal requests may differ by rounding: `fast` promises
only replay from its ledger.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from abm.llm.backend import Scored
from abm.llm.llamacpp.context import Context
from abm.llm.llamacpp.scoring import ScoreJob, round_scores, scored
from abm.llm.llamacpp.strict import score_one, shared_prefixes
from abm.llm.llamacpp.tokens import Path
from abm.llm.llamacpp.tree import common_blocks, depth_first

__all__ = ["put_paths", "score_fast", "windows"]


def score_fast(
    context: Context, jobs: Sequence[ScoreJob], ends: NDArray[np.int64], n_parallel: int
) -> Iterator[tuple[int, Scored]]:
    """(index, result) of each job, window by window."""
    wanted = shared_prefixes(job.path for job in jobs)
    order = [jobs[at] for at in depth_first([job.path for job in jobs])]
    simple = [job for job in order if len(job.rounds) == 1]
    sizes = [(job.rounds[0].branches.leaves, job.rounds[0].branches.size) for job in simple]
    for a, b in windows(context, [job.path for job in simple], sizes, n_parallel):
        if b - a > 1:
            yield from _score_window(context, simple[a:b], ends, wanted)
        else:
            yield simple[a].index, score_one(context, simple[a], ends, wanted)
    for job in order:
        if len(job.rounds) > 1:
            yield job.index, score_one(context, job, ends, wanted)


def windows(
    context: Context,
    paths: Sequence[Path],
    sizes: Sequence[tuple[int, int]],
    n_parallel: int,
) -> Iterator[tuple[int, int]]:
    """Cut ordered paths into windows that fit one call; `sizes` are (sequences, further tokens)."""
    start = 0
    while start < len(paths):
        end, depth = start + 1, len(paths[start]) - 1
        while end < len(paths) and end - start < n_parallel:
            new = min(depth, common_blocks(paths[start], paths[end]), len(paths[end]) - 1)
            inside = range(start, end + 1)
            tokens = sum(sum(map(len, paths[i][new:])) + sizes[i][1] for i in inside)
            prefix = sum(map(len, paths[start][:new]))
            fits = (
                sum(sizes[i][0] for i in inside) <= context.n_sequences
                and tokens <= context.n_batch
                and prefix + tokens <= context.n_cells
            )
            if not fits:
                break
            end, depth = end + 1, new
        yield start, end
        start = end


def put_paths(context: Context, paths: Sequence[Path], n_leaves: Sequence[int]) -> list[int]:
    """Put the blocks of ordered paths after the live path, shared ones once.

    Path i belongs to `n_leaves[i]` consecutive sequences. Returns the place in the batch of the
    last token of each path.
    """
    firsts = np.concatenate([[0], np.cumsum(n_leaves)]).tolist()
    depth = len(context.path)
    last = [-1] * len(paths)
    previous: Path = context.path
    for i, path in enumerate(paths):
        shared = max(common_blocks(previous, path), depth) if i else depth
        position = sum(map(len, path[:shared]))
        for level in range(shared, len(path)):
            end = i + 1
            while end < len(paths) and common_blocks(path, paths[end]) > level:
                end += 1
            context.put(path[level], position, firsts[i], firsts[end] - firsts[i])
            position += len(path[level])
        last[i] = context.filled - 1 if shared < len(path) else last[i - 1]
        previous = path
    return last


def _score_window(
    context: Context, jobs: Sequence[ScoreJob], ends: NDArray[np.int64], wanted: set[Path]
) -> Iterator[tuple[int, Scored]]:
    branches = [job.rounds[0].branches for job in jobs]
    n_leaves = [max(1, tree.leaves) for tree in branches]
    context.go_to(_shared(jobs), sum(n_leaves), wanted)
    depth = len(context.path)
    last = put_paths(context, [job.path for job in jobs], n_leaves)
    context.outputs[sorted(set(last))] = 1
    place, starts = context.filled, []
    first = 0
    for job, tree, count in zip(jobs, branches, n_leaves, strict=True):
        starts.append(place)
        context.put_branches(tree, job.n_prompt, first)
        place, first = place + tree.size, first + count
    flagged = np.flatnonzero(context.outputs[:place])
    context.run()
    logits = context.logits(len(flagged))
    for job, tree, at, start in zip(jobs, branches, last, starts, strict=True):
        rows = np.searchsorted(flagged, [at, *range(start, start + tree.size)])
        scores = np.empty(len(job.options))
        scores[job.rounds[0].members] = round_scores(job.rounds[0], logits[rows], ends)
        yield job.index, scored(job, scores.tolist())
    context.rewind(depth)


def _shared(jobs: Sequence[ScoreJob]) -> Path:
    """The longest path that all jobs share, last blocks left out."""
    first = jobs[0].path
    depth = min(min(common_blocks(first, job.path), len(job.path) - 1) for job in jobs)
    return first[:depth]
