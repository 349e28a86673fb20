"""Texts of a batch: in one cache or in streams, divided among lanes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from abm.errors import BackendError
from abm.llm.backend import Generation
from abm.llm.llamacpp.contexts import ROWS, Contexts
from abm.llm.llamacpp.drafts import TextJob
from abm.llm.llamacpp.fast_texts import cells_wanted, in_order, write_fast
from abm.llm.llamacpp.generate import write_apart, write_strict
from abm.llm.llamacpp.lanes import by_prompt, gathered
from abm.llm.llamacpp.tokens import Tokenizer
from abm.questions import Status

__all__ = ["Texts", "no_text"]


class Texts(Contexts):
    """A loaded model that writes."""

    _tokenizer: Tokenizer

    def _write(self, jobs: Sequence[TextJob], ends: NDArray[np.int64]) -> dict[int, Generation]:
        longest = max(job.n_prompt + job.constraint.max_tokens for job in jobs)
        if self.mode == "strict":
            with self._lanes("text", self._text_lanes(len(jobs)), longest) as slots:
                found, errors = write_strict(slots, self._tokenizer, jobs, ends)
            return {**_lost_texts(jobs, errors), **found}
        n_lanes = self._text_lanes(len(jobs))
        if self._are_apart(jobs, longest, n_lanes):
            return self._write_apart(by_prompt(jobs, n_lanes), ends, longest)
        parts = by_prompt(jobs, n_lanes)
        wanted = max(cells_wanted(part, self._most_texts()) for part in parts)
        with self._lanes("text", len(parts), self._text_cells(longest, wanted)) as lanes:
            if len(lanes) < len(parts):
                parts = by_prompt(jobs, len(lanes))
            n_tokens, tokenizer = self.layout.n_tokens, self._tokenizer
            found, errors = gathered(
                lambda lane, part: write_fast(lanes[lane], tokenizer, part, ends, n_tokens),
                parts,
                len(parts),
            )
        return {**_lost_texts(jobs, errors), **found}

    def _write_apart(
        self, parts: list[list[TextJob]], ends: NDArray[np.int64], longest: int
    ) -> dict[int, Generation]:
        """Texts of `fast` in streams of their own, a portion in each lane."""
        jobs = [job for part in parts for job in part]
        with self._lanes("apart", len(parts), longest) as lanes:
            if len(lanes) < len(parts):
                parts = by_prompt(jobs, len(lanes))
            found, errors = gathered(
                lambda lane, part: write_apart(lanes[lane], self._tokenizer, part, ends),
                parts,
                len(parts),
            )
        return {**_lost_texts(jobs, errors), **found}

    def _are_apart(self, jobs: Sequence[TextJob], longest: int, n_lanes: int) -> bool:
        """Whether `fast` gives each text a stream of its own.

        That is where it was measured to be faster, the streams fit the memory, and prompts do not
        mostly share their tokens, which one cache holds and reads once.
        """
        if not self.layout.apart:
            return False
        at_once = min(self._most_texts(), -(-len(jobs) // n_lanes))
        order = in_order(jobs)
        own = sum(one.n_new + one.job.constraint.max_tokens for one in order)
        every = sum(one.length + one.job.constraint.max_tokens for one in order)
        return at_once <= self._streams(longest) and 3 * own >= every

    def _text_lanes(self, n_texts: int) -> int:
        """Lanes in which texts are written, in `strict` no more than fit the memory.

        In a larger model a lane has a call of eight at least: fewer read the weights as often.
        """
        most = min(self.n_lanes, n_texts if self._is_small else -(-n_texts // ROWS[0]))
        if self.mode == "fast":
            return most
        return max(1, min(most, self.text_bytes // (self._n_rows() * self._longest_bytes())))

    def _text_cells(self, longest: int, wanted: int) -> int:
        """Cells for the texts of a lane: what they want within the bound, in powers of two."""
        room = self.text_bytes // self.n_lanes // self._model.cell_bytes // 256 * 256
        return max(-(-longest // 256) * 256, min(room, 1 << max(10, (wanted - 1).bit_length())))


def _lost_texts(jobs: Sequence[TextJob], errors: Sequence[BackendError]) -> dict[int, Generation]:
    """As `_lost_scores`, of texts."""
    return {
        job.index: no_text(Status.BACKEND_ERROR, str(errors[0]), job.n_prompt)
        for job in (jobs if errors else ())
    }


def no_text(status: Status, detail: str, n_prompt: int) -> Generation:
    return Generation(None, n_prompt, 0, status, detail)
