"""The model: a Mesa model that owns a SimPy clock, answers decisions and is sure of its chance."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np
from simpy.events import Event, ProcessGenerator, Timeout

from abm import rng as _rng
from abm.engine import flags, interventions, tables
from abm.engine.agent import Agent, check_agent_class
from abm.engine.decision import key_of
from abm.engine.decision_log import DecisionLog
from abm.engine.desk import Desk
from abm.engine.environment import INTERVENTION, At
from abm.engine.interventions import Intervention
from abm.engine.keys import Keys
from abm.engine.mesa_adapter import ClockedModel
from abm.engine.observing import observe
from abm.engine.process import Process
from abm.errors import EngineError, PolicyError, require
from abm.policies.answering import Answerer, FailureHandling
from abm.questions import Question, Request, Transform, Value

if TYPE_CHECKING:
    import polars as pl

    from abm.policies.assignment import Assignment
    from abm.policies.base import Policy

__all__ = ["Model"]

_UNCHANGED = Transform()


class Model(ClockedModel):
    """A Mesa model on a SimPy clock, whose agents decide by asking policies.

    With Mesa's arguments alone it is a drop-in for `mesa.Model`: equal seeds give equal numbers.

    Parameters
    ----------
    seed, rng
        As in Mesa. An integer is also the chance seed of the run.
    policies
        Name -> policy.
    assignment
        Who answers: a policy name for all, or an `Assignment`. May be left out when there is one
        policy.
    failures
        What happens to failed answers: `FailureHandling`, or a text such as `"skip"`.
    transforms
        Question id, or name of a policy, -> `Transform` of raw scores.

    Attributes
    ----------
    env
        The SimPy environment: the only clock.
    now
        Simulated time.
    chance_seed
        The seed of everything that is drawn by `chance`, `uniform` and decisions.
    decisions
        What was decided, counted.
    max_rounds
        Rounds of decisions within one instant after which a run is stopped (class attribute).

    Examples
    --------
    >>> import abm
    >>> class Shop(abm.Model):
    ...     def __init__(self, **kwargs):
    ...         super().__init__(**kwargs)
    ...         self.process(self.customers())
    ...     def customers(self):
    ...         while True:
    ...             yield self.timeout(2)
    ...             self.last = self.now
    >>> shop = Shop(seed=1)
    >>> shop.run_until(5)
    >>> shop.now, shop.last
    (5.0, 4.0)
    """

    max_rounds = 10_000
    questions: tuple[Question, ...] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        check_agent_class(cls)

    def __init__(
        self,
        *args: Any,
        seed: Any = None,
        rng: Any = None,
        policies: Mapping[str, Policy] | None = None,
        assignment: Assignment | str | None = None,
        failures: FailureHandling | str | None = None,
        transforms: Mapping[str, Transform] | None = None,
        **kwargs: Any,
    ) -> None:
        check_agent_class(type(self))
        # Names without underscore are few: the others belong to the model's author.
        self._activated: dict[type, None] = {}
        self._seen_classes: dict[type, None] = {}
        self._interventions: list[Intervention] = []
        self._interventions_done: list[Intervention] = []
        self._observed_times: dict[int, list[float]] = {}
        self._arrivals: list[Callable[[Any], None]] = []
        self._agent_keys = Keys()
        self._lives: dict[Any, list[Process]] = {}
        super().__init__(*args, seed=seed, rng=rng, **kwargs)
        self.chance_seed = _chance_seed(self)
        handling = FailureHandling(failures) if isinstance(failures, str) else failures
        self.decisions = DecisionLog()
        self.answerer = Answerer(policies or {}, handling)
        self.assignment = assignment
        if isinstance(assignment, str):
            self._check_policy(assignment)
        self.transforms = dict(transforms or {})
        self._desk = Desk(self, self.max_rounds)

    # Time

    @property
    def now(self) -> float:
        """Simulated time."""
        return self.env._now

    def run_until(self, end_time: float) -> None:
        """Run all events up to and including a time, then ask what is still unanswered.

        Raises
        ------
        EngineError
            The time lies in the past, or this is called from inside an event.
        """
        self._advance_time(end_time)
        self.desk.finish()

    def run_for(self, duration: float) -> None:
        """Run for a duration, its end included."""
        self.run_until(self.now + duration)

    def timeout(self, delay: float, value: Any = None) -> Timeout:
        """An event after a delay."""
        require(
            delay >= 0,
            EngineError,
            f"timeout({delay!r}), expected a duration >= 0",
            argument="delay",
            value=delay,
        )
        return Timeout(self.env, delay, value)

    def at(self, time: float, value: Any = None) -> At:
        """An event at an absolute time, met exactly."""
        return At(self.env, time, value)

    def process(self, generator: ProcessGenerator, agent: Any = None) -> Process:
        """Start a process; give the agent whose it is: it ends when that agent is removed."""
        process = Process(self.env, generator, agent)
        if agent is not None:
            self.desk.acted.add(type(agent))
            own = [other for other in self._lives.get(agent, ()) if other.is_alive]
            self._lives[agent] = [*own, process]
        return process

    def observe(self, what: Any, *args: Any, every: float = 1.0, start: float = 0.0) -> None:
        """Look at the model at start, start + every, ..., each time after the instant has settled.

        Parameters
        ----------
        what
            A function without arguments, or a Mesa `DataCollector`.
        every
            Time between two observations, > 0.
        start
            First one; those before now are left out.
        """
        if isinstance(what, str) or args:  # Mesa 3.5: subscribe to an observable of the model
            super().observe(what, *args)
        else:
            observe(self, what, every, start)

    # Chance

    def chance(self, purpose: str, key: int | str = 0, occasion: int = 0) -> np.random.Generator:
        """A generator for (purpose, key, occasion): equal tuples give equal draws, always."""
        return _rng.chance(self.chance_seed, purpose, key, occasion)

    def uniform(self, purpose: str, key: int | str = 0, occasion: int = 0) -> float:
        """One uniform in [0, 1) for (purpose, key, occasion)."""
        return _rng.uniform(self.chance_seed, purpose, key, occasion)

    # Decisions

    @property
    def desk(self) -> Desk:
        """Where decisions are raised and answered."""
        return self._desk

    @desk.setter
    def desk(self, value: Any) -> None:
        raise EngineError(
            f"{type(self).__name__}.desk is where decisions are answered and cannot be set to "
            f"{value!r}; give your attribute another name",
            argument="desk",
        )

    @property
    def policies(self) -> dict[str, Policy]:
        """Name -> policy."""
        return self.answerer.policies

    def decide(
        self,
        agent: Any,
        question: Question,
        deliberation: float = 0.0,
        *,
        fields: Mapping[str, Value] | None = None,
    ) -> Event:
        """Raise a decision of an agent, ours or a plain Mesa agent. See `Agent.decide`."""
        return self.desk.decide(agent, question, deliberation, fields)

    def assigned_policy(self, agent: Any, request: Request) -> str:
        """Name of the policy that the assignment gives to a request raised now."""
        assignment = self.assignment
        if isinstance(assignment, str):
            return assignment
        if assignment is not None:
            return assignment.policy_for(key_of(agent), request, self.now, agent=agent)
        names = list(self.policies)
        require(
            len(names) == 1,
            PolicyError,
            f"the model has the policies {names} and no assignment, so nobody answers question "
            f"{request.question.id!r}; pass policies={{'rule': ...}} and, for several, assignment=",
        )
        return names[0]

    def transform_for(self, question: str, policy: str) -> Transform:
        """The transform of scores: declared for the question, else for the policy, else none."""
        return self.transforms.get(question) or self.transforms.get(policy) or _UNCHANGED

    # Interventions

    def schedule_interventions(self, planned: Iterable[Intervention]) -> None:
        """Schedule changes, checked now and applied first thing in their instant."""
        chosen = list(planned)
        for intervention in chosen:
            interventions.check(self, intervention)
        for intervention in chosen:
            self._interventions.append(intervention)
            self.env.call_at(float(intervention.at), self._intervene(intervention), INTERVENTION)

    def _intervene(self, intervention: Intervention) -> Callable[[Event], None]:
        def intervene(_: Event) -> None:
            self.apply_intervention(intervention)
            self._interventions_done.append(intervention)

        return intervene

    def apply_intervention(self, intervention: Intervention) -> None:
        """Change parameters, attributes and assignment, and inject. Override to do more."""
        interventions.apply(self, intervention)

    # Agents

    def register_agent(self, agent: Any) -> None:
        """Register an agent, ours or a plain Mesa agent. Called by the agent itself."""
        kind = type(agent)
        if kind not in self._seen_classes:
            check_agent_class(kind)
            self._seen_classes[kind] = None
        super().register_agent(agent)
        for arrived in self._arrivals:
            arrived(agent)

    def deregister_agent(self, agent: Any) -> None:
        """Forget an agent and end its processes. Called by `agent.remove()`."""
        super().deregister_agent(agent)
        for process in self._lives.pop(agent, ()):
            process.end()

    def find(self, key: int | str) -> Agent:
        """The agent with this key, given as it is or as text."""
        return self._agent_keys.find(key)

    # Tables of a run

    def outcomes(self) -> dict[str, float]:
        """Outcome -> number at the end of a run. By default the last collected values."""
        return tables.outcomes(self)

    def series(self) -> pl.DataFrame:
        """Tidy time series (time, variable, value). By default what `datacollector` holds."""
        return tables.series(self)

    def agents_frame(self) -> pl.DataFrame:
        """One row per agent with its plain public attributes."""
        return tables.agents_frame(self)

    def run_flags(self) -> list[str]:
        """What is suspicious about the run, in words; empty when all is well."""
        if not self.env.running:
            self.desk.finish()
        return flags.run_flags(self)

    def _check_policy(self, name: str) -> None:
        require(
            name in self.policies,
            PolicyError,
            f"assignment = {name!r}: no policy has that name; declared are {sorted(self.policies)}",
            argument="assignment",
            value=name,
        )


def _chance_seed(model: Any) -> int:
    """The seed itself if it is an integer; else a hash of the generator's first state."""
    seed = model._seed
    if isinstance(seed, int | np.integer) and not isinstance(seed, bool):
        return int(seed)
    text = repr(sorted(model._rng.items(), key=str))
    return int.from_bytes(blake2b(text.encode(), digest_size=7).digest(), "little")
