"""Offering a part of a sum to somebody else: a number from a list."""

from __future__ import annotations

from abm.llm.embedded.language.kind import Kind
from abm.llm.embedded.language.kinds.harvest import MENUS, around, menu_instructions
from abm.llm.embedded.language.leaning import AGREEABLE, leaning, trait
from abm.llm.embedded.language.situation import Situation

__all__ = ["KINDS", "scene"]


def scene(friend: bool = False) -> str:
    """Whether the other is a friend or a stranger."""
    return f"The other player is a {'friend' if friend else 'stranger'}.\n"


def _rule(situation: Situation) -> list[float]:
    assert situation.options is not None
    target = 0.35 + 0.15 * situation.scene["friend"] + 0.25 * leaning(situation)
    target += 0.08 * trait(situation.persona, AGREEABLE)
    return around(min(max(target, 0.0), 1.0), len(situation.options))


KINDS = (
    Kind(
        name="offer",
        intros=(
            "You have coins and can give some to another player. How many do you offer?",
            "You split coins with another player, who can refuse. How many do you offer?",
            "Another player gets what you offer. How many coins is it?",
            "How many of your coins do you offer to another player?",
            "You can offer coins to another player. How many do you give?",
        ),
        instructions=menu_instructions,
        asks=("Answer:", "Your choice:"),
        menus=MENUS,
        rule=_rule,
        content="",
        topic="equal shares",
        friends="split evenly",
        scenes={scene(friend)[:-1]: {"friend": friend} for friend in (False, True)},
        scene_required=True,
        weight=1.3,
    ),
)
