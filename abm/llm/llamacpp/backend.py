"""`LlamaCpp`: a GGUF model in this process, as a backend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from abm.errors import BackendError, require
from abm.llm.backend import Generation, Scored
from abm.llm.llamacpp.chat import frame
from abm.llm.llamacpp.drafts import TextJob
from abm.llm.llamacpp.embed import Embedder
from abm.llm.llamacpp.library import build, hardware
from abm.llm.llamacpp.loaded import Mode
from abm.llm.llamacpp.model import Model
from abm.llm.llamacpp.scores import KNOWN_MENUS, Scores
from abm.llm.llamacpp.scoring import ScoreJob
from abm.llm.llamacpp.strict import MAX_LEAVES, MAX_NODES
from abm.llm.llamacpp.texts import Texts, no_text
from abm.llm.llamacpp.tokens import Tokenizer, Tokens
from abm.llm.llamacpp.tree import Round, rounds
from abm.llm.statistics import Statistics
from abm.questions import Prompt, Status, TextConstraint

__all__ = ["LlamaCpp"]

LAYOUT = 2  # raise it whenever the layout of calls changes, because the last bits then change


class LlamaCpp(Scores, Texts):
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
        super().__init__(
            path,
            n_ctx=n_ctx,
            n_threads=n_threads,
            n_gpu_layers=n_gpu_layers,
            mode=mode,
            n_parallel=n_parallel,
            resident_bytes=resident_bytes,
            text_bytes=text_bytes,
        )
        template = self._model.chat_template if chat else None
        _check_chat(self.path, template, chat_options)
        options = {"enable_thinking": False, **(chat_options or {})}
        self._tokenizer = _tokenizer(self._model, template, options)
        self._menus: dict[tuple[Tokens, ...], list[Round]] = {}
        self._trees = {}
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

    def _measured(self) -> dict[str, Any]:
        return {"layout": self.layout.as_dict(), "variation": self.variation.as_dict()}

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
            if len(self._menus) >= KNOWN_MENUS:
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
                results[index] = no_text(Status.INVALID, "the prompt has no tokens", n_prompt)
            elif needed > self.n_ctx:
                results[index] = no_text(Status.CONTEXT_OVERFLOW, self._over(needed), n_prompt)
            else:
                jobs.append(TextJob(index, path, constraint, int(seeds[index])))
        self._counts.add(batches=1, requests=len(prompts))
        if jobs:
            self._counts.add(tokens_asked=sum(job.n_prompt for job in jobs))
            results.update(self._write(jobs, ends))
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
                self._contexts["embed"] = Embedder(self._model, self._tokenizer, self._lone_threads)
            embedder: Embedder = self._contexts["embed"]
            return embedder.embed(texts, self.n_ctx)

    def as_sent(self, prompt: Prompt) -> tuple[str, tuple[int, ...]]:
        """The prompt exactly as sent (chat template applied) and its token ids."""
        self._open()
        head, tail = self._tokenizer.frame
        path, _ = self._tokenizer.prompt(prompt)
        return head + prompt.text + tail, tuple(token for block in path for token in block)

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


def _check_chat(path: Path, template: str | None, chat_options: Mapping[str, Any] | None) -> None:
    require(
        template is not None or not chat_options,
        BackendError,
        f"chat_options = {chat_options!r}, and no chat template reads them: {path.name} has none, "
        "or chat = False; leave them out",
        value=chat_options,
    )


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
