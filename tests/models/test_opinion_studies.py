"""The studies of the family: they load, run, and report what the runs gave."""

from __future__ import annotations

import io
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from rich.console import Console

import abm
from abm.llm.embedded import language
from abm.models.opinion_network import OpinionNetwork, OpinionScenario
from abm.models.opinion_network.report import report
from abm.models.opinion_network.results import differences, per_run
from abm.models.opinion_network.twin import TWIN

STUDIES = Path(str(files("abm.models.opinion_network"))) / "studies"
TINY = """
[study]
name = "tiny"
model = "opinion_network"
seed = 3
replications = 3

[scenario]
duration = 4.0
n_citizens = 80
n_asked = 6
mean_degree = 8.0

[arms.none]
exposure = "none"
[arms.ordinary]
exposure = "ordinary"
[arms.opposing]
exposure = "opposing"

[answerers.truth]
citizen = "truth"
[answerers.rule]
citizen = "rule"
"""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "tiny.toml").write_text(TINY)
    return abm.Study.from_toml(folder / "tiny.toml").run(folder / "runs")


@pytest.mark.parametrize("name", ["exposure_arms", "preset_small", "preset_paper"])
def test_every_study_of_the_family_can_run(name):
    study = abm.Study.from_toml(STUDIES / f"{name}.toml")
    assert list(study.runs())
    assert tuple(study.varies) == ("chance", "population", "network")


def test_the_main_job_is_as_large_as_promised():
    study = abm.Study.from_toml(STUDIES / "exposure_arms.toml")
    runs = list(study.runs())
    assert len(runs) == 4 * 3 * study.replications
    assert study.replications >= 10
    scenario = runs[0].scenario
    assert (scenario.n_citizens, scenario.n_asked, scenario.duration) == (2000, 40, 30.0)
    assert {run.scenario.exposure for run in runs} == {
        "none",
        "ordinary",
        "like_minded",
        "opposing",
    }
    assert list(study.answerers) == ["embedded", "truth", "rule"]


def test_the_small_preset_runs_without_any_answerer(tmp_path):
    study = abm.Study.from_toml(STUDIES / "preset_small.toml")
    done = replace(study, replications=1).run(tmp_path)
    outcomes = done.outcomes()
    unchanged = dict(outcomes.select("arm", "all.unchanged").iter_rows())
    assert unchanged["none"] == 1.0
    assert max(unchanged[arm] for arm in ("ordinary", "like_minded", "opposing")) < 1.0
    assert done.manifest["flags"] == []


def test_a_report_shows_effects_by_party(tiny, tmp_path):
    from abm.analysis.report import read_material
    from abm.analysis.report.groups import by_group
    from abm.analysis.report.sections import heterogeneity

    study = replace(abm.Study.from_toml(tiny.folder / "study.toml"), replications=2, agents=True)
    folder = study.run(tmp_path).folder
    means = by_group(read_material(folder)).filter(factor="side")
    assert set(means["group"]) == {"Democrat", "Independent", "Republican"}
    assert set(means["measure"]) == {"more_extreme", "more_moderate", "flipped"}
    (section,) = heterogeneity(read_material(folder), 0.95)
    told = section.blocks[1].table
    assert set(told["factor"]) == {"party", "citizens"}
    assert {"asked citizens", "rule citizens"} <= set(told["group"])  # not the rule twin
    run = folder / "runs" / "opposing" / "rule" / "r001"
    people = pl.read_parquet(run / "agents.parquet").filter(pl.col("party") >= 4)
    moved = ((people["final"] - 4).abs() < (people["baseline"] - 4).abs()) & (
        (people["final"] - 4) * (people["baseline"] - 4) >= 0
    )
    shown = means.filter(
        arm="opposing", answerer="rule", replication=1, group="Republican", measure="more_moderate"
    )
    assert shown["value"].to_list() == [pytest.approx(moved.mean())]


def test_differences_are_taken_within_replications(tiny):
    """By hand for one cell: mean and t interval of the paired differences, 3 replications."""
    runs = per_run(tiny)
    table = differences(runs, ["chance"])
    row = table.filter(
        (pl.col("answerer") == "truth")
        & (pl.col("group") == "asked")
        & (pl.col("arm") == "opposing")
        & (pl.col("control") == "ordinary")
        & (pl.col("outcome") == "more_moderate")
    ).row(0, named=True)
    outcomes = tiny.outcomes().filter(pl.col("answerer") == "truth").sort("replication")
    a, b = (
        outcomes.filter(pl.col("arm") == arm)["asked.more_moderate"].to_numpy()
        for arm in ("opposing", "ordinary")
    )
    gaps = a - b
    half = 4.302652729749464 * gaps.std(ddof=1) / np.sqrt(3)
    assert row["estimate"] == pytest.approx(gaps.mean())
    assert row["high"] - row["estimate"] == pytest.approx(half)
    assert row["n"] == 3


