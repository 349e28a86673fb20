"""Compiled drivers kept on disk, users' rules within them: compiled once per machine.

An entry is found by the fingerprint of the whole driver as it stands in memory, rule included, with
the types of its arguments, the processor and the versions of everything that compiles. So a changed
rule is another entry, and an old one is never taken for it. Each entry is a file that is written
aside and moved into place, with a checksum; a file that cannot be read is as good as none. What has
no fingerprint is compiled in every process.

Numba tells functions of one name apart by a counter that starts at 1 in every process, which is not
enough where machine code of several processes comes together. Before a driver is compiled the
counter is set to a number of 60 random bits, and a driver that contains a function numbered
otherwise is not kept, the library's own aside, which are the same wherever they have one name.

What could not be compiled is kept too, as a reason, so that it is not tried again. Imports Numba.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import pickle
import re
import sys
import uuid
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numba.core import config, sigutils, types, typing
from numba.core.bytecode import FunctionIdentity
from numba.core.caching import NullCache
from numba.core.compiler import Compiler, CompileResult
from numba.core.errors import NumbaError
from numba.core.serialize import dumps

from abm.folders import cache_folder
from abm.kernels.boxed import BoxedType, methods_of
from abm.kernels.fingerprint import NoFingerprint, fingerprint

__all__ = ["KnownRefusal", "is_kept", "keep", "keep_refusal"]

_FORMAT = 1
_MOST_FILES = 400
_MARKED = 1 << 60
_UID = re.compile(r"B\d+v(\d+)")
_OURS = re.compile(r"_ZN(?:\d+cpython)?3abm")
_SETTINGS = ("OPT", "LOOP_VECTORIZE", "SLP_VECTORIZE", "BOUNDSCHECK", "DEBUGINFO_DEFAULT",
             "ENABLE_AVX", "DISABLE_INTEL_SVML", "CPU_NAME", "CPU_FEATURES")  # fmt: skip


# Others, such as a lack of memory, may pass.
_REFUSALS = (NumbaError, TypeError, ValueError, NotImplementedError)


class KnownRefusal(NumbaError):
    """It was tried before to compile this, and Numba refused."""


def keep(driver: Any) -> Any:
    """Let a driver be taken from disk, and be put there when it is compiled; returns it."""
    pipeline = getattr(getattr(driver, "_compiler", None), "pipeline_class", None)
    if pipeline is Compiler and isinstance(getattr(driver, "_cache", None), NullCache):
        driver._cache = _Kept(driver)
    return driver


def keep_refusal(driver: Any, failure: Exception) -> None:
    """Note down that Numba refused to compile a driver for the types it was last called with."""
    kept = getattr(driver, "_cache", None)
    known = isinstance(failure, KnownRefusal)
    if isinstance(kept, _Kept) and isinstance(failure, _REFUSALS) and not known:
        kept.refuse(str(failure))


def is_kept(driver: Any, arguments: tuple[Any, ...]) -> bool:
    """Whether the machine code of a driver for such arguments is on disk."""
    if not isinstance(getattr(driver, "_cache", None), _Kept):
        return False
    with suppress(Exception):  # of any kind: what cannot be looked up is as good as not kept
        kinds = tuple(driver.typeof_pyval(value) for value in arguments)
        magic = driver.targetctx.codegen().magic_tuple()
        return _read(_file_of(driver, kinds, magic))[0] == "code"
    return False


# What Numba's stubs leave open.
_signature: Any = typing.signature  # type: ignore[attr-defined]
_normalized: Any = sigutils.normalize_signature
_rebuilt: Any = CompileResult._rebuild
_dumps: Any = dumps


class _Kept(NullCache):
    """The entries of one driver: what Numba asks before it compiles, and tells afterwards."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver
        self._file: Path | None = None

    @property
    def cache_path(self) -> str:
        return str(cache_folder() / "kernels")

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        target_context.refresh()
        arguments, _ = _normalized(sig)
        self._file = _file_of(self._driver, arguments, target_context.codegen().magic_tuple())
        kind, payload = _read(self._file)
        if kind == "refused":
            raise KnownRefusal(payload)
        if kind == "code":
            with suppress(Exception):  # whatever is wrong with it, it can be compiled anew
                made = _rebuilt(target_context, *payload)
                given_back = made.signature.return_type
                return made._replace(signature=_signature(given_back, *arguments))
        FunctionIdentity._unique_ids = itertools.count(_MARKED | uuid.uuid4().int >> 68)
        return None

    def save_overload(self, sig: Any, data: Any) -> None:  # noqa: ARG002
        with suppress(Exception):
            if self._file is not None and _can_be_kept(data):
                _write(self._file, ("code", data._reduce()))

    def refuse(self, reason: str) -> None:
        """Note down why this could not be compiled."""
        if self._file is not None:
            with suppress(Exception):
                _write(self._file, ("refused", reason[:4000]))


