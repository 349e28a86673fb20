"""A server that delays, refuses, rambles, hangs or dies: typed failures, and nothing is lost."""

from __future__ import annotations

import doctest
import json
import math
import pickle
import re
import socket
import threading
import time
import tomllib
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import numpy as np
import pytest
from fake_server import Exchange, FakeServer

from abm.errors import BackendError
from abm.llm import Backend, OpenAICompatible, load_backend
from abm.llm.remote import transport
from abm.llm.remote.control import JOINER
from abm.policies import LLMPolicy
from abm.questions import Kind, Prompt, Question, Segment, Status, TextConstraint

MENU = ("yes", "no")
PLAIN = Prompt.plain("More parks?")


def reached(fake: FakeServer, **options) -> OpenAICompatible:
    quick = {"timeout": 5.0, "retries": 2, "wait": 0.0}
    return OpenAICompatible(fake.url, "m", **{**quick, **options})


def yes_and_no(exchange: Exchange) -> None:
    exchange.tokens({"yes": 0.6, " no": 0.3, "maybe": 0.1})


def test_it_is_a_backend():
    assert isinstance(OpenAICompatible("http://localhost:1/v1", "m"), Backend)


@pytest.mark.parametrize("api", ["chat", "completions"])
def test_probabilities_of_the_tokens_are_the_scores(api):
    with FakeServer(yes_and_no) as server:
        [found] = reached(server, api=api).score([PLAIN], [MENU])
    assert found.status is Status.OK
    assert found.kind is Kind.EXACT
    assert np.exp(found.scores) == pytest.approx([0.6, 0.3])
    assert found.coverage == pytest.approx(0.9)
    assert found.tokens_in == 10


def test_an_option_of_several_tokens_is_followed_where_the_server_can():
    tree = {
        "": {"agree": 0.7, "dis": 0.2, "x": 0.1},
        "agree": {" strongly": 0.25, "": 0.5, ".": 0.25},
        "dis": {"agree": 0.9, "tance": 0.1},
    }

    def answer(exchange: Exchange) -> None:
        exchange.tokens(tree[exchange.text.removeprefix("More parks?")])

    menu = ("agree", "agree strongly", "disagree")
    with FakeServer(answer) as server:
        [found] = reached(server, api="completions").score([PLAIN], [menu])
        asked = len(server.seen)
    assert np.exp(found.scores) == pytest.approx([0.7 * 0.75, 0.7 * 0.25, 0.2 * 0.9])
    assert asked == 3


def test_options_that_share_their_first_token_are_drawn_where_it_cannot_follow():
    def answer(exchange: Exchange) -> None:
        if exchange.payload.get("logprobs"):
            exchange.tokens({"1": 0.8, "2": 0.2})
        else:
            exchange.say("10" if exchange.payload["seed"] % 2 else "2")

    menu = ("1", "10", "2")
    with FakeServer(answer) as server:
        [refused] = reached(server).score([PLAIN], [menu])
        [drawn] = reached(server, draws=40).score([PLAIN], [menu])
        again = reached(server, draws=40).score([PLAIN], [menu])[0]
    assert refused.status is Status.OFF_MENU
    assert "'10'" in refused.detail
    assert "draws" in refused.detail
    assert drawn.kind is Kind.SAMPLED
    assert drawn.detail.startswith("40 draws")
    assert drawn.scores[0] == -math.inf
    assert math.exp(drawn.scores[1]) + math.exp(drawn.scores[2]) == pytest.approx(1.0)
    assert again == drawn  # every draw has its own seed, which depends on what is asked alone


def test_an_option_outside_the_returned_tokens_never_has_probability_zero():
    with FakeServer(lambda e: e.tokens({"yes": 0.97, "maybe": 0.02})) as server:
        [found] = reached(server).score([PLAIN], [MENU])
    assert found.status is Status.OFF_MENU
    assert found.scores is None
    assert "'no'" in found.detail


def test_answers_off_the_menu_are_its_missing_mass():
    def answer(exchange: Exchange) -> None:
        exchange.say(("Yes.", "well, no", "<think>yes</think> no")[exchange.number % 3])

    with FakeServer(answer) as server:
        backend = reached(server, probabilities="sampled", draws=9, concurrency=1)
        [found] = backend.score([PLAIN], [MENU])
    assert found.coverage == pytest.approx(6 / 9)
    assert np.exp(found.scores) == pytest.approx([3 / 9, 3 / 9])


