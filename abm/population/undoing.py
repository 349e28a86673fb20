"""All or nothing: what attached cohorts and their ties were, to go back to if a change fails."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["as_before_if_it_fails"]


@contextmanager
def as_before_if_it_fails(
    cohorts: Sequence[Any], columns: Sequence[NDArray[Any]]
) -> Iterator[None]:
    """Give cohorts, and the ties that follow births and deaths with them, back what they had.

    Attributes come back, and the contents of the arrays and generators among them. Columns are left
    alone: who follows births and deaths gets new ones and does not write into the old.

    Parameters
    ----------
    columns
        The columns of the population.

    Examples
    --------
    >>> class Cohort:
    ...     def __init__(self):
    ...         self.size, self.clock = 3, np.array([1.5])
    ...     def resize(self, arrays, kept):
    ...         self.size, self.clock[0] = len(kept), 2.5
    ...         raise ValueError
    >>> cohort = Cohort()
    >>> try:
    ...     with as_before_if_it_fails([cohort], []):
    ...         cohort.resize((), [0, 1])
    ... except ValueError:
    ...     print(cohort.size, cohort.clock)
    3 [1.5]
    """
    things = [thing for cohort in cohorts for thing in (cohort, getattr(cohort, "network", None))]
    kept = [_Kept(thing, columns) for thing in things if hasattr(thing, "resize")]
    try:
        yield
    except BaseException:
        for one in kept:
            one.restore()
        raise


class _Kept:
    """What an object was: its attributes, and what stood in the arrays among them."""

    def __init__(self, thing: Any, columns: Sequence[NDArray[Any]]) -> None:
        self._attributes = getattr(thing, "__dict__", {})
        self._values = dict(self._attributes)
        found = [getattr(value, "held", value) for value in self._values.values()]
        arrays = [one for one in found if isinstance(one, np.ndarray) and one.flags.writeable]
        self._contents = [
            (one, one.copy()) for one in arrays if not any(one is other for other in columns)
        ]

    def restore(self) -> None:
        """Be again what it was."""
        self._attributes.clear()
        self._attributes.update(self._values)
        for array, contents in self._contents:
            array[...] = contents
