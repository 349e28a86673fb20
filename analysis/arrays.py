"""Arrays as measures take them: numbers, whole numbers, edges and labels, or an error saying why.

Whatever cannot be read is refused by name; nothing is cut to a whole number or folded into pairs.
"""

from __future__ import annotations

import reprlib
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from abm.errors import AnalysisError, require

__all__ = ["as_edges", "as_labels", "as_numbers", "as_whole"]

Array = NDArray[np.float64]
Integers = NDArray[np.int64]


def as_numbers(values: ArrayLike, what: str) -> Array:
    """Finite numbers or nan, of any shape; None is nan.

    Raises
    ------
    AnalysisError
        A value is infinite or no number.

    Examples
    --------
    >>> as_numbers([1, None], "opinions").tolist()
    [1.0, nan]
    """
    try:
        x = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise AnalysisError(
            f"{what} = {_brief(values)}, expected numbers in equal rows, nan where undefined"
        ) from error
    require(
        not np.isinf(x).any(),
        AnalysisError,
        f"{what} hold an infinite value, expected finite numbers, nan where undefined",
    )
    return x


def as_whole(values: ArrayLike, what: str) -> Integers:
    """Whole numbers of any shape; a number with a fraction, nan and None are refused.

    Examples
    --------
    >>> as_whole([-1.0, 0.0], "parents").tolist()
    [-1, 0]
    """
    given = _array(values, what)
    if given.size == 0:
        return np.empty(given.shape, dtype=np.int64)
    if given.dtype.kind not in "iu":
        x = as_numbers(values, what)
        whole = not np.isnan(x).any() and bool(np.all(x == np.floor(x)))
        require(
            whole, AnalysisError, f"{what} = {_brief(values)}, expected whole numbers, none missing"
        )
        given = x
    return given.astype(np.int64)


def as_edges(edges: ArrayLike) -> Integers:
    """Edges as pairs of node numbers, shape (m, 2).

    Raises
    ------
    AnalysisError
        The rows are no pairs (weights go into an argument of their own), or a node has no number.

    Examples
    --------
    >>> as_edges([]).shape, as_edges([(0, 1), (1, 2)]).tolist()
    ((0, 2), [[0, 1], [1, 2]])
    """
    given = _array(edges, "edges")
    if given.size == 0:
        return np.empty((0, 2), dtype=np.int64)
    require(
        given.ndim == 2 and given.shape[1] == 2,
        AnalysisError,
        f"edges of shape {given.shape}, expected (m, 2): pairs of node numbers, with weights in "
        "an argument of their own",
    )
    require(
        given.dtype.kind in "iuf",
        AnalysisError,
        f"edges = {_brief(edges)}, expected node numbers 0 to n - 1; networkx.convert_node_labels"
        "_to_integers makes them from names",
    )
    return as_whole(given, "edges")


def as_labels(groups: ArrayLike, what: str) -> tuple[NDArray[Any], Integers]:
    """Different labels in sorted order, and the place of each node's label among them, shape (n,).

    Raises
    ------
    AnalysisError
        A label is missing, or labels cannot be sorted together.

    Examples
    --------
    >>> names, codes = as_labels(["b", "a", "b"], "groups")
    >>> names.tolist(), codes.tolist()
    (['a', 'b'], [1, 0, 1])
    """
    given = _array(groups, what)
    require(given.ndim == 1, AnalysisError, f"{what} of shape {given.shape}, expected (n,)")
    missing = given.dtype.kind == "O" and any(v is None or v != v for v in given)
    missing = missing or (given.dtype.kind == "f" and bool(np.isnan(given).any()))
    require(
        not missing,
        AnalysisError,
        f"{what} contain nan or None: leave those nodes and their edges out, or name their group",
    )
    try:
        names, codes = np.unique(given, return_inverse=True)
    except TypeError as error:
        raise AnalysisError(f"{what} = {_brief(groups)}, expected labels of one kind") from error
    return names, codes.astype(np.int64).ravel()


def _array(values: ArrayLike, what: str) -> NDArray[Any]:
    try:
        return np.asarray(values)
    except ValueError as error:
        raise AnalysisError(f"{what} = {_brief(values)}, expected rows of equal length") from error


def _brief(values: Any) -> str:
    return reprlib.repr(values)
