"""How often each of many keys was seen, in a few bytes per key.

Logs count distinct requests, and a society asks millions. A Python set of their keys would take a
hundred bytes each; here old keys lie in a sorted array and only the latest in a dictionary.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["Tally"]

_RECENT = 8192  # keys that are kept in a dictionary at least
_COLUMNAR = 16  # from this many keys on, arrays pay


class Tally:
    """Counts by 64-bit key, about 20 bytes per key.

    Keys are hashes: two different things with one key are counted together, which among a million
    happens with a probability of 3e-8.

    Examples
    --------
    >>> tally = Tally()
    >>> [tally.add(7), tally.add(7), tally.add(9), len(tally)]
    [0, 1, 0, 2]
    """

    __slots__ = ("_counts", "_keys", "_recent")

    def __init__(self) -> None:
        self._recent: dict[int, int] = {}
        self._keys = np.empty(0, dtype=np.uint64)
        self._counts = np.empty(0, dtype=np.uint32)

    def __len__(self) -> int:
        """Number of different keys."""
        return len(self._recent) + self._keys.size

    def __contains__(self, key: int) -> bool:
        return self.count(key) > 0

    def count(self, key: int) -> int:
        """How often the key was added."""
        recent = self._recent.get(key)
        if recent is not None:
            return recent
        place = self._place(key)
        return 0 if place < 0 else int(self._counts[place])

    def add(self, key: int) -> int:
        """Add a key, 0 <= key < 2**64; returns how often it had been added before."""
        before = self._recent.get(key)
        if before is not None:
            self._recent[key] = before + 1
            return before
        place = self._place(key)
        if place >= 0:
            before = int(self._counts[place])
            self._counts[place] = before + 1
            return before
        self._recent[key] = 1
        if len(self._recent) > max(_RECENT, self._keys.size // 16):
            self._settle()
        return 0

    def add_many(self, keys: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Add keys in their order, shape (n,); returns what `add` returns for each."""
        if keys.size < _COLUMNAR or np.unique(keys).size < keys.size:
            return np.array([self.add(key) for key in keys.tolist()], dtype=np.int64)
        before = self.count_many(keys)
        settled, places = self._settled(keys)
        self._counts[places] += np.uint32(1)
        others = ~settled
        self._recent.update(zip(keys[others].tolist(), (before[others] + 1).tolist(), strict=True))
        if len(self._recent) > max(_RECENT, self._keys.size // 16):
            self._settle()
        return before

    def count_many(self, keys: NDArray[np.uint64]) -> NDArray[np.int64]:
        """How often each key was added, shape (n,)."""
        settled, places = self._settled(keys)
        counts = np.zeros(keys.size, dtype=np.int64)
        counts[settled] = self._counts[places]
        others = np.flatnonzero(~settled)
        counts[others] = [self._recent.get(key, 0) for key in keys[others].tolist()]
        return counts

    def _settled(self, keys: NDArray[np.uint64]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Which keys lie in the array, shape (n,), and the places of those."""
        places = self._keys.searchsorted(keys)
        inside = places < self._keys.size
        found = inside.copy()
        found[inside] = self._keys[places[inside]] == keys[inside]
        return found, places[found]

    def _place(self, key: int) -> int:
        if not self._keys.size:
            return -1
        word = np.uint64(key)
        place = int(self._keys.searchsorted(word))
        return place if place < self._keys.size and self._keys[place] == word else -1

    def _settle(self) -> None:
        """Move the dictionary into the sorted array."""
        keys = np.fromiter(self._recent, dtype=np.uint64, count=len(self._recent))
        counts = np.fromiter(self._recent.values(), dtype=np.uint32, count=len(self._recent))
        order = np.argsort(keys)
        keys, counts = keys[order], counts[order]
        places = self._keys.searchsorted(keys)
        self._keys = np.insert(self._keys, places, keys)
        self._counts = np.insert(self._counts, places, counts)
        self._recent = {}
