"""Situation to prompt and back. The parser accepts exactly what the writer can write.

Every line of a prompt is a table look-up or a cached post, so reading one takes some ten
microseconds; it runs for every request to the embedded model.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from abm.llm.embedded.language.context import (
    BRIEF_LINES,
    MAX_POSTS,
    POSTS_HEADS,
    REASON,
    VIEWS,
    brief_text,
    friends_line,
    posts_on,
    posts_text,
    view_text,
)
from abm.llm.embedded.language.kind import Kind
from abm.llm.embedded.language.kinds import KINDS
from abm.llm.embedded.language.personas import Persona, parse_persona
from abm.llm.embedded.language.posts import parse_post
from abm.llm.embedded.language.situation import Situation
from abm.llm.embedded.language.topics import BY_STATEMENT, TOPICS

__all__ = ["blocks", "parse", "render"]

_persona = lru_cache(maxsize=16384)(parse_persona)
_NOBODY = Persona()


def blocks(kind: Kind, options: tuple[str, ...] | None, paraphrase: int) -> list[str]:
    """Template blocks of a question, from most shared to most specific."""
    head = "\n".join(kind.head(paraphrase, options)) + "\n"
    ask = kind.ask(paraphrase)
    last = "{friends}" if "friends" in kind.parts else ""
    last += "{scene}" if kind.scenes else ""
    last += "{reason}" if kind.menus == {} else ""
    middle = [f"{{{part}}}" for part in ("persona", "view", "posts") if part in kind.parts]
    return [head, *middle, last + ask] if middle or last else [head + ask]


def field_texts(situation: Situation) -> dict[str, str]:
    """The fields that the template of the situation's kind needs."""
    kind = KINDS[situation.kind]
    friends = None if situation.friends is None else situation.friends / 10
    texts = {
        "persona": situation.persona.text,
        "view": _view(kind, situation),
        "posts": posts_text(situation.posts, situation.posts_wording),
        "friends": friends_line(friends, kind.friends),
        "scene": _scene(kind, situation.scene),
        "reason": f"{REASON}{situation.reason}\n" if situation.reason else "",
    }
    if kind.content == "statement":
        texts["statement"] = TOPICS[situation.topic].statement
    if kind.content == "post":
        texts["post"] = situation.post
    return texts


def _view(kind: Kind, situation: Situation) -> str:
    if situation.brief is not None:
        return brief_text(situation.brief)
    if situation.view is None:
        return ""
    topic = None if kind.content == "statement" else situation.topic
    return view_text(situation.view, topic=topic, wording=situation.view_wording)


def _scene(kind: Kind, values: Mapping[str, Any]) -> str:
    if not values:
        return ""
    return next(line for line, known in kind.scenes.items() if known == values) + "\n"


def render(situation: Situation) -> str:
    """The prompt of a situation."""
    kind = KINDS[situation.kind]
    parts = blocks(kind, situation.options, situation.paraphrase)
    return "".join(parts).format(**{**_EMPTY, **field_texts(situation)})


_EMPTY = dict.fromkeys(("statement", "post"), "")


def _intros() -> dict[str, list[tuple[Kind, int]]]:
    found: dict[str, list[tuple[Kind, int]]] = {}
    for kind in KINDS.values():
        for number, intro in enumerate(kind.intros):
            found.setdefault(intro, []).append((kind, number))
    return found


_INTROS = _intros()


def parse(prompt: str) -> Situation | None:
    """Read a prompt of the language; None for anything else.

    Examples
    --------
    >>> parse("Tell me a joke.") is None
    True
    """
    lines = prompt.split("\n")
    for kind, intro in _INTROS.get(lines[0], ()):
        place = 2 if kind.content else 1
        if len(lines) < place + 2:
            continue
        found = kind.instruction_lines.get(lines[place])
        if found is None or lines[-1] not in kind.asks:
            continue
        content = lines[1] if kind.content else ""
        return _read(kind, intro, found, content, lines[place + 1 :])
    return None


def _read(
    kind: Kind,
    intro: int,
    found: tuple[int, tuple[str, ...] | None],
    content: str,
    lines: list[str],
) -> Situation | None:
    instruction, options = found
    topic = kind.topic
    if kind.content == "statement":
        subject = BY_STATEMENT.get(content)
        topic = None if subject is None else subject.name
    elif kind.content == "post":
        post = parse_post(content)
        topic = None if post is None else post.topic
    if topic is None:
        return None
    values = _read_rest(kind, topic, lines[:-1])
    if values is None:
        return None
    return Situation(
        kind=kind.name,
        topic=topic,
        options=options,
        paraphrase=kind.paraphrase(intro, instruction, kind.asks.index(lines[-1])),
        post=content if kind.content == "post" else "",
        **values,
    )


def _read_rest(kind: Kind, topic: str, lines: list[str]) -> dict[str, Any] | None:
    values: dict[str, Any] = {}
    rest = _Lines(lines)
    if "persona" in kind.parts and rest.peek.startswith("You"):
        persona = _persona(rest.peek)
        if persona is not None:
            values["persona"] = persona
            rest.take()
    if "view" in kind.parts:
        _read_view(kind, topic, rest, values)
    if "posts" in kind.parts and rest.peek in POSTS_HEADS:
        values["posts_wording"] = POSTS_HEADS.index(rest.take())
        values["posts"] = tuple(rest.take()[2:] for _ in range(MAX_POSTS) if rest.peek[:2] == "- ")
        if not values["posts"] or posts_on(topic, values["posts"]) is None:
            return None
    if "friends" in kind.parts and rest.peek in kind.friends_lines:
        values["friends"] = kind.friends_lines[rest.take()]
    if rest.peek in kind.scenes:
        values["scene"] = kind.scenes[rest.take()]
    if not kind.menus and rest.peek.startswith(REASON):
        values["reason"] = rest.take()[len(REASON) :]
    complete = rest.done and _complete(kind, topic, values)
    return values if complete else None


def _read_view(kind: Kind, topic: str, rest: _Lines, values: dict[str, Any]) -> None:
    found = VIEWS.get(rest.peek)
    wanted = None if kind.content == "statement" else topic
    if found is not None and found[2] == wanted:
        values["view"], values["view_wording"], _ = found
        rest.take()
    elif not kind.menus and rest.peek in BRIEF_LINES:
        values["brief"] = BRIEF_LINES[rest.take()]


def _complete(kind: Kind, topic: str, values: dict[str, Any]) -> bool:
    if kind.scene_required and "scene" not in values:
        return False
    if kind.menus:
        return True
    if "view" not in values and "brief" not in values:
        return False
    reason = values.get("reason")
    return reason is None or reason in TOPICS[topic].reasons(asked_stance(values))


def asked_stance(values: Mapping[str, Any]) -> int:
    """The stance that a written post must take: the brief, or the own view."""
    from abm.llm.embedded.language.posts import stance_of

    brief = values.get("brief")
    return brief if brief is not None else stance_of(values["view"])


class _Lines:
    """Lines read one after the other; "" after the last."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines
        self._at = 0

    @property
    def peek(self) -> str:
        return self._lines[self._at] if self._at < len(self._lines) else ""

    def take(self) -> str:
        line = self.peek
        self._at += 1
        return line

    @property
    def done(self) -> bool:
        return self._at >= len(self._lines)
