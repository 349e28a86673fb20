"""What a study may spend: notional tokens, and hours of this execution.

Tokens are what requests cost when nothing is cached, so the place where a study stops does not
depend on what its ledger held. Hours are the wall clock and decide when to stop, never a result.
Where a study stops is no result either: everything answered is in the ledger, and a run that was
in flight starts again.
"""

from __future__ import annotations

import threading
import time
from collections import Counter

from abm.errors import AbmError

__all__ = ["BudgetSpent", "Meter"]


class BudgetSpent(AbmError):
    """The budget of a study is spent: it stops here, and goes on with a larger one."""


class Meter:
    """Counts notional tokens per run, and stops when the budget is spent.

    Parameters
    ----------
    tokens, hours
        The budget; `None` for no limit.
    spent
        Tokens of the runs that are finished.

    Examples
    --------
    >>> meter = Meter(tokens=100)
    >>> meter.add("run 1", 60)
    >>> meter.check()
    >>> meter.add("run 1", 60)
    >>> meter.check()
    Traceback (most recent call last):
    abm.ledger.meter.BudgetSpent: the budget of 100 tokens is spent (120); ...
    """

    def __init__(
        self, tokens: float | None = None, hours: float | None = None, *, spent: int = 0
    ) -> None:
        self.tokens, self.hours = tokens, hours
        self._runs: Counter[str] = Counter({"": spent})
        self._begun = time.monotonic()
        self._guard = threading.Lock()

    @property
    def spent(self) -> int:
        """Notional tokens of finished runs and of those in flight."""
        with self._guard:
            return self._runs.total()

    def add(self, run: str, tokens: int) -> None:
        """Count the cost of an answered request."""
        with self._guard:
            self._runs[run] += tokens

    def check(self) -> None:
        """Raise `BudgetSpent` when the budget is spent."""
        said = self.over()
        if said:
            raise BudgetSpent(said)

    def over(self) -> str:
        """What is spent, in words; empty while the budget lasts."""
        more = "a larger budget and the same command go on from here"
        if self.tokens is not None and self.spent >= self.tokens:
            return f"the budget of {self.tokens:,} tokens is spent ({self.spent:,}); {more}"
        if self.hours is not None and time.monotonic() - self._begun >= self.hours * 3600:
            return f"the budget of {self.hours:g} hours is spent; {more}"
        return ""
