"""Provenance: who heard what from whom first, and who knew without having been told.

From a record of tellings comes one tree per item and source: everybody who was told hangs below the
one who told them first. Comparing the trees with what people later show to know tells spread from
invention.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from abm.analysis.cascades import cascade_table, depths
from abm.errors import AnalysisError, require

__all__ = ["Knowledge", "knowledge", "provenance", "provenance_cascades"]

NAN = float("nan")


def provenance(
    tellings: pl.DataFrame,
    *,
    item: str = "item",
    sender: str = "sender",
    receiver: str = "receiver",
    time: str = "time",
) -> pl.DataFrame:
    """The tree of who told whom first, for each item.

    Parameters
    ----------
    tellings
        One row per telling. Those at one instant are taken in the order of the rows. A sender who
        was not told before is a source at the time of the first telling. Telling a source, a
        person who was told already, or oneself, changes nothing.

    Returns
    -------
    One row per item and person who knows it, ordered by item and time: `item`, `person`, `time`
    (told, or first told others), `told_by` (null for a source), `parent` (row of that person, -1
    for a source, as `cascade_table` takes it) and `depth`.

    Raises
    ------
    AnalysisError
        A column is missing, or a row lacks a value.

    References
    ----------
    Defined here: the tree of first tellings, the counterpart of the trees of adoption of Goel et
    al. (2016), Management Science 62, 180-196.

    Examples
    --------
    >>> said = pl.DataFrame({"item": "party", "sender": ["ann", "ann", "bob", "cem"],
    ...                      "receiver": ["bob", "cem", "cem", "dee"], "time": [1, 2, 3, 4]})
    >>> provenance(said).select("person", "told_by", "depth").rows()
    [('ann', None, 0), ('bob', 'ann', 1), ('cem', 'ann', 1), ('dee', 'cem', 2)]
    """
    names = [item, sender, receiver, time]
    missing = [name for name in names if name not in tellings.columns]
    require(not missing, AnalysisError, f"tellings lack {missing}; they have {tellings.columns}")
    _check_complete(tellings, names, time)
    ordered = _in_turn(tellings, item, sender, receiver, time)
    first = _first_mentions(ordered, item)
    parents = first.select(item, pl.col("person").alias("told_by"), pl.col("_row").alias("parent"))
    table = (
        first.join(parents, on=[item, "told_by"], how="left")
        .sort("_row")
        .with_columns(pl.col("parent").fill_null(-1))
    )
    deep = depths(table["parent"].to_numpy())
    return table.select(item, "person", "time", "told_by", "parent").with_columns(depth=deep)


def _check_complete(frame: pl.DataFrame, names: list[str], time: str) -> None:
    empty = {name: frame[name].null_count() for name in names if frame[name].null_count()}
    if frame.schema[time].is_float() and frame[time].is_nan().any():
        empty[time] = int(frame[time].is_nan().sum())
    require(
        not empty,
        AnalysisError,
        f"rows without a value: {empty}, expected none; leave out what has no time, item or person",
    )


def _in_turn(
    tellings: pl.DataFrame, item: str, sender: str, receiver: str, time: str
) -> pl.DataFrame:
    """Who told whom, in order; nobody tells themselves."""
    kind = tellings.schema[sender]
    return (
        tellings.select(
            pl.col(item),
            pl.col(sender).alias("_by"),
            pl.col(receiver).cast(kind).alias("_to"),
            pl.col(time).cast(pl.Float64).alias("time"),
        )
        .filter(pl.col("_by") != pl.col("_to"))
        .sort("time", maintain_order=True)
        .with_row_index("_turn")
    )


def _first_mentions(ordered: pl.DataFrame, item: str) -> pl.DataFrame:
    """When each person first told or was told of each item, and by whom."""
    # In one turn the sender comes first: who tells at the turn of being told was told before.
    turn = pl.col("_turn").cast(pl.Int64) * 2
    nobody = pl.lit(None, ordered.schema["_by"])
    spoke, heard = (
        ordered.select(item, pl.col(who).alias("person"), told_by=by, time="time", _place=place)
        for who, by, place in (("_by", nobody, turn), ("_to", pl.col("_by"), turn + 1))
    )
    return (
        pl.concat([spoke, heard])
        .sort("_place")
        .unique(subset=[item, "person"], keep="first", maintain_order=True)
        .sort(item, "_place")
        .with_row_index("_row")
        .with_columns(pl.col("_row").cast(pl.Int64))
    )


def provenance_cascades(tree: pl.DataFrame, *, item: str = "item") -> pl.DataFrame:
    """Shape of every tree: item, source, and the columns of `cascade_table`.

    Returns
    -------
    One row per item and source; structural virality is nan for a source whom nobody heard.

    References
    ----------
    As `cascade_table`.

    Examples
    --------
    >>> said = pl.DataFrame({"item": "party", "sender": ["ann", "bob"], "receiver": ["bob", "cem"],
    ...                      "time": [1, 2]})
    >>> provenance_cascades(provenance(said)).select("item", "source", "size", "depth").rows()
    [('party', 'ann', 3, 2)]
    """
    shapes = cascade_table(tree["parent"].to_numpy(), times=tree["time"].to_numpy())
    start = shapes["root"].to_numpy()
    head = pl.DataFrame({item: tree[item][start], "source": tree["person"][start]})
    return head.hstack(shapes.drop("root"))


@dataclass(frozen=True)
class Knowledge:
    """How people came to know an item.

    Attributes
    ----------
    table
        One row per item and person who was told or shows to know: `shown` (time, null if never),
        `told` (time, null if never) and `kind`: `told` (told before it was shown), `source` (told
        others untold), `unaccounted` (shows it without having been told before) or `silent` (told,
        never shows it).
    shares
        Share of each kind among those who show it, `told`, `source` and `unaccounted`; nan where
        nobody does.
    """

    table: pl.DataFrame
    shares: dict[str, float]


def knowledge(
    tree: pl.DataFrame,
    shown: pl.DataFrame,
    *,
    item: str = "item",
    person: str = "person",
    time: str = "time",
) -> Knowledge:
    """Compare who was told with who shows to know: the unaccounted was invented or inferred.

    Parameters
    ----------
    tree
        Of `provenance`.
    shown
        One row per item, person and time at which the person showed to know, as in an interview.

    References
    ----------
    Park et al. (2023), UIST '23, "Generative agents", section 7.1.2, which checks that agents who
    claim to know were told.

    Examples
    --------
    >>> said = pl.DataFrame({"item": "party", "sender": ["ann"], "receiver": ["bob"], "time": [1]})
    >>> asked = pl.DataFrame({"item": "party", "person": ["ann", "bob", "cem"], "time": [9, 9, 9]})
    >>> found = knowledge(provenance(said), asked)
    >>> found.table.select("person", "kind").rows()
    [('ann', 'source'), ('bob', 'told'), ('cem', 'unaccounted')]
    """
    missing = [name for name in (item, person, time) if name not in shown.columns]
    require(not missing, AnalysisError, f"`shown` lacks {missing}; it has {shown.columns}")
    _check_complete(shown, [item, person, time], time)
    knew = shown.select(
        item, pl.col(person).cast(tree.schema["person"]).alias("person"), pl.col(time).alias("t")
    )
    knew = knew.group_by(item, "person").agg(shown=pl.col("t").min().cast(pl.Float64))
    known = tree.select(item, "person", told=pl.col("time"), _source=pl.col("parent") < 0)
    both = known.join(knew, on=[item, "person"], how="full", coalesce=True)
    kind = (
        pl.when(pl.col("shown").is_null() & ~pl.col("_source"))
        .then(pl.lit("silent"))
        .when(pl.col("_source"))
        .then(pl.lit("source"))
        .when(pl.col("told") <= pl.col("shown"))
        .then(pl.lit("told"))
        .otherwise(pl.lit("unaccounted"))
    )
    table = both.with_columns(kind=kind).select(item, "person", "shown", "told", "kind")
    table = table.sort(item, "person")
    showing = table.filter(pl.col("shown").is_not_null())["kind"].to_numpy()
    kinds = ("told", "source", "unaccounted")
    return Knowledge(table, {name: _share(showing, name) for name in kinds})


def _share(kinds: NDArray[np.str_], name: str) -> float:
    return float(np.mean(kinds == name)) if kinds.size else NAN
