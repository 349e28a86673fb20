"""The tables of a ledger, and how an answer becomes a row and back, to the bit.

Scores are stored as little-endian float64, so they return exactly. Every row carries a checksum of
its content: a bit that turned on a disk is an error, not another opinion.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b, sha256
from sys import intern
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.errors import LedgerError
from abm.questions import Answer, Kind, Question, Request, Status, TextConstraint

__all__ = [
    "SCHEMA_VERSION",
    "Entry",
    "Failure",
    "answer_key",
    "answer_keys",
    "holds_content",
    "words",
]

SCHEMA_VERSION = 1
APPLICATION_ID = 0x41474F52  # "AGOR"

TABLES = """
CREATE TABLE policies (id INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL UNIQUE);
CREATE TABLE questions (
    id INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE, question TEXT NOT NULL,
    version INTEGER NOT NULL, definition TEXT NOT NULL
);
CREATE TABLE answers (
    key TEXT PRIMARY KEY, policy INTEGER NOT NULL, question INTEGER NOT NULL,
    fields TEXT NOT NULL, seed INTEGER, attempt INTEGER NOT NULL,
    status TEXT NOT NULL, scores BLOB, coverage BLOB, text TEXT, kind TEXT NOT NULL,
    tokens_in INTEGER NOT NULL, tokens_out INTEGER NOT NULL, source TEXT NOT NULL,
    detail TEXT NOT NULL, checksum BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE failures (
    run TEXT NOT NULL, key TEXT NOT NULL, occurrence INTEGER NOT NULL,
    policy INTEGER NOT NULL, question INTEGER NOT NULL,
    fields TEXT NOT NULL, seed INTEGER, attempt INTEGER NOT NULL,
    status TEXT NOT NULL, scores BLOB, coverage BLOB, text TEXT, kind TEXT NOT NULL,
    tokens_in INTEGER NOT NULL, tokens_out INTEGER NOT NULL, source TEXT NOT NULL,
    detail TEXT NOT NULL, checksum BLOB NOT NULL,
    PRIMARY KEY (run, key, occurrence)
) WITHOUT ROWID;
"""

REQUEST_COLUMNS = "policy, question, fields, seed, attempt"
ANSWER_COLUMNS = (
    "status, scores, coverage, text, kind, tokens_in, tokens_out, source, detail, checksum"
)


@dataclass(frozen=True, slots=True)
class Entry:
    """A request, the policy that answered it, and the answer."""

    fingerprint: str
    request: Request
    answer: Answer

    @property
    def key(self) -> str:
        return answer_key(self.fingerprint, self.request)


@dataclass(frozen=True, slots=True)
class Failure:
    """A failure without content: it belongs to one run.

    Attributes
    ----------
    occurrence
        How many times this run had asked the same request before: 0, 1, 2, ...
    """

    run: str
    occurrence: int
    entry: Entry


def answer_key(fingerprint: str, request: Request) -> str:
    """Ledger key: SHA-256 over the fingerprint of the policy and the key of the request.

    Examples
    --------
    >>> request = Question("q", 1, "?", ("a", "b")).request({})
    >>> answer_key("model", request) != answer_key("other model", request)
    True
    """
    return sha256(f"{fingerprint}\n{request.key}".encode()).hexdigest()


def answer_keys(fingerprint: str, requests: Iterable[Request]) -> list[str]:
    """`answer_key` of many requests to one policy.

    Examples
    --------
    >>> request = Question("q", 1, "?", ("a", "b")).request({})
    >>> answer_keys("model", [request]) == [answer_key("model", request)]
    True
    """
    head, keys = sha256(f"{fingerprint}\n".encode()), []
    for request in requests:
        hashed = head.copy()
        hashed.update(request.key.encode())
        keys.append(hashed.hexdigest())
    return keys


def words(keys: Sequence[str]) -> NDArray[np.uint64]:
    """The first 64 bits of ledger keys, shape (n,).

    Examples
    --------
    >>> words(["0" * 15 + "f" + "0" * 48]).tolist()
    [15]
    """
    return np.frombuffer(bytes.fromhex("".join([key[:16] for key in keys])), ">u8").astype(
        np.uint64
    )


def holds_content(answer: Answer) -> bool:
    """Whether the answer says what the policy said, so that it may be shared between runs.

    Scores and texts are content, a text that was cut off or breaks its schema included: its status
    follows from the request. A failure without content belongs to the run that met it.

    Examples
    --------
    >>> holds_content(Answer(text="I thi", status=Status.TRUNCATED))
    True
    >>> holds_content(Answer.failed(Status.TIMEOUT, "no answer in 30 s"))
    False
    """
    return (answer.scores is not None or answer.text is not None) and not answer.status.transient


def request_row(request: Request) -> tuple[Any, ...]:
    """fields, seed, attempt."""
    return json.dumps(request.fields), request.seed, request.attempt


def answer_row(key: str, answer: Answer) -> tuple[Any, ...]:
    """The columns of an answer, checksum last."""
    scores = answer.scores
    content = (
        str(answer.status),
        None if scores is None else struct.pack(f"<{len(scores)}d", *scores),
        None if answer.coverage is None else struct.pack("<d", answer.coverage),
        _to_text(answer.text),
        str(answer.kind),
        int(answer.tokens_in),
        int(answer.tokens_out),
        answer.source,
        _to_text(answer.detail),
    )
    return (*content, _checksum(key, content))


def read_answer(key: str, row: tuple[Any, ...], path: Any) -> Answer:
    """The answer of a row made by `answer_row`."""
    content = row[:-1]
    if _checksum(key, content) != row[-1]:
        raise LedgerError(
            f"ledger {path}: the answer {key} does not match its checksum, so the file was damaged "
            "or edited. Restore a copy, or delete this file and run the study again",
            path=path,
            key=key,
        )
    status, scores, coverage, text, kind, tokens_in, tokens_out, source, detail = content
    return Answer(
        _STATUS[status],
        None if scores is None else struct.unpack(f"<{len(scores) // 8}d", scores),
        None if coverage is None else struct.unpack("<d", coverage)[0],
        _from_text(text),
        _KIND[kind],
        tokens_in,
        tokens_out,
        intern(source),
        _from_text(detail) or "",
    )


_STATUS = {str(status): status for status in Status}
_KIND = {str(kind): kind for kind in Kind}


def definition_text(question: Question) -> str:
    """The definition of a question as JSON; `read_question` is the inverse."""
    return json.dumps(question.definition, sort_keys=True)


def read_question(definition: str) -> Question:
    """The question of a stored definition; it has no `perceive` and draws fresh."""
    made = json.loads(definition)
    text = None if made["text"] is None else TextConstraint(**made["text"])
    return Question(made["id"], made["version"], made["template"], made["options"], text)


def read_request(question: Question, fields: str, seed: int | None, attempt: int) -> Request:
    """The request of a row made by `request_row`."""
    pairs = (
        (name, tuple(value) if isinstance(value, list) else value)
        for name, value in json.loads(fields)
    )
    return Request(question, tuple(pairs), seed, attempt)


def _checksum(key: str, content: tuple[Any, ...]) -> bytes:
    # ascii() and not repr(): what is printable differs between versions of Python
    return blake2b(ascii((key, content)).encode(), digest_size=8).digest()


def _to_text(text: str | None) -> str | bytes | None:
    """Text as it is; as bytes where a lone surrogate has no UTF-8."""
    if text is None or text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
    return text


def _from_text(text: str | bytes | None) -> str | None:
    return text.decode("utf-8", "surrogatepass") if isinstance(text, bytes) else text
