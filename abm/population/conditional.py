"""People from conditional tables: one column after another, each given those before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from abm.errors import PopulationError, require
from abm.population.microdata import _counts, check_frame

__all__ = ["draw_columns"]

PROBABILITY = "probability"


def draw_columns(
    people: int | pl.DataFrame,
    tables: Mapping[str, Mapping[Any, float] | pl.DataFrame],
    *,
    rng: np.random.Generator,
    method: str = "systematic",
) -> pl.DataFrame:
    """People with new columns, drawn in order from tables of conditional probabilities.

    Parameters
    ----------
    people
        How many, >= 0; or a frame to which columns are added, such as people drawn from a survey.
    tables
        Column -> {category: probability}; or a frame with a column of that name, a column
        `probability`, and the columns on which it depends, which must be there before it. The
        probabilities of each combination of those sum to 1.
    method
        `systematic` or `trs`: among the people of each combination, categories have their expected
        numbers, rounded up or down by chance. `independent`: everybody is drawn independently.

    Raises
    ------
    PopulationError
        A table without its columns, whose probabilities are negative or do not sum to 1, that
        depends on a column not yet drawn, or that lacks a combination which people have. Names
        them.

    Examples
    --------
    >>> educated = pl.DataFrame({"sex": ["f", "f", "m", "m"], "educated": [True, False] * 2,
    ...                          "probability": [0.75, 0.25, 0.5, 0.5]})
    >>> people = draw_columns(16, {"sex": {"f": 0.5, "m": 0.5}, "educated": educated},
    ...                       rng=np.random.default_rng(1))
    >>> people.group_by("sex").agg(pl.col("educated").sum()).sort("sex").rows()
    [('f', 6), ('m', 4)]
    """
    if isinstance(people, int):
        require(people >= 0, PopulationError, f"people = {people}, expected a number >= 0")
        made = pl.DataFrame({"": np.arange(people)})
    else:
        check_frame("people", people)
        made = people
    for name, table in tables.items():
        require(
            name not in made.columns and name not in ("", PROBABILITY),
            PopulationError,
            f"column {name!r} is there already, or has no name that can be used; rename it",
        )
        made = made.with_columns(_drawn(made, name, table, method, rng))
    return made.select(column for column in made.columns if column != "")


def _drawn(
    people: pl.DataFrame,
    name: str,
    table: Mapping[Any, float] | pl.DataFrame,
    method: str,
    rng: np.random.Generator,
) -> pl.Series:
    frame = table if isinstance(table, pl.DataFrame) else _one_row_each(name, table)
    parents = _checked(name, frame, people)
    members = _members(name, people, parents)
    place = np.zeros(people.height, dtype=np.int64)
    numbered = frame.with_columns(pl.Series("", np.arange(frame.height)))
    groups = numbered.group_by(parents, maintain_order=True) if parents else [((), numbered)]
    for key, rows in groups:
        shares = _shares(name, parents, key, rows)
        who = members.pop(key, None)
        if who is not None:
            counts = _counts(shares, who.size, method, rng)
            place[who] = rng.permutation(np.repeat(rows[""].to_numpy(), counts))
    missing = [dict(zip(parents, key, strict=True)) for key in members]
    require(
        not missing,
        PopulationError,
        f"table {name!r}: {len(missing)} combinations that people have are not in it, among them "
        f"{missing[:3]}; add their rows",
        combinations=missing[:3],
    )
    return frame[name].gather(place)


def _one_row_each(name: str, table: Mapping[Any, float]) -> pl.DataFrame:
    try:
        return pl.DataFrame({name: list(table), PROBABILITY: [float(p) for p in table.values()]})
    except (TypeError, ValueError, pl.exceptions.PolarsError) as error:
        raise PopulationError(
            f"table {name!r}: {error}; expected {{category: probability}} with categories of one "
            "type"
        ) from error


def _checked(name: str, frame: pl.DataFrame, people: pl.DataFrame) -> list[str]:
    """Names of the columns on which `name` depends."""
    absent = [column for column in (name, PROBABILITY) if column not in frame.columns]
    require(
        not absent and frame.height > 0,
        PopulationError,
        f"table {name!r} has the columns {frame.columns} and {frame.height} rows, expected rows "
        f"with {name!r} and {PROBABILITY!r}",
    )
    parents = [column for column in frame.columns if column not in (name, PROBABILITY)]
    unknown = [column for column in parents if column not in people.columns]
    require(
        not unknown,
        PopulationError,
        f"table {name!r} depends on {unknown}, which is not drawn yet; the people have "
        f"{[column for column in people.columns if column]}. Put its table first",
    )
    types = [(c, frame[c].dtype, people[c].dtype) for c in parents]
    wrong = [f"{c}: {a}, people have {b}" for c, a, b in types if a != b]
    require(not wrong, PopulationError, f"table {name!r}: types differ: {wrong}; cast one of them")
    return parents


def _members(
    name: str, people: pl.DataFrame, parents: Sequence[str]
) -> dict[tuple[Any, ...], NDArray[np.int64]]:
    """Rows of the people with each combination."""
    if not parents:
        return {(): np.arange(people.height)}
    empty = [c for c in parents if people[c].null_count()]
    require(
        not empty,
        PopulationError,
        f"table {name!r} depends on {empty}, which some people lack; fill or drop them",
    )
    rows = people.select(parents).with_columns(pl.Series("", np.arange(people.height)))
    return {key: group[""].to_numpy() for key, group in rows.group_by(parents)}


def _shares(
    name: str, parents: Sequence[str], key: tuple[Any, ...], rows: pl.DataFrame
) -> NDArray[np.float64]:
    given = f" given {dict(zip(parents, key, strict=True))}" if parents else ""
    shares = rows[PROBABILITY].cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy()
    good = bool(np.isfinite(shares).all() and (shares >= 0).all())
    require(
        good and abs(shares.sum() - 1.0) <= 1e-6,
        PopulationError,
        f"table {name!r}{given}: probabilities {shares.tolist()[:8]} with sum {shares.sum():.6g}, "
        "expected numbers >= 0 with sum 1",
    )
    repeated = rows.height - rows[name].n_unique()
    require(
        repeated == 0, PopulationError, f"table {name!r}{given}: a category appears more than once"
    )
    normalised: NDArray[np.float64] = shares / shares.sum()
    return normalised
