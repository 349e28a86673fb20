"""What was decided: counts by question, policy, time, choice and status; by agent only on request.

A run of a million agents makes more decisions than anybody wants to store, so they are aggregated
as they happen. The time of a decision is the moment it was raised, in bins of whole time units. The
log does not depend on how decisions were batched.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from abm.questions import Request
from abm.rng import stream_key
from abm.tally import Tally

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Cell", "Cost", "DecisionLog"]


class Cell(NamedTuple):
    """What is counted together.

    Attributes
    ----------
    question
        Question id.
    policy
        Policy that the request was assigned to.
    time
        Start of the whole time unit in which the decision was raised.
    choice
        The option; `None` for a text or a skipped decision.
    status
        `ok`, or the failure of the first answer, whatever replaced it.
    answered_by
        Policy whose answer counts: `policy`, or the rule that stood in.
    """

    question: str
    policy: str
    time: int
    choice: str | None
    status: str
    answered_by: str


@dataclass
class Cost:
    """Decisions of a cell and what they cost when nothing is cached (notional tokens)."""

    decisions: int = 0
    retries: int = 0
    tokens_in: int = 0
    tokens_out: int = 0


class DecisionLog:
    """Counts of the decisions of one run.

    Parameters
    ----------
    by_agent
        Keep a row per decision too (`agents_frame`).

    Attributes
    ----------
    asked
        Requests raised so far.
    distinct
        Distinct (policy, request) pairs among them: what has to be inferred at most.

    Examples
    --------
    >>> log = DecisionLog()
    >>> log.record("ban", "rule", 0.5, "yes", n=3)
    >>> log.record("ban", "rule", 0.7, "yes")
    >>> log.frame().select("question", "policy", "time", "choice", "decisions").rows()
    [('ban', 'rule', 0, 'yes', 4)]
    """

    def __init__(self, by_agent: bool = False) -> None:
        self.by_agent = by_agent
        self.asked = 0
        self._cells: dict[Cell, Cost] = {}
        self._requests = Tally()
        self._rows: list[dict[str, Any]] = []

    @property
    def distinct(self) -> int:
        """Distinct (policy, request) pairs asked."""
        return len(self._requests)

    def request(self, policy: str, request: Request, n: int = 1) -> None:
        """Count a request that was raised `n` times."""
        self.asked += n
        self._requests.add(int(request.key[:16], 16) ^ stream_key(0, policy))

    def requests(self, policy: str, requests: Sequence[Request], numbers: Iterable[int]) -> None:
        """Count requests, each raised so many times."""
        self.asked += sum(numbers)
        words = np.array([int(request.key[:16], 16) for request in requests], dtype=np.uint64)
        self._requests.add_many(words ^ np.uint64(stream_key(0, policy)))

    def record(
        self,
        question: str,
        policy: str,
        time: float,
        choice: str | None,
        status: str = "ok",
        *,
        n: int = 1,
        answered_by: str | None = None,
        retries: int = 0,
        tokens_in: int = 0,
        tokens_out: int = 0,
    ) -> None:
        """Count `n` decisions. Retries and tokens are those of all n together."""
        cell = Cell(question, policy, math.floor(time), choice, str(status), answered_by or policy)
        cost = self._cells.get(cell)
        if cost is None:
            cost = self._cells[cell] = Cost()
        cost.decisions += n
        cost.retries += retries
        cost.tokens_in += tokens_in
        cost.tokens_out += tokens_out

    def record_agent(
        self,
        key: int | str,
        time: float,
        question: str,
        policy: str,
        value: str,
        status: str,
        confidence: float | None = None,
        answered_by: str | None = None,
    ) -> None:
        """A row of one agent's decision; kept when `by_agent` is set.

        Parameters
        ----------
        confidence
            Probability of the most probable option; `None` for a text or a failure.
        answered_by
            Who answered in the end; `None` for the policy.
        """
        row = {"key": str(key), "time": float(time), "question": question, "policy": policy}
        row |= {"value": value, "status": str(status), "confidence": confidence}
        row |= {"answered_by": answered_by or policy}
        self._rows.append(row)

    def count(self, **fixed: Any) -> int:
        """Decisions whose cell has these values, such as `count(question="ban", status="ok")`."""
        places = [(Cell._fields.index(name), value) for name, value in fixed.items()]
        return sum(
            cost.decisions
            for cell, cost in self._cells.items()
            if all(cell[place] == value for place, value in places)
        )

    def failures(self) -> dict[str, int]:
        """Decisions by status, failures only."""
        counts: Counter[str] = Counter()
        for cell, cost in self._cells.items():
            counts[cell.status] += cost.decisions
        del counts["ok"]
        return dict(sorted(counts.items()))

    def summary(self) -> dict[str, Any]:
        """Totals for a manifest: decisions, asked, distinct, retries, tokens, failures."""
        costs = list(self._cells.values())
        return {
            "decisions": sum(cost.decisions for cost in costs),
            "asked": self.asked,
            "distinct": self.distinct,
            "retries": sum(cost.retries for cost in costs),
            "tokens_in": sum(cost.tokens_in for cost in costs),
            "tokens_out": sum(cost.tokens_out for cost in costs),
            "failures": self.failures(),
        }

    def frame(self) -> pl.DataFrame:
        """One row per cell, sorted: question, policy, time, choice, status, answered_by, counts."""
        import polars as pl

        schema: Any = {
            "question": pl.String,
            "policy": pl.String,
            "time": pl.Int64,
            "choice": pl.String,
            "status": pl.String,
            "answered_by": pl.String,
            "decisions": pl.Int64,
            "retries": pl.Int64,
            "tokens_in": pl.Int64,
            "tokens_out": pl.Int64,
        }
        rows = [{**cell._asdict(), **vars(cost)} for cell, cost in self._cells.items()]
        return pl.DataFrame(rows, schema=schema).sort(list(Cell._fields), nulls_last=True)

    def agents_frame(self) -> pl.DataFrame:
        """One row per decision in the order made; empty unless `by_agent` was set."""
        import polars as pl

        names = (
            "key", "time", "question", "policy", "value", "status", "confidence", "answered_by"
        )  # fmt: skip
        numbers = ("time", "confidence")
        schema: Any = {name: pl.Float64 if name in numbers else pl.String for name in names}
        return pl.DataFrame(self._rows, schema=schema)
