"""Figures drawn from fixed data look as they did when a person last looked at them.

Each figure is drawn, averaged over blocks to a picture of 72 points width, and compared with the
one that lies in `fingerprints/`. Blocks forgive another rasteriser of fonts and a shift by a pixel,
and not another line, colour or number. After a change that is meant, look at the gallery, then run
`python tests/analysis/test_figures_look_the_same.py` to make the fingerprints anew.
"""

import itertools
import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from matplotlib import image
from matplotlib.backends.backend_agg import FigureCanvasAgg
from scipy.ndimage import gaussian_filter

from abm.analysis.figures import (
    WIDTHS,
    before_after,
    bifurcation_diagram,
    cascade_ccdf,
    cost_against_fidelity,
    crowded_text,
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
    save,
    space_time,
    stacked_shares,
    trajectories,
)
from abm.analysis.figures.layout import stamp
from abm.analysis.snapshots import snapshot
from abm.analysis.tail_tables import tail_table
from abm.analysis.tails import fit_tail
from abm.errors import AnalysisError

FOLDER = Path(__file__).parent / "fingerprints"
BLOCKS = 72
ARMS = ("placebo", "ordinary", "opposing")


def intervals(rows, names):
    """Rows ending in an estimate and a half width, as a table with an interval."""
    table = pl.DataFrame(rows, schema=[*names, "estimate", "half"], orient="row")
    return table.with_columns(
        low=pl.col("estimate") - pl.col("half"),
        high=pl.col("estimate") + pl.col("half"),
        level=pl.lit(0.95),
        n=pl.lit(8),
        varied=pl.lit("chance, population, network"),
        fixed=pl.lit("model, prompt"),
    )


def phase(width, shift=0.0):
    grid = [(b, s) for b in np.arange(1, 7) / 20 for s in np.arange(6) / 20]
    rows = [(b, s, math.nan if b + s > 0.5 else 1 / (2 * b) + s + 5 * shift * s) for b, s in grid]
    table = pl.DataFrame(rows, schema=["bound", "stubborn", "estimate"], orient="row")
    table = pl.concat([table.with_columns(arm=pl.lit(arm)) for arm in ARMS[:2]])
    return table, phase_diagram(
        table,
        x="bound",
        y="stubborn",
        panel="arm",
        levels=(1.5, 2.5),
        width=width,
        xlabel="bound of confidence",
        ylabel="share who never move",
        scale_label="major clusters",
    )


def bifurcation(width, shift=0.0):
    rows = []
    for bound in np.arange(2, 17) / 50:
        k = max(1, int(1 / (2 * bound)))
        rows += [(bound, (i + 0.5) / k + shift, 0.96 / k) for i in range(k)]
        rows.append((bound, 0.02, 0.04))
    table = pl.DataFrame(rows, schema=["bound", "opinion", "share"], orient="row")
    return table, bifurcation_diagram(
        table, x="bound", xlabel="bound of confidence", marks={0.25: "consensus"}, width=width
    )


def tails(width, shift=0.0):
    sizes = np.floor((np.arange(1, 3001) / 3000) ** (-1 / (1.5 + shift)))
    table = tail_table(sizes, fit_tail(sizes, discrete=True, xmin=1))
    return table, cascade_ccdf(table, width=width)


def flows(width, shift=0.0):
    shares = np.array([[0.3, 0.08, 0.02], [0.05, 0.1, 0.05], [0.02, 0.08, 0.3]])
    shares += shift * np.array([[-1, 0, 1], [0, 0, 0], [0, 0, 0]])
    kinds = ["against", "undecided", "in favour"]
    rows = [
        (arm, kinds[i], kinds[j], shares[i, j]) for arm in ARMS[:2] for i, j in np.ndindex(3, 3)
    ]
    table = pl.DataFrame(rows, schema=["arm", "before", "after", "share"], orient="row")
    return table, opinion_flows(
        table, panel="arm", order={"before": kinds}, titles=("day 0", "day 30"), width=width
    )


def doses(width, shift=0.0):
    rows = [
        (a, d, 0.2 + shift * (k - 1) + 0.1 * k * (1 - math.exp(-d / 3)), 0.03)
        for k, a in enumerate(("language model", "rule twin"), start=1)
        for d in (0, 1, 2, 4, 8)
    ]
    table = intervals(rows, ["answerer", "dose"])
    runs = pl.concat(
        [table.with_columns(share=pl.col("estimate") + 0.03 * math.sin(7 * i)) for i in range(5)]
    )
    return table, dose_response(
        table,
        series="answerer",
        runs=runs,
        run_value="share",
        width=width,
        xlabel="messages per day",
        ylabel="share of agents who flipped",
    )


