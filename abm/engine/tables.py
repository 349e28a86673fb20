"""Tables of a run that any model has: its series, its outcomes, its agents."""

from __future__ import annotations

import numbers
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import polars as pl

    from abm.engine.model import Model

__all__ = ["agents_frame", "outcomes", "series"]

_PLAIN = (bool, numbers.Number, str, np.generic)


def series(model: Model) -> pl.DataFrame:
    """Long table (time, variable, value) of what the model's Mesa `DataCollector` holds.

    Numbers and truth values only. Empty without a collector. Times are those of the observations
    (`model.observe`) or, for data collected by hand in `step`, those of the steps.
    """
    import polars as pl

    schema = {"time": pl.Float64, "variable": pl.String, "value": pl.Float64}
    rows = []
    for name, values in _variables(model).items():
        times = _times(model, len(values))
        for time, value in zip(times, values, strict=True):
            if isinstance(value, numbers.Real | np.number | np.bool_):
                rows.append((float(time), name, float(value)))
    return pl.DataFrame(rows, schema=schema, orient="row").sort("time", maintain_order=True)


def outcomes(model: Model) -> dict[str, float]:
    """The last value of every numeric variable of the model's collector."""
    last = {name: values[-1] for name, values in _variables(model).items() if values}
    return {
        name: float(value)
        for name, value in last.items()
        if isinstance(value, numbers.Real | np.number | np.bool_)
    }


def agents_frame(model: Model) -> pl.DataFrame:
    """One row per agent: id, key, class, and every public attribute that is a single plain value.

    Attributes that only some classes have are null elsewhere.
    """
    import polars as pl

    rows = [_row(agent) for agent in model.agents]
    if not rows:
        return pl.DataFrame(schema={"unique_id": pl.Int64, "key": pl.String, "class": pl.String})
    columns = list(dict.fromkeys(name for row in rows for name in row))
    data = {name: [row.get(name) for row in rows] for name in columns}
    return pl.DataFrame([_column(name, values) for name, values in data.items()])


def _row(agent: Any) -> dict[str, Any]:
    row = {
        "unique_id": agent.unique_id,
        "key": str(getattr(agent, "key", agent.unique_id)),
        "class": type(agent).__name__,
    }
    for name in _public_names(agent):
        value = getattr(agent, name, None)
        if isinstance(value, _PLAIN):
            row[name] = value.item() if isinstance(value, np.generic) else value
    return row


def _public_names(agent: Any) -> list[str]:
    names = getattr(agent, "visible_names", None)
    found = names() if callable(names) else list(vars(agent))
    hidden = ("model", "unique_id", "key", "pos")
    return [name for name in found if name not in hidden and not name.startswith("_")]


def _column(name: str, values: list[Any]) -> pl.Series:
    import polars as pl

    kinds = {type(value) for value in values if value is not None}
    if len(kinds) > 1 and not kinds <= {bool, int, float}:
        values = [None if value is None else str(value) for value in values]
    elif len(kinds) > 1:
        values = [None if value is None else float(value) for value in values]
    return pl.Series(name, values, strict=False)


def _variables(model: Model) -> dict[str, list[Any]]:
    collector = getattr(model, "datacollector", None)
    return dict(getattr(collector, "model_vars", None) or {})


def _times(model: Model, n: int) -> list[float]:
    observed = model._observed_times.get(id(getattr(model, "datacollector", None)), [])
    if len(observed) == n:
        return observed
    known = list(getattr(model.datacollector, "_collection_steps", ()))
    if len(known) == n:
        return known
    first = int(model.steps) + 1 - n  # the last row was collected in the last step
    return [float(first + row) for row in range(n)]
