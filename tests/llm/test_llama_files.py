"""Model files that are not what they should be, and models that are used where they must not be."""

from __future__ import annotations

import gc
import os
import pickle
import struct
import subprocess
import sys
import warnings

import pytest

from abm.errors import AbmError, BackendError, MissingExtra, ModelFileError
from abm.llm import LlamaCpp, load_backend
from abm.llm.llamacpp import library as library_module
from abm.llm.llamacpp.header import read_header
from abm.questions import Prompt

pytestmark = pytest.mark.llama
ASK = ([Prompt.plain("a b")], [["yes", "no"]])


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(ModelFileError, match="does not exist"):
        LlamaCpp(tmp_path / "none.gguf")
    with pytest.raises(ModelFileError, match="is a folder"):
        LlamaCpp(tmp_path)


def test_another_format_says_so(tmp_path):
    (tmp_path / "a.gguf").write_bytes(b"PK\x03\x04" + b"\0" * 100)
    with pytest.raises(ModelFileError, match="not a GGUF"):
        LlamaCpp(tmp_path / "a.gguf")
    (tmp_path / "b.gguf").write_bytes(b"GGUF" + struct.pack("<IQQ", 99, 1, 1) + b"\0" * 40)
    with pytest.raises(ModelFileError, match="version 99"):
        LlamaCpp(tmp_path / "b.gguf")


