"""The clock: SimPy's environment with absolute times, a guarded run, and one total order.

Events are ordered by (time, priority, insertion). The priorities of one instant, in order:

==================  =====  =======================================================
`COHORT`            -2     events of cohorts that come to the surface
`INTERVENTION`      -1     what a scenario changes at this date
`URGENT`            0      starts of processes, interrupts
`HIGH`              0.5    Mesa's high events and `Model.step`
`NORMAL`            1      everything else, by insertion (SimPy's and Mesa's default)
`LOW`               2      Mesa's low events
`DECISION`          100    decisions without deliberation
`OBSERVATION`       200    data collection: the instant has settled
==================  =====  =======================================================
"""

from __future__ import annotations

import math
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, cast

import simpy
from simpy.core import BoundClass, EmptySchedule, StopSimulation
from simpy.events import Event, EventPriority

from abm.engine.ahead import Lookahead
from abm.engine.failures import blame_from_traceback
from abm.engine.process import Process
from abm.errors import EngineError

__all__ = [
    "DECISION",
    "HIGH",
    "INTERVENTION",
    "LOW",
    "NORMAL",
    "OBSERVATION",
    "URGENT",
    "At",
    "Environment",
]

INTERVENTION, URGENT, HIGH, NORMAL, LOW = -1.0, 0.0, 0.5, 1.0, 2.0
DECISION, OBSERVATION = 100.0, 200.0

Callback = Callable[[Event], None]


class At(Event):
    """An event at an absolute time. `timeout(u - now)` may miss u by one unit in the last place."""

    def __init__(
        self, env: Environment, time: float, value: Any = None, priority: float = NORMAL
    ) -> None:
        if not time >= env._now:
            raise EngineError(
                f"at({time!r}): the clock stands at {env._now:g}, expected a time at or after it",
                argument="time",
                value=time,
            )
        self.env = env
        self.callbacks = []
        self.time = time
        self._ok = True
        self._value = value
        heappush(env._queue, (time, cast(EventPriority, priority), next(env._eid), self))

    def _desc(self) -> str:
        return f"At({self.time!r})"


class Environment(simpy.Environment):
    """A SimPy environment for `Model`.

    All that SimPy offers works on it: timeouts, conditions, interrupts, resources, stores.

    Raises
    ------
    EngineError
        `run` or `step` is called from inside an event, or a time lies in the past.

    Examples
    --------
    >>> env = Environment()
    >>> def clock():
    ...     yield env.at(0.3)
    ...     yield env.timeout(1)
    ...     return env.now
    >>> env.run(env.process(clock()))
    1.3
    """

    process = BoundClass(Process)

    def __init__(self, initial_time: float = 0.0) -> None:
        super().__init__(float(initial_time))
        self.running = False
        self.ahead: Lookahead | None = None
        # SimPy binds these for its own class only; a subclass would look them up at every call.
        for name in ("process", "timeout", "event", "all_of", "any_of"):
            setattr(self, name, getattr(self, name))

    def at(self, time: float, value: Any = None, priority: float = NORMAL) -> At:
        """An event at an absolute time, at or after now."""
        return At(self, time, value, priority)

    def call_at(self, time: float, callback: Callback, priority: float = NORMAL) -> At:
        """Call `callback(event)` at an absolute time."""
        event = At(self, time, None, priority)
        event.callbacks.append(callback)
        return event

    def look_ahead(self, cohort: Any, show: Callable[[Any], None] | None) -> None:
        """Call `show(event)` at the time of a cohort's events that surface; `None` ends it."""
        if self.ahead is None and show is None:
            return
        ahead = self.ahead or Lookahead(self)
        if show is None:
            ahead.remove(cohort)
        else:
            ahead.add(cohort, show)

    def run(self, until: float | Event | None = None) -> Any:
        """Run like SimPy: up to but not including a time, until an event, or until nothing is left.

        Unlike SimPy's, an exception leaves no stop event behind, so that the next run is clean.
        """
        if until is None:
            return self._drain(math.inf)
        if isinstance(until, Event):
            return self._run_until_event(until)
        end = float(until)
        if not end > self._now:
            raise EngineError(
                f"run(until={until!r}): the clock stands at {self._now:g}, expected a later time",
                argument="until",
                value=until,
            )
        self._drain(math.nextafter(end, -math.inf))
        self._now = end
        return None

    def run_through(self, until: float) -> None:
        """Run all events up to and including a time; the clock then stands at it."""
        end = float(until)
        if not end >= self._now:
            raise EngineError(
                f"cannot run until {until!r}: the clock stands at {self._now:g}",
                argument="until",
                value=until,
            )
        self._drain(end)
        self._now = end

    def step(self) -> None:
        """Process the next event; raises SimPy's `EmptySchedule` if there is none."""
        self._refuse_reentry()
        if self.ahead is not None:
            self.ahead(math.inf)
        if not self._queue:
            raise EmptySchedule
        self.running = True
        self._now, _, _, event = heappop(self._queue)
        callbacks = event.callbacks
        event.callbacks = None  # type: ignore[assignment]
        try:
            for callback in callbacks:
                callback(event)
            if not event._ok and not hasattr(event, "_defused"):
                raise event._value
        finally:
            self.running, self._active_proc = False, None

    def _run_until_event(self, until: Event) -> Any:
        if until.processed:
            return until.value
        until.callbacks.append(StopSimulation.callback)
        try:
            value = self._drain(math.inf)
        finally:
            left: list[Any] = until.callbacks or []
            if StopSimulation.callback in left:
                left.remove(StopSimulation.callback)
        if not until.triggered:
            raise EngineError(
                f"nothing is left to happen at time {self._now:g}, and {until} has not happened"
            )
        return value

    def _refuse_reentry(self) -> None:
        if self.running:
            raise EngineError(
                f"run, run_until, run_for and step were called from inside an event at time "
                f"{self._now:g}. The clock is running already: yield an event to let time pass"
            )

    def _drain(self, until: float) -> Any:
        """Process every event up to `until`, which is included. The loop of every run."""
        self._refuse_reentry()
        self.running = True
        queue = self._queue
        try:
            while True:
                if self.ahead is not None:
                    self.ahead(until)
                if not queue:
                    break
                item = heappop(queue)
                if item[0] > until:
                    heappush(queue, item)
                    break
                self._now, _, _, event = item
                callbacks = event.callbacks
                event.callbacks = None  # type: ignore[assignment]
                for callback in callbacks:
                    callback(event)
                if not event._ok and not hasattr(event, "_defused"):
                    raise event._value
        except StopSimulation as stop:
            event.callbacks = callbacks[callbacks.index(callback) + 1 :]
            self.schedule(event, EventPriority(-1))
            return stop.args[0]
        except Exception as error:
            blame_from_traceback(error, self._now)
            raise
        finally:
            self.running, self._active_proc = False, None
        return None
