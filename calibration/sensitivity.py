"""Global sensitivity: Sobol indices and Morris effects, from samples whose rows carry ids.

An index computed from outputs in the wrong order is wrong without looking wrong. So each row of a
design has an id that is a hash of its values, outputs are joined by id, and the analysis knows
which blocks of rows belong together. A lost row takes its whole block with it, and the number of
blocks lost is part of the result. Sampling and estimators are those of SALib (Saltelli et al. 2010,
Computer Physics Communications 181, 259; Morris 1991, Technometrics 33, 161).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from abm.calibration.checks import check_options
from abm.calibration.columns import distinct
from abm.calibration.priors import Independent
from abm.calibration.reach import causes_told, failures
from abm.calibration.records import Notice
from abm.calibration.simulations import Simulations
from abm.errors import CalibrationError, MissingExtra, require
from abm.rng import uniform

__all__ = ["Design", "Sensitivity", "morris", "morris_design", "sobol", "sobol_design"]

Floats = NDArray[np.float64]
Method = Literal["sobol", "morris"]


@dataclass(frozen=True, eq=False)
class Design:
    """Rows of a sensitivity sample.

    Attributes
    ----------
    method
        `"sobol"` or `"morris"`.
    names
        Parameters, d of them.
    unit
        Rows in the unit cube, shape (n, d), in the order that the estimator needs.
    block
        Rows that stand or fall together (a radial block of Saltelli's sample, a trajectory of
        Morris'), shape (n,).
    ids
        One per row: method, block, place in the block, and a hash of the values.
    """

    method: Method
    names: tuple[str, ...]
    unit: Floats
    block: NDArray[np.int64]
    ids: tuple[str, ...]
    settings: Mapping[str, Any]

    @property
    def n_blocks(self) -> int:
        return int(self.block.max()) + 1

    def table(self, values: ArrayLike | None = None) -> pl.DataFrame:
        """Column `id` and one column per parameter: `values` (n, d), or the unit cube."""
        rows = self.unit if values is None else np.asarray(values, dtype=np.float64)
        columns = {name: rows[:, j] for j, name in enumerate(distinct(self.names, ("id",)))}
        return pl.DataFrame({"id": list(self.ids), **columns})

    def outputs(self, answers: Mapping[str, float] | pl.DataFrame, column: str = "y") -> Floats:
        """Outputs in the order of the rows, nan where a row has none; from any order.

        Parameters
        ----------
        answers
            Id -> output, or a table with the columns `id` and `column`.

        Raises
        ------
        CalibrationError
            An id that is not of this design, or one that comes twice with different outputs.

        Examples
        --------
        >>> design = morris_design(("a", "b"), n_trajectories=4, seed=1)
        >>> values = dict(zip(design.ids, design.unit[:, 0], strict=True))
        >>> reordered = dict(reversed(values.items()))
        >>> bool((design.outputs(reordered) == design.unit[:, 0]).all())
        True
        """
        pairs = _pairs(answers, column)
        places = {name: i for i, name in enumerate(self.ids)}
        found = np.full(len(self.ids), np.nan)
        for name, value in pairs:
            require(
                name in places,
                CalibrationError,
                f"output with id {name!r} is not of this design: it comes from another sample or "
                "from rows that were changed",
                value=name,
            )
            old = found[places[name]]
            require(
                np.isnan(old) or old == value,
                CalibrationError,
                f"two outputs for id {name!r}: {old:g} and {value:g}",
                value=name,
            )
            found[places[name]] = value
        return found

    def analyse(
        self, outputs: ArrayLike, *, seed: int = 0, level: float = 0.95, output: str = "y"
    ) -> Sensitivity:
        """Indices of one output.

        Parameters
        ----------
        outputs
            Shape (n,), in the order of the rows (see `outputs`); nan for lost rows.
        seed
            Of the bootstrap of the intervals.

        Raises
        ------
        CalibrationError
            Fewer than 8 complete blocks (Sobol) or 4 (Morris).
        """
        y = np.asarray(outputs, dtype=np.float64)
        require(
            y.shape == (len(self.ids),),
            CalibrationError,
            f"outputs have shape {y.shape}, expected ({len(self.ids)},)",
        )
        lost = np.zeros(self.n_blocks, dtype=bool)
        lost[self.block[~np.isfinite(y)]] = True
        kept = ~lost[self.block]
        whole, least = int((~lost).sum()), 8 if self.method == "sobol" else 4
        require(
            whole >= least,
            CalibrationError,
            f"{whole} of {self.n_blocks} blocks are complete, expected at least {least}: a lost "
            "run takes its block with it. Run the missing rows again",
        )
        analyse = _sobol_indices if self.method == "sobol" else _morris_effects
        table = analyse(self, kept, y, seed, level).with_columns(output=pl.lit(output))
        return Sensitivity(self.method, table, whole, int(lost.sum()))


@dataclass(frozen=True, eq=False)
class Sensitivity:
    """Indices with intervals.

    Attributes
    ----------
    table
        One row per parameter and output. Sobol: `first` and `total` with `first_low`, ...;
        Morris: `mu`, `mu_star` with its interval, `sigma`; `level`.
    n_blocks, n_lost
        Blocks that entered, and blocks left out for a lost run.
    """

    method: Method
    table: pl.DataFrame
    n_blocks: int
    n_lost: int
    cost: float = 0.0
    n_simulations: int = 0
    notices: Sequence[Notice] = ()

    @property
    def details(self) -> dict[str, Any]:
        """Numbers of the method: blocks that entered and were lost."""
        return {"blocks": self.n_blocks, "lost": self.n_lost}

    def summary(self) -> pl.DataFrame:
        """The table, output first."""
        return self.table.select("output", pl.exclude("output"))


def sobol_design(names: Sequence[str], *, n: int, seed: int) -> Design:
    """Saltelli's sample for first-order and total indices: n (d + 2) rows.

    Parameters
    ----------
    n
        Blocks; a power of 2, >= 8.

    Examples
    --------
    >>> sobol_design(("a", "b"), n=8, seed=1).unit.shape
    (32, 2)
    """
    require(
        n >= 8 and n & (n - 1) == 0,
        CalibrationError,
        f"n = {n}, expected a power of 2, at least 8",
        argument="n",
        value=n,
    )
    salib = _salib("SALib.sample.sobol")
    unit = salib.sample(_box(names), n, calc_second_order=False, seed=seed)
    return _design("sobol", tuple(names), unit, len(names) + 2, {"n": n, "seed": seed})


def morris_design(
    names: Sequence[str], *, n_trajectories: int, seed: int, n_levels: int = 4
) -> Design:
    """Morris' one-at-a-time trajectories: n_trajectories (d + 1) rows on a grid of `n_levels`.

    Examples
    --------
    >>> morris_design(("a", "b"), n_trajectories=10, seed=1).n_blocks
    10
    """
    require(
        n_trajectories >= 4 and n_levels >= 4 and n_levels % 2 == 0,
        CalibrationError,
        f"n_trajectories = {n_trajectories}, n_levels = {n_levels}, expected at least 4 "
        "trajectories and an even number of levels, at least 4",
    )
    salib = _salib("SALib.sample.morris")
    unit = salib.sample(_box(names), n_trajectories, num_levels=n_levels, seed=seed)
    settings = {"n_levels": n_levels, "seed": seed}
    return _design("morris", tuple(names), unit, len(names) + 1, settings)


def sobol(simulations: Simulations, *, n: int = 256) -> Sensitivity:
    """Sobol indices of every fitted statistic over an independent prior.

    With common random numbers `"everywhere"` the indices are those of the simulator at one seed;
    otherwise each row has a seed of its own, the noise counts as one more input, and total indices
    include their interaction with it.

    Parameters
    ----------
    n
        Blocks, a power of 2; n (d + 2) runs.

    Examples
    --------
    >>> from abm.calibration import Independent, Problem, Targets, scalar, uniform
    >>> problem = Problem(lambda p, s, f: {"y": p["a"] + 0.0 * p["b"]},
    ...                   Independent({"a": uniform(0, 1), "b": uniform(0, 1)}),
    ...                   Targets([scalar("y", 0.5)]), seed=1)
    >>> found = sobol(Simulations(problem), n=64)
    >>> found.table["total"].round(1).to_list()
    [1.0, 0.0]
    """
    check_options(sobol, locals())
    problem = simulations.problem
    seed = int(uniform(problem.seed, "sobol") * 2**31)
    return _run(simulations, sobol_design(problem.names, n=n, seed=seed), seed)


def morris(simulations: Simulations, *, n_trajectories: int = 20) -> Sensitivity:
    """Morris' elementary effects of every fitted statistic, per unit of prior probability.

    The grid is of probabilities: a step of the grid is a step between quantiles of the prior. On
    unbounded priors the grid's ends 0 and 1 are the far quantiles of `prior.bounds`.

    Examples
    --------
    >>> from abm.calibration import Independent, Problem, Targets, scalar, uniform
    >>> problem = Problem(lambda p, s, f: {"y": 2 * p["a"] + 0.0 * p["b"]},
    ...                   Independent({"a": uniform(0, 1), "b": uniform(0, 1)}),
    ...                   Targets([scalar("y", 0.5)]), seed=1)
    >>> morris(Simulations(problem), n_trajectories=8).table["mu_star"].round(6).to_list()
    [2.0, 0.0]
    """
    check_options(morris, locals())
    problem = simulations.problem
    seed = int(uniform(problem.seed, "morris") * 2**31)
    design = morris_design(problem.names, n_trajectories=n_trajectories, seed=seed)
    return _run(simulations, design, seed)


def _run(simulations: Simulations, design: Design, seed: int) -> Sensitivity:
    problem = simulations.problem
    require(
        isinstance(problem.prior, Independent),
        CalibrationError,
        f"sensitivity indices are defined for independent parameters; the prior is "
        f"{type(problem.prior).__name__}. Use an Independent prior over the same ranges",
        argument="prior",
    )
    low, high = problem.prior.bounds.T
    points = np.clip(problem.prior.from_unit(design.unit), low, high)
    simulations.stage(design.method, len(points))
    records = simulations.run_all(problem.tasks(design.method, points))
    tables, lost, whole = [], 0, design.n_blocks
    for k, label in enumerate(problem.fitted.labels):
        answers = {
            design.ids[r.task.index]: float(r.statistics[k]) if r.is_ok else float("nan")
            for r in records
        }
        with causes_told(simulations.used):
            found = design.analyse(design.outputs(answers), seed=seed, output=label)
        tables.append(found.table)
        lost, whole = max(lost, found.n_lost), min(whole, found.n_blocks)
    used = simulations.used
    result = Sensitivity(design.method, pl.concat(tables), whole, lost)
    return replace(
        result,
        cost=used.total_cost,
        n_simulations=used.n_runs,
        notices=[*_lost(design, lost), *failures(used)],
    )


def _lost(design: Design, lost: int) -> list[Notice]:
    if not lost:
        return []
    return [
        Notice(
            "blocks_lost",
            f"{lost} of {design.n_blocks} blocks of the sample had a failed run and were left out "
            "whole: if runs fail where outputs are extreme, the indices do not see that region",
            amount=float(lost),
        )
    ]


def _design(
    method: Method, names: tuple[str, ...], unit: ArrayLike, size: int, settings: Mapping[str, Any]
) -> Design:
    rows = np.ascontiguousarray(np.asarray(unit, dtype=np.float64))
    block = np.arange(len(rows)) // size
    ids = tuple(
        f"{method}-{b}-{i % size}-{blake2b(row.tobytes(), digest_size=6).hexdigest()}"
        for i, (b, row) in enumerate(zip(block.tolist(), rows, strict=True))
    )
    return Design(method, names, rows, block, ids, settings)


def _sobol_indices(
    design: Design, kept: NDArray[np.bool_], y: Floats, seed: int, level: float
) -> pl.DataFrame:
    values = y[kept]
    if float(np.ptp(values)) == 0.0:
        return _constant(design, ("first", "total"), level)
    salib = _salib("SALib.analyze.sobol")
    found = salib.analyze(
        _box(design.names), values, calc_second_order=False, conf_level=level, seed=seed
    )
    return pl.DataFrame(
        {
            "parameter": list(design.names),
            "first": found["S1"],
            "first_low": found["S1"] - found["S1_conf"],
            "first_high": found["S1"] + found["S1_conf"],
            "total": found["ST"],
            "total_low": found["ST"] - found["ST_conf"],
            "total_high": found["ST"] + found["ST_conf"],
            "level": level,
        }
    )


def _morris_effects(
    design: Design, kept: NDArray[np.bool_], y: Floats, seed: int, level: float
) -> pl.DataFrame:
    salib = _salib("SALib.analyze.morris")
    found = salib.analyze(
        _box(design.names),
        design.unit[kept],
        y[kept],
        num_levels=design.settings["n_levels"],
        conf_level=level,
        seed=seed,
    )
    half = np.asarray(found["mu_star_conf"], dtype=np.float64)
    star = np.asarray(found["mu_star"], dtype=np.float64)
    return pl.DataFrame(
        {
            "parameter": list(design.names),
            "mu": np.asarray(found["mu"], dtype=np.float64),
            "mu_star": star,
            "mu_star_low": star - half,
            "mu_star_high": star + half,
            "sigma": np.asarray(found["sigma"], dtype=np.float64),
            "level": level,
        }
    )


def _constant(design: Design, kinds: Sequence[str], level: float) -> pl.DataFrame:
    """An output that never varies has no indices: nan, not 0."""
    nan = [float("nan")] * len(design.names)
    columns = {f"{k}{end}": nan for k in kinds for end in ("", "_low", "_high")}
    return pl.DataFrame({"parameter": list(design.names), **columns, "level": level})


def _box(names: Sequence[str]) -> dict[str, Any]:
    return {"num_vars": len(names), "names": list(names), "bounds": [[0.0, 1.0]] * len(names)}


def _salib(module: str) -> Any:
    from importlib import import_module

    try:
        return import_module(module)
    except ImportError as error:
        raise MissingExtra(
            "sensitivity indices need SALib: install the extra `calibration` "
            "(pip install 'agora-abm[calibration]')"
        ) from error


def _pairs(answers: Mapping[str, float] | pl.DataFrame, column: str) -> list[tuple[str, float]]:
    if isinstance(answers, pl.DataFrame):
        missing = [name for name in ("id", column) if name not in answers.columns]
        require(
            not missing,
            CalibrationError,
            f"the table of outputs lacks the columns {missing}; it has {answers.columns}",
        )
        return [(str(i), float(v)) for i, v in answers.select("id", column).iter_rows()]
    return [(str(i), float(v)) for i, v in answers.items()]
