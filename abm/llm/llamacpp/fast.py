"""Fast scoring: the prefix tree of a batch, every node evaluated once, branches in parallel.

The tree is walked in depth-first order and cut into waves that fit one call. Between two waves only
the branch that leads to the next prompt stays in the cache, so that nothing is evaluated twice. A
wave takes as many tokens as the measured layout says, and never more than the cache and the 256
sequences of llama.cpp allow. The last digits of a score depend on its wave: `fast` promises only
replay from its ledger.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from abm.llm.backend import Scored
from abm.llm.llamacpp.context import Context
from abm.llm.llamacpp.scoring import round_scores, scored
from abm.llm.llamacpp.tokens import Path
from abm.llm.llamacpp.trie import Unit, common, segments

__all__ = ["TreeContext", "begin", "score_fast", "waves"]

PADDING = 256


class TreeContext(Context):
    """A context with one unified cache that holds one branch between calls.

    The first `length` tokens of `branch` are in the cache, and belong to the sequences
    0 ... n_shared - 1.
    """

    branch: NDArray[np.int32] = np.zeros(0, dtype=np.int32)
    length = 0
    n_shared = 1

    def clear(self) -> None:
        """Forget everything in the cache."""
        super().clear()
        self.branch, self.length, self.n_shared = np.zeros(0, dtype=np.int32), 0, 1

    def cut(self, length: int) -> None:
        """Take back everything after the first `length` tokens of the live branch."""
        self.length = min(self.length, length)
        removed = self.api.llama_memory_seq_rm(self.memory, -1, self.length, -1)
        if not self.length or not removed:
            self.clear()

    def follow(self, sequence: int, ids: NDArray[np.int32], length: int) -> None:
        """Make the first `length` tokens of a sequence the live branch, and drop the rest."""
        if length <= common(self.branch[: self.length], ids):
            self.cut(length)
            return
        self.api.llama_memory_seq_keep(self.memory, sequence)
        self.api.llama_memory_seq_rm(self.memory, sequence, length, -1)
        self.branch, self.length, self.n_shared = ids, length, 1
        if sequence:
            self.api.llama_memory_seq_cp(self.memory, sequence, 0, -1, -1)
            self.api.llama_memory_seq_rm(self.memory, sequence, -1, -1)

    def share(self, n_sequences: int) -> None:
        """Let at least so many sequences see the live branch."""
        if self.length:
            for sequence in range(self.n_shared, n_sequences):
                self.api.llama_memory_seq_cp(self.memory, 0, sequence, -1, -1)
        self.n_shared = max(self.n_shared, n_sequences)

    def narrow(self, first: int, last: int, length: int) -> None:
        """Let the sequences first ... last - 1 see only so much of the live branch."""
        for sequence in range(first, last):
            self.api.llama_memory_seq_rm(self.memory, sequence, length, -1)
        self.n_shared = min(self.n_shared, first)

    def extend(self, ids: NDArray[np.int32], stop: int) -> None:
        """Evaluate tokens of a branch up to `stop`, in calls of their own."""
        self.branch = ids
        while self.length < stop:
            end = min(stop, self.length + self.n_batch)
            self.put(tuple(ids[self.length : end].tolist()), self.length, 0, self.n_shared)
            self.run()
            self.length = end

    def restore(self, path: Path) -> bool:
        """Make a resident prefix the live branch."""
        state = self.store.state(path, self.kind) if self.store else None
        self.clear()
        if state is None or not self.copy_in(state, 0):
            self.clear()
            return False
        self.branch = np.array([token for block in path for token in block], dtype=np.int32)
        self.length = len(self.branch)
        self.counts.add(prefix_hits=1, tokens_restored=self.length)
        return True


def begin(context: TreeContext, path: Path) -> None:
    """Make what all prompts begin with the live branch, and keep it for other lanes.

    Blocks are evaluated one by one, so that it does not matter for the bits who does it.
    """
    ids = np.array([token for block in path for token in block], dtype=np.int32)
    live = common(context.branch[: context.length], ids)
    stored = context.store.deepest(path, context.kind) if context.store else 0
    if sum(map(len, path[:stored])) <= live or not context.restore(path[:stored]):
        context.cut(live)
    stop = 0
    for depth, block in enumerate(path, 1):
        stop += len(block)
        if stop > context.length:
            context.extend(ids, stop)
            context.keep(path[:depth], True)
    if context.length == len(ids) and stored < len(path):
        context.keep(path, True)  # it was live, and no copy of it was there


def score_fast(
    context: TreeContext,
    units: Sequence[Unit],
    ends: NDArray[np.int64],
    n_tokens: int,
    n_prompts: int,
    wanted: set[Path],
) -> Iterator[tuple[int, Scored]]:
    """(index, result) of each job.

    Parameters
    ----------
    units
        Neighbours in the tree. `shared` of the first: tokens of it that are evaluated by
        themselves, where they are neither live nor resident.
    n_tokens, n_prompts
        Tokens and prompts that a wave should not exceed.
    wanted
        Beginnings that are worth keeping.
    """
    for a, b in waves(units, n_tokens, n_prompts, context):
        _evaluate(context, units[a:b], ends, wanted)
        for unit in units[a:b]:
            if unit.is_last:
                yield from _results(unit)
        following = units[b] if b < len(units) else None
        last, sequence = units[b - 1], sum(unit.n_leaves for unit in units[a : b - 1])
        keep = following.shared if following is not None else last.length
        context.follow(sequence, last.asked.ids, min(keep, last.length))


def waves(
    units: Sequence[Unit], n_tokens: int, n_prompts: int, context: TreeContext
) -> Iterator[tuple[int, int]]:
    """Cut units, in the order of the tree, into portions for one call each.

    A wave that is at least half full is closed when another prompt would exceed `n_tokens`, or the
    next multiple of 256 cells: llama.cpp lets every token attend to so many, masked or not.
    """
    a = 0
    while a < len(units):
        b, new = a + 1, units[a].n_new
        leaves = units[a].n_leaves
        while b < len(units):
            more = new + units[b].n_new
            leaves += units[b].n_leaves
            cells = units[a].shared + new - 1
            grows = cells // PADDING < (cells + units[b].n_new) // PADDING
            full = (more > n_tokens or grows) and new >= n_tokens // 2
            too_many = leaves > context.n_sequences or b - a >= n_prompts
            room = min(context.n_batch, context.n_cells - units[a].shared)
            if full or too_many or more > room:
                break
            b, new = b + 1, more
        yield a, b
        a = b


def _evaluate(
    context: TreeContext, units: Sequence[Unit], ends: NDArray[np.int64], wanted: set[Path]
) -> None:
    """One call for a wave, and the scores of its options."""
    _prepare(context, units, wanted)
    firsts = np.concatenate([[0], np.cumsum([unit.n_leaves for unit in units])]).tolist()
    roots = [-1] * len(units)
    for segment in segments(units, context.length):
        first, count = firsts[segment.unit], firsts[segment.last] - firsts[segment.unit]
        tokens = units[segment.unit].asked.tokens[segment.start : segment.stop]
        context.put(tokens, segment.start, first, count)
        if segment.stop == units[segment.unit].length:
            roots[segment.unit] = context.filled - 1
    for i, unit in enumerate(units):
        if roots[i] < 0 and i and unit.asked is units[i - 1].asked:
            roots[i] = roots[i - 1]
    context.outputs[[root for root in roots if root >= 0]] = 1
    starts = []
    for unit, first in zip(units, firsts, strict=False):
        starts.append(context.filled)
        context.put_branches(unit.round.branches, unit.length, first)
    flagged = np.flatnonzero(context.outputs[: context.filled])
    context.counts.add(waves=1)
    context.counts.alive(firsts[-1])
    if context.filled:
        context.run()
    logits = context.logits(len(flagged)) if len(flagged) else np.zeros((0, 0), np.float32)
    _read(units, logits, ends, flagged, roots, starts)


def _prepare(context: TreeContext, units: Sequence[Unit], wanted: set[Path]) -> None:
    """Bring the beginning of a wave into the cache: what is live, resident, or worth keeping."""
    first = units[0]
    ids, n_leaves = first.asked.ids, sum(unit.n_leaves for unit in units)
    if first.asked.root is None:
        live = min(common(context.branch[: context.length], ids), first.length - 1)
        stored = context.store.deepest(first.asked.path[:-1], context.kind) if context.store else 0
        resident = sum(map(len, first.asked.path[:stored]))
        if resident <= live or not context.restore(first.asked.path[:stored]):
            context.cut(live)
        context.share(n_leaves)
        _keep(context, units, wanted)
        context.extend(ids, min(first.shared, first.length - 1))  # a copy could not be read
    else:
        context.share(n_leaves)
    at, seen = first.n_leaves, first.length
    for unit in units[1:]:
        seen = min(seen, unit.shared)
        if seen < context.length:
            context.narrow(at, at + unit.n_leaves, seen)
        at += unit.n_leaves
    room = context.n_batch - first.round.branches.size
    if len(units) == 1 and first.length - context.length > room:
        context.extend(ids, first.length - room)


def _keep(context: TreeContext, units: Sequence[Unit], wanted: set[Path]) -> None:
    """Evaluate by themselves the blocks that a whole wave shares and others want, and keep them."""
    if context.store is None or not context.store.n_bytes:
        return
    path, stop = units[0].asked.path, 0
    least = min((unit.shared for unit in units[1:]), default=units[0].length - 1)
    for depth in range(1, len(path)):
        stop += len(path[depth - 1])
        if stop > least:
            break
        if stop > context.length and path[:depth] in wanted:
            context.extend(units[0].asked.ids, stop)
            context.keep(path[:depth], True)


def _read(
    units: Sequence[Unit],
    logits: NDArray[np.float32],
    ends: NDArray[np.int64],
    flagged: NDArray[np.int64],
    roots: list[int],
    starts: list[int],
) -> None:
    """Log-probabilities of the options of a wave."""
    for unit, root, start in zip(units, roots, starts, strict=True):
        asked = unit.asked
        a = int(np.searchsorted(flagged, start))
        rows = logits[a : a + unit.round.branches.size]
        if root >= 0:
            asked.root = logits[int(np.searchsorted(flagged, root))].copy()
        root_row = asked.root
        assert root_row is not None  # the last token of a prompt is always evaluated with its wave
        scores = round_scores(unit.round, np.concatenate([root_row[None, :], rows]), ends)
        for member, score in zip(unit.round.members, scores.tolist(), strict=True):
            asked.scores[asked.options[member]] = score
        if unit.is_last:
            asked.root = None


def _results(unit: Unit) -> Iterator[tuple[int, Scored]]:
    asked = unit.asked
    for job in asked.jobs:
        yield job.index, scored(job, [asked.scores[option] for option in job.options])
