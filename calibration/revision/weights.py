"""The DeGroot weight of a revision experiment, how it differs between people, and what is social.

A person moves by w_i x gap + noise, with w_i normal over people (mean w, standard deviation tau):
the random-coefficient form of DeGroot's (1974) averaging, J. Am. Stat. Assoc. 69, 118. w, tau and
the noise are estimated by maximum likelihood, per condition. A control condition in which nobody
sees anything has a weight too, because answers that lie far out come back by themselves; only the
difference between the conditions is social influence. Intervals resample whole groups.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from abm.calibration.checks import check_options
from abm.calibration.revision.data import Experiment
from abm.errors import CalibrationError, require
from abm.rng import chance

__all__ = ["Influence", "WeightFit", "fit_weight", "influence"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class WeightFit:
    """Maximum-likelihood estimate of one condition.

    Attributes
    ----------
    weight
        Mean weight w: share of the gap to the others that a revision closes.
    spread
        Standard deviation tau of the weights over people, >= 0.
    noise
        Standard deviation of a revision around its expectation.
    """

    weight: float
    spread: float
    noise: float


@dataclass(frozen=True, eq=False)
class Influence:
    """Estimates with intervals from resampled groups.

    Attributes
    ----------
    table
        One row per condition and quantity (`weight`, `spread`, `noise`), and one for the
        contrast: `condition`, `quantity`, `estimate`, `low`, `high`, `level`, `n` (groups).
    spread_p
        Condition -> p of the hypothesis that all people have one weight (parametric bootstrap of
        the likelihood ratio; `tau` lies on its boundary there).
    """

    table: pl.DataFrame
    spread_p: dict[str, float]
    n_resamples: int

    def row(self, condition: str, quantity: str) -> dict[str, float]:
        """Estimate and interval of one quantity."""
        found = self.table.filter(condition=condition, quantity=quantity)
        require(found.height == 1, CalibrationError, f"no row for {condition!r}, {quantity!r}")
        return found.row(0, named=True)

    @property
    def words(self) -> list[str]:
        """What it means, in sentences."""
        said = []
        for r in self.table.iter_rows(named=True):
            value = f"{r['estimate']:.3f} [{r['low']:.3f}, {r['high']:.3f}]"
            if r["quantity"] == "weight" and r["condition"] != "contrast":
                said.append(f"{r['condition']}: a revision closes {value} of the gap to the others")
            if r["quantity"] == "spread":
                p = self.spread_p[r["condition"]]
                kind = "people differ" if p < 0.01 else "no proof that people differ"
                said.append(f"{r['condition']}: weights vary between people by {value} ({kind})")
            if r["condition"] == "contrast":
                proof = "" if r["low"] > 0 or r["high"] < 0 else ", which is no proof of influence"
                said.append(f"social influence, the difference of the two: {value}{proof}")
        return said


def fit_weight(revisions: pl.DataFrame) -> WeightFit:
    """Maximum likelihood of w, tau and noise from columns `person`, `gap` and `move`.

    Raises
    ------
    CalibrationError
        Fewer than 10 revisions, or no gap differs from zero.

    Examples
    --------
    >>> gap = np.linspace(-2, 2, 40)
    >>> table = pl.DataFrame({"person": np.arange(40), "gap": gap, "move": 0.25 * gap})
    >>> round(fit_weight(table).weight, 6)
    0.25
    """
    require(
        revisions.height >= 10,
        CalibrationError,
        f"{revisions.height} revisions, expected at least 10 to estimate a weight",
    )
    return _maximum(_Sums.of(revisions), np.ones(revisions["person"].n_unique()))


def influence(
    experiment: Experiment,
    *,
    social: str = "social",
    control: str | None = "control",
    level: float = 0.9,
    n_resamples: int = 400,
    seed: int = 0,
) -> Influence:
    """Weights by condition and the social-against-control contrast.

    Parameters
    ----------
    social, control
        Names of the conditions; `control=None` where there is none, and then no contrast.
    level
        Of the percentile intervals over resampled groups.
    n_resamples
        >= 100.

    Raises
    ------
    CalibrationError
        An unknown condition, or fewer than 5 groups in one.

    Examples
    --------
    >>> from abm.calibration.revision import load_experiment, synthetic_experiment
    >>> experiment = load_experiment(synthetic_experiment(weight=0.35, seed=1))
    >>> found = influence(experiment, n_resamples=100).row("contrast", "weight")
    >>> bool(found["low"] < 0.35 < found["high"])
    True
    """
    check_options(influence, locals())
    require(
        social != control,
        CalibrationError,
        f"social and control are both {social!r}, expected two conditions, or control = None",
        argument="control",
    )
    require(n_resamples >= 100, CalibrationError, f"n_resamples = {n_resamples}, expected >= 100")
    require(0 < level < 1, CalibrationError, f"level = {level}, expected 0 < level < 1")
    rows: list[dict[str, Any]] = []
    p_values: dict[str, float] = {}
    draws: dict[str, Floats] = {}
    for name in [social] if control is None else [social, control]:
        sums, fit, drawn = _condition(experiment, name, n_resamples, seed)
        draws[name] = drawn
        p_values[name] = _spread_test(sums, fit, chance(seed, "spread test", name))
        for j, quantity in enumerate(("weight", "spread", "noise")):
            rows.append(_row(name, quantity, getattr(fit, quantity), drawn[:, j], level, sums))
    if control is not None:
        gap = draws[social][:, 0] - draws[control][:, 0]
        estimate = rows[0]["estimate"] - rows[3]["estimate"]
        rows.append({**_row("contrast", "weight", estimate, gap, level, None)})
        rows[-1]["n"] = rows[0]["n"] + rows[3]["n"]
    return Influence(pl.DataFrame(rows), p_values, n_resamples)


@dataclass(frozen=True, eq=False)
class _Sums:
    """What the likelihood needs of each person: n, gap.gap, gap.move, move.move; and the group."""

    n: Floats
    gg: Floats
    gm: Floats
    mm: Floats
    group: NDArray[np.int64]

    @classmethod
    def of(cls, revisions: pl.DataFrame) -> _Sums:
        keys = ["person", *(["group"] if "group" in revisions.columns else [])]
        by = revisions.group_by(keys, maintain_order=True).agg(
            pl.len().alias("n"),
            (pl.col("gap") ** 2).sum().alias("gg"),
            (pl.col("gap") * pl.col("move")).sum().alias("gm"),
            (pl.col("move") ** 2).sum().alias("mm"),
        )
        group = np.zeros(by.height, dtype=np.int64)
        if "group" in by.columns:
            _, group = np.unique(by["group"].to_numpy(), return_inverse=True)
        n, gg, gm, mm = (by[name].cast(pl.Float64).to_numpy() for name in ("n", "gg", "gm", "mm"))
        sums = cls(n, gg, gm, mm, group)
        require(
            float(sums.gg.sum()) > 0,
            CalibrationError,
            "nobody ever stood apart from the others: no weight can be estimated",
        )
        return sums


def _maximum(sums: _Sums, times: Floats) -> WeightFit:
    """Profile likelihood over ratio = tau^2 / noise^2; persons count `times` times."""

    def profile(log_ratio: float) -> float:
        return -_at(sums, times, float(np.exp(log_ratio)))[0]

    unit = float(np.mean(sums.gg / sums.n))
    bounds = (np.log(1e-6 / unit), np.log(1e4 / unit))
    found = minimize_scalar(profile, bounds=bounds, method="bounded", options={"xatol": 1e-4})
    ratio = float(np.exp(found.x))
    if _at(sums, times, 0.0)[0] >= -float(found.fun) - 1e-9:
        ratio = 0.0
    _, weight, variance = _at(sums, times, ratio)
    return WeightFit(weight, float(np.sqrt(ratio * variance)), float(np.sqrt(variance)))


def _at(sums: _Sums, times: Floats, ratio: float) -> tuple[float, float, float]:
    """(log-likelihood, weight, noise variance) at the best weight and noise given the ratio.

    The moves of a person have covariance noise^2 (I + ratio g g'), with inverse
    I - ratio g g' / (1 + ratio g.g) and determinant 1 + ratio g.g.
    """
    stretch = 1.0 + ratio * sums.gg
    weight = float((times * sums.gm / stretch).sum() / (times * sums.gg / stretch).sum())
    rest = sums.mm - 2 * weight * sums.gm + weight**2 * sums.gg
    along = sums.gm - weight * sums.gg
    squares = float((times * (rest - ratio * along**2 / stretch)).sum())
    n = float((times * sums.n).sum())
    variance = max(squares / n, 1e-300)
    value = -0.5 * (n * np.log(variance) + float((times * np.log(stretch)).sum()) + n)
    return value, weight, variance


def _condition(
    experiment: Experiment, name: str, n_resamples: int, seed: int
) -> tuple[_Sums, WeightFit, Floats]:
    require(
        name in experiment.conditions,
        CalibrationError,
        f"there is no condition {name!r}; there are {experiment.conditions}",
        value=name,
    )
    part = experiment.revisions.filter(condition=name)
    sums = _Sums.of(part)
    n_groups = int(sums.group.max()) + 1
    require(
        n_groups >= 5,
        CalibrationError,
        f"condition {name!r} has {n_groups} groups, expected at least 5: groups are the sample, "
        "because their members have seen each other",
    )
    fit = fit_weight(part)
    rng = chance(seed, "groups", name)
    draws = np.empty((n_resamples, 3))
    for i in range(n_resamples):
        taken = np.bincount(rng.integers(0, n_groups, n_groups), minlength=n_groups)
        found = _maximum(sums, taken[sums.group].astype(np.float64))
        draws[i] = found.weight, found.spread, found.noise
    return sums, fit, draws


def _spread_test(sums: _Sums, fit: WeightFit, rng: np.random.Generator, n: int = 99) -> float:
    """p of equal weights: likelihood ratios of data made with one weight for all."""
    ones = np.ones(len(sums.n))
    value, weight, variance = _at(sums, ones, 0.0)
    observed = _ratio(sums, fit, ones) - value
    larger = 0
    for _ in range(n):
        # Given the gaps, sums of a person are: gm = w gg + s sqrt(gg) z; mm = the rest chi-squared.
        z = rng.normal(size=len(sums.n))
        rest = np.where(sums.n > 1, rng.chisquare(np.maximum(sums.n - 1, 1)), 0.0)
        gm = weight * sums.gg + np.sqrt(variance * sums.gg) * z
        along = np.divide(gm**2, sums.gg, out=np.zeros_like(gm), where=sums.gg > 0)
        made = _Sums(sums.n, sums.gg, gm, along + variance * rest, sums.group)
        again = _maximum(made, ones)
        larger += _ratio(made, again, ones) - _at(made, ones, 0.0)[0] >= observed - 1e-12
    return (larger + 1) / (n + 1)


def _ratio(sums: _Sums, fit: WeightFit, times: Floats) -> float:
    ratio = (fit.spread / fit.noise) ** 2 if fit.noise > 0 else 0.0
    return _at(sums, times, ratio)[0]


def _row(
    condition: str, quantity: str, estimate: float, draws: Floats, level: float, sums: _Sums | None
) -> dict[str, Any]:
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return {
        "condition": condition,
        "quantity": quantity,
        "estimate": estimate,
        "low": float(low),
        "high": float(high),
        "level": level,
        "n": 0 if sums is None else int(sums.group.max()) + 1,
    }
