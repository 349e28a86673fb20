"""Agents are columns: what they take beyond their raw arrays is bounded, by count of bytes."""

from __future__ import annotations

import tracemalloc

import numpy as np
import polars as pl

import abm
from abm.kernels import PairwiseCohort
from abm.networks import homophilous, watts_strogatz

N = 300_000


def measured(make):
    """What `make` returns, the bytes that it keeps, and the most that it held meanwhile."""
    tracemalloc.start()
    try:
        made = make()
        kept, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return made, kept, most


def compromise(own, other, p):
    return own + p[0] * (other - own), other + p[0] * (own - other)


def test_a_small_world_is_made_in_its_own_arrays():
    """Ties are 48 bytes a node with k = 10, and making them takes 4 more, for the degrees."""
    watts_strogatz(100, 10, 0.1, rng=np.random.default_rng(1))  # compiles
    ties, kept, most = measured(lambda: watts_strogatz(N, 10, 0.1, rng=np.random.default_rng(1)))
    raw = ties.indptr.nbytes + ties.indices.nbytes
    assert raw == 48 * N + 8
    assert kept < 1.01 * raw
    assert most < raw + 4 * N + 100_000


def test_a_society_takes_at_most_half_more_than_its_columns_and_ties():
    """Three 32-bit floats per agent; a cohort, ten handles, views and a selection on them."""
    rng = np.random.default_rng(2)
    ties = watts_strogatz(N, 10, 0.1, rng=rng)
    values = rng.random(N, dtype=np.float32)

    def society():
        model = abm.Model(seed=1)
        people = abm.Population(model, opinion=values, trust=values, income=values)
        cohort = PairwiseCohort(
            compromise, people.opinion, rate=0.01, network=ties, params=(0.5,),
            rng=model.chance("meetings"), compiled=False,
        )  # fmt: skip
        people.attach(cohort)
        for agent in people.agents(range(10)):
            agent.trust = 0.5
        people.select(pl.col("income") > 2.0)["trust"] = 0.0
        model.run_until(1.0)
        people.catch_up()
        return people

    society()  # imports
    people, kept, most = measured(society)
    raw = 3 * values.nbytes
    assert people.agent(3).key == 3
    assert kept < 1.05 * raw
    assert most < 1.5 * raw


def test_births_and_deaths_keep_columns_within_a_quarter():
    """Ids and keys, 16 bytes, are written down with the first birth or death."""

    def history():
        people = abm.Population(state=np.zeros((N, 8)))
        people.remove(np.arange(1000))
        people.add(state=np.ones((500, 8)))
        return people

    people, kept, _ = measured(history)
    assert people.n == N - 500
    assert kept < 1.3 * (people.state.nbytes + 16 * people.n)


def test_categories_are_codes_however_many_there_are():
    """500 villages among 2,000 people: a table of one column per village would be 4 MB."""
    villages = np.arange(2000) % 500
    names = np.array([f"village {i}" for i in villages])
    homophilous(names, 4, 2.0, rng=np.random.default_rng(1))
    _, _, most = measured(lambda: homophilous(names, 4, 2.0, rng=np.random.default_rng(1)))
    assert most < 2_000_000


def test_births_and_deaths_hold_old_and_new_rows_for_a_moment_only():
    """Beside what is there, 28 bytes (three 32-bit floats, id, key): a death takes another copy,
    the birth that needs room a copy and a quarter, and births that fill this room 8 bytes."""
    people = abm.Population(a=np.zeros(N, "f4"), b=np.zeros(N, "f4"), c=np.zeros(N, "f4"))
    newcomer = {"a": 0, "b": 0, "c": 0}
    people.add(**newcomer)  # imports, and writes ids and keys down
    raw = 28 * N
    for change, least, limit in (
        (lambda: people.remove([3]), 0.9, 1.5),
        (lambda: people.add(**newcomer), 1.2, 1.6),
        (lambda: people.add(**newcomer), 0.0, 0.3),
    ):
        _, _, most = measured(change)
        assert least * raw < most < limit * raw
