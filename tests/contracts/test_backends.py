"""Every backend of the package keeps the promises of `backend_contract`."""

from __future__ import annotations

import hashlib
import random

import numpy as np
import pytest
from backend_contract import BackendContract, Case

from abm.llm import LlamaCpp, Scripted
from abm.questions import Prompt, Status, TextConstraint

MENUS = (("yes", "no"), tuple(str(k) for k in range(1, 8)), ("agree", "agree strongly", "10", "1"))


def plain_case(tolerance: float = 0.0) -> Case:
    """Nine prompts that share blocks, for models that know no language in particular."""
    draw = random.Random(7)
    words = ["you", "are", "the", "friends", "read", "your", "post", "and", "park", "zebra"]
    shared = ["topic: parks\n", "topic: parties\n"]
    ends = ("\nanswer:", "\n", " ?")
    prompts = [
        Prompt.plain(
            shared[k % 2], " ".join(draw.choices(words, k=(3, 20, 8)[k % 3])), ends[k // 3]
        )
        for k in range(9)
    ]
    return Case(
        prompts=prompts,
        menus=[MENUS[k % 3] for k in range(9)],
        writers=prompts[:3],
        constraint=TextConstraint(12),
        tolerance=tolerance,
    )


def noise(text: str, options: tuple[str, ...]) -> list[float]:
    weights = [1 + hashlib.sha256((text + option).encode("utf-8", "replace")).digest()[0]
               for option in options]  # fmt: skip
    return [0.9 * weight / sum(weights) for weight in weights]


def words_from_seed(text: str, constraint: TextConstraint, seed: int) -> str:
    return " ".join(random.Random(f"{len(text)} {seed}").choices(["parks", "are", "good"], k=4))


def letters(text: str) -> np.ndarray:
    return np.bincount(np.frombuffer(text.encode(), np.uint8), minlength=256).astype(float)


class TestScripted(BackendContract):
    @pytest.fixture
    def backend(self):
        return Scripted(noise, words_from_seed, letters, n_ctx=1000)

    @pytest.fixture
    def twin(self):
        return Scripted(noise, words_from_seed, letters, n_ctx=1000)

    @pytest.fixture
    def others(self):
        return [Scripted(noise, words_from_seed, letters, n_ctx=1000, version=2)]

    @pytest.fixture
    def case(self):
        return plain_case()


@pytest.fixture(scope="module")
def model_files(tmp_path_factory):
    pytest.importorskip("llama_cpp", reason="needs the extra `llama`")
    pytest.importorskip("gguf", reason="writes a GGUF with the package gguf")
    from random_gguf import TEMPLATE, quantise, write_random_gguf

    folder = tmp_path_factory.mktemp("gguf")
    plain = write_random_gguf(folder / "plain.gguf", scale=0.7)
    chat = write_random_gguf(folder / "chat.gguf", seed=2, scale=0.7, template=TEMPLATE)
    return {"F16": plain, "Q8_0": quantise(plain, folder / "q8.gguf"), "chat": chat}


@pytest.fixture(scope="module", params=["F16", "Q8_0", "chat"])
def weights(request, model_files):
    return request.param


@pytest.fixture(scope="module")
def strict(weights, model_files):
    with LlamaCpp(model_files[weights], n_threads=1) as backend:
        yield backend


@pytest.fixture(scope="module")
def fast(weights, model_files):
    from abm.llm.llamacpp.layout import Layout

    with LlamaCpp(model_files[weights], n_threads=1, mode="fast") as backend:
        backend._layout = Layout(weights != "F16", 256, 8, "given")  # not what this machine likes
        yield backend


@pytest.mark.llama
class TestLlamaStrict(BackendContract):
    @pytest.fixture
    def backend(self, strict):
        return strict

    @pytest.fixture
    def twin(self, weights, model_files):
        with LlamaCpp(model_files[weights], n_threads=2) as backend:
            yield backend

    @pytest.fixture
    def others(self, weights, model_files, fast):
        file = model_files[weights]
        changes = [
            (model_files["Q8_0" if weights == "F16" else "F16"], {}),
            (file, {"n_ctx": 512}),
            (model_files["chat"], {"chat": weights != "chat"}),
        ]
        made = [LlamaCpp(path, n_threads=1, **options) for path, options in changes]
        yield [fast, *made]
        for backend in made:
            backend.close()

    @pytest.fixture
    def case(self):
        return plain_case()


@pytest.mark.llama
class TestLlamaFast(BackendContract):
    """Total variation between batches of random models: 8 bits up to 0.05, F16 up to 2e-3."""

    @pytest.fixture
    def backend(self, fast):
        return fast

    @pytest.fixture
    def others(self, strict):
        return [strict]

    @pytest.fixture
    def case(self, weights):
        return plain_case(tolerance={"F16": 2e-3, "Q8_0": 0.05, "chat": 2e-3}[weights])


@pytest.fixture(scope="module")
def embedded_backend():
    pytest.importorskip("llama_cpp", reason="needs the extra `llama`")
    from abm.llm import embedded

    with embedded.backend(n_threads=1) as backend:
        yield backend


@pytest.mark.llama
class TestEmbedded(BackendContract):
    @pytest.fixture
    def backend(self, embedded_backend):
        return embedded_backend

    @pytest.fixture
    def case(self):
        return embedded_case()


def embedded_case() -> Case:
    """Sampled situations of every kind that the embedded model knows (seed 3)."""
    from abm.llm.embedded.language.grammar import blocks, field_texts
    from abm.llm.embedded.language.kinds import KINDS
    from abm.llm.embedded.language.sampling import sample
    from abm.questions import Template

    draw = random.Random(3)
    asked: dict[bool, list] = {True: [], False: []}
    for kind in KINDS.values():
        situation = sample(draw, kind)
        template = Template(blocks(kind, situation.options, situation.paraphrase))
        prompt = template.render(field_texts(situation))
        asked[situation.options is None].append((prompt, situation.options))
    prompts, menus = zip(*asked[False], strict=True)
    return Case(
        prompts=prompts,
        menus=menus,
        writers=[prompt for prompt, _ in asked[True]],
        constraint=TextConstraint(60),
        refuses=frozenset({Status.OUT_OF_LANGUAGE}),
    )