def test_many_prompts_are_under_way_at_once_and_never_more_than_allowed():
    together = threading.Barrier(4, timeout=10)

    def answer(exchange: Exchange) -> None:
        if exchange.number < 8:
            together.wait()
        yes_and_no(exchange)

    prompts = [Prompt.plain(f"Park {k}?") for k in range(20)]
    with FakeServer(answer) as server:
        found = reached(server, concurrency=4).score(prompts, [MENU] * 20)
        most = server.most_running
    assert all(answer.status is Status.OK for answer in found)
    assert most == 4


def test_answers_keep_the_order_of_the_prompts_whatever_the_delays():
    def answer(exchange: Exchange) -> None:
        number = int(exchange.text)
        time.sleep(0.01 * ((7 * number) % 5))
        exchange.say(f"text {number}")

    prompts = [Prompt.plain(str(k)) for k in range(12)]
    with FakeServer(answer) as server:
        made = reached(server).generate(prompts, [TextConstraint(9)] * 12, range(12))
    assert [one.text for one in made] == [f"text {k}" for k in range(12)]


def flaky(first: list) -> object:
    """Behaviours of the first requests, then a good answer."""

    def answer(exchange: Exchange) -> None:
        if exchange.number < len(first):
            first[exchange.number](exchange)
        else:
            yes_and_no(exchange)

    return answer


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        (lambda e: e.send({"error": {"message": "slow down"}}, 429), "rate limit"),
        (lambda e: e.send({"error": "down"}, 503), "server error 503"),
        (lambda e: e.send(b"<html>oops"), "garbage"),
        (lambda e: e.send([1, 2]), "garbage"),
        (lambda e: e.send(b"[" * 100_000), "garbage"),
        (lambda e: e.send({"choices": []}), "garbage"),
        (lambda e: e.send({"error": {"message": "worker lost \ud800"}}), "garbage"),
        (lambda e: e.send(b'data: {"choices": []}', Content_Type="text/event-stream"), "garbage"),
        (lambda e: e.send(b"{}", Content_Encoding="gzip"), "connection broke"),
        (Exchange.drop, "connection broke"),
        (Exchange.break_off, "connection broke"),
    ],
    ids=[
        "rate limit",
        "unavailable",
        "html",
        "no object",
        "nested",
        "no choices",
        "error as reply",
        "stream",
        "encoding",
        "broken",
        "broken body",
    ],
)
def test_a_transient_fault_is_retried_and_recorded(fault, cause):
    with FakeServer(flaky([fault, fault])) as server:
        backend = reached(server)
        [found] = backend.score([PLAIN], [MENU])
        counted = backend.statistics().as_dict()
    assert found.status is Status.OK
    assert found.detail.startswith("retried after ")
    assert cause in found.detail
    assert counted["attempts"] == 3
    assert counted["requests"] == 1
    assert counted["retries"] == {cause: 2}


def test_a_retry_waits_longer_each_time_and_as_long_as_the_server_asks():
    limit = lambda e: e.send({"error": "slow down"}, 429, Retry_After="0.2")  # noqa: E731
    with FakeServer(flaky([limit, lambda e: e.send({}, 500), lambda e: e.send({}, 500)])) as server:
        backend = reached(server, retries=3, wait=0.05)
        backend.score([PLAIN], [MENU])
        waited = backend.statistics().waited
    assert waited == pytest.approx(0.2 + 0.1 + 0.2)


def test_a_server_may_say_when_to_come_back_as_a_date():
    later = datetime.now(UTC) + timedelta(seconds=100)
    said = transport._retry_after({"retry-after": format_datetime(later)})
    assert 90 < said <= 100  # headers have whole seconds


@pytest.mark.parametrize("how", ["hang", "trickle", "trickle_headers"])
def test_a_server_that_hangs_is_a_time_out(how):
    with FakeServer(lambda e: None) as server:
        server.behaviour = getattr(server, how)
        [found] = reached(server, timeout=0.2, retries=1).score([PLAIN], [MENU])
    assert found.status is Status.TIMEOUT
    assert "(attempt 2); is the server made for concurrency = 8?" in found.detail


