"""Every figure reads well at one column with long names, an undefined group, one group, or many.

No word touches another or leaves the page, no letter is below 6 points, no panel is squeezed flat,
and Matplotlib has nothing to warn of. What cannot be drawn is refused by name.
"""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import polars as pl
import pytest
from matplotlib.text import Text

from abm.analysis import figures
from abm.analysis.figures import crowded_text
from abm.analysis.figures.layout import settled, stamp
from abm.errors import AnalysisError

pytestmark = pytest.mark.filterwarnings("error")
LONG = (
    "no message at all, as it was before the study",
    "two messages a week from people who think alike",
    "counter_attitudinal_messages_every_second_day",
    "label",
)
SCOPE = {"varied": "chance, population, network", "fixed": "parameters, model, language model"}


def table(nan=None, **factors):
    """A row for each combination, with an interval; undefined where the first factor is `nan`."""
    rows = pl.DataFrame(
        [dict(zip(factors, row, strict=True)) for row in product(*factors.values())]
    )
    value = 0.5 + 0.4 * np.sin(np.arange(rows.height))
    if nan is not None:
        value[rows[next(iter(factors))].to_numpy() == nan] = math.nan
    made = rows.with_columns(estimate=pl.Series(value), level=pl.lit(0.95), n=pl.lit(8))
    made = made.with_columns(pl.lit(text).alias(name) for name, text in SCOPE.items())
    return made.with_columns(low=pl.col("estimate") - 0.05, high=pl.col("estimate") + 0.05)


def lines(a, b, c, nan):
    made = table(nan, arm=a, answerer=b, time=[0, 10, 20])
    return figures.trajectories(
        made, panel="answerer", ylabel="share of agents who hold an extreme opinion",
        marks={12: "label shown", 14: "label withdrawn"}, width="single",
    )  # fmt: skip


def rows_of_lines(a, b, c, nan):
    made = table(nan, arm=a, variable=c, time=[0, 10, 20])
    return figures.trajectories(made, row="variable", width="single")


def forest(a, b, c, nan):
    made = table(nan, arm=c, answerer=a, outcome=b)
    return figures.effect_forest(
        made, series="answerer", panel="outcome", xlabel=f"difference to {c[0]}", margin=0.1,
        width="single",
    )  # fmt: skip


def doses(a, b, c, nan):
    made = table(nan, answerer=a, outcome=b, dose=[0, 1, 4])
    return figures.dose_response(
        made, series="answerer", panel="outcome", ylabel="difference to messages per day = 0",
        own_scales=True,
    )  # fmt: skip


def shares(a, b, c, nan):
    made = table(nan, arm=c, answerer=b, outcome=a)
    part = pl.when(pl.col("estimate").is_nan()).then("estimate").otherwise(1 / len(a))
    return figures.stacked_shares(
        made.with_columns(estimate=part), panel="answerer", width="single"
    )


def flows(a, b, c, nan):
    made = table(arm=b, before=a, after=a).with_columns(share=pl.lit(1 / len(a) ** 2))
    ends = ("at the start", "at the end of the run")
    return figures.opinion_flows(made, panel="arm", titles=ends)


def bars(a, b, c, nan):
    made = table(nan, category=a[:3], when=["before", "after"], arm=b[:2])
    return figures.before_after(made, panel="arm", width="single")


def densities(a, b, c, nan, make=figures.ridgelines, along="time"):
    made = table(nan, **{along: c}, arm=b, opinion=[0.1, 0.5, 0.9]).rename({"estimate": "density"})
    return make(made, panel="arm", width="single")


def maps(a, b, c, nan):
    places = list(range(len(c)))
    return densities(a, b, places, nan and 0, make=figures.space_time)


def echoes(a, b, c, nan):
    made = table(nan, arm=b, own=[0.1, 0.4, 0.8]).rename({"estimate": "neighbours"})
    return figures.echo_chambers(made, panel="arm", width="single")


