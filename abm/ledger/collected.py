"""The answers that one run used: the latest in memory, the others in a scratch file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence

from abm.ledger import schema
from abm.ledger.schema import Entry
from abm.questions import Question
from abm.tally import Tally

__all__ = ["Collected"]

_AT_HAND = 4096


class Collected:
    """Distinct entries of one policy, in any number.

    Parameters
    ----------
    fingerprint
        Fingerprint of the policy.
    at_hand
        Most entries in memory, >= 1; the others go to a private temporary database, which SQLite
        removes by itself.

    Examples
    --------
    >>> from abm.questions import Answer
    >>> request = Question("q", 1, "?", ("a", "b")).request({})
    >>> entry = Entry("model", request, Answer(scores=(0.0, -1.0)))
    >>> collected = Collected("model", at_hand=1)
    >>> collected.add(entry), collected.add(entry), len(collected)
    (True, False, 1)
    >>> [one == entry for _, one in collected.in_order()]
    [True]
    """

    def __init__(self, fingerprint: str, *, at_hand: int = _AT_HAND) -> None:
        self.fingerprint, self.at_hand = fingerprint, at_hand
        self._held = Tally()
        self._recent: dict[str, Entry] = {}
        self._questions: dict[str, Question] = {}
        self._base: sqlite3.Connection | None = None

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, key: str) -> bool:
        return int(key[:16], 16) in self._held

    def held(self, keys: Sequence[str]) -> list[bool]:
        """Which of the keys have an entry."""
        found: list[bool] = (self._held.count_many(schema.words(keys)) > 0).tolist()
        return found

    def add(self, entry: Entry, key: str | None = None) -> bool:
        """Keep an entry; returns whether it is new."""
        key = key or entry.key
        if self._held.add(int(key[:16], 16)):
            return False
        self._recent[key] = entry
        if len(self._recent) > self.at_hand:
            self._put_away()
        return True

    def in_order(self) -> Iterator[tuple[str, Entry]]:
        """(key, entry) in order of keys."""
        if self._base is None:
            yield from sorted(self._recent.items())
            return
        self._put_away()
        for key, digest, fields, seed, attempt, *answer in self._base.execute(
            "SELECT * FROM entries ORDER BY key"
        ):
            request = schema.read_request(self._questions[digest], fields, seed, attempt)
            made = schema.read_answer(key, tuple(answer), "scratch file of a run")
            yield key, Entry(self.fingerprint, request, made)

    def _put_away(self) -> None:
        if self._base is None:
            # an empty name is a private file that is deleted when it is closed
            self._base = sqlite3.connect("", check_same_thread=False)
            columns = "question, fields, seed, attempt, " + schema.ANSWER_COLUMNS
            self._base.execute(f"CREATE TABLE entries (key PRIMARY KEY, {columns}) WITHOUT ROWID")
        rows = [self._row(key, entry) for key, entry in self._recent.items()]
        with self._base:
            marks = ",".join("?" * 15)
            self._base.executemany(f"INSERT OR IGNORE INTO entries VALUES ({marks})", rows)
        self._recent.clear()

    def _row(self, key: str, entry: Entry) -> tuple[object, ...]:
        question = entry.request.question
        self._questions.setdefault(question.digest, question)
        request = schema.request_row(entry.request)
        return (key, question.digest, *request, *schema.answer_row(key, entry.answer))