@pytest.mark.slow
def test_the_report_prints_labels_tables_and_counts_and_draws_figures(tiny):
    out = io.StringIO()
    report(tiny.folder, Console(file=out, width=80))
    text = out.getvalue()
    for expected in (
        "INSTRUMENT CHECK: SYNTHETIC ANSWERS, NO EVIDENCE ABOUT PEOPLE",
        "Changed since the baseline, citizens who are asked",
        "Difference to placebo, citizens who are asked",
        "Difference to ordinary, all citizens",
        "Difference to answerer 'truth'",
        "Correlation of paired runs",
        "chance, population, network",
        "What was asked",
    ):
        assert expected in text
    outcomes = tiny.outcomes().filter(
        (pl.col("answerer") == "rule") & (pl.col("arm") == "opposing")
    )
    assert f"{100 * outcomes['asked.unchanged'].mean():.1f}" in text
    figures = tiny.folder / "figures"
    for group in ("asked", "all"):
        for name in ("shares", "trajectories", "differences_to_ordinary"):
            for ending in ("pdf", "png", "csv", "json"):
                assert (figures / f"{name}_{group}.{ending}").stat().st_size > 0
    saved = pl.read_csv(figures / "table_shares.csv")
    sums = saved.group_by("answerer", "group", "arm").agg(pl.col("estimate").sum())["estimate"]
    assert sums.to_numpy() == pytest.approx(np.ones(sums.len()))


class Listening:
    """The twin, which also checks that whatever it is asked is in the language."""

    recorded = False
    fingerprint = "listening"

    def __init__(self):
        self.n, self.outside = 0, []

    def answer(self, requests):
        self.n += len(requests)
        self.outside += [r.prompt.text for r in requests if language.parse(r.prompt.text) is None]
        return TWIN.answer(requests)


@pytest.mark.parametrize("exposure", ["none", "ordinary", "like_minded", "opposing"])
@pytest.mark.parametrize("write_with_feed", [False, True])
def test_whatever_is_asked_is_in_the_embedded_language(exposure, write_with_feed):
    scenario = OpinionScenario(
        n_citizens=100,
        n_asked=20,
        duration=3.0,
        exposure=exposure,
        write_with_feed=write_with_feed,
        writing_probability=0.5,
        blue_budget=3,
        persuader_reach=0.5,
    )
    listener = Listening()
    model = OpinionNetwork(scenario, seeds=abm.Seeds(4, 4, 4), policies={"citizen": listener})
    model.run_until(3.0)
    assert listener.n > 80
    assert listener.outside == []


@pytest.mark.llama
def test_the_embedded_model_answers_the_family():
    """Seed 5. Opinions never fail; a text that is no post of the language is skipped."""
    pytest.importorskip("llama_cpp")
    from abm.llm import embedded
    from abm.policies import FailureHandling

    failures = FailureHandling("abort", {"invalid": "skip", "truncated": "skip"})
    scenario = OpinionScenario(n_citizens=60, n_asked=4, duration=2.0, mean_degree=8.0)
    model = OpinionNetwork(
        scenario,
        seeds=abm.Seeds(5, 5, 5),
        policies={"citizen": embedded.policy(n_threads=1)},
        failures=failures,
    )
    model.run_until(2.0)
    frame = model.decisions.frame().filter(pl.col("question") == "opinion")
    assert frame["decisions"].sum() == 4 * 3
    assert set(frame["status"]) == {"ok"}


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("I strongly support gun control because it saves lives.", "ok"),
        ("I strongly support free buses because it helps the poor.", "invalid"),
        ("Buy my book!", "invalid"),
    ],
)
def test_a_post_that_nobody_could_read_under_the_topic_is_no_post(text, status):
    from abm.llm import Scripted
    from abm.llm.embedded.instrument import EmbeddedBackend
    from abm.models.opinion_network.questions import POST, perceive_post
    from abm.policies import LLMPolicy

    scenario = OpinionScenario(n_citizens=20, n_asked=1, mean_degree=4.0)
    (citizen,) = OpinionNetwork(scenario, seeds=abm.Seeds(1, 1, 1)).citizens
    request = POST.request(perceive_post(citizen.view()), seed=1)
    backend = EmbeddedBackend(Scripted(generate=lambda prompt, constraint, seed: text))
    assert LLMPolicy(backend).answer([request])[0].status == status
