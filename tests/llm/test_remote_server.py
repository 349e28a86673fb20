"""The embedded model behind llama-cpp-python's own server, on loopback."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from backend_contract import total_variation
from loopback import ServedContract, free_port, python_server, served, small
from test_backends import embedded_case

from abm.llm import OpenAICompatible
from abm.questions import Kind, Status, TextConstraint

pytestmark = [pytest.mark.llama, pytest.mark.slow]


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    pytest.importorskip("llama_cpp", reason="needs the extra `llama`")
    pytest.importorskip("fastapi", reason="llama-cpp-python's server: the extra `dev` has it")
    from abm.llm.embedded.instrument import model_path

    port, log = free_port(), tmp_path_factory.mktemp("server") / "log"
    with served(python_server(model_path(), port), port, log):
        yield f"http://127.0.0.1:{port}/v1"


@pytest.fixture(scope="module")
def remote(url):
    with OpenAICompatible(
        url, "embedded", api="completions", server="llama-cpp-python", top=60, draws=20,
        concurrency=2, retries=1, wait=0.1, revision="embedded",
    ) as backend:  # fmt: skip
        yield backend


@pytest.fixture(scope="module")
def second_url(tmp_path_factory):
    """A server of another model: 8-bit weights."""
    pytest.importorskip("gguf", reason="the helper that quantises imports the package gguf")
    from random_gguf import quantise

    from abm.llm.embedded.instrument import model_path

    folder, port = tmp_path_factory.mktemp("second"), free_port()
    file = quantise(Path(model_path()), folder / "embedded-Q8_0.gguf")
    with served(python_server(file, port), port, folder / "log"):
        yield f"http://127.0.0.1:{port}/v1"


def test_the_society_of_the_page_lives_on_two_servers_and_a_file(url, second_url, tmp_path):
    """The study file as printed, but for the ports, which may be taken here."""
    from random_gguf import quantise

    from abm import Study
    from abm.llm.embedded.instrument import model_path

    page = (Path(__file__).parents[2] / "docs" / "servers.md").read_text()
    [text] = [t for t in re.findall(r"```toml\n(.*?)```", page, re.DOTALL) if "two_servers" in t]
    text = text.replace("http://127.0.0.1:8001/v1", url)
    (tmp_path / "two.toml").write_text(text.replace("http://127.0.0.1:8002/v1", second_url))
    quantise(Path(model_path()), tmp_path / "embedded-Q8_0.gguf")
    done = Study.from_toml(tmp_path / "two.toml").run(tmp_path / "runs", workers=1)
    assert done.manifest["runs"]["finished"] == 1, done.manifest["failed"]
    told = done.run("base", "served").manifest["answers"]
    assert {"citizen.here", "citizen.first", "citizen.second"} <= set(told)
    assert all(told[f"citizen.{name}"]["asked"] > 0 for name in ("here", "first", "second"))


class TestServer(ServedContract):
    @pytest.fixture
    def backend(self, remote):
        return remote

    @pytest.fixture
    def case(self):
        return small(embedded_case())


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
