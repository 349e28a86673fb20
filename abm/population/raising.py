"""What many agents ask: distinct requests, made when they are needed, and who answers them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from abm.policies.assignment import Mixture, PerQuestion
from abm.population.grouping import field_columns, group, mappings
from abm.population.perceiving import perceived, requests_of
from abm.questions import Question, Request
from abm.rng import uniforms

if TYPE_CHECKING:
    from abm.population.population import Population

__all__ = ["BLOCK", "Raising", "Tickets", "raised", "tickets"]

BLOCK = 1 << 10
"""Requests that are objects at once."""

Fields = Mapping[str, Any] | None
_Make = Callable[[NDArray[np.int64]], list[Request]]


class Raising(NamedTuple):
    """Requests of many agents.

    Attributes
    ----------
    n
        Number of distinct requests (of all requests, for a text), in order of first appearance.
    member
        Request of each row, shape (n_rows,).
    make
        Numbers of requests -> the requests. A million of them need not exist at once.
    """

    n: int
    member: NDArray[np.int64]
    make: _Make


class Tickets(NamedTuple):
    """Distinct (policy, request) pairs in order of first appearance.

    Attributes
    ----------
    names
        Names of policies.
    name_of, request_of
        Policy (its place in `names`) and request of each ticket, shape (n_tickets,).
    ticket
        Ticket of each row, shape (n_rows,).
    make
        As in `Raising`.
    """

    names: list[str]
    name_of: NDArray[np.int64]
    request_of: NDArray[np.int64]
    ticket: NDArray[np.int64]
    make: _Make


def raised(
    population: Population,
    question: Question,
    rows: NDArray[np.int64],
    fields: Fields,
    keys: NDArray[np.uint64],
    occasions: NDArray[np.int64],
) -> Raising:
    """The requests that the agents in `rows` raise."""
    if question.text is not None:
        return _texts(population, question, rows, fields, keys, occasions)
    if fields is None:
        return _grouped(
            question, perceived(question, _perceive(population, question, rows)), rows.size
        )
    return _grouped(question, fields, rows.size)


def _grouped(question: Question, fields: Mapping[str, Any], n_rows: int) -> Raising:
    """Distinct rows of columns; their requests are made when they are needed."""
    groups = group(fields, n_rows)

    def make(some: NDArray[np.int64]) -> list[Request]:
        return requests_of(question, {n: v[some] for n, v in groups.columns.items()}, some.size)

    return Raising(groups.n, groups.member, make)


def _texts(
    population: Population,
    question: Question,
    rows: NDArray[np.int64],
    fields: Fields,
    keys: NDArray[np.uint64],
    occasions: NDArray[np.int64],
) -> Raising:
    """One request per row, each with the agent's own seed."""
    seed = population.model.chance_seed
    seeds = (uniforms(seed, f"text:{question.id}", keys, occasions) * 2**32).astype(np.int64)
    columns = None if fields is None else field_columns(fields, rows.size)

    def make(some: NDArray[np.int64]) -> list[Request]:
        values: Any = (
            _perceive(population, question, rows[some])
            if columns is None
            else mappings(columns, some)
        )
        pairs = zip(values, seeds[some].tolist(), strict=True)
        return [question.request(value, seed=own) for value, own in pairs]

    return Raising(rows.size, np.arange(rows.size), make)


def _perceive(
    population: Population, question: Question, rows: NDArray[np.int64]
) -> Iterator[Mapping[str, Any]]:
    from abm.population.agents import view_of_row

    assert question.perceive is not None
    return (question.perceive(view_of_row(population, row)) for row in rows.tolist())


def tickets(
    population: Population,
    question: Question,
    rows: NDArray[np.int64],
    keys: NDArray[np.uint64],
    asked: Raising,
    policy: str | None,
) -> Tickets:
    """Who answers each row, and the distinct tickets that follow.

    The assignment is evaluated row by row, in order, since it may have state; a plain name and a
    `Mixture` have none and are evaluated as columns.
    """
    desk, assignment = population.model.desk, population.model.assignment
    if policy is not None:
        assignment = policy
    while isinstance(assignment, PerQuestion):
        assignment = assignment.for_question(question.id)
    if assignment is None and asked.n:
        first = asked.make(np.zeros(1, dtype=np.int64))[0]
        assignment = population.model.assigned_policy(None, first)  # the only one, or an error
    if assignment is None or isinstance(assignment, str):
        given = [desk.final(assignment or "")]
        whose = np.zeros(rows.size, dtype=np.int64)
    elif isinstance(assignment, Mixture):
        given, whose = assignment.columns_for(keys)
        given = [desk.final(name) for name in given]
    else:
        given, whose = _row_by_row(population, rows, keys, asked, assignment)
    return _paired(*_spread(desk, given, whose, keys), asked)


def _row_by_row(
    population: Population,
    rows: NDArray[np.int64],
    keys: NDArray[np.uint64],
    asked: Raising,
    assignment: Any,
) -> tuple[list[str], NDArray[np.int64]]:
    from abm.population.agents import stand_in

    model, place = population.model, dict[str, int]()
    whose = np.empty(rows.size, dtype=np.int64)
    for first in range(0, rows.size, BLOCK):
        some = slice(first, first + BLOCK)
        needed, which = np.unique(asked.member[some], return_inverse=True)
        requests = asked.make(needed)
        raising = zip(keys[some].tolist(), which.tolist(), rows[some].tolist(), strict=True)
        for at, (key, r, row) in enumerate(raising, start=first):
            agent = stand_in(population, row)
            name = assignment.policy_for(key, requests[r], model.now, agent=agent)
            whose[at] = place.setdefault(model.desk.final(name), len(place))
    return list(place), whose


def _spread(
    desk: Any, given: list[str], whose: NDArray[np.int64], keys: NDArray[np.uint64]
) -> tuple[list[str], NDArray[np.int64]]:
    """Resolve names that stand for several policies, by agent."""
    names: list[str] = []
    found = np.empty(whose.size, dtype=np.int64)
    for number, name in enumerate(given):
        mine = np.flatnonzero(whose == number)
        mixture = desk.mixtures.get(name)
        if mixture is None:
            found[mine] = _placed(names, name)
            continue
        members, of = mixture.columns_for(keys[mine])
        places = np.array([_placed(names, member) for member in members], dtype=np.int64)
        found[mine] = places[of]
    return names, found


def _placed(names: list[str], name: str) -> int:
    if name not in names:
        names.append(name)
    return names.index(name)


def _paired(names: list[str], whose: NDArray[np.int64], asked: Raising) -> Tickets:
    if len(names) <= 1:
        every = np.arange(asked.n)
        return Tickets(names or [""], np.zeros_like(every), every, asked.member, asked.make)
    pairs, first, place = np.unique(
        whose * asked.n + asked.member, return_index=True, return_inverse=True
    )
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(order.size)
    name_of, request_of = np.divmod(pairs[order], max(asked.n, 1))
    return Tickets(names, name_of, request_of, rank[place], asked.make)
