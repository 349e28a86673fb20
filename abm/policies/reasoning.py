"""A language model that writes down what it thinks before it chooses.

The thoughts are one text per request, drawn with a seed that the request itself gives, so that
equal requests get equal answers. The choice is then scored after prompt and thoughts: its
distribution is conditional on these thoughts, and its answer says so (`conditional`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from abm.errors import PolicyError, require
from abm.policies.coverage import DEFAULT_FLOOR
from abm.policies.llm import LLMPolicy
from abm.questions import Answer, Kind, Prompt, Request, TextConstraint

if TYPE_CHECKING:
    from abm.llm.backend import Backend, Generation

__all__ = ["ReasoningPolicy"]

_LAYOUT = "reasoning-layout:1"
_BEFORE = "\nFirst write down briefly what speaks for which answer.\nThoughts:"
_AFTER = "\nAnswer:"


class ReasoningPolicy(LLMPolicy):
    """Asks a language model for thoughts, then scores the options after them.

    Parameters
    ----------
    backend
        Generates the thoughts and scores the options.
    budget
        Most tokens of thoughts, >= 1; longer ones are cut off there and used as they are.
    coverage_floor, name
        As for `LLMPolicy`.

    Raises
    ------
    PolicyError
        The budget is no whole number >= 1.

    Examples
    --------
    >>> from abm.llm import Scripted
    >>> from abm.questions import Question
    >>> def sure(text, options):
    ...     return [0.9, 0.1] if "Thoughts: noise" in text else [0.5, 0.5]
    >>> thinker = ReasoningPolicy(Scripted(score=sure, generate=lambda *_: "noise"), budget=20)
    >>> answer, = thinker.answer([Question("ban", 1, "Ban cars?", ("yes", "no")).request({})])
    >>> round(answer.scores[0], 3), str(answer.kind)
    (-0.105, 'conditional')
    """

    def __init__(
        self,
        backend: Backend,
        *,
        budget: int,
        coverage_floor: float = DEFAULT_FLOOR,
        name: str | None = None,
    ) -> None:
        super().__init__(backend, coverage_floor=coverage_floor, name=name)
        whole = isinstance(budget, int) and not isinstance(budget, bool) and budget >= 1
        require(
            whole, PolicyError, f"reasoning budget = {budget!r}, expected a number of tokens >= 1"
        )
        self.budget = budget

    @property
    def fingerprint(self) -> str:
        return f"{super().fingerprint}|{_LAYOUT};budget={self.budget}"

    def as_sent(self, request: Request) -> tuple[str, tuple[int, ...]]:
        """The prompt for the thoughts (of a text: the prompt itself) as sent, and its tokens."""
        if request.question.text is not None:
            return super().as_sent(request)
        return self.backend.as_sent(_extended(request.prompt, (_BEFORE, True)))

    def _choices(self, requests: list[Request]) -> list[Answer]:
        if not requests:
            return []
        distinct = list(dict.fromkeys(requests))
        constraint = TextConstraint(self.budget)
        thought = self.backend.generate(
            [_extended(request.prompt, (_BEFORE, True)) for request in distinct],
            [constraint] * len(distinct),
            [int(request.key[:8], 16) for request in distinct],
        )
        found = {
            request: self._from_generation(made)
            for request, made in zip(distinct, thought, strict=True)
            if made.text is None
        }
        thinking = [
            (request, made)
            for request, made in zip(distinct, thought, strict=True)
            if made.text is not None
        ]
        found.update(zip((r for r, _ in thinking), self._chosen(thinking), strict=True))
        return [found[request] for request in requests]

    def _chosen(self, thinking: list[tuple[Request, Generation]]) -> list[Answer]:
        if not thinking:
            return []
        prompts = [
            _extended(request.prompt, (_BEFORE, True), (f" {made.text}", False), (_AFTER, True))
            for request, made in thinking
        ]
        menus = [request.question.options or () for request, _ in thinking]
        scored = map(self._from_scored, self.backend.score(prompts, menus))
        return [
            replace(
                answer,
                kind=Kind.CONDITIONAL if answer.kind is Kind.EXACT else answer.kind,
                tokens_in=answer.tokens_in + made.tokens_in,
                tokens_out=answer.tokens_out + made.tokens_out,
            )
            for answer, (_, made) in zip(scored, thinking, strict=True)
        ]


def _extended(prompt: Prompt, *pieces: tuple[str, bool]) -> Prompt:
    """The prompt with a further block; thoughts are text and never control tokens."""
    from abm.questions.template import Segment

    return Prompt((*prompt.blocks, tuple(Segment(text, trusted) for text, trusted in pieces)))
