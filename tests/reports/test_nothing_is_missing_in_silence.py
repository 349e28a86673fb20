"""What is not there is named: tables, runs, units, pairs, outcomes, rows that a page leaves out."""

from __future__ import annotations

import shutil

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from abm.analysis.figures.inspect import crowded_text, text_boxes
from abm.analysis.report import (
    compare,
    figure_set,
    missing_evidence,
    read_material,
    sections,
    write_report,
)
from abm.analysis.report.document import Document
from abm.analysis.report.drawing import figure_notes
from abm.analysis.report.markdown import document_to_markdown
from abm.analysis.report.moved import moved
from abm.analysis.report.parts import Parts
from abm.cli.app import app
from abm.cli.errors import REFUSED, guarded
from abm.errors import AnalysisError, ScenarioError
from abm.studies.reading import load_run

ARMS = {"low": {"tax": 0.1}, "high": {"tax": 0.5}}


@pytest.fixture
def copied(study, tmp_path):
    """A copy of the study to take something away from."""
    return shutil.copytree(study, tmp_path / "village")


@pytest.mark.parametrize("file", ["series.parquet", "decisions.parquet", "ledger.sqlite"])
def test_a_run_without_a_table_of_its_manifest_is_refused_by_name(copied, file):
    (copied / "runs" / "low" / "model" / "r001" / file).unlink()
    with pytest.raises(AnalysisError, match=rf"low/model/r001 lacks {file}"):
        read_material(copied)
    assert read_material(f"{copied}:high").arms == ["high"]  # whose runs are whole


@pytest.mark.parametrize("command", ["report", "figures"])
def test_the_commands_say_what_is_lacking_and_write_nothing(copied, tmp_path, capsys, command):
    (copied / "runs" / "low" / "model" / "r001" / "series.parquet").unlink()
    assert guarded([command, str(copied), "--out", str(tmp_path / "out")]) == REFUSED
    assert "AnalysisError" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_audit_does_not_take_a_lost_table_for_nothing_asked(copied):
    run = copied / "runs" / "low" / "model" / "r001"
    (run / "decisions.parquet").unlink()
    with pytest.raises(ScenarioError, match="has no table 'decisions'"):
        load_run(run).decision_counts()


def test_runs_that_are_not_there_are_counted_anew_and_said_on_every_figure(copied):
    assert read_material(copied).missing == 0
    shutil.rmtree(copied / "runs" / "low" / "model" / "r001")
    shutil.rmtree(copied / "runs" / "high" / "rule" / "r002")
    material = read_material(copied)
    assert "2 of 18 planned runs are missing" in figure_notes(material)
    assert any(t.startswith("2 of 18 planned runs are miss") for t in missing_evidence(material))
    assert read_material(f"{copied}:low/model").missing == 1
    assert read_material(f"{copied}:middle").missing == 0


def test_runs_without_a_partner_are_named_beneath_the_table(copied):
    shutil.rmtree(copied / "runs" / "low" / "model" / "r001")
    section = sections.main_results(read_material(copied), 0.95)
    text = document_to_markdown(Document("", (), (section,)))
    assert "- model, high: 1 runs without a partner left out." in text
    assert "Means over replications (2 to 3)" in text


@pytest.fixture(scope="module")
def measured(make, village):
    """A village with units, many groups, an outcome that is undefined in two runs of one arm."""

    class Measured(village.Divided):
        def agents_frame(self):
            streets = [f"street {i % 6}" for i in range(self.scenario.n_villagers)]
            named = pl.Series("street", streets)
            return super().agents_frame().with_columns(named, initial=pl.lit(0.5))

        def outcomes(self):
            found = super().outcomes()
            lost = self.scenario.tax > 0.4 and self.chance("lost").random() < 0.5
            return {**found, "mood": float("nan") if lost else 1.0 + self.chance("mood").random()}

        @classmethod
        def report_parts(cls, study):
            return Parts(outcomes=("vote.yes", "mood"), units={"vote.yes": "share of villagers"})

    village.Measured = Measured
    Measured.__module__, Measured.__qualname__ = "village", "Measured"
    arms = {f"t{i}": {"tax": 0.1 * i} for i in range(1, 6)}
    return make(
        "measured", model=Measured, arms=arms, answerers={"rule": {}}, agents=True, replications=4
    )


@pytest.fixture(scope="module")
def drawn(measured):
    """The figures of that village, by name."""
    return {drawing.name: drawing for drawing in figure_set(read_material(measured))}


@pytest.fixture(scope="module")
def page(measured, tmp_path_factory):
    """The report of that village: its folder, and its text."""
    folder = tmp_path_factory.mktemp("page")
    return folder, write_report([read_material(measured)], folder).markdown.read_text()


def test_figures_and_tables_carry_units_or_say_that_there_are_none(drawn, page):
    for name in ("effects", "dose_response"):
        words = " ".join(text.replace("\n", " ") for text, _ in text_boxes(drawn[name].figure))
        assert "vote.yes (share of villagers)" in words
        assert "The model declares no unit of mood." in drawn[name].caption
    words = [text for text, _ in text_boxes(drawn["trajectories"].figure)]
    assert "time (days)" in words
    assert any(t.replace("\n", " ") == "yes (share of villagers)" for t in words)
    _, text = page
    assert "| answerer | arm | vote.yes (share of villagers) | mood |" in text
    assert "| rule | t2 | vote.yes (share of villagers) |" in text


