"""Columns of every type that NumPy has, populations of nobody, targets that are no numbers."""

from __future__ import annotations

import datetime

import numpy as np
import polars as pl
import pytest

import abm
from abm.errors import NetworkError, PopulationError
from abm.kernels import PairwiseCohort, PoissonCohort, run_pairwise
from abm.networks import barabasi_albert, complete, erdos_renyi, watts_strogatz
from abm.population import Population, rake

DAY = datetime.date(2001, 1, 2)
COLUMNS = {
    "truth": (np.array([True, False]), pl.Boolean, True),
    "half": (np.array([1.5, 2.5], np.float16), None, 1.5),
    "unsigned": (np.array([2**64 - 1, 1], np.uint64), pl.UInt64, 2**64 - 1),
    "complex": (np.array([1 + 2j, 3]), pl.Object, 1 + 2j),
    "text": (np.array(["a", "long"]), pl.String, "a"),
    "days": (np.array([DAY, DAY], "datetime64[D]"), pl.Date, DAY),
    "months": (
        np.array(["2001-01", "2001-02"], "datetime64[M]"),
        pl.Date,
        datetime.date(2001, 1, 1),
    ),
    "seconds": (
        np.array(["2001-01-02T03", "2001-01-02"], "datetime64[s]"),
        pl.Datetime("ms"),
        datetime.datetime(2001, 1, 2, 3),
    ),
    "nanoseconds": (
        np.array(["2001-01-02T03", "2001-01-02"], "datetime64[ns]"),
        pl.Datetime("ns"),
        datetime.datetime(2001, 1, 2, 3),
    ),
    "spans": (np.array([1, 2], "timedelta64[D]"), pl.Duration("ms"), datetime.timedelta(1)),
    "pairs": ([("a", 1), ("b", 2)], pl.Object, ("a", 1)),
}  # fmt: skip


@pytest.mark.parametrize("kind", COLUMNS)
def test_columns_of_any_type_go_out_come_back_and_are_seen_by_handles(kind):
    values, dtype, first = COLUMNS[kind]
    people = Population(abm.Model(seed=1), it=values)
    frame = people.frame()
    assert dtype is None or frame["it"].dtype == dtype
    back = Population.from_frame(frame)
    assert [*back.frame()["it"]] == [*frame["it"]]
    ann = people.agent(0)
    assert ann.it == first
    people.agent(1).it = ann.it
    assert people.agent(1).it == first
    people.add(it=people["it"][:1])
    people.remove([0])
    assert people.agent(1).it == first
    assert people.rows(pl.col("it").is_not_null()).tolist() == [0, 1]


def test_tuples_of_numbers_are_a_column_of_places():
    people = Population(place=[(0.0, 1.0), (2.0, 3.0)])
    assert people.place.shape == (2, 2)


def swap(own, other, p):
    return other, own


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("schedule", ["asynchronous", "sweep", "synchronous", "matching"])
def test_where_nobody_can_act_nothing_happens(schedule, compiled):
    for x, ties, members in ((np.empty(0), None, None), (np.zeros(3), complete(3), [])):
        run = run_pairwise(
            swap, x, ties, rounds=3, schedule=schedule, members=members, compiled=compiled,
            rng=np.random.default_rng(1),
        )  # fmt: skip
        assert run.n_updates == 0


def test_a_population_may_die_out_and_begin_anew_under_a_cohort():
    model = abm.Model(seed=1)
    people = Population(model, x=np.empty(0))
    cohort = PairwiseCohort(swap, people.x, rate=1.0, rng=model.chance("c"), compiled=False)
    people.attach(cohort)
    model.run_until(2.0)
    people.add(x=[0.0, 1.0, 2.0])
    model.run_until(6.0)
    assert sorted(people.x.tolist()) == [0.0, 1.0, 2.0]
    assert cohort.n_updates > 0
    people.remove([0, 1, 2])
    before = cohort.n_updates
    model.run_until(9.0)
    people.catch_up()
    assert cohort.n_updates == before


def test_newcomers_with_a_negative_rate_are_named():
    def rest(i, now, state, p):
        pass

    model = abm.Model(seed=1)
    people = Population(model, x=np.zeros(3), rate=np.ones(3))
    cohort = PoissonCohort(rest, (people.x, people.rate), rate=people.rate, seed=1)
    people.attach(cohort)
    with pytest.raises(abm.errors.EngineError, match=r"agent 3 has -2\.0"):
        people.add(x=0.0, rate=-2.0)


def test_numbers_that_are_none_are_refused_by_name():
    frame = pl.DataFrame({"sex": ["f", "m"]})
    with pytest.raises(PopulationError, match=r"marginal 'sex': .*'many'"):
        rake(frame, {"sex": {"f": "many", "m": 2}})
    rng = np.random.default_rng(1)
    for make, name in (
        (lambda: erdos_renyi(1e3, 0.1, rng=rng), r"n = 1000\.0"),
        (lambda: watts_strogatz(10, 4.0, 0.1, rng=rng), r"k = 4\.0"),
        (lambda: barabasi_albert(10, 2.5, rng=rng), r"m = 2\.5"),
    ):
        with pytest.raises(NetworkError, match=name):
            make()


def test_a_column_that_is_called_n_is_told_so_in_one_line():
    with pytest.raises(PopulationError, match=r"n of type ndarray.*another name") as caught:
        Population(abm.Model(seed=1), n=np.zeros(1000), x=np.zeros(1000))
    assert len(str(caught.value)) < 200
