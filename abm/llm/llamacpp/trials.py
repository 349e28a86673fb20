"""Trials of layouts with the loaded model: how fast each evaluates prompts and writes texts.

Prompts are scored by the very code that will score them. Where one thread computes alone, its
processor time is measured, so that other programs do not count; candidates take turns, and the best
turn of each counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from abm.llm.llamacpp.context import Context, PathContext
from abm.llm.llamacpp.drafts import Draft, TextJob, draw
from abm.llm.llamacpp.fast import TreeContext, score_fast
from abm.llm.llamacpp.model import Model
from abm.llm.llamacpp.rows import Rows
from abm.llm.llamacpp.scoring import ScoreJob
from abm.llm.llamacpp.slots import Slots
from abm.llm.llamacpp.strict import score_strict
from abm.llm.llamacpp.tokens import Tokens
from abm.llm.llamacpp.tree import rounds
from abm.questions import TextConstraint

__all__ = ["APART", "OPTIONS", "OWN", "SHORT", "TOGETHER", "Machine", "random_tokens"]

PREFIX, OWN, SHORT, WRITTEN, OPTIONS = 96, 40, 8, 20, 7
TOGETHER, APART = "together", "apart"
_TURNS = 4  # at most; the first warms up
_SECONDS = 4.0  # after which no new turn begins
_STEPS = 2


def random_tokens(model: Model, n: int, rng: np.random.Generator) -> Tokens:
    """Tokens of the vocabulary, control tokens included: for timing and rounding only."""
    return tuple(rng.integers(0, model.n_vocabulary, n).tolist())


@dataclass(frozen=True)
class Machine:
    """The loaded model with so many threads of llama.cpp; the trials.

    Attributes
    ----------
    n_threads
        One where there are lanes.
    n_ctx
        Longest prompt, in tokens; layouts are tried with at most so many.
    """

    model: Model
    n_threads: int
    n_ctx: int

    @property
    def clock(self) -> Callable[[], float]:
        """The time of this thread where it computes alone."""
        alone = self.n_threads == 1 and not self.model.on_gpu
        return time.thread_time if alone else time.perf_counter

    def seconds_per_token(self) -> float:
        """Of a call of 64 tokens, the better of two."""
        tokens = random_tokens(self.model, 64, np.random.default_rng(0))
        with self._made(Context, n_cells=256, n_sequences=1, n_batch=64) as context:
            found = []
            for _ in range(2):
                begun = self.clock()
                context.clear()
                context.put(tokens, 0, 0, 1)
                context.run()
                context.api.llama_synchronize(context.handle)
                found.append(self.clock() - begun)
        return min(found) / 64

    def scores(
        self, waves: Sequence[tuple[bool, int, int]], owns: Sequence[int]
    ) -> tuple[dict[tuple[bool, int, int], float], dict[int, float]]:
        """Tokens per second of prompts in waves, and of prompts one at a time as in `strict`.

        Parameters
        ----------
        waves
            Each with or without flash attention, of so many tokens, and the prompts' own tokens.
        owns
            Own tokens of the prompts that are evaluated one at a time.
        """
        options: dict[str, Any] = {"n_ubatch": 512}
        cells = {"n_cells": 2048, "n_sequences": 256, "n_batch": 2048, **options}
        with ExitStack() as stack:
            trees = {
                flash: stack.enter_context(self._made(TreeContext, flash_attention=flash, **cells))
                for flash in {wave[0] for wave in waves}
            }
            small = {"n_cells": 1024, "n_sequences": 32, "n_batch": 512, **options}
            path = stack.enter_context(self._made(PathContext, **small))
            acts: dict[Any, Callable[[], int]] = {
                (flash, size, own): self._wave(trees[flash], self._jobs(own, size))
                for flash, size, own in waves
            }
            acts |= {own: self._single(path, self._jobs(own, 2 * (own + OPTIONS))) for own in owns}
            found = self._in_turns(acts)
        return {wave: found[wave] for wave in waves}, {own: found[own] for own in owns}

    def _single(self, context: PathContext, jobs: list[ScoreJob]) -> Callable[[], int]:
        def act() -> int:
            score_strict([context], jobs, ends)
            return _n_tokens(jobs)

        ends = self.model.ends_of_turn
        return act

    def _wave(self, context: TreeContext, jobs: list[ScoreJob]) -> Callable[[], int]:
        def act() -> int:
            list(score_fast(context, jobs, ends, _n_tokens(jobs), len(jobs), known))
            return _n_tokens(jobs)

        ends, known = self.model.ends_of_turn, {}  # type: ignore[var-annotated]
        return act

    def _jobs(self, own: int, size: int) -> list[ScoreJob]:
        """Prompts after one beginning, with their options about `size` tokens together."""
        rng = np.random.default_rng(2)
        options = tuple((token,) for token in range(OPTIONS))
        cut = rounds(options, OPTIONS, OPTIONS)
        first = random_tokens(self.model, min(PREFIX, self.n_ctx // 2), rng)
        n = max(1, round(size / (own + OPTIONS)))
        return [
            ScoreJob(k, (first, random_tokens(self.model, own, rng)), options, cut)
            for k in range(n)
        ]

    def texts(self, candidates: Sequence[int]) -> dict[tuple[str, int], float]:
        """Tokens per second when so many texts are written, each half done.

        By where their cells are, in one cache (`together`) or in streams (`apart`), and how many.
        """
        most = max(candidates)
        cells = PREFIX + most * (OWN + WRITTEN + _STEPS)
        together = {"n_rows": most, "n_cells": cells, "n_batch": max(128, PREFIX, most)}
        apart = {"n_slots": most, "n_cells": PREFIX + OWN + WRITTEN + _STEPS, "n_batch": 256}
        with self._made(Rows, **together) as rows, self._made(Slots, **apart) as slots:
            text = self._text_in(rows)
            self._texts_in(slots)

            def act(kind: str, n: int) -> int:
                if kind == TOGETHER:
                    return self._steps(rows, list(range(1, n + 1)), rows.evaluate)
                slots.sizes = (n,)
                return self._steps(slots, list(range(n)), slots.step)

            def prepare(name: tuple[str, int]) -> None:
                if name[0] == TOGETHER:
                    _fill(rows, name[1], text)

            names = [(kind, n) for n in candidates for kind in (TOGETHER, APART)]
            return self._in_turns({name: partial(act, *name) for name in names}, prepare)

    def _text_in(self, rows: Rows) -> Any:
        """Make random tokens the trunk; a copy of the cells of a text after it."""
        rng = np.random.default_rng(4)
        rows.extend(random_tokens(self.model, PREFIX, rng))
        rows.put(random_tokens(self.model, OWN + WRITTEN, rng), PREFIX, 1, 1)
        rows.run()
        return rows.copy_out(1)

    def _texts_in(self, slots: Slots) -> None:
        """Put a text of random tokens into every slot."""
        tokens = random_tokens(self.model, PREFIX + OWN + WRITTEN, np.random.default_rng(4))
        slots.enter(0, (tokens,), set())
        text = slots.copy_out(0)
        for slot in range(1, slots.n_slots):
            slots.copy_in(text, slot)

    def _steps(self, context: Context, places: list[int], step: Callable[..., Any]) -> int:
        """Some tokens for each text, drawn and taken back; how many."""
        n, start = len(places), PREFIX + OWN + WRITTEN
        drafts = [Draft(TextJob(k, (), TextConstraint(2 * _STEPS), k)) for k in places]
        for k in range(_STEPS):
            draw(drafts, step(places, [k] * n, [start + k] * n), frozenset())
        for place in places:
            context.api.llama_memory_seq_rm(context.memory, place, start, -1)
        return n * _STEPS

    def _in_turns(
        self, acts: dict[Any, Callable[[], int]], prepare: Callable[[Any], None] = lambda _: None
    ) -> dict[Any, float]:
        """What each did per second in its best turn; preparing it does not count."""
        clock, best, begun = self.clock, dict.fromkeys(acts, 0.0), time.perf_counter()
        for turn in range(_TURNS):
            for name, act in acts.items():
                prepare(name)
                before = clock()
                n = act()
                if turn:
                    best[name] = max(best[name], n / max(clock() - before, 1e-9))
            if turn and time.perf_counter() - begun > _SECONDS:
                break
        return best

    @contextmanager
    def _made(self, kind: type[Any], **options: Any) -> Iterator[Any]:
        context = kind(self.model, n_threads=self.n_threads, **options)
        try:
            yield context
        finally:
            context.free()


def _n_tokens(jobs: Sequence[ScoreJob]) -> int:
    """Tokens of the prompts' own and of their options."""
    return sum(len(job.path[-1]) + len(job.options) for job in jobs)


def _fill(rows: Rows, n: int, text: Any) -> None:
    """Let just the rows 1 ... n hold a text after the trunk."""
    api = rows.api
    for row in range(1, rows.n_rows + 1):
        if row > n:
            rows.leave(row)
        elif api.llama_memory_seq_pos_max(rows.memory, row) < 0:
            rows.copy_in(text, row)
            api.llama_memory_seq_cp(rows.memory, 0, row, 0, PREFIX)
