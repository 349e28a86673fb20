"""Looking ahead: cohorts whose events others see are drained up to the next event of the model.

Until then nobody else can act, so the order of all events is exact, and a cohort costs one call per
event of others, not one event per event of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

__all__ = ["COHORT", "Lookahead"]

COHORT = -2.0
"""Priority of events of cohorts: they come first in their instant."""


class Lookahead:
    """The cohorts of a model whose events come to the surface.

    Parameters
    ----------
    env
        The environment, which calls this object before it takes its next event.
    """

    def __init__(self, env: Any) -> None:
        self.env = env
        self._shown: list[tuple[Any, Callable[[Any], None]]] = []

    def add(self, cohort: Any, show: Callable[[Any], None]) -> None:
        """Call `show(event)` at the time of every event of a cohort that surfaces."""
        self._shown.append((cohort, show))
        self.env.ahead = self

    def remove(self, cohort: Any) -> None:
        """Look at a cohort no more."""
        self._shown = [pair for pair in self._shown if pair[0] is not cohort]
        if not self._shown:
            self.env.ahead = None

    def catch_up(self, cohort: Any, now: float) -> None:
        """Apply what a cohort does up to now, for somebody who looks at its columns.

        What surfaces at this very moment is shown next, while the clock stands at its time.
        """
        for known, show in self._shown:
            if known is cohort:
                while (event := cohort.drain(now)) is not None:
                    self._announce(event, show)
                return
        cohort.advance(now)

    def _announce(self, event: Any, show: Callable[[Any], None]) -> None:
        self.env.call_at(event.time, lambda _: show(event), COHORT)

    def __call__(self, until: float) -> None:
        """Drain up to the model's next event or `until`, or to the first event that surfaces."""
        queue = self.env._queue
        horizon = min(queue[0][0], until) if queue else until
        while True:
            cohort, show, limit = self._next(horizon)
            if cohort is None:
                return
            event = cohort.drain(limit)
            if event is not None:
                self._announce(event, show)
                return
            if horizon == math.inf:
                # Nothing else is left: the clock goes with the cohort, event by event.
                self.env.call_at(cohort.time, _nothing, COHORT)
                return
            if len(self._shown) == 1:
                return

    def _next(self, horizon: float) -> tuple[Any, Any, float]:
        """The cohort that acts next, and until when it is the only one; `None` for nobody."""
        if len(self._shown) == 1 and horizon < math.inf:
            cohort, show = self._shown[0]
            return (cohort, show, horizon) if cohort.time < horizon else (None, None, horizon)
        times = [cohort.next_time for cohort, _ in self._shown]
        first = min(range(len(times)), key=times.__getitem__)
        if times[first] > horizon or times[first] == math.inf:
            return None, None, horizon
        others = min((t for k, t in enumerate(times) if k != first), default=math.inf)
        # At equal times, those that were attached first come first, one event time at a time.
        limit = min(horizon, max(times[first], math.nextafter(others, -math.inf)))
        return (*self._shown[first], times[first] if limit == math.inf else limit)


def _nothing(_: Any) -> None:
    """An event that only moves the clock."""
