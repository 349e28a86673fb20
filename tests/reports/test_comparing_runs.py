"""Two sets of runs side by side: paired where they share seeds, and honest where they do not."""

from __future__ import annotations

import pytest
from scipy import stats
from typer.testing import CliRunner

import abm
from abm.analysis.report import compare, read_material
from abm.cli.app import app
from abm.errors import AnalysisError

ARMS = {"low": {"tax": 0.1}, "high": {"tax": 0.5}}
MODEL = {"villager": {"backend": "scripted", "score": "village:score", "name": "village"}}


def rows(comparison, **where):
    return comparison.table.filter(**where).to_dicts()


def test_two_arms_are_paired_by_their_seeds(study):
    made = compare(read_material(f"{study}:low"), read_material(f"{study}:high"))
    outcomes = abm.load(study).outcomes().filter(answerer="rule").sort("replication")
    low, high = (outcomes.filter(arm=arm)["vote.yes"].to_numpy() for arm in ("low", "high"))
    row = rows(made, answerer="rule", outcome="vote.yes")[0]
    assert made.paired
    assert row["n"] == 3
    assert row["estimate"] == pytest.approx((high - low).mean())
    assert ("tax", "0.1", "0.5") in made.differs


def test_the_rule_that_reads_no_tax_gives_exactly_the_same_in_both_arms(study):
    made = compare(
        read_material(f"{study}:low"), read_material(f"{study}:high"), margins={"": 0.01}
    )
    assert all(r["estimate"] == 0 and r["equivalent"] for r in rows(made, answerer="rule"))


def test_two_answerers_are_compared_within_arms(study):
    made = compare(read_material(f"{study}:rule"), read_material(f"{study}:model"))
    assert made.cells == ("arm",)
    assert "shared answers" not in made.table["fixed"][0]


def test_studies_with_other_seeds_are_compared_as_independent_ones(study, make):
    other = make("other", seed=12, replications=4)
    made = compare(read_material(f"{study}:low"), read_material(f"{other}:low"))
    a, b = (
        abm.load(f).outcomes().filter(arm="low", answerer="model")["vote.no"].to_numpy()
        for f in (study, other)
    )
    row = rows(made, answerer="model", outcome="vote.no")[0]
    welch = stats.ttest_ind(b, a, equal_var=False)
    assert not made.paired
    assert row["p_value"] == pytest.approx(welch.pvalue)
    assert any("Welch" in note for note in made.notes)


def test_two_single_runs_have_a_difference_and_no_interval(study):
    first, second = (
        read_material(study / "runs" / arm / "model" / "r001") for arm in ("low", "high")
    )
    row = rows(compare(first, second), outcome="vote.yes")[0]
    assert row["low"] != row["low"]
    assert row["reason"] == "one pair: no interval"


def test_runs_are_not_compared_with_themselves(study):
    with pytest.raises(AnalysisError, match="runs in common"):
        compare(read_material(study), read_material(f"{study}:low"))


def test_many_outcomes_are_corrected_for(study):
    made = compare(read_material(f"{study}:low"), read_material(f"{study}:high"))
    known = made.table.filter(made.table["p_value"].is_finite())
    assert (known["p_adjusted"] >= known["p_value"]).all()


@pytest.mark.parametrize("ending", ["csv", "md", "tex"])
def test_the_command_prints_and_writes_the_table(study, tmp_path, ending):
    out = tmp_path / f"table.{ending}"
    arguments = ["compare", f"{study}:low", f"{study}:high", "--margin", "0.5", "--out", str(out)]
    done = CliRunner().invoke(app, arguments, env={"COLUMNS": "80"})
    assert done.exit_code == 0, done.output
    assert "paired by seeds" in done.output
    assert "Correlation achieved" in done.output
    votes = [line for line in done.output.splitlines() if "(no spread)" in line]
    assert votes
    assert all(line.rstrip().endswith("no spread") for line in votes)  # the rule reads no tax
    assert max(map(len, done.output.splitlines())) <= 80 + len(str(out))
    assert "vote" in out.read_text()


def test_the_commands_figures_and_report_say_where_they_wrote(make, tmp_path):
    study = make("pair", arms=ARMS, answerers={"model": MODEL}, replications=2)
    drawn = CliRunner().invoke(app, ["figures", str(study), "--out", str(tmp_path / "f")])
    assert drawn.exit_code == 0, drawn.output
    assert (tmp_path / "f" / "effects.pdf").exists()
    assert "on every figure: model:" in drawn.output
    made = CliRunner().invoke(app, ["report", str(study), "--out", str(tmp_path / "r")])
    assert made.exit_code == 0, made.output
    assert (tmp_path / "r" / "report.html").exists()
    assert "No audit of the prompt's wording" in " ".join(made.output.split())
