"""Processes that know their agent, can be ended, and fail as themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import simpy
from simpy.events import PENDING, URGENT, Event, Initialize, ProcessGenerator

from abm.engine.failures import blame
from abm.errors import EngineError

if TYPE_CHECKING:
    from abm.engine.environment import Environment

__all__ = ["Ended", "Process"]


class Ended(BaseException):
    """Thrown into a process that is ended from outside, so that its `finally` blocks run."""


class Process(simpy.Process):
    """A SimPy process that may belong to an agent.

    It differs from SimPy's in three ways. An exception passes through as the same object (SimPy
    makes a copy from its arguments, which fails for classes with other constructors and hides the
    cause). It carries the agent's id and the time. And a process can be ended from outside, which
    is what happens when its agent is removed.

    Parameters
    ----------
    env
        The environment.
    generator
        Yields events.
    agent
        Whose process it is, or `None`.
    """

    # What every resumption reads lies in the object itself: one memory access less per event.
    __slots__ = ("_generator", "_target", "agent", "callbacks", "env")

    _ending = False

    def __init__(self, env: Environment, generator: ProcessGenerator, agent: Any = None) -> None:
        if not hasattr(generator, "throw"):
            raise EngineError(
                f"a process needs a generator, got {generator!r}: call a function that contains "
                "`yield`, such as process(self.life())",
                value=generator,
            )
        self.env = env
        self.callbacks = []
        self.agent = agent
        self._generator = generator
        self._target = Initialize(env, self)

    def _resume(self, event: Any) -> None:
        env, generator = self.env, self._generator
        env._active_proc = self
        while True:
            try:
                if event._ok:
                    event = generator.send(event._value)
                else:
                    event._defused = True
                    event = generator.throw(event._value)
            except StopIteration as end:
                event = None
                self._finish(True, end.value)
                break
            except BaseException as error:
                event = None
                blame(error, self.agent, env._now)
                self._finish(False, error)
                break
            try:
                if event.callbacks is not None:
                    event.callbacks.append(self._resume)
                    break
            except AttributeError:
                if hasattr(event, "callbacks"):
                    raise
                raise self._not_an_event(event) from None
        self._target = event
        env._active_proc = None

    def end(self) -> None:
        """End the process now; its `finally` blocks run, and whoever waits for it goes on.

        A process that ends itself runs on to its next `yield`.
        """
        if self._value is not PENDING or self._ending:
            return
        self._ending = True
        if self is self.env._active_proc:
            # It is running: it ends where an interrupt would reach it, after its next `yield`.
            soon = Event(self.env)
            soon._ok, soon._value = True, None
            soon.callbacks.append(self._detach)
            self.env.schedule(soon, URGENT)
            return
        self._detach()

    def _detach(self, _: Any = None) -> None:
        if self._value is not PENDING:
            return
        target = self._target
        if target is not None and target.callbacks is not None and self._resume in target.callbacks:
            target.callbacks.remove(self._resume)
        self._close()

    def _close(self) -> None:
        # Not `generator.close()`: SimPy's resources do not release what is held at GeneratorExit.
        try:
            self._generator.throw(Ended())
        except (Ended, StopIteration):
            pass
        except BaseException as error:
            blame(error, self.agent, self.env._now)
            raise
        else:
            self._generator.close()
        self._finish(True, None)

    def _finish(self, ok: bool, value: Any) -> None:
        self._ok = ok
        self._value = value
        self.env.schedule(self)

    def _not_an_event(self, value: Any) -> EngineError:
        error = EngineError(
            f"{self.name} yielded {value!r}, expected an event such as self.wait(1), "
            "self.decide(question) or a request of a resource",
            value=value,
        )
        blame(error, self.agent, self.env._now)
        return error
