"""Real servers of language models on this machine, for tests."""

from __future__ import annotations

import math
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from backend_contract import BackendContract, Case

from abm.llm.remote.control import JOINER
from abm.questions import Prompt, Segment, Status

__all__ = ["ServedContract", "free_port", "python_server", "served", "small"]


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


def python_server(file: Path, port: int) -> list[str]:
    """The command of llama-cpp-python's own server."""
    command = [sys.executable, "-m", "llama_cpp.server", "--model", str(file), "--port", str(port)]
    command += ["--host", "127.0.0.1", "--n_ctx", "1024", "--logits_all", "True"]
    command += ["--n_threads", "1", "--n_threads_batch", "1", "--interrupt_requests", "False"]
    return command


@contextmanager
def served(command: Sequence[str], port: int, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A server that answers on `port`; killed at the end, if it has not been before."""
    with log.open("wb") as out:
        server = subprocess.Popen(command, stdout=out, stderr=out, env={**os.environ})
    try:
        for _ in range(900):
            assert server.poll() is None, log.read_text()[-2000:]
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models", timeout=1).close()
                break
            except OSError:  # not listening yet, or still loading its model (503)
                time.sleep(0.1)
        else:
            raise AssertionError(log.read_text()[-2000:])
        yield server
    finally:
        server.kill()
        server.wait()


class ServedContract(BackendContract):
    """What a server cannot promise is said here: no bits, no tokens, no embeddings of this one."""

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
        pytest.skip("started without embeddings; test_remote_faults has a server that gives them")

    def test_an_empty_batch_has_no_answers(self, backend):
        assert list(backend.score([], [])) == []
        assert list(backend.generate([], [], [])) == []
        assert len(backend.embed([])) == 0


def small(case: Case) -> Case:
    """Four kinds of question, because some servers answer one request at a time."""
    return Case(
        prompts=case.prompts[:4],
        menus=case.menus[:4],
        writers=case.writers[:1],
        constraint=case.constraint,
        tolerance=2e-3,
        refuses=frozenset({Status.CONTEXT_OVERFLOW}),
    )
