"""Budgets stop a study cleanly, batches are told, and several models answer one role."""

from __future__ import annotations

import json

import polars as pl
import pytest

from abm.errors import ScenarioError
from abm.ledger import Ledger
from abm.studies import Budget, Study, replay
from abm.studies.shelf import Shelf


def study_of(toy, town, **changes):
    given = {"answerers": {"model": {"citizen": toy.Parrot(), "writer": toy.Parrot()}}}
    return town(**{**given, **changes})


def manifest(out):
    return json.loads((out / "town" / "manifest.json").read_text())


def test_a_token_budget_stops_within_a_run_and_a_larger_one_goes_on(toy, town, tmp_path):
    whole = study_of(toy, town).run(tmp_path / "whole")
    total = whole.manifest["answers"]["model"]
    tokens = total["tokens_in"] + total["tokens_out"]
    log = tmp_path / "asked"
    parrot = toy.Parrot(log=log)
    given = {"answerers": {"model": {"citizen": parrot, "writer": parrot}}}
    seen = []
    for part in (0.1, 0.4, 0.7):
        some = study_of(toy, town, budget=Budget(tokens=int(part * tokens)), **given)
        stopped = some.run(tmp_path / "parts").manifest
        assert "tokens is spent" in stopped["execution"]["stopped"]
        assert stopped["status"] == "incomplete"
        assert stopped["execution"]["tokens"] >= part * tokens - 1
        seen.append(stopped["runs"]["finished"])
    assert seen == sorted(seen)
    assert seen[0] == 0
    assert seen[-1] < 4
    done = study_of(toy, town, **given).run(tmp_path / "parts")
    assert done.manifest["execution"]["stopped"] == ""
    for table in ("series", "outcomes"):
        assert done.frame(table).equals(whole.frame(table), null_equal=True)
    asked = log.read_text().split()
    assert len(asked) == len(set(asked))


def test_where_a_token_budget_stops_does_not_depend_on_the_ledger(toy, town, tmp_path):
    budget = Budget(tokens=300)
    cold = study_of(toy, town, budget=budget).run(tmp_path).manifest
    warm = study_of(toy, town, budget=budget).run(tmp_path).manifest
    for name in ("stopped", "tokens", "executed"):
        assert cold["execution"][name] == warm["execution"][name]
    again, first = (m["execution"]["answers"]["policy 0"]["inferred"] for m in (warm, cold))
    assert again == 0 < first


def test_a_budget_of_hours_stops_and_changes_no_result(toy, town, tmp_path):
    stopped = study_of(toy, town, budget=Budget(hours=1e-12)).run(tmp_path / "a").manifest
    assert stopped["runs"]["finished"] == 0
    assert "hours is spent" in stopped["execution"]["stopped"]
    done = study_of(toy, town).run(tmp_path / "a")
    whole = study_of(toy, town).run(tmp_path / "b")
    assert done.frame("series").equals(whole.frame("series"))


@pytest.mark.slow
def test_a_pool_stops_at_its_budget_too(toy, town, tmp_path):
    made = study_of(toy, town, budget=Budget(tokens=300)).run(tmp_path / "a", workers=2)
    assert "tokens is spent" in made.manifest["execution"]["stopped"]
    assert not list((tmp_path / "a" / "town").glob("runs/*/*/.*"))
    done = study_of(toy, town).run(tmp_path / "a", workers=2)
    whole = study_of(toy, town).run(tmp_path / "b")
    assert done.frame("series").equals(whole.frame("series"))


def test_manifests_tell_what_a_run_and_what_an_execution_inferred(toy, town, tmp_path):
    study_of(toy, town, replications=1).run(tmp_path)
    done = study_of(toy, town, replications=2).run(tmp_path)
    runs = [
        json.loads(path.read_text())["answers"]["citizen"]
        for path in sorted((tmp_path / "town" / "runs").glob("*/*/*/manifest.json"))
    ]
    assert all(run["inferred"] + run["from_ledger"] == run["asked"] for run in runs)
    with Ledger(tmp_path / "town" / "ledger.sqlite", read_only=True) as ledger:
        everything = len(ledger)
    assert sum(run["inferred"] for run in runs) == everything
    total = done.manifest["answers"]["model"]
    assert total["inferred"] == everything
    now = done.manifest["execution"]["answers"]["policy 0"]
    assert now["inferred"] < everything
    assert sum(now["batch_sizes"].values()) == now["batches"] > 0
    assert now["saved"] == now["asked"] - now["inferred"] > 0
    assert now["saved_tokens"] > 0


