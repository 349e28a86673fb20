"""Figures of the agents' opinions at the end of runs that keep them: echo chambers and flows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from abm.analysis.figures import echo_chambers, opinion_flows
from abm.analysis.networks import neighbour_mean
from abm.analysis.opinions import flow_table
from abm.analysis.report.material import Material
from abm.analysis.report.parts import Drawing

__all__ = ["BASELINE", "OPINION", "opinion_drawings", "scale_of"]

OPINION, BASELINE = "opinion", "initial"
"""Columns of the table of agents: the opinion at the end, and at the start."""
MOST_PANELS = 4
MOST_AGENTS = 100_000
"""Agents of an echo-chamber map at most, so that the table beside it stays readable."""


def opinion_drawings(material: Material) -> list[Drawing]:
    """Echo-chamber maps where ties are kept too, and flows where opinions at the start are.

    Agents of all replications of the first answerer are pooled, one panel per arm.
    """
    runs = _runs(material)
    if not runs:
        return []
    tables = {arm: [run.frame("agents") for run in mine] for arm, mine in runs.items()}
    kept = [
        t[name]
        for mine in tables.values()
        for t in mine
        for name in (OPINION, BASELINE)
        if name in t
    ]
    scale = scale_of(kept)
    shown = list(runs)[:MOST_PANELS]
    words = (
        f"Agents of {_replications(list(runs.values()))} pooled, answerer "
        f"{material.written(material.answerers[0])}: no average over runs, no interval."
    )
    more = f" The first {len(shown)} of {len(runs)} arms." * (len(runs) > len(shown))
    names = dict(material.parts.names)
    return [
        *_echoes({arm: runs[arm] for arm in shown}, scale, names, words + more),
        *_flows({arm: tables[arm] for arm in shown}, scale, names, words + more),
    ]


def _replications(runs: Sequence[Sequence[Any]]) -> str:
    """How many runs each arm has: `1 replication`, `5 replications` or `3 to 5 replications`."""
    few, many = min(map(len, runs)), max(map(len, runs))
    return f"{few}{'' if few == many else f' to {many}'} replication{'s' * (many > 1)}"


def scale_of(opinions: Sequence[pl.Series]) -> tuple[float, float]:
    """Ends of a scale that holds all opinions: 0 or -1, and 1, or farther where they lie so."""
    values = [s.cast(pl.Float64).drop_nans().drop_nulls() for s in opinions]
    ends = [(float(v.to_numpy().min()), float(v.to_numpy().max())) for v in values if v.len()]
    low, high = min((e[0] for e in ends), default=0.0), max((e[1] for e in ends), default=1.0)
    return (min(low, -1.0) if low < 0 else 0.0, max(high, 1.0))


def _runs(material: Material) -> dict[str, list[Any]]:
    """Finished runs of the first answerer that keep opinions, by arm in order of the study."""
    found: dict[str, list[Any]] = {}
    for run in material.runs:
        m = run.manifest
        mine = (m["status"], m["answerer"]) == ("finished", material.answerers[0])
        if mine and (run.folder / "agents.parquet").exists():
            schema = run.frame("agents").schema
            if OPINION in schema and schema[OPINION].is_numeric():
                found.setdefault(m["arm"], []).append(run)
    return {arm: found[arm] for arm in material.arms if arm in found}


def _echoes(
    runs: Mapping[str, Sequence[Any]],
    scale: tuple[float, float],
    names: Mapping[Any, str],
    caption: str,
) -> list[Drawing]:
    frames = []
    for arm, mine in runs.items():
        for run in mine:
            if not (run.folder / "edges.parquet").exists():
                return []
            own = run.frame("agents")[OPINION].cast(pl.Float64).to_numpy()
            around = neighbour_mean(run.frame("edges").to_numpy(), own)
            m = run.manifest
            frames.append(
                pl.DataFrame({"own": own, "neighbours": around}).with_columns(
                    pl.lit(arm).alias("arm"), pl.lit(m["replication"]).alias("replication")
                )
            )
    whole = pl.concat(frames)
    if not whole.filter(pl.col("neighbours").is_finite()).height:
        return []
    table = whole if whole.height <= MOST_AGENTS else whole.sample(MOST_AGENTS, seed=0)
    if table.height < whole.height:
        caption += f" {table.height:,} of {whole.height:,} agents, drawn at random."
    figure = echo_chambers(
        table, panel="arm", low=scale[0], high=scale[1], names=dict(names), width="double"
    )
    said = f"Opinions of agents and of those they are tied to, at the end. {caption}"
    return [Drawing("echo_chambers", figure, table, said)]


def _flows(
    tables: Mapping[str, Sequence[pl.DataFrame]],
    scale: tuple[float, float],
    names: Mapping[Any, str],
    caption: str,
) -> list[Drawing]:
    """Who went from which third of the scale to which."""
    if not all(BASELINE in t.columns for mine in tables.values() for t in mine):
        return []
    cuts = [scale[0] + (scale[1] - scale[0]) * part / 3 for part in (1, 2)]
    thirds = [f"below {cuts[0]:.2g}", "between", f"above {cuts[1]:.2g}"]
    frames = []
    for arm, mine in tables.items():
        both = pl.concat([t.select(pl.col(BASELINE, OPINION).cast(pl.Float64)) for t in mine])
        known = both.filter(pl.all_horizontal(pl.all().is_finite()))
        before, after = (_third(known[name], cuts, thirds) for name in (BASELINE, OPINION))
        frames.append(flow_table(before, after).with_columns(pl.lit(arm).alias("arm")))
    table = pl.concat(frames)
    if not table.height:
        return []
    figure = opinion_flows(
        table,
        panel="arm",
        titles=("start", "end"),
        order={"before": thirds},
        names=dict(names),
        width="double" if len(tables) > 1 else "single",
    )
    said = (
        f"Shares of agents by third of the scale of opinions, at the start and the end. {caption}"
    )
    return [Drawing("opinion_flows", figure, table, said)]


def _third(values: pl.Series, cuts: Sequence[float], names: Sequence[str]) -> list[str]:
    """The third of the scale of each opinion; who is on a cut is between, on either side."""
    x = values.to_numpy()
    slack = 1e-9 * (cuts[1] - cuts[0])
    place = 1 + (x > cuts[1] + slack).astype(int) - (x < cuts[0] - slack).astype(int)
    return [names[i] for i in place.tolist()]
