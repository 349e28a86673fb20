"""Whose rows a rule on rows may write, read off its source: those it was called for, or any.

Drivers look at the rows of those who acted after every act. That is all there is to look at if the
rule assigns to `array[i]` alone, with i a row that it was given and never changes, and hands no
array on to another function. Most rules are so. Whatever else a rule does, or if its source is not
to be had, it may have written anywhere, and all rows have to be looked at.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable
from functools import lru_cache
from typing import Any

__all__ = ["writes_elsewhere"]

_HARMLESS = frozenset({"len", "range", "min", "max", "abs", "int", "float", "bool", "round"})
_BINDS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef, ast.ListComp,
          ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.With, ast.Try, ast.Match,
          ast.NamedExpr, ast.Global, ast.Nonlocal, ast.Delete, ast.Yield, ast.Starred)  # fmt: skip


@lru_cache(maxsize=512)
def writes_elsewhere(rule: Callable[..., Any], rows: int, state: int) -> bool:
    """Whether a rule may write into rows that it was not called for.

    Parameters
    ----------
    rows
        How many of its first arguments are rows.
    state
        Place of the argument with the arrays.

    Examples
    --------
    >>> def own(i, j, state, p):
    ...     x = state[0]
    ...     x[i], x[j] = x[j], min(x[i], p[0])
    >>> def another(i, j, state, p):
    ...     state[0][i + 1] = p[0]
    >>> writes_elsewhere(own, 2, 2), writes_elsewhere(another, 2, 2)
    (False, True)
    """
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(rule)))
    except (OSError, TypeError, SyntaxError):
        return True
    first = tree.body[0]
    if len(tree.body) != 1 or not isinstance(first, ast.FunctionDef):
        return True
    names = [argument.arg for argument in (*first.args.posonlyargs, *first.args.args)]
    return _Reach(names[:rows], names[state], first.body).is_wide()


class _Reach:
    """What the body of a rule may write."""

    def __init__(self, rows: list[str], state: str, body: list[ast.stmt]) -> None:
        self._rows, self._state = set(rows), state
        self._nodes = [node for part in body for node in ast.walk(part)]
        self._arrays = {state}  # names of what may be, or hold, an array of the state
        self._follow()

    def is_wide(self) -> bool:
        """Whether it may write into other rows."""
        return any(self._is_unclear(node) for node in self._nodes)

    def _follow(self) -> None:
        """Find all names that may stand for an array."""
        size = -1
        while size < len(self._arrays):
            size = len(self._arrays)
            for node in self._nodes:
                if isinstance(node, ast.Assign):
                    for target in node.targets:
                        self._bind(target, node.value)
                elif isinstance(node, ast.AnnAssign) and node.value is not None:
                    self._bind(node.target, node.value)
                elif isinstance(node, ast.For):
                    self._bind(node.target, node.iter)

    def _bind(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, (ast.Tuple, ast.List)):
            both = isinstance(value, ast.Tuple) and len(value.elts) == len(target.elts)
            for place, part in enumerate(target.elts):
                self._bind(part, value.elts[place] if both else value)  # type: ignore[attr-defined]
        elif isinstance(target, ast.Name) and self._is_array(value):
            self._arrays.add(target.id)

    def _is_array(self, value: ast.expr) -> bool:
        """Whether a value may be an array of the state, or hold one."""
        if isinstance(value, ast.Name):
            return value.id in self._arrays
        if isinstance(value, ast.Attribute):
            return self._is_array(value.value)
        if isinstance(value, ast.Subscript):
            whole = isinstance(value.value, ast.Name) and value.value.id == self._state
            return self._is_array(value.value) and (whole or not self._is_own(value.slice))
        if isinstance(value, (ast.IfExp, ast.BoolOp, ast.Tuple, ast.List)):
            parts = [part for part in ast.iter_child_nodes(value) if isinstance(part, ast.expr)]
            return any(self._is_array(part) for part in parts)
        return False

    def _is_own(self, index: ast.expr) -> bool:
        """Whether an index is a row that the rule was given, or a place in one."""
        if isinstance(index, ast.Tuple) and index.elts:
            index = index.elts[0]
        return isinstance(index, ast.Name) and index.id in self._rows

    def _is_unclear(self, node: ast.AST) -> bool:
        if isinstance(node, _BINDS):
            return True
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            return node.id in self._rows
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
            return not self._is_own(node.slice)
        if isinstance(node, ast.AugAssign):
            return isinstance(node.target, ast.Name) and node.target.id in self._arrays
        return isinstance(node, ast.Call) and self._hands_on(node)

    def _hands_on(self, call: ast.Call) -> bool:
        """Whether an array is passed to a function, or is the one whose method is called."""
        if isinstance(call.func, ast.Name) and call.func.id in _HARMLESS:
            return False
        method = isinstance(call.func, ast.Attribute) and self._is_array(call.func.value)
        given = [*call.args, *(keyword.value for keyword in call.keywords)]
        return method or any(self._is_array(value) for value in given)