@pytest.mark.slow
def test_three_workers_give_the_bits_of_one_with_a_real_model_in_strict_mode(toy, town, tmp_path):
    pytest.importorskip("llama_cpp", reason="needs the extra `llama`")
    pytest.importorskip("gguf", reason="writes GGUFs with the package gguf")
    from random_gguf import write_random_gguf

    file = write_random_gguf(tmp_path / "tiny.gguf", scale=0.7)
    spec = {"backend": "llama", "path": str(file), "coverage_floor": 0.0}
    made = {
        workers: town(answerers={"model": spec}, failures=toy.SKIP, replications=3).run(
            tmp_path / str(workers), workers=workers
        )
        for workers in (1, 3)
    }
    for table in ("series", "outcomes"):
        assert made[1].frame(table).equals(made[3].frame(table), null_equal=True)
    ledgers = []
    for folder in made.values():
        with Ledger(folder.folder / "ledger.sqlite", read_only=True) as ledger:
            ledgers.append(dict(ledger.entries()))
    assert ledgers[0] == ledgers[1]
    assert made[3].manifest["execution"]["gathered"]["batches"] > 0


def two_models(toy):
    return {
        "citizen": {
            "mixture": {
                "small": {"share": 0.5, "backend": "scripted", "score": "toy_model:fair"},
                "twin": {"share": 0.5, "backend": "rule"},
            }
        }
    }


def test_several_models_answer_one_role_and_the_run_replays(toy, town, tmp_path):
    study = town(answerers={"mixed": two_models(toy)}, scenario={"duration": 4.0, "n_citizens": 12})
    done = study.run(tmp_path)
    run = done.run("base", "mixed", 0)
    decisions = pl.read_parquet(run.folder / "decisions.parquet")
    bans = decisions.filter(pl.col("question") == "ban")
    assert set(bans["policy"]) == {"citizen.small", "citizen.twin"}
    assert not [flag for flag in run.manifest["flags"] if "never ran" in flag]
    assert set(run.manifest["answers"]) == {"citizen.small", "citizen.twin", "writer"}
    assert replay(run.folder).series.equals(run.frame("series"))
    again = study.run(tmp_path / "pool", workers=2)
    assert again.frame("series").equals(done.frame("series"))


def test_one_model_written_twice_is_one_and_a_budget_counts_all_that_was_asked(toy, town, tmp_path):
    """Models of one fingerprint: merged where only the writing differs, told apart by floors."""
    half = {"share": 0.25, "backend": "scripted", "score": "toy_model:fair"}
    members = {
        "a": half,
        "b": {**half, "name": "scripted"},
        "c": {**half, "coverage_floor": 0.5},
        "twin": {"share": 0.25, "backend": "rule"},
    }
    spec = {"citizen": {"mixture": members}}
    done = town(answerers={"m": spec}, scenario={"duration": 4.0, "n_citizens": 40}).run(tmp_path)
    execution, total = done.manifest["execution"], done.manifest["answers"]["m"]
    assert len(execution["answers"]) == 2
    assert total["asked"] == sum(told["asked"] for told in execution["answers"].values())
    assert total["tokens_in"] + total["tokens_out"] == execution["tokens"] > 0
    again = town(
        answerers={"m": spec},
        scenario={"duration": 4.0, "n_citizens": 40},
        budget=Budget(tokens=execution["tokens"]),
    ).run(tmp_path)
    assert again.manifest["execution"]["tokens"] == execution["tokens"]  # as counted from folders


def test_an_agent_keeps_its_model_for_life(toy, town):
    from abm.studies.run import build_model

    run = town(answerers={"mixed": two_models(toy)}).run_of("base", "mixed")
    model = build_model(run, {**dict.fromkeys(run.specs, toy.VOTER), "writer": toy.WRITER})
    model.decisions.by_agent = True
    model.run_until(4.0)
    made = model.decisions.agents_frame().filter(pl.col("question") == "ban")
    assert made.group_by("key").agg(pl.col("policy").n_unique())["policy"].to_list() == [1] * 6


def test_a_mixture_that_does_not_add_up_is_refused_with_its_place(toy, tmp_path):
    text = (
        '[study]\nname = "a"\nmodel = "toy_model:TownModel"\n[answerers.mixed]\n'
        'citizen = { mixture = { a = { share = 0.5, backend = "rule" } } }\n'
    )
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(ScenarioError, match=r"a.toml:5: .*shares sum to 0.5, expected 1"):
        Study.from_toml(tmp_path / "a.toml")


def test_a_path_in_a_table_starts_at_the_studys_folder(toy, tmp_path):
    (tmp_path / "tiny.bin").write_bytes(b"GGUF")
    for name in ("tiny.bin", "absent.gguf"):
        text = (
            '[study]\nname = "a"\nmodel = "toy_model:TownModel"\n[answerers.m]\n'
            f'citizen = {{ backend = "llama", path = "{name}" }}\n'
        )
        (tmp_path / "a.toml").write_text(text)
        if name == "tiny.bin":
            study = Study.from_toml(tmp_path / "a.toml")
            assert study.specs["m"]["citizen"].backend["path"] == str(tmp_path / name)
        else:
            with pytest.raises(ScenarioError, match=r"a.toml:5: .*expected an existing GGUF"):
                Study.from_toml(tmp_path / "a.toml")


