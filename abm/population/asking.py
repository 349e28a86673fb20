"""The columnar form of `decide`: distinct requests are asked once, everybody draws by own chance.

The answers, draws and failures are bit-equal to asking the rows one by one in their order: the
request depends on the fields alone, the uniform on (seed, question, key, occasion) alone, and the
assignment is evaluated row by row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from abm.errors import DecisionFailed, PopulationError, require
from abm.policies.answering import Outcome, Skipped, Ticket
from abm.population.grouping import group
from abm.population.recording import log_decisions
from abm.questions import Question, Request, pick
from abm.rng import uniforms

if TYPE_CHECKING:
    from abm.population.population import Population

__all__ = ["Asked", "ask_rows"]

_BLOCK = 1 << 18  # rows whose probabilities are laid out at once


@dataclass(frozen=True)
class Asked:
    """What came of asking many agents.

    Attributes
    ----------
    values
        Indices of the chosen options, shape (n_rows,), int64, -1 where skipped; or a list of texts,
        with `Skipped` where skipped.
    skipped
        Place in `rows` -> what was skipped and why. Empty unless the scenario says `skip`.
    policies
        Name of the policy whose answer counts, shape (n_rows,), object array.
    n_requests
        Distinct requests asked; n_rows minus this was saved.
    """

    values: Any
    skipped: Mapping[int, Skipped]
    policies: NDArray[Any]
    n_requests: int

    @property
    def answered(self) -> NDArray[np.bool_]:
        """Who has an answer, shape (n_rows,)."""
        mask = np.ones(len(self.values), dtype=bool)
        mask[list(self.skipped)] = False
        return mask


def ask_rows(
    population: Population,
    question: Question,
    rows: NDArray[np.int64],
    *,
    policy: str | None = None,
    fields: Mapping[str, Any] | None = None,
) -> Asked:
    """Ask the agents in `rows`; see `Population.ask`."""
    _check(population, question, rows, fields)
    model = population.model
    keys = population.keys[rows]
    counts = population.asked(question.id)
    persistent = question.draw == "persistent"
    occasions = np.zeros_like(rows) if persistent else counts[rows]
    if question.text is not None:
        requests, member = _text_requests(population, question, rows, fields, keys, occasions)
    else:
        requests, member = _requests(population, question, rows, fields)
    names = _assign(population, rows, keys, requests, member, policy)
    if not persistent:
        counts[rows] += 1
    tickets, ticket = _tickets(requests, member, names)
    outcomes = _settle(population, question, rows, tickets, ticket)
    chosen = np.full(ticket.size, -1, dtype=np.int64)
    if question.text is None:
        chance = uniforms(model.chance_seed, f"decide:{question.id}", keys, occasions)
        chosen = _draw(model, question, outcomes, ticket, chance)
    log_decisions(model, question, keys, tickets, outcomes, ticket, chosen)
    skipped = _skipped(question, outcomes, ticket)
    values: Any = chosen
    if question.text is not None:
        texts = [outcomes[t].answer.text for t in ticket.tolist()]
        values = [skipped.get(i, text) for i, text in enumerate(texts)]
    policies = np.array([*(outcome.policy for outcome in outcomes), ""], dtype=object)[ticket]
    return Asked(values, skipped, policies, len(tickets))


def _check(
    population: Population,
    question: Question,
    rows: NDArray[np.int64],
    fields: Mapping[str, Any] | None,
) -> None:
    require(
        population.model is not None,
        PopulationError,
        "ask: the population has no model, hence no policies; make it with Population(model, ...)",
    )
    require(
        int(np.bincount(rows, minlength=1).max()) <= 1,
        PopulationError,
        f"ask: question {question.id!r} would be put to somebody twice in one go; ask twice",
    )
    require(
        fields is not None or question.perceive is not None,
        PopulationError,
        f"ask: question {question.id!r} has no perceive; give it one, or pass fields={{...}}",
    )


def _requests(
    population: Population,
    question: Question,
    rows: NDArray[np.int64],
    fields: Mapping[str, Any] | None,
) -> tuple[list[Request], NDArray[np.int64]]:
    """Distinct requests in order of first appearance, and the request of each row."""
    if fields is not None:
        groups = group(fields, rows.size)
        return [question.request(values) for values in groups.fields], groups.member
    place: dict[Request, int] = {}
    raised = [question.request(values) for values in _perceive(population, question, rows)]
    member = [place.setdefault(request, len(place)) for request in raised]
    return list(place), np.array(member, dtype=np.int64)


def _text_requests(
    population: Population,
    question: Question,
    rows: NDArray[np.int64],
    fields: Mapping[str, Any] | None,
    keys: NDArray[np.uint64],
    occasions: NDArray[np.int64],
) -> tuple[list[Request], NDArray[np.int64]]:
    """One request per row, each with the agent's own seed."""
    if fields is None:
        values = _perceive(population, question, rows)
    else:
        groups = group(fields, rows.size)
        values = [groups.fields[g] for g in groups.member.tolist()]
    seed = population.model.chance_seed
    seeds = (uniforms(seed, f"text:{question.id}", keys, occasions) * 2**32).astype(np.int64)
    pairs = zip(values, seeds.tolist(), strict=True)
    requests = [question.request(value, seed=own) for value, own in pairs]
    return requests, np.arange(rows.size)


