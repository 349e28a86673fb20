"""Tables of tails: observed sizes and fitted distributions, for `cascade_ccdf`."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from abm.analysis.tail_alternatives import (
    compare_tails,
    exponential_ccdf,
    lognormal_ccdf,
    power_law_ccdf,
)
from abm.analysis.tails import TailFit, tail_ccdf

__all__ = ["tail_table"]


def tail_table(values: ArrayLike, fit: TailFit, *, points: int = 60) -> pl.DataFrame:
    """Observed sizes with their share at or above, and the same of the fitted tails.

    Parameters
    ----------
    values
        The sample that `fit` was made from.
    points
        Sizes at which fits are given, evenly spaced in their logarithm; observed sizes are thinned
        to ten times as many.

    Returns
    -------
    Columns `size`, `share` and `kind` (`observed`, `power law`, `lognormal`, `exponential`). Fits
    start at xmin, at the share of the sample that is in the tail. An undefined fit has no rows.

    References
    ----------
    Clauset, Shalizi and Newman (2009), SIAM Review 51, 661-703, figure 6.1, which shows tails so.

    Examples
    --------
    >>> from abm.analysis.tails import draw_tail, fit_tail
    >>> sizes = draw_tail(2.5, 1, 1000, discrete=True, rng=np.random.default_rng(1))
    >>> table = tail_table(sizes, fit_tail(sizes, discrete=True, xmin=1))
    >>> table["kind"].unique(maintain_order=True).to_list()
    ['observed', 'power law', 'lognormal', 'exponential']
    """
    x, share = tail_ccdf(values)
    x, share = x[x > 0], share[x > 0]
    keep = _thinned(x, 10 * points)
    parts = [_part(x[keep], share[keep], "observed")]
    if not fit.reason:
        sizes = np.geomspace(fit.xmin, x[-1], points)
        at = np.unique(np.round(sizes)) if fit.discrete else sizes
        compared = compare_tails(values, fit, alternatives=("lognormal", "exponential"))
        others = {row["alternative"]: row for row in compared.iter_rows(named=True)}
        first = float(share[np.searchsorted(x, fit.xmin)])
        log, exp = others["lognormal"], others["exponential"]
        fitted = {
            "power law": power_law_ccdf(at, fit),
            "lognormal": lognormal_ccdf(at, fit.xmin, log["first"], log["second"], fit.discrete),
            "exponential": exponential_ccdf(at, fit.xmin, exp["first"]),
        }
        parts += [_part(at, first * values, name) for name, values in fitted.items()]
    return pl.concat(parts)


def _part(x: ArrayLike, share: ArrayLike, kind: str) -> pl.DataFrame:
    columns = {"size": np.asarray(x, np.float64), "share": np.asarray(share, np.float64)}
    return pl.DataFrame(columns).with_columns(kind=pl.lit(kind))


def _thinned(x: NDArray[np.float64], most: int) -> NDArray[np.int64]:
    """Places of values about evenly spaced in their logarithm, first and last included."""
    if x.size <= most:
        return np.arange(x.size)
    wanted = np.geomspace(x[0], x[-1], most)
    return np.unique(np.minimum(np.searchsorted(x, wanted), x.size - 1)).astype(np.int64)
