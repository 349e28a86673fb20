"""Staying at home during an epidemic: leaning, illness around, own illness, anxiety."""

from __future__ import annotations

from abm.llm.embedded.language.context import quantity
from abm.llm.embedded.language.kind import Kind
from abm.llm.embedded.language.kinds.vote import YES_NO, yes_no_instructions
from abm.llm.embedded.language.leaning import ANXIETY, leaning, trait
from abm.llm.embedded.language.situation import Situation

__all__ = ["KINDS", "scene"]


def scene(ill: float, unwell: bool = False) -> str:
    """Share of the people around who are ill, in [0, 1], and whether one feels unwell oneself."""
    start = quantity(round(10 * ill), "of the people near you are ill.")
    return f"{start} You feel {'unwell' if unwell else 'well'}.\n"


def _rule(situation: Situation) -> list[float]:
    score = -0.8 + 2.0 * leaning(situation) + 2.5 * situation.scene["ill"]
    score += 1.5 * situation.scene["unwell"] + 0.6 * trait(situation.persona, ANXIETY)
    return [score, 0.0]


KINDS = (
    Kind(
        name="isolate",
        intros=(
            "A disease is spreading. Do you stay at home today?",
            "There is a disease in town. Do you stay at home?",
            "People fall ill in your town. Will you stay at home today?",
            "A disease goes around. Do you keep away from others today?",
            "Many people are ill these days. Do you stay at home?",
        ),
        instructions=yes_no_instructions,
        asks=("Answer:", "Your choice:"),
        menus=YES_NO,
        rule=_rule,
        content="",
        topic="staying home when ill",
        friends="stay at home",
        scenes={
            scene(ill / 10, unwell)[:-1]: {"ill": ill / 10, "unwell": unwell}
            for ill in range(11)
            for unwell in (False, True)
        },
        scene_required=True,
        weight=0.5,
    ),
)
