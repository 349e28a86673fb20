"""Dose and response: a planted slope is found and covered at the nominal rate."""

import math

import numpy as np
import polars as pl
import pytest
from scipy import stats

from abm.analysis.doses import dose_slope
from abm.errors import AnalysisError


def planted(rng, slope, n=8):
    doses = np.array([0.0, 0.5, 1.0, 3.0])
    rows = []
    for r in range(n):
        mine = slope + rng.normal(0, 0.1)
        base = rng.normal(0, 5)
        rows += [(r, d, base + mine * d + rng.normal(0, 0.2)) for d in doses]
    return pl.DataFrame(rows, schema=["replication", "dose", "y"], orient="row")


def test_the_slope_of_each_replication_is_that_of_linear_regression():
    frame = planted(np.random.default_rng(81), 0.5)
    known = [
        stats.linregress(part["dose"], part["y"]).slope
        for part in frame.partition_by("replication")
    ]
    assert dose_slope(frame, outcome="y", dose="dose").estimate == pytest.approx(np.mean(known))


def test_slopes_are_covered_at_the_nominal_rate():
    # Seed 82, 400 studies; false alarm 1 in 1000.
    rng, n, inside = np.random.default_rng(82), 400, 0
    for _ in range(n):
        e = dose_slope(planted(rng, 0.5, n=5), outcome="y", dose="dose", level=0.9)
        inside += e.low <= 0.5 <= e.high
    low, high = stats.binom.interval(0.999, n, 0.9)
    assert low <= inside <= high


def test_a_replication_with_an_undefined_outcome_is_left_out_and_said():
    frame = planted(np.random.default_rng(83), 0.5, n=3)
    frame = frame.with_columns(y=pl.when(pl.col("replication") == 1).then(None).otherwise("y"))
    e = dose_slope(frame, outcome="y", dose="dose")
    assert e.n == 2
    assert not math.isnan(e.estimate)
    assert e.reason == "1 undefined replication left out"


def test_one_dose_has_no_slope_and_is_refused():
    frame = pl.DataFrame({"replication": [0, 1], "dose": [1.0, 1.0], "y": [0.0, 1.0]})
    with pytest.raises(AnalysisError, match="two or more different"):
        dose_slope(frame, outcome="y", dose="dose")
