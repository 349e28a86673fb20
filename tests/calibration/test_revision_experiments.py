"""Planted weights of synthetic opinion-revision experiments come back, with honest intervals."""

import numpy as np
import polars as pl
import pytest

from abm.calibration.revision import (
    fit_weight,
    influence,
    load_experiment,
    synthetic_experiment,
)
from abm.errors import CalibrationError


def test_planted_weight_spread_and_noise_come_back():
    """200 groups of 6: standard errors are about 0.006 (weight), 0.01 (spread), 0.003 (noise)."""
    table = synthetic_experiment(n_groups=200, weight=0.35, weight_sd=0.2, noise=0.2, seed=1)
    social = load_experiment(table).revisions.filter(condition="social")
    fit = fit_weight(social)
    assert fit.weight == pytest.approx(0.40, abs=0.03)  # 0.35 and the drift of 0.05
    assert fit.spread == pytest.approx(0.2, abs=0.04)
    assert fit.noise == pytest.approx(0.2, abs=0.012)


def test_only_the_contrast_is_social_influence():
    found = influence(load_experiment(synthetic_experiment(drift=0.2, seed=2)), n_resamples=200)
    contrast = found.row("contrast", "weight")
    assert contrast["low"] < 0.35 < contrast["high"]
    assert contrast["high"] - contrast["low"] < 0.2
    assert found.row("control", "weight")["estimate"] == pytest.approx(0.2, abs=0.05)
    assert found.spread_p["social"] <= 0.01
    assert found.spread_p["control"] > 0.01


@pytest.mark.slow
def test_intervals_of_the_contrast_cover_the_planted_weight():
    """60 experiments of 24 groups; a percentile bootstrap over 12 groups per condition is a little
    too narrow, so the lower limit is the 99.9 % binomial bound of 87 % coverage: 43 of 60.
    """
    inside = 0
    for seed in range(60):
        table = synthetic_experiment(n_groups=24, group_size=5, n_rounds=2, seed=seed)
        row = influence(load_experiment(table), n_resamples=100, seed=seed).row(
            "contrast", "weight"
        )
        inside += row["low"] < 0.35 < row["high"]
    assert 43 <= inside <= 60


def test_weights_by_hand():
    """Two people: each moves by its own share of the gap; groups of one are left out, and said."""
    table = pl.DataFrame(
        {
            "person": ["a", "a", "b", "b", "c", "c", "d"],
            "group": ["g", "g", "g", "g", "alone", "alone", "g"],
            "condition": ["social"] * 7,
            "round": [1, 2, 1, 2, 1, 2, 2],
            "answer": [0.0, 2.0, 10.0, 9.0, 5.0, 5.0, 3.0],
        }
    )
    experiment = load_experiment(table)
    assert experiment.revisions.sort("person").select("gap", "move").rows() == [
        (10.0, 2.0),
        (-10.0, -1.0),
    ]
    assert experiment.left_out == {
        "no other person of the group answered in the round before": 1,
        "the person has no answer in the round before": 1,
    }


def test_a_log_scale_makes_weights_of_proportions(tmp_path):
    table = synthetic_experiment(seed=3)
    path = tmp_path / "sweets.csv"
    table.with_columns(pl.col("answer").exp()).rename({"person": "subject"}).write_csv(path)
    logs = load_experiment(path, columns={"person": "subject"}, scale="log")
    plain = load_experiment(table)
    assert fit_weight(logs.revisions).weight == pytest.approx(fit_weight(plain.revisions).weight)


def test_the_likelihood_is_that_of_the_full_covariance():
    """Against the density of a multivariate normal, person by person."""
    from scipy.stats import multivariate_normal

    from abm.calibration.revision.weights import _at, _Sums

    revisions = load_experiment(synthetic_experiment(n_groups=6, n_rounds=4, seed=4)).revisions
    sums = _Sums.of(revisions)
    value, weight, variance = _at(sums, np.ones(len(sums.n)), 0.7)
    total = 0.0
    for (_,), part in revisions.group_by("person"):
        gap, move = part["gap"].to_numpy(), part["move"].to_numpy()
        covariance = variance * (np.eye(len(gap)) + 0.7 * np.outer(gap, gap))
        total += multivariate_normal(weight * gap, covariance).logpdf(move)
    n = revisions.height
    assert value == pytest.approx(total + 0.5 * n * np.log(2 * np.pi), rel=1e-9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"drop": "round"}, "lacks the columns 'round'"),
        ({"round": "first"}, "'round': 432 values are not numbers"),
        ({"answer": "many"}, "'answer'"),
        ({"round": 1}, "several answers in one round"),
        ({"round": 1.5}, r"'round' holds \[1.5\], expected whole numbers"),
        ({"answer": None}, "none of 432 rows has a person"),
    ],
)
def test_files_that_do_not_hold_together_are_refused(change, message):
    table = synthetic_experiment(n_groups=24, seed=1)
    table = (
        table.drop("round")
        if "drop" in change
        else table.with_columns(**{k: pl.lit(v) for k, v in change.items()})
    )
    with pytest.raises(CalibrationError, match=message):
        load_experiment(table)


def test_unknown_conditions_and_few_groups_are_refused():
    experiment = load_experiment(synthetic_experiment(n_groups=4, seed=1))
    with pytest.raises(CalibrationError, match="at least 5"):
        influence(experiment)
    with pytest.raises(CalibrationError, match="there is no condition 'treated'"):
        influence(experiment, social="treated")
    with pytest.raises(CalibrationError, match="expected two conditions"):
        influence(experiment, control="social")
    with pytest.raises(CalibrationError, match="n_resamples = '400', expected a whole number"):
        influence(experiment, n_resamples="400")
    with pytest.raises(CalibrationError, match="there is no file"):
        load_experiment("nowhere.csv")
    with pytest.raises(CalibrationError, match="not positive"):
        load_experiment(synthetic_experiment(seed=1), scale="log")
