"""The lines between the question and the ask: own view, what was read, what friends do.

Each line has one function that writes it and one table or function that reads it back.
"""

from __future__ import annotations

from collections.abc import Sequence

from abm.errors import QuestionError, require
from abm.llm.embedded.language.posts import STANCES, parse_post
from abm.llm.embedded.language.topics import TOPICS, topic_named

__all__ = ["brief_text", "friends_line", "posts_text", "reason_text", "view_text"]

AGREE = (
    "strongly disagree",
    "disagree",
    "somewhat disagree",
    "are undecided",
    "somewhat agree",
    "agree",
    "strongly agree",
)
FAVOUR = (
    "strongly against",
    "against",
    "somewhat against",
    "undecided about",
    "somewhat in favour of",
    "in favour of",
    "strongly in favour of",
)
VIEW_STARTS = ("So far you ", "Until now you ")
POSTS_HEADS = ("You have just read:", "People you know wrote:")
BRIEFS = {
    -2: "Argue strongly against it.",
    -1: "Argue mildly against it.",
    0: "Take no side.",
    1: "Argue mildly for it.",
    2: "Argue strongly for it.",
}
MAX_POSTS = 3
REASON = "Use this reason: "


def view_text(stance: float, points: int = 7, topic: str | None = None, wording: int = 0) -> str:
    """Own present view, one line.

    Parameters
    ----------
    stance
        Place on a scale of 1 (strongly against) to `points` (strongly for).
    points
        Number of points of that scale, >= 2; other scales are mapped to the seven steps of words.
    topic
        `None` where the prompt shows a statement (agreement, vote, write_post); elsewhere the
        short name of the topic.
    wording
        Which of the two wordings.

    Examples
    --------
    >>> view_text(5)
    'So far you somewhat agree.\\n'
    >>> view_text(5, topic="free buses")
    'So far you are somewhat in favour of free buses.\\n'
    """
    require(
        1 <= stance <= points,
        QuestionError,
        f"view = {stance}, expected 1 to {points} (points = {points})",
    )
    step = round(6 * (stance - 1) / (points - 1))
    if topic is None:
        return f"{VIEW_STARTS[wording]}{AGREE[step]}.\n"
    return f"{VIEW_STARTS[wording]}are {FAVOUR[step]} {topic_named(topic).name}.\n"


# line -> (view, wording, topic or None)
VIEWS: dict[str, tuple[int, int, str | None]] = {
    view_text(step, topic=topic, wording=w)[:-1]: (step, w, topic)
    for step in range(1, 8)
    for w in range(len(VIEW_STARTS))
    for topic in (None, *TOPICS)
}


def brief_text(stance: int) -> str:
    """The stance that a post is told to take, -2 (strongly against) to 2 (strongly for).

    Examples
    --------
    >>> brief_text(2)
    'Argue strongly for it.\\n'
    """
    require(stance in STANCES, QuestionError, f"stance = {stance}, expected one of {STANCES}")
    return BRIEFS[stance] + "\n"


BRIEF_LINES = {text: stance for stance, text in BRIEFS.items()}


def posts_text(texts: Sequence[str], wording: int = 0) -> str:
    """What was just read: a heading and one line per post; "" for none.

    Parameters
    ----------
    texts
        At most three posts. They are passed on as they are: a post outside the language makes
        the prompt `out_of_language` for the embedded model, and is plain text to any other.

    Examples
    --------
    >>> posts_text(["I like it."])
    'You have just read:\\n- I like it.\\n'
    """
    require(
        len(texts) <= MAX_POSTS,
        QuestionError,
        f"posts: {len(texts)} given, expected at most {MAX_POSTS}; choose the latest in perceive",
    )
    if not texts:
        return ""
    return "".join((POSTS_HEADS[wording], "\n", *(f"- {text}\n" for text in texts)))


def friends_line(share: float | None, does: str) -> str:
    """Share of friends in tenths, one line; "" for None.

    Examples
    --------
    >>> friends_line(0.62, "agree")
    'About 60 % of your friends agree.\\n'
    """
    if share is None:
        return ""
    require(0 <= share <= 1, QuestionError, f"friends' share = {share}, expected 0 to 1 or None")
    return quantity(round(10 * share), "of your friends") + f" {does}.\n"


def quantity(tenths: int, whom: str) -> str:
    """ "None of ...", "About 30 % of ...", "All of ..."."""
    start = {0: "None", 10: "All"}.get(tenths, f"About {10 * tenths} %")
    return f"{start} {whom}"


def reason_text(topic: str, stance: int, variant: int = 0) -> str:
    """A reason that a post should give, one line.

    Examples
    --------
    >>> reason_text("nuclear power", 1, 0)
    'Use this reason: it keeps the air clean\\n'
    """
    reasons = topic_named(topic).reasons(stance)
    return f"{REASON}{reasons[variant % len(reasons)]}\n"


def posts_on(topic: str, texts: Sequence[str]) -> list[int] | None:
    """Stances of posts that are all on the topic; None when any is not."""
    read = [parse_post(text) for text in texts]
    if any(post is None or post.topic != topic for post in read):
        return None
    return [post.stance for post in read if post is not None]
