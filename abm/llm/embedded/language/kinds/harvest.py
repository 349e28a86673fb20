"""Taking from a common lake: a number from a list, around a target share of its largest number."""

from __future__ import annotations

from collections.abc import Mapping

from abm.llm.embedded.language.kind import Kind
from abm.llm.embedded.language.leaning import CARE, leaning, trait
from abm.llm.embedded.language.situation import Situation

__all__ = ["KINDS", "MENUS", "around", "menu_instructions", "scene"]


def _menu(top: int, step: int) -> tuple[str, ...]:
    return tuple(str(number) for number in range(0, top + 1, step))


_LISTS = (_menu(10, 1), _menu(10, 2), _menu(20, 5), _menu(100, 10), _menu(100, 25), _menu(60, 10))
# How a menu is said -> its options; shared by all kinds that pick a number.
MENUS: Mapping[str, tuple[str, ...]] = {", ".join(options): options for options in _LISTS}
menu_instructions = (
    "Answer with one of these numbers: {menu}.",
    "Choose one: {menu}.",
    "Your choice is one of {menu}.",
)


def around(target: float, n_options: int, width: float = 0.2) -> list[float]:
    """Log-scores of a discretised normal around `target`, on options spread evenly over [0, 1].

    Examples
    --------
    >>> around(0.5, 3).index(max(around(0.5, 3)))
    1
    """
    places = (i / (n_options - 1) for i in range(n_options))
    return [-0.5 * ((place - target) / width) ** 2 for place in places]


def scene(stock: float) -> str:
    """How full the lake is, in [0, 1], to the nearest tenth."""
    tenths = round(10 * stock)
    words = {0: "empty", 10: "full"}.get(tenths, f"about {10 * tenths} % full")
    return f"The lake is {words}.\n"


def _rule(situation: Situation) -> list[float]:
    assert situation.options is not None
    target = 0.2 + 0.5 * situation.scene["stock"] - 0.3 * leaning(situation)
    target -= 0.08 * trait(situation.persona, CARE)
    return around(min(max(target, 0.0), 1.0), len(situation.options))


KINDS = (
    Kind(
        name="harvest",
        intros=(
            "You share a lake with others. How much fish do you take?",
            "Many people fish in your lake. How much fish do you take this year?",
            "You fish in a lake that belongs to all. How much do you take?",
            "The lake feeds everybody in town. How much fish will you take?",
            "You and others take fish from one lake. How much do you take this year?",
        ),
        instructions=menu_instructions,
        asks=("Answer:", "Your choice:"),
        menus=MENUS,
        rule=_rule,
        content="",
        topic="catch limits",
        friends="hold back",
        scenes={scene(tenths / 10)[:-1]: {"stock": tenths / 10} for tenths in range(11)},
        scene_required=True,
        weight=1.5,
    ),
)
