"""Writing a one-sentence post: the own or the given stance, and an own or a given reason.

It is the one kind that is answered with a text, so it has no menu and its rule gives no scores:
`abm.llm.embedded.language.posts.compose` with a uniformly drawn variant is its generating rule.
"""

from __future__ import annotations

from abm.errors import QuestionError
from abm.llm.embedded.language.kind import Kind
from abm.llm.embedded.language.situation import Situation

__all__ = ["KINDS"]


def _rule(situation: Situation) -> list[float]:
    raise QuestionError(f"{situation.kind} is answered with a text and has no scores")


KINDS = (
    Kind(
        name="write_post",
        intros=(
            "Write a post about this statement.",
            "Write to your friends about this idea:",
            "Tell people what you think of this.",
            "You want to post about this statement:",
            "Please write a post about this idea.",
        ),
        instructions=(
            "Use one sentence with your stance and a reason.",
            "In one sentence, say what you think and why.",
            "Write one sentence and give a reason.",
        ),
        asks=("Post:", "Your post:"),
        menus={},
        rule=_rule,
        weight=1.5,
    ),
)
