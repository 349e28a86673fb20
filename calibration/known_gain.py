"""How well the effective draws per cost of multi-fidelity ABC are known.

They are (E[w])^2 / (E[w^2] E[cost]), and E[w^2] hangs on the rarest pattern of verdicts: a proposal
that the cheap level rejects and the dear one accepts weighs 1 / eta2, its square up to 10,000. A
pilot of some hundred proposals sees such a pattern a few times or never, and so do the proposals
after it, of which few go on. So both numbers, what the formula predicts and what was achieved, are
estimates from small counts, and are told with an interval: shares of the patterns are drawn from
their posterior under Jeffreys' prior (half a count for each pattern), which also speaks where a
pattern was not seen at all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from abm.calibration.continuation import Continuation, Verdicts, pattern_cost, pattern_square

__all__ = ["achieved_interval", "gain_interval", "predicted_interval"]

_DRAWS = 4000


def gain_interval(
    counts: ArrayLike,
    weights: ArrayLike,
    squares: ArrayLike,
    costs: ArrayLike,
    *,
    rng: np.random.Generator,
    level: float = 0.9,
) -> tuple[float, float]:
    """Interval of (E[w])^2 / (E[w^2] E[cost]) from counts of patterns, shape (k,).

    Parameters
    ----------
    counts
        How often each pattern was seen; 0 for those that were not.
    weights, squares, costs
        E[w], E[w^2] and E[cost] given the pattern, shape (k,).
    level
        Posterior probability of the interval, with equal tails.

    Examples
    --------
    60 of 600 accepted at cost 1, as in plain ABC, where it is the share of acceptances:

    >>> low, high = gain_interval([540, 60], [0, 1], [0, 1], [1, 1], rng=np.random.default_rng(1))
    >>> bool(low < 0.1 < high), round(high - low, 2)
    (True, 0.04)
    """
    shares = rng.dirichlet(np.asarray(counts, dtype=np.float64) + 0.5, size=_DRAWS)
    first = shares @ np.asarray(weights, dtype=np.float64)
    square = shares @ np.asarray(squares, dtype=np.float64)
    cost = shares @ np.asarray(costs, dtype=np.float64)
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(first**2 / (square * cost), [tail, 1.0 - tail])
    return float(low), float(high)


def predicted_interval(
    verdicts: Verdicts, plan: Continuation, *, rng: np.random.Generator, level: float = 0.9
) -> tuple[float, float]:
    """Interval of what the formula predicts under a plan, from the counts of a pilot.

    Examples
    --------
    >>> pilot = np.array([[False, False]] * 270 + [[True, True]] * 28 + [[True, False]] * 2)
    >>> table = Verdicts.counted(pilot, np.tile([1.0, 100.0], (300, 1)))
    >>> plan = Continuation((0.05,), (0.2,))
    >>> low, high = predicted_interval(table, plan, rng=np.random.default_rng(1))
    >>> bool(high / low > 2)
    True
    """
    patterns = list(product((0, 1), repeat=verdicts.n_levels))
    return gain_interval(
        [verdicts.counts[pattern] for pattern in patterns],
        [pattern[-1] for pattern in patterns],
        [pattern_square(pattern, plan) for pattern in patterns],
        [pattern_cost(pattern, plan, verdicts.costs) for pattern in patterns],
        rng=rng,
        level=level,
    )


def achieved_interval(
    verdicts: Sequence[Sequence[bool]],
    plan: Continuation,
    costs: NDArray[np.float64],
    *,
    rng: np.random.Generator,
    level: float = 0.9,
) -> tuple[float, float]:
    """Interval of what a plan achieves, from proposals that were run under it.

    Parameters
    ----------
    verdicts
        Of each proposal, at the levels that it was run at.
    costs
        As `Verdicts.costs`, shape (L, 2).
    """
    seen = Counter(tuple(map(int, one)) for one in verdicts)
    cells = [c for n in range(1, len(costs) + 1) for c in product((0, 1), repeat=n)]
    weights = np.array([plan.weight([bool(v) for v in cell]) for cell in cells])
    spent = [_spent(cell, costs) for cell in cells]
    return gain_interval(
        [seen[cell] for cell in cells], weights, weights**2, spent, rng=rng, level=level
    )


def _spent(cell: tuple[int, ...], costs: NDArray[np.float64]) -> float:
    """What a proposal cost that was run at these levels."""
    dearer = [costs[number + 1, verdict] for number, verdict in enumerate(cell[:-1])]
    return float(costs[0, cell[0]] + sum(dearer))
