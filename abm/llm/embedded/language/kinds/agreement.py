"""Agreement with a statement on 2, 5 and 7 points: an ordered logit on the leaning."""

from __future__ import annotations

import itertools
import math

from abm.llm.embedded.language.kind import Kind
from abm.llm.embedded.language.leaning import leaning
from abm.llm.embedded.language.situation import Situation

__all__ = ["KINDS", "SPREAD", "ordered_logit"]

SPREAD = 0.25


def ordered_logit(place: float, points: int, spread: float = SPREAD) -> list[float]:
    """Log-probabilities of 1 to `points`: P(y <= k) = logistic((c_k - place) / spread).

    The cut points c_k = (2 k - points) / points divide [-1, 1] evenly.

    Examples
    --------
    >>> [round(math.exp(score), 3) for score in ordered_logit(0.0, 2)]
    [0.5, 0.5]
    """
    below = [0.0]
    for k in range(1, points):
        cut = (2 * k - points) / points
        below.append(1 / (1 + math.exp(-(cut - place) / spread)))
    below.append(1.0)
    return [math.log(max(b - a, 1e-12)) for a, b in itertools.pairwise(below)]


def _rule(situation: Situation) -> list[float]:
    assert situation.options is not None
    return ordered_logit(leaning(situation), len(situation.options))


INTROS = (
    "How much do you agree with this statement?",
    "Here is a statement.",
    "What do you think of this?",
    "People discuss this idea:",
    "Please tell us what you think about this statement.",
)
ASKS = ("Answer:", "Your answer:")


def _scale(points: int, weight: float) -> Kind:
    return Kind(
        name=f"agreement{points}",
        intros=INTROS,
        instructions=(
            f"Answer with a number from 1 (strongly disagree) to {points} (strongly agree).",
            f"Choose from 1 to {points}, where 1 is strongly disagree and {points} is strongly "
            "agree.",
            f"On a scale from 1 (strongly disagree) to {points} (strongly agree), what is your "
            "answer?",
        ),
        asks=ASKS,
        menus={str(points): tuple(str(k) for k in range(1, points + 1))},
        rule=_rule,
        weight=weight,
    )


KINDS = (
    Kind(
        name="agreement2",
        intros=INTROS,
        instructions=(
            "Answer with one word: disagree or agree.",
            "Do you agree or disagree?",
            "Choose one: disagree, agree.",
        ),
        asks=ASKS,
        menus={"2": ("disagree", "agree")},
        rule=_rule,
        weight=1.3,
    ),
    _scale(5, 2.0),
    _scale(7, 3.2),
)
