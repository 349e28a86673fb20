"""The columnar form of `decide`: distinct requests are asked once, everybody draws by own chance.

The answers, draws and failures are bit-equal to asking the rows one by one in their order: the
request depends on the fields alone, the uniform on (seed, question, key, occasion) alone, and the
assignment is evaluated row by row. Only distinct requests become objects, and of those at most a
block at a time, so a million different requests need no more memory than their answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from abm.errors import PopulationError, require
from abm.policies.answering import Skipped
from abm.population.raising import raised, tickets
from abm.population.recording import log_decisions
from abm.population.settling import Settled, settle
from abm.questions import Question, pick
from abm.rng import uniforms

if TYPE_CHECKING:
    from abm.population.population import Population

__all__ = ["Asked", "ask_rows"]

_BLOCK = 1 << 17  # rows whose probabilities are laid out at once


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
    keys = population._keys_at(rows)
    persistent = question.draw == "persistent"
    occasions = np.zeros_like(rows) if persistent else population.asked(question.id)[rows]
    asked = raised(population, question, rows, fields, keys, occasions)
    assigned = tickets(population, question, rows, keys, asked, policy)
    if not persistent:
        population.asked(question.id)[rows] += 1
    settled, ticket = settle(population, question, rows, assigned), assigned.ticket
    chosen = np.full(ticket.size, -1, dtype=np.int64)
    if question.text is None:
        chance = uniforms(model.chance_seed, f"decide:{question.id}", keys, occasions)
        chosen = _draw(settled, ticket, chance)
    log_decisions(model, settled, keys, ticket, chosen)
    skipped = _skipped(settled, ticket)
    values: Any = chosen
    if question.text is not None:
        values = [skipped.get(i, settled.texts[t]) for i, t in enumerate(ticket.tolist())]
    answered_by = np.array([*(name for _, _, name in settled.kinds), ""], dtype=object)
    return Asked(values, skipped, answered_by[settled.kind[ticket]], settled.ok.size)


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


def _draw(
    settled: Settled, ticket: NDArray[np.int64], chance: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Everybody's option by their own uniform; -1 where there is no answer."""
    drawn = np.full(ticket.size, -1, dtype=np.int64)
    who = np.flatnonzero(settled.ok[ticket])
    for first in range(0, who.size, _BLOCK):
        some = who[first : first + _BLOCK]
        drawn[some] = pick(settled.p[ticket[some]], chance[some])
    return drawn


def _skipped(settled: Settled, ticket: NDArray[np.int64]) -> dict[int, Skipped]:
    if not settled.skipped:
        return {}
    failed = np.flatnonzero(~settled.ok[ticket])
    return {i: settled.skipped[int(ticket[i])] for i in failed.tolist()}
