"""Parameters of rules that are refused outside their ranges, when they are made."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

from abm.errors import EngineError, require

__all__ = ["AT_LEAST_0", "SHARE", "within"]

P = TypeVar("P", bound=type)
AT_LEAST_0 = (0.0, math.inf)
SHARE = (0.0, 1.0)


def within(**ranges: tuple[float, float]) -> Callable[[P], P]:
    """Hold a named tuple's fields to `low <= value <= high`; nan is outside of every range.

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
        make: Any = parameters.__new__

        def checked(cls: Any, *args: Any, **named: Any) -> Any:
            made = make(cls, *args, **named)
            for name, (low, high) in ranges.items():
                value = getattr(made, name)
                require(
                    low <= value <= high,
                    EngineError,
                    f"{parameters.__name__}: {name} = {value}, expected {low:g} <= {name} <= "
                    f"{high:g}",
                    argument=name,
                )
            return made

        setattr(parameters, "__new__", checked)  # noqa: B010
        remade = classmethod(lambda cls, values: cls(*values))
        setattr(parameters, "_make", remade)  # noqa: B010  (what `_replace` calls)
        return parameters

    return hold
