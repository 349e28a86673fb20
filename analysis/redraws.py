"""Tables whose runs were repeated with redrawn answers: the error of sampled answers is put in.

A server that gives no probabilities is asked k times and the shares are used by all replications.
With Y the estimate of a table (a mean, an effect, a difference of effects) over all replications,
p the shares that were drawn and c the chance of the replications,

    Var Y = E Var(Y | p) + Var E(Y | p),

and an interval over replications holds the first part only. The second is estimated by repeating
every run, with the same random numbers, for B redraws of p (`abm.analysis.sampled.redrawn`): it is
the mean square of the distance from Y to the estimate under a redraw, downwards and upwards by
itself (`redraw_errors`). Its degrees of freedom d hold that there are B redraws and that their
spread comes from few draws itself: 1/d = 1/(2B/5) + 1/(draws - requests). Both variances add, with
the degrees of freedom of Welch and Satterthwaite.

References
----------
The law of total variance. Welch (1947), Biometrika 34, 28-35; Satterthwaite (1946), Biometrics
Bulletin 2, 110-114.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from abm.analysis.paired import Effect
from abm.analysis.sampled import redraw_errors, with_answer_error
from abm.errors import AnalysisError, require

__all__ = ["ERROR", "UNKNOWN", "Make", "scope_of", "with_redraws", "with_spread"]

ERROR = "answer_error"
AGAIN = "\x00again"
UNKNOWN = "undefined under some redraws: without the error of sampled answers"
Make = Callable[[pl.DataFrame], pl.DataFrame]


def with_redraws(
    make: Make,
    frame: pl.DataFrame,
    redraws: pl.DataFrame,
    *,
    heads: Sequence[str],
    degrees: float = math.inf,
) -> pl.DataFrame:
    """A table of estimates whose intervals hold the error of sampled answers.

    Parameters
    ----------
    make
        Makes the table (`estimate, low, high, level, n`, perhaps `p_value`, `varied`, `fixed`) from
        a frame of runs, as `means_table` and `effects_table` do.
    frame
        The runs as recorded.
    redraws
        The same runs repeated with redrawn answers: the columns of `frame` and `redraw`, the number
        of the redraw. Without rows the table is returned as it is made.
    heads
        Columns of the table that name a row.
    degrees
        Degrees of freedom of the answers themselves: draws less distinct requests.

    Returns
    -------
    The table with the same estimates, wider intervals, and a column `answer_error`: the standard
    deviation of the estimate between redraws. `p_value` follows the wider interval.

    Raises
    ------
    AnalysisError
        There is one redraw only: a spread takes two.

    References
    ----------
    The law of total variance; Welch (1947), Biometrika 34, 28-35; Satterthwaite (1946), Biometrics
    Bulletin 2, 110-114.

    Examples
    --------
    >>> from abm.analysis.comparisons import means_table
    >>> runs = pl.DataFrame({"arm": ["a"] * 3, "replication": [0, 1, 2], "yes": [0.4, 0.5, 0.6]})
    >>> again = pl.concat([runs.with_columns(pl.col("yes") + d, redraw=pl.lit(i))
    ...                    for i, d in enumerate([-0.1, 0.0, 0.1])])
    >>> make = lambda f: means_table(f, outcomes="yes", by="arm")
    >>> table = with_redraws(make, runs, again, heads=["arm", "outcome"])
    >>> row, before = table.row(0, named=True), make(runs).row(0, named=True)
    >>> round(row["answer_error"], 6), row["low"] < before["low"], row["varied"].split(", ")[-1]
    (0.1, True, 'sampled answers')
    """
    table = make(frame)
    if not redraws.height or not table.height:
        return table
    numbers = redraws["redraw"].unique().sort()
    require(
        numbers.len() > 1,
        AnalysisError,
        "one redraw of the sampled answers shows no spread; expected two or more, better 20",
    )
    parts = [make(redraws.filter(redraw=number).drop("redraw")) for number in numbers]
    spread = (
        pl.concat([part.select(*heads, "estimate") for part in parts])
        .group_by(heads)
        .agg(pl.col("estimate").std(ddof=1).alias(ERROR), pl.col("estimate").alias(AGAIN))
    )
    joined = table.join(spread, on=list(heads), how="left", maintain_order="left")
    rows = [_widened(row, degrees) for row in joined.iter_rows(named=True)]
    schema = {name: kind for name, kind in joined.schema.items() if name != AGAIN}
    return pl.DataFrame(rows, schema=schema)


def with_spread(effect: Effect, estimates: Sequence[float], degrees: float = math.inf) -> Effect:
    """An effect with the error of sampled answers, from its estimates under their redraws.

    `degrees` are those of the answers themselves; the effect is returned as it is where no redraw
    moves it, and with the reason where one leaves it undefined.
    """
    below, above, own = redraw_errors(estimates, effect.estimate)
    if below != below:
        return replace(effect, reason="; ".join(filter(None, [effect.reason, UNKNOWN])))
    if not max(below, above) > 0:
        return effect
    joint = 1 / (1 / own + 1 / degrees)
    return with_answer_error(effect, below, above=above, degrees=joint)


def scope_of(table: pl.DataFrame) -> tuple[str, str]:
    """What varied and what was held fixed, in words, over the rows of a table of estimates.

    Rows may differ in whether their intervals hold the error of sampled answers.

    Examples
    --------
    >>> scope_of(pl.DataFrame({"varied": ["chance", "chance, sampled answers"],
    ...                        "fixed": ["model, shared answers", "model"]}))
    ('chance, sampled answers where there are any', 'model')
    """
    answers, every = ", sampled answers", table["varied"].unique(maintain_order=True).to_list()
    plain = list(dict.fromkeys(text.removesuffix(answers) for text in every))
    if plain == every:
        return "; ".join(every), "; ".join(table["fixed"].unique(maintain_order=True))
    inside = table.filter(pl.col("varied").str.ends_with(answers))
    where = answers + (" where there are any" if inside.height < table.height else "")
    return "; ".join(plain) + where, "; ".join(inside["fixed"].unique(maintain_order=True))


def _widened(row: dict[str, Any], degrees: float) -> dict[str, Any]:
    """One row with the error of its answers; unchanged where none is left or nothing is defined.

    Where some redraw leaves the estimate undefined, the error is not known, and the reason says so.
    """
    again, own = row.pop(AGAIN), row["high"] - row["low"]
    if own != own or row[ERROR] == 0:
        return row
    known = again is not None and None not in again
    wider = with_spread(_effect(row), again if known else [float("nan")] * 2, degrees)
    if wider.reason:
        return row | {"reason": "; ".join(filter(None, [row.get("reason"), wider.reason]))}
    changed = {"varied": ", ".join(wider.varied), "fixed": ", ".join(wider.fixed)}
    changed = {name: value for name, value in changed.items() if name in row}
    p_value = {"p_value": wider.p_value} if "p_value" in row else {}
    return row | {"low": wider.low, "high": wider.high} | changed | p_value


def _effect(row: dict[str, Any]) -> Effect:
    """What `with_answer_error` reads of a row."""
    nan = float("nan")
    half = max(row["high"] - row["estimate"], row["estimate"] - row["low"])  # it may have been cut
    varied, fixed = (tuple(str(row.get(name, "")).split(", ")) for name in ("varied", "fixed"))
    low, high = row["estimate"] - half, row["estimate"] + half
    numbers = (row["estimate"], low, high, row["level"], row["n"])
    return Effect(*numbers, nan, nan, nan, varied, fixed, float(row["n"] - 1))
