"""The only module that knows versions of Mesa (3.3 to 3.5): one clock for all of them.

Mesa 3.5 has an event list and a time of its own. Here its event list is a view of SimPy's queue and
its time is SimPy's, so a scheduled event of Mesa *is* a SimPy event. Mesa 3.3 and 3.4 have neither:
there `step` is an event that schedules its successor, and `schedule_event`, `run_for` and
`run_until` of Mesa 3.5 are offered.

Two things of Mesa are corrected. Mesa 3.3 keeps every model alive through `Agent._ids`; a model of
ours counts its agents itself. And agent sets of Mesa gain a method `ask`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from heapq import heapify, nsmallest
from typing import Any

import mesa
import mesa.agent

from abm.engine.environment import HIGH, LOW, NORMAL, At, Environment
from abm.errors import EngineError, require

__all__ = ["MESA_HAS_EVENTS", "ClockedModel", "Priority", "has_steps"]

MESA_HAS_EVENTS = hasattr(mesa.Model, "_advance_time")

_MESA_HAS_TIME = tuple(map(int, mesa.__version__.split(".")[:2])) >= (3, 4)

if MESA_HAS_EVENTS:
    from mesa.time import EventList as MesaEventList
    from mesa.time import Priority
else:
    from mesa.experimental.devs.eventlist import EventList as MesaEventList
    from mesa.experimental.devs.eventlist import Priority

_PRIORITIES = {int(Priority.HIGH): HIGH, int(Priority.DEFAULT): NORMAL, int(Priority.LOW): LOW}


class Carrier(At):
    """A Mesa event in SimPy's queue."""

    def __init__(self, model: ClockedModel, event: Any) -> None:
        super().__init__(model.env, event.time, None, _PRIORITIES[int(event.priority)])
        self.model, self.event = model, event
        self.callbacks.append(self._execute)

    def _execute(self, _: Any) -> None:
        if not self.event.CANCELED:
            self.model._tell_time()
            self.event.execute()


class SimpyEventList(MesaEventList):  # type: ignore[misc]
    """Mesa's event list as a view of SimPy's queue."""

    def __init__(self, model: ClockedModel) -> None:
        self._model = model

    @property
    def _events(self) -> list[Any]:
        queue = self._model.env._queue
        return [item[3].event for item in queue if isinstance(item[3], Carrier)]

    def add_event(self, event: Any) -> None:
        Carrier(self._model, event)

    def peek_ahead(self, n: int = 1) -> list[Any]:
        if self.is_empty():
            raise IndexError("event list is empty")
        return nsmallest(n, (event for event in self._events if not event.CANCELED))

    def pop_event(self) -> Any:
        event = self.peek_ahead()[0]
        self._drop(lambda carried: carried is event)
        return event

    def compact(self) -> None:
        self._drop(lambda carried: carried.CANCELED)

    def clear(self) -> None:
        self._drop(lambda _: True)

    def _drop(self, chosen: Callable[[Any], bool]) -> None:
        queue = self._model.env._queue
        queue[:] = [
            item for item in queue if not (isinstance(item[3], Carrier) and chosen(item[3].event))
        ]
        heapify(queue)


class ScheduledEvent:
    """What `schedule_event` returns where Mesa has no events: can be cancelled.

    It holds its function: an event does not vanish because nobody else does.
    """

    def __init__(self, env: Environment, time: float, function: Callable[[], Any], priority: Any):
        self.time, self.fn, self.CANCELED = time, function, False
        env.call_at(time, lambda _: self.execute(), _PRIORITIES[int(priority)])

    def execute(self) -> None:
        """Call the function unless cancelled."""
        if not self.CANCELED:
            self.fn()

    def cancel(self) -> None:
        """Forget the event."""
        self.CANCELED = True


class _Steps:
    """Mesa 3.3 and 3.4: the step is an event that schedules its successor."""

    def _start_steps(self: Any) -> None:
        self._step_arguments: tuple[Any, ...] = ((), {})
        if has_steps(type(self)):
            self.env.call_at(self.env.now + 1.0, self._on_step, HIGH)

    def _on_step(self: Any, _: Any) -> None:
        if getattr(self, "_simulator", None) is None:
            self._do_step()
            self.env.call_at(self.env.now + 1.0, self._on_step, HIGH)

    def _do_step(self: Any) -> None:
        self.steps += 1
        arguments, named = self._step_arguments
        self._user_step(*arguments, **named)

    def _wrapped_step(self: Any, *arguments: Any, **named: Any) -> None:
        self._step_arguments = (arguments, named)
        try:
            if getattr(self, "_simulator", None) is not None:
                self._do_step()
                return
            if not has_steps(type(self)):
                self.steps += 1
            self._advance_time(self.env.now + 1.0)
        finally:
            self._step_arguments = ((), {})

    def _advance_time(self: Any, until: float) -> None:
        self.env.run_through(until)

    def schedule_event(
        self: Any,
        function: Callable[[], Any],
        *,
        at: float | None = None,
        after: float | None = None,
        priority: Any = Priority.DEFAULT,
    ) -> ScheduledEvent:
        """Call `function()` at an absolute time, or after a delay, as in Mesa 3.5."""
        require(
            (at is None) != (after is None),
            EngineError,
            f"schedule_event(at={at}, after={after}): give exactly one of them",
        )
        time = at if at is not None else self.env.now + after
        return ScheduledEvent(self.env, time, function, priority)

    @property
    def time(self: Any) -> float:
        """The clock, under the name that Mesa 3.4 and later give it.

        Mesa 3.3 has no such name: a model there may have a `time` of its own.
        """
        return self.__dict__.get("_own_time", self.env._now)  # type: ignore[no-any-return]

    @time.setter
    def time(self: Any, value: float) -> None:
        if not _MESA_HAS_TIME:
            self.__dict__["_own_time"] = value
        elif value != self.env._now:
            self.env.run_through(value)

    def _tell_time(self) -> None:
        """Nobody subscribes to time here."""


