"""All checks of a calibration in one report, in words: what `abm calibrate --check` prints.

`check_table` checks rejection ABC on the simulations that a fit has made anyway; `check_method`
plants truths and runs any method on each, at the full price. Both plant parameters drawn from the
prior, so that they judge the calibration as a procedure: whether it finds what it planted, and
whether it knows how sure it may be.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from abm.calibration.checks import check_ranges, is_real, whole
from abm.calibration.distances import ScaledEuclidean
from abm.calibration.posterior import Posterior
from abm.calibration.problem import Problem
from abm.calibration.reach import ENOUGH
from abm.calibration.records import Record, statistics_of
from abm.calibration.simulations import Progress, Simulations
from abm.calibration.trust.coverage import coverage, coverage_words
from abm.calibration.trust.draws import even_draws, lengths, padded
from abm.calibration.trust.predictive import PredictiveCheck, posterior_predictive
from abm.calibration.trust.ranks import (
    RankCheck,
    rank_table,
    simulation_based_calibration,
)
from abm.calibration.trust.recovery import (
    contraction,
    contraction_words,
    recovery,
    recovery_words,
)
from abm.calibration.trust.table import (
    fit_table,
    own_noise,
    summary_sensitivity,
    through_kernel,
    with_data,
)
from abm.calibration.trust.tarp import TarpCheck, tarp
from abm.errors import CalibrationError, require
from abm.rng import chance, uniform

__all__ = ["TrustReport", "check_method", "check_table", "predictive_check", "trust_report"]

Floats = NDArray[np.float64]
Method = Callable[[Simulations], Posterior]
N_DRAWS = 99
_LOST = 0.05
"""Share of planted data sets without any posterior from which a calibration cannot pass."""


@dataclass(frozen=True, eq=False)
class TrustReport:
    """What the checks found.

    Attributes
    ----------
    ranks, tarp, coverage, recovery, contraction
        See the functions of these names.
    sensitivity
        Of the fit to the data to each target, or `None`.
    predictive
        Of the fit to the data, or `None`.
    n_sets, n_failed
        Planted data sets that entered, with however few draws, and those without any posterior,
        whose simulation or fit failed.
    remarks
        What limits the checks themselves.
    """

    ranks: Sequence[RankCheck]
    tarp: TarpCheck
    coverage: pl.DataFrame
    recovery: pl.DataFrame
    contraction: pl.DataFrame
    n_sets: int
    n_failed: int
    sensitivity: pl.DataFrame | None = None
    predictive: PredictiveCheck | None = None
    remarks: Sequence[str] = field(default=())

    @property
    def recovers(self) -> bool:
        """Every planted parameter is recovered."""
        return bool(self.recovery["recovered"].all())

    @property
    def calibrated(self) -> bool:
        """Ranks, TARP and coverage find nothing wrong with the width and place of posteriors."""
        ranks = all(check.passes for check in self.ranks)
        return ranks and self.tarp.passes and bool(self.coverage["holds"].all())

    @property
    def too_wide(self) -> bool:
        """What the checks find wrong is nothing but too much width."""
        ranks = [check.too_wide for check in self.ranks if not check.passes]
        joint = [] if self.tarp.passes else [self.tarp.too_wide]
        missed = self.coverage.filter(~pl.col("holds"))
        wide = (missed["share"] > missed["level"]).to_list()
        found = [*ranks, *joint, *wide]
        return bool(found) and all(found)

    @property
    def complete(self) -> bool:
        """At most 5 % of the planted data sets have no posterior at all."""
        return self.n_failed <= _LOST * (self.n_sets + self.n_failed)

    @property
    def passes(self) -> bool:
        return self.recovers and self.calibrated and self.complete

    @property
    def verdict(self) -> str:
        """One sentence."""
        if self.passes:
            return "This calibration recovers what it plants, and its intervals mean what they say."
        if not self.recovers:
            lost = self.recovery.filter(~pl.col("recovered"))["parameter"].to_list()
            return (
                f"This calibration CANNOT RECOVER ITS OWN PLANTED PARAMETERS {lost}: what it says "
                "about them is not evidence."
            )
        if self.too_wide:
            return (
                "This calibration recovers what it plants, but its posteriors are TOO WIDE, as a "
                "large tolerance makes them: intervals hold the truth more often than they say."
            )
        if not self.calibrated:
            return (
                "This calibration recovers what it plants, but its posteriors have the WRONG WIDTH "
                "OR PLACE: do not read its intervals at their nominal level."
            )
        return (
            f"This calibration gives NO POSTERIOR for {self.n_failed} of "
            f"{self.n_sets + self.n_failed} planted data sets; it recovers the others, and nothing "
            "is known about these. Raise the tolerance or the number of simulations."
        )

    @property
    def words(self) -> list[str]:
        """Everything, a sentence each; the verdict first."""
        said = [self.verdict, *recovery_words(self.recovery)]
        said += [check.words for check in self.ranks]
        said += [self.tarp.words, *coverage_words(self.coverage)]
        said += contraction_words(self.contraction)
        if self.sensitivity is not None:
            said += _sensitivity_words(self.sensitivity)
        if self.predictive is not None:
            said += self.predictive.words
        if self.n_failed:
            said.append(f"{self.n_failed} planted data sets failed and are not in these numbers")
        return [*said, *self.remarks]

    def tables(self) -> dict[str, pl.DataFrame]:
        """Everything as tables."""
        found = {
            "ranks": rank_table(self.ranks),
            "coverage": self.coverage,
            "recovery": self.recovery,
            "contraction": self.contraction,
        }
        if self.sensitivity is not None:
            found["sensitivity"] = self.sensitivity
        if self.predictive is not None:
            found["predictive"] = self.predictive.table
        return found


def check_table(
    problem: Problem,
    parameters: Floats,
    statistics: Floats,
    *,
    accept: float | None = None,
    tolerance: float | None = None,
    adjust: bool = False,
    n_sets: int = 200,
    n_draws: int = N_DRAWS,
) -> TrustReport:
    """Check rejection ABC on the simulations of its own reference table.

    Parameters
    ----------
    problem
        Before its distance got scales.
    parameters, statistics
        Draws of the prior (n, d) and what was simulated from them (n, m); rows with undefined
        statistics are left out, and said.
    accept, tolerance, adjust
        As in `rejection`: check what you use. With a tolerance, a scaled Euclidean distance and no
        adjustment, planted data go through the kernel, for which ABC is exact.
    n_sets
        Rows that play the data, at least 50.

    Raises
    ------
    CalibrationError
        Too few usable rows.

    Examples
    --------
    >>> from abm.calibration import Independent, Targets, normal, scalar
    >>> rng = np.random.default_rng(1)
    >>> theta = rng.normal(size=(3000, 1))
    >>> problem = Problem(lambda p, s, f: p, Independent({"theta": normal(0, 1)}),
    ...                   Targets([scalar("y", 0.0)]), seed=1)
    >>> report = check_table(problem, theta, theta + 0.5 * rng.normal(size=theta.shape),
    ...                      tolerance=0.2)
    >>> report.verdict
    'This calibration recovers what it plants, and its intervals mean what they say.'
    """
    _check_table_input(problem, parameters, statistics, accept, tolerance, n_draws)
    usable = np.isfinite(statistics).all(axis=1)
    theta, rows = parameters[usable], statistics[usable]
    require(
        n_sets >= 50 and len(rows) >= max(500, 2 * n_sets),
        CalibrationError,
        f"n_sets = {n_sets} from {len(rows)} usable simulations, expected at least 50 data sets and"
        f" {max(500, 2 * n_sets)} simulations",
    )
    share = 0.01 if accept is None and tolerance is None else accept
    table = _Table(problem.with_pilot(rows), theta, rows, share, tolerance, adjust)
    rng = chance(problem.seed, "check table")
    truths, posts, failed = table.plant(n_sets, rng)
    report = _judged(problem, truths, posts, failed, n_draws, [rng] * len(posts))
    sensitivity = summary_sensitivity(problem, theta, rows, accept=share or 0.05, adjust=adjust)
    remarks = [_kernel_remark(table.exact)]
    lost = int((~usable).sum())
    if lost:
        remarks.append(f"{lost} simulations with undefined statistics are not in the table")
    return replace(report, sensitivity=sensitivity, remarks=[*report.remarks, *remarks])


def _check_table_input(
    problem: Problem,
    parameters: Floats,
    statistics: Floats,
    accept: float | None,
    tolerance: float | None,
    n_draws: int,
) -> None:
    rows = len(parameters)
    shapes = (rows, len(problem.names)), (rows, problem.fitted.size)
    check_ranges(
        ("accept", accept, accept is None or (is_real(accept) and 0 < accept <= 1), "in (0, 1]"),
        ("tolerance", tolerance, tolerance is None or tolerance >= 0, ">= 0"),
    )
    whole(n_draws, "n_draws", 2)
    require(
        (np.shape(parameters), np.shape(statistics)) == shapes,
        CalibrationError,
        f"parameters of shape {np.shape(parameters)} and statistics of shape "
        f"{np.shape(statistics)}, expected {shapes[0]} and {shapes[1]}",
    )
    require(
        accept is None or tolerance is None,
        CalibrationError,
        "give accept or tolerance, not both",
        argument="accept",
    )


@dataclass(frozen=True, eq=False)
class _Table:
    """A reference table and how it is fitted; the distance of `problem` has its scales."""

    problem: Problem
    theta: Floats
    rows: Floats
    accept: float | None
    tolerance: float | None
    adjust: bool

    @property
    def exact(self) -> bool:
        """Whether data can go through the kernel, for which rejection is exact."""
        fixed = self.tolerance is not None and not self.adjust
        return fixed and isinstance(self.problem.distance, ScaledEuclidean)

    def plant(
        self, n_sets: int, rng: np.random.Generator
    ) -> tuple[list[Floats], list[Posterior], int]:
        """Truths, the posteriors from their rows, and how many rows gave none."""
        truths, posts, failed = list[Floats](), list[Posterior](), 0
        for row in rng.choice(len(self.rows), n_sets, replace=False):
            data = self.rows[row]
            if self.exact and self.tolerance is not None:
                data = through_kernel(self.problem, data, self.tolerance, rng=rng)
            try:
                posts.append(self.fit(row, data))
            except CalibrationError:
                failed += 1
                continue
            truths.append(self.theta[row])
        return truths, posts, failed

    def fit(self, row: int, data: Floats) -> Posterior:
        """The posterior from data that came from one row, by all others."""
        others = np.arange(len(self.rows)) != row
        return fit_table(
            with_data(self.problem, data),
            self.theta[others],
            self.rows[others],
            accept=self.accept,
            tolerance=self.tolerance,
            adjust=self.adjust,
        )


def check_method(
    problem: Problem,
    method: Method,
    *,
    n_sets: int = 100,
    n_draws: int = N_DRAWS,
    tolerance: float | None = None,
    workers: int = 1,
    folder: str | Path | None = None,
    progress: Progress | None = None,
) -> TrustReport:
    """Plant truths and run a method on the data simulated from each, at the full price.

    Parameters
    ----------
    method
        Takes `Simulations`, returns a `Posterior`: `lambda s: smc(s, n_particles=200)`.
    n_sets
        Planted truths, at least 25; the cost is n_sets times that of the method.
    tolerance
        The last tolerance of the method, if it is fixed and the distance scaled Euclidean: planted
        data then go through its kernel, for which ABC is exact. Scales that come from a pilot are
        taken from the planted sets and stay.
    folder
        Keeps a ledger for each set, so that a killed check resumes.
    progress
        Is told about each set.

    Examples
    --------
    >>> from abm.calibration import Independent, Targets, normal, scalar
    >>> def prior_only(simulations):  # a method that ignores the data
    ...     draws = simulations.problem.prior.sample(200, rng=np.random.default_rng(1))
    ...     return Posterior(("theta",), draws, np.ones(200), "prior")
    >>> problem = Problem(lambda p, s, f: {"y": p["theta"]}, Independent({"theta": normal(0, 1)}),
    ...                   Targets([scalar("y", 0.0)]), seed=1)
    >>> check_method(problem, prior_only).recovers
    False
    """
    whole(n_sets, "n_sets", 25)
    whole(n_draws, "n_draws", 2)
    require(callable(method), CalibrationError, f"method = {method!r}, expected a function")
    base = None if folder is None else Path(folder)
    if base is not None:
        base.mkdir(parents=True, exist_ok=True)
    planted = problem.prior.sample(n_sets, rng=chance(problem.seed, "planted truths"))
    with Simulations(
        problem, None if base is None else base / "planted.sqlite", workers=workers
    ) as first:
        records = first.run_all(own_noise(problem).tasks("planted", planted))
        fitted = problem
        if tolerance is not None:
            fitted = problem.with_pilot(statistics_of(records))
        truths, posts, failed = [], list[Posterior](), 0
        luck: list[np.random.Generator] = []
        for number, record in enumerate(records):
            if progress is not None:
                progress.stage(f"planted set {number + 1} of {n_sets}", None)
            ledger = None if base is None else base / f"set_{number:04d}.sqlite"
            try:
                again = _planted(fitted, record, number, tolerance)
                with first.beside(again, ledger) as simulations:
                    post = method(simulations)
            except CalibrationError:
                failed += 1
                continue
            require(
                isinstance(post, Posterior),
                CalibrationError,
                f"the method gave {type(post).__name__}, expected a Posterior",
                argument="method",
            )
            truths.append(planted[number])
            posts.append(post)
            luck.append(chance(problem.seed, "check draws", occasion=number))
    report = _judged(problem, truths, posts, failed, n_draws, luck)
    remark = _kernel_remark(tolerance is not None)
    return replace(report, remarks=[*report.remarks, remark])


def _planted(problem: Problem, record: Record, number: int, tolerance: float | None) -> Problem:
    """The problem with planted data and a seed of its own."""
    require(record.is_ok, CalibrationError, f"the simulation of planted set {number} failed")
    data = record.statistics
    if tolerance is not None:
        rng = chance(problem.seed, "check kernel", occasion=number)
        data = through_kernel(problem, data, tolerance, rng=rng)
    seed = int(uniform(problem.seed, "check set", number) * 2**53)
    return replace(with_data(problem, data), seed=seed)


def _judged(
    problem: Problem,
    truths: Sequence[Floats],
    posts: Sequence[Posterior],
    failed: int,
    n_draws: int,
    luck: Sequence[np.random.Generator],
) -> TrustReport:
    """The report on posteriors, with what limits it: few draws, signed weights."""
    draws = [even_draws(post, n_draws, rng=rng) for post, rng in zip(posts, luck, strict=True)]
    signed = [bool((post.weights < 0).any()) for post in posts]
    joint = [
        even_draws(post.clipped(), n_draws, rng=rng) if has else drawn
        for post, drawn, has, rng in zip(posts, draws, signed, luck, strict=True)
    ]
    report = trust_report(
        problem,
        np.array(truths).reshape(-1, len(problem.names)),
        padded(draws),
        n_failed=failed,
        joint=padded(joint) if any(signed) else None,
    )
    remarks = list(report.remarks)
    if any(signed):
        remarks.append(
            f"{sum(signed)} posteriors have weights of both signs: ranks and intervals use them as "
            "they are, parameter by parameter; TARP sets negative ones to 0"
        )
    for outcome in ("few_draws", "not_linear"):
        told = [[n for n in post.notices if n.outcome == outcome] for post in posts]
        first = next((found[0] for found in told if found), None)
        if first is not None:
            many = sum(bool(found) for found in told)
            remarks.append(f"in {many} of {len(posts)} planted fits: {first.message}")
    return replace(report, remarks=remarks)


def trust_report(
    problem: Problem,
    truths: Floats,
    draws: Floats,
    *,
    n_failed: int = 0,
    joint: Floats | None = None,
) -> TrustReport:
    """The report from planted truths (n_sets, d) and posterior draws (n_sets, n_draws, d).

    Sets with fewer draws are filled up with nan (`draws.padded`). `joint` are draws for TARP, where
    those of `draws` are right parameter by parameter only.

    Examples
    --------
    >>> from abm.calibration import Independent, Targets, normal, scalar
    >>> problem = Problem(lambda p, s, f: p, Independent({"theta": normal(0, 1)}),
    ...                   Targets([scalar("y", 0.0)]), seed=1)
    >>> rng = np.random.default_rng(2)
    >>> theta = rng.normal(size=(200, 1))
    >>> y = theta + np.sqrt(0.5) * rng.normal(size=theta.shape)
    >>> draws = (y * 2 / 3)[:, None] + np.sqrt(1 / 3) * rng.normal(size=(200, 99, 1))
    >>> trust_report(problem, theta, draws).passes
    True
    """
    n = len(truths)
    require(
        n >= 20,
        CalibrationError,
        f"{n} planted data sets could be fitted and {n_failed} failed: too few to check anything. "
        "Raise the number of simulations or the tolerance",
    )
    rng = chance(problem.seed, "trust report")
    names = list(problem.names)
    draws_of_prior = problem.prior.sample(2000, rng=rng)
    references = problem.prior.sample(n, rng=rng)
    bins = next((b for b in (20, 10, 5, 4) if n >= 5 * b), 4)
    remarks = []
    few = int((lengths(draws) < ENOUGH).sum())
    if few:
        remarks.append(
            f"{few} of {n} posteriors have fewer than {ENOUGH} draws: too few for a 90 % interval, "
            "which is then too narrow; more simulations or a larger tolerance would give more"
        )
    if bins < 20:
        remarks.append(
            f"only {n} planted sets: the rank histograms have {bins} bins and see large faults only"
        )
    spread = draws_of_prior.std(axis=0)
    return TrustReport(
        simulation_based_calibration(truths, draws, names=names, n_bins=bins, rng=rng),
        tarp(
            truths,
            draws if joint is None else joint,
            references,
            scale=spread,
            rng=rng,
        ),
        coverage(truths, draws, levels=(0.5, 0.9), names=names),
        recovery(truths, draws, names=names),
        contraction(truths, draws, spread, names=names),
        n,
        n_failed,
        remarks=remarks,
    )


def predictive_check(
    simulations: Simulations, posterior: Posterior, *, n: int = 200
) -> PredictiveCheck:
    """Simulate afresh from posterior draws and compare with fitted and held-out data.

    The sampling error of the data is added to each simulated statistic. Signed weights are clipped
    at 0 for the choice of draws.

    Examples
    --------
    >>> from abm.calibration import Independent, Targets, scalar, uniform
    >>> problem = Problem(lambda p, s, f: {"y": p["x"], "z": 2 * p["x"]},
    ...                   Independent({"x": uniform(0, 1)}),
    ...                   Targets([scalar("y", 0.5, 0.1), scalar("z", 1.0, 0.1, held_out=True)]))
    >>> post = Posterior(("x",), np.linspace(0.4, 0.6, 21)[:, None], np.ones(21), "given")
    >>> predictive_check(Simulations(problem), post, n=50).table["inside"].to_list()
    [True, True]
    """
    whole(n, "n", 20)
    problem = simulations.problem
    rng = chance(problem.seed, "predictive")
    rows = posterior.clipped().resample(n, rng=rng)
    simulations.stage("predictive", n)
    records = simulations.run_all(own_noise(problem).tasks("predictive", rows))
    fitted, held = problem.fitted, problem.targets.held_out
    simulated = np.array([np.concatenate([r.statistics, r.held_out]) for r in records])
    simulated[:, : fitted.size] += _sampling_error(fitted.covariance, n, rng)
    if held.size:
        simulated[:, fitted.size :] += _sampling_error(held.covariance, n, rng)
    return posterior_predictive(
        np.concatenate([fitted.observed, held.observed]),
        simulated,
        names=[*fitted.labels, *held.labels],
        held_out=held.labels,
    )


def _sampling_error(covariance: Floats, n: int, rng: np.random.Generator) -> Floats:
    values, vectors = np.linalg.eigh(covariance)
    factor = vectors * np.sqrt(np.maximum(values, 0.0))
    result: Floats = rng.normal(size=(n, len(values))) @ factor.T
    return result


def _kernel_remark(exact: bool) -> str:
    if exact:
        return "planted data went through the kernel of the tolerance, for which ABC is exact"
    return (
        "planted data did not go through the kernel of the tolerance: an ABC posterior is wider "
        "than the exact one, and these checks may call it too wide for that alone"
    )


def _sensitivity_words(table: pl.DataFrame) -> list[str]:
    said = []
    for row in table.iter_rows(named=True):
        if row["reason"]:
            said.append(f"without {row['left_out']}: not possible ({row['reason']})")
        elif abs(row["shift"]) > 1:
            said.append(
                f"{row['parameter']} hangs on the target {row['left_out']}: without it the estimate"
                f" moves by {row['shift']:+.1f} posterior standard deviations"
            )
    return list(dict.fromkeys(said)) or [
        "no single target moves an estimate by more than one posterior standard deviation"
    ]
