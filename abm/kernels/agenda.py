"""A compiled queue of everybody's next event: a 4-ary heap, or a ladder of buckets above a heap.

`due[i]` is the truth: the time of i's next event, infinite for none. Entries in the queue that do
not agree with it are stale and skipped, so that setting and cancelling cost next to nothing. Order
is by time, then by row.

The ladder covers an epoch that starts at the earliest event and is as long as twice the mean time
to go, so that at least half of what is pending lies in it (Markov's inequality). Its buckets hold
some hundred to some thousand events each, as they come. They are opened in order: what a bucket
holds is put in order all at once and becomes the run; what is set later and falls due before the
end of the run goes to the heap. The next event is the earlier of the first of both. So all but what
belongs to the agents themselves stays in the cache, and the memory of those whose turn comes soon
is fetched ahead. What lies beyond the epoch is found in `due` when the next epoch begins, or, where
few agents have anything before them, in one more bucket.

When gaps differ so much that a bucket holds far more than its share, or much at nearly one time, it
goes to the heap: slower by a logarithm, and still exact. When few events are left among many
agents, the ladder is given up for the heap, until that has to grow. A queue whose ladder has no
buckets is the plain heap.

While an agent acts that the heap had first, its place there is kept open: mostly the agent's own
next event fills it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from abm.kernels.tools import has_numba

__all__ = ["Agenda", "Queue", "make_queue"]

_CHUNK = 32
_SHIFT = 5
_SHARES = 7  # a bucket's share is the number pending divided by 2**7, within the following limits
_LEAST, _MOST = 4, 2048
_CROWD = 64  # with so many nearly at one time, a heap is quicker than a run
_MANY = 4  # with more pending than one in so many, a look at all is quicker than a list
_FEW, _LITTLE = 16, 512  # with fewer pending than one in so many and than that, a heap is as quick
_ROOM = 4096  # in the heap beside a ladder


def lean(function: Callable[..., Any], *, inlined: bool = False) -> Callable[..., Any]:
    """Compile for the disk, without counting references to the arrays that are passed on."""
    if not has_numba():
        return function
    import numba

    compiler: Any = numba.njit  # its types do not know `_nrt`
    made: Callable[..., Any] = compiler(cache=True, _nrt=False, forceinline=inlined)(function)
    return made


inlined = partial(lean, inlined=True)
"""The same, copied into callers: passing ten arrays on would cost more than the work."""


# places in `meta`
_SIZE, _OPEN, _BUCKETS, _FREE, _REBUILD, _LADDER, _WRONG, _RUN, _END, _FAR = range(10)
# places in `scale`
_START, _INVERSE, _NOW, _WHO, _WANTED = range(5)
PAST, NOBODY = 2, 4
"""What may be wrong with a call of a rule: a time that is past or nan, an agent that is none."""
NO_ROOM = -2
"""In place of a row: the heap is too small."""
AHEAD, SOON = 12, 6
"""So many events before its turn an agent's memory is fetched, and what that refers to."""


class Queue(NamedTuple):
    """The arrays of a queue.

    Attributes
    ----------
    due
        Next event of each agent, shape (n,).
    times, rows
        The heap: of everything, or of what falls due before the open bucket ends.
    run_times, run_rows
        What the open bucket held, in order.
    parts
        Work space for putting it in order.
    chunk_times, chunk_rows, chunk_next
        Pool of chunks of 32 entries; `chunk_next` chains those of a bucket, and the free ones.
    tails
        Where the last entry of each bucket is; -1 if it is empty. The last one is for what lies
        beyond the epoch.
    meta, scale
        Size of the heap, bucket opened last, number of buckets, first free chunk, whether to
        rebuild, whether there is a ladder, what was wrong with a call of a rule, where the run is
        and ends, whether what lies beyond the epoch has a bucket; start of the epoch, buckets per
        unit of time, time of the event that is applied, whom and when the call named that was
        wrong.
    """

    due: NDArray[np.float64]
    times: NDArray[np.float64]
    rows: NDArray[np.int32]
    run_times: NDArray[np.float64]
    run_rows: NDArray[np.int32]
    parts: NDArray[np.int32]
    chunk_times: NDArray[np.float64]
    chunk_rows: NDArray[np.int32]
    chunk_next: NDArray[np.int32]
    tails: NDArray[np.int32]
    meta: NDArray[np.int64]
    scale: NDArray[np.float64]


