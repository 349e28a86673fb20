"""Parameters of rules that are refused outside their ranges, when they are made."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Real
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from abm.errors import EngineError, require

__all__ = [
    "AT_LEAST_0",
    "POSITIVE",
    "SHARE",
    "UP_TO_HALF",
    "WHOLE",
    "Range",
    "column_within",
    "in_order",
    "within",
]

P = TypeVar("P", bound=type)


class Range(NamedTuple):
    """What a parameter may be.

    Attributes
    ----------
    low, high
        Its ends.
    low_is_in, high_is_in
        Whether the ends themselves are allowed.

    Examples
    --------
    >>> Range(0, 1, high_is_in=False).holds(1), Range(0, 1, high_is_in=False).told("saving")
    (False, '0 <= saving < 1')
    """

    low: float
    high: float
    low_is_in: bool = True
    high_is_in: bool = True

    def holds(self, value: Any) -> bool:
        """Whether a value is allowed; nan never is."""
        return bool(
            (self.low < value or (self.low_is_in and self.low == value))
            and (value < self.high or (self.high_is_in and self.high == value))
        )

    def told(self, name: str) -> str:
        """The range in words."""
        left, right = "<=" if self.low_is_in else "<", "<=" if self.high_is_in else "<"
        return f"{self.low:g} {left} {name} {right} {self.high:g}"


AT_LEAST_0 = Range(0.0, math.inf)
POSITIVE = Range(0.0, math.inf, low_is_in=False)
SHARE = Range(0.0, 1.0)
UP_TO_HALF = Range(0.0, 0.5, low_is_in=False)
WHOLE = Range(1.0, math.inf, high_is_in=False)


def column_within(name: str, values: Any, allowed: Range, n: int = -1) -> NDArray[np.float64]:
    """Numbers in a range, as a new float64 column; one number is for all n.

    Raises
    ------
    EngineError
        No numbers, another length than n (if that is given), or a value outside; names the
        argument, the place and the value.

    Examples
    --------
    >>> column_within("weight", 0.5, SHARE, 2).tolist()
    [0.5, 0.5]
    >>> column_within("weight", [0.5, 2.0], SHARE)
    Traceback (most recent call last):
    abm.errors.EngineError: weight[1] = 2.0, expected 0 <= weight <= 1
    """
    try:
        given = np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as failure:
        raise EngineError(f"{name} = {values!r}, expected numbers", argument=name) from failure
    column = np.full(n, given) if given.ndim == 0 and n >= 0 else given
    require(
        column.ndim == 1 and n in (-1, column.size),
        EngineError,
        f"{name} has shape {given.shape}, expected one number per agent"
        + (f", {n}" if n >= 0 else ""),
        argument=name,
    )
    for place in np.flatnonzero([not allowed.holds(value) for value in column.tolist()])[:1]:
        raise EngineError(
            f"{name}[{place}] = {column[place]}, expected {allowed.told(name)}", argument=name
        )
    return column


def within(**ranges: tuple[float, float] | Range) -> Callable[[P], P]:
    """Hold a named tuple's fields to `low <= value <= high`; nan is outside of every range.

    Fields of type `int` are held to whole numbers. A `Range` may leave its ends out.

    Raises
    ------
    EngineError
        When such a tuple is made with a value outside; names the parameter and its range.

    Examples
    --------
    >>> from typing import NamedTuple
    >>> @within(rate=(0, 0.5))
    ... class Compromise(NamedTuple):
    ...     rate: float
    >>> Compromise(0.3)
    Compromise(rate=0.3)
    >>> Compromise(rate=30)
    Traceback (most recent call last):
    abm.errors.EngineError: Compromise: rate = 30, expected 0 <= rate <= 0.5
    """

    def hold(parameters: P) -> P:
        kinds = {name: str(kind) for name, kind in parameters.__annotations__.items()}
        rules = {name: (Range(*ends), "int" in kinds[name]) for name, ends in ranges.items()}

        def check(made: Any) -> None:
            for name, (allowed, whole) in rules.items():
                _check(parameters.__name__, name, getattr(made, name), allowed, whole)

        return _checked(parameters, check)

    return hold


def in_order(lower: str, upper: str) -> Callable[[P], P]:
    """Hold two fields of a named tuple to `lower <= upper`; errors as of `within`."""

    def hold(parameters: P) -> P:
        def check(made: Any) -> None:
            low, high = getattr(made, lower), getattr(made, upper)
            require(
                low <= high,
                EngineError,
                f"{parameters.__name__}: {upper} = {high!r}, expected {upper} >= {lower}, which is "
                f"{low!r}",
                argument=upper,
            )

        return _checked(parameters, check)

    return hold


def _checked(parameters: P, check: Callable[[Any], None]) -> P:
    """The named tuple, looked at whenever one is made."""
    make: Any = parameters.__new__

    def checked(cls: Any, *args: Any, **named: Any) -> Any:
        made = make(cls, *args, **named)
        check(made)
        return made

    setattr(parameters, "__new__", checked)  # noqa: B010
    remade = classmethod(lambda cls, values: cls(*values))
    setattr(parameters, "_make", remade)  # noqa: B010  (what `_replace` calls)
    return parameters


def _check(owner: str, name: str, value: Any, allowed: Range, whole: bool) -> None:
    good = (
        isinstance(value, Real)
        and allowed.holds(value)
        and (not whole or float(value).is_integer())
    )
    require(
        good,
        EngineError,
        f"{owner}: {name} = {value!r}, expected {'a whole number, ' if whole else ''}"
        f"{allowed.told(name)}",
        argument=name,
    )
