"""The rule behind the synthetic language, as a policy: the exact answers.

It reads the same prompt that the embedded model gets and answers with the distribution that the
model was trained towards. Whatever the language-model path, a surrogate or a calibration finds with
the embedded model can therefore be held against a known truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import numpy as np

from abm.llm.embedded.label import LABEL
from abm.llm.embedded.language.grammar import parse
from abm.llm.embedded.language.kinds import KINDS
from abm.llm.embedded.language.sampling import written
from abm.llm.embedded.language.situation import Situation
from abm.llm.embedded.language.version import VERSION
from abm.questions import Answer, Request, Status, distribution

__all__ = ["Truth", "fits", "log_probabilities", "truth"]

OUTSIDE = (
    "the prompt is outside the language of the embedded model; ask one of the questions of "
    "abm.llm.embedded.questions(), or name a real GGUF"
)


def fits(situation: Situation | None, options: Sequence[str] | None) -> bool:
    """Whether a parsed prompt asks for exactly these options, in any order."""
    if situation is None:
        return False
    if situation.options is None or options is None:
        return situation.options is None and options is None
    return sorted(situation.options) == sorted(options)


def log_probabilities(situation: Situation) -> dict[str, float]:
    """Option -> log-probability under the generating rule.

    Examples
    --------
    >>> from abm.llm.embedded.language import Situation
    >>> found = log_probabilities(Situation("vote", "free buses", ("yes", "no")))
    >>> round(found["yes"], 6) == round(found["no"], 6)
    True
    """
    assert situation.options is not None
    probabilities = distribution(KINDS[situation.kind].rule(situation))
    logs = np.log(np.maximum(probabilities, 1e-12))
    return dict(zip(situation.options, logs.tolist(), strict=True))


class Truth:
    """Answers by the generating rule. A prompt outside the language is `out_of_language`.

    Attributes
    ----------
    label
        Says that its answers are no evidence about people.

    Examples
    --------
    >>> from abm.llm.embedded import language, truth
    >>> question = language.agreement(7)
    >>> fields = dict.fromkeys(question.template.fields, "")
    >>> fields["statement"] = language.statement_text("free buses")
    >>> truth().answer([question.request(fields)])[0].coverage
    1.0
    """

    recorded = False
    label = LABEL
    name = "truth"

    @property
    def fingerprint(self) -> str:
        return f"embedded-truth:language={VERSION}"

    def answer(self, requests: Sequence[Request]) -> list[Answer]:
        """One answer per request, in order."""
        return [self._one(request) for request in requests]

    def _one(self, request: Request) -> Answer:
        situation = parse(request.prompt.text)
        options = request.question.options
        if situation is None or not fits(situation, options):
            return Answer.failed(Status.OUT_OF_LANGUAGE, OUTSIDE, source=self.fingerprint)
        if options is None:
            rng = Random(f"text:{request.seed}:{request.attempt}")
            return Answer(text=written(rng, situation), source=self.fingerprint)
        logs = log_probabilities(situation)
        scores = tuple(logs[option] for option in options)
        return Answer(scores=scores, coverage=1.0, source=self.fingerprint)

    def __repr__(self) -> str:
        return f"Truth({self.fingerprint!r})"


def truth() -> Truth:
    """The generating rule of the synthetic language, as a policy."""
    return Truth()
