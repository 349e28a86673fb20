"""One thread for linear algebra, so that sums are added in one order on every machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy.linalg  # noqa: F401  (a library is bounded only once it is loaded)
import scipy.linalg  # noqa: F401
from threadpoolctl import threadpool_limits

__all__ = ["one_thread"]


@contextmanager
def one_thread() -> Iterator[None]:
    """Within the block, linear algebra uses one thread.

    A product of matrices is cut among threads, and where it is cut decides the order in which
    numbers are added: with one thread and with two the last digits differ. Runs and calibrations
    must not depend on how many cores a machine has, so they use one; their parallelism is in
    processes.
    Entering takes some 2 ms.

    Examples
    --------
    >>> import numpy as np
    >>> with one_thread():
    ...     total = np.ones((3, 4)) @ np.ones(4)
    >>> total.tolist()
    [4.0, 4.0, 4.0]
    """
    with threadpool_limits(1, user_api="blas"):
        yield
