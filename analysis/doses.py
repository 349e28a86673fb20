"""Dose and response: how much an outcome changes per unit of a dose.

The slope is taken within each replication, over runs that share their random numbers, and the
replication is the unit of its interval. `means_table(..., by=dose)` gives the curve itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from abm.analysis.intervals import Estimate, mean_interval
from abm.errors import AnalysisError, require

__all__ = ["dose_slope"]


def dose_slope(
    frame: pl.DataFrame,
    *,
    outcome: str,
    dose: str,
    replication: str | Sequence[str] = "replication",
    level: float = 0.95,
) -> Estimate:
    """Mean over replications of the least-squares slope of an outcome on a dose.

    Parameters
    ----------
    frame
        One row per dose and replication.
    dose
        A column of numbers, with its unit; at least two different doses in each replication.

    Returns
    -------
    Slope in units of outcome per unit of dose, with Student's t interval over replications. A
    replication with an undefined outcome has no slope and is left out, and said. A slope near 0 may
    hide a curve: look at the means as well.

    Raises
    ------
    AnalysisError
        A column is missing, or a replication has a dose twice or only one dose.

    Examples
    --------
    >>> frame = pl.DataFrame({"replication": [0, 0, 0, 1, 1, 1], "reach": [0, 1, 2] * 2,
    ...                       "share": [0.1, 0.2, 0.3, 0.0, 0.3, 0.6]})
    >>> round(dose_slope(frame, outcome="share", dose="reach").estimate, 6)
    0.2
    """
    units = [replication] if isinstance(replication, str) else list(replication)
    missing = [name for name in (outcome, dose, *units) if name not in frame.columns]
    require(not missing, AnalysisError, f"the table lacks {missing}; it has {frame.columns}")
    slopes = [
        _slope(part[dose], part[outcome], key)
        for key, part in frame.partition_by(units, as_dict=True, maintain_order=True).items()
    ]
    return mean_interval(slopes, level=level)


def _slope(doses: pl.Series, outcomes: pl.Series, key: tuple[object, ...]) -> float:
    x = doses.cast(pl.Float64).to_numpy()
    y = outcomes.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    require(
        x.size >= 2 and np.unique(x).size == x.size,
        AnalysisError,
        f"replication {key} has the doses {x.tolist()}, expected two or more different ones, each "
        "once",
    )
    gaps = x - x.mean()
    return float(gaps @ (y - y.mean()) / (gaps @ gaps))
