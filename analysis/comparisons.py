"""Tables of means and effects over the cells of a design, with the replication as the unit.

Input is tidy: one row per run, with columns for arm, replication, other factors and outcomes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl
from statsmodels.stats.multitest import multipletests

from abm.analysis.intervals import check_level, few, t_halfwidth
from abm.analysis.paired import FIXED, VARIED, Effect, paired_effect
from abm.errors import AnalysisError, require

__all__ = ["adjusted", "effects_table", "means_table"]

Names = str | Sequence[str]

_EFFECT_COLUMNS: dict[str, pl.DataType] = {
    "estimate": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
    "level": pl.Float64(),
    "n": pl.Int64(),
    "correlation": pl.Float64(),
    "sd_paired": pl.Float64(),
    "sd_unpaired": pl.Float64(),
    "p_value": pl.Float64(),
    "unmatched": pl.Int64(),
    "varied": pl.String(),
    "fixed": pl.String(),
    "reason": pl.String(),
}


def effects_table(
    frame: pl.DataFrame,
    *,
    outcomes: Names,
    control: Names,
    arm: str = "arm",
    pair_by: Names = "replication",
    by: Names = (),
    level: float = 0.95,
    varied: Sequence[str] = VARIED,
    fixed: Sequence[str] = FIXED,
) -> pl.DataFrame:
    """Effect of every arm against one or more control arms, paired by replication.

    Parameters
    ----------
    frame
        One row per run: columns `arm`, those of `pair_by` and `by`, and one per outcome.
    outcomes
        Outcome columns.
    control
        Value of `arm` to compare with; several make one row each.
    pair_by
        What identifies runs that share their random numbers.
    by
        Further factors (answerer, group): one comparison within each cell.
    level, varied, fixed
        As in `paired_effect`.

    Returns
    -------
    One row per cell, arm, control and outcome: `estimate, low, high, level, n, correlation,
    sd_paired, sd_unpaired, p_value, unmatched, varied, fixed, reason`. `unmatched` counts runs
    without a partner in the other arm, which are left out; a cell without control runs has an
    undefined effect.

    Raises
    ------
    AnalysisError
        A column or control is missing, or a replication has several rows in one cell.

    References
    ----------
    The paired t interval of Student (1908), Biometrika 6, 1-25, as in `paired_effect`; common
    random numbers: Glasserman and Yao (1992), Management Science 38, 884-908.

    Examples
    --------
    >>> runs = pl.DataFrame({"arm": ["a", "a", "b", "b"], "replication": [0, 1, 0, 1],
    ...                      "share": [0.1, 0.2, 0.3, 0.5]})
    >>> effects_table(runs, outcomes="share", control="a").select("arm", "control", "estimate", "n")
    shape: (1, 4)
    ┌─────┬─────────┬──────────┬─────┐
    │ arm ┆ control ┆ estimate ┆ n   │
    │ --- ┆ ---     ┆ ---      ┆ --- │
    │ str ┆ str     ┆ f64      ┆ i64 │
    ╞═════╪═════════╪══════════╪═════╡
    │ b   ┆ a       ┆ 0.25     ┆ 2   │
    └─────┴─────────┴──────────┴─────┘
    """
    check_level(level)
    pairs, cells, measures, controls = (_names(n) for n in (pair_by, by, outcomes, control))
    _check_columns(frame, [arm, *pairs, *cells, *measures])
    _check_unique(frame, [*cells, arm, *pairs])
    _check_arms(frame, arm, controls)
    rows: list[dict[str, Any]] = []
    for cell, part in _cells(frame, cells):
        arms = part.partition_by(arm, as_dict=True, maintain_order=True)
        for base in controls:
            for (name,), treated in arms.items():
                if name == base:
                    continue
                other = arms.get((base,), part.clear())
                both = treated.join(other, on=pairs, suffix="\x00").sort(pairs)
                unmatched = treated.height + other.height - 2 * both.height
                for outcome in measures:
                    effect = _effect(both, outcome, level, varied, fixed)
                    head = {**cell, arm: name, "control": base, "outcome": outcome}
                    rows.append(head | _effect_row(effect, unmatched))
    head_schema = {name: frame.schema[name] for name in [*cells, arm]}
    head_schema |= {"control": frame.schema[arm], "outcome": pl.String()}
    return pl.DataFrame(rows, schema=head_schema | _EFFECT_COLUMNS, orient="row")


def means_table(
    frame: pl.DataFrame,
    *,
    outcomes: Names,
    by: Names,
    replication: Names = "replication",
    within: tuple[float, float] | None = None,
    level: float = 0.95,
    varied: Sequence[str] = VARIED,
    fixed: Sequence[str] = FIXED,
) -> pl.DataFrame:
    """Mean of each outcome in each cell with Student's t interval over replications.

    Also makes the table of a trajectory: give `by=["arm", "time"]`.

    Parameters
    ----------
    frame
        One row per cell and replication; undefined outcomes are null or nan.
    within
        Range of values that the outcomes can take at all, such as (0, 1) for shares: intervals are
        cut there, which costs them no coverage.

    Returns
    -------
    One row per outcome and cell, cells in order of appearance: the columns of `by`, then
    `outcome, estimate, low, high, level, n, sd, varied, fixed, reason`.

    References
    ----------
    Student (1908), Biometrika 6, 1-25.

    Examples
    --------
    >>> runs = pl.DataFrame({"arm": ["a"] * 3, "replication": [0, 1, 2], "share": [0.1, 0.2, 0.3]})
    >>> row = means_table(runs, outcomes="share", by="arm").row(0, named=True)
    >>> row["n"], round(row["estimate"], 3), round(row["low"], 3), round(row["high"], 3)
    (3, 0.2, -0.048, 0.448)
    """
    check_level(level)
    cells, measures, units = _names(by), _names(outcomes), _names(replication)
    _check_columns(frame, [*cells, *measures, *units])
    _check_unique(frame, [*cells, *units])
    tables = [_means(frame, outcome, cells, level) for outcome in measures]
    scope = [
        pl.lit(", ".join(words)).alias(n) for n, words in (("varied", varied), ("fixed", fixed))
    ]
    order = [*cells, "outcome", "estimate", "low", "high", "level", "n", "sd"]
    table = pl.concat(tables).with_columns(scope)
    if within is not None:
        table = table.with_columns(pl.col("low", "high").clip(*within))
    return table.select(*order, "varied", "fixed", "reason")


def adjusted(table: pl.DataFrame, *, method: str = "holm", family: Names = ()) -> pl.DataFrame:
    """Add `p_adjusted`: p values corrected for the number of comparisons in each family.

    Parameters
    ----------
    table
        Has a column `p_value`; undefined p values stay nan and are not counted.
    method
        A method of `statsmodels.stats.multitest.multipletests`, such as `holm` or `fdr_bh`.
        Any other raises AnalysisError.
    family
        Columns that separate families; none makes the whole table one family.

    Returns
    -------
    The table with `p_adjusted`, in the order of its rows; nan where `p_value` is undefined.

    References
    ----------
    Holm (1979), Scandinavian Journal of Statistics 6, 65-70; Benjamini and Hochberg (1995), Journal
    of the Royal Statistical Society B 57, 289-300.

    Examples
    --------
    >>> adjusted(pl.DataFrame({"p_value": [0.01, 0.04]}))["p_adjusted"].to_list()
    [0.02, 0.04]
    """
    _check_columns(table, ["p_value", *_names(family)])
    _check_method(method)
    p = table["p_value"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    result = np.full(p.shape, np.nan)
    rows = table.with_row_index("\x00row")
    for _, part in _cells(rows, _names(family)):
        index = part["\x00row"].to_numpy()
        index = index[np.isfinite(p[index])]
        if index.size:
            result[index] = multipletests(p[index], method=method)[1]
    return table.with_columns(pl.Series("p_adjusted", result))


def _check_method(method: str) -> None:
    try:
        multipletests([0.5], method=method)
    except ValueError:
        raise AnalysisError(
            f"correction = {method!r}, expected holm, fdr_bh, bonferroni or another method of "
            "statsmodels' multipletests",
            method=method,
        ) from None


def _effect(
    both: pl.DataFrame, outcome: str, level: float, varied: Sequence[str], fixed: Sequence[str]
) -> Effect:
    a, b = (
        both[name].cast(pl.Float64).fill_null(float("nan")) for name in (outcome, outcome + "\x00")
    )
    return paired_effect(a.to_numpy(), b.to_numpy(), level=level, varied=varied, fixed=fixed)


def _effect_row(effect: Effect, unmatched: int) -> dict[str, Any]:
    row = effect.row() | {"unmatched": unmatched}
    if unmatched:
        note = f"{unmatched} runs without a partner left out"
        row["reason"] = "; ".join(filter(None, [effect.reason, note]))
    return {name: row[name] for name in _EFFECT_COLUMNS}


def _means(frame: pl.DataFrame, outcome: str, cells: list[str], level: float) -> pl.DataFrame:
    value = pl.col(outcome).cast(pl.Float64)
    defined = value.filter(value.is_finite())
    table = frame.group_by(cells, maintain_order=True).agg(
        defined.mean().alias("estimate"),
        defined.std(ddof=1).alias("sd"),
        defined.count().cast(pl.Int64).alias("n"),
        pl.len().cast(pl.Int64).alias("\x00rows"),
    )
    filled = table.with_columns(pl.col("estimate", "sd").fill_null(float("nan")))
    half = t_halfwidth(filled["sd"].to_numpy(), filled["n"].to_numpy(), level)
    missing = (filled["\x00rows"] - filled["n"]).to_list()
    reasons = [few(n, left_out=gone) for n, gone in zip(filled["n"], missing, strict=True)]
    return filled.with_columns(
        pl.lit(outcome).alias("outcome"),
        (pl.col("estimate") - pl.Series(half)).alias("low"),
        (pl.col("estimate") + pl.Series(half)).alias("high"),
        pl.lit(float(level)).alias("level"),
        pl.Series("reason", reasons, dtype=pl.String),
    )


def _names(names: Names) -> list[str]:
    return [names] if isinstance(names, str) else list(names)


def _cells(frame: pl.DataFrame, by: list[str]) -> Iterator[tuple[dict[str, Any], pl.DataFrame]]:
    if not by:
        yield {}, frame
        return
    for key, part in frame.partition_by(by, as_dict=True, maintain_order=True).items():
        yield dict(zip(by, key, strict=True)), part


def _check_columns(frame: pl.DataFrame, names: list[str]) -> None:
    missing = [name for name in names if name not in frame.columns]
    require(
        not missing,
        AnalysisError,
        f"the table lacks the columns {missing}; it has {frame.columns}",
        missing=missing,
    )


def _check_unique(frame: pl.DataFrame, keys: list[str]) -> None:
    twice = frame.filter(pl.struct(keys).is_duplicated()) if keys else frame
    require(
        twice.height == 0,
        AnalysisError,
        f"several rows have the same {keys}, the first is {twice.row(0) if twice.height else ()}: "
        "the replication is the unit, so average within each run first, or name the further "
        "factor in `by`",
    )


def _check_arms(frame: pl.DataFrame, arm: str, controls: list[str]) -> None:
    arms = frame[arm].unique(maintain_order=True).to_list()
    unknown = [name for name in controls if name not in arms]
    require(
        bool(controls) and not unknown,
        AnalysisError,
        f"control = {controls}, expected one of the arms {arms} in column {arm!r}",
    )
