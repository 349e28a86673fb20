"""Requests of many agents from columns of field values: checked and hashed column by column.

Each is the request that `Question.request` makes of the same values, its key included, to the bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import repeat
from json.encoder import encode_basestring
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from abm.questions.question import Question, Request, canonical

__all__ = ["requests_of_rows"]


class _Column(NamedTuple):
    """Plain values of a field and their canonical JSON."""

    values: Sequence[Any]
    texts: Iterable[str]


def requests_of_rows(
    question: Question, columns: Mapping[str, NDArray[Any]], n: int
) -> list[Request]:
    """One request per row, for a choice question.

    Parameters
    ----------
    columns
        Field -> values, each of shape (n,).
    n
        Number of rows.

    Raises
    ------
    QuestionError
        As `Question.request`, for the first row that it refuses.

    Examples
    --------
    >>> ban = Question("ban", 1, "Age {age}. Ban cars?", ("yes", "no"))
    >>> [one, two] = requests_of_rows(ban, {"age": np.array([30, 40])}, 2)
    >>> one == ban.request({"age": 30}), two.key == ban.request({"age": 40}).key
    (True, True)
    """
    names = sorted(columns)
    known = [found for name in names if (found := _column(columns[name])) is not None]
    if not names or len(known) < len(names) or not columns.keys() >= set(question.template.fields):
        return [question.request(values) for values in _mappings(names, columns, n)]
    pairs = [zip(repeat(name, n), one.values, strict=True) for name, one in _both(names, known)]
    keys = _keys(question, names, [one.texts for one in known])
    return [
        Request.of_key(question, fields, key)
        for fields, key in _both(zip(*pairs, strict=True), keys)
    ]


def _both(a: Iterable[Any], b: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    return zip(a, b, strict=True)


def _mappings(
    names: list[str], columns: Mapping[str, NDArray[Any]], n: int
) -> Iterator[dict[str, Any]]:
    if not names:
        return ({} for _ in range(n))
    values = [columns[name].tolist() for name in names]
    return (dict(zip(names, row, strict=True)) for row in zip(*values, strict=True))


def _column(array: NDArray[Any]) -> _Column | None:
    """Numbers, truth values or texts; `None` for what has to be looked at one by one."""
    kind, values = array.dtype.kind, array.tolist()
    if kind in "iu":
        return _Column(values, map(int.__repr__, values))
    if kind == "b":
        return _Column(values, ("true" if value else "false" for value in values))
    if kind == "f" and array.dtype.itemsize <= 8 and bool(np.isfinite(array).all()):
        return _Column(values, map(float.__repr__, values))
    if kind in "UO" and set(map(type, values)) == {str}:
        return _Column(values, map(encode_basestring, values))
    return None


def _keys(question: Question, names: list[str], texts: list[Iterable[str]]) -> Iterator[str]:
    """Keys of choice requests, as `Request.key` has them."""
    fields = ",".join(f"[{_literal(name)},%s]" for name in names)
    body = f"[{_literal(question.digest)},[{fields}],null,0]"
    for row in zip(*texts, strict=True):
        yield sha256((body % row).encode("utf-8", "surrogatepass")).hexdigest()


def _literal(text: str) -> str:
    return canonical(text).decode("utf-8", "surrogatepass").replace("%", "%%")
