"""Borders: what a caller gives becomes numbers, or an error that says what came."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from inspect import signature
from numbers import Integral, Real
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from abm.errors import CalibrationError, require

__all__ = ["check_level", "check_options", "check_ranges", "floats", "is_real", "real", "whole"]


def floats(value: Any, what: str, /, **values: Any) -> NDArray[np.float64]:
    """`value` as an array of floats.

    Parameters
    ----------
    what
        What it is, for the message.
    values
        Kept on the error.

    Raises
    ------
    CalibrationError
        It holds texts, or lists of different lengths. Numbers that are not finite pass: whether
        they may is for the caller to say.

    Examples
    --------
    >>> floats([1, 2], "counts").tolist()
    [1.0, 2.0]
    >>> floats(["many"], "counts")
    Traceback (most recent call last):
    abm.errors.CalibrationError: counts = ['many'], expected numbers
    """
    try:
        found = np.asarray(value)
        good = found.dtype.kind in "biuf" or (found.dtype.kind == "O" and found.size > 0)
        if good:
            return np.asarray(found, dtype=np.float64)
    except (TypeError, ValueError):
        pass
    told = value.tolist() if isinstance(value, np.ndarray) else value
    raise CalibrationError(f"{what} = {told!r}, expected numbers", **values)


def real(value: Any, what: str, /, **values: Any) -> float:
    """`value` as one finite float.

    Raises
    ------
    CalibrationError
        It is no number, a truth value, nan or infinite.

    Examples
    --------
    >>> real(2, "mean")
    2.0
    """
    good = is_real(value)
    require(good, CalibrationError, f"{what} = {value!r}, expected a finite number", **values)
    return float(value)


def is_real(value: Any) -> bool:
    """Whether a value is one finite number; truth values are none.

    Examples
    --------
    >>> is_real(3), is_real(True), is_real("3"), is_real(float("inf"))
    (True, False, False, False)
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        return False
    return math.isfinite(value)


def whole(value: Any, what: str, least: int = 0) -> int:
    """`value` as a whole number of at least `least`.

    Raises
    ------
    CalibrationError
        It is something else; truth values are no numbers.

    Examples
    --------
    >>> whole(0, "n", 1)
    Traceback (most recent call last):
    abm.errors.CalibrationError: n = 0, expected a whole number >= 1
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < least:
        expected = f"a whole number >= {least}"
        raise CalibrationError(f"{what} = {value!r}, expected {expected}", value=value)
    return int(value)


def check_level(level: Any) -> None:
    """Refuse a level of intervals outside (0, 1).

    Examples
    --------
    >>> check_level(90)
    Traceback (most recent call last):
    abm.errors.CalibrationError: level = 90, expected 0 < level < 1
    """
    check_ranges(("level", level, is_real(level) and 0 < level < 1, "0 < level < 1"))


def check_options(method: Callable[..., Any], given: Mapping[str, Any]) -> None:
    """Refuse options whose type is not that of the method's signature.

    Whole numbers may stand for floats, never the reverse; floats are finite; ranges are for the
    method to check.

    Parameters
    ----------
    method
        A method of calibration, with annotated options.
    given
        Option -> value; others, such as `simulations`, are left alone.

    Raises
    ------
    CalibrationError
        Names the option, the value and what was expected.

    Examples
    --------
    >>> def method(simulations, *, n: int = 1, adjust: bool = False): ...
    >>> check_options(method, {"n": 10, "adjust": "no"})
    Traceback (most recent call last):
    abm.errors.CalibrationError: adjust = 'no', expected true or false
    """
    for name, hint in _hints(method):
        if name in given and not _fits(given[name], hint):
            raise CalibrationError(
                f"{name} = {given[name]!r}, expected {_told(hint)}",
                argument=name,
                value=given[name],
                place=("method", name),
            )


def check_ranges(*rows: tuple[str, Any, bool, str]) -> None:
    """Refuse the first option that is out of range.

    Parameters
    ----------
    rows
        Option, its value, whether that is good, and what was expected.

    Examples
    --------
    >>> check_ranges(("step", 0.1, True, "> 0"), ("n", 0, False, ">= 1"))
    Traceback (most recent call last):
    abm.errors.CalibrationError: n = 0, expected >= 1
    """
    for name, value, good, expected in rows:
        require(
            good,
            CalibrationError,
            f"{name} = {value!r}, expected {expected}",
            argument=name,
            value=value,
        )


@cache
def _hints(method: Callable[..., Any]) -> list[tuple[str, Any]]:
    found = get_type_hints(method)
    names = [n for n in signature(method).parameters if n != "simulations"]
    return [(n, found[n]) for n in names if n in found]


def _fits(value: Any, hint: Any) -> bool:
    if get_origin(hint) in (Union, UnionType):
        return any(_fits(value, part) for part in get_args(hint))
    if get_origin(hint) is Literal:
        return any(value is choice or value == choice for choice in get_args(hint))
    if hint is float:
        return is_real(value)
    if hint is int:
        return isinstance(value, Integral) and not isinstance(value, bool)
    kind = get_origin(hint) or hint
    if kind is Any or not isinstance(kind, type) or kind.__module__.startswith("numpy"):
        return True  # arrays are for whoever uses them
    value = value.tolist() if isinstance(value, np.ndarray) else value
    if not isinstance(value, kind) or (isinstance(value, str) and kind is not str):
        return False
    parts: Any = value.values() if isinstance(value, Mapping) else value
    inner = get_args(hint)[-1:]
    return not inner or all(_fits(part, inner[0]) for part in parts)


def _told(hint: Any) -> str:
    """An annotation in words."""
    if get_origin(hint) in (Union, UnionType):
        return " or ".join(_told(part) for part in get_args(hint) if part is not type(None))
    if get_origin(hint) is Literal:
        return f"one of {list(get_args(hint))}"
    words = {float: "a finite number", int: "a whole number", bool: "true or false", str: "a text"}
    if hint in words:
        return words[hint]
    inner = _told(get_args(hint)[-1]) if get_args(hint) else "a value"
    kind = get_origin(hint) or hint
    if isinstance(kind, type) and issubclass(kind, Mapping):
        return f"a table, each value {inner}"
    if isinstance(kind, type) and issubclass(kind, Sequence):
        return f"a list, each {inner}"
    return str(getattr(kind, "__name__", kind))
