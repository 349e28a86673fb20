"""Which rules were applied during a run, in which schedule, compiled or not: noted by the drivers.

A study opens the notes around each run and keeps them in the run's manifest, whether the run
succeeds or fails. Outside of `noting` nothing is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from inspect import signature
from typing import Any, ParamSpec, TypeVar

from abm.kernels.building import RuleRun
from abm.kernels.doing import started
from abm.kernels.rule import name_of

__all__ = [
    "RuleNotes",
    "note",
    "note_cohort",
    "noted_if_it_fails",
    "notes_failures",
    "noting",
    "summed",
]

P = ParamSpec("P")
R = TypeVar("R")


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
        self._failed: dict[tuple[str, str, str], int] = {}

    def add(
        self, driver: str, rule: str, schedule: str, updates: int, why: str, *, failed: int = 0
    ) -> None:
        """Count updates; `why` they were interpreted, empty if they were compiled.

        Parameters
        ----------
        failed
            How many calls of the driver were ended by an error, after these updates.
        """
        key = (driver, rule, schedule)
        reasons = self._updates.setdefault(key, {})
        reasons[why] = reasons.get(why, 0) + updates
        self._failed[key] = self._failed.get(key, 0) + failed

    def table(self) -> list[dict[str, Any]]:
        """One entry per driver, rule and schedule, in the order of first use, as plain values.

        An entry has `failed` where an error ended calls of the driver.
        """
        return [self._entry(key) for key in self._updates]

    def _entry(self, key: tuple[str, str, str]) -> dict[str, Any]:
        reasons, ended = self._updates[key], self._failed[key]
        told = {why: n for why, n in reasons.items() if why and (n or ended)}
        return {
            **dict(zip(("driver", "rule", "schedule"), key, strict=True)),
            "updates": sum(reasons.values()),
            "compiled": reasons.get("", 0),
            "interpreted": told,
            **({"failed": ended} if ended else {}),
        }


_notes: ContextVar[RuleNotes | None] = ContextVar("rule notes", default=None)


@contextmanager
def noting(notes: RuleNotes | None = None) -> Iterator[RuleNotes]:
    """Note every rule that is applied inside the block, also one that fails there.

    Parameters
    ----------
    notes
        Where to note them; new ones if `None`.

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
    notes = RuleNotes() if notes is None else notes
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


@contextmanager
def noted_if_it_fails(driver: str, rule: Any, schedule: str) -> Iterator[None]:
    """Note what a driver did when an error ends it: `note` does so when it ends well.

    Examples
    --------
    >>> from abm.kernels.doing import done_so_far
    >>> with noting() as notes:
    ...     try:
    ...         with noted_if_it_fails("rows", "trade", "sweep"):
    ...             done_so_far(updates=3, why="as asked")
    ...             raise ValueError
    ...     except ValueError:
    ...         print(notes.table()[0]["interpreted"], notes.table()[0]["failed"])
    {'as asked': 3} 1
    """
    with started() as doing:
        try:
            yield
        except Exception:
            notes = _notes.get()
            if notes is not None:
                notes.add(driver, name_of(rule), schedule, doing.updates, doing.why, failed=1)
            raise


def notes_failures(
    driver: str, schedule: str = "asynchronous"
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Have a driver's rule in the notes also when an error ends it.

    Parameters
    ----------
    schedule
        Where the driver has no argument of that name.

    Examples
    --------
    >>> @notes_failures("rows")
    ... def run(rule, *, schedule="sweep"):
    ...     raise ValueError
    >>> with noting() as notes:
    ...     try:
    ...         run("trade")
    ...     except ValueError:
    ...         print(notes.table()[0]["schedule"], notes.table()[0]["failed"])
    sweep 1
    """

    def decorate(run: Callable[P, R]) -> Callable[P, R]:
        usual = signature(run).parameters.get("schedule")

        @wraps(run)
        def noted(*args: P.args, **kwargs: P.kwargs) -> R:
            rule = args[0] if args else kwargs.get("rule")
            order = kwargs.get("schedule", schedule if usual is None else usual.default)
            with noted_if_it_fails(driver, rule, str(order)):
                return run(*args, **kwargs)

        return noted

    return decorate


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
            total.add(*who, entry["compiled"], "", failed=entry.get("failed", 0))
            for why, count in entry["interpreted"].items():
                total.add(*who, count, why)
    return [
        {**entry, "runs": runs[entry["driver"], entry["rule"], entry["schedule"]]}
        for entry in total.table()
    ]
