"""Runs repeated with redrawn answers: the error of a server's draws is in every interval."""

from __future__ import annotations

import re

import numpy as np
import polars as pl
import pytest
from scipy import stats
from typer.testing import CliRunner

import abm
from abm.analysis.report import (
    compare,
    figure_set,
    missing_evidence,
    read_material,
    redraws_made,
    repeat_with_redraws,
    results,
    sections,
)
from abm.analysis.report.document import Document
from abm.analysis.report.groups import (
    by_group,
    group_differences,
    group_effects,
    redrawn_groups,
)
from abm.analysis.report.markdown import document_to_markdown
from abm.analysis.sampled import answer_error
from abm.cli.app import app

SERVER = {"villager": {"backend": "scripted", "score": "village:drawn", "name": "server"}}
ARMS = {"low": {"tax": 0.1}, "high": {"tax": 0.5}}


@pytest.fixture(scope="module")
def folder(make):
    return make("drawn", arms=ARMS, answerers={"model": SERVER, "rule": {}}, replications=3)


def test_the_spread_between_redraws_is_the_error_of_the_answers(make):
    # 200 villagers, 40 redraws: the standard deviation is known to about 11 %; three of them.
    scenario = {"low": {"n_villagers": 200, "duration": 1.0}}
    folder = make("many", arms=scenario, answerers={"model": SERVER}, replications=2)
    material = read_material(folder)
    repeat_with_redraws(material, 40)
    row = results.means(read_material(folder), 0.95).filter(outcome="vote.yes").row(0, named=True)
    incomes = [
        np.round(
            abm.chance(m["definition"]["seeds"]["population"], "incomes").integers(10, 90, 200) / 10
        )
        for m in material.finished
    ]
    _, counts = np.unique(np.concatenate(incomes), return_counts=True)
    known = answer_error(np.tile([10, 5, 5], (counts.size, 1)), counts / counts.sum())
    assert row["answer_error"] == pytest.approx(known, rel=0.35)
    assert row["varied"].endswith("sampled answers")
    assert "shared answers" not in row["fixed"]


def test_a_report_repeats_the_runs_and_says_so(folder):
    model = pl.col("answerer") == "model"
    votes = pl.col("outcome") != "income"  # which is what it is, whatever anybody answers
    before = results.effects(read_material(folder), 0.95).filter(model & votes)
    assert redraws_made([read_material(folder)]) == []
    material = read_material(folder)
    after = results.effects(material, 0.95)
    mine = after.filter(model & votes)
    assert mine["estimate"].to_list() == before["estimate"].to_list()
    assert ((mine["low"] <= before["low"]) & (mine["high"] >= before["high"])).all()
    assert ((mine["high"] - mine["low"]) > (before["high"] - before["low"])).any()
    twin = after.filter(answerer="rule")  # its answers are code
    assert set(twin["answer_error"]) == {0.0}
    parts = (sections.limits(material), sections.main_results(material, 0.95))
    text = document_to_markdown(Document("", (), parts))
    assert "repeated with 20 redraws" in text
    scope = "network, sampled answers where there are any; held fixed: parameters, model, language "
    assert text.count(f"{scope}model, prompt.") >= 2
    assert not any("no interval here holds" in said for said in missing_evidence(material))
    added = results.added(material, 0.95).filter(votes, quantity="level")
    assert set(added["varied"]) == {"chance, population, network, sampled answers"}


def test_redraws_are_shared_by_arms_and_made_once(folder):
    material = read_material(folder)
    place = repeat_with_redraws(material, 20)
    written = {path.name: path.stat().st_mtime_ns for path in place.iterdir()}
    assert set(written) == {"outcomes.parquet", "series.parquet", "groups.parquet"}
    assert repeat_with_redraws(read_material(folder), 5) == place
    assert {path.name: path.stat().st_mtime_ns for path in place.iterdir()} == written
    arms = [read_material(f"{folder}:{arm}") for arm in ("low", "high")]
    table = compare(*arms).table.filter(answerer="model", outcome="vote.yes").row(0, named=True)
    effects = results.effects(material, 0.95).filter(answerer="model", outcome="vote.yes")
    assert table["low"] == pytest.approx(effects["low"][0])
    assert "sampled answers" in table["varied"]


