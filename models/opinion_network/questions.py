"""What citizens are asked: a seven-point opinion, and a one-sentence post.

Both questions are written in the embedded model's synthetic language, so that it can answer them,
and read naturally for any other language model. `prompts/` shows them whole. The opinion is
persistent: one draw per citizen, so that an unchanged distribution gives an unchanged opinion. A
post is an act: a new draw each time.

The fields beyond those that the prompt shows (`own_view`, `n_read`, `read_mean`, `friends_share`,
`topic`, `voice`) are the same facts as numbers, for rules.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from abm.llm.embedded import language
from abm.questions import Value

__all__ = ["OPINION", "POST", "canned_post", "statement_of"]

MISSING = -1
_PERSONA = ("age", "education", "income", "party", "ideology", "tv_news")
_CLAUSES = {
    -2: "I strongly oppose {x}.",
    -1: "I rather dislike {x}.",
    0: "I am torn about {x}.",
    1: "I rather like {x}.",
    2: "I strongly support {x}.",
}


def perceive_opinion(me: Any) -> Mapping[str, Value]:
    """What a citizen who is asked for an opinion knows: itself, the posts read, its friends."""
    return {
        "statement": me.statement,
        **_who(me),
        "view": language.view_text(me.own_view, points=7),
        "own_view": me.own_view,
        "posts": language.posts_text([message.text for message in me.feed]),
        **_heard(me.feed),
        "friends": language.friends_text(_known(me.friends_share)),
        "friends_share": me.friends_share,
    }


def perceive_post(me: Any) -> Mapping[str, Value]:
    """What a citizen who writes knows: itself and the stance to voice; what it read, if told so."""
    feed = me.feed if me.writes_with_feed else ()
    share = _known(me.friends_share) if me.writes_with_feed else None
    return {
        "statement": me.statement,
        "topic": me.topic,
        **_who(me),
        "view": language.view_text(me.voice, points=7),
        "voice": me.voice,
        "posts": language.posts_text([message.text for message in feed]),
        "friends": language.friends_text(share, kind="write"),
        "reason": "",
    }


OPINION = language.agreement(
    points=7, id="opinion", version=1, draw="persistent", perceive=perceive_opinion
)
"""How much the citizen agrees with the statement, 1 to 7."""

POST = language.write_post(id="post", version=1, max_tokens=48, perceive=perceive_post)
"""One sentence for everybody to read."""


def statement_of(topic: str, statement: str = "") -> str:
    """The statement field: the modeller's own sentence, or the language's for its topics."""
    return statement or language.statement_text(topic)


@lru_cache(maxsize=65536)
def canned_post(topic: str, stance: int, variant: int) -> str:
    """The post of a rule citizen: a sentence of the language, or a plain one on other topics.

    Parameters
    ----------
    topic
        Short name, a noun phrase.
    stance
        1 to 7; seven stances are voiced in five steps.
    variant
        Any integer >= 0: which of the phrasings.

    Examples
    --------
    >>> canned_post("tulip shows", 7, 3)
    'I strongly support tulip shows.'
    """
    step = language.stance_of(stance, points=7)
    if topic in language.TOPICS:
        return language.post_text(topic, step, variant)
    return _CLAUSES[step].format(x=topic)


def _who(me: Any) -> dict[str, Value]:
    return {"persona": _persona(*(getattr(me, name) for name in _PERSONA))}


@lru_cache(maxsize=65536)
def _persona(*codes: int) -> str:
    """The persona of these survey codes; pure, so it is written once."""
    known = {name: _known(code) for name, code in zip(_PERSONA, codes, strict=True)}
    return language.persona_text(**known)


def _known(value: Any) -> Any:
    """None for a code that stands for missing."""
    return None if value is None or value < 0 else value


def _heard(feed: Sequence[Any]) -> dict[str, Value]:
    """How many posts were read, and their mean stance in [-1, 1] as far as their words tell it."""
    steps = [language.stance_of(message.stance, points=7) / 2.0 for message in feed]
    mean = sum(steps) / len(steps) if steps else 0.0
    return {"n_read": len(steps), "read_mean": round(mean, 3)}
