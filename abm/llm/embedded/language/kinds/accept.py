"""Accepting an offered part of a sum: the size of the offer against what one thinks fair."""

from __future__ import annotations

from abm.llm.embedded.language.kind import Kind
from abm.llm.embedded.language.kinds.vote import YES_NO, yes_no_instructions
from abm.llm.embedded.language.leaning import AGREEABLE, leaning, trait
from abm.llm.embedded.language.situation import Situation

__all__ = ["KINDS", "scene"]


def scene(offer: float) -> str:
    """An offer out of 100, to the nearest multiple of 5."""
    return f"You are offered {5 * round(offer / 5)} of 100 coins.\n"


def _rule(situation: Situation) -> list[float]:
    score = 8.0 * (situation.scene["offer"] / 100 - 0.3) - 1.5 * leaning(situation)
    return [score + 0.5 * trait(situation.persona, AGREEABLE), 0.0]


KINDS = (
    Kind(
        name="accept",
        intros=(
            "Someone offers you a part of 100 coins. If you refuse, nobody gets any. Do you "
            "accept?",
            "You get an offer. If you say no, nobody gets any coins. Do you accept it?",
            "Another player splits 100 coins with you. Without your yes nobody gets any. Do you "
            "accept?",
            "You can take this offer, or refuse and nobody gets any coins. Do you take it?",
            "You get a part of 100 coins if you accept. Do you?",
        ),
        instructions=yes_no_instructions,
        asks=("Answer:", "Your choice:"),
        menus=YES_NO,
        rule=_rule,
        content="",
        topic="equal shares",
        friends="would refuse",
        scenes={scene(offer)[:-1]: {"offer": offer} for offer in range(0, 101, 5)},
        scene_required=True,
        weight=0.5,
    ),
)