def test_a_trajectory_ends_with_the_interval_of_the_outcome(folder):
    # The last value of the series is the outcome, so its error must be the same, redraw by redraw.
    material = read_material(folder)
    repeat_with_redraws(material, 20)
    (drawing,) = [d for d in figure_set(material) if d.name == "trajectories"]
    last = drawing.table.filter(variable="yes", time=drawing.table["time"].max(), answerer="model")
    means = results.means(material, 0.95).filter(outcome="vote.yes", answerer="model")
    assert last["arm"].to_list() == means["arm"].to_list()
    assert last["answer_error"].to_list() == pytest.approx(means["answer_error"].to_list())
    assert last["estimate"].to_list() == pytest.approx(means["estimate"].to_list())
    assert last["high"].to_list() == pytest.approx(means["high"].to_list())
    assert set(drawing.table.filter(answerer="rule")["answer_error"]) == {0.0}
    feet = " ".join(text.get_text() for text in drawing.figure.texts).replace("\n", " ")
    assert "sampled answers where there are any; held fixed: parameters, model," in feet
    assert "Without the error" not in drawing.caption


def test_effects_by_group_hold_the_error_of_the_answers(make, village):
    folder = make(
        "banks", model=village.Supported, arms=ARMS, answerers={"model": SERVER, "rule": {}},
        replications=3, agents=True,
    )  # fmt: skip
    material = read_material(folder)
    means = by_group(material)
    before = group_effects(material, means, 0.95)
    gaps_before = group_differences(material, means, 0.95)
    repeat_with_redraws(material, 20)
    again = redrawn_groups(material, means)
    assert again.height == 20 * means.height
    for old, new in (
        (before, group_effects(material, means, 0.95)),
        (gaps_before, group_differences(material, means, 0.95)),
    ):
        mine, was = (table.filter(answerer="model") for table in (new, old))
        assert (mine["answer_error"] > 0).all()
        assert ((mine["low"] <= was["low"]) & (mine["high"] >= was["high"])).all()
        assert (mine["high"] - mine["low"]).sum() > (was["high"] - was["low"]).sum()
        assert mine["estimate"].to_list() == was["estimate"].to_list()
        assert set(mine["varied"]) == {"chance, population, network, sampled answers"}
        assert set(new.filter(answerer="rule")["answer_error"]) == {0.0}
    # By hand for the north: the mean of all redraws of its runs, arm against arm.
    north = again.filter(answerer="model", group="north")
    wide = north.pivot(on="arm", index=["redraw", "replication"], values="value")
    gap = wide.group_by("redraw").agg((pl.col("high") - pl.col("low")).mean())["high"]
    row = group_effects(material, means, 0.95).filter(answerer="model", group="north")
    assert row["answer_error"][0] == pytest.approx(gap.std())
    # Its error is that of the whole table: both sides, and degrees of 20 redraws and all the draws.
    old = before.filter(answerer="model", group="north").row(0, named=True)
    pairs = stats.t.ppf(0.975, 2)
    mine = ((old["high"] - old["low"]) / 2 / pairs) ** 2
    degrees = 1 / (1 / 8 + 1 / results.answer_degrees(material))
    for side, sign in (("low", -1), ("high", 1)):
        theirs = 2 * np.mean(np.maximum(sign * (gap.to_numpy() - old["estimate"]), 0) ** 2)
        joint = (mine + theirs) ** 2 / (mine**2 / 2 + theirs**2 / degrees)
        half = max(pairs * mine**0.5, stats.t.ppf(0.975, joint) * (mine + theirs) ** 0.5)
        assert row[side][0] == pytest.approx(old["estimate"] + sign * half)


def test_a_request_that_was_never_recorded_is_answered_as_the_most_similar_one(folder):
    assert read_material(folder).unrecorded == 0.0  # what villagers are asked ignores their votes
    from abm.analysis.report.repeated import _distance

    known = [{"tax": 0.1, "who": "a"}, {"tax": 0.3, "who": "a"}, {"tax": 0.2, "who": "b"}]
    wanted = {"tax": 0.25, "who": "a"}
    assert min(known, key=lambda fields: _distance(wanted, fields)) == known[1]


def test_zero_redraws_leave_the_warning(make):
    folder = make("plain", arms=ARMS, answerers={"model": SERVER}, replications=2)
    command = ["compare", f"{folder}:low", f"{folder}:high", "--redraws", "0"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert re.search(r"no\s+interval\s+here\s+holds", done.output)
