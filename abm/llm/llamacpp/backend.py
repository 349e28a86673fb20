"""`LlamaCpp`: a GGUF model in this process, as a backend."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NoReturn

import numpy as np
from numpy.typing import NDArray

from abm.errors import BackendError, require
from abm.llm.backend import Generation, Scored
from abm.llm.llamacpp.chat import frame
from abm.llm.llamacpp.context import Context, PathContext
from abm.llm.llamacpp.drafts import TextJob
from abm.llm.llamacpp.embed import Embedder
from abm.llm.llamacpp.fast import TreeContext, score_fast
from abm.llm.llamacpp.fast_texts import cells_wanted, in_order, write_fast
from abm.llm.llamacpp.generate import write_apart, write_strict
from abm.llm.llamacpp.lanes import by_prompt, gathered
from abm.llm.llamacpp.layout import Layout, Remembered, measure_layout
from abm.llm.llamacpp.library import build, hardware
from abm.llm.llamacpp.model import Model
from abm.llm.llamacpp.prefixes import PrefixStore
from abm.llm.llamacpp.rows import Rows
from abm.llm.llamacpp.scoring import ScoreJob
from abm.llm.llamacpp.slots import Slots, exact_sizes
from abm.llm.llamacpp.strict import score_strict
from abm.llm.llamacpp.tokens import Tokenizer, Tokens
from abm.llm.llamacpp.tree import Round, rounds
from abm.llm.llamacpp.trie import block_nodes, grow, tree_nodes
from abm.llm.llamacpp.variation import Variation, measure_variation
from abm.llm.statistics import Counts, Statistics
from abm.questions import Prompt, Status, TextConstraint

__all__ = ["LlamaCpp"]

SMALL = 20_000_000
"""Parameters below which threads of llama.cpp mostly wait, on a CPU; such a model writes two texts
a call."""

MEDIUM = 1_000_000_000
"""Parameters below which a model on a CPU has lanes."""

Mode = Literal["strict", "fast"]

LAYOUT = 2  # raise it whenever the layout of calls changes, because the last bits then change
N_BATCH = 512
MAX_LEAVES = 32
MAX_NODES = 192
ROWS = (8, 4, 2, 1)  # texts that `strict` writes in parallel: the first whose cells fit the memory
MOST_ROWS = 64
MOST_LANES = 8
AS_MANY = 1.02  # times the nodes of a tree of tokens that one of blocks may have in their place
TURNS, PORTION = 4, 32  # most portions that a lane of `fast` takes in turns; least prompts of one
SHORT = 64  # tokens of a call below which flash attention is slow
TEXTS = ("text", "apart")  # kinds of contexts in which texts are written
_MENUS = 4096  # menus whose trees are remembered


class LlamaCpp:
    """A GGUF model through llama.cpp, on the CPU or a GPU.

    Parameters
    ----------
    path
        The GGUF file; of a split model its first part.
    n_ctx
        Most tokens of a prompt and its answer together; never more than the model was trained
        with. A longer prompt is the failure `context_overflow`.
    n_threads
        CPUs to use; default: those that this process may use, at most 8, and at most 4 for a
        model below 20 million parameters. A model below 1,000 million parameters on a CPU gets
        them as *lanes*, contexts among which a batch is divided, as far as their cells fit
        `text_bytes`; llama.cpp's own threads would wait for each other at every layer. A larger
        one has threads of llama.cpp only.
    n_gpu_layers
        Layers on the GPU; negative, the default, for all if the build supports offloading and
        there is a GPU. Without one every layer is on the CPU, whatever is given.
    mode
        `strict` (an answer depends on the request and the fingerprint alone) or `fast` (prompts are
        evaluated together; the last digits depend on what else was asked).
    chat
        Whether to apply the chat template of an instruct model. A model without one gets the bare
        prompt.
    chat_options
        Variables of the chat template. Reasoning before the answer is off unless asked for.
    n_parallel
        Most prompts that `fast` evaluates, and texts that it writes, in one call, 1 to 256. By
        default the fastest layout is measured once per model and machine (see `layout`). In
        `strict`, most texts that are written in one call (8, 4, 2 or 1, part of the fingerprint).
    resident_bytes
        Memory bound of the shared prefixes that stay resident, for all lanes together.
    text_bytes
        Memory bound of the attention cells of texts that are written in parallel. In `strict` a
        call has as many as fit, by default at most 8, and 2 for a model of less than 20 million
        parameters on a CPU; there are no more lanes than fit.

    Raises
    ------
    MissingExtra
        llama-cpp-python is not installed.
    ModelFileError
        The file is missing, truncated, not a GGUF, or of an unsuitable architecture.
    BackendError
        A parameter is out of range, or the memory does not suffice. Also on use after `close`, in
        a forked process, and on pickling.

    Examples
    --------
    >>> from abm.llm import LlamaCpp
    >>> LlamaCpp("no_such.gguf")
    Traceback (most recent call last):
    ...
    abm.errors.ModelFileError: model file no_such.gguf does not exist; expected a GGUF file. ...
    """

    def __init__(
        self,
        path: str | Path,
        *,
        n_ctx: int = 4096,
        n_threads: int | None = None,
        n_gpu_layers: int = -1,
        mode: Mode = "strict",
        chat: bool = True,
        chat_options: Mapping[str, Any] | None = None,
        n_parallel: int | None = None,
        resident_bytes: int = 256 * 1024 * 1024,
        text_bytes: int = 1024 * 1024 * 1024,
    ) -> None:
        _check(n_ctx, n_threads, mode, n_parallel)
        _check_bytes(resident_bytes=resident_bytes, text_bytes=text_bytes)
        self.path, self.mode = Path(path), mode
        self._model = Model(self.path, n_gpu_layers)
        self._contexts: dict[str, Any] = {}
        self._close = weakref.finalize(self, _free, self._model, self._contexts, os.getpid())
        self._process = os.getpid()
        self._lock = threading.RLock()
        self.n_ctx = min(n_ctx, self._model.n_training_context or n_ctx)
        self.n_threads = n_threads or _default_threads(self._is_small)
        self._lone_threads = 1 if self._is_small and n_threads is None else self.n_threads
        self.n_parallel, self.text_bytes = n_parallel, text_bytes
        self.n_lanes = self._most_lanes()
        self._ends = self._model.ends_of_turn
        self._store = PrefixStore(resident_bytes)
        self._counts = Counts()
        template = self._model.chat_template if chat else None
        options = {"enable_thinking": False, **(chat_options or {})}
        self._tokenizer = _tokenizer(self._model, template, options)
        self._menus: dict[tuple[Tokens, ...], list[Round]] = {}
        self._trees: dict[tuple[Tokens, ...], list[Round]] = {}
        self._layout: Layout | None = None
        self._variation: Variation | None = None
        self._sizes: tuple[int, ...] | None = None
        self.fingerprint = self._fingerprint(template, options)

    def _fingerprint(self, template: str | None, options: Mapping[str, Any]) -> str:
        model = self._model
        chat = "none"
        if template is not None:
            body = repr((template, sorted(options.items()), self._tokenizer.frame))
            chat = sha256(body.encode("utf-8", "replace")).hexdigest()[:16]
        device = "gpu" if model.on_gpu else "cpu"
        return (
            f"llama:sha256={model.hash()};weights={model.quantisation};chat={chat};"
            f"build={build()};device={device};mode={self.mode};n_ctx={self.n_ctx};layout={LAYOUT}"
            + (f";rows={self._n_rows()}" if self.mode == "strict" else "")
        )

    @property
    def info(self) -> dict[str, Any]:
        """What a manifest says about this backend; plain values."""
        return {
            "backend": "llama",
            "file": self.path.name,
            "model": self._open().description,
            "parameters": self._model.n_parameters,
            "weights": self._model.quantisation,
            "mode": self.mode,
            "n_ctx": self.n_ctx,
            "n_threads": self.n_threads,
            "lanes": self.n_lanes,
            "build": build(),
            "hardware": hardware(),
            "fingerprint": self.fingerprint,
            **(self._measured() if self.mode == "fast" else {}),
        }

    @property
    def layout(self) -> Layout:
        """What `fast` does on this machine: measured when first needed, then kept on disk.

        The file lies in the folder `AGORA_CACHE`, or in the user's cache folder. `strict` does not
        use it.
        """
        model = self._open()
        with self._lock:
            if self._layout is None:
                kept = self._remembered().get("layout")
                if kept is None:
                    room = self.text_bytes // self.n_lanes
                    rows = max(1, min(MOST_ROWS, room // (512 * model.cell_bytes)))
                    n_threads = 1 if self.n_lanes > 1 else self.n_threads
                    kept = measure_layout(model, n_threads, self.n_ctx, rows).as_dict()
                    self._remembered().put("layout", kept)
                self._layout = Layout(**kept)
            return self._layout

    @property
    def variation(self) -> Variation:
        """How far this model's answers move when prompts are evaluated together.

        Total variation of the next token between `fast` and `strict` evaluation, on prompts of
        random tokens; measured when first asked for, then kept on disk like `layout`.
        """
        model = self._open()
        with self._lock:
            if self._variation is None:
                kept = self._remembered().get("variation")
                if kept is None:
                    n_prompts = 32 if self.layout.source == "measured" else 4
                    with self._using("strict") as alone, self._using("fast") as batched:
                        found = measure_variation(
                            model, alone, batched, self.layout.n_tokens, n_prompts
                        )
                    kept = found.as_dict()
                    self._remembered().put("variation", kept)
                self._variation = Variation(**kept)
            return self._variation

    def _remembered(self) -> Remembered:
        return Remembered(
            f"{self._model.hash()};{self._model.on_gpu};{self.n_threads};{self.n_lanes};"
            f"{self.n_ctx};{self.text_bytes}"
        )

    def _is_below(self, n_parameters: int) -> bool:
        return self._model.n_parameters < n_parameters and not self._model.on_gpu

    @property
    def _is_small(self) -> bool:
        """Whether calls of a few tokens are so short that threads of llama.cpp mostly wait."""
        return self._is_below(SMALL)

    def _most_lanes(self) -> int:
        """Lanes whose cells for scoring fit the memory of texts; one for a large model."""
        each = (self.n_ctx + MAX_NODES) * self._model.cell_bytes
        most = min(self.n_threads, MOST_LANES, self.text_bytes // each)
        return max(1, most) if self._is_below(MEDIUM) else 1

    def _threads_of(self, n_lanes: int) -> int:
        """Threads of llama.cpp in each of so many lanes."""
        if n_lanes == 1:
            return self._lone_threads
        return 1 if self._is_small else max(1, self.n_threads // n_lanes)

    def _measured(self) -> dict[str, Any]:
        return {"layout": self.layout.as_dict(), "variation": self.variation.as_dict()}

    def memory(self) -> dict[str, int]:
        """Bytes held now: weights (mapped from the file), attention cells, resident prefixes."""
        cell = self._open().cell_bytes
        cells = sum(
            context.n_cells * (context.n_sequences if isinstance(context, Slots) else 1)
            for context in self._contexts.values()
            if isinstance(context, Context)
        )
        return {
            "weights": self._model.n_bytes,
            "cells": cells * cell,
            "resident": self._store.used,
        }

    def statistics(self) -> Statistics:
        """What was asked, shared and evaluated since this backend was made."""
        return self._counts.statistics()

    def score(
        self, prompts: Sequence[Prompt], options: Sequence[Sequence[str]]
    ) -> Sequence[Scored]:
        """log P(option and end of turn | prompt) of each prompt's own menu.

        An option is tokenised by itself; it follows the prompt directly if the prompt as sent ends
        in white space or a control token, and after one space otherwise.
        """
        self._open()
        _same_length(prompts=prompts, options=options)
        results: dict[int, Scored] = {}
        jobs = []
        for index, (prompt, menu) in enumerate(zip(prompts, options, strict=True)):
            job = self._score_job(index, prompt, menu)
            if isinstance(job, ScoreJob):
                jobs.append(job)
            else:
                results[index] = job
        self._counts.add(batches=1, requests=len(prompts))
        if jobs:
            asked = sum(job.n_prompt + sum(map(len, job.options)) for job in jobs)
            self._counts.add(tokens_asked=asked)
            results.update(self._scored(jobs))
        return [results[index] for index in range(len(prompts))]

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
        if len(self._trees) >= _MENUS:
            self._trees.clear()
        return self._trees

    def _score_job(self, index: int, prompt: Prompt, menu: Sequence[str]) -> ScoreJob | Scored:
        path, closed = self._tokenizer.prompt(prompt)
        options = tuple(self._tokenizer.option(text, closed) for text in menu)
        n_prompt, n_out = sum(map(len, path)), sum(len(option) + 1 for option in options)
        if not path or not options:
            what = "the prompt has no tokens" if options else "the menu is empty"
            return Scored(None, None, n_prompt, n_out, Status.INVALID, what)
        needed = n_prompt + max(map(len, options))
        if needed > self.n_ctx:
            return Scored(None, None, n_prompt, n_out, Status.CONTEXT_OVERFLOW, self._over(needed))
        found = self._menus.get(options)
        if found is None:
            if len(self._menus) >= _MENUS:
                self._menus.clear()
            found = self._menus[options] = rounds(options, MAX_LEAVES, MAX_NODES)
        return ScoreJob(index, path, options, found)

    def generate(
        self, prompts: Sequence[Prompt], constraints: Sequence[TextConstraint], seeds: Sequence[int]
    ) -> Sequence[Generation]:
        """One text per prompt under its constraint, drawn with its own seed (0 <= seed < 2**32).

        Sampling takes the whole distribution at the constraint's temperature. The text ends with
        the turn; surrounding white space is removed. Without an end within `max_tokens` the status
        is `truncated`.
        """
        return self._written(prompts, constraints, seeds, self._ends)

    def _written(
        self,
        prompts: Sequence[Prompt],
        constraints: Sequence[TextConstraint],
        seeds: Sequence[int],
        ends: NDArray[np.int64],
    ) -> Sequence[Generation]:
        """As `generate`, with the tokens that end a turn; none writes all to `max_tokens`."""
        self._open()
        _same_length(prompts=prompts, constraints=constraints, seeds=seeds)
        results: dict[int, Generation] = {}
        jobs = []
        for index, (prompt, constraint) in enumerate(zip(prompts, constraints, strict=True)):
            path, _ = self._tokenizer.prompt(prompt)
            n_prompt = sum(map(len, path))
            needed = n_prompt + constraint.max_tokens
            if not path:
                results[index] = _no_text(Status.INVALID, "the prompt has no tokens", n_prompt)
            elif needed > self.n_ctx:
                results[index] = _no_text(Status.CONTEXT_OVERFLOW, self._over(needed), n_prompt)
            else:
                jobs.append(TextJob(index, path, constraint, int(seeds[index])))
        self._counts.add(batches=1, requests=len(prompts))
        if jobs:
            self._counts.add(tokens_asked=sum(job.n_prompt for job in jobs))
            results.update(self._write(jobs, ends))
        return [results[index] for index in range(len(prompts))]

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

    def _streams(self, longest: int) -> int:
        """Texts of a lane whose streams fit the memory, at most those of the layout."""
        room = self.text_bytes // self.n_lanes // self._model.cell_bytes
        return max(1, min(self._most_texts(), room // (-(-longest // 256) * 256)))

    def _n_rows(self) -> int:
        """Texts that `strict` writes in parallel: so many that the longest fit the memory.

        A call costs as much for free places as for taken ones. With a small model on a CPU two
        places take no longer than one, and eight six times as long.
        """
        most = self.n_parallel or (2 if self._is_small else ROWS[0])
        each = self._longest_bytes()
        return next((n for n in ROWS if n <= most and n * each <= self.text_bytes), 1)

    def _longest_bytes(self) -> int:
        """Memory of the cells of a text of `n_ctx` tokens."""
        return -(-self.n_ctx // 256) * 256 * self._model.cell_bytes

    def _text_lanes(self, n_texts: int) -> int:
        """Lanes in which texts are written, in `strict` no more than fit the memory.

        In a larger model a lane has a call of eight at least: fewer read the weights as often.
        """
        most = min(self.n_lanes, n_texts if self._is_small else -(-n_texts // ROWS[0]))
        if self.mode == "fast":
            return most
        return max(1, min(most, self.text_bytes // (self._n_rows() * self._longest_bytes())))

    def _most_texts(self) -> int:
        """Texts that `fast` writes in a call; one of llama.cpp's 256 sequences is the trunk."""
        return min(self.n_parallel or self.layout.n_rows, 255)

    def _text_cells(self, longest: int, wanted: int) -> int:
        """Cells for the texts of a lane: what they want within the bound, in powers of two."""
        room = self.text_bytes // self.n_lanes // self._model.cell_bytes // 256 * 256
        return max(-(-longest // 256) * 256, min(room, 1 << max(10, (wanted - 1).bit_length())))

    def _texts(self, kind: str, needed: int) -> Context:
        """Where texts are written: with cells for the longest, or in one cache for all."""
        options: dict[str, Any] = {
            "n_cells": -(-needed // 256) * 256,
            "n_threads": self._threads_of(self.n_lanes),
            "store": self._store,
            "counts": self._counts,
        }
        if self.mode == "strict":
            slots = Slots(self._model, n_slots=self._n_rows(), n_batch=N_BATCH, **options)
            slots.sizes = self._sizes_of_calls(slots)
            return slots
        if kind == "apart":
            slots = Slots(self._model, n_slots=self._streams(needed), n_batch=N_BATCH, **options)
            slots.sizes = ()
            return slots
        n_rows = self._most_texts()
        n_batch = min(N_BATCH, n_rows + max(64, self.layout.n_tokens))
        return Rows(self._model, n_rows=n_rows, n_batch=n_batch, **options)

    def _sizes_of_calls(self, slots: Slots) -> tuple[int, ...]:
        """Texts that a call of `strict` may hold: fewer than all where that gives the same bits."""
        whole = not (self._model.is_quantised or self._model.on_gpu)
        if self._sizes is None:
            smaller = [n for n in ROWS[::-1] if 1 < n < slots.n_slots] if whole else []
            self._sizes = exact_sizes(slots, smaller) if smaller else (slots.n_slots,)
        return self._sizes

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors, shape (n_texts, n_dimensions): the model's own pooling, or the mean.

        Raises
        ------
        BackendError
            A text is empty or longer than the context; names its index.
        """
        self._open()
        with self._lock:
            if "embed" not in self._contexts:
                self._contexts["embed"] = Embedder(self._model, self._tokenizer, self._lone_threads)
            embedder: Embedder = self._contexts["embed"]
            return embedder.embed(texts, self.n_ctx)

    def as_sent(self, prompt: Prompt) -> tuple[str, tuple[int, ...]]:
        """The prompt exactly as sent (chat template applied) and its token ids."""
        self._open()
        head, tail = self._tokenizer.frame
        path, _ = self._tokenizer.prompt(prompt)
        return head + prompt.text + tail, tuple(token for block in path for token in block)

    def close(self) -> None:
        """Free the memory of the model, after what another thread asks. Later use is an error."""
        if os.getpid() == self._process:
            with self._lock:
                self._store.clear()
                self._close()

    def __enter__(self) -> LlamaCpp:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise BackendError(
            "a language model cannot be pickled or sent to another process: one answering process "
            "owns it. Give workers a RemotePolicy, or the path and abm.llm.load_backend"
        )

    def __repr__(self) -> str:
        state = "" if self._close.alive else ", closed"
        return f"LlamaCpp({str(self.path)!r}, mode={self.mode!r}, n_ctx={self.n_ctx}{state})"

    def _open(self) -> Model:
        require(
            os.getpid() == self._process,
            BackendError,
            f"{self.path.name} was loaded in process {self._process} and used in its fork "
            f"{os.getpid()}, where llama.cpp's threads do not exist. Load it in the process that "
            "uses it, or start workers with 'spawn' and ask through a RemotePolicy",
        )
        require(
            self._close.alive,
            BackendError,
            f"{self.path.name} was closed; make a new LlamaCpp to go on",
        )
        return self._model

    @contextmanager
    def _using(self, kind: str, needed: int = 0) -> Iterator[Any]:
        """A context, for one thread at a time; emptied if the work is interrupted."""
        with self._lanes(kind, 1, needed) as contexts:
            yield contexts[0]

    @contextmanager
    def _lanes(self, kind: str, n: int, needed: int = 0) -> Iterator[list[Any]]:
        """A context for each of at most n lanes, emptied if the work is interrupted."""
        with self._lock:
            contexts = self._contexts_of(kind, n, needed)
            for context in contexts:
                context.use_threads(self._threads_of(len(contexts)))
            done = False
            try:
                yield contexts
                done = True
            finally:
                if not done:
                    for context in contexts:
                        context.clear()

    def _contexts_of(self, kind: str, n: int, needed: int) -> list[Any]:
        """At least one context; where the memory does not suffice for more, there are no more."""
        contexts = [self._context(kind, needed)]
        for lane in range(1, min(n, self.n_lanes)):
            try:
                contexts.append(self._context(kind, needed, lane))
            except BackendError:
                self.n_lanes = lane
                break
        return contexts

    def _context(self, kind: str, needed: int = 0, lane: int = 0) -> Any:
        """The context of a kind (`strict`, `fast`, `text`) and lane, made when first needed."""
        name = f"{kind} {lane}" if lane else kind
        found = self._contexts.get(name)
        if found is not None and found.n_cells < needed:
            self._contexts.pop(name).free()
            found = None
        if found is None:
            self._free_other_texts(kind)
            found = self._texts(kind, needed) if kind in TEXTS else self._scoring(kind)
            self._contexts[name] = found
        return found

    def _free_other_texts(self, kind: str) -> None:
        """Let the cells of texts be those of one kind, so that they keep to their bound."""
        others = set(TEXTS) - {kind} if kind in TEXTS else set()
        for name in [name for name in self._contexts if name.split()[0] in others]:
            self._contexts.pop(name).free()

    def _scoring(self, kind: str) -> Context:
        options: dict[str, Any] = {
            "n_threads": self._threads_of(self.n_lanes),
            "store": self._store,
            "counts": self._counts,
            "n_ubatch": N_BATCH,
        }
        if kind == "strict":
            return PathContext(
                self._model,
                n_cells=self.n_ctx + MAX_NODES,
                n_sequences=MAX_LEAVES,
                n_batch=N_BATCH,
                **options,
            )
        return TreeContext(
            self._model,
            n_cells=self.n_ctx + 4 * N_BATCH,
            n_sequences=256,
            n_batch=4 * N_BATCH,
            flash_attention=self.layout.flash,
            kind="fast",
            **options,
        )

    def _over(self, needed: int) -> str:
        return (
            f"the prompt and its answer need {needed} tokens and the context holds {self.n_ctx}; "
            "shorten the memory in the template, or give a larger n_ctx if the model allows it"
        )


def _tokenizer(model: Model, template: str | None, options: Mapping[str, Any]) -> Tokenizer:
    bare = Tokenizer(model, frame(None, "", "", {}))
    if template is None:
        return bare
    names = [
        model.piece(token, special=True).decode("utf-8", "replace") if token >= 0 else ""
        for token in (bare.bos, bare.eos)
    ]
    bare.frame = frame(template, names[0], names[1], options)
    return bare


def _default_threads(is_small: bool) -> int:
    """CPUs that this process may use; all of the machine where the system does not tell (macOS)."""
    told = hasattr(os, "sched_getaffinity")
    n_cpus = len(os.sched_getaffinity(0)) if told else os.cpu_count() or 1
    return min(n_cpus, 4 if is_small else 8)


def _lost_scores(jobs: Sequence[ScoreJob], errors: Sequence[BackendError]) -> dict[int, Scored]:
    """Failures in place of what a lane was at when llama.cpp failed in it."""
    return {
        job.index: Scored(
            None, None, job.n_prompt, job.n_options, Status.BACKEND_ERROR, str(errors[0])
        )
        for job in (jobs if errors else ())
    }


def _lost_texts(jobs: Sequence[TextJob], errors: Sequence[BackendError]) -> dict[int, Generation]:
    """As `_lost_scores`, of texts."""
    return {
        job.index: _no_text(Status.BACKEND_ERROR, str(errors[0]), job.n_prompt)
        for job in (jobs if errors else ())
    }


def _free(model: Model, contexts: dict[str, Any], process: int) -> None:
    if os.getpid() != process:
        return
    for context in contexts.values():
        context.free()
    contexts.clear()
    model.free()


def _is_short(jobs: Sequence[ScoreJob]) -> bool:
    """Whether all jobs together are too few tokens for a call with flash attention."""
    return sum(len(job.path[-1]) + sum(map(len, job.options)) for job in jobs) < SHORT


def _check(n_ctx: int, n_threads: int | None, mode: str, n_parallel: int | None) -> None:
    require(n_ctx >= 16, BackendError, f"n_ctx = {n_ctx}, expected >= 16 tokens")
    require(
        n_threads is None or n_threads >= 1,
        BackendError,
        f"n_threads = {n_threads}, expected >= 1, or None for the CPUs of this process",
    )
    require(
        mode in ("strict", "fast"), BackendError, f"mode = {mode!r}, expected 'strict' or 'fast'"
    )
    require(
        n_parallel is None or 1 <= n_parallel <= 256,
        BackendError,
        f"n_parallel = {n_parallel}, expected 1 to 256, or None for the measured number",
    )


def _check_bytes(**bounds: int) -> None:
    for name, value in bounds.items():
        require(value >= 0, BackendError, f"{name} = {value}, expected >= 0")


def _same_length(**sequences: Sequence[Any]) -> None:
    sizes = {name: len(value) for name, value in sequences.items()}
    require(
        len(set(sizes.values())) <= 1, BackendError, f"lengths {sizes}, expected one per prompt"
    )


def _no_text(status: Status, detail: str, n_prompt: int) -> Generation:
    return Generation(None, n_prompt, 0, status, detail)
