"""Coverage: a 90 % interval contains the truth in 90 % of data sets, up to binomial chance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import ArrayLike
from scipy import stats

from abm.calibration.checks import check_level, whole
from abm.calibration.trust.draws import checked, named
from abm.errors import CalibrationError, require

__all__ = ["binomial_band", "coverage", "coverage_words", "interval_coverage"]


def binomial_band(n: int, level: float, *, band: float = 0.999) -> tuple[float, float]:
    """Shares of n data sets between which a right interval falls with probability `band`.

    Examples
    --------
    >>> low, high = binomial_band(200, 0.9)
    >>> round(low, 3), round(high, 3)
    (0.825, 0.96)
    """
    check_level(level)
    whole(n, "n", 1)
    tail = (1 - band) / 2
    low, high = (float(stats.binom.ppf(p, n, level)) for p in (tail, 1 - tail))
    return low / n, high / n


def coverage(
    truths: ArrayLike,
    draws: ArrayLike,
    *,
    levels: Sequence[float] = (0.5, 0.9),
    names: Sequence[str] | None = None,
) -> pl.DataFrame:
    """Share of data sets whose central credible interval holds the truth.

    Parameters
    ----------
    truths, draws
        As in `simulation_based_calibration`.
    levels
        Nominal levels, in (0, 1). A set with fewer than 2 / (1 - level) - 1 draws cannot have an
        interval of that level: from smallest to largest draw it covers less, and this is counted.

    Returns
    -------
    One row per parameter and level: `parameter`, `level`, `n`, `share`, the binomial band `low` and
    `high` (99.9 %), and `holds`.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> coverage(rng.normal(size=500), rng.normal(size=(500, 200)))["holds"].to_list()
    [True, True]
    """
    truth, drawn = checked(truths, draws)
    tables = []
    for level in levels:
        check_level(level)
        tails = [(1 - level) / 2, (1 + level) / 2]
        low, high = np.nanquantile(drawn, tails, axis=1, method="weibull")
        tables.append(interval_coverage(truth, low, high, level=level, names=names))
    return pl.concat(tables)


def interval_coverage(
    truths: ArrayLike,
    low: ArrayLike,
    high: ArrayLike,
    *,
    level: float,
    names: Sequence[str] | None = None,
) -> pl.DataFrame:
    """The table of `coverage` from intervals made by any method, all (n_sets, n_parameters).

    Examples
    --------
    >>> interval_coverage([[0.5], [2.0]], [[0.0], [0.0]], [[1.0], [1.0]], level=0.9)["share"][0]
    0.5
    """
    truth, left, right = (np.asarray(v, dtype=np.float64) for v in (truths, low, high))
    if truth.ndim == 1:
        truth, left, right = truth[:, None], left.reshape(-1, 1), right.reshape(-1, 1)
    require(
        truth.shape == left.shape == right.shape and truth.ndim == 2,
        CalibrationError,
        f"truths {truth.shape}, low {left.shape} and high {right.shape} differ in shape",
    )
    n = len(truth)
    share = ((left <= truth) & (truth <= right)).mean(axis=0)
    band = binomial_band(n, level)
    return pl.DataFrame(
        {
            "parameter": named(None if names is None else list(names), truth.shape[1]),
            "level": level,
            "n": n,
            "share": share,
            "low": band[0],
            "high": band[1],
            "holds": (share >= band[0]) & (share <= band[1]),
        }
    )


def coverage_words(table: pl.DataFrame) -> list[str]:
    """What a table of `coverage` means, a sentence per row."""
    return [_words(row) for row in table.iter_rows(named=True)]


def _words(row: dict[str, object]) -> str:
    share, level = float(row["share"]), float(row["level"])  # type: ignore[arg-type]
    head = (
        f"{row['parameter']}: {100 * level:g} % intervals hold the truth in {100 * share:.1f} % of "
        f"{row['n']} data sets"
    )
    if row["holds"]:
        return head + ", as often as they should up to chance"
    kind = "too narrow or displaced" if share < level else "too wide"
    return head + f": they are {kind}"
