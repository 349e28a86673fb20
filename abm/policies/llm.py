"""Language models as policies: a backend and the prompt of the question."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from abm.policies.coverage import DEFAULT_FLOOR, check_floor, judged
from abm.questions import Answer, Request
from abm.rng import child_key

if TYPE_CHECKING:  # the engine reaches this package and knows nothing of abm.llm
    from abm.llm.backend import Backend, Generation, Scored

__all__ = ["LLMPolicy", "text_seed"]

_LAYOUT = "prompt-layout:1"


class LLMPolicy:
    """Asks a language model: options are scored, texts are generated.

    Parameters
    ----------
    backend
        Scores options and generates texts.
    coverage_floor
        Least probability mass that the model must give to the menu, in [0, 1]. Below it the answer
        is `off_menu` and keeps its scores. The floor is a judgement: it is in no ledger key.
    name
        For reports; `llm` by default.

    Attributes
    ----------
    fingerprint
        Fingerprint of the backend and version of the prompt layout.

    Examples
    --------
    >>> from abm.llm.backend import Scored
    >>> from abm.questions import Question
    >>> class Fair:
    ...     fingerprint = "fair"
    ...     def score(self, prompts, options):
    ...         return [Scored((-0.7,) * len(menu), 0.99, 9, 2) for menu in options]
    >>> ban = Question("ban", 1, "Ban cars?", ("yes", "no"))
    >>> LLMPolicy(Fair()).answer([ban.request({})])[0].scores
    (-0.7, -0.7)
    """

    recorded = True

    def __init__(
        self, backend: Backend, *, coverage_floor: float = DEFAULT_FLOOR, name: str | None = None
    ) -> None:
        self.backend, self.name = backend, name or "llm"
        self.coverage_floor = check_floor(coverage_floor)

    @property
    def fingerprint(self) -> str:
        return f"{self.backend.fingerprint}|{_LAYOUT}"

    def __repr__(self) -> str:
        return f"LLMPolicy({self.fingerprint!r}, coverage_floor={self.coverage_floor})"

    def answer(self, requests: Sequence[Request]) -> list[Answer]:
        """One answer per request, in order; choices and texts in one batch each."""
        choices = [row for row, request in enumerate(requests) if request.question.options]
        texts = [row for row, request in enumerate(requests) if request.question.text]
        found = dict(zip(choices, self._choices([requests[row] for row in choices]), strict=True))
        found.update(zip(texts, self._texts([requests[row] for row in texts]), strict=True))
        return [found[row] for row in range(len(requests))]

    def as_sent(self, request: Request) -> tuple[str, tuple[int, ...]]:
        """The prompt exactly as sent and its token ids."""
        return self.backend.as_sent(request.prompt)

    def prompt_tokens(self, request: Request) -> int:
        """Notional cost of a request in prompt tokens, for the budget of a `Router`."""
        return len(self.as_sent(request)[1])

    def _choices(self, requests: list[Request]) -> list[Answer]:
        if not requests:
            return []
        asked = [(request.prompt, request.question.options or ()) for request in requests]
        distinct = list(dict.fromkeys(asked))  # fields that the template does not show
        prompts, menus = zip(*distinct, strict=True)
        scored = map(self._from_scored, self.backend.score(prompts, menus))
        found = dict(zip(distinct, scored, strict=True))
        return [found[one] for one in asked]

    def _texts(self, requests: list[Request]) -> list[Answer]:
        if not requests:
            return []
        prompts = [request.prompt for request in requests]
        constraints = [r.question.text for r in requests if r.question.text is not None]
        seeds = [text_seed(request) for request in requests]
        made = self.backend.generate(prompts, constraints, seeds)
        return [self._from_generation(generation) for generation in made]

    def _from_scored(self, scored: Scored) -> Answer:
        scores = None if scored.scores is None else tuple(map(float, scored.scores))
        answer = Answer(
            status=scored.status,
            scores=scores,
            coverage=None
            if scored.coverage is None
            else min(1.0, max(0.0, float(scored.coverage))),
            kind=scored.kind,
            tokens_in=scored.tokens_in,
            tokens_out=scored.tokens_out,
            source=self.fingerprint,
            detail=scored.detail,
        )
        return judged(answer, self.coverage_floor)

    def _from_generation(self, made: Generation) -> Answer:
        return Answer(
            status=made.status,
            text=made.text,
            tokens_in=made.tokens_in,
            tokens_out=made.tokens_out,
            source=self.fingerprint,
            detail=made.detail,
        )


def text_seed(request: Request) -> int:
    """Seed of a text in [0, 2**32): the request's own, and another for each retry.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from abm.questions import Question, TextConstraint
    >>> post = Question("post", 1, "Write.", text=TextConstraint(9))
    >>> first = post.request({}, seed=5)
    >>> text_seed(first), text_seed(replace(first, attempt=1)) != 5
    (5, True)
    """
    seed = request.seed or 0
    return seed % 2**32 if request.attempt == 0 else child_key(seed, request.attempt) % 2**32
