"""Audits: what another wording, another order or the rule twin would have said, known by hand."""

from __future__ import annotations

from hashlib import sha256

import pytest
from typer.testing import CliRunner

import abm
from abm.analysis.report import missing_evidence, read_material, sections
from abm.analysis.report.document import Document
from abm.analysis.report.markdown import document_to_markdown
from abm.cli.app import app
from abm.errors import ScenarioError
from abm.studies.audit import audit_granularity, audit_twin, audit_wording


@pytest.fixture(scope="module")
def folder(make):
    """A study of its own, because audits lie in the study's folder."""
    return make("audited", arms={"base": {"tax": 0.2}, "other": {"tax": 0.3}}, replications=1)


@pytest.fixture(scope="module")
def run(folder):
    return folder / "runs" / "base" / "model" / "r000"


def contents(folder):
    return {p.name: sha256(p.read_bytes()).hexdigest() for p in folder.iterdir() if p.is_file()}


def test_a_paraphrase_that_moves_a_tenth_has_total_variation_a_tenth(run):
    audit = audit_wording(run, "paraphrase")
    (row,) = audit.questions
    assert row["variants"] == 1
    assert row["mean_tv"] == pytest.approx(0.1)
    assert row["max_tv"] == pytest.approx(0.1)
    assert row["decisions"] == 36
    assert row["failed"] > 0  # those who earn too much are off the menu, whatever the words


def test_the_order_of_the_list_moves_a_twentieth(run):
    audit = audit_wording(run, "permute")
    (row,) = audit.questions
    assert row["variants"] == 2
    assert row["mean_tv"] == pytest.approx(0.05)


def test_the_rule_twin_is_as_far_as_computed_by_hand(run):
    (row,) = audit_twin(run).questions
    # model 0.5, 0.4, 0.1 against rule 0.4, 0.4, 0.2
    assert row["mean_tv"] == pytest.approx(0.1)


def test_repeating_the_run_shows_what_the_words_do_to_outcomes(run):
    audit = audit_wording(run, "paraphrase", repeat=True)
    (repeated,) = audit.outcomes
    assert repeated["recorded"] == abm.load(run).outcomes()
    assert repeated["changed"]["vote.yes"] <= repeated["recorded"]["vote.yes"]
    assert repeated["changed"]["income"] == repeated["recorded"]["income"]


def test_a_finer_view_is_a_run_with_half_the_step(run):
    audit = audit_granularity(run, "step")
    assert audit.outcomes[0]["variant"] == "step = 5 instead of 10"
    with pytest.raises(ScenarioError, match="no number of the scenario"):
        audit_granularity(run, "stepp")


def test_an_audit_changes_nothing_of_the_run(run):
    before = contents(run)
    audit_wording(run, "paraphrase", repeat=True)
    assert contents(run) == before


def test_what_code_answered_has_no_wording(folder):
    with pytest.raises(ScenarioError, match="no wording"):
        audit_wording(folder / "runs" / "base" / "rule" / "r000", "paraphrase")


def test_the_command_says_who_decided_and_the_report_shows_the_audit(folder, run):
    before = missing_evidence(read_material(folder))
    assert any("No audit" in text for text in before)
    arguments = ["audit", str(run), "--paraphrase", "--twin", "--halve", "step"]
    done = CliRunner().invoke(app, arguments, env={"COLUMNS": "120"})
    assert done.exit_code == 0, done.output
    assert "who decided" in done.output
    assert "off_menu" in done.output
    after = missing_evidence(read_material(folder))
    assert not any("No audit" in text for text in after)
    assert any("model was audited in arm base, not in other" in text for text in after)
    section = sections.audits(read_material(folder))
    text = document_to_markdown(Document("", (), (section,)))
    assert "| paraphrase | base/model/r000 | vote |" in text
    assert "step = 5 instead of 10" in text
    done = CliRunner().invoke(app, ["compare", f"{folder}:base", f"{folder}:other"])
    assert done.exit_code == 0, done.output
    told = " ".join(done.output.split())
    assert "No audit" not in told
    assert told.count("was audited in arm base, not in other") == 1
    assert not any("audit" in text for text in missing_evidence(read_material(f"{folder}:base")))
