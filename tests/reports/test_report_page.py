"""The report of a study: self-contained, right in its numbers, and open about what is missing."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from typer.testing import CliRunner

import abm
from abm.analysis.figures import crowded_text
from abm.analysis.numbers import interval_text
from abm.analysis.report import figure_set, missing_evidence, read_material, write_report
from abm.cli.app import app
from abm.errors import AnalysisError, ScenarioError

SECTIONS = (
    "Question",
    "Limits",
    "Results",
    "Figures",
    "Design",
    "Failures and fallback",
    "Audits",
    "Cost",
    "How to repeat",
)
VOID = {"meta", "img", "br", "link", "hr"}


class Page(HTMLParser):
    """Notes links, headings and whether every tag is closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.links, self.ids, self.images = [], [], set(), 0
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.links += [v for k, v in attrs if k in ("href", "src")]
        self.ids.add(values.get("id"))
        self.images += tag == "img"
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def report(study, tmp_path_factory):
    return write_report([read_material(study)], tmp_path_factory.mktemp("report"))


def test_the_page_is_one_valid_file_without_network(report):
    page = Page(report.html.read_text())
    assert page.open == []
    assert page.images >= 4
    assert all(link.startswith(("data:", "#")) for link in page.links)
    assert {link[1:] for link in page.links if link.startswith("#")} <= page.ids
    assert not re.search(r"https?://|<script|@import|url\(", report.html.read_text())


def test_all_three_versions_have_all_sections(report):
    for path in (report.html, report.markdown, report.latex):
        text = path.read_text()
        assert [name for name in SECTIONS if name not in text] == []


def test_the_effect_in_the_report_is_the_one_computed_by_hand(report, study):
    outcomes = abm.load(study).outcomes().sort("replication")
    low, high = (
        outcomes.filter(arm=arm, answerer="model")["vote.yes"].to_numpy() for arm in ("low", "high")
    )
    gaps = high - low
    half = 4.302653 * gaps.std(ddof=1) / np.sqrt(3)  # t(0.975, 2)
    text = interval_text(gaps.mean(), gaps.mean() - half, gaps.mean() + half)
    row = re.search(r"\| model \| high \| vote.yes \| (.*?) \|", report.markdown.read_text())
    assert row is not None
    assert row.group(1) == text


def test_every_interval_says_what_varied_and_what_was_held_fixed(report):
    text = report.markdown.read_text()
    said = "varied: chance, population, network; held fixed: parameters, model, language model, "
    assert text.count(said + "prompt, shared answers") >= 3


def test_the_share_of_fallback_is_the_counted_one(report, study):
    decisions = abm.load(study).frame("decisions").filter(answerer="model")
    n = decisions["decisions"].sum()
    stood_in = decisions.filter(status="off_menu")["decisions"].sum()
    assert 0 < stood_in < n
    counted = f"{100 * stood_in / n:.2f} %"
    row = re.search(r"\| model \| vote \|.*", report.markdown.read_text())
    assert row is not None
    assert counted in row.group(0)
    assert f"off_menu {stood_in} |" in row.group(0)
    assert any("not answered as assigned" in text for text in report.warnings)


def test_markdown_and_latex_point_to_figures_that_are_there(report):
    folder = report.markdown.parent
    pictures = re.findall(r"\]\((figures/.*?)\)", report.markdown.read_text())
    vectors = re.findall(r"\{(figures/.*?)\}", report.latex.read_text())
    assert pictures
    assert all((folder / name).exists() for name in [*pictures, *vectors])


def test_latex_is_balanced_and_its_texts_are_escaped(report):
    text = report.latex.read_text()
    verbatim = re.sub(r"\\begin\{Verbatim\}.*?\\end\{Verbatim\}", "", text, flags=re.S)
    plain = re.sub(r"\\[{}&%$#_\\]", "", verbatim)
    assert plain.count("{") == plain.count("}")
    begun, ended = (re.findall(rf"\\{word}\{{(\w+)\}}", text) for word in ("begin", "end"))
    assert sorted(begun) == sorted(ended)
    assert not re.search(r"(?<!\\)[%#]", plain.split(r"\begin{document}")[1])


def test_the_numbers_behind_the_page_lie_beside_it(report):
    folder = report.html.parent
    assert (folder / "outcomes.csv").exists()
    for picture in (folder / "figures").glob("*.png"):
        assert picture.with_suffix(".csv").exists()
        assert picture.with_suffix(".json").exists()


def test_the_printed_commands_are_those_that_a_referee_can_give(report, study, monkeypatch):
    text = report.markdown.read_text().split("How to repeat")[1]
    assert "agora-abm==" not in text
    commands = re.search(r"```\n(# in the source.*?)```", text, re.S).group(1)
    (replay,) = re.findall(r"^abm (replay .*?)(?: +#|$)", commands, re.M)
    monkeypatch.chdir(study.parent)
    done = CliRunner().invoke(app, replay.split())
    assert done.exit_code == 0, done.output
    made = abm.load(study).runs()[0].manifest["made_with"]
    if made["git"]["package"]:
        assert f"git checkout {made['git']['package'].removesuffix('+')}\n" in commands
    pins = (report.markdown.parent / "versions.txt").read_text().split()
    assert f"mesa=={made['versions']['mesa']}" in pins
    assert not any(pin.startswith("agora-abm") for pin in pins)


