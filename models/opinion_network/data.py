"""Who the citizens are: survey respondents, from `anes96` or from a CSV that the user names.

A survey becomes one table with fixed column names and codes. Citizens are drawn from it with
replacement, in proportion to the survey weights if there are any, so a run may have more citizens
than the survey has respondents.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from abm.errors import ScenarioError, require

__all__ = ["CODES", "anes96", "draw_citizens", "read_csv", "respondents"]

CODES: Mapping[str, tuple[int, int]] = {
    "age": (18, 95),
    "education": (1, 7),
    "income": (1, 24),
    "party": (0, 6),
    "ideology": (1, 7),
    "tv_news": (0, 7),
}
"""Column -> smallest and largest code. Party: 0 strong Democrat to 6 strong Republican. Ideology:
1 extremely liberal to 7 extremely conservative. Education and income: ANES 1996 codes. TV news:
days a week."""

_ANES = {
    "age": "age",
    "education": "educ",
    "income": "income",
    "party": "PID",
    "ideology": "selfLR",
    "tv_news": "TVnews",
}


@lru_cache(maxsize=1)
def anes96() -> pl.DataFrame:
    """The 944 respondents of the American National Election Studies 1996, from statsmodels.

    Returns
    -------
    Columns `respondent` (row number in the file), those of `CODES`, and `weight` (1: the file
    carries no survey weights).

    References
    ----------
    American National Election Studies 1996, public domain, via `statsmodels.datasets.anes96`.

    Examples
    --------
    >>> anes96().height, round(anes96()["ideology"].mean(), 3)
    (944, 4.325)
    """
    from statsmodels.datasets import anes96 as source

    frame = source.load_pandas().data
    columns = {ours: frame[theirs].to_numpy().astype(np.int64) for ours, theirs in _ANES.items()}
    table = pl.DataFrame(columns).with_row_index("respondent")
    return table.with_columns(pl.col("respondent").cast(pl.Int64), weight=pl.lit(1.0))


def read_csv(path: str | Path, columns: Mapping[str, str] | None = None) -> pl.DataFrame:
    """Respondents from a CSV file.

    Parameters
    ----------
    path
        The file, with a header line.
    columns
        Our column name -> the file's, for those that differ. Columns of `CODES` that the file does
        not have are left out of the personas; `ideology` or `party` must be there. `weight` is
        optional.

    Returns
    -------
    Columns as in `anes96`; `null` where a respondent gave no answer.

    Raises
    ------
    ScenarioError
        No such file, an unknown column, a value that is no whole number in the range of its code,
        or a weight that is negative. Names the line and the remedy.
    """
    file = Path(path)
    require(
        file.is_file(),
        ScenarioError,
        f"data = {str(path)!r}: there is no such file (looked in {Path.cwd()}); "
        "name a CSV file, or use data = 'anes96'",
        argument="data",
        value=str(path),
    )
    raw = pl.read_csv(file, infer_schema_length=None)
    names = {
        **{name: name for name in (*CODES, "weight")},
        **_checked_map(raw, columns or {}, file),
    }
    present = {ours: theirs for ours, theirs in names.items() if theirs in raw.columns}
    require(
        "ideology" in present or "party" in present,
        ScenarioError,
        f"{file.name}: expected a column 'ideology' (1-7) or 'party' (0-6) to start opinions from; "
        f"the file has {raw.columns}. Map one: columns = {{ideology = 'your_column'}}",
        argument="columns",
    )
    coded = {
        ours: _coded(raw[theirs], ours, file) for ours, theirs in present.items() if ours in CODES
    }
    table = pl.DataFrame(coded).with_row_index("respondent")
    weight = _weights(raw[present["weight"]], file) if "weight" in present else pl.lit(1.0)
    return table.with_columns(pl.col("respondent").cast(pl.Int64), weight=weight)


def respondents(data: str, columns: tuple[tuple[str, str], ...] = ()) -> pl.DataFrame:
    """The survey that a scenario names: `anes96`, or the path of a CSV file."""
    if data == "anes96":
        require(
            not columns,
            ScenarioError,
            "columns are for CSV files; data = 'anes96' has its own",
            argument="columns",
        )
        return anes96()
    return read_csv(data, dict(columns))


def draw_citizens(survey: pl.DataFrame, n: int, *, rng: np.random.Generator) -> pl.DataFrame:
    """n citizens, each a copy of a respondent drawn in proportion to its weight, with replacement.

    Examples
    --------
    >>> draw_citizens(anes96(), 5, rng=np.random.default_rng(1)).height
    5
    """
    weights = survey["weight"].to_numpy()
    rows: NDArray[np.int64] = rng.choice(survey.height, size=n, p=weights / weights.sum())
    return survey[rows]


def _checked_map(raw: pl.DataFrame, columns: Mapping[str, str], file: Path) -> dict[str, str]:
    known = (*CODES, "weight")
    for ours, theirs in columns.items():
        require(
            ours in known,
            ScenarioError,
            f"columns: {ours!r} is no column of this model; expected some of {list(known)}",
            argument="columns",
            value=ours,
        )
        near = difflib.get_close_matches(theirs, raw.columns, n=1)
        require(
            theirs in raw.columns,
            ScenarioError,
            f"columns: {ours} = {theirs!r}, but {file.name} has no such column"
            + (f"; did you mean {near[0]!r}?" if near else f"; it has {raw.columns}"),
            argument="columns",
            value=theirs,
        )
    return dict(columns)


def _coded(column: pl.Series, name: str, file: Path) -> pl.Series:
    low, high = CODES[name]
    numbers = column.cast(pl.Float64, strict=False)
    bad = (column.is_not_null() & numbers.is_null()) | ~numbers.is_between(low, high).fill_null(
        True
    )
    bad |= (numbers != numbers.round()).fill_null(False)
    _refuse(column, bad, file, f"a whole number from {low} to {high} for {name!r}, or nothing")
    require(
        numbers.is_not_null().any(),
        ScenarioError,
        f"{file.name}: column {column.name!r} is empty; leave it out of the column map",
        argument="data",
    )
    return numbers.cast(pl.Int64).alias(name)


def _weights(column: pl.Series, file: Path) -> pl.Series:
    numbers = column.cast(pl.Float64, strict=False)
    bad = numbers.is_null() | ~(numbers.is_finite() & (numbers >= 0)).fill_null(False)
    _refuse(column, bad, file, "a survey weight >= 0")
    require(
        numbers.sum() > 0,
        ScenarioError,
        f"{file.name}: all weights in column {column.name!r} are 0",
        argument="data",
    )
    return numbers.alias("weight")


def _refuse(column: pl.Series, bad: pl.Series, file: Path, expected: str) -> None:
    if bad.any():
        row = int(bad.arg_true()[0])
        raise ScenarioError(
            f"{file.name}, line {row + 2}, column {column.name!r}: {column[row]!r}, expected "
            f"{expected}. Recode the column before the run",
            argument="data",
            value=column[row],
        )