class Loaded:
    """A backend that knows whether it is open."""

    def __init__(self, spec, log):
        self.fingerprint, self.log = f"model {spec}", log
        log.append(f"open {spec}")
        self.spec = spec

    def score(self, prompts, options):
        return [self.spec for _ in prompts]

    def close(self):
        self.log.append(f"close {self.spec}")


def test_a_bounded_shelf_closes_what_was_used_least_recently():
    log = []
    shelf = Shelf(20, load=lambda spec: Loaded(spec, log), size=lambda spec: 10)
    a, b, c = (shelf.backend(name) for name in "abc")
    assert log == ["open a", "open b", "close a", "open c"]
    assert a.score(["x"], [("y",)]) == ["a"]
    assert log[4:] == ["close b", "open a"]
    assert c.score([1], [()]) == ["c"]
    assert len(log) == 6
    assert (a.fingerprint, b.fingerprint) == ("model a", "model b")
    assert shelf.told() == {"limit": 20, "most": 20, "loads": 4, "closed": 2}
    shelf.close()
    assert sorted(log[6:]) == ["close a", "close c"]
    with pytest.raises(ScenarioError, match="memory_gb"):
        Shelf(5, load=lambda spec: Loaded(spec, log), size=lambda spec: 10).backend("a")


def mixed_society(tmp_path, **changes):
    """Opinions of citizens of whom half are the embedded model and half a tiny random one."""
    from abm.policies import FailureHandling

    pytest.importorskip("llama_cpp", reason="needs the extra `llama`")
    pytest.importorskip("gguf", reason="writes GGUFs with the package gguf")
    from random_gguf import write_random_gguf

    file = tmp_path / "tiny.gguf"
    if not file.exists():
        write_random_gguf(file, scale=0.7)
    mixture = {
        "own": {"share": 0.5, "backend": "embedded", "resident_bytes": 4_000_000},
        "tiny": {
            "share": 0.5,
            "backend": "llama",
            "path": "tiny.gguf",
            "coverage_floor": 0.0,
            "resident_bytes": 4_000_000,
        },
    }
    return Study(
        "mixed",
        "opinion_network",
        scenario={"n_citizens": 60, "n_asked": 8, "duration": 2.0, "writing_probability": 0.3},
        answerers={"mixed": {"citizen": {"mixture": mixture}}},
        failures=FailureHandling("rule citizen_twin"),
        folder=tmp_path,
        agents=True,
        **changes,
    )


@pytest.mark.slow
def test_two_model_files_share_a_society_within_a_memory_bound(tmp_path):
    """The bound has room for one of them, so they take turns; every bit is as without it."""
    from abm.studies.shelf import memory_of

    free = mixed_society(tmp_path).run(tmp_path / "free")
    spec = mixed_society(tmp_path).specs["mixed"]["citizen"].members
    room = 1.5 * max(memory_of(member.backend) for member in spec.values()) / 1e9
    bound = mixed_society(tmp_path, memory_gb=room).run(tmp_path / "bound")
    for table in ("series", "outcomes", "agents"):
        assert bound.frame(table).equals(free.frame(table), null_equal=True)
    run = free.run("base", "mixed", 0)
    decisions = run.frame("decisions")
    assert set(decisions["policy"]) == {"citizen.own", "citizen.tiny"}
    models = [used["model"]["backend"] for used in run.manifest["answers"].values()]
    assert sorted(models) == ["embedded", "llama"]
    told = bound.manifest["execution"]["answers"].values()
    assert all(total["evaluated"]["requests"] >= total["inferred"] > 0 for total in told)
    memory = bound.manifest["execution"]["memory"]
    assert memory["most"] <= memory["limit"] == int(room * 1e9)
    assert memory["loads"] == sum(total["loads"] for total in told) > len(told)
    assert free.manifest["execution"]["memory"] == {}
    assert replay(run.folder).outcomes["all.flipped"] == run.outcomes()["all.flipped"]


def test_a_server_takes_no_memory_and_is_not_closed_for_others():
    """Its counts are its own: requests and retries, not tokens of a prefix tree."""
    pytest.importorskip("httpx", reason="needs the extra `remote`")
    spec = {"backend": "openai", "base_url": "http://127.0.0.1:9/v1", "model": "absent"}
    shelf = Shelf(limit=1)
    with shelf.backend(spec) as served:
        assert served.statistics().as_dict()["requests"] == 0
    shelf.close()