class _Events:
    """Mesa 3.5: its event list and its time are SimPy's."""

    def _start_steps(self: Any) -> None:
        if not has_steps(type(self)):
            self._default_schedule.stop()
            self._event_list.compact()

    def _wrapped_step(self: Any) -> None:
        if not has_steps(type(self)):
            self.steps += 1
        self._advance_time(self.env.now + 1.0)

    def _advance_time(self: Any, until: float) -> None:
        self.env.run_through(until)
        self._tell_time()

    @property
    def _event_list(self: Any) -> SimpyEventList:
        if "_simpy_events" not in self.__dict__:
            self._simpy_events = SimpyEventList(self)
        view: SimpyEventList = self._simpy_events
        return view

    @_event_list.setter
    def _event_list(self, _: Any) -> None:
        """Mesa's own list stays unused."""

    @property
    def _time(self: Any) -> float:
        return float(self.env._now)

    @_time.setter
    def _time(self: Any, value: float) -> None:
        if value != self.env._now:
            self.env.run_through(value)

    def _tell_time(self: Any) -> None:
        """Notify those who subscribed to `time`, as Mesa does when it sets it."""
        old, new = self.__dict__.get("_told_time", 0.0), self.env._now
        if old != new:
            self._told_time = new
            if self._has_subscribers("time", "changed"):
                self.notify("time", "changed", old=old, new=new)

    @property
    def scenario(self: Any) -> Any:
        """The scenario. Ours are frozen; Mesa's learn their model."""
        return self._scenario

    @scenario.setter
    def scenario(self: Any, scenario: Any) -> None:
        self._scenario = scenario
        if _is_mesa_scenario(scenario):
            scenario.model = self


class ClockedModel(mesa.Model):  # type: ignore[misc]
    """A Mesa model on a SimPy clock, whatever the version of Mesa."""

    env: Environment

    def __init__(self, *args: Any, seed: Any = None, rng: Any = None, **kwargs: Any) -> None:
        self.env = Environment()
        self._n_agents = 0
        scenario = kwargs.get("scenario")
        if not MESA_HAS_EVENTS or not _is_mesa_scenario(scenario):
            kwargs.pop("scenario", None)
        if MESA_HAS_EVENTS and isinstance(seed, int) and rng is None:
            seed, rng = None, seed  # the same generators, without Mesa's deprecation warning
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The use of the `seed` keyword", FutureWarning)
            super().__init__(*args, seed=seed, rng=rng, **kwargs)
        if scenario is not None and "scenario" not in kwargs:
            self.scenario = scenario
        self._start_steps()

    def step(self) -> None:
        """Advance by one unit of time. Override it with what happens in every unit."""

    def register_agent(self, agent: Any) -> None:
        """Register an agent, ours or a plain Mesa agent."""
        super().register_agent(agent)
        # Mesa 3.3 numbers agents in a dictionary of all models ever made. An agent that is
        # registered again keeps its number: it left no entry there.
        ids = getattr(mesa.Agent, "_ids", None)
        if ids is not None and ids.pop(self, None) is not None:
            self._n_agents += 1
            agent.unique_id = self._n_agents


# One base class, and not a mixin: only then can a Mesa model change its base to ours.
for _name, _member in vars(_Events if MESA_HAS_EVENTS else _Steps).items():
    if not _name.startswith("__"):
        setattr(ClockedModel, _name, _member)


def has_steps(kind: type) -> bool:
    """Whether a model class defines what happens in every unit of time."""
    return kind.step is not ClockedModel.step  # type: ignore[attr-defined]


def _is_mesa_scenario(scenario: Any) -> bool:
    return any(base.__module__.startswith("mesa.") for base in type(scenario).__mro__)


def _ask(self: Any, question: Any, *, fields: Any = None) -> list[Any]:
    """Ask every agent of the set, in its order; answers come in one batch before this returns."""
    agents = list(self)
    return agents[0].model.desk.ask(agents, question, fields) if agents else []


for _name in ("AgentSet", "_HardKeyAgentSet"):
    _kind = getattr(mesa.agent, _name, None) or getattr(
        getattr(mesa, "agentset", None), _name, None
    )
    if _kind is not None and not hasattr(_kind, "ask"):
        _kind.ask = _ask
