"""What the embedded model knows."""

from __future__ import annotations

from dataclasses import dataclass

from abm.llm.embedded.label import LABEL
from abm.llm.embedded.language.grammar import blocks, parse, render
from abm.llm.embedded.language.kinds import KINDS
from abm.llm.embedded.language.personas import TRAIT_PAIRS
from abm.llm.embedded.language.posts import post_text
from abm.llm.embedded.language.situation import Situation
from abm.llm.embedded.language.topics import SEEN, UNSEEN
from abm.questions import Template

__all__ = ["Catalogue", "KnownKind", "Language", "questions"]


@dataclass(frozen=True)
class KnownKind:
    """One kind of question.

    Attributes
    ----------
    name
        Name of the kind.
    menus
        The menus that it may be asked with; empty for a text.
    paraphrases
        Number of wordings.
    fields
        Fields of its template.
    example
        A short prompt.
    """

    name: str
    menus: tuple[tuple[str, ...], ...]
    paraphrases: int
    fields: tuple[str, ...]
    example: str


@dataclass(frozen=True)
class Catalogue:
    """All that the language covers. Printing it gives a readable list."""

    kinds: tuple[KnownKind, ...]
    topics: tuple[str, ...]
    unseen_topics: tuple[str, ...]
    persona: tuple[str, ...]
    label: str = LABEL

    def __str__(self) -> str:
        lines = [f"Embedded model ({self.label})", "", "Kinds of question:"]
        for kind in self.kinds:
            menus = "; ".join(", ".join(menu) for menu in kind.menus) or "a one-sentence post"
            lines.append(f"  {kind.name} ({kind.paraphrases} paraphrases): {menus}")
        lines += ["", f"Topics ({len(self.topics)}): " + ", ".join(self.topics)]
        lines.append("Topics never shown in training: " + ", ".join(self.unseen_topics))
        lines.append("Personas: " + ", ".join(self.persona))
        return "\n".join(lines)


def _known(name: str) -> KnownKind:
    kind = KINDS[name]
    menus = tuple(kind.menus.values())
    options = menus[0] if menus else None

    topic = kind.topic or next(iter(SEEN))
    situation = Situation(
        kind=name,
        topic=topic,
        options=options,
        post=post_text(topic, 1) if kind.content == "post" else "",
        view=6 if not menus else None,
        scene=dict(next(iter(kind.scenes.values()))) if kind.scene_required else {},
    )
    fields = Template(blocks(kind, options, 0)).fields
    return KnownKind(name, menus, kind.n_paraphrases, fields, render(situation))


def questions() -> Catalogue:
    """Kinds, menus, paraphrases, topics and persona attributes that the embedded model knows.

    Examples
    --------
    >>> len(questions().topics) >= 60
    True
    """
    persona = ("age", "education", "income", "party", "ideology", "TV news")
    traits = tuple(" or ".join(pair) for pair in TRAIT_PAIRS)
    return Catalogue(
        kinds=tuple(_known(name) for name in KINDS),
        topics=tuple(SEEN),
        unseen_topics=tuple(UNSEEN),
        persona=(*persona, *traits),
    )


class Language:
    """The language of the embedded model: prompts to situations and back.

    Examples
    --------
    >>> situation = Language.parse("What stance does the author of this post take?\\n"
    ...     "I strongly support free buses because it helps the poor.\\n"
    ...     "Is it against, neutral or for?\\nAnswer:")
    >>> situation.topic, Language.parse("Who won the cup?")
    ('free buses', None)
    """

    @staticmethod
    def parse(prompt_text: str) -> Situation | None:
        """The situation that a prompt describes; None when it is outside the language."""
        return parse(prompt_text)

    @staticmethod
    def render(situation: Situation) -> str:
        """The prompt of a situation; `parse` is its inverse."""
        return render(situation)