def test_a_truncated_file_is_never_given_to_llama_cpp(gguf_files, tmp_path):
    """Cut at 25 places from nothing to one byte before the end."""
    whole = gguf_files["F16"].read_bytes()
    assert read_header(gguf_files["F16"]).size <= len(whole)
    cuts = sorted({*range(0, len(whole), len(whole) // 22), 4, 20, len(whole) - 1})
    for cut in cuts:
        (tmp_path / "cut.gguf").write_bytes(whole[:cut])
        with pytest.raises(ModelFileError, match=r"truncated|not a GGUF"):
            LlamaCpp(tmp_path / "cut.gguf")


def test_a_header_of_noise_is_refused_and_not_followed(gguf_files, tmp_path):
    whole = bytearray(gguf_files["F16"].read_bytes())
    for place, value in ((8, 2**63), (16, 2**40), (24, 2**50)):
        broken = bytearray(whole)
        broken[place : place + 8] = struct.pack("<Q", value)
        (tmp_path / "noise.gguf").write_bytes(broken)
        with pytest.raises(ModelFileError):
            LlamaCpp(tmp_path / "noise.gguf")


def test_what_llama_cpp_refuses_is_an_error_with_its_reason(tmp_path):
    import gguf

    writer = gguf.GGUFWriter(str(tmp_path / "odd.gguf"), "no-such-architecture")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(ModelFileError, match="no-such-architecture"):
        LlamaCpp(tmp_path / "odd.gguf")


@pytest.mark.parametrize(
    "wrong",
    [
        {"n_ctx": 3},
        {"n_threads": 0},
        {"mode": "exact"},
        {"n_parallel": 0},
        {"resident_bytes": -1},
        {"chat_options": {"enable_thinking": True}},
    ],
)
def test_parameters_out_of_range_name_themselves(gguf_files, wrong):
    with pytest.raises(BackendError, match=next(iter(wrong))):
        LlamaCpp(gguf_files["F16"], **wrong)


def test_without_llama_cpp_the_error_says_how_to_get_it(gguf_files, monkeypatch):
    monkeypatch.setitem(sys.modules, "llama_cpp", None)
    library_module.library.cache_clear()
    try:
        with pytest.raises(MissingExtra, match=r"agora-abm\[llama\]"):
            LlamaCpp(gguf_files["F16"])
    finally:
        library_module.library.cache_clear()


def test_a_closed_model_is_not_asked(gguf_files):
    with LlamaCpp(gguf_files["F16"], n_threads=1) as model:
        assert model.score(*ASK)[0].status == "ok"
    with pytest.raises(BackendError, match="was closed"):
        model.score(*ASK)
    model.close()
    assert "closed" in repr(model)


def test_a_fork_is_refused(gguf_files):
    """The child reports through its exit status; it must not touch the parent's model."""
    with LlamaCpp(gguf_files["F16"], n_threads=1) as model:
        before = model.score(*ASK)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            try:
                model.score(*ASK)
            except BackendError as error:
                os._exit(17 if "fork" in str(error) else 18)
            os._exit(19)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 17
        assert model.score(*ASK) == before


def test_pickling_is_refused_with_the_remedy(gguf_files):
    with (
        LlamaCpp(gguf_files["F16"], n_threads=1) as model,
        pytest.raises(BackendError, match="RemotePolicy"),
    ):
        pickle.dumps(model)


def resident_bytes() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("how", ["close", "forget"])
def test_models_give_their_memory_back(gguf_files, how):
    """Twenty models one after another; each holds megabytes, the process grows by less than 8."""

    def use() -> None:
        model = LlamaCpp(gguf_files["F16"], n_threads=1)
        model.score(*ASK)
        model.embed(["a"])
        if how == "close":
            model.close()

    for _ in range(5):
        use()
    gc.collect()
    before = resident_bytes()
    for _ in range(20):
        use()
    gc.collect()
    assert resident_bytes() - before < 8e6


def test_the_fingerprint_tells_files_apart_and_knows_a_copy(gguf_files, tmp_path):
    copy = tmp_path / "copy.gguf"
    copy.write_bytes(gguf_files["F16"].read_bytes())
    prints = []
    for path in (gguf_files["F16"], copy, gguf_files["Q8_0"]):
        with LlamaCpp(path, n_threads=1) as model:
            prints.append(model.fingerprint)
    assert prints[0] == prints[1] != prints[2]
    assert "F16" in prints[0]
    assert "Q8_0" in prints[2]


def test_specifications_become_backends(gguf_files):
    file = str(gguf_files["F16"])
    for spec in (
        file,
        gguf_files["F16"],
        {"path": file, "n_threads": 1},
        {"backend": file, "mode": "fast", "n_ctx": 128},
        {"backend": "llama", "path": file},
    ):
        with load_backend(spec) as model:
            assert isinstance(model, LlamaCpp)
            assert model.path == gguf_files["F16"]
            if isinstance(spec, dict):
                assert model.mode == spec.get("mode", "strict")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"backend": "embeded"}, "did you mean 'embedded'"),
        ({"backend": "llama"}, "needs path"),
        ({"backend": "embedded", "path": "x.gguf"}, "takes no path"),
        ({"path": "x.gguf", "n_contex": 5}, "did you mean 'n_ctx'"),
        ({"path": "x.gguf", "n_ctx": "big"}, "n_ctx = 'big', expected a whole number"),
        ({"backend": "embedded", "n_threads": 2.5}, "n_threads = 2.5, expected a whole number"),
        ({"backend": "embedded", "n_threads": True}, "n_threads = True, expected a whole number"),
        ({"backend": "embedded", "chat": 1}, "chat = 1, expected true or false"),
        ({"backend": "embedded", "chat_options": "x"}, "chat_options = 'x', expected a table"),
        ({"backend": "scripted", "score": "nowhere:at_all"}, "nowhere"),
        ({"backend": "scripted", "score": "math"}, "module:function"),
        ("missing.gguf", "does not exist"),
        ("", "expected 'embedded'"),
    ],
)
def test_a_specification_that_is_wrong_says_what_is_expected(spec, message):
    with pytest.raises(AbmError, match=message):
        load_backend(spec)


@pytest.mark.parametrize(("given", "policy"), [(None, "PASSIVE"), ("active", "ACTIVE")])
def test_threads_of_an_answering_process_with_workers_sleep_unless_told_otherwise(given, policy):
    """OpenMP shows what it was loaded with; a child that is started later finds no trace of it."""
    if "OPENMP = 1" not in library_module.hardware():
        pytest.skip("llama.cpp was compiled without OpenMP")
    code = (
        "import os; from abm.llm.llamacpp.library import library, wait_asleep; "
        "wait_asleep(); library(); print(os.environ.get('OMP_WAIT_POLICY'))"
    )
    clean = {k: v for k, v in os.environ.items() if k not in library_module._WAITING}
    asked = {**clean, "OMP_DISPLAY_ENV": "true", **({"OMP_WAIT_POLICY": given} if given else {})}
    done = subprocess.run(
        [sys.executable, "-c", code], env=asked, capture_output=True, text=True, check=True
    )
    assert f"OMP_WAIT_POLICY = '{policy}'" in done.stderr
    assert done.stdout.split() == [str(given)]
