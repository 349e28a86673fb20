"""Features of a request: its fields as numbers, learned from the requests of a fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.questions import Request, Value

__all__ = ["Features"]

_MAX_LEVELS = 50
_FEW_LEVELS = 12


@dataclass(frozen=True)
class _Number:
    """A numeric field, standardised within the range seen: linear, and squared if asked."""

    field: str
    low: float
    high: float
    mean: float
    spread: float
    squared: bool

    @property
    def width(self) -> int:
        return 2 if self.squared else 1

    def fill(self, out: NDArray[np.float64], values: Sequence[Value]) -> None:
        clipped = np.clip(np.array([float(v) for v in values]), self.low, self.high)  # type: ignore[arg-type]
        out[:, 0] = (clipped - self.mean) / self.spread
        if self.squared:
            out[:, 1] = out[:, 0] * out[:, 0] - 1.0


@dataclass(frozen=True)
class _Levels:
    """A field by level; for a list, how often each level occurs. Centred on the requests seen."""

    field: str
    levels: tuple[str, ...]
    shares: tuple[float, ...]

    @property
    def width(self) -> int:
        return len(self.levels)

    def fill(self, out: NDArray[np.float64], values: Sequence[Value]) -> None:
        place = {level: j for j, level in enumerate(self.levels)}
        shares = np.array(self.shares)
        for row, value in enumerate(values):
            found = [place[item] for item in _items(value) if item in place]
            if found or isinstance(value, tuple):
                out[row] = -shares
                for j in found:
                    out[row, j] += 1.0
            else:
                out[row] = 0.0


@dataclass(frozen=True)
class Features:
    """Fields to a matrix of shape (n, n_features). A row depends on its own request alone.

    Attributes
    ----------
    names, types
        Fields that a request must have, and the kinds of value seen.
    ignored
        Fields that are not used.
    """

    names: tuple[str, ...]
    blocks: tuple[_Number | _Levels, ...]
    ignored: tuple[str, ...]
    interactions: bool

    @classmethod
    def learn(cls, requests: Sequence[Request], *, interactions: bool = False) -> Features:
        """Learn ranges and levels from requests of one question."""
        rows = [dict(request.fields) for request in requests]
        names = sorted(set(rows[0]).intersection(*rows))
        blocks: list[_Number | _Levels] = []
        for name in names:
            blocks += _learn(name, [row[name] for row in rows])
        used = {block.field for block in blocks}
        ignored = sorted({name for row in rows for name in row} - used)
        return cls(
            tuple(name for name in names if name in used),
            tuple(blocks),
            tuple(ignored),
            interactions,
        )

    def lacking(self, request: Request) -> str:
        """What the request lacks, in words; empty if nothing."""
        fields = dict(request.fields)
        for block in self.blocks:
            value = fields.get(block.field)
            if value is None:
                return f"a field {block.field!r}"
            if isinstance(block, _Number) and not isinstance(value, (int, float)):
                return f"a number in field {block.field!r}"
        return ""

    def matrix(self, requests: Sequence[Request]) -> NDArray[np.float64]:
        """Shape (n, n_features)."""
        rows = [dict(request.fields) for request in requests]
        width = sum(block.width for block in self.blocks)
        out, start = np.empty((len(rows), width)), 0
        for block in self.blocks:
            part = np.zeros((len(rows), block.width))
            block.fill(part, [row[block.field] for row in rows])
            out[:, start : start + block.width] = part
            start += block.width
        return self._crossed(out) if self.interactions else out

    def _crossed(self, out: NDArray[np.float64]) -> NDArray[np.float64]:
        owner = np.repeat(np.arange(len(self.blocks)), [block.width for block in self.blocks])
        fields = np.array([self.blocks[i].field for i in owner])
        pairs = [
            out[:, i] * out[:, j]
            for i in range(len(fields))
            for j in range(i + 1, len(fields))
            if fields[i] != fields[j]
        ]
        return np.column_stack([out, *pairs]) if pairs else out

    def plain(self) -> dict[str, Any]:
        """Plain values; `from_plain` is the inverse."""
        blocks = [{"kind": type(block).__name__, **block.__dict__} for block in self.blocks]
        return {
            "names": list(self.names),
            "blocks": [
                {k: list(v) if isinstance(v, tuple) else v for k, v in block.items()}
                for block in blocks
            ],
            "ignored": list(self.ignored),
            "interactions": self.interactions,
        }

    @classmethod
    def from_plain(cls, made: dict[str, Any]) -> Features:
        kinds: dict[str, type[_Number | _Levels]] = {"_Number": _Number, "_Levels": _Levels}
        blocks = []
        for block in made["blocks"]:
            values: dict[str, Any] = {
                k: tuple(v) if isinstance(v, list) else v for k, v in block.items()
            }
            kind = kinds[str(values.pop("kind"))]
            blocks.append(kind(**values))
        return cls(
            tuple(made["names"]), tuple(blocks), tuple(made["ignored"]), made["interactions"]
        )


def _learn(name: str, values: Sequence[Value]) -> list[_Number | _Levels]:
    blocks: list[_Number | _Levels] = []
    numeric = all(isinstance(value, (int, float)) for value in values)
    if numeric:
        numbers = np.array([float(value) for value in values])  # type: ignore[arg-type]
        n_distinct = len(np.unique(numbers))
        if n_distinct > 1:
            spread, squared = float(numbers.std()), n_distinct > 2
            low, high = float(numbers.min()), float(numbers.max())
            blocks.append(_Number(name, low, high, float(numbers.mean()), spread, squared))
        if not 3 < n_distinct <= _FEW_LEVELS:
            return blocks
    elif any(isinstance(value, (int, float)) for value in values):
        return []
    counts: dict[str, int] = {}
    for value in values:
        for item in _items(value):
            counts[item] = counts.get(item, 0) + 1
    lists = any(isinstance(value, tuple) for value in values)
    if (len(counts) > 1 or lists) and 0 < len(counts) <= _MAX_LEVELS:
        levels = tuple(sorted(counts))
        shares = tuple(counts[level] / len(values) for level in levels)
        blocks.append(_Levels(name, levels, shares))
    return blocks


def _items(value: Value) -> tuple[str, ...]:
    if isinstance(value, tuple):
        return value
    return (value if isinstance(value, str) else repr(float(value)),)
