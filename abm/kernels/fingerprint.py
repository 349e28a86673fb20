"""The fingerprint of a function as it stands in memory: its code, and all that the code refers to.

Two functions with one fingerprint do the same. It covers bytecode, constants, defaults, what the
function closes over, the globals that it loads, and functions among these, to any depth. What it
cannot read through (an array, an object of a class of the user's) has no fingerprint.
"""

from __future__ import annotations

import builtins
import dis
import hashlib
import math
from collections.abc import Iterable
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

__all__ = ["NoFingerprint", "fingerprint"]

_PLAIN = (type(None), type(...), bool, int, float, complex, str, bytes)
_KNOWN = {"math": math, "numpy": np, "builtins": builtins}


class NoFingerprint(Exception):
    """Something that cannot be read through; says what."""


def fingerprint(*things: Any) -> str:
    """A text of 64 hexadecimal digits.

    Raises
    ------
    NoFingerprint
        A function refers to something that cannot be read through.

    Examples
    --------
    >>> def made(k):
    ...     return lambda x: x + k
    >>> fingerprint(made(1)) == fingerprint(made(1)), fingerprint(made(1)) == fingerprint(made(2))
    (True, False)
    """
    reader = _Reader()
    reader.read(things)
    return reader.hash.hexdigest()


class _Reader:
    def __init__(self) -> None:
        self.hash = hashlib.sha256()
        self._met: dict[int, int] = {}  # functions met before, which may call each other
        self._alive: list[Any] = []  # so that no identity is used again

    def read(self, thing: Any) -> None:
        """Take a thing in."""
        if isinstance(thing, _PLAIN):
            self._write(type(thing).__name__, repr(thing))
        elif isinstance(thing, (tuple, list)):
            self._write(type(thing).__name__, len(thing))
            self._read_all(thing)
        elif isinstance(thing, frozenset):
            self._write("frozenset", *sorted(map(repr, thing)))
        elif isinstance(thing, dict):
            self._write("dict", len(thing))
            self._read_all(sorted(thing.items(), key=lambda item: str(item[0])))
        elif isinstance(thing, np.generic):
            self._write("number", thing.dtype.str, thing.tobytes().hex())
        elif isinstance(thing, CodeType):
            self._read_code(thing)
        elif isinstance(thing, FunctionType):
            self._once(thing, self._read_function)
        elif hasattr(thing, "py_func") and hasattr(thing, "targetoptions"):
            self._once(thing, self._read_compiled)
        elif getattr(getattr(thing, "_defn", None), "__module__", "").startswith("abm."):
            self._write("machine code of", thing._defn.__module__, thing._defn.__qualname__)
            self.read(thing._defn.__code__)
        else:
            self._write("known", _known_name(thing))

    def _write(self, *words: Any) -> None:
        for word in words:
            data = str(word).encode()
            self.hash.update(f"{len(data)}:".encode())
            self.hash.update(data)

    def _read_all(self, things: Iterable[Any]) -> None:
        for thing in things:
            self.read(thing)

    def _once(self, thing: Any, read: Any) -> None:
        met = self._met.setdefault(id(thing), len(self._met))
        self._write(type(thing).__name__, met)
        if met == len(self._alive):
            self._alive.append(thing)
            read(thing)

    def _read_compiled(self, thing: Any) -> None:
        """A function under Numba's decorator."""
        self.read(thing.targetoptions)
        self.read(getattr(thing, "locals", None) or {})
        self.read(thing.py_func)

    def _read_function(self, function: FunctionType) -> None:
        self._write(function.__module__, function.__qualname__)
        self.read(function.__code__)
        self.read((function.__defaults__, function.__kwdefaults__))
        for cell in function.__closure__ or ():
            try:
                self.read(cell.cell_contents)
            except ValueError:
                raise NoFingerprint(f"an empty cell of {function.__qualname__}") from None
        for name in sorted(_loaded(function.__code__)):
            self._write("global", name)
            self.read(_global(function, name))

    def _read_code(self, code: CodeType) -> None:
        self._write(
            "code", code.co_code.hex(), code.co_exceptiontable.hex(), code.co_argcount,
            code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags,
        )  # fmt: skip
        self.read((code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars))
        self.read(code.co_consts)


def _loaded(code: CodeType) -> set[str]:
    """Names of the globals that code loads, functions inside it included."""
    found = {
        step.argval for step in dis.get_instructions(code) if step.opname in _LOADS
    }  # fmt: skip
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= _loaded(constant)
    return found


_LOADS = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")


def _global(function: FunctionType, name: str) -> Any:
    if name in function.__globals__:
        return function.__globals__[name]
    if hasattr(builtins, name):
        return getattr(builtins, name)
    raise NoFingerprint(f"{name!r}, which {function.__qualname__} uses, is not defined")


def _known_name(thing: Any) -> str:
    """Name of a thing of Python's or NumPy's own."""
    if isinstance(thing, ModuleType) and _KNOWN.get(thing.__name__) is thing:
        return thing.__name__
    if isinstance(thing, (type, BuiltinFunctionType, np.ufunc)) or callable(thing):
        name = getattr(thing, "__name__", "")
        for home, module in _KNOWN.items():
            if name and vars(module).get(name) is thing:
                return f"{home}.{name}"
    raise NoFingerprint(f"{thing!r:.80}")
