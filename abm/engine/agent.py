"""Agents: Mesa agents that may have a life of their own as a process, and that decide."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from heapq import heappush
from typing import TYPE_CHECKING, Any, TypeVar

import mesa
import numpy as np
from simpy.events import Event, ProcessGenerator, Timeout

from abm.engine.environment import NORMAL
from abm.engine.mesa_adapter import ClockedModel
from abm.engine.process import Process
from abm.engine.view import View
from abm.errors import EngineError, require
from abm.policies.answering import Skipped
from abm.questions import Question, Value
from abm.rng import agent_key, child_key

if TYPE_CHECKING:
    from abm.engine.model import Model

__all__ = ["Agent", "check_agent_class"]

_new = Timeout.__new__
_Child = TypeVar("_Child", bound="Agent")
_ENGINE_NAMES = frozenset({"model", "births", "_life", "_removed", "_word"})


class Agent(mesa.Agent):  # type: ignore[misc]
    """A Mesa agent that can decide, and that lives as a process if it defines `life`.

    Parameters
    ----------
    model
        The model it lives in.
    key
        Who it is, as far as chance is concerned: an int or str, unique in the model, such as the id
        of a survey respondent. Without one, an agent that is created inside another's process is
        its child (`child_key`), and any other is numbered within its class, such as 'Citizen 3'. So
        an extra agent of one class moves nobody else's chance.

    Attributes
    ----------
    key
        As above.
    unique_id
        Mesa's number, in the order of creation.
    births
        How many agents it has borne.

    Raises
    ------
    EngineError
        The key is taken, or a `step` or `life` is not what it must be.

    Examples
    --------
    >>> import abm
    >>> ban = abm.Question("ban", 1, "Ban cars?", ("yes", "no"), perceive=lambda me: {})
    >>> class Citizen(abm.Agent):
    ...     def life(self):
    ...         yield self.wait(1.5)
    ...         self.view_on_cars = yield self.decide(ban)
    >>> def always_yes(fields, options):
    ...     return [[1.0, 0.0]] * fields.n
    >>> model = abm.Model(seed=1)
    >>> citizen = Citizen(model, key="respondent 7")
    >>> citizen.key, model.now
    ('respondent 7', 0.0)
    """

    model: Model
    unique_id: int
    key: int | str
    births: int = 0
    _word: int
    _life: Process | None = None
    _removed = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        check_agent_class(cls)
        step = cls.__dict__.get("step")
        if inspect.isfunction(step):
            cls.step = _noted(step)

    def __init__(
        self, model: Model, *args: Any, key: int | str | None = None, **kwargs: Any
    ) -> None:
        require(
            isinstance(model, ClockedModel),
            EngineError,
            f"{type(self).__name__} needs an abm.Model, got {model!r}",
            argument="model",
        )
        super().__init__(model, *args, **kwargs)
        parent = getattr(model.env.active_process, "agent", None)
        if key is None and isinstance(parent, Agent):
            key = parent._next_child_key()
        self.key = model._agent_keys.claim(self, key)
        self._word = agent_key(self.key)
        if type(self).life is not Agent.life:
            self._life = Process(model.env, self.life(), self)
            model.desk.acted.add(type(self))

    # Life

    def life(self) -> ProcessGenerator:
        """Override with a generator: the agent's life, started when it is created."""
        yield from ()

    def process(self, generator: ProcessGenerator) -> Process:
        """Start another process of this agent; it ends when the agent is removed."""
        return self.model.process(generator, agent=self)

    def wait(self, delay: float, value: Any = None) -> Timeout:
        """Let time pass: `yield self.wait(1.5)`."""
        if not delay >= 0:
            raise EngineError(
                f"wait({delay!r}), expected a duration >= 0", argument="delay", value=delay
            )
        # `Timeout(env, delay, value)` without its two function calls: agents mostly wait.
        env = self.model.env
        event = _new(Timeout)
        event.env = env
        event.callbacks = []
        event._value = value
        event._delay = delay
        event._ok = True
        heappush(env._queue, (env._now + delay, NORMAL, next(env._eid), event))  # type: ignore[misc]
        return event

    def bear(self, kind: type[_Child], *args: Any, **kwargs: Any) -> _Child:
        """Create a child of class `kind`: its key is the hash of this key and the birth number."""
        return kind(self.model, *args, key=self._next_child_key(), **kwargs)

    def remove(self) -> None:
        """Leave the model. Its processes end: at once, or at the next `yield` of the running one.

        A request that it raised is still asked.
        """
        if self._removed:
            return
        self._removed = True
        super().remove()
        self.model._agent_keys.release(self)
        if self._life is not None:
            self._life.end()

    # Deciding

    def decide(
        self,
        question: Question,
        deliberation: float = 0.0,
        *,
        fields: Mapping[str, Value] | None = None,
    ) -> Event:
        """Raise a decision: `choice = yield self.decide(question)` in a process.

        Parameters
        ----------
        question
            What is asked; perceived now.
        deliberation
            Simulated time, >= 0, after which the decision acts. It may not depend on the answer.
        fields
            Field values to use instead of `question.perceive`.

        Returns
        -------
        An event whose value is the option, the text, or `Skipped`.
        """
        return self.model.desk.decide(self, question, deliberation, fields)

    def ask(
        self, question: Question, *, fields: Mapping[str, Value] | None = None
    ) -> str | Skipped:
        """The choice, answered before this returns: for a plain `step`."""
        return self.model.desk.ask([self], question, fields)[0]

    def view(self) -> View:
        """What `perceive` gets to see of this agent."""
        return View(self)

    def look(self, name: str) -> Any:
        """The agent's own attribute for its view; `NotImplemented` where it has none.

        Override it in an agent whose state lies elsewhere, such as in the row of a table.
        """
        return self.__dict__.get(name, NotImplemented)

    def visible_names(self) -> list[str]:
        """Names that the view shows."""
        return [name for name in self.__dict__ if name not in _ENGINE_NAMES]

    def occasion(self, question: Question) -> int:
        """How often it was asked this question before; 0 for a persistent question."""
        if question.draw == "persistent":
            return 0
        return self.model.desk.occasions.get((self._word, question.id), 0)

    def count_occasion(self, question: Question) -> None:
        """Remember that it was asked once more."""
        if question.draw != "persistent":
            place = (self._word, question.id)
            counts = self.model.desk.occasions
            counts[place] = counts.get(place, 0) + 1

    # Chance

    def chance(self, purpose: str, occasion: int = 0) -> np.random.Generator:
        """A generator of this agent's own for a purpose and an occasion."""
        return self.model.chance(purpose, self.key, occasion)

    def uniform(self, purpose: str, occasion: int = 0) -> float:
        """One uniform in [0, 1) of this agent's own."""
        return self.model.uniform(purpose, self.key, occasion)

    def _next_child_key(self) -> int:
        self.births += 1
        return child_key(self.key, self.births)


def check_agent_class(kind: type) -> None:
    """Refuse a `step` that is a generator and a `life` that is none.

    A generator `step` under `agents.shuffle_do("step")` would do nothing, in silence.
    """
    require(
        not inspect.isgeneratorfunction(getattr(kind, "step", None)),
        EngineError,
        f"{kind.__name__}.step contains `yield`, so calling it would do nothing. Call it `life`, "
        "with a loop, to live as a process; or stay with a plain step and write "
        "`choice = self.ask(question)`",
    )
    life = getattr(kind, "life", None)
    require(
        not issubclass(kind, Agent) or inspect.isgeneratorfunction(inspect.unwrap(life)),  # type: ignore[arg-type]
        EngineError,
        f"{kind.__name__}.life must be a generator: it yields events such as self.wait(1)",
    )


def _noted(step: Callable[..., Any]) -> Callable[..., Any]:
    """Note that a class acted, so that a class that never did can be flagged."""

    @functools.wraps(step)
    def noted(self: Agent, *args: Any, **kwargs: Any) -> Any:
        self.model.desk.acted.add(type(self))
        return step(self, *args, **kwargs)

    return noted
