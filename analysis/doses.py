"""Dose and response: how much an outcome changes per unit of a dose.

The slope is taken within each replication, over runs that share their random numbers, and the
replication is the unit of its interval. `means_table(..., by=dose)` gives the curve itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from abm.analysis.comparisons import effects_table
from abm.analysis.intervals import Estimate, mean_interval
from abm.analysis.paired import FIXED, VARIED
from abm.errors import AnalysisError, require

__all__ = ["dose_curvature", "dose_effects", "dose_slope"]

FEWEST = {1: "two", 2: "three"}


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

    References
    ----------
    Matthews, Altman, Campbell & Royston (1990), British Medical Journal 300, 230-235: one
    summary per replication, which is then analysed as its measurement.

    Examples
    --------
    >>> frame = pl.DataFrame({"replication": [0, 0, 0, 1, 1, 1], "reach": [0, 1, 2] * 2,
    ...                       "share": [0.1, 0.2, 0.3, 0.0, 0.3, 0.6]})
    >>> round(dose_slope(frame, outcome="share", dose="reach").estimate, 6)
    0.2
    """
    return mean_interval(_fitted(frame, outcome, dose, replication, power=1), level=level)


def dose_curvature(
    frame: pl.DataFrame,
    *,
    outcome: str,
    dose: str,
    replication: str | Sequence[str] = "replication",
    level: float = 0.95,
) -> Estimate:
    """Mean over replications of the quadratic coefficient of a parabola in the dose.

    Near 0 with a narrow interval, a straight line will do; otherwise the slope alone misleads.
    Units of outcome per squared unit of dose; at least three doses in each replication. Otherwise
    as `dose_slope`.

    References
    ----------
    As `dose_slope`.

    Examples
    --------
    >>> frame = pl.DataFrame({"replication": [0, 0, 0, 1, 1, 1], "reach": [0, 1, 2] * 2,
    ...                       "share": [0.0, 0.1, 0.4, 0.0, 0.2, 0.8]})
    >>> round(dose_curvature(frame, outcome="share", dose="reach").estimate, 6)
    0.15
    """
    return mean_interval(_fitted(frame, outcome, dose, replication, power=2), level=level)


def dose_effects(
    frame: pl.DataFrame,
    *,
    outcomes: str | Sequence[str],
    dose: str,
    reference: float | None = None,
    pair_by: str | Sequence[str] = "replication",
    by: str | Sequence[str] = (),
    level: float = 0.95,
    varied: Sequence[str] = VARIED,
    fixed: Sequence[str] = FIXED,
) -> pl.DataFrame:
    """The dose-response curve as paired effects: every dose against a reference dose.

    Parameters
    ----------
    reference
        The lowest dose by default.

    Returns
    -------
    The columns of `effects_table` with `dose` in place of the arm, in order of the dose.

    References
    ----------
    As `paired_effect`.

    Examples
    --------
    >>> frame = pl.DataFrame({"replication": [0, 0, 0, 1, 1, 1], "reach": [0.0, 1.0, 2.0] * 2,
    ...                       "share": [0.0, 0.1, 0.4, 0.0, 0.3, 0.8]})
    >>> dose_effects(frame, outcomes="share", dose="reach").select("reach", "estimate").rows()
    [(1.0, 0.2), (2.0, 0.6000000000000001)]
    """
    require(dose in frame.columns, AnalysisError, f"the table lacks {dose!r}: {frame.columns}")
    base = frame[dose].min() if reference is None else reference
    table = effects_table(
        frame,
        outcomes=outcomes,
        control=[base],  # type: ignore[list-item]  # a dose is a number
        arm=dose,
        pair_by=pair_by,
        by=by,
        level=level,
        varied=varied,
        fixed=fixed,
    )
    cells = [by] if isinstance(by, str) else list(by)
    return table.sort([*cells, "outcome", dose], maintain_order=True)


def _fitted(
    frame: pl.DataFrame, outcome: str, dose: str, replication: str | Sequence[str], power: int
) -> list[float]:
    """Leading coefficient of the polynomial in the dose, one per replication."""
    units = [replication] if isinstance(replication, str) else list(replication)
    missing = [name for name in (outcome, dose, *units) if name not in frame.columns]
    require(not missing, AnalysisError, f"the table lacks {missing}; it has {frame.columns}")
    return [
        _leading(part[dose], part[outcome], key, power)
        for key, part in frame.partition_by(units, as_dict=True, maintain_order=True).items()
    ]


def _leading(doses: pl.Series, outcomes: pl.Series, key: tuple[object, ...], power: int) -> float:
    x = doses.cast(pl.Float64).to_numpy()
    y = outcomes.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    require(
        x.size > power and np.unique(x).size == x.size,
        AnalysisError,
        f"replication {key} has the doses {x.tolist()}, expected {FEWEST[power]} or more different "
        "ones, each once",
    )
    if not np.isfinite(y).all():
        return float("nan")
    if power == 1:
        gaps = x - x.mean()
        return float(gaps @ (y - y.mean()) / (gaps @ gaps))
    return float(np.polynomial.Polynomial.fit(x, y, power).convert().coef[power])
