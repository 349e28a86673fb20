"""Recovery of planted parameters, and how much the data taught about each.

A calibration that cannot find parameters that it planted itself says nothing about parameters that
nobody knows. `recovery` compares estimates with truths over many planted sets; `contraction` says
what share of the prior variance the data removed, and how far the estimate lies from the truth in
posterior standard deviations (Betancourt 2018, "Towards a principled Bayesian workflow").
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import ArrayLike
from scipy import stats

from abm.calibration.trust.draws import checked, lengths, named
from abm.errors import CalibrationError, require

__all__ = ["contraction", "contraction_words", "recovery", "recovery_words"]


def recovery(
    truths: ArrayLike,
    draws: ArrayLike,
    *,
    names: Sequence[str] | None = None,
    smallest: float = 0.5,
) -> pl.DataFrame:
    """How well posterior means follow planted truths.

    Parameters
    ----------
    truths, draws
        As in `simulation_based_calibration`.
    smallest
        Correlation between truth and posterior mean from which a parameter counts as recovered;
        its 99.9 % lower confidence bound (Fisher's z) has to exceed 0 as well.

    Returns
    -------
    One row per parameter: `correlation`, `slope` (of the posterior mean on the truth; shrinkage
    towards the prior makes it less than 1), `bias` (mean of estimate - truth), `rmse`, `prior_sd`
    (of the truths), `n`, `recovered`.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> truth = rng.normal(size=50)
    >>> recovery(truth, truth[:, None] + 0.1 * rng.normal(size=(50, 40)))["recovered"][0]
    True
    >>> recovery(truth, rng.normal(size=(50, 40)))["recovered"][0]
    False
    """
    truth, drawn = checked(truths, draws)
    n = len(truth)
    require(n >= 5, CalibrationError, f"{n} planted sets, expected at least 5")
    means = np.nanmean(drawn, axis=1)
    rows = []
    for j, name in enumerate(named(None if names is None else list(names), truth.shape[1])):
        t, m = truth[:, j], means[:, j]
        spread = float(t.std())
        degenerate = spread == 0 or float(m.std()) == 0
        r = 0.0 if degenerate else float(np.corrcoef(t, m)[0, 1])
        slope = 0.0 if degenerate else float(np.cov(t, m)[0, 1] / t.var(ddof=1))
        sure = np.arctanh(min(r, 1 - 1e-12)) > stats.norm.ppf(0.999) / np.sqrt(n - 3)
        rows.append(
            {
                "parameter": name,
                "correlation": r,
                "slope": slope,
                "bias": float((m - t).mean()),
                "rmse": float(np.sqrt(((m - t) ** 2).mean())),
                "prior_sd": spread,
                "n": n,
                "recovered": bool(r >= smallest and sure),
            }
        )
    return pl.DataFrame(rows)


def recovery_words(table: pl.DataFrame) -> list[str]:
    """What a table of `recovery` means, a sentence per parameter."""
    return [
        f"{r['parameter']}: planted values are recovered with correlation {r['correlation']:.2f} "
        f"and error {r['rmse']:.3g} (prior spread {r['prior_sd']:.3g})"
        if r["recovered"]
        else f"{r['parameter']}: NOT RECOVERED. Over {r['n']} planted values the estimate follows "
        f"the truth with correlation {r['correlation']:.2f} only: these summaries, this number of "
        "runs or this tolerance do not determine it, and its posterior must not be read"
        for r in table.iter_rows(named=True)
    ]


def contraction(
    truths: ArrayLike,
    draws: ArrayLike,
    prior_sd: ArrayLike,
    *,
    names: Sequence[str] | None = None,
) -> pl.DataFrame:
    """Contraction 1 - Var(posterior) / Var(prior) and z score (mean - truth) / sd, averaged.

    Parameters
    ----------
    prior_sd
        Standard deviations of the prior, shape (n_parameters,), > 0.

    Returns
    -------
    One row per parameter: `contraction` (mean over sets with two draws or more; 1: the data say
    everything, 0: nothing, negative: wider than the prior), `z_mean`, `z_sd` (near 0 and 1 for a
    right posterior).

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> table = contraction([0.0], 0.1 * rng.normal(size=(1, 4000)), [1.0])
    >>> round(table["contraction"][0], 2)
    0.99
    """
    truth, drawn = checked(truths, draws)
    prior = np.atleast_1d(np.asarray(prior_sd, dtype=np.float64))
    require(
        prior.shape == (truth.shape[1],) and bool((prior > 0).all()),
        CalibrationError,
        f"prior_sd = {prior.tolist()}, expected {truth.shape[1]} positive numbers",
    )
    enough = lengths(drawn) >= 2  # one draw has no spread
    truth, drawn = truth[enough], drawn[enough]
    sd = np.nanstd(drawn, axis=1, ddof=1)
    z = np.divide(
        np.nanmean(drawn, axis=1) - truth, sd, out=np.full_like(truth, np.nan), where=sd > 0
    )
    return pl.DataFrame(
        {
            "parameter": named(None if names is None else list(names), truth.shape[1]),
            "contraction": (1 - sd**2 / prior**2).mean(axis=0),
            "z_mean": z.mean(axis=0),
            "z_sd": z.std(axis=0),
        }
    )


def contraction_words(table: pl.DataFrame) -> list[str]:
    """What a table of `contraction` means, a sentence per parameter."""
    return [
        f"{r['parameter']}: the data remove {100 * r['contraction']:.0f} % of the prior variance"
        + ("; the prior speaks, not the data" if r["contraction"] < 0.1 else "")
        for r in table.iter_rows(named=True)
    ]
