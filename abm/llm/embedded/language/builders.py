"""Ready-made questions of the language, and the field texts that need a kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from abm.errors import QuestionError, require
from abm.llm.embedded.language.context import friends_line
from abm.llm.embedded.language.grammar import blocks
from abm.llm.embedded.language.kinds import (
    KINDS,
    accept,
    cooperate,
    harvest,
    hours,
    isolate,
    kind_named,
    offer,
)
from abm.llm.embedded.language.kinds.harvest import MENUS as _SAID
from abm.questions import Question, TextConstraint, Value
from abm.questions.question import Draw

__all__ = [
    "MENUS",
    "TOPIC_OF",
    "action",
    "agreement",
    "friends_text",
    "number",
    "read_stance",
    "scene_text",
    "write_post",
]

Perceive = Callable[[Any], Mapping[str, Value]]
MENUS: tuple[tuple[str, ...], ...] = tuple(_SAID.values())
TOPIC_OF: Mapping[str, str] = {name: kind.topic for name, kind in KINDS.items() if kind.topic}
ACTIONS = ("share", "isolate", "vote", "cooperate", "accept")
NUMBERS = ("harvest", "hours", "offer")
_SCENES: Mapping[str, Callable[..., str]] = {
    "isolate": isolate.scene,
    "cooperate": cooperate.scene,
    "accept": accept.scene,
    "harvest": harvest.scene,
    "hours": hours.scene,
    "offer": offer.scene,
}


def _question(
    name: str,
    options: tuple[str, ...] | None,
    paraphrase: int,
    id: str | None,
    version: int,
    draw: Draw,
    perceive: Perceive | None,
    text: TextConstraint | None = None,
) -> Question:
    kind = kind_named(name)
    if options is None and text is None:
        options = next(iter(kind.menus.values()))
    template = blocks(kind, options, paraphrase)
    others = [
        blocks(kind, options, other) for other in range(kind.n_paraphrases) if other != paraphrase
    ]
    return Question(
        id or name,
        version,
        template,
        options,
        text,
        draw=draw,
        perceive=perceive,
        paraphrases=others,
    )


def agreement(
    points: int = 7,
    paraphrase: int = 0,
    *,
    id: str | None = None,
    version: int = 1,
    draw: Draw = "persistent",
    perceive: Perceive | None = None,
) -> Question:
    """Agreement with a statement on 2, 5 or 7 points.

    Fields: statement, persona, view, posts, friends.

    Examples
    --------
    >>> agreement(5).options
    ('1', '2', '3', '4', '5')
    """
    require(points in (2, 5, 7), QuestionError, f"points = {points}, expected 2, 5 or 7")
    return _question(f"agreement{points}", None, paraphrase, id, version, draw, perceive)


def action(
    name: str,
    paraphrase: int = 0,
    *,
    id: str | None = None,
    version: int = 1,
    draw: Draw = "fresh",
    perceive: Perceive | None = None,
) -> Question:
    """A yes/no action: share, isolate, vote, cooperate or accept.

    Fields: statement (vote) or post (share), persona, view, posts (not for share), friends, and
    scene for isolate, cooperate and accept.

    Examples
    --------
    >>> action("share").template.fields
    ('post', 'persona', 'view', 'friends')
    """
    require(name in ACTIONS, QuestionError, f"action = {name!r}, expected one of {ACTIONS}")
    return _question(name, None, paraphrase, id, version, draw, perceive)


def number(
    name: str,
    options: tuple[str, ...] = MENUS[0],
    paraphrase: int = 0,
    *,
    id: str | None = None,
    version: int = 1,
    draw: Draw = "fresh",
    perceive: Perceive | None = None,
) -> Question:
    """A number from a list (one of `MENUS`): harvest, hours or offer.

    Fields: persona, view, posts, friends, scene.

    Examples
    --------
    >>> number("harvest", MENUS[1]).options
    ('0', '2', '4', '6', '8', '10')
    """
    require(name in NUMBERS, QuestionError, f"number = {name!r}, expected one of {NUMBERS}")
    return _question(name, tuple(options), paraphrase, id, version, draw, perceive)


def read_stance(
    levels: int = 5,
    paraphrase: int = 0,
    *,
    id: str | None = None,
    version: int = 1,
    draw: Draw = "fresh",
    perceive: Perceive | None = None,
) -> Question:
    """The stance of a post, in 5 steps ("1" to "5") or 3 (against, neutral, for). Field: post."""
    require(levels in (3, 5), QuestionError, f"levels = {levels}, expected 3 or 5")
    return _question(f"read_stance{levels}", None, paraphrase, id, version, draw, perceive)


def write_post(
    paraphrase: int = 0,
    *,
    max_tokens: int = 48,
    temperature: float = 0.8,
    id: str | None = None,
    version: int = 1,
    draw: Draw = "fresh",
    perceive: Perceive | None = None,
) -> Question:
    """A one-sentence post.

    Fields: statement, persona, view (or a brief), posts, friends, reason.
    """
    text = TextConstraint(max_tokens=max_tokens, temperature=temperature)
    return _question("write_post", None, paraphrase, id, version, draw, perceive, text)


def friends_text(share: float | None, kind: str = "agreement") -> str:
    """Share of friends on one's side of the matter, coarsened to tenths; "" for None.

    Parameters
    ----------
    share
        In [0, 1], or None.
    kind
        "agreement", "write", or the name of an action or number kind.

    Examples
    --------
    >>> friends_text(0.62)
    'About 60 % of your friends agree.\\n'
    >>> friends_text(1.0, "isolate")
    'All of your friends stay at home.\\n'
    """
    name = {"agreement": "agreement7", "write": "write_post"}.get(kind, kind)
    return friends_line(share, kind_named(name).friends)


def scene_text(kind: str, **values: Any) -> str:
    """The scene line of a kind.

    isolate(ill, unwell), cooperate(partner), accept(offer), harvest(stock), hours(tax),
    offer(friend). Shares are in [0, 1], an offer is out of 100 coins.

    Examples
    --------
    >>> scene_text("harvest", stock=0.6)
    'The lake is about 60 % full.\\n'
    """
    require(kind in _SCENES, QuestionError, f"kind = {kind!r}, expected one of {list(_SCENES)}")
    line = _SCENES[kind](**values)
    require(
        line[:-1] in KINDS[kind].scenes,
        QuestionError,
        f"scene of {kind}: {values} gives {line[:-1]!r}, which is outside the language; "
        "shares are 0 to 1 and offers 0 to 100",
    )
    return line
