"""Heterogeneity by group: what an arm does to groups of agents, from the tables that runs keep.

A group is a column of the table of agents that no arm changes (a party, a region, a kind of agent),
or the column `group` of a series. What an arm changes is an outcome and never a group: conditioning
on it would compare different people.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl

from abm.analysis.comparisons import adjusted, effects_table
from abm.analysis.heterogeneity import difference_in_effects
from abm.analysis.redraws import Make, with_redraws
from abm.analysis.report import results
from abm.analysis.report.material import KEYS, Material
from abm.errors import AnalysisError, require

__all__ = [
    "by_group",
    "every_group",
    "group_differences",
    "group_effects",
    "keeps_agents",
    "redrawn_groups",
]

MOST_VALUES, MOST_FACTORS, MOST_MEASURES = 12, 3, 3
EVERYBODY = ("all", "everybody", "total", "")
CELL = ("factor", "group", "measure")
ONE = ("answerer", "factor", "measure")
SCHEMA: dict[str, pl.DataType] = {
    **dict.fromkeys(("arm", "answerer"), pl.String()),
    "replication": pl.Int64(),
    **dict.fromkeys(CELL, pl.String()),
    "value": pl.Float64(),
}


def by_group(material: Material) -> pl.DataFrame:
    """Means of agents' numbers by group, one row per run, factor, group and measure.

    Returns
    -------
    Columns `arm, answerer, replication, factor, group, measure, value`; empty where the runs keep
    nothing that has groups, or have one arm.

    Raises
    ------
    AnalysisError
        The model declares a group that the table of agents lacks, that an arm changes, or that has
        too many values. Where no run keeps its agents, a declared group is left out, and `limits`
        says so.
    """
    if len(material.arms) < 2:
        return pl.DataFrame(schema=SCHEMA)
    return pl.concat([_of_agents(material), _of_series(material)])


def keeps_agents(material: Material) -> bool:
    """Whether any finished run kept its table of agents."""
    return any(
        run.manifest["status"] == "finished" and (run.folder / "agents.parquet").exists()
        for run in material.runs
    )


def every_group(
    agents: pl.DataFrame | None, told: pl.DataFrame, declared: Sequence[str] = ()
) -> pl.DataFrame:
    """Everything that `by_group` may ask of one run: columns `factor, group, measure, value`.

    Parameters
    ----------
    agents
        The table of agents at the end, if it was kept.
    told
        The series as `time, group, variable, value`.
    declared
        Columns that the model declares as groups.
    """
    frames = [_last_values(told.filter(~pl.col("group").is_in(EVERYBODY)), [])]
    if agents is not None:
        numbers = [name for name, kind in agents.schema.items() if kind.is_numeric()]
        factors = [n for n in agents.columns if n in declared or _names_groups(agents[n])]
        frames += [_means(agents, factor, numbers) for factor in factors]
    kept = [frame.select(*CELL, "value") for frame in frames if frame.height]
    return (
        pl.concat(kept) if kept else pl.DataFrame(schema={n: SCHEMA[n] for n in (*CELL, "value")})
    )


def redrawn_groups(material: Material, means: pl.DataFrame) -> pl.DataFrame:
    """`means`, from `by_group`, once per redraw of the sampled answers; empty where there are none.

    Runs without sampled answers stay as recorded.
    """
    stored = material.redrawn("groups")
    if not stored.height:
        return pl.DataFrame()
    columns = ["redraw", *SCHEMA]
    repeated = stored.join(means.select(*KEYS, *CELL), on=[*KEYS, *CELL], how="semi")
    every = stored.select("redraw").unique(maintain_order=True)
    rest = means.join(material.sampled_runs, on=list(KEYS), how="anti").join(every, how="cross")
    return pl.concat([rest.select(columns), repeated.select(columns)])


def group_effects(
    material: Material, means: pl.DataFrame, level: float, control: str | None = None
) -> pl.DataFrame:
    """Effect of every arm within each group, with p corrected by Holm over the table."""

    def make(frame: pl.DataFrame) -> pl.DataFrame:
        return effects_table(
            frame,
            outcomes="value",
            control=control or material.control,
            by=("answerer", *CELL),
            **results.scope(material, level),
        )

    heads = ("answerer", *CELL, "arm", "control")
    return adjusted(_with_answers(make, material, means, heads))


def group_differences(
    material: Material, means: pl.DataFrame, level: float, control: str | None = None
) -> pl.DataFrame:
    """Effect of every arm in each group minus that in the first group of its factor."""
    first = {key: part["group"][0] for key, part in _cells(means).items()}

    def make(frame: pl.DataFrame) -> pl.DataFrame:
        tables = []
        for key, part in _cells(frame).items():
            table = difference_in_effects(
                part,
                outcome="value",
                control=control or material.control,
                group="group",
                reference=first[key],
                **results.scope(material, level),
            )
            named = zip(ONE, key, strict=True)
            tables.append(table.with_columns(pl.lit(v).alias(k) for k, v in named))
        return pl.concat(tables, how="diagonal_relaxed") if tables else pl.DataFrame()

    heads = (*ONE, "group", "reference", "arm")
    made = _with_answers(make, material, means, heads)
    return adjusted(made) if made.height else made


def _with_answers(
    make: Make, material: Material, means: pl.DataFrame, heads: Sequence[str]
) -> pl.DataFrame:
    again, degrees = redrawn_groups(material, means), results.answer_degrees(material)
    return with_redraws(make, means, again, heads=heads, degrees=degrees)


def _cells(means: pl.DataFrame) -> dict[tuple[Any, ...], pl.DataFrame]:
    return means.partition_by(ONE, as_dict=True, maintain_order=True)


def _of_agents(material: Material) -> pl.DataFrame:
    declared = list(material.parts.groups)
    frames, chosen = [], None
    for runs in _paired_runs(material):
        tables = {run.manifest["arm"]: run.frame("agents") for run in runs}
        if chosen is None:
            chosen = _chosen(material, list(tables.values()), declared)
        factors, measures = chosen
        for run in runs:
            agents = tables[run.manifest["arm"]]
            marks = [pl.lit(run.manifest[k], dtype=SCHEMA[k]).alias(k) for k in KEYS]
            frames += [_means(agents, factor, measures).with_columns(marks) for factor in factors]
    rows = [frame.select(list(SCHEMA)) for frame in frames if frame.height]
    return pl.concat(rows) if rows else pl.DataFrame(schema=SCHEMA)


def _paired_runs(material: Material) -> Iterator[list[Any]]:
    """Runs of one answerer and replication, one per arm, that keep their agents."""
    groups: dict[tuple[str, int], list[Any]] = {}
    for run in material.runs:
        m = run.manifest
        if m["status"] == "finished" and (run.folder / "agents.parquet").exists():
            groups.setdefault((m["answerer"], m["replication"]), []).append(run)
    kept = results.per_replication(material)["replication"].unique().to_list()
    yield from (runs for (_, number), runs in groups.items() if len(runs) > 1 and number in kept)


def _chosen(
    material: Material, tables: Sequence[pl.DataFrame], declared: Sequence[str]
) -> tuple[list[str], list[str]]:
    """Columns that name groups, and numbers that the arms change."""
    first, *others = tables
    fixed = [
        name
        for name in first.columns
        if all(name in t.columns and t[name].equals(first[name]) for t in others)
    ]
    for name in declared:
        require(
            name in fixed and 2 <= first[name].n_unique() <= MOST_VALUES,
            AnalysisError,
            f"report_parts of {material.model_name} declares the group {name!r}, expected a column "
            f"of the table of agents that no arm changes, of 2 to {MOST_VALUES} values; such are "
            f"{[n for n in fixed if 2 <= first[n].n_unique() <= MOST_VALUES]}",
        )
    words = [n for n in fixed if _names_groups(first[n])]
    numbers = [n for n in first.columns if n not in fixed and first.schema[n].is_numeric()]
    wanted = [o.rpartition(".")[2] for o in material.main_outcomes]
    numbers.sort(key=lambda n: n not in wanted)
    return list(declared) or words[:MOST_FACTORS], numbers[:MOST_MEASURES]


def _names_groups(values: pl.Series) -> bool:
    kind = values.dtype
    words = kind in (pl.String, pl.Boolean, pl.Categorical) or isinstance(kind, pl.Enum)
    return words and 2 <= values.n_unique() <= min(MOST_VALUES, values.len() // 2)


def _means(agents: pl.DataFrame, factor: str, measures: Sequence[str]) -> pl.DataFrame:
    """Mean of each measure in each group, in order of the groups' names."""
    if not measures:
        return pl.DataFrame()
    return (
        agents.group_by(pl.col(factor).cast(pl.String).fill_null("not known").alias("group"))
        .agg(pl.col(name).cast(pl.Float64).fill_nan(None).mean() for name in measures)
        .sort("group")
        .unpivot(measures, index="group", variable_name="measure", value_name="value")
        .with_columns(pl.lit(factor).alias("factor"), pl.col("value").fill_null(float("nan")))
    )