def network(a, b, c, nan):
    made = table(nan, arm=b, node=[0, 1, 2, 3]).rename({"estimate": "opinion"})
    placed = made.with_columns(x=pl.col("node") % 2, y=pl.col("node") // 2)
    edges = pl.DataFrame({"source": [0, 1], "target": [1, 2]})
    return figures.network_snapshot(placed, edges, panel="arm", note="4 of 1,800 nodes")


def phases(a, b, c, nan):
    made = table(nan, arm=b, bound=[0.1, 0.2, 0.3], share=[0.0, 0.1])
    words = {"ylabel": "share of those who never move", "scale_label": "number of major clusters"}
    return figures.phase_diagram(made, x="bound", y="share", panel="arm", levels=(0.5,), **words)


def branches(a, b, c, nan):
    made = table(nan, arm=b, bound=[0.1, 0.2, 0.3]).with_columns(share=pl.lit(0.3))
    made = made.rename({"estimate": "opinion"})
    return figures.bifurcation_diagram(made, x="bound", panel="arm", marks={0.2: "consensus"})


def tails(a, b, c, nan):
    made = table(nan, platform=a, arm=b, kind=["observed", "power law"], size=[1.0, 10.0])
    made = made.with_columns(share=pl.col("estimate") / pl.col("size"))
    return figures.cascade_ccdf(made, series="platform", panel="arm")


def posteriors(a, b, c, nan):
    made = table(nan, parameter=c, kind=["prior", "posterior"], left=[0.0, 0.5])
    made = made.with_columns(right=pl.col("left") + 0.5, density=pl.col("estimate"))
    spans = table(parameter=c)
    return figures.posterior_densities(made, intervals=spans, truths={c[0]: 0.4}, width="single")


def predictions(a, b, c, nan):
    made = table(nan, target=c, index=list(range(12))).with_columns(
        observed=pl.col("estimate"), held_out=pl.lit(False)
    )
    units = {c[0]: "share of respondents who answered so"}
    return figures.predictive_intervals(made, units=units, width="single")


def costs(a, b, c, nan):
    made = table(nan, method=a, cost=[1e3, 1e4]).rename({"estimate": "ess"})
    return figures.cost_against_fidelity(made)


MAKERS = [
    lines, rows_of_lines, forest, doses, shares, flows, bars, densities, maps, echoes, network,
    phases, branches, tails, posteriors, predictions, costs,
]  # fmt: skip


def faults(figure):
    stamp(figure, "instrument check: synthetic answers, no evidence about people")
    found = crowded_text(figure)
    words = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip()]
    found += [f"{t.get_text()!r} is small" for t in words if t.get_fontsize() < 6]
    with settled(figure):
        wide, tall = 25.4 * figure.get_size_inches()
        for axis in figure.axes:
            place = axis.get_position()
            width, height = place.width * wide, place.height * tall
            if max(width, height) < 9 or (
                not hasattr(axis, "_colorbar") and min(width, height) < 8
            ):
                found.append(f"a panel of {width:.0f} x {height:.0f} mm")
    return found


def names(n, word):
    return [f"{word} {i}" for i in range(n)]


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_long_names_and_an_undefined_group(make):
    panels = LONG[:3] if make in (echoes, maps, phases) else LONG[:2]
    assert faults(make(LONG, panels, LONG, LONG[0])) == []


@pytest.mark.parametrize("make", [lines, forest, doses, shares, tails], ids=lambda m: m.__name__)
def test_as_many_groups_as_can_be_told_apart(make):
    assert faults(make(names(8, "series"), names(4, "panel"), names(12, "arm"), None)) == []


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_one_group(make):
    one = ["the only one"]
    assert faults(make(one, one, one, None)) == []


@pytest.mark.parametrize("make", [densities, maps, phases, tails, costs])
def test_a_table_without_any_defined_value_is_refused_by_its_column(make):
    one = ["the only one"]
    with pytest.raises(AnalysisError, match="has no defined value"):
        make(one, one, one, one[0])


def test_categories_without_room_for_their_names_are_refused_with_the_remedy():
    made = table(category=names(8, "answer"), when=["before"], arm=names(4, "arm"))
    with pytest.raises(AnalysisError, match="fewer panels, or a wider figure"):
        figures.before_after(made, panel="arm", width="single")
    numbered = table(category=list(range(20)), when=["before"], arm=names(3, "arm"))
    assert faults(figures.before_after(numbered, panel="arm", width="single")) == []


def test_the_first_of_several_formats_is_laid_out_like_the_others():
    """Titles of panels that keep their proportions find their place only in a second round."""
    figure = network(LONG, LONG[:2], LONG, None)
    with settled(figure):
        first = [axis.get_position().bounds for axis in figure.axes]
    with settled(figure):
        again = [axis.get_position().bounds for axis in figure.axes]
    assert np.allclose(first, again, atol=2e-3)
