"""People from survey records: weighted resampling that keeps who answered."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from abm.errors import PopulationError, require

__all__ = ["draw", "integerise"]


def draw(
    frame: pl.DataFrame,
    n: int,
    *,
    weights: str | ArrayLike | None = None,
    rng: np.random.Generator,
    method: str = "systematic",
) -> pl.DataFrame:
    """n people drawn from survey records, with replacement, in proportion to their weights.

    The rows come in random order with all columns of the frame, the respondent's id among them, and
    a column `copy`: 0 for the first person made from a respondent, 1 for the second, and so on.

    Parameters
    ----------
    frame
        One row per respondent.
    n
        How many people, >= 0.
    weights
        Column of survey weights, or one weight per row; finite, >= 0, not all 0. `None` gives all
        respondents the same weight.
    method
        `systematic`: each respondent appears its expected number of times, rounded up or down by
        chance, so that the people resemble the weighted survey closely. `trs`: the same by
        truncate, replicate, sample; see `integerise`. `independent`: n independent draws, as a
        sample from the survey would be.

    Examples
    --------
    >>> survey = pl.DataFrame({"respondent": ["a", "b", "c"], "weight": [1.0, 3.0, 0.0]})
    >>> people = draw(survey, 8, weights="weight", rng=np.random.default_rng(1))
    >>> people["respondent"].value_counts().sort("respondent").rows()
    [('a', 2), ('b', 6)]
    """
    check_frame("frame", frame)
    require(
        isinstance(n, int | np.integer) and n >= 0,
        PopulationError,
        f"n = {n!r}, expected a whole number >= 0",
        n=n,
    )
    require(
        frame.height > 0 or n == 0, PopulationError, "the frame has no rows to draw people from"
    )
    require(
        "copy" not in frame.columns,
        PopulationError,
        "the frame has a column 'copy', which draw writes; rename it",
    )
    mass = _weights(frame, weights)
    if n == 0:
        return frame.clear().with_columns(copy=pl.lit(0, pl.Int64))
    counts = _counts(mass / mass.sum(), n, method, rng)
    rows = np.repeat(np.arange(frame.height), counts)
    copies = np.arange(n) - np.repeat(np.cumsum(counts) - counts, counts)
    order = rng.permutation(n)
    return frame[rows[order]].with_columns(copy=pl.Series(copies[order], dtype=pl.Int64))


def _counts(
    shares: NDArray[np.float64], n: int, method: str, rng: np.random.Generator
) -> NDArray[np.int64]:
    """How often each is drawn, n in all."""
    require(
        method in ("systematic", "trs", "independent"),
        PopulationError,
        f"method = {method!r}, expected 'systematic', 'trs' or 'independent'",
    )
    if method == "independent":
        return rng.multinomial(n, shares).astype(np.int64)
    return integerise(shares * n, rng=rng, method=method)


def integerise(
    expected: ArrayLike, *, rng: np.random.Generator, method: str = "systematic"
) -> NDArray[np.int64]:
    """Whole numbers with the given expectations: each is rounded up or down by chance.

    They sum to what the expectations sum to.

    Parameters
    ----------
    expected
        Shape (n,), >= 0, with a whole sum.
    method
        `systematic`: systematic sampling of the fractions in random order, so that the probability
        that i is rounded up is its fraction, exactly. `trs` (truncate, replicate, sample): those
        rounded up are drawn one after another without replacement, in proportion to the fractions;
        usual in microsimulation, and close to the fractions where many are rounded.

    References
    ----------
    Madow (1949), Annals of Mathematical Statistics 20; Lovelace & Ballas (2013), Computers,
    Environment and Urban Systems 41, 1-11.

    Examples
    --------
    >>> int(integerise([1.5, 0.5, 2.0], rng=np.random.default_rng(1)).sum())
    4
    """
    values = _as_numbers("expected", expected)
    require(
        values.ndim == 1 and bool((np.isfinite(values) & (values >= 0)).all()),
        PopulationError,
        f"expected has shape {values.shape}, expected finite numbers >= 0 in one row",
    )
    total = float(values.sum())
    require(
        abs(total - round(total)) <= 1e-6 * max(1.0, total),
        PopulationError,
        f"expected sums to {total}, expected a whole number of people",
    )
    # Sums of weights carry rounding errors: 2.9999999999999996 is 3.
    near = np.round(values)
    values = np.where(np.abs(values - near) < 1e-9, near, values)
    whole = np.floor(values).astype(np.int64)
    missing = round(total) - int(whole.sum())
    require(
        method in ("systematic", "trs"),
        PopulationError,
        f"method = {method!r}, expected 'systematic' or 'trs'",
    )
    if method == "trs" and missing > 0:
        part = values - whole
        whole[rng.choice(values.size, missing, replace=False, p=part / part.sum())] += 1
        return whole
    order = rng.permutation(values.size)
    steps = np.cumsum((values - whole)[order])
    if missing <= 0 or steps[-1] <= 0:
        return whole
    ticks = (rng.random() + np.arange(missing)) * (steps[-1] / missing)
    places = np.minimum(np.searchsorted(steps, ticks, side="right"), values.size - 1)
    np.add.at(whole, order[places], 1)
    return whole


def check_frame(name: str, frame: Any) -> None:
    """Refuse what is no table, with the way to one."""
    kind, remedy = type(frame).__name__, ""
    if isinstance(frame, pl.LazyFrame):
        remedy = f"; pass {name}.collect()"
    elif hasattr(frame, "to_numpy"):
        remedy = f"; pass polars.from_pandas({name})"
    require(
        isinstance(frame, pl.DataFrame),
        PopulationError,
        f"{name} is a {kind}, expected a polars.DataFrame{remedy}",
    )


def _as_numbers(name: str, values: ArrayLike) -> NDArray[np.float64]:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise PopulationError(f"{name}: {error}, expected numbers") from error


def _weights(frame: pl.DataFrame, weights: str | ArrayLike | None) -> NDArray[np.float64]:
    if weights is None:
        return np.ones(frame.height)
    if isinstance(weights, str):
        require(
            weights in frame.columns,
            PopulationError,
            f"weights = {weights!r}, expected a column of the frame: {frame.columns}",
        )
        values = frame[weights].cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy()
    else:
        values = _as_numbers("weights", weights)
    require(
        values.shape == (frame.height,),
        PopulationError,
        f"weights has shape {values.shape}, expected ({frame.height},), one per row",
    )
    bad = np.flatnonzero(~np.isfinite(values) | (values < 0))
    require(
        bad.size == 0,
        PopulationError,
        f"weights: {bad.size} are missing, negative or no finite numbers, first in row "
        f"{bad[:1].tolist()}",
    )
    require(
        frame.height == 0 or values.sum() > 0,
        PopulationError,
        "weights are all 0: nobody can be drawn",
    )
    return values