def test_a_dead_server_costs_one_round_of_waiting_not_one_per_prompt():
    with FakeServer(yes_and_no) as server:
        url = server.url
    backend = OpenAICompatible(url, "m", retries=2, wait=0.01, timeout=2.0, concurrency=2)
    prompts = [Prompt.plain(f"Park {k}?") for k in range(30)]
    found = backend.score(prompts, [MENU] * 30)
    assert {one.status for one in found} == {Status.BACKEND_ERROR}
    assert "cannot connect" in found[0].detail
    assert backend.statistics().attempts <= 30 + 2 * 3
    assert set(backend.statistics().retries) == {"cannot connect"}


def test_a_server_that_answers_nobody_any_more_counts_as_lost():
    with FakeServer(yes_and_no) as server:
        backend = reached(server, retries=0)
        server.behaviour = Exchange.drop
        backend.score([PLAIN], [MENU])
        assert backend.lost() == ""  # once is no rule
        backend.score([PLAIN] * 2, [MENU] * 2)
        assert "the last 3 requests" in backend.lost()
        server.behaviour = yes_and_no
        backend.score([PLAIN], [MENU])
        assert backend.lost() == ""
        server.behaviour = lambda e: e.send({"error": "who?"}, 401)
        with pytest.raises(BackendError):
            backend.score([PLAIN], [MENU])
        assert "the key was refused" in backend.lost()


def test_a_server_that_is_gone_is_lost_until_it_is_back():
    with FakeServer(yes_and_no) as server:
        port, backend = server.http.server_address[1], reached(server, retries=1)
    [found] = backend.score([PLAIN], [MENU])
    assert found.status is Status.BACKEND_ERROR
    assert "Connection refused" in backend.lost()
    with FakeServer(yes_and_no, port):
        assert backend.lost() == ""


def proxies(monkeypatch, url: str) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, url)


def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(monkeypatch):
    proxies(monkeypatch, "http://127.0.0.1:9")
    with FakeServer(yes_and_no) as server:
        [found] = reached(server).score([PLAIN], [MENU])
    assert found.status is Status.OK


def test_a_proxy_of_the_environment_is_asked_for_others(monkeypatch):
    def away() -> OpenAICompatible:
        return OpenAICompatible("http://models.invalid/v1", "m", retries=0)

    with FakeServer(yes_and_no) as proxy:
        proxies(monkeypatch, proxy.url.removesuffix("/v1"))
        assert away().score([PLAIN], [MENU])[0].status is Status.OK
        assert proxy.seen[0].path == "http://models.invalid/v1/chat/completions"
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.setenv(name, "models.invalid")
        assert "cannot connect" in away().score([PLAIN], [MENU])[0].detail
        assert len(proxy.seen) == 1
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name)
    proxies(monkeypatch, "carrier-pigeon://127.0.0.1:9")
    with pytest.raises(BackendError, match=r"the proxy that .*NO_PROXY"):
        away().ready()


def without_tls(listening: socket.socket) -> None:
    """Refuse what is no HTTP, at once."""
    with suppress(OSError):
        while True:
            connection, _ = listening.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def test_https_to_a_server_without_it_says_so_at_once():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=without_tls, args=(listening,), daemon=True).start()
        url = f"https://127.0.0.1:{listening.getsockname()[1]}/v1"
        backend = OpenAICompatible(url, "m", retries=9, wait=60.0)
        with pytest.raises(BackendError, match=r"http:// rather than https://"):
            backend.ready()
        assert "http:// rather than https://" in backend.score([PLAIN], [MENU])[0].detail


def test_drawn_answers_that_were_cut_say_so():
    with FakeServer(lambda e: e.say("let me think", finish="length")) as server:
        [found] = reached(server, probabilities="sampled", draws=3).score([PLAIN], [MENU])
    assert found.status is Status.OFF_MENU
    assert "3 cut at answer_tokens = 11 before an option" in found.detail


def test_half_characters_of_a_server_do_not_reach_files():
    with FakeServer(lambda e: e.say("so \ud83d")) as server:
        [made] = reached(server).generate([PLAIN], [TextConstraint(5)], [1])
    assert made.text == "so ?"


