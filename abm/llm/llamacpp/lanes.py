"""Lanes: several contexts of one model share a batch, each on a thread of its own.

A call of a small model is a hundred small steps, and llama.cpp's threads meet at a barrier after
each of them. A lane has one thread and meets nobody before the batch is done (ctypes lets other
threads of Python run during a call of llama.cpp). In `strict` it cannot matter which lane answers
a request, because an answer depends on its request alone.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Protocol, TypeVar

import numpy as np

from abm.errors import BackendError
from abm.llm.llamacpp.tokens import Path, Tokens
from abm.llm.llamacpp.trie import common

__all__ = ["Portions", "by_prompt", "cuts", "gathered", "side_by_side"]


class Job(Protocol):
    """Something that is asked after a prompt."""

    @property
    def path(self) -> Path: ...


AnyJob = TypeVar("AnyJob", bound=Job)
Found = TypeVar("Found")


def cuts(costs: Sequence[int], n: int) -> list[int]:
    """Borders of n neighbouring portions of about equal cost, shape (n + 1,).

    Examples
    --------
    >>> cuts([5, 1, 1, 1, 1, 1], 2)
    [0, 1, 6]
    """
    sums = list(accumulate(costs, initial=0))
    inner = [bisect_left(sums, sums[-1] * k / n) for k in range(1, n)]
    return [0, *inner, len(costs)]


class Portions:
    """Work in an order in which neighbours share most, cut into one portion per lane.

    A lane takes its own portion from the start; when that is done it takes from the end of the
    longest one that is left, so that none waits while another has work.

    Parameters
    ----------
    costs
        About what each piece of work costs, such as its tokens.
    n
        Lanes, >= 1.

    Examples
    --------
    >>> work = Portions([1, 1, 1, 1, 1], 2)
    >>> [work.take(0), work.take(1), work.take(0), work.take(0), work.take(1), work.take(1)]
    [0, 3, 1, 2, 4, None]
    """

    def __init__(self, costs: Sequence[int], n: int) -> None:
        borders = cuts(costs, n)
        self._left = [[a, b] for a, b in pairwise(borders)]
        self._lock = threading.Lock()

    def take(self, lane: int) -> int | None:
        """The next piece of work of a lane, or None when all is taken."""
        with self._lock:
            own = self._left[lane]
            if own[0] < own[1]:
                own[0] += 1
                return own[0] - 1
            most = max(self._left, key=lambda portion: portion[1] - portion[0])
            if most[0] >= most[1]:
                return None
            most[1] -= 1
            return most[1]

    def drop(self) -> None:
        """Give out no more."""
        with self._lock:
            self._left = [[0, 0] for _ in self._left]


def side_by_side(
    act: Callable[[int], None], n: int, drop: Callable[[], None]
) -> list[BackendError]:
    """Call `act` with 0 ... n - 1, each on a thread of its own, and wait for all of them.

    Parameters
    ----------
    act
        What a lane does, given its number.
    n
        Lanes, >= 1; lane 0 is the thread that calls.
    drop
        Called when a lane ends with anything but a `BackendError`: the others shall end soon.

    Returns
    -------
    The errors of the lanes that llama.cpp failed in, fewer than n: where no lane is left, or where
    another exception (an interrupt, too) ended one, it is raised after all have ended.

    Examples
    --------
    >>> done = []
    >>> side_by_side(done.append, 3, done.clear), sorted(done)
    ([], [0, 1, 2])
    """
    errors: list[BaseException] = []

    def lane(number: int) -> None:
        try:
            act(number)
        except BaseException as error:
            errors.append(error)
            if not isinstance(error, BackendError):
                drop()

    others = [threading.Thread(target=lane, args=(k,), daemon=True) for k in range(1, n)]
    for thread in others:
        thread.start()
    lane(0)
    _join(others, errors, drop)
    failed = [error for error in errors if isinstance(error, BackendError)]
    for error in errors:
        if not isinstance(error, BackendError) or len(failed) == n:
            raise error
    return failed


def _join(
    threads: Sequence[threading.Thread], errors: list[BaseException], drop: Callable[[], None]
) -> None:
    """Wait for threads, an interrupt notwithstanding: they use memory that the caller may free."""
    waiting = list(threads)
    while waiting:
        try:
            waiting[0].join()
            waiting.pop(0)
        except KeyboardInterrupt as interrupt:
            errors.append(interrupt)
            drop()


def by_prompt(jobs: Sequence[AnyJob], n: int) -> list[list[AnyJob]]:
    """Jobs in the order of their tokens, in at most n portions; equal prompts stay together.

    Parameters
    ----------
    jobs
        At least one.
    n
        Lanes, >= 1.
    """
    same: dict[Tokens, list[AnyJob]] = {}
    for job in jobs:
        same.setdefault(tuple(token for block in job.path for token in block), []).append(job)
    order = sorted(same)
    borders = cuts(_costs(order), n)
    parts = [[job for tokens in order[a:b] for job in same[tokens]] for a, b in pairwise(borders)]
    return [part for part in parts if part]


def _costs(order: Sequence[Tokens]) -> list[int]:
    """Tokens of each prompt that the one before it does not have.

    The first has none that all begin with: every portion evaluates those.
    """
    ids = [np.array(tokens, dtype=np.int32) for tokens in order]
    shared = [common(a, b) for a, b in pairwise(ids)]
    shared.insert(0, min(shared, default=0))
    return [1 + len(tokens) - n for tokens, n in zip(order, shared, strict=True)]


def gathered(
    act: Callable[[int, list[AnyJob]], Iterator[tuple[int, Found]]],
    parts: Sequence[list[AnyJob]],
    n: int,
) -> tuple[dict[int, Found], list[BackendError]]:
    """What lanes yield, by index, when each takes the next portion as it is done with one.

    Parameters
    ----------
    act
        Given the number of a lane and a portion.
    parts
        At least one.
    n
        Lanes, >= 1.

    Returns
    -------
    Results by index, and errors of lanes that llama.cpp failed in.

    Examples
    --------
    >>> gathered(lambda lane, part: ((job, -job) for job in part), [[1, 2], [3]], 2)[0] == {
    ...     1: -1, 2: -2, 3: -3}
    True
    """
    found: dict[int, Found] = {}
    queue, stopped = deque(parts), threading.Event()

    def lane(number: int) -> None:
        while (part := _taken(queue)) is not None:
            for index, result in act(number, part):
                found[index] = result
                if stopped.is_set():
                    return

    def drop() -> None:
        stopped.set()
        queue.clear()

    return found, side_by_side(lane, n, drop)


def _taken(queue: deque[list[AnyJob]]) -> list[AnyJob] | None:
    try:
        return queue.popleft()
    except IndexError:
        return None
