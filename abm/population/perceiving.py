"""What rows perceive as columns of plain values, and the requests that follow.

Values keep their own type: 1, 1.0 and True are three different fields of a request, as they are
agent by agent. So a column of one type is an array of it, and any other one an array of objects.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.population.grouping import mappings
from abm.questions import Question, Request, requests_of_rows

__all__ = ["perceived", "requests_of"]


class _Absent:
    """In the place of a field that a row's perceive did not return."""


_ABSENT = _Absent()
_TYPES = {int: np.int64, float: np.float64, bool: np.bool_}


def perceived(question: Question, seen: Iterable[Mapping[str, Any]]) -> dict[str, NDArray[Any]]:
    """Field -> values of each row, shape (n_rows,), checked row by row as a request checks them.

    Examples
    --------
    >>> ban = Question("ban", 1, "Age {age}. Ban cars?", ("yes", "no"))
    >>> perceived(ban, [{"age": 30}, {"age": 40.0}])["age"].tolist()
    [30, 40.0]
    """
    columns: dict[str, list[Any]] = {}
    n = 0
    for n, fields in enumerate(seen, start=1):
        for name, value in question.clean(fields):
            columns.setdefault(name, [_ABSENT] * (n - 1)).append(value)
        if len(fields) < len(columns):
            for values in columns.values():
                values += [_ABSENT] * (n - len(values))
    return {name: _array(values) for name, values in columns.items()}


def requests_of(question: Question, columns: Mapping[str, NDArray[Any]], n: int) -> list[Request]:
    """One request per row of columns, fields that a row does not have left out."""
    ragged = [name for name, array in columns.items() if _lacks(array)]
    if not ragged:
        return requests_of_rows(question, columns, n)
    return [
        question.request({name: v for name, v in fields.items() if v is not _ABSENT})
        for fields in mappings(columns, np.arange(n))
    ]


def _lacks(array: NDArray[Any]) -> bool:
    return array.dtype == object and any(value is _ABSENT for value in array.tolist())


def _array(values: list[Any]) -> NDArray[Any]:
    kinds = set(map(type, values))
    dtype = _TYPES.get(next(iter(kinds))) if len(kinds) == 1 else None
    if dtype is not None and (
        dtype is not np.int64 or -(2**63) <= min(values) <= max(values) < 2**63
    ):
        return np.array(values, dtype=dtype)
    array = np.empty(len(values), dtype=object)
    for row, value in enumerate(values):  # tuples of one length would become a matrix
        array[row] = value
    return array
