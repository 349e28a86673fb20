"""History matching in waves: rule out parameters that cannot have produced the data.

A point is implausible if some statistic lies farther from the data than all known sources of error
explain: |z - E f(x)| / sqrt(V_emulator + V_discrepancy + V_observation + V_run) > 3. What is left
after a wave gets a new design and sharper emulators. Nothing is ever confirmed, only not ruled out
(Vernon, Goldstein and Bower 2010, Bayesian Analysis 5, 619; cut by Pukelsheim's three-sigma rule).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from abm.calibration.checks import check_options, check_ranges
from abm.calibration.designs import latin_hypercube
from abm.calibration.emulator import Emulator, emulate, need_library
from abm.calibration.problem import Problem
from abm.calibration.reach import causes_told, failures
from abm.calibration.records import Notice
from abm.calibration.replicates import replicated
from abm.calibration.simulations import Simulations
from abm.errors import CalibrationError, require
from abm.rng import chance

__all__ = ["HistoryMatch", "Wave", "history_match", "implausibility"]

Floats = NDArray[np.float64]
CUT = 3.0
_CANDIDATES = 5_000


def implausibility(
    observed: ArrayLike,
    expected: ArrayLike,
    *,
    emulator: ArrayLike = 0.0,
    discrepancy: ArrayLike = 0.0,
    observation: ArrayLike = 0.0,
    run: ArrayLike = 0.0,
) -> Floats:
    """|z - E f(x)| / sqrt of the sum of variances; infinite where there is no variance but a gap.

    Parameters
    ----------
    observed, expected
        Any shapes that broadcast.
    emulator, discrepancy, observation, run
        Variances, >= 0: of the emulator, of what the model leaves out, of the sampling of the data,
        and of one run around its expectation (if the data are like one run).

    Examples
    --------
    >>> implausibility(0.5, [0.5, 0.8], observation=0.01).round(6).tolist()
    [0.0, 3.0]
    """
    gap = np.abs(np.asarray(observed, dtype=np.float64) - np.asarray(expected, dtype=np.float64))
    variance = sum(
        (np.asarray(v, dtype=np.float64) for v in (emulator, discrepancy, observation, run)),
        start=np.zeros(()),
    )
    gap, variance = np.broadcast_arrays(gap, variance)
    require(
        bool((variance >= 0).all() and not np.isnan(gap).any()),
        CalibrationError,
        "implausibility: a variance is negative, or a number is nan; expected variances >= 0",
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = gap / np.sqrt(variance)
    result: Floats = np.where(gap == 0, 0.0, ratio)
    return result


@dataclass(frozen=True, eq=False)
class Wave:
    """One wave.

    Attributes
    ----------
    parameters
        Its design, shape (n, d).
    emulators
        One per fitted statistic.
    left
        Estimated share of the prior that is not ruled out after it.
    smallest
        Smallest implausibility among the candidates that were looked at.
    """

    parameters: Floats
    emulators: Sequence[Emulator]
    left: float
    smallest: float


@dataclass(frozen=True, eq=False)
class HistoryMatch:
    """What is left of the prior.

    Attributes
    ----------
    names
        Parameters.
    waves
        In order.
    sample
        Points that are not ruled out, shape (n, d): spread over what is left, not a posterior.
    cost, n_simulations
        Of all waves.
    notices
        What a reader must know: `all_ruled_out`, `emulator_doubtful`, failures.
    """

    problem: Problem
    waves: Sequence[Wave]
    sample: Floats
    cut: float
    one_run: bool
    cost: float
    n_simulations: int
    notices: Sequence[Notice] = field(default=())

    @property
    def names(self) -> tuple[str, ...]:
        return self.problem.names

    @property
    def left(self) -> float:
        """Estimated share of the prior that is not ruled out."""
        return self.waves[-1].left

    def implausibility(self, parameters: ArrayLike) -> Floats:
        """Largest implausibility over statistics and waves, shape (n,)."""
        x = self.problem.prior.to_unit(np.atleast_2d(np.asarray(parameters, dtype=np.float64)))
        return _largest(self.problem, self.waves, x, self.one_run)

    def keeps(self, parameters: ArrayLike) -> NDArray[np.bool_]:
        """Whether each row of parameters is not ruled out, shape (n,)."""
        return self.implausibility(parameters) <= self.cut

    @property
    def details(self) -> dict[str, Any]:
        """Numbers of the method: shares left and smallest implausibility, by wave."""
        return {
            "left": [wave.left for wave in self.waves],
            "smallest_implausibility": [wave.smallest for wave in self.waves],
            "cut": self.cut,
        }

    def frame(self) -> pl.DataFrame:
        """The sample of what is left."""
        return pl.DataFrame({name: self.sample[:, i] for i, name in enumerate(self.names)})

    def summary(self) -> pl.DataFrame:
        """Smallest and largest value of each parameter among what is left, and the prior's."""
        low, high = self.problem.prior.bounds.T
        none = np.full(len(self.names), np.nan)
        return pl.DataFrame(
            {
                "parameter": list(self.names),
                "low": self.sample.min(axis=0) if len(self.sample) else none,
                "high": self.sample.max(axis=0) if len(self.sample) else none,
                "prior_low": low,
                "prior_high": high,
            }
        )


