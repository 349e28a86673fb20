"""Blocks of encounters: what is applied without looking is taken back exactly where it must be."""

import numpy as np
import pytest

from abm.errors import RuleError
from abm.kernels import PairwiseCohort, run_pairwise
from abm.networks import watts_strogatz

N = 300


def drifting(own, other, p, rng):
    """Leaves [0, 1] sooner or later; uses chance, so that the generator must go back too."""
    step = p[0] * (rng.random() - 0.5)
    return own + step, other - step


def breaking(own, other, p):
    """Gives nan for a gap that is rare."""
    gap = other - own
    return (own + 0.1 * gap, other - 0.1 * gap) if abs(gap) > p[0] else (float("nan"), other)


@pytest.mark.parametrize(
    ("rule", "size", "tied", "dtype"),
    [(drifting, 0.02, True, "float32"), (breaking, 2e-6, False, "float64")],
)
def test_the_first_fault_is_found_and_nothing_after_it_stays(rule, size, tied, dtype):
    network = watts_strogatz(N, 4, 0.1, rng=np.random.default_rng(2)) if tied else None
    left, told = [], []
    for compiled in (True, False):
        x = np.random.default_rng(3).uniform(0.05, 0.95, N).astype(dtype)
        with pytest.raises(RuleError) as caught:
            run_pairwise(rule, x, network, 200_000, (size,), rng=np.random.default_rng(4),
                         bounds=(0.0, 1.0), compiled=compiled)  # fmt: skip
        left.append(x)
        told.append(str(caught.value))
    assert left[0].tobytes() == left[1].tobytes()
    assert told[0] == told[1]


def climbing(own, other, p, rng):
    """Numbers that grow, and once in a while no whole number, or one too large."""
    if rng.random() < p[0]:
        return own + 0.5, other
    return own + (rng.random() < 0.02), other


@pytest.mark.parametrize(
    ("dtype", "broken"), [("int8", 1e-4), ("uint16", 0.0), ("int64", 1e-4), ("bool", 0.0)]
)
def test_columns_of_whole_numbers_too(dtype, broken):
    left, told = [], []
    for compiled in (True, False):
        x = np.zeros(N, dtype=dtype)
        with pytest.raises(RuleError) as caught:
            run_pairwise(climbing, x, None, 2_000_000, (broken,), rng=np.random.default_rng(4),
                         bounds=(0, 9), compiled=compiled)  # fmt: skip
        left.append(x)
        told.append(str(caught.value))
    assert left[0].tobytes() == left[1].tobytes()
    assert told[0] == told[1]


def test_those_without_ties_and_those_who_may_not_be_moved_stay():
    """Half of the nodes have no ties; a third may not be moved; on the clock."""
    from abm.networks import Network

    ring = [(i, (i + 1) % (N // 2)) for i in range(N // 2)]
    network = Network.from_edges(ring, n=N)
    members = np.arange(0, N, 3)

    def run(compiled):
        x = np.random.default_rng(5).random(N)
        cohort = PairwiseCohort(
            drifting, x, rate=1.0, network=network, params=(1e-4,), members=members,
            rng=np.random.default_rng(6), compiled=compiled,
        )  # fmt: skip
        cohort.advance(7.5)
        return x, cohort.n_updates

    fast, slow = run(True), run(False)
    assert fast[0].tobytes() == slow[0].tobytes()
    assert fast[1] == slow[1] > 500
