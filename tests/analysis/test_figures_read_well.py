"""Figures: no words collide at journal width, fonts are embedded, equal input gives equal files."""

import json
import re
import zlib
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from matplotlib import pyplot

from abm.analysis import figures
from abm.analysis.densities import density_table
from abm.analysis.effects import effects_table, means_table
from abm.analysis.figures import (
    INSTRUMENT_CHECK,
    WIDTHS,
    before_after,
    crowded_text,
    dose_response,
    echo_chambers,
    effect_forest,
    ridgelines,
    save,
    space_time,
    stacked_shares,
    trajectories,
)
from abm.analysis.figures.layout import stamp
from abm.analysis.figures.style import looks
from abm.errors import AnalysisError

ARMS = ("placebo", "ordinary", "like-minded", "opposing")
ANSWERERS = ("embedded model", "truth", "rule twin")
SHIFTS = ("more_extreme", "more_moderate", "flipped", "unchanged")


@pytest.fixture(scope="module")
def runs():
    rng = np.random.default_rng(21)
    rows = []
    for a, arm in enumerate(ARMS):
        for answerer in ANSWERERS:
            for replication in range(5):
                shares = rng.dirichlet([20 + 5 * a, 20, 3, 50])
                rows.append((arm, answerer, replication, *shares))
    return pl.DataFrame(rows, schema=["arm", "answerer", "replication", *SHIFTS], orient="row")


def shares_figure(runs, width):
    table = means_table(runs, outcomes=SHIFTS, by=["arm", "answerer"])
    return stacked_shares(table, panel="answerer", width=width), table


def forest_figure(runs, width):
    table = effects_table(runs, outcomes=SHIFTS[:3], control="placebo", by="answerer")
    figure = effect_forest(
        table,
        series="answerer",
        panel="outcome",
        margin=0.05,
        width=width,
        xlabel="difference to placebo (share of agents)",
    )
    return figure, table


def trajectory_figure(runs, width):
    times = pl.DataFrame({"time": range(0, 31, 3)})
    series = runs.join(times, how="cross").with_columns(
        variance=0.2 + pl.col("more_extreme") * pl.col("time") / 60,
        bimodality=0.4 + pl.col("more_extreme") * pl.col("time") / 100,
    )
    table = means_table(series, outcomes=["variance", "bimodality"], by=["arm", "answerer", "time"])
    figure = trajectories(
        table,
        panel="answerer",
        row="outcome",
        xlabel="time (days)",
        names={"variance": "variance over its maximum"},
        marks={15: "label shown"},
        width=width,
    )
    return figure, table


def before_after_figure(runs, width):
    long = runs.unpivot(SHIFTS, index=["arm", "answerer", "replication"], variable_name="category")
    both = pl.concat(
        [long.with_columns(when=pl.lit(w), value=pl.col("value") ** p) for w, p in TIMES]
    )
    numbers = {name: str(i) for i, name in enumerate(SHIFTS)}
    both = both.with_columns(category=pl.col("category").replace_strict(numbers))
    table = means_table(both, outcomes="value", by=["arm", "answerer", "when", "category"])
    return before_after(table, panel="arm", row="answerer", width=width), table


TIMES = (("before", 1.0), ("after", 1.2))


def ridge_figure(_runs, width):
    x = np.linspace(0, 1, 101)
    rows = [
        (arm, time, o, np.exp(-(((o - 0.5) / (0.1 + 0.01 * time)) ** 2)))
        for arm in ARMS
        for time in range(0, 31, 5)
        for o in x
    ]
    table = pl.DataFrame(rows, schema=["arm", "time", "opinion", "density"], orient="row")
    return ridgelines(table, panel="arm", width=width, ylabel="time (days)"), table


def space_time_figure(_runs, width):
    rng = np.random.default_rng(22)
    parts = [
        pl.DataFrame({"arm": arm, "time": t, "x": rng.beta(1 + t / 5, 3, 50)})
        for arm in ARMS[:3]
        for t in range(0, 31, 3)
    ]
    table = density_table(pl.concat(parts), value="x", by=["arm", "time"], bandwidth=0.05)
    return space_time(table, panel="arm", width=width, xlabel="time (days)"), table


