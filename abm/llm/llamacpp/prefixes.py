"""Prefixes that return stay resident: copies of attention cells, within a memory bound.

A copy holds the very bits that evaluating the prefix gave, so that whether it is used changes
nothing but time.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

from abm.llm.llamacpp.tokens import Path

__all__ = ["PrefixStore"]

_SEEN = 1 << 14


class PrefixStore:
    """Least recently used prefixes go first.

    Parameters
    ----------
    n_bytes
        Memory bound of all copies together.

    Notes
    -----
    Copies of one kind of context cannot be read by another: `kind` keeps them apart within the one
    bound. Lanes share a store: a copy that one of them keeps is there for the others, and one that
    was found may be gone when it is asked for.

    Examples
    --------
    >>> store = PrefixStore(4)
    >>> store.add(((1, 2),), b"abcd")
    >>> store.deepest(((1, 2), (3,))), store.deepest(((1, 2), (3,)), "text")
    (1, 0)
    """

    def __init__(self, n_bytes: int) -> None:
        self.n_bytes = n_bytes
        self.used = 0
        self._states: OrderedDict[tuple[str, Path], Any] = OrderedDict()
        self._seen: OrderedDict[int, None] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._states)

    def deepest(self, path: Path, kind: str = "") -> int:
        """Number of blocks of the longest stored prefix of a path."""
        if not self._states:
            return 0
        depths = range(len(path), 0, -1)
        with self._lock:
            return next((n for n in depths if (kind, path[:n]) in self._states), 0)

    def state(self, path: Path, kind: str = "") -> Any:
        """The copy of a prefix, or None."""
        with self._lock:
            found = self._states.get((kind, path))
            if found is not None:
                self._states.move_to_end((kind, path))
            return found

    def worth_keeping(self, path: Path, wanted: bool, kind: str = "") -> bool:
        """Whether a prefix that was just evaluated should be kept: wanted, or seen before."""
        mark = hash((kind, path))
        with self._lock:
            if (kind, path) in self._states:
                return False
            before = mark in self._seen
            self._seen[mark] = None
            self._seen.move_to_end(mark)
            if len(self._seen) > _SEEN:
                self._seen.popitem(last=False)
        return wanted or before

    def add(self, path: Path, state: Any, kind: str = "") -> None:
        """Keep a copy; the least recently used ones make room."""
        with self._lock:
            self.used += len(state) - len(self._states.pop((kind, path), b""))
            self._states[kind, path] = state
            while self.used > self.n_bytes:
                _, old = self._states.popitem(last=False)
                self.used -= len(old)

    def clear(self) -> None:
        with self._lock:
            self._states.clear()
            self._seen.clear()
            self.used = 0