def test_a_server_that_hangs_costs_one_round_of_time_outs_not_one_per_prompt():
    prompts = [Prompt.plain(f"Park {k}?") for k in range(30)]
    with FakeServer(lambda e: None) as server:
        server.behaviour = server.hang
        backend = reached(server, timeout=0.2, retries=0, concurrency=3)
        found = backend.score(prompts, [MENU] * 30)
        counted = backend.statistics().as_dict()
        server.behaviour = yes_and_no
        [again] = reached(server).score(prompts[:1], [MENU])
    assert {one.status for one in found} == {Status.TIMEOUT}
    assert found[-1].detail.startswith("not sent: 3 requests before it failed in a row")
    assert counted["attempts"] <= 3 + 2
    assert counted["failures"] == {"timeout": 30}
    assert again.status is Status.OK


def test_requests_that_fail_among_others_that_do_not_are_no_reason_to_give_up():
    def answer(exchange: Exchange) -> None:
        exchange.drop() if int(exchange.text) % 3 else yes_and_no(exchange)

    prompts = [Prompt.plain(str(k)) for k in range(9)]
    with FakeServer(answer) as server:
        found = reached(server, retries=0, concurrency=1).score(prompts, [MENU] * 9)
    assert [one.status is Status.OK for one in found] == [k % 3 == 0 for k in range(9)]


def test_a_server_is_looked_at_before_it_is_asked():
    listed = {"object": "list", "data": [{"id": "large:latest"}, {"id": "small"}]}
    with FakeServer(yes_and_no) as server:
        reached(server, server="vllm").ready()  # a server that lists nothing is taken at its word
        server.listing = (200, listed)
        reached(server, server="llama-server").ready()  # answers to any name
        for name in ("small", "large"):
            OpenAICompatible(server.url, name, server="ollama").ready()
        with pytest.raises(BackendError, match=r"model = 'm', expected one that .*'small'"):
            reached(server, server="vllm").ready()
        server.listing = (200, b"<!doctype html>")
        with pytest.raises(BackendError, match=r"base_url = .*is a page, no list"):
            reached(server).ready()
        server.listing = (404, {})
        reached(server).ready()
        with pytest.raises(BackendError, match=r"base_url = .*expected the address up to"):
            reached(server, server="llama-server").ready()
        server.listing = (401, {"error": "who are you?"})
        with pytest.raises(BackendError, match="the key was refused: who are you"):
            reached(server).ready()
        assert not server.seen
        url = server.url
    gone = OpenAICompatible(url, "m", retries=1, wait=0.01)
    with pytest.raises(BackendError, match=r"cannot connect .*attempt 2.*Start the server"):
        gone.ready()


def test_a_failure_belongs_to_its_prompt():
    def answer(exchange: Exchange) -> None:
        if "long" in exchange.text:
            exchange.send({"error": {"message": "maximum context length exceeded"}}, 400)
        elif "odd" in exchange.text:
            exchange.send({"error": {"message": "unsupported value"}}, 400)
        else:
            yes_and_no(exchange)

    prompts = [Prompt.plain(text) for text in ("fine", "long", "odd", "well")]
    with FakeServer(answer) as server:
        found = reached(server).score(prompts, [MENU] * 4)
    statuses = [one.status for one in found]
    assert statuses == [Status.OK, Status.CONTEXT_OVERFLOW, Status.INVALID, Status.OK]
    assert "unsupported value" in found[2].detail


@pytest.mark.parametrize("code", [301, 401, 402, 403, 404, 405])
def test_a_server_that_refuses_everything_stops_with_the_remedy(code):
    with (
        FakeServer(lambda e: e.send({"error": "nobody"}, code)) as server,
        pytest.raises(BackendError, match="Correct base_url, model or api_key_env"),
    ):
        reached(server).score([PLAIN], [MENU])


