"""A run folder replays alone, without a model; a fork is its run until the change acts."""

from __future__ import annotations

import json
import shutil
import sys

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import abm
from abm.errors import ReplayMiss, ScenarioError
from abm.ledger import Ledger
from abm.studies import ReplayDiffers, Study, replay
from abm.studies.single import fork


@pytest.fixture
def copied(toy, town, tmp_path, monkeypatch):
    """A run folder of a language model, copied away; study and llama-cpp-python are gone."""
    done = town(answerers={"p": toy.Parrot()}).run(tmp_path / "out")
    copy = shutil.copytree(done.run("open", "p", 1).folder, tmp_path / "copy")
    shutil.rmtree(tmp_path / "out")
    monkeypatch.setitem(sys.modules, "llama_cpp", None)
    return copy


def test_a_copied_run_folder_replays_to_the_bit_without_model_and_study(copied):
    before = {file.name: file.read_bytes() for file in copied.iterdir()}
    result = replay(copied)
    stored = abm.load(copied)
    assert_frame_equal(result.series, stored.frame("series"), check_exact=True)
    assert_frame_equal(result.agents, stored.frame("agents"), check_exact=True)
    assert result.outcomes["yes"] == stored.outcomes()["yes"]
    assert {file.name: file.read_bytes() for file in copied.iterdir()} == before


def test_a_replay_that_lacks_an_answer_names_the_request(copied):
    path = copied / "ledger.sqlite"
    with Ledger(path, read_only=True) as ledger:
        keep = [entry for _, entry in ledger.entries(question="ban")]
    path.unlink()
    with Ledger(path) as ledger:
        ledger.put_batch(keep)
    with pytest.raises(ReplayMiss, match=r"'post' version 1 with fields .*age"):
        replay(copied)


def test_a_replay_that_differs_names_the_first_place(copied):
    stored = pl.read_parquet(copied / "series.parquet")
    changed = stored.with_columns(
        yes=pl.when(pl.col("time") == 3.0).then(pl.col("yes") + 1e-16).otherwise(pl.col("yes"))
    )
    assert not changed.equals(stored)
    changed.write_parquet(copied / "series.parquet")
    with pytest.raises(ReplayDiffers, match=r"series row 3 \(time = 3\.0\), column yes") as caught:
        replay(copied)
    assert "code of the model is the same" in str(caught.value)


def test_a_replay_whose_outcome_differs_names_it(copied):
    path = copied / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["outcomes"]["yes"] = 0.123
    path.write_text(json.dumps(manifest))
    with pytest.raises(ReplayDiffers, match=r"outcome yes: 0\.123 stored"):
        replay(copied)


def test_failures_of_a_run_are_met_again_in_its_replay(toy, town, tmp_path):
    from abm.policies.answering import FailureHandling

    study = town(
        answerers={"p": {"citizen": toy.Moody()}},
        failures=FailureHandling("rule citizen_twin"),
    )
    done = study.run(tmp_path)
    run = done.run("base", "p", 0)
    assert run.manifest["answers"]["citizen"]["failures"]["backend_error"] > 0
    replay(run.folder)


def test_a_run_of_rules_replays_too(town, tmp_path):
    done = town().run(tmp_path)
    assert replay(done.run("open", "rule", 0).folder).series.height == 5


def test_a_study_folder_or_a_failed_run_cannot_be_replayed(town, tmp_path):
    done = town(arms={"broken": {"fail_at": 1.5}}).run(tmp_path)
    with pytest.raises(ScenarioError, match="folder of a study; give one of its runs"):
        replay(done.folder)
    with pytest.raises(ScenarioError, match="the town burns"):
        replay(done.run("broken", "rule", 0).folder)


def test_a_run_whose_model_is_gone_says_how_to_name_it(town, toy, tmp_path):
    done = town().run(tmp_path)
    path = done.run("base", "rule", 0).folder / "manifest.json"
    path.write_text(path.read_text().replace("toy_model:TownModel", "gone_model:TownModel"))
    with pytest.raises(ScenarioError, match="--model-class"):
        replay(path.parent)
    assert replay(path.parent, model=toy.TownModel).series.height == 5


def test_a_fork_equals_its_run_until_the_change_acts(town, tmp_path):
    done = town().run(tmp_path)
    made = fork(done.run("base", "rule", 0).folder, at=2.0, change={"tone": "shrill"})
    assert made.equal_until == 2.0
    before, after = made.base.frame("series"), made.folder.frame("series")
    early = pl.col("time") < 2.0
    assert_frame_equal(before.filter(early), after.filter(early), check_exact=True)
    assert not before.equals(after)
    assert len(done.runs()) == 4
    assert made.folder.folder.parent == done.folder / "forks"


def test_a_fork_asks_a_model_only_for_what_is_new(toy, tmp_path, monkeypatch):
    log = tmp_path / "asked.log"
    monkeypatch.setattr("abm.llm.load_backend", lambda spec: toy.Parrot(log=log), raising=False)
    study = Study("town", toy.TownModel, answerers={"p": "embedded"}, agents=True)
    run = study.run(tmp_path).run("base", "p", 0)
    first = set(log.read_text().split())
    made = fork(run.folder, at=3.0, change={"tone": "shrill"})
    again = log.read_text().split()[len(first) :]
    assert again
    assert not set(again) & first
    replay(made.folder.folder)


def test_a_fork_that_cannot_act_is_refused(town, tmp_path):
    folder = town().run(tmp_path).run("base", "rule", 0).folder
    with pytest.raises(ScenarioError, match="at = 9"):
        fork(folder, at=9.0, change={"tone": "shrill"})
    with pytest.raises(ScenarioError, match="no such parameter"):
        fork(folder, at=1.0, change={"tune": "shrill"})
    with pytest.raises(ScenarioError, match="--set"):
        fork(folder, at=1.0)
