"""Studies whose language models live on servers: two of them in one society, and one that dies."""

from __future__ import annotations

import hashlib
import threading

import pytest
from fake_server import Exchange, FakeServer
from polars.testing import assert_frame_equal

from abm.errors import ScenarioError
from abm.llm import OpenAICompatible


def told(exchange: Exchange) -> None:
    """Answers that depend on what was asked alone, like a real server's at its best."""
    digest = hashlib.sha256((exchange.text + str(exchange.payload["seed"])).encode()).digest()
    if exchange.payload.get("logprobs"):
        yes = 0.1 + 0.8 * digest[0] / 255
        exchange.tokens({"yes": 0.98 * yes, "no": 0.98 * (1 - yes)})
    else:
        exchange.say(f"word {digest[0]}")


def backend(url: str, **options) -> OpenAICompatible:
    settings = {"timeout": 5.0, "retries": 1, "wait": 0.0, "revision": "1", "concurrency": 2}
    return OpenAICompatible(url, "m", **{**settings, **options})


def asked(server: FakeServer) -> list[tuple]:
    return [(e.text, e.payload["seed"], bool(e.payload.get("logprobs"))) for e in server.seen]


def dying(after: int, how: str):
    """A server that answers `after` requests, then fails in one way for good."""

    def behave(exchange: Exchange) -> None:
        if exchange.number < after:
            told(exchange)
        elif how == "dies":
            exchange.drop()
        elif how == "hangs":
            threading.Event().wait(8)
        elif how == "garbage":
            exchange.send(b"\x00<not json>")
        else:
            exchange.send({"error": "loading"}, 503)

    return behave


@pytest.mark.parametrize("how", ["dies", "garbage", "unavailable", "hangs"])
def test_a_server_that_fails_mid_run_leaves_a_study_that_resumes_with_what_is_missing(
    how, town, tmp_path
):
    with FakeServer(told) as server:
        whole = town(answerers={"s": {"citizen": backend(server.url)}}).run(tmp_path / "whole")
        needed = set(asked(server))
    failing = {"timeout": 1.0, "retries": 0} if how == "hangs" else {}
    with FakeServer(dying(9, how)) as server:
        served = {"citizen": backend(server.url, **failing)}
        broken = town(answerers={"s": served}).run(tmp_path / "broken")
        paid = set(asked(server)[:9])
    assert broken.manifest["runs"]["failed"] == 1  # the other three would have met the same
    assert broken.manifest["execution"]["left_out"] == 3
    assert "3 runs were not tried: " in broken.manifest["execution"]["stopped"]
    said = "timeout" if how == "hangs" else "backend_error"
    assert said in broken.manifest["failed"]["base/s/r000"]
    with FakeServer(told) as server:
        again = town(answerers={"s": {"citizen": backend(server.url)}}).run(tmp_path / "broken")
        later = asked(server)
    assert again.manifest["runs"]["finished"] == 4
    assert len(later) == len(set(later))
    assert set(later) == needed - paid
    for table in ("series", "agents", "outcomes"):
        assert_frame_equal(again.frame(table), whole.frame(table), check_exact=True)


def test_runs_that_do_not_need_a_lost_server_go_on(town, tmp_path):
    with FakeServer(dying(3, "dies")) as server:
        answerers = {"s": {"citizen": backend(server.url)}, "rule": {}}
        done = town(answerers=answerers).run(tmp_path)
    runs = done.manifest["runs"]
    assert (runs["finished"], runs["failed"], runs["missing"]) == (4, 1, 3)
    told = [(run.manifest["answerer"], run.manifest["status"]) for run in done.runs()]
    assert sorted(told) == [*4 * [("rule", "finished")], ("s", "failed")]


def test_a_server_that_is_not_there_is_named_before_anything_runs(town, tmp_path):
    with FakeServer(told) as server:
        gone = backend(server.url)
    with pytest.raises(ScenarioError, match=r"cannot connect to http.*Start the server"):
        town(answerers={"s": {"citizen": gone}}).run(tmp_path)
    assert not list(tmp_path.rglob("manifest.json"))


def test_a_hanging_server_is_a_time_out_that_the_study_handles_as_declared(town, tmp_path):
    from abm.policies.answering import FailureHandling

    with FakeServer(lambda e: None) as server:
        server.behaviour = server.hang
        slow = backend(server.url, timeout=0.1, retries=0, concurrency=6)
        done = town(
            answerers={"s": {"citizen": slow}},
            scenario={"duration": 1.0},
            failures=FailureHandling("rule citizen_twin"),
            replications=1,
            arms={"base": {}},
        ).run(tmp_path)
    assert done.manifest["runs"]["finished"] == 1
    used = done.run("base", "s").manifest["answers"]["citizen"]
    assert used["failures"] == {"timeout": used["asked"]}


def test_two_servers_with_different_models_live_in_one_society(town, tmp_path):
    def loud(exchange: Exchange) -> None:
        exchange.say("LOUD")

    with FakeServer(told) as voters, FakeServer(loud) as writers:
        kinds = {"citizen": backend(voters.url), "writer": backend(writers.url, revision="2")}
        done = town(answerers={"both": kinds}, replications=1).run(tmp_path)
        assert {bool(e.payload.get("logprobs")) for e in voters.seen} == {True}
        assert not any(e.payload.get("logprobs") for e in writers.seen)
    assert set(done.frame("agents")["post"]) == {"LOUD"}
    assert done.manifest["status"] == "finished"
