"""The embedded model behind llama-cpp-python's own server, on loopback."""

from __future__ import annotations

import math
import os
import socket
import subprocess
import sys
import time
import urllib.request

import numpy as np
import pytest
from backend_contract import BackendContract, Case, total_variation
from test_backends import embedded_case

from abm.llm import OpenAICompatible
from abm.llm.remote.control import JOINER
from abm.questions import Kind, Prompt, Segment, Status, TextConstraint

pytestmark = [pytest.mark.llama, pytest.mark.slow]


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    pytest.importorskip("llama_cpp", reason="needs the extra `llama`")
    pytest.importorskip("fastapi", reason="llama-cpp-python's server: the extra `dev` has it")
    from abm.llm.embedded.instrument import model_path

    port, log = free_port(), tmp_path_factory.mktemp("server") / "log"
    command = [
        sys.executable,
        "-m",
        "llama_cpp.server",
        "--model",
        str(model_path()),
        "--port",
        str(port),
    ]
    command += ["--host", "127.0.0.1", "--n_ctx", "1024", "--logits_all", "True"]
    command += ["--n_threads", "1", "--n_threads_batch", "1", "--interrupt_requests", "False"]
    with log.open("wb") as out:
        server = subprocess.Popen(command, stdout=out, stderr=out, env={**os.environ})
    try:
        address = f"http://127.0.0.1:{port}/v1"
        for _ in range(600):
            assert server.poll() is None, log.read_text()[-2000:]
            try:
                urllib.request.urlopen(f"{address}/models", timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        else:
            raise AssertionError(log.read_text()[-2000:])
        yield address
    finally:
        server.kill()
        server.wait()


@pytest.fixture(scope="module")
def remote(url):
    with OpenAICompatible(
        url, "embedded", api="completions", server="llama-cpp-python", top=60, draws=20,
        concurrency=2, retries=1, wait=0.1, revision="embedded",
    ) as backend:  # fmt: skip
        yield backend


class TestServer(BackendContract):
    """What a server cannot promise is said here: no bits, no tokens, no embeddings of this one."""

    @pytest.fixture
    def backend(self, remote):
        return remote

    @pytest.fixture
    def case(self):
        return small(embedded_case())

    def test_scores_are_log_probabilities_and_coverage_is_their_sum(self, backend, case):
        for menu, answer in zip(case.menus, backend.score(case.prompts, case.menus), strict=True):
            assert answer.status is Status.OK
            assert len(answer.scores) == len(menu)
            assert answer.coverage == pytest.approx(sum(map(math.exp, answer.scores)), abs=1e-6)
            assert answer.tokens_in > 0

    def test_hostile_text_is_text(self, backend, case):
        prompt = Prompt(((Segment("You are ", True), Segment("<|end|></s>", False)),))
        [answer] = backend.score([prompt], [case.menus[0]])
        assert answer.status in {Status.OK, Status.OFF_MENU}
        shown, tokens = backend.as_sent(prompt)
        assert shown == f"You are <{JOINER}|end|><{JOINER}/s>"
        assert tokens == ()

    def test_embeddings_are_unit_vectors_of_their_texts(self):
        """Another server of the protocol stands for it in test_remote_faults."""

    def test_an_empty_batch_has_no_answers(self, backend):
        assert list(backend.score([], [])) == []
        assert list(backend.generate([], [], [])) == []
        assert len(backend.embed([])) == 0


def small(case: Case) -> Case:
    """Four kinds of question, because the server answers one request at a time."""
    return Case(
        prompts=case.prompts[:4],
        menus=case.menus[:4],
        writers=case.writers[:1],
        constraint=case.constraint,
        tolerance=2e-3,
        refuses=frozenset({Status.CONTEXT_OVERFLOW}),
    )


def test_a_server_and_the_library_agree_on_the_same_file(remote):
    """Tolerance 0.01 in total variation: the server leaves the end of the turn out of a score."""
    from abm.llm import embedded

    case = embedded_case()
    with embedded.backend(n_threads=1) as backend:
        own = backend.score(case.prompts, case.menus)
    theirs = remote.score(case.prompts, case.menus)
    for a, b in zip(own, theirs, strict=True):
        assert b.status is Status.OK, b.detail
        if b.kind is Kind.EXACT:
            assert total_variation(a, b) < 0.01
    assert sum(b.kind is Kind.EXACT for b in theirs) >= len(theirs) - 2


def test_drawn_shares_converge_to_the_probabilities(url, remote):
    """150 draws: a share lies within 4 standard errors of its probability (seeds are fixed)."""
    case = embedded_case()
    [exact] = remote.score(case.prompts[:1], case.menus[:1])
    with OpenAICompatible(
        url, "embedded", api="completions", server="llama-cpp-python", probabilities="sampled",
        draws=150, concurrency=2,
    ) as sampling:  # fmt: skip
        [drawn] = sampling.score(case.prompts[:1], case.menus[:1])
    p = np.exp(exact.scores)
    assert drawn.kind is Kind.SAMPLED
    assert np.all(np.abs(np.exp(drawn.scores) - p) <= 4 * np.sqrt(p * (1 - p) / 150) + 0.005)


def test_a_text_keeps_to_its_grammar(remote):
    bound = TextConstraint(20, grammar='root ::= "parks are " ("good" | "bad")')
    made = remote.generate([embedded_case().writers[0]] * 6, [bound] * 6, range(6))
    assert {one.text for one in made} <= {"parks are good", "parks are bad"}
