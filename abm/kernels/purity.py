"""Whether a rule's result depends on nothing but its arguments.

A pure rule that drew nothing and left everything as it was does the same for the same arguments, so
that a driver need not ask it again until they change. What is not known to be pure is asked.
"""

from __future__ import annotations

import builtins
import dis
import math
from itertools import pairwise
from types import BuiltinFunctionType, CodeType, FunctionType
from typing import Any

import numpy as np

__all__ = ["is_pure"]

_CONSTANT = (type(None), type(...), bool, int, float, complex, str, bytes, np.generic, np.ndarray)
_LOADS = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_DEREF", "LOAD_FROM_DICT_OR_GLOBALS")
_IMPURE = ("input", "open", "print", "exec", "eval", "next", "globals", "locals", "vars")


def is_pure(function: Any) -> bool:
    """Whether what a compiled function refers to is constant, and all that it calls is pure.

    Arrays and lists that compiled code refers to are constants of it. NumPy's own random numbers
    are not pure; `rng`, which is an argument, is.

    Examples
    --------
    >>> is_pure(lambda x, rng: np.sqrt(x) + rng.random()), is_pure(lambda x: x + np.random.random())
    (True, False)
    """
    return _Reader().all_pure(function)


class _Reader:
    def __init__(self) -> None:
        self._met: set[int] = set()  # functions may call each other

    def all_pure(self, function: Any) -> bool:
        plain = getattr(function, "py_func", function)
        if not isinstance(plain, FunctionType):
            return False
        if id(plain) in self._met:
            return True
        self._met.add(id(plain))
        return self._code_is_pure(plain.__code__, _named(plain))

    def _code_is_pure(self, code: CodeType, named: dict[str, Any]) -> bool:
        steps = list(dis.get_instructions(code))
        for step, following in pairwise(steps):
            if step.opname == "IMPORT_NAME":
                return False
            if step.opname not in _LOADS or step.argval not in named:
                continue
            thing = named[step.argval]
            if thing is np:
                attribute = following.opname in ("LOAD_ATTR", "LOAD_METHOD")
                if not attribute or following.argval == "random":
                    return False
            elif not self._thing_is_pure(thing):
                return False
        inner = [part for part in code.co_consts if isinstance(part, CodeType)]
        return all(self._code_is_pure(part, named) for part in inner)

    def _thing_is_pure(self, thing: Any) -> bool:
        if thing is math or isinstance(thing, (*_CONSTANT, type, np.ufunc)):
            return True
        if isinstance(thing, (tuple, list)):
            return all(map(self._thing_is_pure, thing))
        if isinstance(thing, BuiltinFunctionType):
            name = thing.__name__
            return name not in _IMPURE and thing in (
                vars(math).get(name),
                vars(builtins).get(name),
            )
        return self.all_pure(thing)


def _named(function: FunctionType) -> dict[str, Any]:
    """What the names in a function's code stand for, where they are not its own variables."""
    found = {**vars(builtins), **function.__globals__}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        found.pop(name, None)
        try:
            found[name] = cell.cell_contents
        except ValueError:  # empty yet: the function itself, or a later one
            found[name] = object()
    return found
