"""The report of a calibration: what was found, whether it fits, what it cost, and what failed.

`write_report` has the form of a calibration's own report and can be named in a file:
`report = "abm.calibration.report:write_report"`. It writes REPORT.md, tables and figures beside the
posterior. `to_arviz` hands the draws to ArviZ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from abm.analysis.figures.posterior import posterior_densities
from abm.analysis.figures.predictive import predictive_intervals
from abm.analysis.figures.save import save
from abm.analysis.tables import readable, to_markdown
from abm.calibration.posterior import Posterior
from abm.calibration.problem import Problem
from abm.calibration.records import Notice, Tally
from abm.calibration.simulations import Simulations
from abm.calibration.trust.check import TrustReport, predictive_check
from abm.calibration.trust.predictive import PredictiveCheck
from abm.errors import CalibrationError, MissingExtra, require
from abm.rng import chance

__all__ = [
    "cost_table",
    "density_table",
    "posterior_table",
    "predictive_table",
    "to_arviz",
    "write_report",
]

Floats = NDArray[np.float64]
LEVEL = 0.9


def posterior_table(post: Posterior, *, level: float = LEVEL) -> pl.DataFrame:
    """One row per parameter: `estimate` (mean), `sd`, `median`, `low`, `high`, `level`.

    Examples
    --------
    >>> post = Posterior(("a",), np.linspace(0, 1, 101)[:, None], np.ones(101), "given")
    >>> posterior_table(post).row(0)[:2]
    ('a', 0.5)
    """
    low, high = post.interval(level).T
    return pl.DataFrame(
        {
            "parameter": list(post.names),
            "estimate": post.mean,
            "sd": post.sd,
            "median": post.quantile(0.5)[0],
            "low": low,
            "high": high,
            "level": level,
        }
    )


def density_table(post: Posterior, problem: Problem, *, n_bins: int | None = None) -> pl.DataFrame:
    """Histograms of posterior and prior, for `posterior_densities`.

    Bins span the central 99 % of the prior, or the draws where these reach further. Signed weights
    are used as they are, so that a bin may be negative. By default there are 8 to 40 bins, twice
    the square root of the effective sample size: a few draws should not look like many modes.

    Examples
    --------
    >>> from abm.calibration import Independent, Targets, scalar, uniform
    >>> problem = Problem(lambda p, s, f: p, Independent({"a": uniform(0, 1)}),
    ...                   Targets([scalar("a", 0.5)]))
    >>> post = Posterior(("a",), np.linspace(0.4, 0.6, 101)[:, None], np.ones(101), "given")
    >>> table = density_table(post, problem, n_bins=10)
    >>> round(table.filter(kind="posterior")["density"].max(), 1)
    5.0
    """
    if n_bins is None:
        n_bins = int(np.clip(2 * np.sqrt(post.ess), 8, 40))
    require(n_bins >= 2, CalibrationError, f"n_bins = {n_bins}, expected >= 2")
    before = problem.prior.sample(20_000, rng=chance(problem.seed, "prior for a figure"))
    tables = []
    for j, name in enumerate(post.names):
        low, high = np.quantile(before[:, j], [0.005, 0.995])
        used = post.draws[post.weights != 0, j]
        low, high = min(low, used.min()), max(high, used.max())
        edges = np.linspace(low, high if high > low else low + 1.0, n_bins + 1)
        for kind, values, weights in (
            ("prior", before[:, j], np.full(len(before), 1 / len(before))),
            ("posterior", post.draws[:, j], post.weights),
        ):
            mass, _ = np.histogram(values, edges, weights=weights)
            tables.append(
                pl.DataFrame(
                    {
                        "parameter": name,
                        "kind": kind,
                        "left": edges[:-1],
                        "right": edges[1:],
                        "density": mass / np.diff(edges),
                    }
                )
            )
    return pl.concat(tables)


def predictive_table(problem: Problem, check: pl.DataFrame) -> pl.DataFrame:
    """The table of a predictive check with `target` and `index`, for `predictive_intervals`."""
    places: dict[str, tuple[str, int]] = {}
    for part in (problem.fitted, problem.targets.held_out):
        owners = [(t.name, k) for t in part for k in range(t.size)]
        places |= dict(zip(part.labels, owners, strict=True))
    found = [places[label] for label in check["summary"].to_list()]
    return check.with_columns(
        target=pl.Series([name for name, _ in found]), index=pl.Series([k for _, k in found])
    )


def cost_table(used: Tally) -> pl.DataFrame:
    """One row per fidelity: runs, notional cost, notional tokens, hours of simulating.

    Examples
    --------
    >>> cost_table(Tally()).columns
    ['fidelity', 'runs', 'cost', 'tokens', 'hours']
    """
    rows = [
        {
            "fidelity": level,
            "runs": used.runs[level],
            "cost": float(used.cost[level]),
            "tokens": used.tokens[level],
            "hours": used.seconds[level] / 3600,
        }
        for level in used.runs
    ]
    schema = {
        "fidelity": pl.String,
        "runs": pl.Int64,
        "cost": pl.Float64,
        "tokens": pl.Int64,
        "hours": pl.Float64,
    }
    return pl.DataFrame(rows, schema=schema)


def to_arviz(post: Posterior, problem: Problem, *, n: int = 2000) -> Any:
    """An `arviz.InferenceData` with posterior, observed data and statistics of the draws.

    Draws are resampled to equal weights, as one chain of n; ArviZ' chain diagnostics do not apply.

    Parameters
    ----------
    n
        Draws, >= 1.

    Raises
    ------
    CalibrationError
        Signed weights: take `post.clipped()` if its bias is acceptable.
    MissingExtra
        ArviZ is not installed.

    Examples
    --------
    >>> from abm.calibration import Independent, Targets, scalar, uniform
    >>> problem = Problem(lambda p, s, f: p, Independent({"a": uniform(0, 1)}),
    ...                   Targets([scalar("y", 0.5)]))
    >>> post = Posterior(("a",), np.linspace(0, 1, 101)[:, None], np.ones(101), "given")
    >>> data = to_arviz(post, problem, n=500)
    >>> data.posterior["a"].shape, data.observed_data["y"].item()
    ((1, 500), 0.5)
    """
    try:
        import arviz
    except ImportError as error:
        raise MissingExtra(
            "the export needs ArviZ: install the extra `calibration` "
            "(pip install 'agora-abm[calibration]')"
        ) from error
    rows = post.indices(n, rng=chance(problem.seed, "arviz"))
    groups: dict[str, Any] = {
        "posterior": {name: post.draws[rows, j][None] for j, name in enumerate(post.names)},
        "observed_data": {t.name: t.value for t in problem.fitted},
    }
    if post.statistics is not None:
        values = post.statistics[rows]
        groups["posterior_predictive"] = {
            t.name: values[:, problem.fitted.slices[t.name]].reshape(1, n, *t.shape)
            for t in problem.fitted
        }
    if int(arviz.__version__.split(".")[0]) < 1:
        return arviz.from_dict(**groups)
    return arviz.from_dict(groups)


def write_report(
    result: Any,
    problem: Problem,
    folder: str | Path,
    simulations: Simulations,
    *,
    trust: TrustReport | None = None,
    n_predictive: int = 200,
    label: str = "",
    used: Tally | None = None,
) -> Path:
    """Write REPORT.md with its tables and figures into a folder.

    Parameters
    ----------
    result
        Of a method; a `Posterior` gets figures, a predictive check against fitted and held-out
        data, and its cost per effective draw. Others get their summary, notices and cost.
    simulations
        Those of the fit, still open: the predictive check simulates `n_predictive` runs more.
    trust
        Checks of the calibration, if they were run.
    label
        Printed on every figure and at the head.
    used
        What the fit used, where checks have simulated more since; by default `simulations.used`.

    Returns
    -------
    The path of REPORT.md. Equal input gives equal files, but for hours.
    """
    base = Path(folder)
    used = used or simulations.used
    fit_cost, outcomes = cost_table(used), _outcomes(used)  # before the check simulates more
    lines = [f"# {problem.name}", ""]
    lines += [f"**{label}**", ""] if label else []
    if trust is not None:
        lines += [f"**{trust.verdict}**", ""]
    lines += _notices(result.notices)
    if isinstance(result, Posterior):
        lines += _posterior_part(result, problem, base, label)
        known = None if trust is None else trust.predictive
        lines += _predictive_part(result, problem, base, simulations, n_predictive, label, known)
    else:
        lines += ["## Result", "", to_markdown(result.summary()), ""]
    if trust is not None:
        lines += ["## Can it be trusted?", "", *[f"- {line}" for line in trust.words], ""]
        for name, table in trust.tables().items():
            table.write_csv(base / f"check_{name}.csv")
    lines += ["## What it cost", "", to_markdown(fit_cost), ""]
    if isinstance(result, Posterior):
        lines += [
            f"Effective sample size {result.ess:.1f} of {result.n} draws: "
            f"{result.ess_per_cost:.3g} per unit of notional cost.",
            "",
            *_gain(result),
        ]
    lines += ["## What happened", "", to_markdown(outcomes), ""]
    path = base / "REPORT.md"
    base.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    return path


def _gain(post: Posterior) -> list[str]:
    """What several fidelities achieved, and what their pilot had predicted; else nothing."""
    if "achieved_interval" not in post.details:
        return []
    told = []
    for name in ("achieved", "predicted"):
        low, high = post.details[f"{name}_interval"]
        told.append(f"{post.details[f'{name}_ess_per_cost']:.3g} ({low:.3g} to {high:.3g})")
    return [
        f"Effective draws per notional cost after the pilot: {told[0]}; the pilot's verdicts "
        f"predicted {told[1]}. Both are estimates from few rare verdicts, with 90 % intervals.",
        "",
    ]


def _posterior_part(post: Posterior, problem: Problem, base: Path, label: str) -> list[str]:
    table, densities = posterior_table(post), density_table(post, problem)
    figure = posterior_densities(densities, intervals=table)
    facts = {"method": post.method, "draws": post.n, "ess": post.ess, "level": LEVEL}
    save(figure, base / "figures", "posterior", densities, facts, label=label)
    table.write_csv(base / "posterior_summary.csv")
    return [
        "## Posterior",
        "",
        to_markdown(readable(table, keep=["parameter"])),
        "",
        "![posterior](figures/posterior.png)",
        "",
    ]


def _predictive_part(
    post: Posterior,
    problem: Problem,
    base: Path,
    simulations: Simulations,
    n: int,
    label: str,
    known: PredictiveCheck | None,
) -> list[str]:
    head = "## Does the fitted model look like the data?"
    try:
        check = known or predictive_check(simulations, post, n=n)
    except CalibrationError as error:
        return [head, "", f"- Nobody knows, for this check was not possible: {error}", ""]
    table = predictive_table(problem, check.table)
    runs = int(table["n"][0]) + check.undefined
    facts = {"runs": runs, "level": float(table["level"][0]), "joint_p": check.joint_p}
    save(predictive_intervals(table), base / "figures", "predictive", table, facts, label=label)
    return [
        head,
        "",
        *[f"- {line}" for line in check.words],
        "",
        "![predictive](figures/predictive.png)",
        "",
    ]


def _outcomes(used: Tally) -> pl.DataFrame:
    rows: list[Mapping[str, Any]] = [
        {"outcome": name, "simulations": n, "cause": ""} for name, n in used.outcomes.items()
    ]
    rows += [
        {"outcome": "", "simulations": n, "cause": cause} for cause, n in used.errors.most_common(5)
    ]
    return pl.DataFrame(
        rows, schema={"outcome": pl.String, "simulations": pl.Int64, "cause": pl.String}
    )


def _notices(notices: Sequence[Notice]) -> list[str]:
    if not notices:
        return []
    lines = [f"- **{notice.outcome}**: {notice.message}" for notice in notices]
    return ["## What a reader must know", "", *lines, ""]
