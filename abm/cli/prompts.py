"""`abm prompts`: what an agent is asked, exactly as sent."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from rich.text import Text

from abm.cli import show
from abm.cli.run import chosen_run
from abm.errors import AbmError, ScenarioError, require
from abm.studies.answering import Answering
from abm.studies.parameters import closest
from abm.studies.run import Run, build_model

__all__ = ["show_prompts"]


def show_prompts(
    file: Path,
    agent: str | None,
    at: float,
    arm: str | None,
    answerer: str | None,
    replication: int,
    model: Path | None,
    question: str | None,
    out: Path,
) -> None:
    """Print a preview of every question of the model for one agent, by default the first."""
    study, run = chosen_run(str(file), {}, arm, answerer, replication, None, model)
    require(
        at <= run.scenario.duration,
        ScenarioError,
        f"--at {at:g}, expected at most {run.scenario.duration:g}, the duration of the run",
    )
    ledger = out / study.name / "ledger.sqlite"
    with tempfile.TemporaryDirectory() as scratch:
        path = ledger if ledger.exists() else Path(scratch) / "ledger.sqlite"
        with Answering([run], path) as answering:
            built = build_model(run, answering.for_run(run).policies)
            built.run_until(at)
            _print_all(run, built, agent, question)
    show.labels(run.labels)


def _print_all(run: Run, model: Any, agent: str | None, question: str | None) -> None:
    asked = [q for q in model.questions if question in (None, q.id)]
    known = [q.id for q in model.questions]
    if not asked:
        what = f"has no question {question!r}; {closest(question or '', known)}"
        raise ScenarioError(f"{run.model.__name__} {what if known else 'asks no questions'}")
    found = _agent(model, agent)
    for number, one in enumerate(asked):
        if number:
            show.console.rule()
        try:
            show.console.print(Text(str(one.preview(found))))
        except (AttributeError, AbmError) as error:
            # an agent need not have what every question of its model looks at
            show.console.print(Text(f"{one.id}: cannot be asked of this agent: {error}"))


def _agent(model: Any, key: str | None) -> Any:
    """The agent with that key; the first one where none is named."""
    if key is None and len(model.agents):
        return next(iter(model.agents))
    try:
        return model.find(key)
    except AbmError as error:
        keys = [str(getattr(a, "key", a.unique_id)) for a in model.agents]
        some = ", ".join(keys[:8]) + (", ..." if len(keys) > 8 else "")
        raise ScenarioError(
            f"--agent {key!r}: no agent has that key; {len(keys)} agents have the keys {some}",
            value=key,
        ) from error
