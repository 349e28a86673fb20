"""Cooperating with a partner: leaning, what the partner did last, agreeableness."""

from __future__ import annotations

from abm.llm.embedded.language.kind import Kind
from abm.llm.embedded.language.kinds.vote import YES_NO, yes_no_instructions
from abm.llm.embedded.language.leaning import AGREEABLE, leaning, trait
from abm.llm.embedded.language.situation import Situation

__all__ = ["KINDS", "scene"]


def scene(partner: bool | None = None) -> str:
    """Whether the partner cooperated last time; `None` for a first meeting."""
    if partner is None:
        return "You meet for the first time.\n"
    return f"Last time your partner {'cooperated' if partner else 'did not cooperate'}.\n"


def _rule(situation: Situation) -> list[float]:
    partner = situation.scene.get("partner")
    score = 0.2 + 2.5 * leaning(situation) + 0.5 * trait(situation.persona, AGREEABLE)
    if partner is not None:
        score += 0.9 if partner else -0.9
    return [score, 0.0]


KINDS = (
    Kind(
        name="cooperate",
        intros=(
            "You play a game with a partner. Do you cooperate?",
            "You and a partner can help each other. Do you cooperate?",
            "A partner counts on you in a game. Will you cooperate?",
            "In this game you can help your partner or look after yourself. Do you help?",
            "You and a partner play a game. Will you help?",
        ),
        instructions=yes_no_instructions,
        asks=("Answer:", "Your choice:"),
        menus=YES_NO,
        rule=_rule,
        content="",
        topic="working together",
        friends="cooperate",
        scenes={scene(partner)[:-1]: {"partner": partner} for partner in (None, True, False)},
        weight=0.5,
    ),
)
