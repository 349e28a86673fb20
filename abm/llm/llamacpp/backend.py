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
from abm.llm.llamacpp.context import Context
from abm.llm.llamacpp.embed import Embedder
from abm.llm.llamacpp.fast import score_fast
from abm.llm.llamacpp.generate import TextJob, write_texts
from abm.llm.llamacpp.library import build, hardware
from abm.llm.llamacpp.model import Model
from abm.llm.llamacpp.prefixes import PrefixStore
from abm.llm.llamacpp.scoring import ScoreJob
from abm.llm.llamacpp.strict import score_strict
from abm.llm.llamacpp.tokens import Tokenizer, Tokens
from abm.llm.llamacpp.tree import Round, rounds
from abm.llm.statistics import Counts, Statistics
from abm.questions import Prompt, Status, TextConstraint

__all__ = ["LlamaCpp"]

SMALL = 20_000_000
"""Parameters below which one thread is the default."""

Mode = Literal["strict", "fast"]

LAYOUT = 1  # raise it whenever the layout of calls changes, because the last bits then change
N_BATCH = 512
MAX_LEAVES = 32
MAX_NODES = 192
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
        Threads of llama.cpp; default: the CPUs that this process may use, at most 8, and one for a
        model below 20 million parameters. llama.cpp's threads spin at every layer: a small model
        gains little from a second one, and where another program shares the cores it loses much.
    n_gpu_layers
        Layers on the GPU, negative for all; without effect when the build has no GPU.
    mode
        `strict` (an answer depends on the request and the fingerprint alone) or `fast` (prompts are
        evaluated together; the last digits depend on what else was asked).
    chat
        Whether to apply the chat template of an instruct model. A model without one gets the bare
        prompt.
    chat_options
        Variables of the chat template. Reasoning before the answer is off unless asked for.
    n_parallel
        Prompts that `fast` evaluates together.
    resident_bytes
        Memory bound of the shared prefixes that stay resident.

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
        n_parallel: int = 8,
        resident_bytes: int = 256 * 1024 * 1024,
    ) -> None:
        _check(n_ctx, n_threads, mode, n_parallel, resident_bytes)
        self.path, self.mode = Path(path), mode
        self._model = Model(self.path, n_gpu_layers)
        self._contexts: dict[str, Any] = {}
        self._close = weakref.finalize(self, _free, self._model, self._contexts, os.getpid())
        self._process = os.getpid()
        self._lock = threading.RLock()
        self.n_ctx = min(n_ctx, self._model.n_training_context or n_ctx)
        self.n_threads = n_threads or _default_threads(self._model.n_parameters)
        self.n_parallel = n_parallel
        self._ends = self._model.ends_of_turn
        self._store = PrefixStore(resident_bytes)
        self._counts = Counts()
        template = self._model.chat_template if chat else None
        options = {"enable_thinking": False, **(chat_options or {})}
        self._tokenizer = _tokenizer(self._model, template, options)
        self._menus: dict[tuple[Tokens, ...], list[Round]] = {}
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
            "build": build(),
            "hardware": hardware(),
            "fingerprint": self.fingerprint,
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
        if jobs:
            scorer = score_strict if self.mode == "strict" else self._score_fast
            with self._using(self.mode) as context:
                results.update(scorer(context, jobs, self._ends))
        return [results[index] for index in range(len(prompts))]

    def _score_fast(self, context: Context, jobs: list[ScoreJob], ends: NDArray[np.int64]) -> Any:
        return score_fast(context, jobs, ends, self.n_parallel)

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
        if jobs:
            together = 1 if self.mode == "strict" else self.n_parallel
            with self._using(self.mode) as context:
                results.update(write_texts(context, self._tokenizer, jobs, self._ends, together))
        return [results[index] for index in range(len(prompts))]

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
                self._contexts["embed"] = Embedder(self._model, self._tokenizer, self.n_threads)
            embedder: Embedder = self._contexts["embed"]
            return embedder.embed(texts, self.n_ctx)

    def as_sent(self, prompt: Prompt) -> tuple[str, tuple[int, ...]]:
        """The prompt exactly as sent (chat template applied) and its token ids."""
        self._open()
        head, tail = self._tokenizer.frame
        path, _ = self._tokenizer.prompt(prompt)
        return head + prompt.text + tail, tuple(token for block in path for token in block)

    def close(self) -> None:
        """Free the memory of the model. Later use is a `BackendError`."""
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
    def _using(self, mode: str) -> Iterator[Context]:
        """The context of a mode, for one thread at a time; emptied if the work is interrupted."""
        with self._lock:
            context, done = self._context(mode), False
            try:
                yield context
                done = True
            finally:
                if not done:
                    context.clear()

    def _context(self, mode: str) -> Context:
        if mode not in self._contexts:
            if mode == "strict":
                self._contexts[mode] = Context(
                    self._model,
                    n_cells=self.n_ctx + MAX_NODES,
                    n_sequences=MAX_LEAVES,
                    n_batch=N_BATCH,
                    n_threads=self.n_threads,
                    store=self._store,
                )
            else:
                self._contexts[mode] = Context(
                    self._model,
                    n_cells=2 * (self.n_ctx + MAX_NODES),
                    n_sequences=256,
                    n_batch=4 * N_BATCH,
                    n_ubatch=N_BATCH,
                    n_threads=self.n_threads,
                    store=self._store,
                )
        found: Context = self._contexts[mode]
        return found

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


def _default_threads(n_parameters: int) -> int:
    return 1 if n_parameters < SMALL else min(len(os.sched_getaffinity(0)), 8)


def _free(model: Model, contexts: dict[str, Any], process: int) -> None:
    if os.getpid() != process:
        return
    for context in contexts.values():
        context.free()
    contexts.clear()
    model.free()


def _check(
    n_ctx: int, n_threads: int | None, mode: str, n_parallel: int, resident_bytes: int
) -> None:
    require(n_ctx >= 16, BackendError, f"n_ctx = {n_ctx}, expected >= 16 tokens")
    require(
        n_threads is None or n_threads >= 1,
        BackendError,
        f"n_threads = {n_threads}, expected >= 1, or None for the CPUs of this process",
    )
    require(
        mode in ("strict", "fast"), BackendError, f"mode = {mode!r}, expected 'strict' or 'fast'"
    )
    require(1 <= n_parallel <= 64, BackendError, f"n_parallel = {n_parallel}, expected 1 to 64")
    require(resident_bytes >= 0, BackendError, f"resident_bytes = {resident_bytes}, expected >= 0")


def _same_length(**sequences: Sequence[Any]) -> None:
    sizes = {name: len(value) for name, value in sequences.items()}
    require(
        len(set(sizes.values())) <= 1, BackendError, f"lengths {sizes}, expected one per prompt"
    )


def _no_text(status: Status, detail: str, n_prompt: int) -> Generation:
    return Generation(None, n_prompt, 0, status, detail)
