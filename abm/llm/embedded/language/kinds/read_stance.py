"""Reading the stance of a post: nearly certain, with a little mass on the neighbouring steps."""

from __future__ import annotations

from abm.llm.embedded.language.kind import Kind
from abm.llm.embedded.language.posts import parse_post
from abm.llm.embedded.language.situation import Situation

__all__ = ["KINDS"]

SHARPNESS = 4.0


def _rule(situation: Situation) -> list[float]:
    post = parse_post(situation.post)
    assert post is not None
    assert situation.options is not None
    if len(situation.options) == 3:
        places, true = (-1, 0, 1), (post.stance > 0) - (post.stance < 0)
    else:
        places, true = (-2, -1, 0, 1, 2), post.stance  # type: ignore[assignment]
    return [-SHARPNESS * abs(place - true) for place in places]


INTROS = (
    "What stance does the author of this post take?",
    "Someone wrote this post. What does the author think?",
    "Read this post. Is its author for or against the idea?",
    "Here is a post. How does its author see the matter?",
    "Please read this post. What does its author think about the idea?",
)


def _kind(points: int, instructions: tuple[str, ...], options: tuple[str, ...]) -> Kind:
    return Kind(
        name=f"read_stance{points}",
        intros=INTROS,
        instructions=instructions,
        asks=("Answer:", "Your answer:"),
        menus={str(points): options},
        rule=_rule,
        content="post",
        parts=frozenset(),
        weight=0.35,
    )


KINDS = (
    _kind(
        3,
        (
            "Answer with one word: against, neutral or for.",
            "Choose one: against, neutral, for.",
            "Is it against, neutral or for?",
        ),
        ("against", "neutral", "for"),
    ),
    _kind(
        5,
        (
            "Answer with a number from 1 (strongly against) to 5 (strongly for).",
            "Choose from 1 to 5, where 1 is strongly against and 5 is strongly for.",
            "On a scale from 1 (strongly against) to 5 (strongly for), what is your answer?",
        ),
        ("1", "2", "3", "4", "5"),
    ),
)
