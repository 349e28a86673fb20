"""A situation: everything that a prompt of the language says, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from abm.llm.embedded.language.personas import Persona

__all__ = ["Situation"]


@dataclass(frozen=True, slots=True)
class Situation:
    """What one prompt says.

    Attributes
    ----------
    kind
        Name of the kind of question.
    paraphrase
        Which wording of the kind.
    options
        The menu in its declared order; `None` for a text.
    topic
        Short name of the topic.
    post
        The post that is asked about (`share`, `read_stance`); "" elsewhere.
    persona
        Who answers.
    view
        Own present view of the topic, 1 (strongly against) to 7 (strongly for), or `None`.
    brief
        Stance that a post is told to take, -2 to 2, or `None`.
    posts
        Texts of up to three posts just read, all on the topic.
    friends
        Tenths of the friends on the topic's side, 0 to 10, or `None`.
    scene
        Values of the scene, such as the stock of a lake.
    reason
        A reason that a post is told to give; "" for none.
    view_wording, posts_wording
        Which of the wordings of these lines.
    """

    kind: str
    topic: str
    options: tuple[str, ...] | None = None
    paraphrase: int = 0
    post: str = ""
    persona: Persona = field(default_factory=Persona)
    view: int | None = None
    brief: int | None = None
    posts: tuple[str, ...] = ()
    friends: int | None = None
    scene: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""
    view_wording: int = 0
    posts_wording: int = 0