def _of_series(material: Material) -> pl.DataFrame:
    """Last value of each run's series in each of its groups."""
    frame = results.keyed(material, "series")
    if not {"time", "group", "variable", "value"} <= set(frame.columns):
        return pl.DataFrame(schema=SCHEMA)
    kept = results.per_replication(material)["replication"].unique()
    wanted = [o.rpartition(".")[2] for o in material.main_outcomes]
    mine = frame.filter(
        ~pl.col("group").is_in(EVERYBODY)
        & pl.col("variable").is_in(wanted)
        & pl.col("replication").is_in(kept.implode())
    )
    if mine["group"].n_unique() < 2:
        return pl.DataFrame(schema=SCHEMA)
    names = [n for n in dict.fromkeys(wanted) if n in set(mine["variable"])][:MOST_MEASURES]
    last = _last_values(mine.filter(pl.col("variable").is_in(names)), list(KEYS))
    return last.select(pl.col(name).cast(kind) for name, kind in SCHEMA.items())


def _last_values(told: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    """Last value of each variable in each group of a series."""
    last = (
        told.sort("time", maintain_order=True)
        .group_by([*keys, "group", "variable"], maintain_order=True)
        .agg(pl.col("value").last().cast(pl.Float64))
        .sort("group", maintain_order=True)
    )
    named = pl.col("variable").alias("measure")
    return last.select(*keys, pl.lit("group").alias("factor"), "group", named, "value")
