"""Answers for many tickets, block by block, kept as columns: a million answers are five arrays."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from abm.collecting import collector_waits
from abm.errors import DecisionFailed
from abm.policies.answering import Outcome, Skipped, Ticket
from abm.population.raising import BLOCK, Tickets
from abm.questions import Question, distribution

if TYPE_CHECKING:
    from abm.population.population import Population

__all__ = ["CostWarning", "Settled", "settle"]

MANY, PROBE = 1 << 12, 1 << 8
"""From so many tickets on the pace of the first few says what all of them will take."""

LONG = 600.0
"""Seconds of asking that nobody should begin without being told."""


class CostWarning(UserWarning):
    """Answering so many different requests will take long."""


class Settled:
    """What came of tickets.

    Attributes
    ----------
    p
        Probabilities, shape (n_tickets, n_options); zeros where there is no answer or no menu.
    ok
        Which have an answer, shape (n_tickets,).
    kinds
        Distinct (policy asked, status, policy whose answer counts).
    kind
        Which of them each ticket is, shape (n_tickets,).
    retries, tokens_in, tokens_out
        Shape (n_tickets,).
    confidence
        Probability of the most probable option before any transform, shape (n_tickets,); nan where
        there is no distribution.
    skipped
        Ticket -> what was skipped.
    texts
        One per ticket, for a text question.
    """

    def __init__(self, question: Question, n: int) -> None:
        self.question = question
        self.p = np.zeros((n, len(question.options or ())))
        self.ok = np.zeros(n, dtype=bool)
        self.kinds: dict[tuple[str, str, str], int] = {}
        self.kind = np.zeros(n, dtype=np.int64)
        self.retries, self.tokens_in, self.tokens_out = np.zeros((3, n), dtype=np.int64)
        self.confidence = np.full(n, np.nan)
        self.skipped: dict[int, Skipped] = {}
        self.texts: list[str | None] = []

    def take(
        self, model: Any, first: int, made: Sequence[Ticket], outcomes: Sequence[Outcome]
    ) -> None:
        """Note the outcomes of the tickets from number `first` on."""
        some = slice(first, first + len(made))
        answers = [outcome.answer for outcome in outcomes]
        self.ok[some] = [answer.ok for answer in answers]
        self.tokens_in[some] = [answer.tokens_in for answer in answers]
        self.tokens_out[some] = [answer.tokens_out for answer in answers]
        self.retries[some] = [outcome.retries for outcome in outcomes]
        self.kind[some] = [
            self.kinds.setdefault(
                (ticket.policy, str(outcome.failure or outcome.answer.status), outcome.policy),
                len(self.kinds),
            )
            for ticket, outcome in zip(made, outcomes, strict=True)
        ]
        if self.question.text is not None:
            self.texts += [answer.text for answer in answers]
        name = self.question.id
        for place in np.flatnonzero(~self.ok[some]).tolist():
            answer = answers[place]
            self.skipped[first + place] = Skipped(name, answer.status, answer.detail)
        if self.question.options is not None:
            self._transform(model, first, outcomes)

    def _transform(self, model: Any, first: int, outcomes: Sequence[Outcome]) -> None:
        rows: dict[str, list[int]] = {}
        for place, outcome in enumerate(outcomes):
            if outcome.answer.ok:
                rows.setdefault(outcome.policy, []).append(place)
        for name, mine in rows.items():
            scores = np.array([outcomes[place].answer.scores for place in mine], dtype=np.float64)
            p = model.transform_for(self.question.id, name).apply(scores)
            self.p[first + np.array(mine)] = p
            self.confidence[first + np.array(mine)] = distribution(scores).max(axis=-1)


def settle(
    population: Population, question: Question, rows: NDArray[np.int64], asked: Tickets
) -> Settled:
    """Ask all tickets. A failure that aborts the run names the first agent that has it.

    Tickets are numbered by first appearance, so the first that fails is the first agent's.
    """
    model, n = population.model, asked.request_of.size
    _note_acting(population, rows)
    model.desk.flush()  # what was raised before is answered before: some policies have state
    settled = Settled(question, n)
    times = np.bincount(asked.ticket, minlength=n)
    begun, probed = time.perf_counter(), _is_probed(model, asked)
    for first, some in _blocks(n, probed):
        with collector_waits():
            requests = asked.make(asked.request_of[some])
            names = [asked.names[i] for i in asked.name_of[some].tolist()]
            made = [Ticket(name, request) for name, request in zip(names, requests, strict=True)]
        _count(model, made, times[some])
        outcomes = []
        for place, result in enumerate(model.answerer.settle(made)):
            if isinstance(result, DecisionFailed):
                row = int(rows[int(np.flatnonzero(asked.ticket == first + place)[0])])
                raise _failed(model, row, made[place], result)
            outcomes.append(result)
        settled.take(model, first, made, outcomes)
        if probed and not first:
            _foretell(question, n, time.perf_counter() - begun)
    return settled


def _blocks(n: int, probed: bool) -> Iterator[tuple[int, slice]]:
    """Where each block of tickets starts, and its rows."""
    first = 0
    while first < n:
        size = PROBE if probed and not first else BLOCK
        yield first, slice(first, first + size)
        first += size


def _is_probed(model: Any, asked: Tickets) -> bool:
    """Whether there are many tickets for something that may be slow: a model or a server."""
    policies = model.answerer.policies
    slow = any(getattr(policies.get(name), "recorded", False) for name in asked.names)
    return slow and asked.request_of.size > MANY


def _foretell(question: Question, n: int, seconds: float) -> None:
    """Say what all tickets will take, if that is long. No result depends on it."""
    left = seconds / PROBE * (n - PROBE)
    if left > LONG:
        warnings.warn(
            f"question {question.id!r}: {n:,} different requests were raised at once; at the pace "
            f"of the first {PROBE} ({PROBE / seconds:,.0f} per second) the others take about "
            f"{left / 3600:,.1f} hours. With a ledger every answer is kept as it comes, and a run "
            "that is broken off goes on from there. Coarser fields in perceive make requests "
            "equal, and equal ones are asked once; `abm plan` says beforehand what a study asks",
            CostWarning,
            stacklevel=5,
        )


def _count(model: Any, made: Sequence[Ticket], times: NDArray[np.int64]) -> None:
    """Tell the decision log how often each ticket was raised."""
    rows: dict[str, list[int]] = {}
    for row, ticket in enumerate(made):
        rows.setdefault(ticket.policy, []).append(row)
    for policy, mine in rows.items():
        model.decisions.requests(policy, [made[row].request for row in mine], times[mine].tolist())


def _note_acting(population: Population, rows: NDArray[np.int64]) -> None:
    if population._agents:
        own = (population._agents.get(i) for i in population.ids[rows].tolist())
        population.model.desk.acted.update({type(agent) for agent in own if agent is not None})


def _failed(model: Any, row: int, made: Ticket, error: DecisionFailed) -> DecisionFailed:
    error.add_note(f"asked in columns; first in row {row} of the population")
    status = str(error.values.get("status", ""))
    model.decisions.record(made.request.question.id, made.policy, model.now, None, status)
    return error
