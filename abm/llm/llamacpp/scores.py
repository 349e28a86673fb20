"""Scores of a batch: one prompt at a time, or as a tree, divided among lanes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from abm.errors import BackendError
from abm.llm.backend import Scored
from abm.llm.llamacpp.contexts import Contexts
from abm.llm.llamacpp.fast import TreeContext, begin, score_fast
from abm.llm.llamacpp.lanes import gathered
from abm.llm.llamacpp.scoring import ScoreJob
from abm.llm.llamacpp.strict import score_strict, shared_prefixes
from abm.llm.llamacpp.tokens import Tokens
from abm.llm.llamacpp.tree import Round, common_blocks
from abm.llm.llamacpp.trie import (
    Asked,
    asked_in_order,
    block_nodes,
    portions,
    tree_nodes,
    units_of,
)
from abm.questions import Status

__all__ = ["KNOWN_MENUS", "Scores"]

AS_MANY = 1.02  # times the nodes of a tree of tokens that one of blocks may have in their place
TURNS, PORTION = 4, 32  # most portions that a lane of `fast` takes in turns; least prompts of one
SHORT = 64  # tokens of a call below which flash attention is slow
KNOWN_MENUS = 4096  # menus whose trees are remembered


class Scores(Contexts):
    """A loaded model that scores."""

    _trees: dict[tuple[Tokens, ...], list[Round]]

    def _scored(self, jobs: list[ScoreJob]) -> dict[int, Scored]:
        if self.mode == "fast" and not (self.layout.flash and _is_short(jobs)):
            order = asked_in_order(jobs)
            n_tokens = self._wave(jobs, order)
            if n_tokens:
                return self._tree(jobs, order, n_tokens)
        with self._lanes("strict", len(jobs)) as contexts:
            found, errors = score_strict(contexts, jobs, self._ends)
        return {**_lost_scores(jobs, errors), **found}

    def _wave(self, jobs: list[ScoreJob], order: list[Asked]) -> int:
        """Tokens of a wave for prompts of this kind; 0: they are evaluated one at a time.

        That is where waves were measured to gain too little, and declared blocks share what tokens
        would.
        """
        layout, paths = self.layout, [asked.path for asked in order]
        if len(order) < 2 or any(len(path) < 2 for path in paths):
            return layout.n_tokens
        nodes = tree_nodes(order)
        least = min(asked.shared for asked in order[1:])
        options = sum(len(asked.options) for asked in order) / len(order)
        own = (nodes - least) / len(order) - options
        every = sum(len(asked.tokens) for asked in order) / len(order)
        n_tokens = layout.wave(own, every - own)
        if n_tokens:
            return n_tokens
        blocks = block_nodes({(job.path, job.options) for job in jobs})
        return 0 if blocks <= AS_MANY * nodes else layout.n_tokens

    def _tree(self, jobs: list[ScoreJob], order: list[Asked], n_tokens: int) -> dict[int, Scored]:
        """Waves in every lane, after what all prompts share was evaluated in the first one."""
        n_prompts, trees = self.n_parallel or 256, self._trees_of_menus()
        wanted = shared_prefixes(asked.path for asked in order)
        self._counts.add(tree_nodes=tree_nodes(order))
        with self._lanes("fast", len(jobs)) as contexts:
            n = len(contexts)
            turns = max(1, min(TURNS, len(order) // (PORTION * n))) if n > 1 else 1
            parts = portions(order, n * turns)
            lead = self._lead(contexts, order)

            def act(lane: int, part: list[Asked]) -> Iterator[tuple[int, Scored]]:
                if len(parts) > n:  # what a lane took before must not show in the last digits
                    contexts[lane].clear()
                units = units_of(part, trees)
                units[0].shared = lead
                return score_fast(contexts[lane], units, self._ends, n_tokens, n_prompts, wanted)

            found, errors = gathered(act, parts, min(n, len(parts)))
        return {**_lost_scores(jobs, errors), **found}

    def _lead(self, contexts: list[TreeContext], order: list[Asked]) -> int:
        """Evaluate the blocks that all prompts share, with all threads; how many tokens they are.

        None, where no copy of them can be kept.
        """
        first, last = order[0].path[:-1], order[-1].path[:-1]
        path = first[: common_blocks(first, last)]
        if not path or len(order) < 2 or not self._store.n_bytes:
            return 0
        each = contexts[0].n_threads
        contexts[0].use_threads(each * len(contexts))
        begin(contexts[0], path)
        contexts[0].use_threads(each)
        return sum(map(len, path))

    def _trees_of_menus(self) -> dict[tuple[Tokens, ...], list[Round]]:
        if len(self._trees) >= KNOWN_MENUS:
            self._trees.clear()
        return self._trees


def _lost_scores(jobs: Sequence[ScoreJob], errors: Sequence[BackendError]) -> dict[int, Scored]:
    """Failures in place of what a lane was at when llama.cpp failed in it."""
    return {
        job.index: Scored(
            None, None, job.n_prompt, job.n_options, Status.BACKEND_ERROR, str(errors[0])
        )
        for job in (jobs if errors else ())
    }


def _is_short(jobs: Sequence[ScoreJob]) -> bool:
    """Whether all jobs together are too few tokens for a call with flash attention."""
    return sum(len(job.path[-1]) + sum(map(len, job.options)) for job in jobs) < SHORT
