"""llama.cpp as a library: imported when first needed, and silent.

Everything in this package reaches llama.cpp through `library()`, which returns the low-level
functions of llama-cpp-python (`llama_cpp.llama_cpp`). What llama.cpp logs is kept in memory and is
shown only as part of an error.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from typing import Any

from abm.errors import BackendError, MissingExtra

__all__ = ["build", "hardware", "last_words", "library", "wait_asleep"]

_WORDS: deque[str] = deque(maxlen=20)
_WARNING, _ERROR = 3, 4
_WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")  # how threads of OpenMP wait
_WISHES: dict[str, str] = {}  # variables to load the library with
_KEEP: list[Any] = []  # the C side holds the callback; Python must not collect it


def wait_asleep() -> None:
    """Let the threads of llama.cpp sleep while they wait for each other, in this process alone.

    By default they spin. Beside other work a call then ends only when the spinning thread has lost
    its turn, at every layer, and takes several times as long; with threads that sleep it takes
    hardly longer than alone. Alone, sleeping can double the time of a short call. So whoever has
    worker processes beside the model calls this. It counts from the loading of llama.cpp on: it
    does nothing once that is done, or where the environment says how to wait.
    """
    if not any(name in os.environ for name in _WAITING):
        _WISHES["OMP_WAIT_POLICY"] = "passive"


@contextmanager
def _wished() -> Iterator[None]:
    """The wishes in the environment, which OpenMP reads as it is loaded; not for later children."""
    os.environ.update(_WISHES)
    try:
        yield
    finally:
        for name in _WISHES:
            os.environ.pop(name, None)


@cache
def library() -> Any:
    """The low-level module of llama-cpp-python, with its log turned off.

    Raises
    ------
    MissingExtra
        llama-cpp-python is not installed.
    BackendError
        It is installed and its compiled library cannot be loaded.
    """
    try:
        with _wished():
            from llama_cpp import llama_cpp as api
    except ModuleNotFoundError as error:
        raise MissingExtra(
            "a language model needs llama-cpp-python, which is not installed: "
            'run pip install "agora-abm[llama]" (compiles for about five minutes). '
            "Rules, replay and analysis work without it",
            extra="llama",
        ) from error
    except (OSError, RuntimeError) as error:
        raise BackendError(
            f"llama-cpp-python is installed but its library cannot be loaded: {error}. "
            "Reinstall it with pip install --force-reinstall --no-cache-dir llama-cpp-python"
        ) from error
    callback = api.llama_log_callback(_listen)
    _KEEP.append(callback)
    api.llama_log_set(callback, None)
    api.llama_backend_init()
    return api


def _listen(level: int, text: bytes, _: Any) -> None:
    if level in (_WARNING, _ERROR):
        _WORDS.append(text.decode("utf-8", "replace").strip())


def last_words(count: int = 3) -> str:
    """The last warnings and errors of llama.cpp, for an error message."""
    return "; ".join(list(_WORDS)[-count:]) or "llama.cpp gave no reason"


@cache
def build() -> str:
    """Version of the compiled code: llama-cpp-python and the llama.cpp inside it."""
    inside = library().llama_version().decode()
    return f"llama-cpp-python {version('llama_cpp_python')} (llama.cpp {inside})"


@cache
def hardware() -> str:
    """What the compiled code uses of this machine (instruction sets, GPU), for a manifest."""
    return " ".join(library().llama_print_system_info().decode().split())
