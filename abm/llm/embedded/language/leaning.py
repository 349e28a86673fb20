"""The generating rule that all kinds share: how far somebody leans towards a topic, on [-1, 1].

docs/embedded_model.md writes it as formulas. Everything is linear but for the two susceptibilities.
"""

from __future__ import annotations

from abm.llm.embedded.language.context import posts_on
from abm.llm.embedded.language.personas import Persona
from abm.llm.embedded.language.situation import Situation
from abm.llm.embedded.language.topics import TOPICS, Topic

__all__ = ["base", "leaning", "prior", "trait"]

OPENNESS, CARE, OUTGOING, AGREEABLE, ANXIETY = range(5)


def trait(persona: Persona, dimension: int) -> int:
    """+1, -1, or 0 where the prompt does not say."""
    return persona.traits[dimension]


def left_right(persona: Persona) -> float:
    """Place from -1 (left) to 1 (right): 0.6 ideology + 0.4 party, or the one that is known."""
    ideology = None if persona.ideology is None else (persona.ideology - 4) / 3
    party = None if persona.party is None else (persona.party - 3) / 3
    if ideology is not None and party is not None:
        return 0.6 * ideology + 0.4 * party
    return ideology if ideology is not None else party if party is not None else 0.0


def prior(persona: Persona, topic: Topic) -> float:
    """Leaning that follows from who somebody is."""
    age = 0.0 if persona.age is None else (persona.age - 50) / 40
    education = 0.0 if persona.education is None else (persona.education - 4) / 3
    income = 0.0 if persona.income is None else (persona.income - 12.5) / 11.5
    return 0.8 * topic.left_right * left_right(persona) + 0.25 * (
        topic.age * age + topic.education * education + topic.income * income
    )


def base(situation: Situation) -> float:
    """Leaning before anything was read: mostly the own present view where it is known."""
    before = prior(situation.persona, TOPICS[situation.topic])
    if situation.view is None:
        return before
    return 0.85 * (situation.view - 4) / 3 + 0.15 * before


def leaning(situation: Situation) -> float:
    """Leaning after reading posts and seeing what friends do.

    Both pull towards themselves: by 0.10 + 0.06 n for n posts, times 1.5 for the open-minded and
    0.5 for the set in their ways, times 1.2 - 0.06 per day of TV news where it is known; by 0.15
    for friends, times 1.5 for the agreeable and 0.5 for the stubborn.
    """
    start = base(situation)
    moved = start
    stances = posts_on(situation.topic, situation.posts)
    if stances:
        weight = (0.10 + 0.06 * len(stances)) * (1 + 0.5 * trait(situation.persona, OPENNESS))
        if situation.persona.tv_news is not None:
            weight *= 1.2 - 0.06 * situation.persona.tv_news
        moved += weight * (sum(stances) / (2 * len(stances)) - start)
    if situation.friends is not None:
        weight = 0.15 * (1 + 0.5 * trait(situation.persona, AGREEABLE))
        moved += weight * (situation.friends / 5 - 1 - start)
    return moved
