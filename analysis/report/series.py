"""Series of all runs at common times, as recorded and under redrawn answers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from abm.analysis.report import results
from abm.analysis.report.material import KEYS, Material

__all__ = ["lengthened", "long_series", "redrawn_series"]

MOST_TIMES = 101
SCHEMA: dict[str, pl.DataType] = {
    "time": pl.Float64(),
    "group": pl.String(),
    "variable": pl.String(),
    "value": pl.Float64(),
}
CELL = (*KEYS, "group", "variable")


def lengthened(frame: pl.DataFrame, keys: Sequence[str] = ()) -> pl.DataFrame:
    """A series as `time, group, variable, value` after its keys; empty where it has no time.

    Series may be wide (a column per variable) or long (`variable`, `value`, perhaps `group`).

    Examples
    --------
    >>> lengthened(pl.DataFrame({"time": [0, 1], "left": [0.0, 0.5]})).rows()
    [(0.0, '', 'left', 0.0), (1.0, '', 'left', 0.5)]
    """
    if "time" not in frame.columns:
        return pl.DataFrame(schema=SCHEMA)
    if not {"variable", "value"} <= set(frame.columns):
        numbers = [
            name
            for name, kind in frame.schema.items()
            if kind.is_numeric() and name not in (*keys, "time")
        ]
        if not numbers:
            return pl.DataFrame(schema=SCHEMA)
        frame = frame.unpivot(numbers, index=[*keys, "time"])
    if "group" not in frame.columns:
        frame = frame.with_columns(pl.lit("").alias("group"))
    typed = [pl.col(name).cast(kind) for name, kind in SCHEMA.items()]
    return frame.select(*keys, *typed).drop_nulls("value")


def long_series(material: Material) -> pl.DataFrame:
    """The series of all runs as arm, answerer, replication, time, group, variable, value.

    Runs that observed at different times are read at common ones: the last value before each.
    """
    kept = lengthened(results.keyed(material, "series"), KEYS)
    if not kept.height:
        return pl.DataFrame()
    last = kept.group_by([*CELL, "time"], maintain_order=True).agg(pl.col("value").last())
    times = last["time"].unique().sort()
    alike = last.group_by(CELL).len()["len"].n_unique() == 1
    if alike and times.len() * last.select(pl.struct(CELL).n_unique()).item() == last.height:
        return _thinned(last, times)
    low, high = float(times[0]), float(times[-1])
    return _at(last, CELL, pl.Series("time", np.linspace(low, high, min(MOST_TIMES, times.len()))))


def redrawn_series(material: Material) -> pl.DataFrame:
    """`long_series` once per redraw of the sampled answers, numbered by `redraw`; perhaps empty.

    Runs without sampled answers stay as recorded.
    """
    stored, known = material.redrawn("series"), long_series(material)
    if not stored.height or not known.height:
        return pl.DataFrame(schema={"redraw": pl.Int64(), **known.schema, **SCHEMA})
    columns = ["redraw", *known.columns]
    last = stored.group_by(["redraw", *CELL, "time"], maintain_order=True).agg(
        pl.col("value").last()
    )
    repeated = _at(last, ("redraw", *CELL), known["time"].unique().sort())
    others = known.join(material.sampled_runs, on=list(KEYS), how="anti")
    every = stored.select("redraw").unique(maintain_order=True)
    rest = others.join(every, how="cross")
    return pl.concat([rest.select(columns), repeated.select(columns)])


def _thinned(frame: pl.DataFrame, times: pl.Series) -> pl.DataFrame:
    if times.len() <= MOST_TIMES:
        return frame
    places = np.unique(np.linspace(0, times.len() - 1, MOST_TIMES).round().astype(int))
    return frame.filter(pl.col("time").is_in(times.gather(places).implode()))


def _at(frame: pl.DataFrame, cell: Sequence[str], times: pl.Series) -> pl.DataFrame:
    """The last value at or before each of some times."""
    wanted = frame.select(cell).unique(maintain_order=True).join(times.to_frame(), how="cross")
    joined = wanted.sort("time").join_asof(
        frame.sort("time"), on="time", by=list(cell), check_sortedness=False
    )
    return joined.drop_nulls("value")
