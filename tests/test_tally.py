"""A tally counts like a dictionary, in a few bytes per key."""

from __future__ import annotations

from collections import Counter

import numpy as np

from abm import tally as module
from abm.tally import Tally


def test_a_tally_counts_like_a_dictionary(monkeypatch):
    """Seed 1; the dictionary is emptied into the array many times on the way."""
    monkeypatch.setattr(module, "_RECENT", 16)
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
    monkeypatch.setattr(module, "_RECENT", 16)
    rng = np.random.default_rng(2)
    together, alone = Tally(), Tally()
    for _ in range(60):
        keys = rng.integers(0, 900, rng.integers(0, 80), dtype=np.uint64) << np.uint64(54)
        keys = np.unique(keys) if rng.random() < 0.7 else keys
        assert together.count_many(keys).tolist() == [alone.count(key) for key in keys.tolist()]
        assert together.add_many(keys).tolist() == [alone.add(key) for key in keys.tolist()]
    assert len(together) == len(alone) > 500
