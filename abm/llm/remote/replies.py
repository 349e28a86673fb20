"""Reading what servers send: texts, token log-probabilities, usage."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from abm.llm.remote.menus import Next

__all__ = ["ended", "models", "next_tokens", "served", "spoken", "usage", "whole_text"]


_MOST = 1 << 40  # no request has so many tokens


def spoken(body: Mapping[str, Any]) -> str | None:
    """The text of a reply, without what a reasoning model thought aloud; `None` if there is none.

    Examples
    --------
    >>> spoken({"choices": [{"message": {"content": "<think>hm</think> yes"}}]})
    'yes'
    """
    choice = _choice(body)
    text = choice.get("text")
    if text is None and isinstance(choice.get("message"), Mapping):
        text = choice["message"].get("content")
    if isinstance(text, list):  # parts, each a text or a thought
        parts = [part.get("text") for part in text if isinstance(part, Mapping)]
        text = "".join(part for part in parts if isinstance(part, str))
    if not isinstance(text, str):
        return None
    before, closed, after = whole_text(text).partition("</think>")
    return (after if closed else before).strip()


def whole_text(text: str) -> str:
    """The text with half characters, which JSON can say and no file can hold, as question marks.

    Examples
    --------
    >>> whole_text("so \\ud83d"), whole_text("\N{WAVING HAND SIGN}") == "\N{WAVING HAND SIGN}"
    ('so ?', True)
    """
    return text.encode("utf-8", "replace").decode()


def ended(body: Mapping[str, Any]) -> bool:
    """Whether the text ended by itself and was not cut at its limit of tokens."""
    return _choice(body).get("finish_reason") != "length"


def usage(body: Mapping[str, Any]) -> tuple[int, int]:
    """(prompt tokens, answer tokens) as the server counts them; 0 where it does not."""
    found = body.get("usage")
    counted = found if isinstance(found, Mapping) else {}
    pair = [counted.get(name) for name in ("prompt_tokens", "completion_tokens")]
    good = [type(n) is int and 0 <= n < _MOST for n in pair]
    return tuple(n if fine else 0 for n, fine in zip(pair, good, strict=True))  # type: ignore[return-value]


def served(body: Mapping[str, Any]) -> str:
    """The model that gave a reply, as the server calls it, and its build; empty if it does not say.

    Examples
    --------
    >>> served({"model": "large-2026-05-01", "system_fingerprint": "b7"})
    'large-2026-05-01 (b7)'
    """
    name, build = body.get("model"), body.get("system_fingerprint")
    if not isinstance(name, str):
        return ""
    said = f"{name} ({build})" if isinstance(build, str) and build else name
    return whole_text(said[:200])


def models(body: Mapping[str, Any]) -> list[str]:
    """Names of the models that a server lists; empty where it lists none.

    Examples
    --------
    >>> models({"object": "list", "data": [{"id": "small"}, {"id": "large"}]})
    ['small', 'large']
    """
    listed = body.get("data")
    rows = listed if isinstance(listed, list) else []
    return [str(row["id"]) for row in rows if isinstance(row, Mapping) and "id" in row]


def next_tokens(body: Mapping[str, Any]) -> Next | None:
    """The first token's alternatives: text -> log-probability; `None` where the server gives none.

    Both forms in use are read: `top_logprobs` as a list of mappings (completions), and `content`
    with lists of objects (chat, and newer completions). Alternatives of equal text are added.

    Examples
    --------
    >>> next_tokens({"choices": [{"logprobs": {"top_logprobs": [{" yes": -0.1, " no": -2.4}]}}]})
    {' yes': -0.1, ' no': -2.4}
    """
    held = _choice(body).get("logprobs")
    if not isinstance(held, Mapping):
        return None
    pairs = _classic(held) or _chat(held)
    found: dict[str, float] = {}
    for text, value in pairs:
        if isinstance(text, str) and isinstance(value, (int, float)) and not math.isnan(value):
            found[text] = _add(found.get(text), min(0.0, float(value)))
    return found or None


def _classic(held: Mapping[str, Any]) -> list[tuple[Any, Any]]:
    top = held.get("top_logprobs")
    first = top[0] if isinstance(top, list) and top else None
    return list(first.items()) if isinstance(first, Mapping) else []


def _chat(held: Mapping[str, Any]) -> list[tuple[Any, Any]]:
    content = held.get("content")
    first = content[0] if isinstance(content, list) and content else None
    top = first.get("top_logprobs") if isinstance(first, Mapping) else None
    if not isinstance(top, list):
        return []
    return [(t.get("token"), t.get("logprob")) for t in top if isinstance(t, Mapping)]


def _add(one: float | None, other: float) -> float:
    if one is None:
        return other
    high = max(one, other)
    return min(0.0, high + math.log(math.exp(one - high) + math.exp(other - high)))


def _choice(body: Mapping[str, Any]) -> Mapping[str, Any]:
    choices = body.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else {}
    return first if isinstance(first, Mapping) else {}
