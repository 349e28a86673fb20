"""The embedded model behind llama.cpp's own server, `llama-server`, on loopback.

Runs where there is one: on the PATH, or named by AGORA_LLAMA_SERVER.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil

import pytest
from backend_contract import total_variation
from loopback import ServedContract, free_port, served, small
from test_backends import embedded_case

from abm.ledger import Ledger, Recorded, RunRecorder
from abm.llm import OpenAICompatible
from abm.policies import LLMPolicy
from abm.questions import Kind, Prompt, Request, Status, TextConstraint

pytestmark = [pytest.mark.llama, pytest.mark.slow]


def command(port: int) -> list[str]:
    from abm.llm.embedded.instrument import model_path

    program = os.environ.get("AGORA_LLAMA_SERVER") or shutil.which("llama-server")
    if program is None:
        pytest.skip("no llama-server on the PATH, and AGORA_LLAMA_SERVER names none")
    given = f"--host 127.0.0.1 --port {port} -c 4096 --parallel 4 -t 1 -tb 1"
    return [program, "-m", str(model_path()), *given.split()]


def reached(port: int, **options) -> OpenAICompatible:
    given = {"api": "completions", "server": "llama-server", "top": 60, "revision": "embedded"}
    given |= {"concurrency": 4, "retries": 1, "wait": 0.1}
    return OpenAICompatible(f"http://127.0.0.1:{port}/v1", "embedded", **given | options)


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    port = free_port()
    with served(command(port), port, tmp_path_factory.mktemp("llama-server") / "log"):
        yield port


@pytest.fixture(scope="module")
def remote(port):
    with reached(port, draws=20) as backend:
        yield backend


class TestLlamaServer(ServedContract):
    @pytest.fixture
    def backend(self, remote):
        return remote

    @pytest.fixture
    def case(self):
        return small(embedded_case())

    def test_equal_questions_get_equal_answers(self, backend, case):
        """But for rounding: what else is in a batch, and which prefix was kept, is the server's."""
        first = backend.score(case.prompts, case.menus)
        self.same(case, first, backend.score(case.prompts, case.menus))

    def test_it_travels_whole_or_says_how_to_do_without(self, backend, case):
        with pickle.loads(pickle.dumps(backend)) as again:
            assert again.fingerprint == backend.fingerprint
            first = again.score(case.prompts, case.menus)
        self.same(case, first, backend.score(case.prompts, case.menus))

    def test_a_text_depends_on_its_seed(self, backend, case):
        """That an equal seed gives an equal text is not promised here, for the same reason."""
        made = backend.generate([case.writers[0]] * 12, [case.constraint] * 12, range(12))
        assert {one.status for one in made} <= {Status.OK, Status.TRUNCATED}
        assert len({one.text for one in made}) > 1


def test_it_agrees_with_the_library_on_the_same_file_four_requests_at_a_time(remote):
    """Tolerance 0.01 in total variation: the end of the turn is no part of a server's score."""
    from abm.llm import embedded

    case = embedded_case()
    with embedded.backend(n_threads=1) as backend:
        own = backend.score(case.prompts, case.menus)
    theirs = remote.score(case.prompts, case.menus)
    exact = [(a, b) for a, b in zip(own, theirs, strict=True) if b.kind is Kind.EXACT]
    assert {b.status for b in theirs} == {Status.OK}
    assert len(exact) >= len(theirs) - 2
    assert max(total_variation(a, b) for a, b in exact) < 0.01


def test_a_text_keeps_to_its_grammar_and_to_its_schema(port, remote):
    [writer, *_] = embedded_case().writers
    bound = TextConstraint(20, grammar='root ::= "parks are " ("good" | "bad")')
    made = remote.generate([writer] * 6, [bound] * 6, range(6))
    assert {one.text for one in made} <= {"parks are good", "parks are bad"}
    bound = TextConstraint(40, json_schema=json.dumps({"enum": ["park", "tax"]}))
    for api in ("completions", "chat"):
        with reached(port, api=api) as backend:
            [said] = backend.generate([writer], [bound], [1])
        assert json.loads(said.text) in {"park", "tax"}, api


def test_a_prompt_longer_than_the_context_is_an_overflow(remote):
    [answer] = remote.score([Prompt.plain("parks and taxes " * 1200)], [("yes", "no")])
    assert answer.status is Status.CONTEXT_OVERFLOW


def situations(n: int) -> list[Request]:
    """Different persons who are asked the same (the embedded model's own language)."""
    from abm.llm.embedded import language

    question = language.agreement(7)
    fields = dict.fromkeys(question.template.fields, "")
    fields["statement"] = language.statement_text("free buses")
    return [
        question.request({**fields, "persona": language.persona_text(age=20 + k)}) for k in range(n)
    ]


def test_a_server_that_is_killed_loses_no_answer_and_a_new_one_is_asked_for_the_rest(tmp_path):
    port, requests = free_port(), situations(40)
    path = tmp_path / "ledger.sqlite"
    with reached(port) as backend:
        with served(command(port), port, tmp_path / "first") as server, Ledger(path) as ledger:
            recorder = RunRecorder(Recorded(LLMPolicy(backend), ledger), "run")
            before = recorder.answer(requests[:16])
            server.kill()
            server.wait()
            broken = recorder.answer(requests)
        assert {one.status for one in before} == {Status.OK}
        assert broken[:16] == before
        assert {one.status for one in broken[16:]} == {Status.BACKEND_ERROR}
        assert "cannot connect" in broken[-1].detail
        with served(command(port), port, tmp_path / "second"), Ledger(path) as ledger:
            assert len(ledger) == 16
            recorded = Recorded(LLMPolicy(backend), ledger)
            recorded.forget_failures("run")
            done = RunRecorder(recorded, "run").answer(requests)
    assert {one.status for one in done} == {Status.OK}
    assert done[:16] == before
    assert recorded.counts.inferred == 24