def test_opinions_that_are_kept_are_drawn_as_flows_and_beside_their_neighbours(drawn):
    """Half the village lives in the south, where opinions rise by the tax, from 0.5 to about 1."""
    flows = drawn["opinion_flows"].table
    assert flows.filter(arm="t1").select("before", "after", "share").rows() == [
        ("between", "between", 1.0)
    ]
    rows = flows.filter(arm="t4").sort("after").select("before", "after", "share").rows()
    assert [(row[0], row[1].split()[0], row[2]) for row in rows] == [
        ("between", "above", 0.5),
        ("between", "between", 0.5),
    ]
    assert drawn["opinion_flows"].caption.endswith("The first 4 of 5 arms.")
    map_ = drawn["echo_chambers"].table.filter(arm="t4", replication=0)
    north, south = map_["own"].to_numpy()[0::2], map_["own"].to_numpy()[1::2]
    around = (south + np.roll(south, 1)) / 2  # a ring: neighbours of the north live in the south
    assert map_["neighbours"].to_numpy()[0::2] == pytest.approx(around)
    assert north.mean() < 0.6 < south.mean()
    assert {name: found for name, d in drawn.items() if (found := crowded_text(d.figure))} == {}


def test_an_undefined_outcome_is_left_out_and_said(measured, page):
    _, text = page
    frame = read_material(measured).outcomes.filter(arm="t5")
    n = int(frame["mood"].is_nan().sum())
    assert 0 < n < 4
    pairs = f"{n} undefined pair{'s' * (n > 1)} left out"
    assert f"- rule, t5 (mood): {'one pair: no interval; ' * (n == 3)}{pairs}." in text


def test_a_long_table_by_group_is_cut_on_the_page_and_whole_beside_it(page):
    folder, text = page
    whole = pl.read_csv(folder / "effects_by_group.csv")
    assert whole.height == 32  # four arms against the first, in six streets and on two banks
    assert "The 24 of 32 rows with the smallest p; all: effects_by_group.csv." in text
    page = text.split("### Heterogeneity by group")[1].split("\n\n")[2]
    assert page.count("\n| rule |") == 24
    assert (folder / "differences_by_group.csv").exists()


def test_another_control_is_that_of_tables_and_figures_alike(make, tmp_path):
    folder = make("controlled", arms=ARMS, answerers={"rule": {}}, replications=2)
    written = write_report([read_material(folder)], tmp_path, control="high")
    drawn = pl.read_csv(tmp_path / "figures" / "effects.csv")
    assert drawn["control"].unique().to_list() == ["high"]
    assert "### Effects against high" in written.markdown.read_text()


def test_what_moves_the_outcomes_divides_their_variance(study, measured):
    """The rule votes alike whatever the tax, so arms move nothing and seeds everything."""
    (section,) = moved(read_material(f"{study}:rule"))
    text = document_to_markdown(Document("", (), (section,)))
    assert "| outcome | replications | arms | seeds | arms × seeds |" in text
    assert "| vote.yes | 3 | 0 % | 100 % | 0 % |" in text
    frame = read_material(measured).outcomes
    complete = frame.filter(pl.col("mood").is_finite())
    whole = complete.filter(pl.len().over("replication") == 5)["replication"].n_unique()
    (section,) = moved(read_material(measured))
    shown = {row["outcome"]: row for row in section.blocks[1].table.to_dicts()}
    assert shown["mood"]["replications"] == whole
    assert moved(read_material(f"{study}:low/rule")) == []


def test_a_study_is_audited_arm_by_arm(make):
    folder = make("audited_whole", arms=ARMS, replications=2)
    done = CliRunner().invoke(
        app, ["audit", str(folder), "--paraphrase", "--halve", "step"], env={"COLUMNS": "140"}
    )
    assert done.exit_code == 0, done.output
    assert "who decided (2 runs per arm and answerer)" in done.output
    counts = [load_run(f).decision_counts() for f in sorted(folder.glob("runs/low/model/r*"))]
    decisions = sum(int(c["decisions"].sum()) for c in counts)
    rows = [line.split() for line in done.output.splitlines()]
    assert ["low/model", "vote", str(decisions)] in [row[:3] for row in rows]
    moved_by = [row for row in rows if row[1:3] == ["paraphrase", "vote"]]
    assert [row[0] for row in moved_by] == ["low/model", "high/model"]
    assert all(np.isclose(float(row[6]), 0.1, atol=5e-4) for row in moved_by)
    assert "low/model, granularity: step = 5 instead of 10" in done.output
    assert "low/rule: answered by code, which reads no words: not audited" in done.output
    assert len(list((folder / "audits").glob("*-paraphrase.json"))) == 2


def test_p_is_corrected_for_the_comparisons_that_have_one(study):
    single = [str(study / "runs" / arm / "model" / "r000") for arm in ARMS]
    done = CliRunner().invoke(app, ["compare", *single])
    assert "No p is defined." in done.output
    with pytest.raises(AnalysisError, match="finite numbers > 0"):
        compare(
            read_material(f"{study}:low"),
            read_material(f"{study}:high"),
            margins={"": float("inf")},
        )
