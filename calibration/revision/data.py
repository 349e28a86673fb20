"""Opinion-revision experiments: who answered what in which round, and what their group had said.

People estimate, see the answers of others, and revise. The file is a CSV with one row per answer
and columns for person, group, condition, round and answer. Each pair of consecutive rounds of a
person gives one revision: how far the others of the group stood from the person before, and how far
the person moved.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from abm.calibration.checks import check_options
from abm.errors import CalibrationError, require
from abm.rng import chance

__all__ = ["Experiment", "load_experiment", "synthetic_experiment"]

COLUMNS = ("person", "group", "condition", "round", "answer")
Scale = Literal["identity", "log"]


@dataclass(frozen=True, eq=False)
class Experiment:
    """Revisions, and what was left out on the way to them.

    Attributes
    ----------
    answers
        Columns `person`, `group`, `condition`, `round`, `answer` (on the chosen scale).
    revisions
        One row per person and pair of consecutive rounds: `person`, `group`, `condition`, `round`
        (of the later answer), `gap` (mean answer of the others of the group before, minus the own)
        and `move` (later minus earlier own answer).
    left_out
        Reason -> number of answers or revisions that could not be used.
    scale
        `"identity"` or `"log"`.
    """

    answers: pl.DataFrame
    revisions: pl.DataFrame
    left_out: Mapping[str, int]
    scale: Scale

    @property
    def conditions(self) -> list[str]:
        return sorted(self.revisions["condition"].unique().to_list())

    def counts(self) -> pl.DataFrame:
        """Persons, groups and revisions by condition."""
        return (
            self.revisions.group_by("condition", maintain_order=True)
            .agg(
                pl.col("person").n_unique().alias("persons"),
                pl.col("group").n_unique().alias("groups"),
                pl.len().alias("revisions"),
            )
            .sort("condition")
        )


def load_experiment(
    source: str | Path | pl.DataFrame,
    *,
    columns: Mapping[str, str] | None = None,
    scale: Scale = "identity",
) -> Experiment:
    """Read an experiment.

    Parameters
    ----------
    source
        A CSV file, or its table.
    columns
        Our name -> name in the file, for those that differ: `{"person": "subject_id"}`.
    scale
        `"log"` for positive quantities whose errors are in proportion to them (numbers of sweets,
        prices); weights are then weights of logarithms.

    Raises
    ------
    CalibrationError
        No such file or column; answers that are no numbers, or not positive on the log scale; a
        person with two answers in one round, or in two groups; no revision at all.

    Notes
    -----
    The others of a person are those of the same group and condition who answered in the round
    before. In a control condition, where nobody sees anything, groups are nominal: put people into
    groups of the same size, so that the same revision is computed for them.

    Examples
    --------
    >>> table = pl.DataFrame({"person": ["a", "a", "b", "b"], "group": ["g"] * 4,
    ...                       "condition": ["social"] * 4, "round": [1, 2, 1, 2],
    ...                       "answer": [10.0, 14.0, 20.0, 19.0]})
    >>> load_experiment(table).revisions.select("gap", "move").rows()
    [(10.0, 4.0), (-10.0, -1.0)]
    """
    table = _renamed(_read(source), columns or {})
    table, left_out = _cleaned(table, scale)
    _consistent(table)
    revisions, lonely, gaps = _revisions(table)
    left_out["no other person of the group answered in the round before"] = lonely
    left_out["the person has no answer in the round before"] = gaps
    require(
        revisions.height > 0,
        CalibrationError,
        "no revision: nobody has answers in two consecutive rounds and others in the group. Rounds "
        "are consecutive whole numbers",
    )
    return Experiment(table, revisions, {k: v for k, v in left_out.items() if v}, scale)


def synthetic_experiment(
    *,
    n_groups: int = 40,
    group_size: int = 6,
    n_rounds: int = 3,
    weight: float = 0.35,
    weight_sd: float = 0.15,
    drift: float = 0.05,
    noise: float = 0.2,
    spread: float = 1.0,
    seed: int = 0,
) -> pl.DataFrame:
    """An experiment whose truth is known: half of the groups social, half control.

    First answers are normal with standard deviation `spread`. In a social group a person with
    weight w_i moves by (w_i + drift) x gap + noise; in a control group, where nothing is seen, by
    drift x gap + noise, as people do who regress to what everybody thinks.

    Parameters
    ----------
    n_groups, group_size, n_rounds
        Groups (even), people in each (>= 2), answers of each (>= 2).
    weight, weight_sd
        Mean and standard deviation over people of the social weight; normal.
    drift
        What both conditions share.
    noise
        Standard deviation of a revision.

    Returns
    -------
    A table for `load_experiment`, equal for equal arguments.

    Examples
    --------
    >>> table = synthetic_experiment(n_groups=4, seed=1)
    >>> table.columns, table.height
    (['person', 'group', 'condition', 'round', 'answer'], 72)
    """
    check_options(synthetic_experiment, locals())
    require(
        min(weight_sd, noise, spread) >= 0,
        CalibrationError,
        f"weight_sd = {weight_sd}, noise = {noise}, spread = {spread}, expected >= 0",
        argument="noise",
    )
    require(
        n_groups >= 2 and n_groups % 2 == 0 and group_size >= 2 and n_rounds >= 2,
        CalibrationError,
        f"n_groups = {n_groups} (even, >= 2), group_size = {group_size} (>= 2), n_rounds = "
        f"{n_rounds} (>= 2)",
    )
    rng = chance(seed, "synthetic experiment")
    shape = (n_groups, group_size)
    social = (np.arange(n_groups) % 2 == 0)[:, None]
    weights = np.where(social, rng.normal(weight, weight_sd, shape), 0.0) + drift
    answers = [rng.normal(0.0, spread, shape)]
    for _ in range(n_rounds - 1):
        now = answers[-1]
        others = (now.sum(axis=1, keepdims=True) - now) / (group_size - 1)
        answers.append(now + weights * (others - now) + rng.normal(0.0, noise, shape))
    number = np.arange(n_groups * group_size)
    group = number // group_size
    names = np.where(group % 2 == 0, "social", "control")
    return pl.concat(
        [
            pl.DataFrame(
                {
                    "person": [f"p{i}" for i in number],
                    "group": [f"g{g}" for g in group],
                    "condition": names.tolist(),
                    "round": np.full(len(number), t + 1),
                    "answer": values.ravel(),
                }
            )
            for t, values in enumerate(answers)
        ]
    )


def _read(source: str | Path | pl.DataFrame) -> pl.DataFrame:
    if isinstance(source, pl.DataFrame):
        return source
    require(
        isinstance(source, (str, Path)),
        CalibrationError,
        f"source = {source!r}, expected a CSV file or its table",
        argument="source",
    )
    path = Path(source)
    require(path.is_file(), CalibrationError, f"there is no file {str(path)!r}", argument="source")
    try:
        return pl.read_csv(path, infer_schema_length=None)
    except pl.exceptions.PolarsError as error:
        raise CalibrationError(f"{path.name} is no CSV table: {error}") from error


def _renamed(table: pl.DataFrame, columns: Mapping[str, str]) -> pl.DataFrame:
    unknown = sorted(set(columns) - set(COLUMNS))
    good = isinstance(columns, Mapping) and not unknown
    require(good, CalibrationError, f"columns: unknown {unknown}; ours are {list(COLUMNS)}")
    wanted = {ours: columns.get(ours, ours) for ours in COLUMNS}
    missing = [
        f"{theirs!r} ({ours})" for ours, theirs in wanted.items() if theirs not in table.columns
    ]
    require(
        not missing,
        CalibrationError,
        f"the file lacks the columns {', '.join(missing)}; it has {table.columns}. Say which is "
        "which with columns={'person': 'name in the file', ...}",
        argument="columns",
    )
    return table.select(pl.col(theirs).alias(ours) for ours, theirs in wanted.items())


def _cleaned(table: pl.DataFrame, scale: Scale) -> tuple[pl.DataFrame, dict[str, int]]:
    require(
        scale in ("identity", "log"),
        CalibrationError,
        f"scale = {scale!r}, expected 'identity' or 'log'",
        argument="scale",
    )
    typed = table.with_columns(
        pl.col("person", "group", "condition").cast(pl.String),
        pl.col("round", "answer").cast(pl.Float64, strict=False),
    )
    for name in ("round", "answer"):
        lost = int(typed[name].null_count() - table[name].null_count())
        require(
            lost == 0,
            CalibrationError,
            f"column {name!r}: {lost} values are not numbers; leave cells empty where none is",
            argument="columns",
        )
    between = typed.filter(pl.col("round") != pl.col("round").round())["round"].unique()
    require(
        between.len() == 0,
        CalibrationError,
        f"column 'round' holds {sorted(between.to_list())[:3]}, expected whole numbers",
        argument="columns",
    )
    usable = pl.all_horizontal(pl.all().is_not_null()) & pl.col("answer").is_finite()
    kept = typed.filter(usable).with_columns(pl.col("round").cast(pl.Int64))
    require(
        kept.height > 0,
        CalibrationError,
        f"none of {typed.height} rows has a person, group, condition, round and answer",
        argument="source",
    )
    left_out = {"a value is missing": typed.height - kept.height}
    if scale == "log":
        bad = kept.filter(pl.col("answer") <= 0).height
        require(
            bad == 0,
            CalibrationError,
            f"scale = 'log', and {bad} answers are not positive: leave them out of the file, or "
            "take scale = 'identity'",
            argument="scale",
        )
        kept = kept.with_columns(pl.col("answer").log())
    return kept.sort("condition", "group", "person", "round"), left_out


def _consistent(table: pl.DataFrame) -> None:
    twice = table.filter(pl.struct("person", "round").is_duplicated())
    require(
        twice.height == 0,
        CalibrationError,
        f"person {twice['person'][0] if twice.height else ''!r} has several answers in one round: "
        "a person who took part several times needs a name for each part",
    )
    homes = table.group_by("person").agg(pl.struct("group", "condition").n_unique().alias("n"))
    moved = homes.filter(pl.col("n") > 1).sort("person")
    require(
        moved.height == 0,
        CalibrationError,
        f"person {moved['person'][0] if moved.height else ''!r} is in several groups or "
        "conditions: give a name for each part",
    )


def _revisions(table: pl.DataFrame) -> tuple[pl.DataFrame, int, int]:
    """(revisions, how many lacked others, how many lacked an own earlier answer)."""
    rounds = ["condition", "group", "round"]
    others = table.with_columns(
        total=pl.col("answer").sum().over(rounds), size=pl.len().over(rounds)
    ).select(
        "person",
        (pl.col("round") + 1).alias("round"),
        pl.col("answer").alias("before"),
        (pl.col("total") - pl.col("answer")).alias("rest"),
        (pl.col("size").cast(pl.Int64) - 1).alias("n_others"),
    )
    first = int(table["round"].min())  # type: ignore[arg-type]
    later = table.filter(pl.col("round") > first)
    pairs = later.join(others, on=["person", "round"], how="inner", maintain_order="left")
    seen = pairs.filter(pl.col("n_others") > 0)
    revisions = seen.select(
        "person",
        "group",
        "condition",
        "round",
        (pl.col("rest") / pl.col("n_others") - pl.col("before")).alias("gap"),
        (pl.col("answer") - pl.col("before")).alias("move"),
    )
    return revisions, pairs.height - seen.height, later.height - pairs.height