def history_match(
    simulations: Simulations,
    *,
    n_points: int | None = None,
    n_replicates: int = 10,
    max_waves: int = 4,
    cut: float = CUT,
    one_run: bool = True,
    enough: float = 0.9,
    n_sample: int = 500,
) -> HistoryMatch:
    """Rule out parameters in waves.

    Parameters
    ----------
    n_points
        Points per wave; 10 per parameter by default (Loeppky, Sacks & Welch 2009,
        Technometrics 51).
    n_replicates
        Runs at each point. One is for deterministic simulators.
    max_waves
        At most this many waves, >= 1.
    cut
        Largest implausibility that is kept, > 0.
    one_run
        Whether the data are like one run of the model, so that the variance of a run counts as an
        error; False if they are an expectation.
    enough
        The waves end when one keeps at least this share of what was left before it.
    n_sample
        Points of the sample of what is left.

    Returns
    -------
    The share that is left, a sample of it, and the emulators. If everything is ruled out, a notice
    `all_ruled_out` says by how much the best point fails, and the sample is empty.

    Examples
    --------
    >>> from abm.calibration import Independent, Targets, scalar, uniform
    >>> problem = Problem(lambda p, s, f: {"y": p["x"]}, Independent({"x": uniform(0, 1)}),
    ...                   Targets([scalar("y", 0.5, 0.05)]), seed=1)
    >>> match = history_match(Simulations(problem), n_points=10, n_replicates=1, max_waves=1)
    >>> match.keeps([[0.36], [0.5], [0.64], [0.7]]).tolist()
    [True, True, True, False]
    """
    check_options(history_match, locals())
    need_library()
    problem = simulations.problem
    d = len(problem.names)
    n = 10 * d if n_points is None else n_points
    _check(n, d, max_waves, cut, enough, n_sample)
    waves: list[Wave] = []
    notices: list[Notice] = []
    design = _spread_out(problem, n)
    sample = np.empty((0, d))
    left = 1.0
    for number in range(max_waves):
        stage = f"wave/{number + 1}"
        simulations.stage(stage, n * n_replicates)
        runs = replicated(simulations, stage, problem.prior.from_unit(design), n_replicates)
        with causes_told(simulations.used):
            emulators = emulate(design, runs)
        notices += _doubts(problem, emulators, number + 1)
        waves.append(Wave(runs.parameters, emulators, 0.0, np.inf))
        sample, share, smallest = _what_is_left(problem, waves, sample, cut, one_run, n_sample)
        waves[-1] = Wave(runs.parameters, emulators, share, smallest)
        if len(sample) == 0:
            notices.append(_nothing(smallest, cut))
            break
        if share >= enough * left:
            break
        left = share
        design = _subset(sample, n)
    used = simulations.used
    return HistoryMatch(
        problem,
        waves,
        problem.prior.from_unit(sample) if len(sample) else sample,
        cut,
        one_run,
        used.total_cost,
        used.n_runs,
        [*notices, *failures(used)],
    )


def _largest(problem: Problem, waves: Sequence[Wave], x: Floats, one_run: bool) -> Floats:
    """Largest implausibility over statistics and waves at points of the unit cube, shape (n,)."""
    observation = np.diag(problem.fitted.covariance)
    discrepancy = problem.discrepancy_sd**2
    worst = np.zeros(len(x))
    for wave in waves:
        for k, emulator in enumerate(wave.emulators):
            mean, variance = emulator.predict(x)
            here = implausibility(
                problem.observed[k],
                mean,
                emulator=variance,
                discrepancy=discrepancy[k],
                observation=observation[k],
                run=emulator.noise(x) if one_run else 0.0,
            )
            worst = np.maximum(worst, here)
    return worst


