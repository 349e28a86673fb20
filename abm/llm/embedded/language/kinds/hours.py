"""Hours of work under a tax: a number from a list."""

from __future__ import annotations

from abm.llm.embedded.language.kind import Kind
from abm.llm.embedded.language.kinds.harvest import MENUS, around, menu_instructions
from abm.llm.embedded.language.leaning import CARE, leaning, trait
from abm.llm.embedded.language.situation import Situation

__all__ = ["KINDS", "scene"]


def scene(tax: float) -> str:
    """Share of pay that is taxed away, in [0, 1], to the nearest tenth."""
    return f"You pay {10 * round(10 * tax)} % of your wages in taxes.\n"


def _rule(situation: Situation) -> list[float]:
    assert situation.options is not None
    target = 0.7 - 0.5 * situation.scene["tax"] + 0.25 * leaning(situation)
    target += 0.08 * trait(situation.persona, CARE)
    return around(min(max(target, 0.0), 1.0), len(situation.options))


KINDS = (
    Kind(
        name="hours",
        intros=(
            "You decide how many hours you work. How many do you choose?",
            "How many hours do you want to work?",
            "You can work as many hours as you like. How many do you work?",
            "Your firm lets you choose your hours. How many do you work?",
            "How long do you want to work? You can choose your hours.",
        ),
        instructions=menu_instructions,
        asks=("Answer:", "Your choice:"),
        menus=MENUS,
        rule=_rule,
        content="",
        topic="hard work",
        friends="work long hours",
        scenes={scene(tenths / 10)[:-1]: {"tax": tenths / 10} for tenths in range(11)},
        scene_required=True,
        weight=1.2,
    ),
)
