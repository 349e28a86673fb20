"""A backend that reads a ledger: recorded answers for prompts, without the fields behind them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from abm.errors import BackendError, ReplayMiss
from abm.ledger.store import Ledger
from abm.llm.backend import Generation, Scored
from abm.policies.llm import text_seed
from abm.questions import Answer, Prompt, TextConstraint

__all__ = ["ReplayBackend"]

_Asked = tuple[str, tuple[str, ...]] | tuple[str, TextConstraint, int]


class ReplayBackend:
    """What a language model answered, prompt by prompt, for code that wants a backend.

    To repeat a run, failures included, use `Replayed`: failures without content belong to runs and
    are unknown here.

    Parameters
    ----------
    ledger
        Read at once, all answers of the policy.
    fingerprint
        Fingerprint of the `LLMPolicy` that was recorded.

    Raises
    ------
    ReplayMiss
        A prompt with this menu, or this constraint and seed, was not recorded.
    BackendError
        Embeddings are asked for; they are not recorded.

    Examples
    --------
    >>> import tempfile
    >>> from abm.ledger import Entry
    >>> from abm.questions import Question
    >>> request = Question("q", 1, "Tea?", ("yes", "no")).request({})
    >>> with Ledger(f"{tempfile.mkdtemp()}/ledger.sqlite") as ledger:
    ...     ledger.put_batch([Entry("model|layout", request, Answer(scores=(-0.1, -2.4)))])
    ...     backend = ReplayBackend(ledger, "model|layout")
    >>> backend.score([Prompt.plain("Tea?")], [["yes", "no"]])[0].scores
    (-0.1, -2.4)
    """

    def __init__(self, ledger: Ledger, fingerprint: str) -> None:
        self.fingerprint = fingerprint.rpartition("|")[0] or fingerprint
        self._path = ledger.path
        self._answers: dict[_Asked, Answer] = {}
        for _, entry in ledger.entries(fingerprint=fingerprint):
            request, question = entry.request, entry.request.question
            text = request.prompt.text
            if question.text is not None:
                self._answers[text, question.text, text_seed(request)] = entry.answer
            else:
                self._answers[text, question.options or ()] = entry.answer

    def __repr__(self) -> str:
        return f"ReplayBackend({str(self._path)!r}, {len(self._answers)} answers)"

    def score(self, prompts: Sequence[Prompt], options: Sequence[Sequence[str]]) -> list[Scored]:
        """The recorded scores of each prompt's own menu."""
        pairs = zip(prompts, options, strict=True)
        found = [self._find((prompt.text, tuple(menu))) for prompt, menu in pairs]
        return [
            Scored(a.scores, a.coverage, a.tokens_in, a.tokens_out, a.status, a.detail, a.kind)
            for a in found
        ]

    def generate(
        self, prompts: Sequence[Prompt], constraints: Sequence[TextConstraint], seeds: Sequence[int]
    ) -> list[Generation]:
        """The recorded text of each prompt under its constraint and seed."""
        rows = zip(prompts, constraints, seeds, strict=True)
        found = [self._find((prompt.text, constraint, seed)) for prompt, constraint, seed in rows]
        return [Generation(a.text, a.tokens_in, a.tokens_out, a.status, a.detail) for a in found]

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Not recorded."""
        if len(texts) == 0:
            return np.zeros((0, 0), dtype=np.float32)
        raise BackendError(
            f"{self!r} holds answers and no embeddings; use the model itself to embed texts"
        )

    def as_sent(self, prompt: Prompt) -> tuple[str, tuple[int, ...]]:
        """The prompt before any chat template, without tokens: both need the model."""
        return prompt.text, ()

    def _find(self, asked: _Asked) -> Answer:
        return self._answers[asked] if asked in self._answers else self._miss(asked)

    def _miss(self, asked: _Asked) -> NoReturn:
        prompt, *rest = asked
        raise ReplayMiss(
            f"ledger {self._path} lacks an answer to the prompt {prompt!r} with {rest}; the code "
            "or the scenario differs from what was recorded",
            prompt=prompt,
        )
