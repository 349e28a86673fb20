"""The data: ANES 1996, cut at random into a half to fit and a half to score.

The fit sees four moments of one item in the first half: mean, standard deviation, share at the
ends, share in the centre. Held back are the asymmetry, the bimodality and the agreement of that
item in the second half, and its whole distribution there.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from abm.calibration import Targets, distribution, scalar
from abm.errors import CalibrationError, require
from abm.rng import chance, uniforms

__all__ = ["FITTED", "HELD_BACK", "ITEMS", "halves", "moments", "shares_of", "targets"]

Floats = NDArray[np.float64]

ITEMS: Mapping[str, tuple[str, int]] = {"party": ("PID", 0), "ideology": ("selfLR", 1)}
"""Item -> column of the survey and its lowest code; both have seven ordered categories."""
OTHERS: Mapping[str, tuple[int, int]] = {"ClinLR": (1, 7), "DoleLR": (1, 7), "vote": (0, 2)}
"""Further columns, for scores only -> lowest code and number of categories."""
FITTED = ("mean", "sd", "ends", "centre")
HELD_BACK = ("asymmetry", "bimodality", "agreement")
K = 7
_BOOTSTRAPS = 1000


@lru_cache(maxsize=1)
def respondents() -> pl.DataFrame:
    """The columns used here, one row per respondent, shape (944, 5), whole numbers."""
    from statsmodels.datasets import anes96

    frame = anes96.load_pandas().data
    names = [column for column, _ in ITEMS.values()] + list(OTHERS)
    return pl.DataFrame({name: frame[name].to_numpy().astype(np.int64) for name in names})


def halves(seed: int = 1996) -> tuple[pl.DataFrame, pl.DataFrame]:
    """A random half to fit and the other half to score; 472 respondents each.

    Examples
    --------
    >>> fit, score = halves()
    >>> fit.height, score.height
    (472, 472)
    """
    table = respondents()
    order = np.argsort(uniforms(seed, "halves", np.arange(table.height)), kind="stable")
    middle = table.height // 2
    return table[np.sort(order[:middle])], table[np.sort(order[middle:])]


def shares_of(table: pl.DataFrame, column: str, low: int, n: int = K) -> Floats:
    """Share of each category, shape (n,)."""
    counts = np.bincount(table[column].to_numpy() - low, minlength=n)
    return np.asarray(counts / counts.sum())


def moments(shares: ArrayLike) -> dict[str, float]:
    """Moments of seven ordered categories at 0, 1/6, ..., 1.

    `ends` is the share of the two outermost categories, `centre` that of the middle one;
    `asymmetry` the third central moment over the cubed standard deviation, `bimodality`
    (asymmetry^2 + 1) over the kurtosis, `agreement` that of van der Eijk (2001). nan where
    undefined.

    Examples
    --------
    >>> found = moments([0.5, 0, 0, 0, 0, 0, 0.5])
    >>> found["mean"], found["sd"], found["bimodality"], found["agreement"]
    (0.5, 0.5, 1.0, -1.0)
    """
    from abm.analysis.scales import agreement

    p = np.asarray(shares, dtype=np.float64)
    x = np.arange(K) / (K - 1)
    mean = float(p @ x)
    centred = x - mean
    variance = float(p @ centred**2)
    sd = variance**0.5
    nan = float("nan")
    skew = float(p @ centred**3) / sd**3 if sd > 0 else nan
    kurtosis = float(p @ centred**4) / variance**2 if sd > 0 else nan
    return {
        "mean": mean,
        "sd": sd,
        "ends": float(p[0] + p[-1]),
        "centre": float(p[K // 2]),
        "asymmetry": skew,
        "bimodality": (skew**2 + 1) / kurtosis if sd > 0 else nan,
        "agreement": float(agreement(p)),
    }


def targets(item: str = "ideology", seed: int = 1996) -> Targets:
    """Targets of one item: fitted moments of the first half, the rest of the second, held out.

    Standard errors of moments by 1,000 bootstrap draws of the half's respondents.

    Examples
    --------
    >>> found = targets("party")
    >>> found.fitted.names, found.held_out.names
    (('mean', 'sd', 'ends', 'centre'), ('asymmetry', 'bimodality', 'agreement', 'shares'))
    """
    require(
        item in ITEMS,
        CalibrationError,
        f"item = {item!r}, expected one of {list(ITEMS)}",
        argument="item",
        value=item,
    )
    column, low = ITEMS[item]
    fit, score = halves(seed)
    first, second = shares_of(fit, column, low), shares_of(score, column, low)
    made = [
        scalar(name, value, error)
        for name, (value, error) in _with_errors(first, fit.height, FITTED, seed).items()
    ]
    made += [
        scalar(name, value, error, held_out=True)
        for name, (value, error) in _with_errors(second, score.height, HELD_BACK, seed).items()
    ]
    made.append(distribution("shares", second, n=score.height, held_out=True))
    return Targets(made)


def _with_errors(
    shares: Floats, n: int, names: tuple[str, ...], seed: int
) -> dict[str, tuple[float, float]]:
    rng = chance(seed, "bootstrap")
    draws = [moments(counts / n) for counts in rng.multinomial(n, shares, size=_BOOTSTRAPS)]
    exact = moments(shares)
    return {name: (exact[name], float(np.std([d[name] for d in draws]))) for name in names}