def network(width, shift=0.0):
    turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    nodes = pl.DataFrame(
        {
            "node": range(40),
            "x": np.cos(turn) + shift * np.sin(3 * turn),
            "y": np.sin(turn),
            "opinion": [math.nan, *((1 + np.sin(turn[1:])) / 2)],
        }
    )
    ties = [(i, (i + step) % 40) for i in range(40) for step in (1, 2, 9)]
    edges = pl.DataFrame(ties, schema=["source", "target"], orient="row")
    note = "40 of 1,800 nodes: those that a random walk met first"
    return nodes, network_snapshot(nodes, edges, note=note, width=width)


def lines(width, shift=0.0):
    rows = [
        (arm, p, t, 5 + shift + 20 * k * (1 - math.exp(-t / 8)), 8.0)
        for p in ("language model", "rule twin")
        for k, arm in enumerate(ARMS)
        for t in range(0, 31, 3)
    ]
    table = intervals(rows, ["arm", "answerer", "time"])
    return table, trajectories(
        table,
        panel="answerer",
        within=(0, 100),
        marks={12: "label shown"},
        width=width,
        xlabel="time (days)",
        ylabel="more extreme (%)",
    )


def forest(width, shift=0.0):
    rows = [(arm, o, 0.1 * k + shift, 0.04) for k, arm in enumerate(ARMS) for o in ("x", "y")]
    table = intervals(rows, ["arm", "outcome"])
    return table, effect_forest(table, panel="outcome", margin=0.05, width=width, xlabel="share")


def shares(width, shift=0.0):
    rows = [
        (arm, kind, share)
        for arm in ARMS
        for kind, share in (("moved", 0.3 + shift), ("flipped", 0.2 - shift), ("unchanged", 0.5))
    ]
    table = pl.DataFrame(rows, schema=["arm", "outcome", "estimate"], orient="row")
    return table, stacked_shares(table, width=width)


def bars(width, shift=0.0):
    rows = [
        (w, k, 0.2 + 0.02 * k * (w == "after") + shift, 0.03)
        for w in ("before", "after")
        for k in range(1, 6)
    ]
    table = intervals(rows, ["when", "category"])
    return table, before_after(table, width=width)


def density(width, make, shift):
    x = (np.arange(60) + 0.5) / 60
    rows = [
        (t, o, math.exp(-(((o - 0.5 - shift) / (0.1 + 0.01 * t)) ** 2)))
        for t in range(0, 31, 5)
        for o in x
    ]
    table = pl.DataFrame(rows, schema=["time", "opinion", "density"], orient="row")
    return table, make(table, width=width)


def ridges(width, shift=0.0):
    return density(width, ridgelines, shift)


def maps(width, shift=0.0):
    return density(width, space_time, shift)


def echoes(width, shift=0.0):
    own = (np.arange(900) % 30 + 0.5) / 30
    theirs = np.clip(0.6 * own + 0.2 + 0.15 * np.sin(np.arange(900.0)) + shift, 0, 1)
    table = pl.DataFrame({"own": own, "neighbours": theirs})
    return table, echo_chambers(table, width=width)


def posteriors(width, shift=0.0):
    edges = np.linspace(0, 1, 21)
    rows = [
        (name, kind, a, b, 1.0 if kind == "prior" else math.exp(-((((a + b) / 2 - c) / 0.15) ** 2)))
        for name, c in (("bound", 0.3 + shift), ("noise", 0.6))
        for kind in ("prior", "posterior")
        for a, b in itertools.pairwise(edges)
    ]
    names = ["parameter", "kind", "left", "right", "density"]
    table = pl.DataFrame(rows, schema=names, orient="row")
    spans = [("bound", 0.3 + shift, 0.1 + shift, 0.5 + shift, 0.9), ("noise", 0.6, 0.4, 0.8, 0.9)]
    heads = ["parameter", "estimate", "low", "high", "level"]
    between = pl.DataFrame(spans, schema=heads, orient="row")
    return table, posterior_densities(
        table, intervals=between, truths={"noise": 0.55}, n_columns=2, width=width
    )


