"""An agent sees its own plain data, read-only, and nobody else."""

from __future__ import annotations

import dataclasses
import functools
from collections import namedtuple

import networkx as nx
import numpy as np
import pydantic
import pytest

import abm
from abm.engine import Message, frozen, view_of
from abm.errors import VisibilityError


@dataclasses.dataclass(frozen=True)
class Persona:
    age: int
    traits: tuple[str, ...] = ()

    def sentence(self):
        return f"You are {self.age}."


@dataclasses.dataclass
class Notes:
    lines: list[str]

    @property
    def last(self):
        return self.lines[-1]


class Card(pydantic.BaseModel):
    party: str


Pair = namedtuple("Pair", "left right")


class Memory:
    def __init__(self):
        self.owner = object()

    def __plain__(self):
        return ["remembered"]


class Citizen(abm.Agent):
    SCALE = 7

    def __init__(self, model):
        super().__init__(model, key="c1")
        self.opinion = 4
        self.read = [Message(1, "c2", 0.5, "More parks!", stance=6)]
        self.beliefs = {"parks": [1, 2]}
        self.weights = np.array([0.5, 0.5])
        self.persona, self.notes, self.card = Persona(40), Notes(["a", "b"]), Card(party="green")
        self.pair, self.friends = Pair(1, 2), {3, 4}
        self.memory = Memory()

    @property
    def extremity(self):
        return abs(self.opinion - self.half())

    @functools.cached_property
    def doubled(self):
        return 2 * self.opinion

    def half(self):
        return (self.SCALE + 1) / 2

    @property
    def neighbours_opinion(self):
        return [agent.opinion for agent in self.model.agents]

    def gossip(self):
        return self.random.choice(self.model.agents).opinion


@pytest.fixture
def agent():
    return Citizen(abm.Model(seed=1))


def test_own_plain_data_are_seen(agent):
    view = agent.view()
    assert (view.opinion, view.key, view.unique_id, view.now) == (4, "c1", 1, 0.0)
    assert view.read[0].text == "More parks!"
    assert view.beliefs["parks"] == (1, 2)
    assert view.weights.tolist() == [0.5, 0.5]
    assert view.persona.sentence() == "You are 40."
    assert (view.notes.last, view.notes.lines) == ("b", ("a", "b"))
    assert (view.card.party, view.pair.left, view.friends) == ("green", 1, frozenset({3, 4}))
    assert view.memory == ("remembered",)
    assert (view.extremity, view.half(), view.doubled, view.SCALE) == (0.0, 4.0, 8, 7)


def test_a_view_changes_nothing(agent):
    view = agent.view()
    for change in (
        lambda: setattr(view, "opinion", 1),
        lambda: delattr(view, "opinion"),
        lambda: setattr(view.notes, "lines", []),
        lambda: view.read.append("x"),
        lambda: view.weights.__setitem__(0, 1.0),
        lambda: view.beliefs.__setitem__("parks", 1),
    ):
        with pytest.raises((VisibilityError, AttributeError, TypeError, ValueError)):
            change()
    assert (agent.opinion, agent.weights[0], len(agent.read)) == (4, 0.5, 1)


@pytest.mark.parametrize("reach", ["model", "neighbours_opinion", "gossip", "random", "rng"])
def test_nobody_else_is_seen(agent, reach):
    def look(view):
        found = getattr(view, reach)
        return found() if callable(found) else found

    with pytest.raises(VisibilityError, match=r"perceive reached for '(model|random|rng)'"):
        look(agent.view())


def things_that_are_no_plain_data(agent):
    return {
        "an agent": agent,
        "a model": agent.model,
        "an agent set": agent.model.agents,
        "an environment": agent.model.env,
        "a process": agent.model.process(iter_one(agent.model)),
        "a network": nx.path_graph(3),
        "a function": lambda: agent,
        "a method": agent.half,
        "a class": Citizen,
        "an object": object(),
        "a generator": np.random.default_rng(1),
    }


def iter_one(model):
    yield model.timeout(1)


@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: [1, (x,)], lambda x: {"a": [x]}])
def test_whatever_holds_somebody_else_is_refused(agent, wrap):
    for thing in things_that_are_no_plain_data(agent).values():
        agent.held = wrap(thing)
        with pytest.raises(VisibilityError, match="perceive reached for 'held'"):
            _ = agent.view().held
    agent.held = np.array([agent], dtype=object)
    with pytest.raises(VisibilityError):
        _ = agent.view().held
    agent.held = Notes([agent])
    with pytest.raises(VisibilityError):
        _ = agent.view().held


def test_an_unknown_attribute_is_named_with_what_there_is(agent):
    with pytest.raises(AttributeError, match=r"no attribute 'opinon'.*'opinion'"):
        _ = agent.view().opinon


def test_plain_mesa_agents_have_a_view():
    import mesa

    agent = mesa.Agent(abm.Model(seed=1))
    agent.x = [1]
    assert view_of(agent).x == (1,)
    with pytest.raises(VisibilityError):
        _ = view_of(agent).model


def test_frozen_plain_data_stay_what_they_are():
    persona = Persona(30, ("kind",))
    assert frozen(persona) is persona
    pair = (1, (2, "x"))
    assert frozen(pair) is pair


def test_messages_carry_ids_and_plain_data(agent):
    with pytest.raises(VisibilityError, match=r"author.*give agent\.key"):
        Message(1, agent, 0.0, "hi")
    with pytest.raises(VisibilityError, match="stance"):
        Message(1, "a", 0.0, "hi", stance=[agent])
    assert Message(np.int64(1), "a", np.float64(0.5), "hi").time == 0.5
