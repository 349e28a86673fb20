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
    bifurcation_diagram,
    cascade_ccdf,
    cost_against_fidelity,
    dose_response,
    echo_chambers,
    effect_forest,
    figure_style,
    network_snapshot,
    opinion_flows,
    phase_diagram,
    posterior_densities,
    predictive_intervals,
    ridgelines,
    space_time,
    stacked_shares,
    trajectories,
)
from abm.analysis.figures.layout import stamp
from abm.analysis.networks import neighbour_mean
from abm.analysis.opinions import (
    SHIFTS,
    clusters,
    flow_table,
    shift_shares,
    variance_over_maximum,
)
from abm.analysis.snapshots import snapshot
from abm.analysis.tail_tables import tail_table
from abm.analysis.tails import draw_tail, fit_tail

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


def settled(bound: float, rng: np.random.Generator, n: int = 200) -> np.ndarray:
    """Opinions of people who average with all within a bound until nothing moves."""
    x = np.sort(rng.random(n))
    for _ in range(60):
        near = np.abs(x[:, None] - x[None, :]) <= bound
        x = (near * x[None, :]).sum(axis=1) / near.sum(axis=1)
    return x


def branches() -> pl.DataFrame:
    """Final clusters over the bound of confidence."""
    rows = []
    for bound in np.arange(0.04, 0.321, 0.01):
        for replication in range(6):
            found = clusters(settled(bound, np.random.default_rng([8, replication])), gap=0.005)
            for centre, size in zip(found.centres, found.sizes, strict=True):
                rows.append((float(bound), float(centre), float(size / found.sizes.sum())))
    return pl.DataFrame(rows, schema=["bound", "opinion", "share"], orient="row")


def phases() -> pl.DataFrame:
    """Number of major clusters over the bound and the share of people who never move."""
    rows = []
    for bound in np.arange(0.05, 0.36, 0.03):
        for stubborn in np.arange(0, 0.31, 0.05):
            rng = np.random.default_rng([9, round(1000 * bound), round(1000 * stubborn)])
            kept = rng.random(round(200 * stubborn))
            many = clusters(np.concatenate([settled(bound, rng), kept]), gap=0.02, major=0.05)
            value = float(many.n_major) if bound + stubborn < 0.6 else float("nan")
            rows.append((float(bound), float(stubborn), value))
    return pl.DataFrame(rows, schema=["bound", "stubborn", "estimate"], orient="row")


def flows(people: pl.DataFrame) -> pl.DataFrame:
    """Who went from which camp to which, in two arms."""
    camps = {0: "against", 1: "undecided", 2: "in favour"}
    parts = []
    for arm in ("like-minded", "opposing"):
        mine = people.filter(arm=arm, replication=0)
        first, last = (
            [camps[int(x > 0.4) + int(x > 0.6)] for x in mine.filter(day=day)["opinion"]]
            for day in (0, 30)
        )
        parts.append(flow_table(first, last).with_columns(arm=pl.lit(arm)))
    return pl.concat(parts)


def doses() -> tuple[pl.DataFrame, pl.DataFrame]:
    """Means over doses with intervals, and the runs behind them."""
    rng, rows = np.random.default_rng(10), []
    for answerer, strength in ANSWERERS.items():
        for replication in range(N_REPLICATIONS):
            base = rng.normal(0.2, 0.03)
            for dose in (0, 1, 2, 4, 8):
                effect = 0.3 * strength * (1 - np.exp(-dose / 3))
                rows.append((answerer, replication, dose, base + effect + rng.normal(0, 0.02)))
    runs = pl.DataFrame(rows, schema=["answerer", "replication", "dose", "share"], orient="row")
    return means_table(runs, outcomes="share", by=["answerer", "dose"]), runs


def posterior() -> tuple[pl.DataFrame, pl.DataFrame]:
    """Prior and posterior of two parameters, and their intervals."""
    rows: list[tuple[str, str, float, float, float]] = []
    for name, centre, spread in (("bound of confidence", 0.32, 0.05), ("noise", 0.6, 0.12)):
        edges = np.linspace(0, 1, 41)
        middle = (edges[1:] + edges[:-1]) / 2
        bell = np.exp(-((middle - centre) ** 2) / (2 * spread**2))
        for kind, height in (("prior", np.ones(40)), ("posterior", bell / bell.mean())):
            rows += zip([name] * 40, [kind] * 40, edges[:-1], edges[1:], height, strict=True)
    table = pl.DataFrame(rows, ["parameter", "kind", "left", "right", "density"], orient="row")
    spans = [("bound of confidence", 0.32, 0.24, 0.40, 0.9), ("noise", 0.6, 0.40, 0.80, 0.9)]
    names = ["parameter", "estimate", "low", "high", "level"]
    return table, pl.DataFrame(spans, names, orient="row")