def echo_figure(_runs, width):
    rng = np.random.default_rng(23)
    own, noise = rng.random(300), rng.random(300)
    table = pl.DataFrame(
        {
            "arm": [ARMS[i % 3] for i in range(300)],
            "own": own,
            "neighbours": np.where(np.arange(300) < 3, np.nan, (own + noise) / 2),
        }
    )
    return echo_chambers(table, panel="arm", width=width), table


FIGURES = [
    shares_figure,
    forest_figure,
    trajectory_figure,
    before_after_figure,
    ridge_figure,
    space_time_figure,
    echo_figure,
]


@pytest.mark.parametrize("width", sorted(WIDTHS))
@pytest.mark.parametrize("make", FIGURES)
def test_no_words_collide_or_leave_the_page_at_a_journal_width(make, width, runs):
    figure, _ = make(runs, width)
    stamp(figure, INSTRUMENT_CHECK, "failures: 12 of 5,600 answers (off_menu 12), skipped")
    assert crowded_text(figure) == []
    assert figure.get_figwidth() * 25.4 == pytest.approx(WIDTHS[width])


def test_the_check_for_collisions_sees_one():
    table = pl.DataFrame({"arm": ["a"], "estimate": [0.1], "low": [0.0], "high": [0.2]})
    figure = effect_forest(table, width="single")
    figure.axes[0].text(0.1, 0, "a long remark")
    figure.axes[0].text(0.1, 0, "another one")
    assert crowded_text(figure) == ["'a long remark' and 'another one' overlap"]
    figure.text(0.99, 0.5, "beyond the edge")
    assert "'beyond the edge' leaves the page" in crowded_text(figure)


@pytest.mark.parametrize("make", [shares_figure, trajectory_figure, space_time_figure])
def test_saved_figures_embed_truetype_fonts_and_lie_beside_their_table(make, runs, tmp_path):
    figure, table = make(runs, "double")
    saved = save(figure, tmp_path, "figure", table, {"replications": 5}, label=INSTRUMENT_CHECK)
    pdf = saved.pdf.read_bytes()
    assert b"/FontFile2" in pdf
    assert b"/Type3" not in pdf
    assert saved.png.read_bytes().startswith(b"\x89PNG")
    assert pl.read_csv(saved.csv).height == table.height
    facts = json.loads(saved.json.read_text())
    assert facts["facts"] == {"replications": 5}
    assert facts["label"] == INSTRUMENT_CHECK
    assert INSTRUMENT_CHECK in [text.get_text() for text in figure.texts]


