"""Probabilities of a menu from the token log-probabilities that a server returns."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from unicodedata import combining, normalize

__all__ = ["MenuScores", "Next", "matched", "score_menu"]

Next = Mapping[str, float]
"""Text of a token -> its natural-log probability, for the tokens that the server returned."""

_WHITESPACE_WORTH = 0.01
"""Least probability at which an answer that starts with blanks is followed further."""

_WORTH = 1e-4
"""Least share of an option's likeliest beginning at which another one of it is followed."""


@dataclass(frozen=True)
class MenuScores:
    """What the returned probabilities say about a menu.

    Attributes
    ----------
    scores
        log P(the answer is the option and goes on to no other), shape (n_options,); `None` where
        the option lies outside what the server returned.
    least
        Smallest probability among the returned first tokens: what is outside is at most as likely.
    """

    scores: tuple[float | None, ...]
    least: float

    @property
    def missing(self) -> list[int]:
        return [k for k, score in enumerate(self.scores) if score is None]


def score_menu(options: Sequence[str], ask: Callable[[str], Next], *, follows: bool) -> MenuScores:
    """Walk the tokens that spell the options.

    Parameters
    ----------
    options
        The menu, distinct texts.
    ask
        The beginning of an answer -> probabilities of its next token.
    follows
        Whether `ask` takes beginnings other than the empty one. Without, an option counts as soon
        as a first token begins no other option, and options that share their first token are
        missing.

    Notes
    -----
    A score is log P(the answer begins with the option and does not go on to another). "1" begins
    "10": its probability is that of its token less that of what makes another number of it. The end
    of the turn is no part of a score, because servers do not name it. A beginning that carries less
    than a ten-thousandth of what another one carries for the same option is not followed.

    Examples
    --------
    >>> found = score_menu(["yes", "no"], lambda text: {"yes": -0.1, "no": -2.5}, follows=False)
    >>> [round(score, 6) for score in found.scores]
    [-0.1, -2.5]
    >>> tree = {"": {"1": -0.2}, "1": {"0": -1.0, "<end>": -0.5}}
    >>> both = score_menu(["1", "10"], tree.__getitem__, follows=True).scores
    >>> [round(score, 3) for score in both]
    [-0.659, -1.2]
    """
    walk = _Walk(tuple(options), ask, follows)
    walk.walk()
    scores = tuple(
        math.log(min(1.0, mass)) if mass > 0 and k not in walk.unclear else None
        for k, mass in enumerate(walk.mass)
    )
    return MenuScores(scores, walk.least)


class _Walk:
    """Mass that arrives at each option, and the options that a first token leaves unclear.

    Several ways of cutting a beginning into tokens lead to the same text, and the server is asked
    for the text: so beginnings are gathered by text and taken from the shortest on.
    """

    def __init__(self, options: tuple[str, ...], ask: Callable[[str], Next], follows: bool) -> None:
        self.options, self.ask, self.follows = options, ask, follows
        self.mass = [0.0] * len(options)
        self.unclear: set[int] = set()
        self.least = 1.0
        self.pending: dict[str, float] = {}

    def walk(self) -> None:
        """Follow every beginning that matters."""
        self._visit("", 1.0)
        while self.pending:
            start = min(self.pending, key=lambda text: (len(text), text))
            mass = self.pending.pop(start)
            here = matched(start, self.options)
            if self._matters(start, mass):
                self._visit(start, mass)
            elif here is not None:
                self.mass[here] += mass

    def _matters(self, start: str, mass: float) -> bool:
        """Whether any option that it may become has not much more mass already, or in view."""
        return any(mass >= _WORTH * self._in_view(k) for k in self._longer(start.lstrip()))

    def _in_view(self, option: int) -> float:
        reaching = (m for t, m in self.pending.items() if option in self._longer(t.lstrip()))
        return max(self.mass[option], *reaching, 0.0)

    def _visit(self, start: str, mass: float) -> None:
        """Ask what follows `start`, and share out the mass that arrived there."""
        following = self.ask(start)
        here = matched(start, self.options)
        rest = mass
        for token, value in following.items():
            text, arriving = start + token, mass * math.exp(value)
            same = here is not None and matched(text, self.options) == here
            if not token or (same and not self._longer(text.lstrip())):
                continue  # the answer ends here, and stays with what arrived
            rest -= arriving
            self._arrive(text, arriving)
        if here is not None:
            self.mass[here] += max(0.0, rest)
        if not start:
            self.least = math.exp(min(following.values(), default=0.0))

    def _arrive(self, text: str, mass: float) -> None:
        said = text.lstrip()
        if not said and (not self.follows or mass < _WHITESPACE_WORTH):
            return
        here = matched(said, self.options) if said else None
        longer = self._longer(said)
        if longer and self.follows:
            self.pending[text] = self.pending.get(text, 0.0) + mass
        elif longer and (here is not None or len(longer) > 1):
            self.unclear |= {*longer, *([] if here is None else [here])}
        elif longer:
            self.mass[longer[0]] += mass
        elif here is not None:
            self.mass[here] += mass

    def _longer(self, said: str) -> list[int]:
        return [k for k, option in enumerate(self.options) if _goes_on(said, option)]


def matched(text: str, options: Sequence[str]) -> int | None:
    """The longest option that a text is or begins with, as a whole word; else `None`.

    Of options that differ in capitals only, the one that is written as in the text. An accent is
    the same however it is encoded.

    Examples
    --------
    >>> matched(" Yes.", ["yes", "no"]), matched("10", ["1", "10"]), matched("none", ["no"])
    (0, 1, None)
    >>> matched("US", ["us", "US"]), matched("us all", ["us", "US"])
    (1, 0)
    >>> matched("caf\u00e9", ["cafe", "cafe\u0301"])
    1
    """
    said = text.strip().strip("\"'`*").strip()
    folded = _folded(said)
    fits = [
        (len(_folded(option)), said.startswith(option), -k)
        for k, option in enumerate(options)
        if folded.startswith(_folded(option)) and _is_whole(folded, len(_folded(option)))
    ]
    return -max(fits)[2] if fits else None


def _is_whole(folded: str, length: int) -> bool:
    """Whether a word ends after so many characters."""
    following = folded[length : length + 1]
    return not (following.isalnum() or (following and combining(following)))


def _goes_on(said: str, option: str) -> bool:
    """Whether an answer that began with `said` may yet become `option`."""
    begun, whole = _folded(said), _folded(option)
    return len(whole) > len(begun) and whole.startswith(begun)


@lru_cache(maxsize=1 << 14)
def _folded(text: str) -> str:
    """Letters and accents one by one, without capitals; the beginnings of a text begin it still."""
    return normalize("NFD", normalize("NFD", text).casefold())
