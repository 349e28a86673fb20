"""What the driver that is at work has done so far: told if an error ends it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["Doing", "done_so_far", "started"]


class Doing:
    """Updates that stand, and why they were interpreted if they were."""

    def __init__(self) -> None:
        self.updates, self.why = 0, ""


_doing: ContextVar[Doing | None] = ContextVar("what a driver does", default=None)


@contextmanager
def started() -> Iterator[Doing]:
    """A driver is at work inside the block.

    Examples
    --------
    >>> with started() as doing:
    ...     done_so_far(updates=3, why="as asked")
    >>> doing.updates, doing.why
    (3, 'as asked')
    """
    doing = Doing()
    token = _doing.set(doing)
    try:
        yield doing
    finally:
        _doing.reset(token)


def done_so_far(*, updates: int = 0, why: str | None = None) -> None:
    """Count updates of the driver at work; `why` it is interpreted, empty if it is compiled."""
    doing = _doing.get()
    if doing is not None:
        doing.updates += updates
        doing.why = doing.why if why is None else why
