"""What happens in a cohort and others shall see: events that come to the surface."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from numpy.typing import NDArray

__all__ = ["Cohort", "CohortEvent"]


class CohortEvent(NamedTuple):
    """An event of a cohort that a rule has marked to be seen.

    Attributes
    ----------
    time
        When it happens.
    row
        Whose it is.
    code
        What it is: the number that the rule gave, not 0.
    """

    time: float
    row: int
    code: int


class Cohort(Protocol):
    """Agents that are one participant of the clock: what `Population.attach` takes."""

    @property
    def arrays(self) -> tuple[NDArray[Any], ...]:
        """The columns that its events change."""
        ...

    @property
    def time(self) -> float:
        """Everything up to and including this time has been applied."""
        ...

    @property
    def next_time(self) -> float:
        """A time before which nothing happens."""
        ...

    def advance(self, until: float) -> int:
        """Apply all events up to and including a time; returns how many."""
        ...

    def drain(self, until: float) -> CohortEvent | None:
        """Apply events up to and including a time, or the first that surfaces; returns that one."""
        ...
