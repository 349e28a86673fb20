"""Executing studies: serial and pool are one, failures are results, arms share their chance."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import abm
from abm.errors import ScenarioError
from abm.studies import Budget
from abm.studies.progress import Silent

HERE = Path(__file__).parent
TABLES = ("series", "agents", "decisions", "outcomes")


def answerers(toy):
    return {
        "rule": "rule",
        "parrot": toy.Parrot(),
        "mixed": {"citizen": toy.Parrot(), "writer": "rule"},
    }


@pytest.mark.slow
def test_a_pool_gives_the_same_tables_as_serial_execution_to_the_bit(toy, town, tmp_path):
    study = town(answerers=answerers(toy))
    serial = study.run(tmp_path / "serial", workers=1)
    pool = study.run(tmp_path / "pool", workers=2)
    for table in TABLES:
        assert_frame_equal(serial.frame(table), pool.frame(table), check_exact=True)
    assert serial.frame("series").height == 2 * 3 * 2 * 5
    assert pool.manifest["execution"]["workers"] == 2


def test_replications_share_their_chance_between_arms_and_answerers(toy, town, tmp_path):
    done = town(answerers=answerers(toy), arms={"base": {}, "same": {}}).run(tmp_path)
    frame = done.frame("series")
    base, same = (frame.filter(pl.col("arm") == arm).drop("arm") for arm in ("base", "same"))
    assert_frame_equal(base, same, check_exact=True)
    ages = done.frame("agents").group_by("replication", "answerer").agg(pl.col("age").sort())
    by_replication = ages.group_by("replication").agg(pl.col("age").n_unique())
    assert by_replication["age"].to_list() == [1, 1]


def test_what_does_not_vary_is_equal_in_all_replications(town, tmp_path):
    done = town(varies=["chance"], replications=3).run(tmp_path)
    agents = done.frame("agents")
    assert agents.group_by("key").agg(pl.col("age").n_unique())["age"].to_list() == [1] * 6
    assert agents.group_by("key").agg(pl.col("post").n_unique())["post"].max() > 1


def test_equal_requests_are_inferred_once_over_arms_and_answerers(toy, town, tmp_path):
    log = tmp_path / "asked.log"
    kinds = {"parrot": toy.Parrot(log=log), "mixed": {"citizen": toy.Parrot(log=log)}}
    done = town(answerers=kinds, arms={"base": {}, "same": {}}).run(tmp_path)
    inferred = log.read_text().splitlines()
    assert len(inferred) == len(set(inferred)) > 10
    (counts,) = done.manifest["execution"]["answers"].values()
    assert counts["inferred"] == len(inferred)
    asked = sum(total["asked"] for total in done.manifest["answers"].values())
    assert counts["asked"] == asked == counts["inferred"] + counts["saved"]


def test_a_failed_run_is_recorded_with_its_cause_and_stops_no_other(town, tmp_path):
    study = town(arms={"base": {}, "broken": {"fail_at": 2.5}})
    done = study.run(tmp_path)
    assert done.manifest["runs"] == {"planned": 4, "finished": 2, "failed": 2, "missing": 0}
    assert done.manifest["status"] == "incomplete"
    cause = done.manifest["failed"]["broken/rule/r000"]
    assert "the town burns" in cause
    assert "2.5" in cause
    failed = done.run("broken", "rule", 0)
    assert "ZeroDivisionError" in failed.manifest["error"]["traceback"]
    with pytest.raises(ScenarioError, match="the town burns"):
        failed.frame("series")
    assert set(done.frame("series")["arm"]) == {"base"}


@pytest.mark.slow
def test_a_failed_run_is_recorded_alike_in_a_pool(town, tmp_path):
    study = town(arms={"base": {}, "broken": {"fail_at": 2.5}})
    serial, pool = study.run(tmp_path / "s"), study.run(tmp_path / "p", workers=2)
    assert serial.manifest["failed"] == pool.manifest["failed"]
    assert_frame_equal(serial.frame("series"), pool.frame("series"), check_exact=True)


def test_a_failed_run_is_tried_again_and_a_finished_one_is_not(toy, town, tmp_path):
    study = town(arms={"base": {}, "broken": {"fail_at": 2.5}}, answerers={"p": toy.Parrot()})
    study.run(tmp_path)
    again = study.run(tmp_path)
    assert again.manifest["execution"]["executed"] == 2
    assert again.manifest["execution"]["answers"]["policy 0"]["inferred"] == 0


def test_a_worker_that_dies_is_a_failed_run_and_the_others_go_on(toy, town, tmp_path):
    done = town(model=toy.MortalTown, arms={"base": {}, "deadly": {"tone": "deadly"}}).run(
        tmp_path, workers=2
    )
    assert done.manifest["runs"]["finished"] == 2
    assert "ended with code 7" in done.manifest["failed"]["deadly/rule/r001"]


PARENT = """
import sys
sys.path.insert(0, {here!r})
import toy_model
from abm.studies import Study
kinds = {{"p": toy_model.Parrot(delay=0.02)}}
Study("town", toy_model.TownModel, answerers=kinds, replications=6).run({out!r}, workers=2)
"""


@pytest.mark.slow
def test_workers_end_with_a_killed_parent_and_the_study_resumes(toy, town, tmp_path):
    code = PARENT.format(here=str(HERE), out=str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE) as parent:
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
        while not list(tmp_path.glob("town/runs/*/*/r0*")):
            assert parent.poll() is None
        workers = [int(pid) for pid in children.read_text().split()]
        parent.kill()
        parent.wait()
        assert parent.stderr.read() == b""
    assert len(workers) == 2
    patience = 600
    while any(Path(f"/proc/{pid}/cwd").exists() for pid in workers):
        time.sleep(0.1)
        patience -= 1
        assert patience, "workers outlived their parent by a minute"
    given = {"answerers": {"p": toy.Parrot()}, "replications": 6, "arms": {"base": {}}}
    given |= {"scenario": {}, "agents": False}
    resumed = town(**given).run(tmp_path)
    assert 0 < resumed.manifest["execution"]["executed"] < 6
    assert resumed.manifest["runs"]["finished"] == 6
    whole = town(**given).run(tmp_path / "whole")
    assert_frame_equal(resumed.frame("series"), whole.frame("series"), check_exact=True)


def test_more_replications_later_add_runs_and_keep_the_old_ones(town, tmp_path):
    few = town(replications=1).run(tmp_path).frame("series")
    done = town(replications=3).run(tmp_path)
    assert done.manifest["execution"]["executed"] == 4
    kept = done.frame("series").filter(pl.col("replication") == 0)
    assert_frame_equal(kept, few, check_exact=True)


def test_a_folder_with_results_of_another_study_is_refused_with_the_difference(town, tmp_path):
    town().run(tmp_path)
    with pytest.raises(ScenarioError, match=r"scenario\.bound was 0\.9 and is now 0\.8.*--fresh"):
        town(arms={"base": {}, "open": {"bound": 0.8, "tone": "shrill"}}).run(tmp_path)


def test_fresh_starts_anew_and_keeps_the_earlier_results(town, tmp_path):
    old = town().run(tmp_path).frame("series")
    new = town(seed=9).run(tmp_path, fresh=True)
    assert new.manifest["execution"]["executed"] == 4
    assert not new.frame("series").equals(old)
    assert abm.load(tmp_path / "town.previous").frame("series").equals(old)


def test_a_budget_stops_before_the_next_batch_and_a_larger_one_goes_on(toy, town, tmp_path):
    study = town(answerers={"p": toy.Parrot()}, budget=Budget(tokens=1))
    first = study.run(tmp_path)
    assert first.manifest["runs"]["finished"] == 0
    assert "budget of 1 tokens" in first.manifest["execution"]["stopped"]
    whole = town(answerers={"p": toy.Parrot()}).run(tmp_path)
    assert whole.manifest["execution"]["executed"] == 4
    direct = town(answerers={"p": toy.Parrot()}).run(tmp_path / "direct")
    assert_frame_equal(whole.frame("series"), direct.frame("series"), check_exact=True)


def test_what_an_interrupted_study_has_so_far_can_be_read(town, tmp_path):
    few = town(replications=1).run(tmp_path)

    class Impatient(Silent):
        def run_finished(self, label, manifest):
            if label == "open/rule/r001":
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        town(replications=3).run(tmp_path, progress=Impatient())
    so_far = abm.load(few.folder)
    assert so_far.manifest["status"] == "incomplete"
    runs = so_far.frame("series").select("arm", "replication").unique()
    assert sorted(runs.rows()) == [("base", 0), ("base", 1), ("open", 0), ("open", 1)]


def test_the_manifest_says_what_a_result_was_made_from(toy, town, tmp_path):
    done = town(answerers={"p": toy.Parrot()}).run(tmp_path)
    manifest = json.loads((done.run("open", "p", 1).folder / "manifest.json").read_text())
    assert manifest["definition"]["scenario"]["bound"] == 0.9
    assert set(manifest["definition"]["seeds"]) == {"chance", "population", "network"}
    assert manifest["made_with"]["versions"]["mesa"]
    assert manifest["made_with"]["hardware"]["cores"] >= 1
    used = manifest["answers"]["citizen"]
    assert used["fingerprint"].startswith("parrot:1")
    assert used["asked"] >= used["distinct"] > 0
    assert used["failure_rate"] == 0
    assert manifest["decisions"]["decisions"] > 0
    assert manifest["outcomes"]["nothing"] == "nan"
    assert "outcome nothing is nan" in manifest["flags"]


def test_what_never_happened_is_flagged(toy, town, tmp_path):
    done = town(scenario={"duration": 0.25}).run(tmp_path)
    flags = " ".join(done.manifest["flags"])
    assert "never ran" in flags
    assert "'ban'" in flags


def test_two_runs_are_equal_to_the_bit_until_the_intervention_acts(toy, town, tmp_path):
    arms = {"base": {}, "treated": {}}
    change = {"at": 2.0, "change": {"tone": "shrill"}, "arms": ["treated"]}
    done = town(arms=arms, interventions=[change], replications=4, answerers=answerers(toy)).run(
        tmp_path
    )
    frame = done.frame("series")
    base, treated = (frame.filter(pl.col("arm") == arm).drop("arm") for arm in arms)
    early = pl.col("time") < 2.0
    assert_frame_equal(base.filter(early), treated.filter(early), check_exact=True)
    for name in ("rule", "parrot", "mixed"):
        who = pl.col("answerer") == name
        assert not base.filter(who).equals(treated.filter(who))


def test_an_intervention_can_put_the_rule_twin_in_a_models_place(toy, town, tmp_path):
    plan = {"at": 2.0, "assign": {"citizen": "citizen_twin"}, "arms": ["open"]}
    done = town(answerers={"p": toy.Parrot()}, interventions=[plan]).run(tmp_path)
    asked = {r.manifest["arm"]: r.manifest["answers"]["citizen"]["asked"] for r in done.runs()}
    assert 0 < asked["open"] < asked["base"]


def test_failures_are_handled_as_the_study_declares(toy, town, tmp_path):
    from abm.policies.answering import FailureHandling

    study = town(answerers={"p": {"citizen": toy.OffMenu()}}, agents=False)
    stopped = study.run(tmp_path / "abort")
    assert stopped.manifest["runs"]["failed"] == 4
    assert "off_menu" in stopped.manifest["failed"]["base/p/r000"]
    going = town(
        answerers={"p": {"citizen": toy.OffMenu()}},
        failures=FailureHandling("rule citizen_twin"),
        agents=False,
    ).run(tmp_path / "rule")
    assert going.manifest["runs"]["finished"] == 4
    used = going.run("base", "p").manifest["answers"]["citizen"]
    assert used["failure_rate"] == 1.0
    assert used["failures"] == {"off_menu": used["asked"]}
