"""Draw the figures of docs/figures_gallery.md from invented tables: `python docs/make_gallery.py`.

The numbers are made up so that each figure has something to show. They are no results.
"""

from __future__ import annotations

from pathlib import Path

import networkx as nx
import numpy as np
import polars as pl
from matplotlib.figure import Figure

from abm.analysis.densities import density_table
from abm.analysis.effects import effects_table, means_table
from abm.analysis.figures import (
    before_after,
    echo_chambers,
    effect_forest,
    figure_style,
    ridgelines,
    space_time,
    stacked_shares,
    trajectories,
)
from abm.analysis.figures.layout import stamp
from abm.analysis.networks import neighbour_mean
from abm.analysis.opinions import SHIFTS, shift_shares, variance_over_maximum

FOLDER = Path(__file__).parent / "figures"
PULLS = {"placebo": 0.0, "ordinary": -0.15, "like-minded": 0.45, "opposing": -0.45}
ANSWERERS = {"language model": 1.0, "rule twin": 0.6}
DAYS = range(0, 31, 3)
N_AGENTS, N_REPLICATIONS = 400, 8


def society() -> pl.DataFrame:
    """Opinions of invented agents: arm, answerer, replication, day, agent, opinion in [0, 1]."""
    parts = []
    for replication in range(N_REPLICATIONS):
        rng = np.random.default_rng([7, replication])
        start, noise = rng.beta(2.2, 2.2, N_AGENTS), rng.normal(0, 0.07, (len(DAYS), N_AGENTS))
        for arm, pull in PULLS.items():
            for answerer, strength in ANSWERERS.items():
                for i, day in enumerate(DAYS):
                    stretch = 1 + pull * strength * (1 - np.exp(-day / 8))
                    own = 0.5 + (start - 0.5) * stretch + (day > 0) * (arm != "placebo") * noise[i]
                    parts.append(
                        pl.DataFrame(
                            {
                                "agent": np.arange(N_AGENTS),
                                "opinion": np.round(np.clip(own, 0, 1) * 6) / 6,
                                "exact": np.clip(own, 0, 1),
                            }
                        ).with_columns(
                            arm=pl.lit(arm),
                            answerer=pl.lit(answerer),
                            replication=pl.lit(replication),
                            day=pl.lit(day),
                        )
                    )
    return pl.concat(parts)


def per_run(people: pl.DataFrame) -> pl.DataFrame:
    """Shares of shifts between the first and the last day, one row per run."""
    rows = []
    keys = ["arm", "answerer", "replication"]
    for key, run in people.partition_by(keys, as_dict=True, maintain_order=True).items():
        first, last = (run.filter(day=day)["opinion"].to_numpy() for day in (0, 30))
        rows.append(dict(zip(keys, key, strict=True)) | shift_shares(first, last, middle=0.5))
    return pl.DataFrame(rows)


def daily(people: pl.DataFrame) -> pl.DataFrame:
    rows = []
    keys = ["arm", "answerer", "replication", "day"]
    for key, run in people.partition_by(keys, as_dict=True, maintain_order=True).items():
        value = variance_over_maximum(run["opinion"].to_numpy())
        rows.append({**dict(zip(keys, key, strict=True)), "variance": value})
    return means_table(pl.DataFrame(rows), outcomes="variance", by=["arm", "answerer", "day"])


def categories(people: pl.DataFrame) -> pl.DataFrame:
    ends = people.filter(pl.col("day").is_in([0, 30]), pl.col("answerer") == "language model")
    ends = ends.with_columns(
        category=(pl.col("opinion") * 6 + 1).round().cast(pl.Int64),
        when=pl.when(pl.col("day") == 0).then(pl.lit("before")).otherwise(pl.lit("after")),
    )
    keys = ["arm", "when", "category"]
    shares = ends.group_by(*keys, "replication").agg(share=pl.len() / N_AGENTS)
    every = ends.select("arm", "when", "replication").unique()
    grid = every.join(pl.DataFrame({"category": range(1, 8)}), how="cross")
    full = grid.join(shares, on=[*keys, "replication"], how="left").fill_null(0.0)
    return means_table(full.sort(*keys, "replication"), outcomes="share", by=keys, within=(0, 1))


def neighbourhoods() -> pl.DataFrame:
    parts = []
    for arm, across in (("mixed", 0.02), ("two camps", 0.002)):
        graph = nx.random_partition_graph([400, 400], 0.03, across, seed=3)
        rng = np.random.default_rng(3)
        own = np.concatenate([rng.beta(2, 5, 400), rng.beta(5, 2, 400)])
        theirs = neighbour_mean(np.array(graph.edges), own)
        table = pl.DataFrame({"own": own, "neighbours": theirs})
        parts.append(table.with_columns(network=pl.lit(arm)))
    return pl.concat(parts)


def gallery() -> dict[str, Figure]:
    """Name -> figure."""
    people = society()
    runs, order = per_run(people), {"arm": list(PULLS), "outcome": SHIFTS}
    shares = means_table(runs, outcomes=SHIFTS, by=["answerer", "arm"])
    effects = effects_table(runs, outcomes=SHIFTS[:3], control="placebo", by="answerer")
    model = people.filter(answerer="language model")
    smooth = density_table(model, value="exact", by=["arm", "day"], bandwidth=0.04)
    return {
        "trajectories": trajectories(
            daily(people),
            x="day",
            panel="answerer",
            xlabel="time (days)",
            ylabel="variance of opinions over its maximum",
            marks={6: "label shown"},
        ),
        "effect_forest": effect_forest(
            effects,
            series="answerer",
            panel="outcome",
            xlabel="difference to placebo (share of agents)",
            margin=0.05,
        ),
        "stacked_shares": stacked_shares(shares, panel="answerer", order=order),
        "before_after": before_after(
            categories(people), panel="arm", order=order | {"when": ["before", "after"]}
        ),
        "ridgelines": ridgelines(smooth, ridge="day", panel="arm", ylabel="time (days)"),
        "space_time": space_time(smooth, x="day", panel="arm", xlabel="time (days)"),
        "echo_chambers": echo_chambers(neighbourhoods(), panel="network", width="middle"),
    }


def main(folder: Path = FOLDER) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in gallery().items():
        stamp(figure, "invented numbers, to show the figure")
        with figure_style():
            figure.savefig(folder / f"{name}.png", dpi=130, metadata={"Software": "Agora"})


if __name__ == "__main__":
    main()
