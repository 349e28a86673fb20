"""How often each of many keys was seen, in bounded memory.

Logs count distinct requests, and a society asks millions. A Python set of their keys would take a
hundred bytes each. Here only the latest keys lie in a dictionary, older ones in a sorted array, and
the oldest in a sorted file without a name in the folder for temporary files, which the system
removes by itself.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from tempfile import TemporaryFile
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Tally"]

_RECENT = 2048  # keys that are kept in a dictionary at least
_AT_HAND = 1 << 16  # keys in memory; the array goes to the file beyond
_SHARE = 16  # with a large file, a sixteenth of it: files are rewritten whole
_COLUMNAR = 16  # from this many keys on, arrays pay
_CHUNK = 1 << 18  # keys that are merged together

Keys = NDArray[np.uint64]
Counts = NDArray[np.uint32]


class Tally:
    """Counts by 64-bit key: about 1.5 MB, and a byte per key beyond a million.

    Keys are hashes: two different things with one key are counted together, which among a million
    happens with a probability of 3e-8.

    Examples
    --------
    >>> tally = Tally()
    >>> [tally.add(7), tally.add(7), tally.add(9), len(tally)]
    [0, 1, 0, 2]
    """

    __slots__ = ("_array", "_file", "_recent", "_touched")

    def __init__(self) -> None:
        self._recent: dict[int, int] = {}
        self._array = _Sorted(np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.uint32))
        self._file = _Sorted(np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.uint32))
        self._touched = 0

    def __len__(self) -> int:
        """Number of different keys."""
        return len(self._recent) + self._array.keys.size + self._file.keys.size

    def __contains__(self, key: int) -> bool:
        return self.count(key) > 0

    def count(self, key: int) -> int:
        """How often the key was added."""
        recent = self._recent.get(key)
        if recent is not None:
            return recent
        held, place = self._place(key)
        return 0 if held is None else int(held.counts[place])

    def add(self, key: int) -> int:
        """Add a key, 0 <= key < 2**64; returns how often it had been added before."""
        before = self._recent.get(key)
        if before is not None:
            self._recent[key] = before + 1
            return before
        held, place = self._place(key)
        if held is not None:
            before = int(held.counts[place])
            held.counts[place] = before + 1
            return before
        self._recent[key] = 1
        if len(self._recent) > _RECENT:
            self._settle(self._taken())
        return 0

    def add_many(self, keys: Keys) -> NDArray[np.int64]:
        """Add keys in their order, shape (n,); returns what `add` returns for each."""
        if keys.size < _COLUMNAR or np.unique(keys).size < keys.size:
            return np.array([self.add(key) for key in keys.tolist()], dtype=np.int64)
        before = np.zeros(keys.size, dtype=np.int64)
        others = np.arange(keys.size)
        for held in (self._array, self._file):
            found, places = held.find(keys[others])
            before[others[found]] = held.counts[places]
            held.counts[places] += np.uint32(1)
            others = others[~found]
        before[others] = [self._recent.get(key, 0) for key in keys[others].tolist()]
        self._touch(keys.size)
        self._put(keys[others], before[others])
        return before

    def count_many(self, keys: Keys) -> NDArray[np.int64]:
        """How often each key was added, shape (n,)."""
        counts = np.array([self._recent.get(key, 0) for key in keys.tolist()], dtype=np.int64)
        for held in (self._array, self._file):
            found, places = held.find(keys)
            counts[found] = held.counts[places]
        self._touch(keys.size)
        return counts

    def _put(self, keys: Keys, before: NDArray[np.int64]) -> None:
        """Keys of neither array nor file, with their counts until now: one more of each."""
        if keys.size <= _RECENT:
            self._recent.update(zip(keys.tolist(), (before + 1).tolist(), strict=True))
        else:
            known = before > 0
            self._recent.update(
                zip(keys[known].tolist(), (before[known] + 1).tolist(), strict=True)
            )
            new = np.sort(keys[~known])
            self._settle(_Sorted(new, np.ones(new.size, dtype=np.uint32)))
        if len(self._recent) > _RECENT:
            self._settle(self._taken())

    def _place(self, key: int) -> tuple[_Sorted | None, int]:
        """Array or file, and the place of the key in it; `None` where it is in neither."""
        word = np.uint64(key)
        for held in (self._array, self._file):
            if held.keys.size:
                place = int(held.keys.searchsorted(word))
                if place < held.keys.size and held.keys[place] == word:
                    return held, place
        self._touch(1)
        return None, -1

    def _taken(self) -> _Sorted:
        """The dictionary in order of keys; it is empty afterwards."""
        keys = np.fromiter(self._recent, dtype=np.uint64, count=len(self._recent))
        counts = np.fromiter(self._recent.values(), dtype=np.uint32, count=len(self._recent))
        order = np.argsort(keys)
        self._recent = {}
        return _Sorted(keys[order], counts[order])

    def _settle(self, new: _Sorted) -> None:
        """Put keys into the array, and the array into the file where it is too large."""
        self._array = self._array.merged(new)
        if self._array.keys.size > max(_AT_HAND, self._file.keys.size // _SHARE):
            self._file = self._file.on_disk_with(self._array)
            self._array = _Sorted(np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.uint32))

    def _touch(self, n: int) -> None:
        """After n keys were looked up: give back the memory of the file's pages now and then."""
        self._touched += n
        if self._touched > _COLUMNAR * _COLUMNAR:
            self._touched = 0
            self._file.rest()