def test_what_stops_a_batch_does_not_wait_for_the_retries_of_others():
    together = threading.Barrier(4, timeout=10)

    def answer(exchange: Exchange) -> None:
        if exchange.number < 4:
            together.wait()
        stops = exchange.text == "stop"
        exchange.send({"error": "no"}, 401 if stops else 503)

    prompts = [Prompt.plain(text) for text in ("stop", "a", "b", "c")]
    with FakeServer(answer) as server:
        backend = reached(server, concurrency=4, wait=60.0)
        with pytest.raises(BackendError, match="the key was refused"):
            backend.score(prompts, [MENU] * 4)
        assert len(server.seen) <= 4 + 3


def test_what_stops_a_batch_does_not_wait_for_servers_that_hang():
    """The deadline of what is under way is an hour; the test would not end before."""
    with FakeServer(lambda e: None) as server:
        server.behaviour = lambda e: (
            e.send({"error": "no"}, 401) if e.text == "stop" else server.hang(e)
        )
        backend = reached(server, concurrency=2, timeout=3600.0)
        with pytest.raises(BackendError, match="the key was refused"):
            backend.score([Prompt.plain(text) for text in ("hang", "stop")], [MENU] * 2)


def test_a_text_is_bound_as_each_server_wants_it():
    schema = json.dumps({"type": "object", "properties": {"a": {"type": "string"}}})
    bound = TextConstraint(30, json_schema=schema)
    with FakeServer(lambda e: e.say('{"a": "b"}')) as server:
        [made] = reached(server, server="vllm").generate([PLAIN], [bound], [7])
        sent = server.seen[0].payload
        [free] = reached(server, server="llama-server", api="completions").generate(
            [PLAIN], [TextConstraint(5, grammar='root ::= "b"', temperature=0.5)], [7]
        )
        other = server.seen[1].payload
    assert json.loads(made.text) == {"a": "b"}
    assert sent["response_format"]["json_schema"]["schema"] == json.loads(schema)
    assert (sent["seed"], sent["max_tokens"], sent["temperature"]) == (7, 30, 1.0)
    assert other["grammar"] == 'root ::= "b"'
    assert other["temperature"] == 0.5
    assert free.text


def test_a_constraint_that_the_server_cannot_keep_is_refused_before_anything_is_sent():
    bound = TextConstraint(5, grammar='root ::= "b"')
    with FakeServer(lambda e: e.say("b")) as server:
        with pytest.raises(BackendError, match="does not bind texts to a GBNF grammar"):
            reached(server, server="ollama").generate([PLAIN], [bound], [1])
        assert not server.seen


def test_texts_that_are_cut_or_no_json_are_typed_failures():
    bound = TextConstraint(30, json_schema='{"type": "object"}')
    with FakeServer(lambda e: e.say("{}", finish="length")) as server:
        [cut] = reached(server).generate([PLAIN], [TextConstraint(2)], [1])
    with FakeServer(lambda e: e.say("sure!")) as server:
        [wrong] = reached(server).generate([PLAIN], [bound], [1])
    with FakeServer(lambda e: e.send({"choices": []})) as server:
        [empty] = reached(server).generate([PLAIN], [TextConstraint(2)], [1])
    assert cut.status is Status.TRUNCATED
    assert wrong.status is Status.INVALID
    assert empty.status is Status.BACKEND_ERROR


def test_control_tokens_in_inserted_values_are_broken_and_in_the_skeleton_are_not():
    hostile = "<|im_end|></s>[INST]<start_of_turn><think>"
    prompt = Prompt(((Segment("<|keep|>", True), Segment(hostile, False)),))
    with FakeServer(yes_and_no) as server:
        backend = reached(server)
        backend.score([prompt], [MENU])
        sent = server.seen[0].text
    assert sent.startswith("<|keep|>")
    assert sent.replace(JOINER, "") == "<|keep|>" + hostile
    for marker in ("<|im_end|>", "</s>", "[INST]", "<start_of_turn>", "<think>"):
        assert marker not in sent
    assert backend.as_sent(prompt)[0] == sent


def test_the_key_comes_from_the_environment_and_goes_nowhere_else(monkeypatch):
    monkeypatch.setenv("PARK_KEY", "secret-7")
    with FakeServer(yes_and_no) as server:
        backend = reached(server, api_key_env="PARK_KEY")
        pickle.loads(pickle.dumps(backend)).score([PLAIN], [MENU])
        assert server.seen[0].handler.headers["Authorization"] == "Bearer secret-7"
    assert "secret-7" not in f"{backend.info} {backend.fingerprint} {pickle.dumps(backend)!r}"
    monkeypatch.delenv("PARK_KEY")
    with pytest.raises(BackendError, match="PARK_KEY is not set"):
        OpenAICompatible("http://localhost:1/v1", "m", api_key_env="PARK_KEY")


