"""Texts that are being written: each with its constraint, its grammar and its own seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from abm.llm.backend import Generation
from abm.llm.llamacpp.draw import draw_rows
from abm.llm.llamacpp.model import Model
from abm.llm.llamacpp.sample import GrammarError, Matcher, grammar_of
from abm.llm.llamacpp.tokens import Path, Tokenizer
from abm.questions import Status, TextConstraint
from abm.rng import uniforms

__all__ = ["Draft", "TextJob", "begun", "draw", "finished"]

_AHEAD = 32  # tokens whose uniform numbers are made at once


@dataclass
class TextJob:
    """One prompt with its constraint and seed."""

    index: int
    path: Path
    constraint: TextConstraint
    seed: int

    @property
    def n_prompt(self) -> int:
        return sum(map(len, self.path))


@dataclass
class Draft:
    """A text that is being written; it has ended when it has a status."""

    job: TextJob
    matcher: Matcher | None = None
    tokens: list[int] = field(default_factory=list)
    n_drawn: int = 0
    status: Status | None = None
    detail: str = ""
    _uniforms: list[float] = field(default_factory=list)

    def uniform(self, again: bool) -> float:
        """The number that the next token is drawn with, or drawn again with under a grammar."""
        at = 2 * (self.n_drawn % _AHEAD)
        if not at and not again:
            numbers = 2 * self.n_drawn + np.arange(2 * _AHEAD)
            seeds = np.full(len(numbers), self.job.seed, dtype=np.int64)
            self._uniforms = uniforms(0, "text", seeds, numbers).tolist()
        return self._uniforms[at + again]

    @property
    def position(self) -> int:
        """Where its last token lies, counted from the start of the prompt."""
        return self.job.n_prompt + len(self.tokens) - 1

    def free(self) -> None:
        """Give the memory of the grammar back."""
        if self.matcher is not None:
            self.matcher.free()
            self.matcher = None


def begun(model: Model, job: TextJob) -> Draft:
    """An empty draft, or one that has ended because its grammar cannot be read."""
    try:
        grammar = grammar_of(job.constraint)
        return Draft(job, None if grammar is None else Matcher(model, grammar))
    except GrammarError as error:
        return Draft(job, status=Status.INVALID, detail=str(error))


def draw(drafts: Sequence[Draft], logits: NDArray[np.float32], stops: frozenset[int]) -> None:
    """Draw a token for each draft, free first and then under its grammar.

    Parameters
    ----------
    logits
        Of the next token, shape (n_drafts, n_vocabulary).
    stops
        Tokens that end the turn.
    """
    u = np.array([draft.uniform(False) for draft in drafts])
    heat = np.array([draft.job.constraint.temperature for draft in drafts], dtype=np.float64)
    tokens = draw_rows(logits, heat, u).tolist()
    for row, draft in enumerate(drafts):
        token = tokens[row]
        if draft.matcher is not None:
            again = np.array([draft.uniform(True)])
            try:
                token = _allowed(draft.matcher, token, logits[row], heat[row : row + 1], again)
            except GrammarError as error:
                draft.status, draft.detail = Status.INVALID, str(error)
                continue
        _take(draft, token, stops)


def _allowed(
    matcher: Matcher,
    token: int,
    logits: NDArray[np.float32],
    temperature: NDArray[np.float64],
    u: NDArray[np.float64],
) -> int:
    """The token, if the grammar allows it; else one drawn among those that it allows.

    That is the distribution restricted to the grammar: P(t) + P(not allowed) P(t | allowed) =
    P(t | allowed). The grammar is matched against the whole vocabulary only when it must be.
    """
    if not matcher.allows(token):
        token = int(draw_rows(matcher.restrict(logits)[None, :], temperature, u)[0])
    matcher.accept(token)
    return token


def _take(draft: Draft, token: int, stops: frozenset[int]) -> None:
    """Add a drawn token to its text, or end it."""
    draft.n_drawn += 1
    if token in stops:
        draft.status = Status.OK
        return
    draft.tokens.append(token)
    if draft.n_drawn >= draft.job.constraint.max_tokens:
        draft.status = Status.TRUNCATED
        draft.detail = f"no end of the turn within {draft.n_drawn} tokens"


def finished(draft: Draft, tokenizer: Tokenizer) -> Generation:
    """The text of a draft that has ended."""
    status = draft.status or Status.OK
    text = None if status is Status.INVALID else tokenizer.text(draft.tokens).strip()
    return Generation(text, draft.job.n_prompt, draft.n_drawn, status, draft.detail)