def predictions(width, shift=0.0):
    parts = [
        pl.DataFrame(
            {
                "target": [name] * n,
                "index": range(n),
                "observed": 0.4 + 0.2 * np.sin(np.arange(n)) + shift,
                "estimate": 0.4 + 0.2 * np.sin(np.arange(n) + 0.2),
            }
        ).with_columns(
            low=pl.col("estimate") - 0.05,
            high=pl.col("estimate") + 0.05,
            level=pl.lit(0.9),
            held_out=pl.lit(held),
        )
        for name, n, held in (("shares", 7, False), ("daily", 30, True))
    ]
    table = pl.concat(parts)
    return table, predictive_intervals(table, n_columns=2, width=width)


def fidelity(width, shift=0.0):
    rows = [
        (m, c, gain * c, 0.8 * gain * c, 1.2 * gain * c, 0.95, 10)
        for m, gain in (("plain ABC", 0.01), ("multi-fidelity ABC", 0.033 * 10**shift))
        for c in (1e3, 1e4, 1e5)
    ]
    names = ["method", "cost", "ess", "low", "high", "level", "n"]
    table = pl.DataFrame(rows, schema=names, orient="row")
    return table, cost_against_fidelity(table, width=width)


MAKERS = [
    phase,
    bifurcation,
    tails,
    flows,
    doses,
    network,
    lines,
    posteriors,
    predictions,
    fidelity,
    forest,
    shares,
    bars,
    ridges,
    maps,
    echoes,
]
NEW = MAKERS[:10]


def seen(figure):
    """A figure as a picture of blocks, shape (height, 72, 3), from 0 black to 1 white."""
    with figure_style():
        canvas = FigureCanvasAgg(figure)
        figure.set_dpi(150)
        canvas.draw()
        pixels = np.asarray(canvas.buffer_rgba())[..., :3] / 255
    side = pixels.shape[1] / BLOCKS
    tall = round(pixels.shape[0] / side)
    rows, columns = (
        np.minimum((np.arange(n) / n * blocks).astype(int), blocks - 1)
        for n, blocks in ((pixels.shape[0], tall), (pixels.shape[1], BLOCKS))
    )
    picture = np.zeros((tall, BLOCKS, 3))
    np.add.at(picture, (rows[:, None], columns[None, :]), pixels)
    return picture / (np.bincount(rows)[:, None] * np.bincount(columns)[None, :])[..., None]


def difference(one, other):
    """Mean and largest difference of two pictures, each blurred by one block."""
    if one.shape != other.shape:
        return 1.0, 1.0
    gap = np.abs(gaussian_filter(one, (1, 1, 0)) - gaussian_filter(other, (1, 1, 0)))
    return float(gap.mean()), float(gap.max())


def stored(make):
    return image.imread(FOLDER / f"{make.__name__}.png")[..., :3].astype(float)


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_a_figure_on_fixed_data_looks_as_it_did(make):
    mean, largest = difference(seen(make("single")[1]), stored(make))
    assert mean < 0.006, f"mean difference {mean:.4f}"
    assert largest < 0.1, f"largest difference {largest:.3f}"


@pytest.mark.parametrize(
    "make", [m for m in MAKERS if m not in (bifurcation, bars, ridges, maps, echoes)]
)
def test_other_numbers_do_not_look_the_same(make):
    amount = {
        phase: 1.0,
        tails: 0.8,
        flows: 0.15,
        doses: 0.1,
        network: 0.2,
        lines: 15.0,
        forest: 0.1,
        shares: 0.15,
        posteriors: 0.3,
        predictions: 0.2,
        fidelity: 0.7,
    }[make]
    one, other = seen(make("single")[1]), seen(make("single", amount)[1])
    mean, largest = difference(one, other)
    assert mean >= 0.006 or largest >= 0.1