class _Sorted:
    """Different keys in ascending order and their counts, shape (n,) each; in memory or mapped."""

    __slots__ = ("counts", "keys", "maps")

    def __init__(self, keys: Keys, counts: Counts, maps: tuple[mmap.mmap, ...] = ()) -> None:
        self.keys, self.counts, self.maps = keys, counts, maps

    def __reduce__(self) -> tuple[Any, ...]:
        return _Sorted, (np.array(self.keys), np.array(self.counts))

    def find(self, keys: Keys) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Which keys are held, shape (n,), and the places of those."""
        places = self.keys.searchsorted(keys)
        inside = places < self.keys.size
        found = inside.copy()
        found[inside] = self.keys[places[inside]] == keys[inside]
        return found, places[found]

    def merged(self, new: _Sorted) -> _Sorted:
        """Both together, in memory; no key is in both."""
        places = self.keys.searchsorted(new.keys)
        return _Sorted(
            np.insert(self.keys, places, new.keys), np.insert(self.counts, places, new.counts)
        )

    def on_disk_with(self, new: _Sorted) -> _Sorted:
        """Both together in files without a name; no key is in both."""
        with TemporaryFile() as keys, TemporaryFile() as counts:
            for part in self._merged_parts(new):
                keys.write(part.keys.tobytes())
                counts.write(part.counts.tobytes())
            keys.flush()
            counts.flush()
            maps = mmap.mmap(keys.fileno(), 0), mmap.mmap(counts.fileno(), 0)
        return _Sorted(np.frombuffer(maps[0], np.uint64), np.frombuffer(maps[1], np.uint32), maps)

    def _merged_parts(self, new: _Sorted) -> Iterator[_Sorted]:
        """Both together, a part after the other in ascending order, each of bounded size."""
        begun = 0
        for start in range(0, max(1, self.keys.size), _CHUNK):
            end = start + _CHUNK
            last = end >= self.keys.size
            until = new.keys.size if last else int(new.keys.searchsorted(self.keys[end]))
            own = _Sorted(self.keys[start:end], self.counts[start:end])
            yield own.merged(_Sorted(new.keys[begun:until], new.counts[begun:until]))
            begun = until
            self.rest()

    def rest(self) -> None:
        """Give back the memory of mapped pages; they are read from the file when needed."""
        for one in self.maps:
            one.madvise(mmap.MADV_DONTNEED)
