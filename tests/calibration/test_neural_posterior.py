"""A network learns the posterior of a linear Gaussian model, or says what it lacks."""

import math
import sys

import numpy as np
import pytest

from abm.calibration import Independent, Problem, Simulations, Targets, normal, scalar
from abm.calibration.npe import npe
from abm.errors import CalibrationError, MissingExtra


def noisy(parameters, seed, fidelity):
    return {"y": parameters["a"] + 0.5 * np.random.default_rng(seed).normal()}


def learned(**options):
    prior = Independent({"a": normal(0, 1)})
    with Simulations(Problem(noisy, prior, Targets([scalar("y", 1.0)]), seed=3)) as simulations:
        return npe(simulations, **options)


def test_without_sbi_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sbi.inference", None)
    monkeypatch.setitem(sys.modules, "sbi", None)
    with pytest.raises(MissingExtra, match=r"agora-abm\[npe\]"):
        learned()


def test_options_out_of_range_are_refused():
    for option in ({"n_simulations": 50}, {"density_estimator": "mof"}, {"max_epochs": 0}):
        with pytest.raises(CalibrationError, match=next(iter(option))):
            learned(**option)


@pytest.mark.slow
def test_the_posterior_of_a_gaussian_is_learned_again_and_again_the_same(
    tmp_path, monkeypatch, capsys
):
    """y = 1 with noise 0.5 under N(0, 1): mean 0.8, sd 0.447. A fifth of the sd for the network."""
    pytest.importorskip("sbi", reason="needs the extra `npe`")
    monkeypatch.chdir(tmp_path)
    post = learned(n_simulations=800, density_estimator="mdn")
    assert post.mean[0] == pytest.approx(0.8, abs=0.1)
    assert post.sd[0] == pytest.approx(math.sqrt(0.2), abs=0.1)
    assert not any(notice.outcome == "not_converged" for notice in post.notices)
    assert not list(tmp_path.iterdir())
    assert capsys.readouterr().out == ""
    again = learned(n_simulations=800, density_estimator="mdn")
    assert again.draws.tobytes() == post.draws.tobytes()


@pytest.mark.slow
def test_training_that_was_cut_short_is_said():
    pytest.importorskip("sbi", reason="needs the extra `npe`")
    post = learned(n_simulations=200, max_epochs=2)
    assert any(notice.outcome == "not_converged" for notice in post.notices)
