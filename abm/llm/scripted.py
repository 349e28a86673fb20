"""`Scripted`: functions instead of a model, for tests and teaching."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.errors import BackendError, require
from abm.llm.backend import Generation, Scored
from abm.questions import Prompt, Status, TextConstraint

__all__ = ["Scripted"]

Score = Callable[[str, tuple[str, ...]], "Sequence[float] | Scored"]
Write = Callable[[str, TextConstraint, int], "str | Generation"]
Embed = Callable[[str], Sequence[float]]


class Scripted:
    """A backend made of pure functions of the prompt's text. Loads no model.

    Parameters
    ----------
    score
        (text, options) -> one probability per option, >= 0 and summing to at most 1; their sum is
        the coverage. With `log_scores` natural logarithms instead. It may return a `Scored`, to act
        out a failure.
    generate
        (text, constraint, seed) -> a text, or a `Generation`. A text of more than `max_tokens`
        words is cut and `truncated`.
    embed
        text -> a vector, not zero; its length becomes 1.
    name, version
        Identity, part of every ledger key: raise the version when a function changes.
    n_ctx
        Most words of a prompt; a longer one is the failure `context_overflow`. None for no bound.
    log_scores
        Whether `score` returns logarithms.

    Raises
    ------
    BackendError
        A function that was not given is asked for, or one returns the wrong shape.

    Notes
    -----
    A token is a word here.

    Examples
    --------
    >>> from abm.questions import Prompt
    >>> keen = Scripted(score=lambda text, options: [0.9, 0.1] if "parks" in text else [0.5, 0.5])
    >>> keen.score([Prompt.plain("More parks?")], [["yes", "no"]])[0].scores
    (-0.10536051565782628, -2.3025850929940455)
    """

    def __init__(
        self,
        score: Score | None = None,
        generate: Write | None = None,
        embed: Embed | None = None,
        *,
        name: str = "scripted",
        version: int = 1,
        n_ctx: int | None = None,
        log_scores: bool = False,
    ) -> None:
        self._score, self._generate, self._embed = score, generate, embed
        self.name, self.version, self.n_ctx, self.log_scores = name, version, n_ctx, log_scores
        functions = [getattr(f, "__qualname__", type(f).__name__) for f in (score, generate, embed)]
        self.fingerprint = f"scripted:{name}:{version};n_ctx={n_ctx};functions={functions}"

    @property
    def info(self) -> dict[str, Any]:
        """What a manifest says about this backend; plain values."""
        return {"backend": "scripted", "name": self.name, "fingerprint": self.fingerprint}

    def score(self, prompts: Sequence[Prompt], options: Sequence[Sequence[str]]) -> list[Scored]:
        """Score each prompt's own menu."""
        function = self._given(self._score, "score")
        return [
            self._over(prompt) or self._scored(function(prompt.text, tuple(menu)), prompt, menu)
            for prompt, menu in zip(prompts, options, strict=True)
        ]

    def _scored(
        self, values: Sequence[float] | Scored, prompt: Prompt, menu: Sequence[str]
    ) -> Scored:
        if isinstance(values, Scored):
            return values
        given = [float(value) for value in values]
        weights = [math.exp(value) for value in given] if self.log_scores else given
        total = math.fsum(weights)
        require(
            len(given) == len(menu) and min(weights) >= 0 and total <= 1 + 1e-9,
            BackendError,
            f"score function of {self.name!r} gave {given} for the options {tuple(menu)}, expected "
            "one probability per option, >= 0 and with a sum of at most 1 "
            "(log_scores=True declares logarithms)",
        )
        scores = given if self.log_scores else [_log(value) for value in given]
        n_out = sum(_count(option) + 1 for option in menu)
        return Scored(tuple(scores), min(1.0, total), _count(prompt.text), n_out)

    def generate(
        self, prompts: Sequence[Prompt], constraints: Sequence[TextConstraint], seeds: Sequence[int]
    ) -> list[Generation]:
        """One text per prompt under its constraint and its own seed."""
        function = self._given(self._generate, "generate")
        made = []
        for prompt, constraint, seed in zip(prompts, constraints, seeds, strict=True):
            over = self._over(prompt)
            if over is not None:
                made.append(Generation(None, over.tokens_in, 0, over.status, over.detail))
            else:
                text = function(prompt.text, constraint, int(seed))
                made.append(_generated(text, prompt, constraint))
        return made

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors, shape (n_texts, n_dimensions)."""
        function = self._given(self._embed, "embed")
        vectors = np.array([function(text) for text in texts], dtype=np.float64)
        if not len(texts):
            return np.zeros((0, 0), dtype=np.float32)
        norms = np.sqrt((vectors * vectors).sum(axis=1, keepdims=True))
        require(
            bool((norms > 0).all()),
            BackendError,
            f"embed function of {self.name!r} gave a vector of length zero",
        )
        result: NDArray[np.float32] = (vectors / norms).astype(np.float32)
        return result

    def as_sent(self, prompt: Prompt) -> tuple[str, tuple[int, ...]]:
        """The prompt's text, and the number of each word in order of first appearance."""
        seen: dict[str, int] = {}
        words = prompt.text.split()
        return prompt.text, tuple(seen.setdefault(word, len(seen)) for word in words)

    def _over(self, prompt: Prompt) -> Scored | None:
        n_words = _count(prompt.text)
        if self.n_ctx is None or n_words <= self.n_ctx:
            return None
        detail = f"the prompt has {n_words} words and the context holds {self.n_ctx}"
        return Scored(None, None, n_words, 0, Status.CONTEXT_OVERFLOW, detail)

    def _given(self, function: Any, what: str) -> Any:
        require(
            function is not None,
            BackendError,
            f"backend {self.name!r} was given no function for {what}; "
            f"pass Scripted({what}=function)",
        )
        return function

    def __repr__(self) -> str:
        return f"Scripted({self.name!r}, version={self.version})"


def _generated(text: Any, prompt: Prompt, constraint: TextConstraint) -> Generation:
    if isinstance(text, Generation):
        return text
    words = str(text).split(" ")
    limit = constraint.max_tokens
    if len(words) <= limit:
        return Generation(str(text), _count(prompt.text), len(words))
    cut = " ".join(words[:limit])
    detail = f"no end of the turn within {limit} words"
    return Generation(cut, _count(prompt.text), limit, Status.TRUNCATED, detail)


def _count(text: str) -> int:
    return len(text.split())


def _log(value: float) -> float:
    return math.log(value) if value > 0 else -math.inf
