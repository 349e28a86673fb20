"""Handles: a Mesa agent whose state is a row of a population.

A handle follows its id: rows may move, the agent stays. Attributes that are columns read and write
the row; all others live in the handle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from abm.engine.agent import Agent
from abm.engine.view import View
from abm.errors import PopulationError, require

if TYPE_CHECKING:
    from collections.abc import Mapping

    from abm.population.population import Population
    from abm.questions import Question

__all__ = ["Row", "RowAgent", "handle", "leave", "view_of_row"]

_OWN = frozenset({"_population", "_id", "_row", "_version"})


class Row:
    """A row as an object: reads columns, knows its id and key. It has no life.

    It stands for agents without a handle where something wants to look at an agent.
    """

    __slots__ = ("_id", "_population", "_row", "_version")

    def __init__(self, population: Population, row: int) -> None:
        _place(self, population, row)

    @property
    def population(self) -> Population:
        """The population."""
        return self._population  # type: ignore[no-any-return]

    @property
    def model(self) -> Any:
        """The model that the population lives in."""
        return self.population.model

    @property
    def row(self) -> int:
        """The present row."""
        return _present_row(self)

    @property
    def unique_id(self) -> int:
        """Id in the population."""
        return self._id  # type: ignore[no-any-return]

    @property
    def key(self) -> int:
        """The agent's key."""
        return self.population._key_of(self.row)

    def look(self, name: str) -> Any:
        """A column of this row, or the key; `NotImplemented` for anything else."""
        if name in ("key", "unique_id"):
            return getattr(self, name)
        if name in self.population:
            return _cell(self, name)
        return NotImplemented

    def visible_names(self) -> list[str]:
        """Names that the view shows."""
        return ["key", "unique_id", *self.population.columns]

    def __getattr__(self, name: str) -> Any:
        return _missing(self, name)


class RowAgent(Agent):
    """A handle onto one row, made by `population.agent(row, cls, ...)`.

    Parameters
    ----------
    population
        Its model is the agent's model.
    row
        The present row; the agent's key is the key of the row.

    Raises
    ------
    PopulationError
        The population has no model, the class defines an attribute with the name of a column, or
        the agent was removed from the population.

    Examples
    --------
    >>> import abm
    >>> people = abm.Population(abm.Model(seed=1), opinion=[0.1, 0.9])
    >>> ann = people.agent(0)
    >>> ann.opinion = 0.5
    >>> people.opinion.tolist(), ann.key
    ([0.5, 0.9], 0)
    """

    def __init__(self, population: Population, row: int, *args: Any, **kwargs: Any) -> None:
        require(
            population.model is not None,
            PopulationError,
            "a handle needs a model: make the population with Population(model, ...)",
        )
        _place(self, population, row)
        clash = [name for name in population.columns if hasattr(type(self), name)]
        require(
            not clash,
            PopulationError,
            f"{type(self).__name__} defines {clash}, which are columns of the population; "
            "rename one of them",
            columns=clash,
        )
        super().__init__(population.model, *args, key=population._key_of(row), **kwargs)

    @property
    def population(self) -> Population:
        """The population whose row this is."""
        return self._population  # type: ignore[no-any-return]

    @property
    def row(self) -> int:
        """The present row."""
        return _present_row(self)

    def look(self, name: str) -> Any:
        """A column of this row, or an attribute of the handle."""
        if name in self.population:
            return _cell(self, name)
        return self.__dict__.get(name, NotImplemented)

    def visible_names(self) -> list[str]:
        """Names that the view shows."""
        own = [name for name in super().visible_names() if name not in _OWN]
        return [*own, *self.population.columns]

    def occasion(self, question: Question) -> int:
        """How often it was asked this question before, in columns or as an agent."""
        if question.draw == "persistent":
            return 0
        return int(self.population.asked(question.id)[self.row])

    def count_occasion(self, question: Question) -> None:
        """Remember that it was asked once more."""
        if question.draw != "persistent":
            self.population.asked(question.id)[self.row] += 1

    def remove(self) -> None:
        """Leave the model and the population."""
        agents = self.population._agents
        if agents.get(self._id) is self:
            del agents[self._id]  # else the population would call what is running already
            try:
                self.population.remove([_present_row(self)])
            except BaseException:
                agents[self._id] = self
                raise
        super().remove()

    def _next_child_key(self) -> int:
        from abm.rng import child_key

        self.births = self.population.next_birth(self.row)
        return child_key(self.key, self.births)

    def __getattr__(self, name: str) -> Any:
        return _missing(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self._population:
            self._population.write(_present_row(self), name, value)
        else:
            super().__setattr__(name, value)


def handle(
    population: Population, row: int, cls: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Any:
    """The handle onto a row: the one there is, or a new one of class `cls`."""
    row = int(population.rows([row])[0])
    person = population._id_of(row)
    found = population._agents.get(person)
    if found is None:
        found = (cls or RowAgent)(population, row, *args, **kwargs)
        population._agents[person] = found
    require(
        cls is None or isinstance(found, cls),
        PopulationError,
        f"row {row} already has a handle of class {type(found).__name__}, expected "
        f"{getattr(cls, '__name__', cls)}; a row has one handle",
    )
    return found


def leave(agents: list[Any]) -> None:
    """Let handles leave whose rows are gone; all of them, whatever one does on its way.

    Raises
    ------
    Exception
        The first that a handle's `remove` raised, once all have left.
    """
    failures = []
    for agent in agents:
        try:
            agent.remove()
        except Exception as failure:  # the handle's own code, or its process: raised below
            Agent.remove(agent)
            failures.append(failure)
    if failures:
        failures[0].add_note(
            f"raised by a handle while it left; all {len(agents)} that were removed are gone"
        )
        raise failures[0]


def view_of_row(population: Population, row: int) -> Any:
    """What `perceive` gets to see of a row: its handle's view, or a view of the row itself."""
    found = population._agents.get(population._id_of(row))
    return View(Row(population, row)) if found is None else found.view()


def stand_in(population: Population, row: int) -> Any:
    """The handle onto a row if there is one, else the row as an object."""
    return population._agents.get(population._id_of(row)) or Row(population, row)


def _place(agent: Any, population: Population, row: int) -> None:
    put = object.__setattr__
    put(agent, "_population", population)
    put(agent, "_id", population._id_of(row))
    put(agent, "_row", int(row))
    put(agent, "_version", population._version)


def _present_row(agent: Any) -> int:
    population = agent._population
    if agent._version != population._version:
        try:
            row = int(population.rows_of(agent._id)[0])
        except PopulationError as error:
            raise PopulationError(
                f"{type(agent).__name__} with id {agent._id} was removed from the population; "
                "its row is gone",
                id=agent._id,
            ) from error
        object.__setattr__(agent, "_row", row)
        object.__setattr__(agent, "_version", population._version)
    return int(agent._row)


def _cell(agent: Any, name: str) -> Any:
    row = _present_row(agent)
    value = agent._population.cell(row, name)
    if isinstance(value, np.datetime64 | np.timedelta64) and isinstance(value.item(), int):
        value = value.astype(f"{value.dtype.kind}8[us]")  # Python has no nanoseconds
    return value.item() if isinstance(value, np.generic) else value


def _missing(agent: Any, name: str) -> Any:
    """A column, for an attribute that is not found in the usual way."""
    if name.startswith("_"):
        raise AttributeError(name)
    population = agent._population
    if name in population:
        return _cell(agent, name)
    raise AttributeError(
        f"{type(agent).__name__} with id {agent._id} has no attribute {name!r}; the columns of "
        f"its population are {list(population.columns)}"
    )
