"""What many agents decided, counted for the decision log of the model."""

from __future__ import annotations

from math import isnan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.population.settling import Settled

__all__ = ["log_decisions"]


def log_decisions(
    model: Any,
    settled: Settled,
    keys: NDArray[np.uint64],
    ticket: NDArray[np.int64],
    chosen: NDArray[np.int64],
) -> None:
    """Count decisions by kind and choice; one row per decision too if the log keeps agents.

    Parameters
    ----------
    ticket
        Ticket of each row, shape (n_rows,).
    chosen
        Option of each row, shape (n_rows,); -1 for a text or a skipped decision.
    """
    question, kinds = settled.question, list(settled.kinds)
    width = len(question.options or ()) + 1
    cells = settled.kind[ticket] * width + chosen + 1
    counts = np.bincount(cells)
    sums = {
        name: np.bincount(cells, weights=values[ticket]).astype(np.int64)  # exact up to 2**53
        for name, values in (
            ("retries", settled.retries),
            ("tokens_in", settled.tokens_in),
            ("tokens_out", settled.tokens_out),
        )
    }
    for cell in np.flatnonzero(counts).tolist():
        policy, status, answered_by = kinds[cell // width]
        model.decisions.record(
            question.id,
            policy,
            model.now,
            _option(settled, cell % width - 1),
            status,
            n=int(counts[cell]),
            answered_by=answered_by,
            **{name: int(values[cell]) for name, values in sums.items()},
        )
    if model.decisions.by_agent:
        _by_agent(model, settled, keys, ticket, chosen)


def _by_agent(
    model: Any,
    settled: Settled,
    keys: NDArray[np.uint64],
    ticket: NDArray[np.int64],
    chosen: NDArray[np.int64],
) -> None:
    question, kinds = settled.question, list(settled.kinds)
    for key, t, option in zip(keys.tolist(), ticket.tolist(), chosen.tolist(), strict=True):
        policy, status, by = kinds[int(settled.kind[t])]
        value = (settled.texts[t] if question.text else _option(settled, option)) or ""
        value = value if settled.ok[t] else ""
        sure = float(settled.confidence[t])
        sure_or_none = None if isnan(sure) else sure
        model.decisions.record_agent(
            key, model.now, question.id, policy, value, status, sure_or_none, by
        )


def _option(settled: Settled, index: int) -> str | None:
    options = settled.question.options
    return None if index < 0 or options is None else options[index]
