"""Trials of layouts with the loaded model: how fast each evaluates prompts and writes texts.

Prompts are scored by the very code that will score them, in batches of several kinds: with long and
short beginnings that are shared, and with long and short parts of their own. Where one thread
computes alone, its processor time is measured, so that what waits for other programs does not
count; candidates take turns (see `turns`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from abm.llm.llamacpp.context import Context, PathContext
from abm.llm.llamacpp.drafts import Draft, TextJob, draw
from abm.llm.llamacpp.fast import TreeContext, begin, score_fast
from abm.llm.llamacpp.model import Model
from abm.llm.llamacpp.rows import Rows
from abm.llm.llamacpp.scoring import ScoreJob
from abm.llm.llamacpp.slots import Slots
from abm.llm.llamacpp.strict import score_strict, shared_prefixes
from abm.llm.llamacpp.tokens import Path, Tokens
from abm.llm.llamacpp.tree import rounds
from abm.llm.llamacpp.trie import asked_in_order, units_of
from abm.llm.llamacpp.turns import Turns, in_turns
from abm.questions import TextConstraint

__all__ = ["APART", "OPTIONS", "TOGETHER", "Kind", "Machine", "Wave", "random_tokens"]

PREFIX, OWN, WRITTEN, OPTIONS = 96, 40, 20, 7
TOGETHER, APART = "together", "apart"
_STEPS, _ROWS = 2, 8
_SINGLE = 94  # tokens of prompts that are evaluated one at a time


def random_tokens(model: Model, n: int, rng: np.random.Generator) -> Tokens:
    """Tokens of the vocabulary, control tokens included: for timing and rounding only."""
    return tuple(rng.integers(0, model.n_vocabulary, n).tolist())


class Kind(NamedTuple):
    """Prompts with so many tokens of their own after so many that they share.

    Examples
    --------
    >>> str(Kind(8, 320)), Kind.read("8 after 320") == Kind(8, 320), Kind(8, 320).prompts(141)
    ('8 after 320', True, 9)
    """

    own: int
    shared: int

    def __str__(self) -> str:
        return f"{self.own} after {self.shared}"

    @classmethod
    def read(cls, text: str) -> Kind:
        """The kind of such a name."""
        own, _, shared = text.partition(" after ")
        return cls(int(own), int(shared))

    def prompts(self, size: int) -> int:
        """How many of them, with their options, are about `size` tokens."""
        return max(1, round(size / (self.own + OPTIONS)))


class Wave(NamedTuple):
    """Prompts of a kind in one call of about `size` tokens, with flash attention or without."""

    flash: bool
    size: int
    kind: Kind

    def __str__(self) -> str:
        return f"{'flash' if self.flash else 'plain'} {self.size}, {self.kind}"


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

    def scores(self, waves: Sequence[Wave], kinds: Sequence[Kind]) -> Turns:
        """Tokens per second of prompts in waves, and of prompts one at a time as in `strict`.

        By wave and by kind.
        """
        options: dict[str, Any] = {"n_ubatch": 512}
        cells = {"n_cells": 2048, "n_sequences": 256, "n_batch": 2048, **options}
        small = {"n_cells": 1024, "n_sequences": 32, "n_batch": 512, **options}
        with ExitStack() as stack:
            trees = {
                flash: stack.enter_context(self._made(TreeContext, flash_attention=flash, **cells))
                for flash in {wave.flash for wave in waves}
            }
            path = stack.enter_context(self._made(PathContext, **small))

            def prepare(name: Wave | Kind) -> None:
                if isinstance(name, Wave):
                    begin(trees[name.flash], self._shared(name.kind))
                else:
                    path.go_to(self._shared(name), 1)

            acts: dict[Wave | Kind, Callable[[], int]] = {
                wave: self._wave(trees[wave.flash], self._jobs(wave.kind, wave.size))
                for wave in waves
            }
            acts |= {kind: self._single(path, self._jobs(kind, _SINGLE)) for kind in kinds}
            return in_turns(acts, self.clock, prepare)

    def _single(self, context: PathContext, jobs: list[ScoreJob]) -> Callable[[], int]:
        def act() -> int:
            score_strict([context], jobs, ends)
            return _n_tokens(jobs)

        ends = self.model.ends_of_turn
        return act

    def _wave(self, context: TreeContext, jobs: list[ScoreJob]) -> Callable[[], int]:
        def act() -> int:
            order = asked_in_order(jobs)
            units = units_of(order, known)
            units[0].shared = sum(map(len, jobs[0].path[:-1]))
            wanted = shared_prefixes(asked.path for asked in order)
            list(score_fast(context, units, ends, _n_tokens(jobs), len(jobs), wanted))
            return _n_tokens(jobs)

        ends, known = self.model.ends_of_turn, {}  # type: ignore[var-annotated]
        return act

    def _shared(self, kind: Kind) -> Path:
        """What prompts begin with; longer beginnings start like shorter ones."""
        rng = np.random.default_rng(2)
        n = min(kind.shared, max(1, self.n_ctx - kind.own - OPTIONS))
        tokens = random_tokens(self.model, n, rng)
        return tuple(part for part in (tokens[:PREFIX], tokens[PREFIX:]) if part)

    def _jobs(self, kind: Kind, size: int) -> list[ScoreJob]:
        """Prompts of a kind, with their options about `size` tokens together."""
        rng = np.random.default_rng(3)
        options = tuple((token,) for token in range(OPTIONS))
        cut, first = rounds(options, OPTIONS, OPTIONS), self._shared(kind)
        return [
            ScoreJob(k, (*first, random_tokens(self.model, kind.own, rng)), options, cut)
            for k in range(kind.prompts(size))
        ]

    def texts(self, candidates: Sequence[int]) -> Turns:
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
            return in_turns({name: partial(act, *name) for name in names}, self.clock, prepare)

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
        """Some tokens for each text, drawn and taken back, more often for few texts; how many."""
        n, start, times = len(places), PREFIX + OWN + WRITTEN, max(1, _ROWS // len(places))
        for _ in range(times):
            drafts = [Draft(TextJob(k, (), TextConstraint(2 * _STEPS), k)) for k in places]
            for k in range(_STEPS):
                draw(drafts, step(places, [k] * n, [start + k] * n), frozenset())
            for place in places:
                context.api.llama_memory_seq_rm(context.memory, place, start, -1)
        return n * _STEPS * times

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
