"""Sharing a post: likelier when the post says what one thinks, and says it strongly."""

from __future__ import annotations

from abm.llm.embedded.language.kind import Kind
from abm.llm.embedded.language.kinds.vote import YES_NO, yes_no_instructions
from abm.llm.embedded.language.leaning import OUTGOING, base, trait
from abm.llm.embedded.language.posts import parse_post
from abm.llm.embedded.language.situation import Situation

__all__ = ["KINDS"]


def _rule(situation: Situation) -> list[float]:
    post = parse_post(situation.post)
    assert post is not None
    strength = post.stance / 2
    score = -0.8 + 2.0 * base(situation) * strength + 0.6 * abs(strength)
    score += 0.5 * trait(situation.persona, OUTGOING)
    if situation.friends is not None:
        score += 0.8 * (situation.friends / 5 - 1)
    return [score, 0.0]


KINDS = (
    Kind(
        name="share",
        intros=(
            "You see this post. Do you share it?",
            "Would you share this post with your friends?",
            "Someone wrote this post. Do you pass it on?",
            "This post is on your screen. Do you share it with others?",
            "Here is a post that you can share. Do you?",
        ),
        instructions=yes_no_instructions,
        asks=("Answer:", "Your answer:"),
        menus=YES_NO,
        rule=_rule,
        content="post",
        parts=frozenset({"persona", "view", "friends"}),
        friends="have shared it",
        weight=2.6,
    ),
)
