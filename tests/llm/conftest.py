"""Tiny GGUFs with random weights, written once for all tests of this folder."""

import pytest


@pytest.fixture(scope="session")
def gguf_files(tmp_path_factory):
    """`F16`, its 8-bit copy `Q8_0`, and `chat` with a chat template."""
    pytest.importorskip("llama_cpp", reason="needs the extra `llama`")
    pytest.importorskip("gguf", reason="writes GGUFs with the package gguf")
    from random_gguf import TEMPLATE, quantise, write_random_gguf

    folder = tmp_path_factory.mktemp("gguf")
    plain = write_random_gguf(folder / "plain.gguf", scale=0.7)
    chat = write_random_gguf(folder / "chat.gguf", seed=2, scale=0.7, template=TEMPLATE)
    return {"F16": plain, "Q8_0": quantise(plain, folder / "q8.gguf"), "chat": chat}


@pytest.fixture(scope="session")
def model_file(request):
    """A function: the file of one of those, or of the `embedded` model, which needs no writer."""

    def find(name):
        if name != "embedded":
            return request.getfixturevalue("gguf_files")[name]
        pytest.importorskip("llama_cpp", reason="needs the extra `llama`")
        from abm.llm.embedded import model_path

        return model_path()

    return find