def test_the_figures_suit_the_study_and_no_words_collide(study):
    made = {drawing.name: drawing for drawing in figure_set(read_material(study))}
    assert {"effects", "added_level", "added_effect", "shares_vote", "dose_response"} <= set(made)
    assert "trajectories" in made
    assert {
        name: crowded_text(d.figure) for name, d in made.items() if crowded_text(d.figure)
    } == {}


def test_a_stored_network_is_drawn_one_run_per_arm(make):
    folder = make("tied", arms={"low": {}, "high": {"tax": 0.5}}, replications=1, agents=True)
    ties = abm.load(folder).run("low", "rule").frame("edges")
    assert (ties.height, ties.columns) == (12, ["source", "target"])
    made = {drawing.name: drawing for drawing in figure_set(read_material(folder))}
    assert sorted(made["network"].table["arm"].unique()) == ["high", "low"]
    assert "no average" in made["network"].caption


def test_a_single_run_is_reported_without_intervals_and_says_so(small, tmp_path):
    run = small / "runs" / "low" / "model" / "r000"
    written = write_report([read_material(run)], tmp_path)
    assert any("without replications" in text for text in written.warnings)
    assert "[" not in re.search(r"\| model \| low \|(.*)", written.markdown.read_text()).group(1)


def test_a_language_model_without_its_rule_twin_is_warned_of(study):
    alone = missing_evidence(read_material(f"{study}:model"))
    assert any("without the rule twin" in text for text in alone)
    assert not any("without the rule twin" in t for t in missing_evidence(read_material(study)))


def test_the_error_of_sampled_answers_is_told(make):
    server = {"villager": {"backend": "scripted", "score": "village:drawn", "name": "server"}}
    folder = make("sampled", arms={"low": {}}, answerers={"model": server}, replications=2)
    (text,) = [t for t in missing_evidence(read_material(folder)) if "draws" in t]
    n = abm.load(folder).frame("decisions")["decisions"].sum()
    requests = int(re.search(r"(\d+) distributions", text).group(1))
    assert 0 < requests < n
    # one share of 0.5 in 20 draws of three options, smoothed by half a draw each, over 19; and the
    # mean of as many independent ones as there are requests; two digits are told
    told, share = float(re.search(r"about (0\.\d+)", text).group(1)), 10.5 / 21.5
    assert told == pytest.approx(np.sqrt(share * (1 - share) / 19 / requests), rel=0.015)


def test_fidelity_without_diversity_is_warned_of(make, village):
    folder = make("faithful", model=village.Faithful, answerers={"rule": {}}, replications=1)
    assert any("without diversity" in text for text in missing_evidence(read_material(folder)))


def test_an_agent_class_that_never_acted_is_warned_of(make, village):
    folder = make("sleepy", model=village.Sleepy, answerers={"rule": {}}, replications=1)
    found = missing_evidence(read_material(folder))
    assert any("Sleeper never acted" in text for text in found)


def test_failed_runs_are_named_in_the_report_and_on_every_figure(make, tmp_path):
    arms = {"low": {}, "broken": {"breaks": True}, "high": {"tax": 0.5}}
    folder = make("broken", arms=arms, answerers={"rule": {}}, replications=2)
    written = write_report([read_material(folder)], tmp_path)
    assert "the village burns" in written.markdown.read_text()
    assert any("2 of 6 runs failed" in text for text in written.warnings)
    facts = [path.read_text() for path in (tmp_path / "figures").glob("*.json")]
    assert facts
    assert all("2 of 6 runs failed and are not shown" in text for text in facts)


def test_an_output_of_synthetic_answers_says_so_everywhere(make, tmp_path):
    folder = make("truth", arms={"low": {}}, answerers={"rule": {}}, replications=1)
    path = folder / "runs" / "low" / "rule" / "r000" / "manifest.json"
    label = "instrument check: synthetic answers, no evidence about people"
    path.write_text(path.read_text().replace('"labels": []', f'"labels": ["{label}"]'))
    written = write_report([read_material(folder)], tmp_path)
    for file in (written.html, written.markdown, written.latex):
        assert label in file.read_text().lower()
    assert any(text.lower().startswith(label) for text in written.warnings)


def test_several_studies_make_one_page_and_are_compared(make, tmp_path):
    given = {"arms": {"low": {}}, "answerers": {"rule": {}}, "replications": 2}
    one, other = make("once", **given), make("again", seed=9, **given)
    written = write_report([read_material(one), read_material(other)], tmp_path)
    text = written.markdown.read_text()
    assert "## Comparison" in text
    assert "again against once" in text
    assert (tmp_path / "2_outcomes.csv").exists()


def test_an_unknown_arm_or_control_is_refused_with_the_known_ones(study, tmp_path):
    with pytest.raises(AnalysisError, match="its arms are"):
        read_material(f"{study}:medium")
    with pytest.raises(AnalysisError, match="expected one of the arms"):
        write_report([read_material(study)], tmp_path, control="medium")
    with pytest.raises(ScenarioError, match="no manifest"):
        read_material(tmp_path)


def test_a_folder_of_an_arm_chooses_that_arm(study):
    assert read_material(study / "runs" / "high").arms == ["high"]
    chosen = read_material(study / "runs" / "high" / "rule")
    assert (chosen.arms, chosen.answerers) == (["high"], ["rule"])
