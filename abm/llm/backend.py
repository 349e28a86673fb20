"""The backend protocol: what a language model must do for a society.

Retry, cache and record are objects of the same type around a backend.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from abm.questions import Kind, Prompt, Status, TextConstraint

__all__ = ["Backend", "Generation", "Scored"]


@dataclass(frozen=True, slots=True)
class Scored:
    """Log-probabilities of a menu after a prompt.

    Attributes
    ----------
    scores
        log P(the option's tokens and the end of the turn | prompt) per option; `None` on failure.
    coverage
        Sum of their probabilities: the mass the model gives to the menu at all.
    tokens_in, tokens_out
        Tokens of the prompt and of all options (turn ends included), as if nothing was cached.
    kind
        `exact`, or `sampled` where a server gave no probabilities.
    """

    scores: tuple[float, ...] | None
    coverage: float | None = None
    tokens_in: int = 0
    tokens_out: int = 0
    status: Status = Status.OK
    detail: str = ""
    kind: Kind = Kind.EXACT


@dataclass(frozen=True, slots=True)
class Generation:
    """A generated text."""

    text: str | None
    tokens_in: int = 0
    tokens_out: int = 0
    status: Status = Status.OK
    detail: str = ""


@runtime_checkable
class Backend(Protocol):
    """Scores options, generates texts, embeds texts. Batched; answers come in order.

    A failure of one prompt (`context_overflow`, `truncated`, ...) is the status of its answer and
    touches no other. An exception means that the backend as a whole is unusable.
    """

    @property
    def fingerprint(self) -> str:
        """File hash, quantisation, chat template, build, mode; enters every ledger key."""
        ...

    def score(
        self, prompts: Sequence[Prompt], options: Sequence[Sequence[str]]
    ) -> Sequence[Scored]:
        """Score each prompt's own menu."""
        ...

    def generate(
        self, prompts: Sequence[Prompt], constraints: Sequence[TextConstraint], seeds: Sequence[int]
    ) -> Sequence[Generation]:
        """One text per prompt under its constraint and its own seed (0 <= seed < 2**32)."""
        ...

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors, shape (n_texts, n_dimensions)."""
        ...

    def as_sent(self, prompt: Prompt) -> tuple[str, tuple[int, ...]]:
        """The prompt exactly as sent (chat template applied) and its token ids."""
        ...