@pytest.mark.parametrize("width", sorted(WIDTHS))
@pytest.mark.parametrize("make", NEW, ids=lambda make: make.__name__)
def test_no_words_collide_or_leave_the_page_at_a_journal_width(make, width):
    _, figure = make(width)
    stamp(figure, "failures: 12 of 5,600 answers (off_menu 12), skipped")
    assert crowded_text(figure) == []
    assert figure.get_figwidth() * 25.4 == pytest.approx(WIDTHS[width])


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_fonts_are_embedded_and_the_table_lies_beside(make, tmp_path):
    table, figure = make("single")
    saved = save(figure, tmp_path, "figure", table, notes=["failures: 12 of 5,600 answers"])
    pdf = saved.pdf.read_bytes()
    assert b"/FontFile2" in pdf
    assert b"/Type3" not in pdf
    assert pl.read_csv(saved.csv).height == table.height
    assert "failures: 12 of 5,600 answers" in [t.get_text() for t in figure.texts]


def test_bands_are_cut_to_the_possible_range_and_the_foot_says_so():
    table, figure = lines("double")
    foot = " ".join(text.get_text() for text in figure.texts).replace("\n", " ")
    assert "bands cut to the possible range, 0 to 100" in foot
    assert table["low"].min() < 0
    drawn = [c.get_paths()[0].vertices[:, 1].min() for c in figure.axes[0].collections]
    assert min(drawn) == 0
    free = trajectories(
        table.with_columns(low=pl.col("estimate")), panel="answerer", within=(0, 100)
    )
    assert "cut" not in " ".join(text.get_text() for text in free.texts)


def test_rows_have_ranges_of_their_own():
    table = pl.concat(
        [lines("double")[0].with_columns(outcome=pl.lit(name)) for name in ("share", "index")]
    )
    figure = trajectories(table, row="outcome", panel="answerer", within={"share": (0, math.inf)})
    foot = " ".join(text.get_text() for text in figure.texts).replace("\n", " ")
    assert "0 and above" in foot
    rows = [
        [c.get_paths()[0].vertices[:, 1].min() for c in a.collections] for a in figure.axes[::2]
    ]
    assert min(rows[0]) == 0
    assert min(rows[1]) < 0


def test_a_map_of_phases_names_what_was_not_simulated():
    _, figure = phase("middle")
    assert any("hatched" in text.get_text() for text in figure.texts)
    table = pl.DataFrame({"a": [1, 1], "b": [2, 2], "estimate": [0.0, 1.0]})
    with pytest.raises(AnalysisError, match="given twice"):
        phase_diagram(table, x="a", y="b")
    with pytest.raises(AnalysisError, match="no defined value"):
        phase_diagram(table.with_columns(estimate=pl.lit(math.nan)), x="a", y="b")


def test_flows_that_do_not_add_up_are_refused():
    table = pl.DataFrame({"before": ["a"], "after": ["a"], "share": [0.5]})
    with pytest.raises(AnalysisError, match="sum to"):
        opinion_flows(table)
    with pytest.raises(AnalysisError, match="lacks the opinions"):
        opinion_flows(table.with_columns(share=1.0), order={"before": ["b"]})


def test_a_network_too_large_to_read_is_refused_with_the_remedy():
    nodes = pl.DataFrame({"node": range(601), "x": 0.0, "y": 0.0, "opinion": 0.5})
    edges = pl.DataFrame({"source": [0], "target": [1]})
    with pytest.raises(AnalysisError, match="snapshot"):
        network_snapshot(nodes, edges)
    with pytest.raises(AnalysisError, match="not in the table"):
        network_snapshot(nodes.head(1), edges)


def test_a_snapshot_shows_a_connected_part_of_the_largest_component_with_all_its_ties():
    ring = [(i, (i + 1) % 900) for i in range(900)] + [(900, 901)]
    shown = snapshot(ring, np.zeros(902), rng=np.random.default_rng(1), most=60)
    there = set(shown.nodes["node"])
    assert len(there) == 60
    assert not there & {900, 901}
    assert shown.edges.height == sum(a in there and b in there for a, b in ring)
    assert shown.note.startswith("60 of 902 nodes")
    again = snapshot(ring, np.zeros(902), rng=np.random.default_rng(1), most=60)
    assert again.nodes.equals(shown.nodes)
    whole = snapshot(ring[:5], np.zeros(6), rng=np.random.default_rng(1))
    assert (whole.nodes.height, whole.note) == (6, "")


def make_fingerprints():
    FOLDER.mkdir(exist_ok=True)
    for make in MAKERS:
        picture = np.round(255 * seen(make("single")[1])).astype(np.uint8)
        image.imsave(FOLDER / f"{make.__name__}.png", picture, metadata={"Software": "Agora"})


if __name__ == "__main__":
    make_fingerprints()
