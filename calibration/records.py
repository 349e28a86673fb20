"""What became of a simulation, and how many of each outcome there were."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from abm.calibration.problem import Task

__all__ = ["FAILED", "NOT_FINITE", "OK", "UNDEFINED", "Notice", "Record", "Tally", "statistics_of"]

OK = "ok"
"""It ran, and every fitted statistic is a finite number."""
NOT_FINITE = "not_finite"
"""It ran, and some fitted statistic is nan or infinite."""
UNDEFINED = "not finite: "
"""What the cause of a `NOT_FINITE` record begins with; the statistics follow."""
FAILED = "failed"
"""It raised an error, or its process died."""


class Record(NamedTuple):
    """A task and its outcome.

    Attributes
    ----------
    outcome
        `OK`, `NOT_FINITE` or `FAILED`.
    statistics
        Of the fitted targets, shape (m,); nan where `FAILED`.
    held_out
        Of the held-out targets, for scores, shape (k,).
    cost, tokens
        Notional.
    seconds
        What it took, for the expected end; no method reads it.
    error
        Why it failed, or which statistics are not finite; empty for `OK`.
    """

    task: Task
    outcome: str
    statistics: NDArray[np.float64]
    held_out: NDArray[np.float64]
    cost: float
    tokens: int
    seconds: float
    error: str = ""

    @property
    def is_ok(self) -> bool:
        return self.outcome == OK


def statistics_of(records: Iterable[Record]) -> NDArray[np.float64]:
    """Statistics of many records, shape (n, m)."""
    return np.array([record.statistics for record in records])


@dataclass
class Tally:
    """Counts and costs of the simulations that a fit used.

    Attributes
    ----------
    runs, cost, tokens, seconds
        By fidelity.
    outcomes
        Outcome -> how many.
    errors
        Cause -> how many, of those that were not `OK`.
    reused
        How many came from the ledger of an earlier, interrupted execution.
    """

    runs: Counter[str] = field(default_factory=Counter)
    cost: Counter[str] = field(default_factory=Counter)
    tokens: Counter[str] = field(default_factory=Counter)
    seconds: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    reused: int = 0

    def add(self, record: Record) -> None:
        """Count one."""
        level = record.task.fidelity
        self.runs[level] += 1
        self.cost[level] += record.cost  # type: ignore[assignment]
        self.tokens[level] += record.tokens
        self.seconds[level] += record.seconds  # type: ignore[assignment]
        self.outcomes[record.outcome] += 1
        if record.outcome != OK:
            self.errors[record.error] += 1

    def add_all(self, records: Sequence[Record]) -> None:
        """Count many, with the sums that `add` gives one by one, to the bit."""
        by_level: dict[str, list[Record]] = {}
        for record in records:
            by_level.setdefault(record.task.fidelity, []).append(record)
        for level, group in by_level.items():
            cost, seconds = self.cost[level], self.seconds[level]
            for record in group:  # in order: sum() may round otherwise
                cost += record.cost  # type: ignore[assignment]
                seconds += record.seconds  # type: ignore[assignment]
            self.cost[level], self.seconds[level] = cost, seconds
            self.runs[level] += len(group)
            self.tokens[level] += sum(record.tokens for record in group)
        self.outcomes.update(record.outcome for record in records)
        self.errors.update(record.error for record in records if record.outcome != OK)

    @property
    def n_runs(self) -> int:
        return sum(self.runs.values())

    @property
    def total_cost(self) -> float:
        """Notional, in the unit of the problem's fidelities."""
        return float(sum(self.cost.values()))

    @property
    def n_failed(self) -> int:
        """Simulations that were not `OK`."""
        return self.n_runs - self.outcomes[OK]

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "runs": dict(self.runs),
            "cost": {k: float(v) for k, v in self.cost.items()},
            "tokens": dict(self.tokens),
            "seconds": {k: float(v) for k, v in self.seconds.items()},
            "outcomes": dict(self.outcomes),
            "errors": dict(self.errors),
            "reused": self.reused,
        }


@dataclass(frozen=True)
class Notice:
    """Something that a reader of the result must know.

    Attributes
    ----------
    outcome
        Its name: `out_of_reach`, `degenerate_distance`, `failed`, `not_finite`, `budget_spent`, ...
    message
        What, and what to do.
    about
        The statistic, stage or parameter that it is about.
    amount
        How much, where that is a number; nan elsewhere.
    """

    outcome: str
    message: str
    about: str = ""
    amount: float = float("nan")
