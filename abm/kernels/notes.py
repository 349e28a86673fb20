"""Which rules were applied during a run, in which schedule, compiled or not: noted by the drivers.

A study opens the notes around each run and keeps them in the run's manifest. Outside of `noting`
nothing is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from abm.kernels.building import RuleRun

__all__ = ["RuleNotes", "note", "note_cohort", "noting", "summed"]


class RuleNotes:
    """What drivers and cohorts did, summed by driver, rule and schedule.

    Examples
    --------
    >>> notes = RuleNotes()
    >>> notes.add("pairwise", "compromise", "sweep", 100, "")
    >>> notes.add("pairwise", "compromise", "sweep", 20, "as asked")
    >>> notes.table()
    [{'driver': 'pairwise', 'rule': 'compromise', 'schedule': 'sweep', 'updates': 120,
      'compiled': 100, 'interpreted': {'as asked': 20}}]
    """

    def __init__(self) -> None:
        self._updates: dict[tuple[str, str, str], dict[str, int]] = {}

    def add(self, driver: str, rule: str, schedule: str, updates: int, why: str) -> None:
        """Count updates; `why` they were interpreted, empty if they were compiled."""
        reasons = self._updates.setdefault((driver, rule, schedule), {})
        reasons[why] = reasons.get(why, 0) + updates

    def table(self) -> list[dict[str, Any]]:
        """One entry per driver, rule and schedule, in the order of first use, as plain values."""
        return [
            {
                "driver": driver,
                "rule": rule,
                "schedule": schedule,
                "updates": sum(reasons.values()),
                "compiled": reasons.get("", 0),
                "interpreted": {why: count for why, count in reasons.items() if why and count},
            }
            for (driver, rule, schedule), reasons in self._updates.items()
        ]


_notes: ContextVar[RuleNotes | None] = ContextVar("rule notes", default=None)


@contextmanager
def noting() -> Iterator[RuleNotes]:
    """Note every rule that is applied inside the block.

    Examples
    --------
    >>> import numpy as np
    >>> from abm.kernels import run_pairwise
    >>> def copy(own, other, p):
    ...     return other, other
    >>> with noting() as notes:
    ...     _ = run_pairwise(copy, np.arange(4.0), None, rounds=2, schedule="matching",
    ...                      rng=np.random.default_rng(1), compiled=False)
    >>> [(entry["rule"], entry["schedule"], entry["updates"]) for entry in notes.table()]
    [('copy', 'matching', 4)]
    """
    notes = RuleNotes()
    token = _notes.set(notes)
    try:
        yield notes
    finally:
        _notes.reset(token)


def note(run: RuleRun) -> RuleRun:
    """Note what a driver did; returns it."""
    notes = _notes.get()
    if notes is not None:
        notes.add(run.driver, run.rule, run.schedule, int(run.n_updates), run.why)
    return run


def note_cohort(cohort: Any, updates: int, why: str) -> None:
    """Note updates of a cohort, which goes on; it has a `record`."""
    notes = _notes.get()
    if notes is not None and hasattr(cohort, "record"):
        run = cohort.record
        notes.add(run.driver, run.rule, run.schedule, int(updates), why)


def summed(tables: Iterable[Iterable[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Tables of several runs as one: counts are added, `runs` tells in how many each appears.

    Examples
    --------
    >>> one = RuleNotes()
    >>> one.add("rows", "trade", "sweep", 5, "")
    >>> [(entry["runs"], entry["updates"]) for entry in summed([one.table(), one.table()])]
    [(2, 10)]
    """
    total, runs = RuleNotes(), dict[tuple[str, str, str], int]()
    for table in tables:
        for entry in table:
            who = (entry["driver"], entry["rule"], entry["schedule"])
            runs[who] = runs.get(who, 0) + 1
            total.add(*who, entry["compiled"], "")
            for why, count in entry["interpreted"].items():
                total.add(*who, count, why)
    return [
        {**entry, "runs": runs[entry["driver"], entry["rule"], entry["schedule"]]}
        for entry in total.table()
    ]