def _file_of(driver: Any, arguments: Any, machine: Any) -> Path | None:
    """Where an entry lies; `None` if it cannot be kept."""
    folder = _folder()
    if folder is None:
        return None
    try:
        told = [_told(kind) for kind in arguments]
        own = [methods_of(kind) for kind in arguments if isinstance(kind, BoxedType)]
        name = fingerprint(driver, told, own, repr(machine), _circumstances())
    except NoFingerprint:
        return None
    return folder / f"{name}.kernel"


def _told(kind: Any) -> Any:
    """All that compiled code may depend on in the type of an argument."""
    parts: Any = kind
    if isinstance(kind, types.BaseTuple):
        fields = getattr(getattr(kind, "instance_class", None), "_fields", ())
        return [str(kind), list(fields), [_told(part) for part in parts.types]]
    return [str(kind), _told(kind.held)] if isinstance(kind, BoxedType) else str(kind)


@cache
def _circumstances() -> str:
    settings = [repr(getattr(config, name, None)) for name in _SETTINGS]
    versions = [
        numba.__version__,
        import_module("llvmlite").__version__,
        np.__version__,
        sys.version,
    ]
    return repr((_FORMAT, versions, settings))


def _folder() -> Path | None:
    """The folder, made if need be; `None` if it is not the user's alone or cannot be written."""
    if os.environ.get("AGORA_KEEP_KERNELS", "1") == "0" or getattr(config, "DISABLE_JIT", False):
        return None
    folder = cache_folder() / "kernels"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        facts = folder.stat()
    except OSError:
        return None
    if hasattr(os, "getuid") and (facts.st_uid != os.getuid() or facts.st_mode & 0o022):
        return None  # somebody else could have put code there
    return folder


def _read(file: Path | None) -> tuple[str, Any]:
    """What an entry is: `code`, `refused`, or nothing."""
    with suppress(Exception):
        if file is not None:
            data = file.read_bytes()
            if hashlib.sha256(data[32:]).digest() == data[:32]:
                os.utime(file)
                kind, payload = pickle.loads(data[32:])
                return kind, payload
    return "", None


def _write(file: Path, entry: tuple[str, Any]) -> None:
    data = _dumps(entry)
    aside = file.with_name(f"{file.name}.{uuid.uuid4().hex}")
    try:
        aside.write_bytes(hashlib.sha256(data).digest() + data)
        aside.replace(file)
    finally:
        aside.unlink(missing_ok=True)
    _tidy(file.parent)


def _tidy(folder: Path) -> None:
    """Remove the entries that were used longest ago, if there are too many."""
    files = list(folder.iterdir())
    if len(files) > _MOST_FILES:
        files.sort(key=lambda file: file.stat().st_mtime)
        for file in files[: len(files) - _MOST_FILES // 2]:
            file.unlink(missing_ok=True)


def _can_be_kept(made: Any) -> bool:
    """Whether machine code stands for itself, and its names are its own."""
    library = made.library
    if made.lifted or made.objectmode or library.has_dynamic_globals:
        return False
    names = [fn.name for fn in library._final_module.functions if not fn.is_declaration]
    return all(_is_own(name) for name in names)


def _is_own(name: str) -> bool:
    """Whether no function of another process can have the same name."""
    if _OURS.match(name) and "3clocals" not in name:
        return True
    marked = [int(uid) for uid in _UID.findall(name)]
    return not marked or min(marked) >= _MARKED
