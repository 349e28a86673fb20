"""A tally counts like a dictionary, in a few bytes per key."""

from __future__ import annotations

import copy
import pickle
from collections import Counter

import numpy as np

from abm import tally as module
from abm.tally import Tally


def small(monkeypatch) -> None:
    """Few keys in memory, and a file that is merged in several parts."""
    for name, value in {"_RECENT": 16, "_AT_HAND": 60, "_CHUNK": 32, "_SHARE": 4}.items():
        monkeypatch.setattr(module, name, value)


def test_a_tally_counts_like_a_dictionary(monkeypatch):
    """Seed 1; the dictionary goes to the array and the array to the file many times on the way."""
    small(monkeypatch)
    keys = np.random.default_rng(1).integers(0, 500, 5000, dtype=np.uint64) << np.uint64(50)
    tally, counts = Tally(), Counter()
    for key in keys.tolist():
        assert tally.add(key) == counts[key]
        counts[key] += 1
    assert len(tally) == len(counts)
    assert all(tally.count(key) == n for key, n in counts.items())
    assert 3 not in tally
    assert tally.count(2**64 - 1) == 0


def test_keys_added_together_count_as_one_after_another(monkeypatch):
    """Seed 2; batches with and without repeated keys, small and large."""
    small(monkeypatch)
    rng = np.random.default_rng(2)
    together, alone = Tally(), Tally()
    for _ in range(60):
        keys = rng.integers(0, 900, rng.integers(0, 80), dtype=np.uint64) << np.uint64(54)
        keys = np.unique(keys) if rng.random() < 0.7 else keys
        assert together.count_many(keys).tolist() == [alone.count(key) for key in keys.tolist()]
        assert together.add_many(keys).tolist() == [alone.add(key) for key in keys.tolist()]
    assert len(together) == len(alone) > 500


def test_keys_beyond_a_bound_lie_in_a_file(monkeypatch):
    """Seed 3; what is in memory stays below the bound however many keys there are."""
    small(monkeypatch)
    monkeypatch.setattr(module, "_SHARE", 1000)
    tally, keys = Tally(), np.random.default_rng(3).permutation(4000).astype(np.uint64)
    for part in np.split(keys, 40):
        tally.add_many(part)
        assert len(tally._recent) <= 16
        assert tally._array.keys.size <= 60
    assert len(tally) == 4000
    assert tally._file.maps
    assert tally.count_many(keys).tolist() == [1] * 4000
    assert [tally.add(5), tally.add(5), tally.count(5)] == [1, 2, 3]


def test_a_copy_counts_for_itself(monkeypatch):
    small(monkeypatch)
    tally = Tally()
    tally.add_many(np.arange(300, dtype=np.uint64))
    for other in (copy.deepcopy(tally), pickle.loads(pickle.dumps(tally))):
        assert other.add(7) == 1
        assert (other.count(7), tally.count(7), len(other)) == (2, 1, 300)
