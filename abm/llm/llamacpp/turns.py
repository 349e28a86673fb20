"""Candidates take turns: what is faster is told apart although other programs compute, too.

Whatever disturbs a measurement makes it slower, never faster, so the best turn of each candidate
counts. That is trusted once a second turn came close to it: until then there are further turns, up
to a bound. How close they came, and how much of the processor others had, is kept with the result.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["AGREE", "Turns", "in_turns", "others_since", "processor_times"]

AGREE = 0.05
"""How far the two best turns of a candidate may lie apart, as a share."""

_LEAST, _MOST = 3, 6  # turns
_LONG = 15.0  # seconds after which two turns suffice


@dataclass(frozen=True)
class Turns:
    """What candidates did per second in their best turns.

    Attributes
    ----------
    per_second
        By candidate.
    spread
        How much longer the second best turn took than the best, as a share: at most so much, of
        nine candidates in ten.
    n_turns
        How many turns were taken.
    """

    per_second: Mapping[Any, float]
    spread: float
    n_turns: int


def in_turns(
    acts: Mapping[Any, Callable[[], int]],
    clock: Callable[[], float],
    prepare: Callable[[Any], None] = lambda _: None,
    elapsed: Callable[[], float] = time.perf_counter,
) -> Turns:
    """Let every candidate act once a turn, until the two best turns of nearly each agree.

    Parameters
    ----------
    acts
        By name of the candidate: does something, and returns how much.
    clock
        Read before and after an act; the time of a thread where it computes alone.
    prepare
        Called with the name before each act; does not count.
    elapsed
        The time that bounds the measurement: after 15 seconds two turns suffice.

    Examples
    --------
    >>> ticks = iter([0, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7])
    >>> found = in_turns({"a": lambda: 6, "b": lambda: 6}, lambda: next(ticks))
    >>> found.per_second, found.spread, found.n_turns
    ({'a': 6.0, 'b': 6.0}, 0.0, 3)
    """
    times: dict[Hashable, list[float]] = {name: [] for name in acts}
    begun, n_turns, spread = elapsed(), 0, float("inf")
    done = dict.fromkeys(acts, 0)
    while n_turns < _MOST:
        for name, act in acts.items():
            prepare(name)
            before = clock()
            done[name] = act()
            times[name].append(max(clock() - before, 1e-9))
        n_turns += 1
        spread = _of_nine_in_ten([_gap(seconds) for seconds in times.values()])
        if n_turns >= 2 and elapsed() - begun > _LONG:
            break
        if n_turns >= _LEAST and spread <= AGREE:
            break
    best = {name: done[name] / min(times[name]) for name in acts}
    return Turns(best, spread, n_turns)


def _gap(times: list[float]) -> float:
    """How much longer the second best took than the best; infinite after one turn."""
    best, *others = sorted(times)
    return others[0] / best - 1 if others else float("inf")


def _of_nine_in_ten(gaps: list[float]) -> float:
    """The largest of them, but for a tenth: single turns are quick or slow for no known reason."""
    return sorted(gaps)[math.ceil(0.9 * len(gaps)) - 1]


def processor_times() -> tuple[float, float, float] | None:
    """Wall clock, seconds that the CPUs of this process have worked, and those for this process.

    `None` where the system does not tell (other systems than Linux).
    """
    try:
        lines = Path("/proc/stat").read_text(encoding="ascii").splitlines()
        tick = os.sysconf("SC_CLK_TCK")
        mine = {f"cpu{k}" for k in os.sched_getaffinity(0)}
    except (OSError, AttributeError, ValueError):
        return None
    busy = 0
    for line in lines:
        name, *counts = line.split()
        if name in mine:
            user, nice, system, _, _, hard, soft, stolen = map(int, [*counts, *"0" * 8][:8])
            busy += user + nice + system + hard + soft + stolen
    return time.perf_counter(), busy / tick, time.process_time()


def others_since(before: tuple[float, float, float] | None) -> float | None:
    """Share of the CPUs of this process that others have used since, in [0, 1]; None: unknown.

    Parameters
    ----------
    before
        What `processor_times` gave then.
    """
    now = processor_times()
    if before is None or now is None or now[0] <= before[0]:
        return None
    wall, busy, own = (b - a for a, b in zip(before, now, strict=True))
    n_cpus = len(os.sched_getaffinity(0))
    return min(1.0, max(0.0, (busy - own) / (wall * n_cpus)))
