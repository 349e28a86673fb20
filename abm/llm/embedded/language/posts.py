"""Posts: one sentence with a topic, a stance in five steps and a reason. Written and read here.

A post is [opener] stance clause [link] reason [end]. `compose` writes one from five numbers,
`parse_post` reads any of them back, and both use the same tables, so the language is its own judge.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from abm.errors import QuestionError, require
from abm.llm.embedded.language.topics import TOPICS, topic_named

__all__ = ["STANCES", "Post", "compose", "n_variants", "parse_post", "post_text", "stance_of"]

STANCES = (-2, -1, 0, 1, 2)
OPENERS = (
    "",
    "Honestly, ",
    "To be clear, ",
    "After some thought, ",
    "As a neighbour, ",
    "Friends, ",
    "Once again, ",
    "Say what you like, ",
)
CLAUSES = {
    2: (
        "I strongly support {x}",
        "I am all for {x}",
        "we badly need {x}",
        "I fully back {x}",
        "nothing is better than {x}",
        "I will always fight for {x}",
    ),
    1: (
        "I rather like {x}",
        "I lean towards {x}",
        "I mostly support {x}",
        "on balance I favour {x}",
        "I could live with {x}",
        "I see some good in {x}",
    ),
    0: (
        "I am torn about {x}",
        "I cannot decide on {x}",
        "I see both sides of {x}",
        "I have no firm view on {x}",
        "it is hard to judge {x}",
        "I keep an open mind on {x}",
    ),
    -1: (
        "I rather dislike {x}",
        "I lean against {x}",
        "I mostly oppose {x}",
        "on balance I reject {x}",
        "I have doubts about {x}",
        "I see some harm in {x}",
    ),
    -2: (
        "I strongly oppose {x}",
        "I am dead against {x}",
        "we must stop {x}",
        "I fully reject {x}",
        "nothing is worse than {x}",
        "I will always fight against {x}",
    ),
}
LINKS = (" because ", " since ", ", as ", ": ")
BUT = ", but "
ENDS = (".", "!")


@dataclass(frozen=True, slots=True)
class Post:
    """A post of the language.

    Attributes
    ----------
    topic
        Short name of the topic.
    stance
        -2 (strongly against) to 2 (strongly for).
    reason
        The reason given; for stance 0 the reason for, which is followed by one against.
    """

    topic: str
    stance: int
    reason: str


def n_variants(stance: int) -> int:
    """How many different posts a topic has at a stance."""
    reasons = 9 if stance == 0 else 3
    return len(OPENERS) * len(CLAUSES[stance]) * len(LINKS) * len(ENDS) * reasons


def compose(topic: str, stance: int, variant: int, reason: str | None = None) -> str:
    """The post with number `variant` (taken modulo their number), optionally with a given reason.

    Examples
    --------
    >>> compose("nuclear power", 2, 0)
    'I strongly support nuclear power because it keeps the air clean.'
    """
    subject = TOPICS[topic]
    variant, opener = divmod(variant, len(OPENERS))
    variant, clause = divmod(variant, len(CLAUSES[stance]))
    variant, link = divmod(variant, len(LINKS))
    variant, end = divmod(variant, len(ENDS))
    variant, main = divmod(variant, 3)
    because = reason or subject.reasons(stance)[main]
    if stance == 0:
        because += BUT + subject.reasons_against[variant % 3]
    sentence = OPENERS[opener] + CLAUSES[stance][clause].format(x=topic)
    return sentence[0].upper() + sentence[1:] + LINKS[link] + because + ENDS[end]


def post_text(topic: str, stance: int, variant: int = 0) -> str:
    """A canned post, such as a rule-based citizen publishes.

    Parameters
    ----------
    topic
        Short name.
    stance
        -2 (strongly against) to 2 (strongly for).
    variant
        Any integer >= 0; neighbouring numbers give posts that differ in several parts.

    Examples
    --------
    >>> parse_post(post_text("free buses", -1, 5)).stance
    -1
    """
    topic_named(topic)
    require(
        stance in STANCES,
        QuestionError,
        f"stance = {stance}, expected one of {STANCES}; `stance_of` makes it from a view",
        stance=stance,
    )
    # 7919 is coprime to the number of variants, so consecutive variants run through all of them.
    return compose(topic, int(stance), (int(variant) * 7919) % n_variants(stance))


def stance_of(view: float, points: int = 7) -> int:
    """The stance of a post by somebody with this view on a scale of 1 to `points`.

    Examples
    --------
    >>> [stance_of(view) for view in range(1, 8)]
    [-2, -1, -1, 0, 1, 1, 2]
    """
    place = 2 * (view - 1) / (points - 1) - 1
    size = 2 if abs(place) > 0.8 else 1 if abs(place) > 0.2 else 0
    return size if place > 0 else -size


def _pattern() -> re.Pattern[str]:
    def options(words: list[str]) -> str:
        return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))

    opener = options([word for word in OPENERS if word])
    start = options(list(_STANCE | _FIRST))
    return re.compile(
        rf"({opener})?({start})({options(list(TOPICS))})({options(list(LINKS))})(.+)[.!]"
    )


_STANCE = {
    clause.removesuffix("{x}"): stance for stance, clauses in CLAUSES.items() for clause in clauses
}
_FIRST = {start[0].upper() + start[1:]: stance for start, stance in _STANCE.items()}
_PATTERN = _pattern()


@lru_cache(maxsize=65536)
def parse_post(text: str) -> Post | None:
    """Read a post of the language; None for any other text.

    Examples
    --------
    >>> parse_post("I strongly support nuclear power because it keeps the air clean.").stance
    2
    >>> parse_post("Buy my book!") is None
    True
    """
    match = _PATTERN.fullmatch(text)
    if match is None:
        return None
    opener, start, topic, _, because = match.groups()
    stance = (_STANCE if opener else _FIRST).get(start)
    if stance is None:
        return None
    reason, found_but, other = because.partition(BUT)
    subject = TOPICS[topic]
    good = reason in subject.reasons(stance)
    good = good and (stance == 0) == bool(found_but)
    good = good and (stance != 0 or other in subject.reasons_against)
    return Post(topic, stance, reason) if good else None
