"""Chance as a function: published vectors, three implementations, nobody moves anybody else."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from abm import rng
from abm.kernels import has_numba

compiled = pytest.mark.skipif(not has_numba(), reason="Numba is not installed")

# Random123 (Salmon et al. 2011), known answers of philox4x32-10: counter, key, result.
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]
FIXED = {
    "stream": 15235837141852975614,
    "agent": 14764888070535134839,
    "child": 5539938049237395595,
    "uniform": 0.43530517079192566,
    "chance": 201330860530139027,
}
EDGES = [0, 1, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1]


def as_uniform(words):
    return ((words[1] << 32 | words[0]) >> 11) * 2.0**-53


@pytest.mark.parametrize(("counter", "key", "result"), KNOWN)
def test_the_published_philox_vectors(monkeypatch, counter, key, result):
    monkeypatch.setattr(rng, "stream_key", lambda *_: key[1] << 32 | key[0])
    agent, occasion = counter[1] << 32 | counter[0], counter[3] << 32 | counter[2]
    expected = as_uniform(result)
    assert rng.uniform(0, "any", agent, occasion) == expected
    assert rng.uniforms(0, "any", np.array([agent], dtype=np.uint64), np.uint64(occasion)) == [
        expected
    ]


@compiled
@pytest.mark.parametrize(("counter", "key", "result"), KNOWN)
def test_the_published_philox_vectors_compiled(counter, key, result):
    from abm.kernels.philox import philox

    words = [np.uint64(word) for word in (*counter, *key)]
    assert philox(*words) == result


@compiled
def test_scalar_columnar_and_compiled_agree_to_the_bit():
    from abm.kernels.philox import philox_uniform

    keys = np.array(EDGES * len(EDGES), dtype=np.uint64)
    dates = np.repeat(np.array(EDGES, dtype=np.uint64), len(EDGES))
    stream = rng.stream_key(11, "decide:ban")
    columnar = rng.uniforms(11, "decide:ban", keys, dates)
    for key, date, value in zip(keys.tolist(), dates.tolist(), columnar.tolist(), strict=True):
        assert rng.uniform(11, "decide:ban", key, date) == value
        assert philox_uniform(np.uint64(stream), np.uint64(key), np.uint64(date)) == value


@compiled
@pytest.mark.parametrize("occasion", [3, None])
def test_a_large_column_is_the_same_compiled_and_not(monkeypatch, occasion):
    n = rng._LARGE + 5
    keys = np.arange(n, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    dates = np.arange(n)[::-1] if occasion is None else occasion
    quick = rng.uniforms(2, "p", keys, dates)
    strided = rng.uniforms(2, "p", np.repeat(keys, 2)[::2], dates)
    monkeypatch.setattr(rng, "_compiled", lambda: None)
    assert (quick == rng.uniforms(2, "p", keys, dates)).all()
    assert (quick == strided).all()
    assert quick[n - 1] == rng.uniform(2, "p", int(keys[n - 1]), 0 if occasion is None else 3)


@compiled
def test_a_kernel_can_draw_by_agent_and_occasion():
    import numba as nb

    from abm.kernels.philox import philox_uniform

    @nb.njit
    def total(stream, n):
        found = 0.0
        for key in range(n):
            found += philox_uniform(stream, key, 4)
        return found

    stream = np.uint64(rng.stream_key(1, "p"))
    assert total(stream, 100) == pytest.approx(rng.uniforms(1, "p", np.arange(100), 4).sum())


def test_negative_and_large_integers_are_keys_of_their_own():
    assert rng.uniform(1, "p", -1) == rng.uniform(1, "p", 2**64 - 1)
    assert rng.uniforms(1, "p", [-1])[0] == rng.uniform(1, "p", -1)
    assert len({rng.uniform(1, "p", key) for key in EDGES}) == len(EDGES)


def test_every_part_of_the_tuple_matters():
    base = rng.uniform(1, "p", 2, 3)
    others = [
        rng.uniform(2, "p", 2, 3),
        rng.uniform(1, "q", 2, 3),
        rng.uniform(1, "p", 3, 3),
        rng.uniform(1, "p", 2, 4),
        rng.uniform(1, "p", 3, 2),
        rng.uniform(1, "p", "2", 3),
    ]
    assert len({base, *others}) == 7


def test_values_are_fixed_for_ever():
    """Changing these changes every result that was ever published with equal seeds."""
    assert rng.stream_key(1, "decide:opinion") == FIXED["stream"]
    assert rng.agent_key("respondent 7") == FIXED["agent"]
    assert rng.child_key(7, 1) == FIXED["child"]
    assert rng.uniform(1, "decide:opinion", 7, 2) == FIXED["uniform"]
    assert rng.chance(1, "network").integers(0, 2**62) == FIXED["chance"]


def test_a_million_uniforms_look_uniform_and_independent():
    """Seed 20; consecutive keys and consecutive occasions; each test fails 1 time in 10,000."""
    n = 1_000_000
    by_key = rng.uniforms(20, "sanity", np.arange(n))
    by_date = rng.uniforms(20, "sanity", np.zeros(n, dtype=np.int64), np.arange(n))
    for u in (by_key, by_date):
        assert ((u >= 0) & (u < 1)).all()
        assert stats.kstest(u, "uniform").pvalue > 1e-4
        counts = np.bincount((u * 1000).astype(int), minlength=1000)
        assert stats.chisquare(counts).pvalue > 1e-4
        for lag in (1, 2, 16):
            z = np.corrcoef(u[:-lag], u[lag:])[0, 1] * np.sqrt(n - lag)
            assert abs(z) < 3.9
        low_bits = (u * 2**53).astype(np.uint64) & np.uint64(255)
        assert stats.chisquare(np.bincount(low_bits.astype(int), minlength=256)).pvalue > 1e-4


def test_purposes_are_independent_of_each_other():
    """Seed 21, 200,000 agents, z below 3.9."""
    keys = np.arange(200_000)
    a, b = rng.uniforms(21, "activation", keys), rng.uniforms(21, "network", keys)
    assert abs(np.corrcoef(a, b)[0, 1]) * np.sqrt(keys.size) < 3.9


def test_generators_of_equal_tuples_are_equal_and_of_different_ones_are_not():
    def first(*args):
        return rng.chance(*args).random()

    assert first(1, "a", 2, 3) == first(1, "a", 2, 3)
    assert (
        len({first(1, "a"), first(2, "a"), first(1, "b"), first(1, "a", 1), first(1, "a", 0, 1)})
        == 5
    )


def test_newborns_have_keys_of_their_own():
    keys = {rng.child_key(parent, birth) for parent in range(300) for birth in range(1, 20)}
    assert len(keys) == 300 * 19
    assert rng.child_key("ann", 1) == rng.child_key(rng.agent_key("ann"), 1)