def make_queue(due: NDArray[np.float64], *, ladder: bool, room: int = 0) -> Queue:
    """A queue of what is due; it is filled when it is first used.

    Parameters
    ----------
    due
        Shape (n,); kept, not copied.
    ladder
        Buckets above the heap; pays from about 1,000 pending events on.
    room
        Room in the heap, at least.
    """
    n = len(due)
    heap = max(room, _ROOM) if ladder else max(room, 64)
    buckets = max(n >> 11, 160) + 3 if ladder else 0
    run = 8 * int(share(n)) if ladder else 0
    chunks = (n + n // 2) // _CHUNK + buckets + 64 if ladder else 0
    meta, scale = np.zeros(10, dtype=np.int64), np.zeros(5)
    scale[_NOW] = -np.inf
    meta[_REBUILD], meta[_LADDER] = 1, ladder
    return Queue(
        due,
        np.empty(heap),
        np.empty(heap, dtype=np.int32),
        np.empty(run),
        np.empty(run, dtype=np.int32),
        np.empty(run // 2 + 2, dtype=np.int32),
        np.empty(chunks * _CHUNK),
        np.empty(chunks * _CHUNK, dtype=np.int32),
        np.empty(chunks, dtype=np.int32),
        np.empty(buckets, dtype=np.int32),
        meta,
        scale,
    )


@lean
def share(n: Any) -> Any:
    """How many of n pending events a bucket shall hold on average when an epoch begins."""
    return min(max(n >> _SHARES, _LEAST), _MOST)


@inlined
def push(queue: Any, row: Any, time: Any) -> None:
    """Let `row` be due at `time`, whatever it was before; infinite cancels."""
    queue.due[row] = time
    if time == np.inf or queue.meta[_REBUILD] != 0:
        return
    enter(queue, row, time)


@inlined
def exists(queue: Any, row: Any) -> bool:
    """Whether there is such an agent; a call that names nobody is noted down."""
    if 0 <= row < len(queue.due):
        return True
    queue.meta[_WRONG], queue.scale[_WHO], queue.scale[_WANTED] = NOBODY, row, np.nan
    return False


@inlined
def schedule(queue: Any, row: Any, time: Any) -> None:
    """`push` for rules: a time that is past, nan, or for nobody is noted down, not entered."""
    if not time >= queue.scale[_NOW]:
        queue.meta[_WRONG], queue.scale[_WHO], queue.scale[_WANTED] = PAST, row, time
    elif exists(queue, row):
        push(queue, row, time)


@inlined
def bucket_of(queue: Any, time: Any) -> Any:
    """The bucket for a time; the number of buckets if it lies beyond, -1 for the heap."""
    meta = queue.meta
    if meta[_LADDER] == 0:
        return -1
    place = (time - queue.scale[_START]) * queue.scale[_INVERSE]
    if place >= meta[_BUCKETS]:
        return meta[_BUCKETS]
    return int(place) if place >= meta[_OPEN] + 1 else -1


@inlined
def enter(queue: Any, row: Any, time: Any) -> None:
    """Put an entry where it belongs; asks for a rebuild where there is no room."""
    meta, bucket = queue.meta, bucket_of(queue, time)
    if bucket >= 0:
        if bucket < meta[_BUCKETS]:
            into_bucket(queue, bucket, row, time)
        elif meta[_FAR] != 0:
            into_bucket(queue, len(queue.tails) - 1, row, time)
        return
    size = meta[_SIZE]
    if size == len(queue.times):
        meta[_REBUILD] = 2
        return
    meta[_SIZE] = size + 1
    rise(queue.times, queue.rows, size, time, row)


@inlined
def into_bucket(queue: Any, bucket: Any, row: Any, time: Any) -> None:
    """Append to the last chunk of a bucket, or to a new one."""
    last = queue.tails[bucket]
    if last < 0 or last % _CHUNK == _CHUNK - 1:
        fresh = queue.meta[_FREE]
        if fresh < 0:
            queue.meta[_REBUILD] = 1
            return
        queue.meta[_FREE] = queue.chunk_next[fresh]
        queue.chunk_next[fresh] = last >> _SHIFT  # -1 if there is none
        last = fresh * _CHUNK - 1
    queue.chunk_times[last + 1] = time
    queue.chunk_rows[last + 1] = row
    queue.tails[bucket] = last + 1


@inlined
def rise(times: Any, rows: Any, place: Any, time: Any, row: Any) -> None:
    """Let an entry rise from a place of the heap."""
    while place > 0:
        above = (place - 1) >> 2
        if times[above] < time or (times[above] == time and rows[above] < row):
            break
        times[place] = times[above]
        rows[place] = rows[above]
        place = above
    times[place] = time
    rows[place] = row


@inlined
def earlier(times: Any, rows: Any, one: Any, other: Any) -> Any:
    """Which of two places has the earlier entry; without a branch, as chance decides."""
    first, second = times[one], times[other]
    later = (second < first) | ((second == first) & (rows[other] < rows[one]))
    return other if later else one


@inlined
def sink(times: Any, rows: Any, size: Any, place: Any, time: Any, row: Any) -> None:
    """Let an entry sink from a place of a heap of `size` entries."""
    while True:
        child = 4 * place + 1
        if child + 3 < size:
            left = earlier(times, rows, child, child + 1)
            right = earlier(times, rows, child + 2, child + 3)
            least = earlier(times, rows, left, right)
        elif child < size:
            least = child
            for other in range(child + 1, size):
                least = earlier(times, rows, least, other)
        else:
            break
        if before(time, row, times[least], rows[least]):
            break
        times[place] = times[least]
        rows[place] = rows[least]
        place = least
    times[place] = time
    rows[place] = row


@inlined
def drop(queue: Any) -> None:
    """Take the first entry off the heap."""
    size = queue.meta[_SIZE] - 1
    queue.meta[_SIZE] = size
    if size > 0:
        sink(queue.times, queue.rows, size, 0, queue.times[size], queue.rows[size])


@inlined
def first(queue: Any) -> Any:
    """The next event: its time, its row, and whether it is the first of the heap, or of the run.

    Where there is none the time is infinite. If the heap is too small the row is `NO_ROOM`, and the
    queue must be made anew with more room.
    """
    meta = queue.meta
    while True:
        if meta[_REBUILD] != 0 and not rebuild(queue):
            return np.inf, NO_ROOM, True
        at = meta[_RUN]
        while at < meta[_END] and queue.due[queue.run_rows[at]] != queue.run_times[at]:
            at += 1
        meta[_RUN] = at
        while meta[_SIZE] > 0 and queue.due[queue.rows[0]] != queue.times[0]:
            drop(queue)
        if at < meta[_END]:
            time, row = queue.run_times[at], int(queue.run_rows[at])
            if meta[_SIZE] == 0 or not before(queue.times[0], queue.rows[0], time, row):
                return time, row, False
        if meta[_SIZE] > 0:
            return queue.times[0], int(queue.rows[0]), True
        if meta[_LADDER] == 0:
            return np.inf, -1, True
        if meta[_OPEN] + 1 < meta[_BUCKETS]:
            open_next(queue)
        else:
            if not next_epoch(queue):
                return np.inf, NO_ROOM, True
            if meta[_SIZE] == 0 and meta[_BUCKETS] == 0:
                return np.inf, -1, True


@inlined
def before(time: Any, row: Any, other_time: Any, other_row: Any) -> Any:
    """The order of events: by time, then by row."""
    return time < other_time or (time == other_time and row < other_row)


@inlined
def take(queue: Any, of_heap: Any) -> Any:
    """Take off the first event of the heap or of the run; returns who comes later, and soon, or -1.

    In the heap it leaves a gap that stays first until `put_back` fills it.
    """
    if of_heap:
        queue.times[0] = -np.inf
        return -1, -1
    at = queue.meta[_RUN] + 1
    queue.meta[_RUN] = at
    if at + AHEAD < queue.meta[_END]:
        return int(queue.run_rows[at + AHEAD]), int(queue.run_rows[at + SOON])
    return -1, -1


@inlined
def put_back(queue: Any, row: Any, time: Any, of_heap: Any) -> None:
    """Let the agent that was taken off be due at `time`, infinite for never; fills its place."""
    if not of_heap:
        push(queue, row, time)
        return
    queue.due[row] = time
    if queue.meta[_REBUILD] != 0:
        return
    if time < np.inf and bucket_of(queue, time) < 0:
        sink(queue.times, queue.rows, queue.meta[_SIZE], 0, time, row)
        return
    drop(queue)
    if time < np.inf:
        enter(queue, row, time)


@lean
def open_next(queue: Any) -> None:
    """Make the entries of the next bucket the run, or put them into the heap if they are odd."""
    meta = queue.meta
    bucket = meta[_OPEN] + 1
    meta[_OPEN], meta[_RUN], meta[_END] = bucket, 0, 0
    size = size_of(queue, bucket)
    if size > len(queue.run_times) or crowd(queue, bucket, size) > _CROWD:
        into_heap(queue, bucket)
        return
    into_run(queue, bucket, size)
    meta[_END] = size


@lean
def size_of(queue: Any, bucket: Any) -> Any:
    """How many entries a bucket has."""
    last = queue.tails[bucket]
    if last < 0:
        return 0
    size, chunk = last % _CHUNK + 1, queue.chunk_next[last >> _SHIFT]
    while chunk >= 0:
        size += _CHUNK
        chunk = queue.chunk_next[chunk]
    return size


@inlined
def part_of(queue: Any, bucket: Any, time: Any, n_parts: Any) -> Any:
    """Which of equal parts of a bucket a time lies in; never falls as time goes on."""
    within = (time - queue.scale[_START]) * queue.scale[_INVERSE] - bucket
    return min(int(within * n_parts), n_parts - 1)


@lean
def crowd(queue: Any, bucket: Any, size: Any) -> Any:
    """Find where each part of a bucket begins in the run; returns the size of the largest."""
    n_parts = size // 2 + 1
    parts, largest = queue.parts, 0
    parts[: n_parts + 1] = 0
    last = queue.tails[bucket]
    while last >= 0:
        chunk = last >> _SHIFT
        for k in range(chunk << _SHIFT, last + 1):
            parts[part_of(queue, bucket, queue.chunk_times[k], n_parts)] += 1
        last = (queue.chunk_next[chunk] << _SHIFT) + _CHUNK - 1
    total = 0
    for part in range(n_parts):
        count = parts[part]
        parts[part] = total
        total += count
        largest = max(largest, count)
    return largest


@lean
def into_run(queue: Any, bucket: Any, size: Any) -> None:
    """Put the entries of a bucket in order, part by part and then within parts."""
    parts, times, rows = queue.parts, queue.run_times, queue.run_rows
    last = queue.tails[bucket]
    while last >= 0:
        chunk = last >> _SHIFT
        for k in range(chunk << _SHIFT, last + 1):
            time = queue.chunk_times[k]
            part = part_of(queue, bucket, time, size // 2 + 1)
            times[parts[part]] = time
            rows[parts[part]] = queue.chunk_rows[k]
            parts[part] += 1
        last = free(queue, chunk)
    for k in range(1, size):
        time, row, place = times[k], rows[k], k
        while place > 0 and before(time, row, times[place - 1], rows[place - 1]):
            times[place] = times[place - 1]
            rows[place] = rows[place - 1]
            place -= 1
        times[place] = time
        rows[place] = row


@lean
def into_heap(queue: Any, bucket: Any) -> None:
    """Add the entries of a bucket to the heap; asks for more room where there is none."""
    meta, last = queue.meta, queue.tails[bucket]
    while last >= 0:
        chunk = last >> _SHIFT
        for k in range(chunk << _SHIFT, last + 1):
            row, time = queue.chunk_rows[k], queue.chunk_times[k]
            if queue.due[row] == time:
                if meta[_SIZE] == len(queue.times):
                    meta[_REBUILD] = 2
                    return
                rise(queue.times, queue.rows, meta[_SIZE], time, row)
                meta[_SIZE] += 1
        last = free(queue, chunk)


@inlined
def free(queue: Any, chunk: Any) -> Any:
    """Give a chunk back to the pool; returns where the entries of the one before it end."""
    following = queue.chunk_next[chunk]
    queue.chunk_next[chunk] = queue.meta[_FREE]
    queue.meta[_FREE] = chunk
    return (following << _SHIFT) + _CHUNK - 1


@lean
def rebuild(queue: Any) -> Any:
    """Fill the queue from what is due; `False` if the heap has no room."""
    meta, due = queue.meta, queue.due
    if meta[_REBUILD] == 2:
        return False
    earliest, n, total = np.inf, 0, 0.0
    for row in range(len(due)):
        if due[row] < np.inf:
            n += 1
            earliest = min(earliest, due[row])
    if n < min(len(due) // _FEW, _LITTLE):
        meta[_LADDER] = 0
    if meta[_LADDER] != 0:
        for row in range(len(due)):
            if due[row] < np.inf:
                total += due[row] - earliest
        free_all(queue)
    start_epoch(queue, earliest, n, total)
    for row in range(len(due)):
        if due[row] < np.inf:
            enter(queue, row, due[row])
    return meta[_REBUILD] != 2


@lean
def next_epoch(queue: Any) -> Any:
    """Fill the queue, which is empty, from what lay beyond the epoch; `False` without room."""
    meta, last = queue.meta, queue.tails[len(queue.tails) - 1]
    if meta[_FAR] == 0:
        return rebuild(queue)
    earliest, n, total = drop_stale(queue, last)
    if n < min(len(queue.due) // _FEW, _LITTLE):
        meta[_LADDER] = 0
    start_epoch(queue, earliest, n, total)
    while last >= 0:
        chunk = last >> _SHIFT
        for k in range(chunk << _SHIFT, last + 1):
            if queue.chunk_rows[k] >= 0:
                enter(queue, queue.chunk_rows[k], queue.chunk_times[k])
        last = free(queue, chunk)
    return meta[_REBUILD] != 2


@lean
def drop_stale(queue: Any, last: Any) -> Any:
    """Mark entries of a bucket that are not due any more; the earliest time, number and sum."""
    end, earliest, n, total = last, np.inf, 0, 0.0
    while last >= 0:
        chunk = last >> _SHIFT
        for k in range(chunk << _SHIFT, last + 1):
            time = queue.chunk_times[k]
            if queue.due[queue.chunk_rows[k]] == time:
                n += 1
                earliest = min(earliest, time)
            else:
                queue.chunk_rows[k] = -1
        last = (queue.chunk_next[chunk] << _SHIFT) + _CHUNK - 1
    while end >= 0:
        chunk = end >> _SHIFT
        for k in range(chunk << _SHIFT, end + 1):
            if queue.chunk_rows[k] >= 0:
                total += queue.chunk_times[k] - earliest
        end = (queue.chunk_next[chunk] << _SHIFT) + _CHUNK - 1
    return earliest, n, total


@lean
def start_epoch(queue: Any, earliest: Any, n: Any, total: Any) -> None:
    """Empty buckets from the first of n events on, as wide as the mean time to go tells."""
    meta, scale = queue.meta, queue.scale
    meta[_REBUILD], meta[_SIZE], meta[_BUCKETS], meta[_OPEN] = 0, 0, 0, -1
    meta[_RUN], meta[_END], meta[_FAR] = 0, 0, 0
    if n == 0 or meta[_LADDER] == 0:
        return
    n_buckets = n // share(n) + 1
    scale[_INVERSE] = 0.5 * n_buckets * n / total if total > 0.0 else 0.0
    if not 0.0 < scale[_INVERSE] < np.inf:
        n_buckets = 1  # all at one time, or times beyond measure: one bucket is the plain heap
        scale[_INVERSE] = 0.0
    scale[_START] = earliest
    meta[_BUCKETS] = n_buckets
    meta[_FAR] = n <= len(queue.due) // _MANY
    queue.tails[:] = -1


@lean
def free_all(queue: Any) -> None:
    """Give all chunks back to the pool."""
    for chunk in range(len(queue.chunk_next)):
        queue.chunk_next[chunk] = chunk + 1
    queue.chunk_next[len(queue.chunk_next) - 1] = -1
    queue.meta[_FREE] = 0


class Agenda:
    """What a rule may do to others' events, as its argument `agenda`.

    Parameters
    ----------
    queue
        The queue.

    Examples
    --------
    >>> agenda = Agenda(make_queue(np.array([1.0, np.inf]), ladder=False))
    >>> agenda.schedule(1, 0.5)
    >>> agenda.due(1), agenda.cancel(0), agenda.due(0)
    (0.5, None, inf)
    """

    __slots__ = ("held",)

    def __init__(self, queue: Queue) -> None:
        self.held = queue

    def schedule(self, row: int, time: float) -> None:
        """Let `row` act at an absolute time from now on, instead of when it was due.

        A time that is past or nan, or a row of nobody, stops the run with an error.
        """
        schedule(self.held, row, float(time))

    def cancel(self, row: int) -> None:
        """`row` has no next event any more."""
        schedule(self.held, row, np.inf)

    def due(self, row: int) -> float:
        """When `row` acts next; infinite if never."""
        return float(self.held.due[row]) if exists(self.held, row) else np.inf


def _schedule(it: Any, a: Any, b: Any) -> None:
    schedule(it.held, a, b)


def _cancel(it: Any, a: Any) -> None:
    schedule(it.held, a, np.inf)


def _due(it: Any, a: Any) -> Any:
    return it.held.due[a] if exists(it.held, a) else np.inf


if has_numba():
    from abm.kernels.boxed import BoxedType, method_of, register

    class AgendaType(BoxedType):
        """Type of `Agenda` in compiled code."""

    register(Agenda, AgendaType)
    for _method in (_schedule, _cancel, _due):
        method_of(AgendaType, _method)