def test_equal_input_gives_equal_files(runs, tmp_path):
    for name in ("one", "two"):
        figure, table = forest_figure(runs, "single")
        save(figure, tmp_path / name, "forest", table, {"n": np.int64(5), "x": float("nan")})
    for ending in ("pdf", "png", "csv", "json"):
        one, two = (tmp_path / n / f"forest.{ending}" for n in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()


def test_the_label_is_in_the_page_itself(runs, tmp_path):
    figure, table = shares_figure(runs, "single")
    plain = save(figure, tmp_path, "plain", table)
    labelled = save(figure, tmp_path, "labelled", table, label="instrument check")
    assert len(page_glyphs(labelled.pdf)) > len(page_glyphs(plain.pdf))


def page_glyphs(path):
    streams = re.findall(rb"stream\r?\n(.*?)endstream", path.read_bytes(), re.S)
    pages = [s for s in map(decompressed, streams) if b"BT" in s and b"ET" in s]
    return re.findall(rb"\bT[jJ]\b", b"".join(pages))


def decompressed(stream):
    try:
        return zlib.decompress(stream)
    except zlib.error:
        return b""


def test_a_figure_says_what_its_intervals_are_and_what_varied(runs):
    figure, _ = forest_figure(runs, "double")
    foot = " ".join(text.get_text() for text in figure.texts).replace("\n", " ")
    assert "95 % interval over 5 paired replications" in foot
    assert "varied: chance, population, network; held fixed: model, prompt" in foot


def test_the_users_own_matplotlib_settings_neither_enter_nor_change(runs):
    before = pyplot.rcParams["font.size"]
    with pyplot.rc_context({"font.size": 31, "pdf.fonttype": 3}):
        figure, _ = forest_figure(runs, "double")
        assert pyplot.rcParams["font.size"] == 31
    assert figure.axes[0].xaxis.get_ticklabels()[0].get_fontsize() < 8
    assert pyplot.rcParams["font.size"] == before


def test_series_differ_in_colour_marker_and_dash_together():
    made = list(looks(range(8)).values())
    for attribute in ("colour", "marker", "dash"):
        assert len({str(getattr(look, attribute)) for look in made}) == 8
    with pytest.raises(AnalysisError, match="panels"):
        looks(range(9))


def test_an_undefined_effect_is_written_and_not_drawn_as_zero():
    table = pl.DataFrame(
        {
            "arm": ["a", "b", "c"],
            "estimate": [0.1, float("nan"), 0.3],
            "low": [0.0, float("nan"), float("nan")],
            "high": [0.2, float("nan"), float("nan")],
        }
    )
    axis = effect_forest(table).axes[0]
    assert [text.get_text() for text in axis.texts] == ["undefined"]
    drawn = [x for line in axis.get_lines() for x in line.get_xdata() if line.get_marker() == "o"]
    assert sorted(drawn) == [0.1, 0.3]


def test_a_dose_without_spread_is_an_open_point_and_the_foot_says_so():
    table = pl.DataFrame(
        {
            "dose": [0.0, 1.0, 2.0],
            "outcome": ["x"] * 3,
            "estimate": [0.0, 0.1, 0.2],
            "low": [0.0, 0.05, float("nan")],
            "high": [0.0, 0.15, float("nan")],
            "level": [0.95] * 3,
            "n": [4] * 3,
        }
    )
    figure = dose_response(table, panel="outcome", own_scales=True)
    open_ones = [line for line in figure.axes[0].get_lines() if line.get_mfc() == "white"]
    assert [x for line in open_ones for x in line.get_xdata()] == [0.0, 2.0]
    foot = " ".join(text.get_text() for text in figure.texts).replace("\n", " ")
    assert "open points: no spread or no interval" in foot
    assert "scale of its own" not in foot  # there is one panel


def test_shares_that_do_not_add_up_are_refused():
    table = pl.DataFrame({"arm": ["a", "a"], "outcome": ["x", "y"], "estimate": [0.5, 0.3]})
    with pytest.raises(AnalysisError, match="sum to 1"):
        stacked_shares(table)


@pytest.mark.parametrize("make", [trajectories, effect_forest, stacked_shares, before_after])
def test_a_table_without_its_columns_is_refused_with_their_names(make):
    with pytest.raises(AnalysisError, match="estimate"):
        make(pl.DataFrame({"arm": ["a"], "colour": [1]}))


def test_a_name_that_is_a_path_is_refused(runs, tmp_path):
    figure, table = shares_figure(runs, "double")
    with pytest.raises(AnalysisError, match="without folder"):
        save(figure, tmp_path, "../figure", table)


def test_nested_columns_survive_as_text(tmp_path):
    table = pl.DataFrame(
        {"arm": ["a"], "estimate": [0.1], "low": [0.0], "high": [0.2], "varied": [["chance"]]}
    )
    saved = save(effect_forest(table), tmp_path, "nested", table)
    assert pl.read_csv(saved.csv)["varied"][0] == '["chance"]'


def test_a_map_with_a_missing_cell_is_refused():
    table = pl.DataFrame({"time": [0, 0, 1], "opinion": [0.2, 0.8, 0.2], "density": [1.0, 1, 2]})
    with pytest.raises(AnalysisError, match="1 cells of the map are missing"):
        space_time(table)


def test_an_echo_chamber_map_counts_every_agent_with_neighbours(runs):
    figure, table = echo_figure(runs, "double")
    drawn = [axis.images[0].get_array() for axis in figure.axes[:3]]
    assert sum(float(np.nansum(cells.filled(np.nan))) for cells in drawn) == 297
    with pytest.raises(AnalysisError, match="low and high"):
        echo_chambers(table, high=0.5)


def test_the_gallery_shows_every_figure():
    page = (Path(__file__).parents[2] / "docs" / "figures_gallery.md").read_text()
    makers = [
        name
        for name in figures.__all__
        if getattr(getattr(figures, name), "__annotations__", {}).get("return") == "Figure"
    ]
    assert len(makers) >= 13
    for name in makers:
        assert f"## `{name}`" in page
        assert (Path(__file__).parents[2] / "docs" / "figures" / f"{name}.png").is_file()


def test_whole_numbers_are_written_without_decimals():
    table = pl.DataFrame({"category": [1.0, 2.0], "when": ["before"] * 2, "estimate": [0.5, 0.5]})
    axis = before_after(table, low=None, high=None).axes[0]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["1", "2"]
