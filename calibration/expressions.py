"""Arithmetic written in a file: comparisons and sums over parameter names, and nothing else."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from abm.errors import CalibrationError, require

__all__ = ["Expression"]

_BINARY: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_COMPARE: dict[type, Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
}


@dataclass(frozen=True)
class Expression:
    """A text such as `"low < high"` or `"a + b <= 1 and a > 0"`, evaluated on columns.

    Numbers, names, + - * / **, comparisons, `and`, `or`, `not` and brackets; no calls.

    Raises
    ------
    CalibrationError
        The text is something else, compares nothing, or uses a name that is no parameter.

    Examples
    --------
    >>> Expression("a + b <= 1", ("a", "b"))({"a": np.array([0.2, 0.9]), "b": 0.5}).tolist()
    [True, False]
    """

    text: str
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        self._check(self._tree)
        require(
            _is_truth(self._tree),
            CalibrationError,
            f"{self.text!r} is a number and no constraint, expected a comparison such as 'a < b'",
            value=self.text,
        )

    def __call__(self, values: Mapping[str, Any]) -> Any:
        return _evaluated(self._tree, values)

    @cached_property
    def _tree(self) -> ast.expr:
        try:
            return ast.parse(self.text, mode="eval").body
        except SyntaxError as error:
            raise CalibrationError(
                f"{self.text!r} is no expression: {error.msg}", value=self.text
            ) from error

    def _check(self, node: ast.AST) -> None:
        if isinstance(node, ast.Name):
            require(
                node.id in self.names,
                CalibrationError,
                f"{self.text!r}: {node.id!r} is no parameter; there are {list(self.names)}",
                value=self.text,
            )
            return
        good = (
            (isinstance(node, ast.Constant) and isinstance(node.value, (int, float)))
            or (isinstance(node, ast.BinOp) and type(node.op) in _BINARY)
            or (isinstance(node, ast.Compare) and all(type(op) in _COMPARE for op in node.ops))
            or (isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.Not)))
            or isinstance(node, ast.BoolOp)
        )
        require(
            good,
            CalibrationError,
            f"{self.text!r}: expected numbers, parameters, + - * / **, comparisons, and, or, not",
            value=self.text,
        )
        for child in _operands(node):
            self._check(child)


def _is_truth(node: ast.AST) -> bool:
    """Whether every part that is taken as true or false is a comparison."""
    if isinstance(node, ast.BoolOp):
        return all(_is_truth(part) for part in node.values)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return _is_truth(node.operand)
    return isinstance(node, ast.Compare)


def _operands(node: ast.AST) -> Sequence[ast.expr]:
    if isinstance(node, ast.BinOp):
        return node.left, node.right
    if isinstance(node, ast.Compare):
        return node.left, *node.comparators
    if isinstance(node, ast.UnaryOp):
        return (node.operand,)
    return node.values if isinstance(node, ast.BoolOp) else ()


def _evaluated(node: ast.expr, values: Mapping[str, Any]) -> Any:
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        return values[node.id]
    parts = [_evaluated(child, values) for child in _operands(node)]
    if isinstance(node, ast.BinOp):
        return _BINARY[type(node.op)](*parts)
    if isinstance(node, ast.UnaryOp):
        return -parts[0] if isinstance(node.op, ast.USub) else np.logical_not(parts[0])
    if isinstance(node, ast.BoolOp):
        join = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
        return join.reduce(np.broadcast_arrays(*parts))
    assert isinstance(node, ast.Compare)
    links = [
        _COMPARE[type(op)](left, right)
        for op, left, right in zip(node.ops, parts, parts[1:], strict=False)
    ]
    return np.logical_and.reduce(np.broadcast_arrays(*links))
