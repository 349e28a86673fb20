"""Scores on the respondents and moments that the fit did not see, against three baselines.

Every forecast is a distribution over categories. It is scored by two proper scores, averaged over
the respondents of the second half: the logarithmic score (smaller is better, in nats) and the
Brier score. All forecasts alike are mixed with 1 % of the uniform one, so that none is infinitely
wrong.

*fitted*: the settled societies of the posterior, averaged. *no dynamics*: the same societies in
which nobody ever met. *independence*: shares of the first half, each column by itself. *uniform*:
all categories alike.

What a candidate is thought to stand for, and the vote, enter only through a measurement model: the
conditional shares P(answer | category of the fitted item), from the first half, each drawn toward
the column's marginal with the weight of `SHRINKAGE` respondents. The dynamics are not fitted to
them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from abm.calibration import Posterior, Problem, Simulations
from abm.errors import CalibrationError
from abm.models.opinion_network.stationary.survey import (
    HELD_BACK,
    ITEMS,
    OTHERS,
    K,
    halves,
    shares_of,
    targets,
)

__all__ = ["SHRINKAGE", "held_back", "item_of", "measurement", "report", "scores"]

Floats = NDArray[np.float64]
SHRINKAGE = 5.0
UNIFORM_PART = 0.01


def measurement(fit: pl.DataFrame, column: str, low: int, other: str) -> Floats:
    """P(answer to `other` | category of `column`), shape (7, n_answers), from the first half.

    Examples
    --------
    >>> fit, _ = halves()
    >>> table = measurement(fit, "PID", 0, "vote")
    >>> table.shape, bool(table[0, 1] < 0.1 < 0.9 < table[6, 1])
    ((7, 2), True)
    """
    start, n = OTHERS[other]
    counts = np.zeros((K, n))
    np.add.at(counts, (fit[column].to_numpy() - low, fit[other].to_numpy() - start), 1.0)
    marginal = counts.sum(axis=0) / counts.sum()
    found: Floats = (counts + SHRINKAGE * marginal) / (
        counts.sum(axis=1, keepdims=True) + SHRINKAGE
    )
    return found


def scores(forecasts: dict[str, Floats], item: str, seed: int = 1996) -> pl.DataFrame:
    """Scores of forecasts of one item's shares, on the second half.

    Parameters
    ----------
    forecasts
        Name -> shares, shape (7,). The two baselines that need no simulation are added.

    Returns
    -------
    One row per forecast and scored column: log score, Brier score, and the difference of log scores
    to `fitted` (`vs_fitted`, positive: worse than fitted) with its standard error over
    respondents.
    """
    column, low = ITEMS[item]
    fit, score = halves(seed)
    rows: list[dict[str, Any]] = []
    codes = score[column].to_numpy() - low
    for other in ("", *OTHERS):
        found: dict[str, tuple[Floats, float]] = {}
        for name, table in _tables(forecasts, fit, column, low, other).items():
            if other:
                answers = score[other].to_numpy() - OTHERS[other][0]
                cells = codes * table.shape[1] + answers
            else:
                cells = codes
            found[name] = _scored(table.ravel(), cells)
        base = found["fitted"][0]
        for name, (logs, brier) in found.items():
            gap = logs - base
            rows.append(
                {
                    "scored": f"{column} and {other}" if other else column,
                    "forecast": name,
                    "log_score": float(logs.mean()),
                    "brier_score": brier,
                    "vs_fitted": float(gap.mean()),
                    "error": float(gap.std(ddof=1) / len(gap) ** 0.5),
                }
            )
    return pl.DataFrame(rows)


def held_back(post: Posterior, problem: Problem) -> pl.DataFrame:
    """Held-back moments of the second half against the posterior predictive: mean, sd, z."""
    assert post.held_out is not None
    back = problem.targets.held_out
    rows = []
    for name in HELD_BACK:
        place = back.slices[name].start
        values = post.held_out[:, place]
        mean = float(post.weights @ values)
        sd = max(float(post.weights @ (values - mean) ** 2), 0.0) ** 0.5
        error = float(np.hypot(sd, back[name].standard_error[0]))
        observed = float(back[name].value)
        rows.append(
            {"moment": name, "observed": observed, "predicted": mean, "sd": sd,
             "z": (observed - mean) / error}
        )  # fmt: skip
    return pl.DataFrame(rows)


def item_of(problem: Problem) -> str:
    """Which item a problem was fitted to, by its held-out shares.

    Raises
    ------
    CalibrationError
        Its targets are not those of `survey.targets` at the seed of the halves that are scored.

    Examples
    --------
    >>> from abm.calibration import Independent, uniform
    >>> from abm.models.opinion_network.stationary.survey import targets
    >>> item_of(Problem(print, Independent({"bound": uniform(0, 1)}), targets("party")))
    'party'
    """
    for item in ITEMS:
        known = targets(item)["shares"].value
        if "shares" in problem.targets.names and np.array_equal(
            problem.targets["shares"].value, known
        ):
            return item
    raise CalibrationError(
        "this report scores fits to abm.models.opinion_network.stationary.survey:targets with its "
        f"default seed; the targets of {problem.name!r} are others. Give no report, or your own",
        argument="report",
    )


def report(post: Posterior, problem: Problem, folder: Path, simulations: Simulations) -> None:
    """Score the posterior on what it did not see; print the tables and keep them beside it."""
    from abm.cli import show

    assert post.held_out is not None
    item = item_of(problem)
    place = problem.targets.held_out.slices["shares"]
    fitted = post.weights @ post.held_out[:, place]
    frozen = np.array(
        [
            problem.simulator(dict(zip(post.names, draw, strict=True)), number, "frozen")["shares"]  # type: ignore[index]
            for number, draw in enumerate(post.draws)
        ]
    )
    made = scores({"fitted": fitted, "no dynamics": post.weights @ frozen}, item)
    moments = held_back(post, problem)
    made.write_parquet(folder / "scores.parquet")
    moments.write_parquet(folder / "held_back.parquet")
    del simulations
    show.console.print()
    show.table("scores on the other half of the respondents", made.columns, made.rows())
    show.console.print()
    show.table("moments held back", moments.columns, moments.rows())


def _tables(
    forecasts: dict[str, Floats], fit: pl.DataFrame, column: str, low: int, other: str
) -> dict[str, Floats]:
    """Every forecast as a distribution over the item, or over the item and another column."""
    first = shares_of(fit, column, low)
    if not other:
        return {**forecasts, "independence": first, "uniform": np.full(K, 1.0 / K)}
    model = measurement(fit, column, low, other)
    start, n = OTHERS[other]
    joint = {name: shares[:, None] * model for name, shares in forecasts.items()}
    joint["independence"] = np.outer(first, shares_of(fit, other, start, n))
    joint["uniform"] = np.full((K, n), 1.0 / (K * n))
    return joint


def _scored(forecast: Floats, cells: NDArray[np.int64]) -> tuple[Floats, float]:
    """Log score of each respondent, and the mean Brier score."""
    p = (1.0 - UNIFORM_PART) * forecast / forecast.sum() + UNIFORM_PART / forecast.size
    brier = float((p @ p) - 2.0 * p[cells].mean() + 1.0)
    return -np.log(p[cells]), brier
