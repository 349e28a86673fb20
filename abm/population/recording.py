"""What many agents decided, counted for the decision log of the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.policies.answering import Outcome, Ticket
from abm.questions import Question

__all__ = ["log_decisions"]


def log_decisions(
    model: Any,
    question: Question,
    keys: NDArray[np.uint64],
    tickets: Sequence[Ticket],
    outcomes: Sequence[Outcome],
    ticket: NDArray[np.int64],
    chosen: NDArray[np.int64],
) -> None:
    """Count decisions by ticket and choice; one row per decision too if the log keeps agents.

    Parameters
    ----------
    ticket
        Ticket of each row, shape (n_rows,).
    chosen
        Option of each row, shape (n_rows,); -1 for a text or a skipped decision.
    """
    log = model.decisions
    width = len(question.options or ()) + 1
    cells, counts = np.unique(ticket * width + chosen + 1, return_counts=True)
    for cell, n in zip(cells.tolist(), counts.tolist(), strict=True):
        outcome, asked = outcomes[cell // width], tickets[cell // width]
        log.record(
            question.id,
            asked.policy,
            model.now,
            _option(question, cell % width - 1),
            str(outcome.failure or outcome.answer.status),
            n=n,
            answered_by=outcome.policy,
            retries=outcome.retries * n,
            tokens_in=outcome.answer.tokens_in * n,
            tokens_out=outcome.answer.tokens_out * n,
        )
    if log.by_agent:
        _by_agent(model, question, keys, tickets, outcomes, ticket, chosen)


def _by_agent(
    model: Any,
    question: Question,
    keys: NDArray[np.uint64],
    tickets: Sequence[Ticket],
    outcomes: Sequence[Outcome],
    ticket: NDArray[np.int64],
    chosen: NDArray[np.int64],
) -> None:
    rows = zip(keys.tolist(), ticket.tolist(), chosen.tolist(), strict=True)
    for key, t, option in rows:
        outcome = outcomes[t]
        value = (outcome.answer.text if question.text else _option(question, option)) or ""
        status = str(outcome.failure or outcome.answer.status)
        log_value = value if outcome.answer.ok else ""
        model.decisions.record_agent(
            key, model.now, question.id, tickets[t].policy, log_value, status
        )


def _option(question: Question, index: int) -> str | None:
    return None if index < 0 or question.options is None else question.options[index]
