"""What a reader of a posterior must know: data out of reach, simulations that failed, few draws."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from abm.calibration.problem import Problem
from abm.calibration.records import FAILED, NOT_FINITE, UNDEFINED, Notice, Tally
from abm.errors import CalibrationError

__all__ = ["ENOUGH", "causes_told", "failures", "few_draws", "out_of_reach", "piloted"]

Floats = NDArray[np.float64]
ENOUGH = 19
"""Fewest draws whose range holds a further draw with a probability of 90 %."""


def out_of_reach(problem: Problem, statistics: Floats) -> list[Notice]:
    """Fitted targets outside everything that was simulated from the prior.

    Each statistic is compared with the range of the simulations; all of them together by their
    Mahalanobis distance from the centre of the simulations, which finds a combination that no
    parameters give although each part is in range. With n simulations a target that the model can
    produce is called out of range with a probability of about 2 / (n + 1) per statistic.

    Parameters
    ----------
    statistics
        Simulated from the prior, shape (n, m).

    Returns
    -------
    Notices with the outcome `out_of_reach`; `amount` is the gap to the range, in the statistic's
    own unit (for all together, the ratio of the distances).

    Examples
    --------
    >>> from abm.calibration import Independent, Targets, scalar, uniform
    >>> problem = Problem(lambda p, s, f: p, Independent({"a": uniform(0, 1)}),
    ...                   Targets([scalar("a", 1.5, 0.1)]))
    >>> notice, = out_of_reach(problem, np.linspace(0, 1, 50)[:, None])
    >>> notice.about, round(notice.amount, 3)
    ('a', 0.5)
    """
    rows = statistics[np.isfinite(statistics).all(axis=1)]
    if len(rows) < 2:
        return []
    low, high, observed = rows.min(axis=0), rows.max(axis=0), problem.observed
    gaps = np.maximum(low - observed, observed - high)
    errors = np.hypot(problem.fitted.standard_error, problem.discrepancy_sd)
    found = [
        _single(problem.fitted.labels[k], observed[k], low[k], high[k], gaps[k], errors[k], rows)
        for k in np.flatnonzero(gaps > 1e-9 * np.maximum(1.0, np.abs(observed)))
    ]
    return found or _together(problem.fitted.labels, rows, observed)


def failures(tally: Tally) -> list[Notice]:
    """Notices on simulations that failed or whose statistics are no numbers."""
    found = []
    for outcome in (FAILED, NOT_FINITE):
        n = tally.outcomes[outcome]
        if n:
            told = [
                f"{times} times {error}"
                for error, times in tally.errors.most_common()
                if error.startswith(UNDEFINED) == (outcome == NOT_FINITE)
            ]
            causes = "; ".join(told[:3])
            message = (
                f"{n} of {tally.n_runs} simulations: {outcome}. Rule: they count as infinitely far "
                f"from the data and are kept in the ledger. Most frequent causes: {causes}"
            )
            found.append(Notice(outcome, message, amount=float(n)))
    return found


def few_draws(ess: float) -> list[Notice]:
    """A notice on a posterior with too few effective draws for a 90 % interval.

    The range of n equal draws holds a further one with probability (n - 1) / (n + 1), which reaches
    0.9 at 19; weights of unequal size or sign make it less than their effective number suggests.

    Examples
    --------
    >>> few_draws(19.0), few_draws(9.0)[0].outcome
    ([], 'few_effective_draws')
    """
    if ess >= ENOUGH - 1e-9:
        return []
    share = max(0.0, (ess - 1) / (ess + 1))
    message = (
        f"effective sample size {ess:.1f}, fewer than {ENOUGH}: 90 % intervals hold the truth in "
        f"{100 * share:.0f} % of cases or fewer. Simulate more, or raise the tolerance"
    )
    return [Notice("few_effective_draws", message, amount=float(ess))]


@contextmanager
def causes_told(tally: Tally) -> Iterator[None]:
    """An error inside also tells why simulations failed, if some did.

    Examples
    --------
    >>> from collections import Counter
    >>> tally = Tally(Counter(model=2), outcomes=Counter(failed=2), errors=Counter({"no luck": 2}))
    >>> with causes_told(tally):
    ...     raise CalibrationError("nothing is left.")
    Traceback (most recent call last):
    abm.errors.CalibrationError: nothing is left. 2 of 2 simulations: failed. Rule: they count as
    infinitely far from the data and are kept in the ledger. Most frequent causes: 2 times no luck
    """
    try:
        yield
    except CalibrationError as error:
        told = failures(tally)
        if not told:
            raise
        message = " ".join([str(error), *(notice.message for notice in told)])
        raise CalibrationError(message, **error.values) from error


def piloted(problem: Problem, statistics: Floats, tally: Tally) -> Problem:
    """`problem.with_pilot`; where that fails, the error also tells why simulations failed."""
    with causes_told(tally):
        return problem.with_pilot(statistics)


def _single(
    label: str,
    observed: float,
    low: float,
    high: float,
    gap: float,
    error: float,
    rows: Floats,
) -> Notice:
    beyond = f"{gap:.4g} beyond the nearest"
    if error > 0:
        beyond += f", {gap / error:.1f} standard errors of the data"
    return Notice(
        "out_of_reach",
        f"{label} = {observed:.4g} is outside what the prior produced: {len(rows)} simulations lie "
        f"in [{low:.4g}, {high:.4g}]; {beyond}. Widen the prior, state a discrepancy, or question "
        "the model",
        label,
        float(gap),
    )


def _together(labels: Sequence[str], rows: Floats, observed: Floats) -> list[Notice]:
    n, m = rows.shape
    if m < 2 or n < 10 * m:
        return []
    covariance = np.cov(rows.T)
    inverse = np.linalg.pinv(covariance, rcond=1e-9, hermitian=True)
    centred, gap = rows - rows.mean(axis=0), observed - rows.mean(axis=0)
    theirs = float(np.sqrt(np.einsum("ni,ij,nj->n", centred, inverse, centred).max()))
    ours = float(np.sqrt(max(gap @ inverse @ gap, 0.0)))
    if ours <= theirs:
        return []
    weight = inverse @ gap
    diagonal = np.diag(inverse)
    away = np.divide(weight, np.sqrt(diagonal), out=np.zeros(m), where=diagonal > 0)
    k = int(np.abs(away).argmax())
    implied = observed[k] - weight[k] / diagonal[k]
    return [
        Notice(
            "out_of_reach",
            f"each target is within its range, but no simulation has them together: the data are "
            f"{ours:.1f} (Mahalanobis) from the centre of {n} simulations, none of which is "
            f"farther than {theirs:.1f}. Above all {labels[k]} = {observed[k]:.4g}: "
            f"given the other targets the simulations let one expect {implied:.4g} +- "
            f"{1 / np.sqrt(diagonal[k]):.2g}. Question the model, or state a discrepancy",
            "all statistics together",
            ours / theirs,
        )
    ]