def _what_is_left(
    problem: Problem,
    waves: Sequence[Wave],
    before: Floats,
    cut: float,
    one_run: bool,
    n_sample: int,
) -> tuple[Floats, float, float]:
    """(points in the unit cube, share of the prior, smallest implausibility).

    What was left before is looked at again, beside fresh candidates: it finds a region that is too
    small for them. The share counts the fresh ones alone.
    """
    rng = chance(problem.seed, "history candidates", occasion=len(waves))
    fresh = _allowed(problem, rng.random((_CANDIDATES, len(problem.names))))
    x = np.concatenate([fresh, before])
    worst = _largest(problem, waves, x, one_run)
    kept = x[worst <= cut]
    share = float((worst[: len(fresh)] <= cut).mean())
    if 0 < len(kept) < n_sample:
        kept = _walk(problem, waves, kept, cut, one_run, n_sample, rng)
    return kept[:n_sample], share, float(worst.min())


def _walk(
    problem: Problem,
    waves: Sequence[Wave],
    start: Floats,
    cut: float,
    one_run: bool,
    n: int,
    rng: np.random.Generator,
) -> Floats:
    """A uniform random walk inside what is left: every move that stays inside is taken."""
    d = start.shape[1]
    spread = start.std(axis=0) if len(start) > 1 else np.full(d, 0.01)
    here = start[rng.integers(0, len(start), n)]
    for _ in range(20):
        moved = here + rng.normal(size=here.shape) * np.maximum(spread, 1e-3) / np.sqrt(d)
        inside = ((moved >= 0) & (moved <= 1)).all(axis=1)
        inside[inside] &= _holds(problem, moved[inside])
        rows = np.flatnonzero(inside)
        if rows.size:
            good = rows[_largest(problem, waves, moved[rows], one_run) <= cut]
            here[good] = moved[good]
    return np.concatenate([start, here])


def _allowed(problem: Problem, x: Floats) -> Floats:
    kept = x[_holds(problem, x)]
    require(len(kept) > 0, CalibrationError, "no candidate satisfies the constraints of the prior")
    return kept


def _holds(problem: Problem, x: Floats) -> NDArray[np.bool_]:
    holds = getattr(problem.prior, "holds", None)
    if holds is None or len(x) == 0:
        return np.ones(len(x), dtype=bool)
    return np.asarray(holds(problem.prior.from_unit(x)), dtype=bool)


def _spread_out(problem: Problem, n: int) -> Floats:
    """A Latin hypercube of n points that satisfy the constraints."""
    rng = chance(problem.seed, "history design")
    d = len(problem.names)
    for factor in (1, 2, 4, 8, 16):
        x = latin_hypercube(n * factor, d, rng=rng)
        kept = x[_holds(problem, x)]
        if len(kept) >= n:
            return np.asarray(kept[:n], dtype=np.float64)
    raise CalibrationError(
        f"fewer than {n} of {16 * n} points satisfy the constraints of the prior: write the prior "
        "in other parameters"
    )


def _subset(sample: Floats, n: int) -> Floats:
    """n points of a sample, each the farthest from those before it."""
    chosen = [0]
    nearest = ((sample - sample[0]) ** 2).sum(axis=1)
    while len(chosen) < min(n, len(sample)):
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, ((sample - sample[chosen[-1]]) ** 2).sum(axis=1))
    return sample[chosen]


def _doubts(problem: Problem, emulators: Sequence[Emulator], wave: int) -> list[Notice]:
    return [
        Notice(
            "emulator_doubtful",
            f"wave {wave}, {label}: leave-one-out errors of the emulator are "
            f"{np.sqrt(e.inflation):.1f} times as large as it says; its standard deviation is "
            "multiplied by that. More points or replicates would sharpen it",
            label,
            float(np.sqrt(e.inflation)),
        )
        for label, e in zip(problem.fitted.labels, emulators, strict=True)
        if e.inflation > 4.0
    ]


def _nothing(smallest: float, cut: float) -> Notice:
    return Notice(
        "all_ruled_out",
        f"no candidate is plausible: the best has implausibility {smallest:.2f}, the cut is {cut:g}"
        ". The model does not reach the data within its stated errors: state a discrepancy, widen "
        "the prior, or question the model",
        amount=smallest,
    )


def _check(n: int, d: int, max_waves: int, cut: float, enough: float, n_sample: int) -> None:
    least = max(10, 2 * d + 2)
    check_ranges(
        ("n_points", n, n >= least, f">= {least} for {d} parameters"),
        ("max_waves", max_waves, max_waves >= 1, ">= 1"),
        ("cut", cut, cut > 0, "> 0"),
        ("enough", enough, 0 < enough <= 1, "in (0, 1]"),
        ("n_sample", n_sample, n_sample >= 1, ">= 1"),
    )