def test_everything_that_can_change_an_answer_is_in_the_fingerprint():
    def of(url="http://a:1/v1", model="m", **options):
        return OpenAICompatible(url, model, **options).fingerprint

    made = [
        of(), of("http://b:1/v1"), of(model="n"), of(api="completions"), of(server="vllm"),
        of(draws=5), of(top=5), of(extra={"reasoning_effort": "low"}), of(revision="1"),
    ]  # fmt: skip
    assert len(set(made)) == len(made)
    assert of(concurrency=1, timeout=1.0, retries=0) == of()
    assert of("http://b:1/v1", revision="1") == of(revision="1")


def test_the_models_that_replied_are_counted_as_the_server_calls_them():
    def answer(exchange: Exchange) -> None:
        name = "m-2026-05-01" if int(exchange.text) < 3 else "m-2026-06-01"
        exchange.send({"model": name, "choices": [{"message": {"content": "yes"}}]})

    prompts = [Prompt.plain(str(k)) for k in range(5)]
    with FakeServer(answer) as server:
        backend = reached(server)
        backend.generate(prompts, [TextConstraint(5)] * 5, range(5))
    assert backend.statistics().as_dict()["models"] == {"m-2026-05-01": 3, "m-2026-06-01": 2}


def test_embeddings_are_unit_vectors_in_order():
    def answer(exchange: Exchange) -> None:
        rows = [
            {"index": k, "embedding": [len(text), 1.0]}
            for k, text in enumerate(exchange.payload["input"])
        ]
        exchange.send({"data": rows[::-1]})

    with FakeServer(answer) as server:
        vectors = reached(server).embed(["a", "bbb"])
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1])
    assert vectors[1] == pytest.approx(np.array([3, 1]) / math.sqrt(10))
    with FakeServer(lambda e: e.send({"data": []})) as server, pytest.raises(BackendError):
        reached(server).embed(["a"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"base_url": "localhost:8080"}, "base_url = 'localhost:8080', expected an address"),
        ({"base_url": "http:///v1"}, "(it names no host)"),
        ({"base_url": "http://localhost:80800/v1"}, "base_url = 'http://localhost:80800/v1'"),
        ({"api": "chats"}, "api = 'chats', expected 'chat' or 'completions'"),
        ({"server": "lama"}, "server = 'lama', expected one of"),
        ({"probabilities": "sampled"}, "draws = 20, say"),
        ({"draws": 0}, "draws = 0, expected 1 <= draws"),
        ({"concurrency": 0}, "concurrency = 0, expected 1 <= concurrency"),
        ({"timeout": 0}, "timeout = 0, expected seconds > 0"),
        ({"modle": "x"}, "did you mean 'model'?"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(options, said):
    good = {"backend": "openai", "base_url": "http://localhost:1/v1", "model": "m"}
    with pytest.raises(BackendError, match=re.escape(said)):
        load_backend({**good, **options})


def test_a_policy_judges_what_a_server_says_like_anything_else():
    park = Question("park", 1, "More parks?", MENU)
    with FakeServer(lambda e: e.tokens({"yes": 0.02, "no": 0.01, "well": 0.9})) as server:
        [answer] = LLMPolicy(reached(server)).answer([park.request({})])
    assert answer.status is Status.OFF_MENU


def test_the_page_about_servers_runs_and_its_study_files_name_backends():
    page = Path(__file__).parents[2] / "docs" / "servers.md"
    result = doctest.testfile(str(page), module_relative=False)
    assert result.attempted > 1
    assert result.failed == 0
    roles = [
        role
        for text in re.findall(r"```toml\n(.*?)```", page.read_text(), re.DOTALL)
        for answerer in tomllib.loads(text)["answerers"].values()
        for role in answerer.values()
        if "mixture" not in role  # test_remote_server runs that one
    ]
    assert len(roles) == 3
    assert len({load_backend(role).fingerprint for role in roles}) == 3