def predictions() -> pl.DataFrame:
    """What a fitted model says about a target it saw and one it did not."""
    rng = np.random.default_rng(3)
    parts = []
    for target, n, held in (("shares by category", 7, False), ("daily share", 30, True)):
        mean = 0.3 + 0.2 * np.sin(np.arange(n) / n * 3)
        parts.append(
            pl.DataFrame(
                {
                    "target": target, "index": np.arange(n), "estimate": mean,
                    "observed": mean + rng.normal(0, 0.02, n), "low": mean - 0.05,
                    "high": mean + 0.05, "level": 0.9, "held_out": held,
                }
            )
        )  # fmt: skip
    return pl.concat(parts)


def efficiency() -> pl.DataFrame:
    """Effective sample size of two methods at four costs."""
    costs = np.array([1e3, 3e3, 1e4, 3e4])
    parts = [
        pl.DataFrame(
            {
                "method": name, "cost": costs, "ess": gain * costs, "low": 0.8 * gain * costs,
                "high": 1.2 * gain * costs, "level": 0.95, "n": 10,
            }
        )
        for name, gain in (("plain ABC", 0.01), ("multi-fidelity ABC", 0.033))
    ]  # fmt: skip
    return pl.concat(parts)


def tails() -> pl.DataFrame:
    sizes = draw_tail(2.4, 1, 8_000, discrete=True, rng=np.random.default_rng(11))
    return tail_table(sizes, fit_tail(sizes, discrete=True))


def camps() -> tuple[pl.DataFrame, pl.DataFrame, str]:
    graph = nx.random_partition_graph([900, 900], 0.012, 0.002, seed=4)
    rng = np.random.default_rng(12)
    own = np.concatenate([rng.beta(2, 6, 900), rng.beta(6, 2, 900)])
    shown = snapshot(np.array(graph.edges), own, rng=rng, most=220)
    return shown.nodes, shown.edges, shown.note


def gallery() -> dict[str, Figure]:
    """Name -> figure."""
    return {**of_a_study(), **of_networks(), **of_sweeps(), **of_fits()}


def of_a_study() -> dict[str, Figure]:
    """Arms, answerers and people of one study."""
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
            within=(0, 1),
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
        "opinion_flows": opinion_flows(
            flows(people),
            panel="arm",
            titles=("day 0", "day 30"),
            order={"before": ["against", "undecided", "in favour"]},
            width="middle",
        ),
    }


def of_networks() -> dict[str, Figure]:
    """Who is tied to whom, and how far things spread."""
    nodes, edges, note = camps()
    return {
        "echo_chambers": echo_chambers(neighbourhoods(), panel="network", width="middle"),
        "network_snapshot": network_snapshot(nodes, edges, note=note),
        "cascade_ccdf": cascade_ccdf(tails()),
    }


def of_sweeps() -> dict[str, Figure]:
    """What changes with a parameter."""
    curve, single = doses()
    return {
        "phase_diagram": phase_diagram(
            phases(),
            x="bound",
            y="stubborn",
            levels=(1.5, 2.5),
            xlabel="bound of confidence",
            ylabel="share who never move",
            scale_label="major clusters",
        ),
        "bifurcation_diagram": bifurcation_diagram(
            branches(), x="bound", xlabel="bound of confidence", marks={0.2: "consensus"}
        ),
        "dose_response": dose_response(
            curve,
            series="answerer",
            runs=single,
            run_value="share",
            xlabel="messages per day",
            ylabel="share of agents who flipped",
        ),
    }


def of_fits() -> dict[str, Figure]:
    """What a calibration found, and at what cost."""
    return {
        "posterior_densities": posterior_densities(
            posterior()[0], intervals=posterior()[1], truths={"noise": 0.55}
        ),
        "predictive_intervals": predictive_intervals(
            predictions(),
            xlabels={"daily share": "time (days)", "shares by category": "category"},
            units=dict.fromkeys(("shares by category", "daily share"), "share of people"),
        ),
        "cost_against_fidelity": cost_against_fidelity(efficiency()),
    }


def main(folder: Path = FOLDER) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in gallery().items():
        stamp(figure, "invented numbers, to show the figure")
        with figure_style():
            figure.savefig(folder / f"{name}.png", dpi=130, metadata={"Software": "Agora"})


if __name__ == "__main__":
    main()
