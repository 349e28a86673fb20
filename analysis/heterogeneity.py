"""Heterogeneity: does an arm act differently in different groups, what moves an outcome most?"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import polars as pl

from abm.analysis.paired import FIXED, VARIED, paired_effect
from abm.errors import AnalysisError, require

__all__ = ["difference_in_effects", "variance_shares"]


def difference_in_effects(
    frame: pl.DataFrame,
    *,
    outcome: str,
    control: Any,
    group: str,
    reference: Any,
    arm: str = "arm",
    pair_by: str | Sequence[str] = "replication",
    level: float = 0.95,
    varied: Sequence[str] = VARIED,
    fixed: Sequence[str] = FIXED,
) -> pl.DataFrame:
    """Effect of each arm in each group minus its effect in the reference group.

    Two effects, one clearly different from zero and one not, need not differ from each other; this
    is the comparison to make. All four means of a replication share their random
    numbers, so the difference of differences is taken within each replication.

    Parameters
    ----------
    frame
        One row per arm, group and replication.
    reference
        Group to compare the others with.

    Returns
    -------
    One row per arm and group other than the control and the reference: the columns of
    `Effect.row()`.

    Raises
    ------
    AnalysisError
        A column, the control or the reference is missing, or a cell has several rows.

    References
    ----------
    Gelman & Stern (2006), The American Statistician 60, 328-331, for why effects are subtracted;
    otherwise as `paired_effect`.

    Examples
    --------
    >>> frame = pl.DataFrame({"arm": ["a", "b"] * 4, "party": ["x", "x", "y", "y"] * 2,
    ...     "replication": [0] * 4 + [1] * 4, "share": [0.0, 0.1, 0.0, 0.4, 0.0, 0.1, 0.0, 0.6]})
    >>> table = difference_in_effects(frame, outcome="share", control="a", group="party",
    ...                               reference="x")
    >>> table.select("arm", "party", pl.col("estimate").round(6)).rows()
    [('b', 'y', 0.4)]
    """
    units = [pair_by] if isinstance(pair_by, str) else list(pair_by)
    wide = _differences(frame, outcome, control, group, arm, units)
    known = wide.columns
    rows = []
    for name in frame[arm].unique(maintain_order=True):
        for other in frame[group].unique(maintain_order=True):
            one, two = _cell(name, other), _cell(name, reference)
            if name == control or other == reference:
                continue
            require(
                two in known and one in known,
                AnalysisError,
                f"arm {name!r} lacks group {other!r} or the reference {reference!r}; "
                f"the groups are {frame[group].unique().to_list()}",
            )
            effect = paired_effect(
                wide[one].to_numpy(), wide[two].to_numpy(), level=level, varied=varied, fixed=fixed
            )
            rows.append({arm: name, group: other, "reference": reference, **effect.row()})
    return pl.DataFrame(rows)


def variance_shares(frame: pl.DataFrame, *, outcome: str, factors: Sequence[str]) -> pl.DataFrame:
    """What moves an outcome: shares of its variance by factor, pair of factors, and the rest.

    Parameters
    ----------
    frame
        One row per run of a balanced design: every combination of the factors (parameters, prompts,
        models, arms) with equally many replications, one or more.
    factors
        Two or more columns, each with at least two values.

    Returns
    -------
    One row per source, largest first: `source` (a factor, two factors joined by ` x `, or `rest`),
    `sum_of_squares`, `degrees` and `share`. Shares sum to 1; they are nan when the outcome is
    constant. `rest` holds the replications and all higher interactions.

    Raises
    ------
    AnalysisError
        The design is not balanced, or an outcome is undefined.

    References
    ----------
    Fisher's decomposition of a balanced factorial design; Montgomery (2017), Design and Analysis of
    Experiments, 9th edition, chapter 5.

    Examples
    --------
    >>> frame = pl.DataFrame({"arm": [0, 0, 1, 1], "prompt": [0, 1, 0, 1], "y": [0., 0., 4., 4.]})
    >>> variance_shares(frame, outcome="y", factors=["arm", "prompt"])["share"].to_list()
    [1.0, 0.0, 0.0, 0.0]
    """
    names = list(factors)
    _check_balanced(frame, outcome, names)
    y = frame[outcome].cast(pl.Float64).to_numpy()
    total = float(((y - y.mean()) ** 2).sum())
    main = {name: _between(frame, y, [name]) for name in names}
    rows = [(name, *main[name]) for name in names]
    for a, b in combinations(names, 2):
        both, _ = _between(frame, y, [a, b])
        rows.append((f"{a} x {b}", both - main[a][0] - main[b][0], main[a][1] * main[b][1]))
    explained, used = sum(row[1] for row in rows), sum(row[2] for row in rows)
    rows.append(("rest", total - explained, y.size - 1 - used))
    squares = np.maximum([row[1] for row in rows], 0.0)
    table = pl.DataFrame(
        {
            "source": [row[0] for row in rows],
            "sum_of_squares": squares,
            "degrees": [row[2] for row in rows],
            "share": squares / total if total > 0 else np.full(len(rows), np.nan),
        }
    )
    return table.sort("sum_of_squares", descending=True, maintain_order=True)


def _cell(arm: Any, group: Any) -> str:
    return f"{arm}\x00{group}"


def _differences(
    frame: pl.DataFrame, outcome: str, control: Any, group: str, arm: str, units: list[str]
) -> pl.DataFrame:
    """One row per replication, one column per arm and group: the difference to the control."""
    needed = [outcome, group, arm, *units]
    missing = [name for name in needed if name not in frame.columns]
    require(not missing, AnalysisError, f"the table lacks {missing}; it has {frame.columns}")
    require(
        control in frame[arm].to_list(),
        AnalysisError,
        f"control = {control!r}, expected one of {frame[arm].unique().to_list()}",
    )
    twice = frame.select(pl.struct(arm, group, *units).is_duplicated().any()).item()
    require(not twice, AnalysisError, f"several rows for one {arm}, {group} and {units}")
    base = frame.filter(pl.col(arm) == control)
    base = base.select(*units, group, pl.col(outcome).cast(pl.Float64).alias("\x00base"))
    joined = frame.filter(pl.col(arm) != control).join(base, on=[*units, group], how="left")
    return (
        joined.with_columns(
            (pl.col(outcome).cast(pl.Float64) - pl.col("\x00base")).alias("\x00gap"),
            pl.concat_str(arm, group, separator="\x00").alias("\x00cell"),
        )
        .pivot(on="\x00cell", index=units, values="\x00gap")
        .sort(units)
        .with_columns(pl.col(pl.Float64).fill_null(float("nan")))
    )


def _between(
    frame: pl.DataFrame, y: np.ndarray[Any, np.dtype[np.float64]], names: list[str]
) -> tuple[float, int]:
    """Sum of squares between the cells of some factors, and its degrees of freedom."""
    codes = [np.unique(frame[name].to_numpy(), return_inverse=True)[1].ravel() for name in names]
    cell = np.unique(np.stack(codes, axis=1), axis=0, return_inverse=True)[1].ravel()
    size = np.bincount(cell)
    means = np.bincount(cell, weights=y) / size
    return float((size * (means - y.mean()) ** 2).sum()), int(size.size - 1)


def _check_balanced(frame: pl.DataFrame, outcome: str, names: list[str]) -> None:
    missing = [name for name in [outcome, *names] if name not in frame.columns]
    require(not missing, AnalysisError, f"the table lacks {missing}; it has {frame.columns}")
    levels = [frame[name].n_unique() for name in names]
    good = len(names) >= 2 and min(levels, default=0) >= 2
    require(good, AnalysisError, f"factors {names}, expected two or more, each with several values")
    cells = frame.group_by(names).len()
    sizes = cells["len"].to_numpy()
    wanted = int(np.prod(levels))
    require(
        sizes.size == wanted and int(sizes.min()) == int(sizes.max()),
        AnalysisError,
        f"{sizes.size} of {wanted} combinations of {names} with {sizes.min()} to {sizes.max()} "
        "runs; expected all, with equally many",
    )
    undefined = frame.filter(~pl.col(outcome).cast(pl.Float64).is_finite().fill_null(False)).height
    require(undefined == 0, AnalysisError, f"{undefined} runs have no defined {outcome!r}")
