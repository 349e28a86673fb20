"""Densities of opinions on a bounded scale, as tables for ridgelines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter1d

from abm.errors import AnalysisError, require

__all__ = ["density", "density_table"]


def density(
    opinions: ArrayLike,
    *,
    bandwidth: float,
    low: float = 0.0,
    high: float = 1.0,
    points: int = 200,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Kernel density on a bounded scale, mirrored at the ends so that no mass is lost.

    Opinions are first counted in `points` equal bins, so that a million cost little; the bandwidth
    should be several bins wide.

    Parameters
    ----------
    bandwidth
        Standard deviation of the Gaussian kernel in the unit of the scale, > 0.

    Returns
    -------
    Mid-points of the bins and densities there, both of shape (points,); densities are nan for
    nobody, and integrate to 1 otherwise.

    References
    ----------
    Silverman (1986), Density Estimation for Statistics and Data Analysis, Chapman and Hall, section
    2.10 (reflection at the ends) and 3.5 (counting in bins first).

    Examples
    --------
    >>> x, d = density([0.0, 1.0], bandwidth=0.1)
    >>> round(float(d.sum() * (x[1] - x[0])), 9)
    1.0
    """
    require(
        bandwidth > 0 and low < high and points >= 2,
        AnalysisError,
        f"bandwidth = {bandwidth}, scale [{low}, {high}], points = {points}, "
        "expected bandwidth > 0, low < high, points >= 2",
    )
    values = np.asarray(opinions, dtype=np.float64).ravel()
    values = values[~np.isnan(values)]
    heights, edges = np.histogram(values, bins=points, range=(low, high))
    require(
        int(heights.sum()) == values.size,
        AnalysisError,
        f"opinions outside the scale [{low}, {high}]; give low and high of the scale",
    )
    wide = (high - low) / points
    middles = (edges[:-1] + edges[1:]) / 2
    if values.size == 0:
        return middles, np.full(points, np.nan)
    smooth = gaussian_filter1d(
        heights.astype(np.float64), bandwidth / wide, mode="reflect", truncate=6
    )
    return middles, smooth / (smooth.sum() * wide)


def density_table(
    frame: pl.DataFrame,
    *,
    value: str,
    by: str | Sequence[str],
    bandwidth: float,
    low: float = 0.0,
    high: float = 1.0,
    points: int = 200,
) -> pl.DataFrame:
    """Densities of each group: columns of `by`, then `opinion` and `density`, for `ridgelines`.

    Returns
    -------
    One row per group and bin, `points` rows for each; densities are nan for a group of nobody.

    References
    ----------
    That of `density`.

    Examples
    --------
    >>> frame = pl.DataFrame({"time": [0, 0, 1], "x": [0.1, 0.9, 0.5]})
    >>> density_table(frame, value="x", by="time", bandwidth=0.05, points=50).shape
    (100, 3)
    """
    names = [by] if isinstance(by, str) else list(by)
    tables = []
    for key, part in frame.partition_by(names, as_dict=True, maintain_order=True).items():
        x, d = density(
            part[value].cast(pl.Float64).drop_nulls().to_numpy(),
            bandwidth=bandwidth,
            low=low,
            high=high,
            points=points,
        )
        head: dict[str, Any] = {
            name: pl.repeat(word, points, dtype=frame.schema[name], eager=True)
            for name, word in zip(names, key, strict=True)
        }
        tables.append(pl.DataFrame(head | {"opinion": x, "density": d}))
    require(bool(tables), AnalysisError, "the table of opinions is empty")
    return pl.concat(tables)