def _perceive(
    population: Population, question: Question, rows: NDArray[np.int64]
) -> list[Mapping[str, Any]]:
    from abm.population.agents import view_of_row

    assert question.perceive is not None
    return [question.perceive(view_of_row(population, row)) for row in rows.tolist()]


def _assign(
    population: Population,
    rows: NDArray[np.int64],
    keys: NDArray[np.uint64],
    requests: list[Request],
    member: NDArray[np.int64],
    policy: str | None,
) -> str | list[str]:
    """The policy of all, or of each row in order (an assignment may have state)."""
    model = population.model
    redirects = model.desk.redirects

    def final(name: str) -> str:
        return str(redirects.get(name, redirects.get("*", name)))

    assignment = model.assignment if policy is None else policy
    if assignment is None and requests:
        assignment = model.assigned_policy(None, requests[0])  # the only policy, or an error
    if assignment is None or isinstance(assignment, str):
        return final(assignment or "")
    from abm.population.agents import stand_in

    return [
        final(assignment.policy_for(key, requests[r], model.now, agent=stand_in(population, row)))
        for key, r, row in zip(keys.tolist(), member.tolist(), rows.tolist(), strict=True)
    ]


def _tickets(
    requests: list[Request], member: NDArray[np.int64], names: str | list[str]
) -> tuple[list[Ticket], NDArray[np.int64]]:
    """Distinct tickets, and the ticket of each row."""
    if isinstance(names, str):
        return [Ticket(names, request) for request in requests], member
    place: dict[tuple[str, int], int] = {}
    pairs = zip(names, member.tolist(), strict=True)
    ticket = [place.setdefault(pair, len(place)) for pair in pairs]
    return [Ticket(name, requests[r]) for name, r in place], np.array(ticket, dtype=np.int64)


def _settle(
    population: Population,
    question: Question,
    rows: NDArray[np.int64],
    tickets: list[Ticket],
    ticket: NDArray[np.int64],
) -> list[Outcome]:
    """One outcome per ticket. A failure that aborts the run names the first agent that has it."""
    model = population.model
    times = np.bincount(ticket, minlength=len(tickets)).tolist()
    for made, n in zip(tickets, times, strict=True):
        model.decisions.request(made.policy, made.request, n)
    if population._agents:
        own = (population._agents.get(i) for i in population.ids[rows].tolist())
        model.desk.acted.update({type(agent) for agent in own if agent is not None})
    model.desk.flush()  # what was raised before is answered before: some policies have state
    results = model.answerer.settle(tickets)
    failed = [t for t, result in enumerate(results) if isinstance(result, DecisionFailed)]
    if failed:
        place = int(np.flatnonzero(np.isin(ticket, failed))[0])
        error = results[int(ticket[place])]
        error.add_note(f"asked in columns; first in row {int(rows[place])} of the population")
        status = str(error.values.get("status", ""))
        model.decisions.record(
            question.id, tickets[int(ticket[place])].policy, model.now, None, status
        )
        raise error
    return list(results)


def _draw(
    model: Any,
    question: Question,
    outcomes: list[Outcome],
    ticket: NDArray[np.int64],
    chance: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Everybody's option by their own uniform; -1 where there is no answer."""
    options = question.options or ()
    p = np.zeros((len(outcomes), len(options)))
    good = np.array([outcome.answer.ok for outcome in outcomes], dtype=bool)
    names = np.array([*(outcome.policy for outcome in outcomes), ""], dtype=object)[:-1]
    for name in dict.fromkeys(names.tolist()):
        mine = np.flatnonzero(good & (names == name))
        if mine.size:
            scores = [outcomes[t].answer.scores for t in mine.tolist()]
            p[mine] = model.transform_for(question.id, name).apply(scores)
    drawn = np.full(ticket.size, -1, dtype=np.int64)
    who = np.flatnonzero(good[ticket])
    for first in range(0, who.size, _BLOCK):
        some = who[first : first + _BLOCK]
        drawn[some] = pick(p[ticket[some]], chance[some])
    return drawn


def _skipped(
    question: Question, outcomes: list[Outcome], ticket: NDArray[np.int64]
) -> dict[int, Skipped]:
    failed = {
        t: Skipped(question.id, outcome.answer.status, outcome.answer.detail)
        for t, outcome in enumerate(outcomes)
        if not outcome.answer.ok
    }
    if not failed:
        return {}
    return {i: failed[t] for i, t in enumerate(ticket.tolist()) if t in failed}
