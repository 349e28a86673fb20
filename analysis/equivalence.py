"""Equivalence: showing that a difference is too small to matter, with a margin fixed beforehand.

Failing to reject a difference shows nothing; two one-sided tests do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from abm.analysis.paired import Effect
from abm.errors import AnalysisError, require

__all__ = ["Equivalence", "equivalence"]


@dataclass(frozen=True)
class Equivalence:
    """Outcome of an equivalence test.

    Attributes
    ----------
    equivalent
        Whether both one-sided tests reject at `alpha`; False where undefined.
    p_value
        The larger of the two one-sided p values; nan where undefined.
    low, high
        The (1 - 2 alpha) interval: equivalent exactly when it lies inside (-margin, margin).
    reason
        Why nothing is defined, or that the difference was the same in all pairs, so that the test
        rests on no spread at all; empty otherwise.
    """

    equivalent: bool
    p_value: float
    margin: float
    alpha: float
    low: float
    high: float
    reason: str = ""


def equivalence(effect: Effect, margin: float, *, alpha: float = 0.05) -> Equivalence:
    """Two one-sided tests that the effect lies within +-margin, a margin fixed beforehand.

    References
    ----------
    Schuirmann (1987), Journal of Pharmacokinetics and Biopharmaceutics 15, 657-680.

    Examples
    --------
    >>> from abm.analysis.paired import paired_effect
    >>> same = paired_effect([1.0, 2.0, 3.1, 4.0], [1.0, 2.1, 3.0, 4.0])
    >>> equivalence(same, margin=0.5).equivalent, equivalence(same, margin=0.01).equivalent
    (True, False)
    """
    require(
        0 < margin < float("inf"),
        AnalysisError,
        f"margin = {margin}, expected a finite number > 0: the largest difference that would not "
        "matter, in the unit of the outcome, fixed before looking",
    )
    require(0 < alpha < 0.5, AnalysisError, f"alpha = {alpha}, expected 0 < alpha < 0.5")
    error, nan = effect.standard_error, float("nan")
    if not np.isfinite(error):
        return Equivalence(False, nan, margin, alpha, nan, nan, effect.reason or "no interval")
    critical, (below, above) = float(stats.t.ppf(1 - alpha, effect.degrees)), effect.errors
    low, high = effect.estimate - critical * below, effect.estimate + critical * above
    p = max(
        _one_sided(-margin - effect.estimate, below, effect.degrees),
        _one_sided(effect.estimate - margin, above, effect.degrees),
    )
    reason = effect.reason if error > 0 else "no spread: the same difference in all pairs"
    return Equivalence(p < alpha, p, margin, alpha, low, high, reason)


def _one_sided(distance: float, error: float, degrees: float) -> float:
    if error == 0:
        return float(distance >= 0)
    return float(stats.t.cdf(distance / error, degrees))
