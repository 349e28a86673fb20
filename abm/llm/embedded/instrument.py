"""The embedded model as a backend: llama.cpp behind a border that only its language may cross."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from abm.errors import ModelFileError, require
from abm.llm.backend import Backend, Generation, Scored
from abm.llm.embedded.label import LABEL
from abm.llm.embedded.language.grammar import parse
from abm.llm.embedded.language.posts import parse_post
from abm.llm.embedded.language.situation import Situation
from abm.llm.embedded.language.version import VERSION
from abm.llm.embedded.rule_policy import OUTSIDE, fits
from abm.llm.statistics import Statistics
from abm.questions import Prompt, Status, TextConstraint

if TYPE_CHECKING:
    from abm.policies.llm import LLMPolicy

__all__ = ["EmbeddedBackend", "backend", "model_path", "policy"]


def model_path() -> Path:
    """The GGUF that comes with the package.

    Raises
    ------
    ModelFileError
        The installation lacks the file.
    """
    path = Path(str(files("abm.llm.embedded"))) / "data" / "embedded.gguf"
    require(
        path.exists(),
        ModelFileError,
        f"the embedded model {path} is missing; reinstall the package, or train it with "
        "`python -m abm.llm.embedded.training`",
        path=str(path),
    )
    return path


class EmbeddedBackend:
    """A backend that refuses prompts outside the language, and labels what it says.

    A prompt that does not parse is `out_of_language`; a generated text that is no post of the
    language on the topic it was asked about is `invalid`. The model itself is never asked what it
    does not know.

    Parameters
    ----------
    inner
        The backend that runs the GGUF.

    Attributes
    ----------
    label
        Says that its answers are no evidence about people.
    """

    label = LABEL

    def __init__(self, inner: Backend) -> None:
        self.inner = inner

    @property
    def fingerprint(self) -> str:
        return f"embedded:language={VERSION}|{self.inner.fingerprint}"

    @property
    def info(self) -> dict[str, Any]:
        """What a manifest says about this backend; plain values."""
        inner = dict(getattr(self.inner, "info", {}))
        return {**inner, "backend": "embedded", "language": VERSION, "label": LABEL}

    def score(self, prompts: Sequence[Prompt], options: Sequence[Sequence[str]]) -> list[Scored]:
        """Score each prompt's own menu; `out_of_language` for prompts the model does not know."""
        known = [
            row
            for row, (prompt, menu) in enumerate(zip(prompts, options, strict=True))
            if fits(parse(prompt.text), menu)
        ]
        asked = self.inner.score([prompts[row] for row in known], [options[row] for row in known])
        found = dict(zip(known, asked, strict=True))
        outside = Scored(None, status=Status.OUT_OF_LANGUAGE, detail=OUTSIDE)
        return [found.get(row, outside) for row in range(len(prompts))]

    def generate(
        self, prompts: Sequence[Prompt], constraints: Sequence[TextConstraint], seeds: Sequence[int]
    ) -> list[Generation]:
        """One post per prompt; `out_of_language` for prompts that do not ask for one."""
        read = [parse(prompt.text) for prompt in prompts]
        known = [row for row, situation in enumerate(read) if fits(situation, None)]
        made = self.inner.generate(
            [prompts[row] for row in known],
            [constraints[row] for row in known],
            [seeds[row] for row in known],
        )
        found = {row: _checked(text, read[row]) for row, text in zip(known, made, strict=True)}
        outside = Generation(None, status=Status.OUT_OF_LANGUAGE, detail=OUTSIDE)
        return [found.get(row, outside) for row in range(len(prompts))]

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors, shape (n_texts, n_dimensions); for any text, and meant for posts."""
        return self.inner.embed(texts)

    def as_sent(self, prompt: Prompt) -> tuple[str, tuple[int, ...]]:
        """The prompt exactly as sent and its token ids."""
        return self.inner.as_sent(prompt)

    def statistics(self) -> Statistics:
        """What was evaluated since the model was loaded."""
        found = getattr(self.inner, "statistics", None)
        return Statistics() if found is None else found()

    def memory(self) -> dict[str, int]:
        """Bytes held now, as `LlamaCpp.memory` tells."""
        found = getattr(self.inner, "memory", None)
        return {} if found is None else dict(found())

    def close(self) -> None:
        """Free the model."""
        close = getattr(self.inner, "close", None)
        if close is not None:
            close()

    def __enter__(self) -> EmbeddedBackend:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"EmbeddedBackend({self.inner!r})"


def _checked(made: Generation, asked: Situation | None) -> Generation:
    """A post on another topic is invalid too: nobody could read it under this topic."""
    post = None if made.text is None else parse_post(made.text)
    on_topic = post is not None and asked is not None and post.topic == asked.topic
    if made.status is not Status.OK or on_topic:
        return made
    return Generation(
        made.text,
        made.tokens_in,
        made.tokens_out,
        Status.INVALID,
        f"the embedded model wrote {(made.text or '')[:120]!r}, which is no post of its language "
        "on the topic it was asked about",
    )


def backend(**options: Any) -> EmbeddedBackend:
    """The embedded model; options are those of `abm.llm.LlamaCpp` (mode, n_threads, ...).

    Raises
    ------
    MissingExtra
        llama-cpp-python is not installed.
    """
    from abm.llm.llamacpp import LlamaCpp

    return EmbeddedBackend(LlamaCpp(model_path(), **{"n_ctx": 512, **options}))


def policy(**options: Any) -> LLMPolicy:
    """The embedded model as a policy; options as for `backend`."""
    from abm.policies.llm import LLMPolicy

    return LLMPolicy(backend(**options), name="embedded")
