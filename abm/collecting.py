"""Making many objects at once without the garbage collector looking at them again and again.

Python's collector runs after every few hundred new objects, and now and then over all objects of
the process. Where a block of requests or answers is made, none of which is garbage, that costs more
than making them.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["collector_waits"]


@contextmanager
def collector_waits() -> Iterator[None]:
    """Let the collector wait until a bounded number of objects is made.

    Examples
    --------
    >>> with collector_waits():
    ...     gc.isenabled()
    False
    >>> gc.isenabled()
    True
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
