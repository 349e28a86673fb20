"""Scores of a batch: one prompt at a time, or as a tree, divided among lanes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from abm.errors import BackendError
from abm.llm.backend import Scored
from abm.llm.llamacpp.contexts import Contexts
from abm.llm.llamacpp.fast import score_fast
from abm.llm.llamacpp.lanes import by_prompt, gathered
from abm.llm.llamacpp.scoring import ScoreJob
from abm.llm.llamacpp.strict import score_strict
from abm.llm.llamacpp.tokens import Tokens
from abm.llm.llamacpp.tree import Round
from abm.llm.llamacpp.trie import block_nodes, grow, tree_nodes
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
        if self.mode == "fast" and not self._is_alone(jobs):
            return self._tree(jobs)
        with self._lanes("strict", len(jobs)) as contexts:
            found, errors = score_strict(contexts, jobs, self._ends)
        return {**_lost_scores(jobs, errors), **found}

    def _is_alone(self, jobs: list[ScoreJob]) -> bool:
        """Whether `fast` evaluates prompts one at a time.

        That is where it was measured to be as fast and declared blocks share what tokens would, and
        for few tokens with flash attention.
        """
        layout, paths = self.layout, {job.path for job in jobs}
        if layout.flash and _is_short(jobs):
            return True
        if layout.alone is None or len(paths) < 2 or any(len(path) < 2 for path in paths):
            return False
        nodes = tree_nodes(grow(jobs, self._trees_of_menus())[0])
        blocks = block_nodes({(job.path, job.options) for job in jobs})
        return blocks <= AS_MANY * nodes and nodes >= layout.alone * len(paths)

    def _tree(self, jobs: list[ScoreJob]) -> dict[int, Scored]:
        n_tokens, n_prompts = self.layout.n_tokens, self.n_parallel or 256
        trees = self._trees_of_menus()
        with self._lanes("fast", len(jobs)) as contexts:
            n = len(contexts)
            turns = max(1, min(TURNS, len(jobs) // (PORTION * n))) if n > 1 else 1
            parts = by_prompt(jobs, n * turns)

            def act(lane: int, part: list[ScoreJob]) -> Iterator[tuple[int, Scored]]:
                if len(parts) > n:  # what a lane took before must not show in the last digits
                    contexts[lane].clear()
                return score_fast(contexts[lane], part, self._ends, n_tokens, n_prompts, trees)

            found, errors = gathered(act, parts, min(n, len(parts)))
        return {**_lost_scores(jobs, errors), **found}

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
