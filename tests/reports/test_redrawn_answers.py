"""Runs repeated with redrawn answers: the error of a server's draws is in every interval."""

from __future__ import annotations

import re

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

import abm
from abm.analysis.report import (
    compare,
    missing_evidence,
    read_material,
    redraws_made,
    repeat_with_redraws,
    results,
    sections,
)
from abm.analysis.report.document import Document
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
    assert ((mine["high"] - mine["low"]) > (before["high"] - before["low"])).all()
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
    path = repeat_with_redraws(material, 20)
    written = path.stat().st_mtime_ns
    assert repeat_with_redraws(read_material(folder), 5) == path
    assert path.stat().st_mtime_ns == written
    arms = [read_material(f"{folder}:{arm}") for arm in ("low", "high")]
    table = compare(*arms).table.filter(answerer="model", outcome="vote.yes").row(0, named=True)
    effects = results.effects(material, 0.95).filter(answerer="model", outcome="vote.yes")
    assert table["low"] == pytest.approx(effects["low"][0])
    assert "sampled answers" in table["varied"]


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
