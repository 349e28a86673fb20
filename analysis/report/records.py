"""What single agents decided in a finished run, for measures that compare an agent with itself.

A run stores its decisions added up. The run is therefore replayed from its own folder, without its
language model, with a log that keeps every decision of every agent.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from abm.analysis.text import words
from abm.engine.decision_log import DecisionLog
from abm.errors import AnalysisError, require
from abm.ledger import Ledger
from abm.studies.reading import load_run
from abm.studies.replaying import recorded_policies, run_from
from abm.studies.run import build_model

__all__ = ["recorded_decisions", "word_vectors"]

SCHEMA = {
    "agent": pl.String(),
    "time": pl.Float64(),
    "question": pl.String(),
    "choice": pl.String(),
    "text": pl.String(),
    "length": pl.Int64(),
    "failed": pl.Boolean(),
    "intervened": pl.Boolean(),
    "confidence": pl.Float64(),
}


def recorded_decisions(
    folder: str | Path, *, windows: int = 6, model: str | type | None = None
) -> pl.DataFrame:
    """Every decision of every agent of a run, as `stability_items` takes it.

    Parameters
    ----------
    folder
        A finished run.
    windows
        Equal parts into which the time from the first to the last decision is cut, >= 2.
    model
        The model class, where the manifest's reference cannot be found here.

    Returns
    -------
    One row per decision in the order in which they acted: `window, agent, time, question, choice`
    (null for a text), `text, length` (words of a text; null for a choice), `failed`, `intervened`
    (another policy than the assigned one decided in the end, or nobody did), and `confidence`, the
    probability of the most probable option (null for a text or a failure).

    Raises
    ------
    AnalysisError
        No agent was asked on its own in this run: cohorts that are asked in columns have no
        decisions of single agents.

    Examples
    --------
    Items of the agent-stability index of a run, with `question` as the kind of act::

        decisions = recorded_decisions("runs/town/runs/low/model/r000")
        items = stability_items(decisions, confidence="confidence", length="length",
                                failed="failed", intervened="intervened", role="question",
                                group="question")
        stability_index(items)
    """
    require(windows >= 2, AnalysisError, f"windows = {windows}, expected >= 2")
    rows = _replayed(Path(folder), model)
    require(
        rows.height > 0,
        AnalysisError,
        f"{folder}: no agent was asked on its own, so there are no decisions of single agents",
    )
    first, last = float(rows["time"].min()), float(rows["time"].max())  # type: ignore[arg-type]
    span = (last - first) or 1.0
    part = ((pl.col("time") - first) / span * windows).floor().clip(0, windows - 1)
    return rows.select(part.cast(pl.Int64).alias("window"), pl.all())


def _replayed(folder: Path, model: str | type | None) -> pl.DataFrame:
    stored = load_run(folder)
    run, path = run_from(stored, model), stored.folder / "ledger.sqlite"
    answers: Mapping[str, Any] = stored.manifest["answers"]
    log = _Kept()
    with Ledger(path, read_only=True) if path.exists() else nullcontext() as ledger:
        built = build_model(run, recorded_policies(run, answers, ledger))
        built.decisions = log
        built.run_until(run.scenario.duration)
    return pl.DataFrame(log.kept, schema=SCHEMA, orient="row")


class _Kept(DecisionLog):
    """A log that keeps who decided what, and who answered in the end."""

    def __init__(self) -> None:
        super().__init__(by_agent=True)
        self.kept: list[tuple[Any, ...]] = []
        self._answered: tuple[str | None, str | None] = (None, None)

    def record(
        self,
        question: str,
        policy: str,
        time: float,
        choice: str | None,
        status: str = "ok",
        *,
        answered_by: str | None = None,
        **counts: Any,
    ) -> None:
        super().record(question, policy, time, choice, status, answered_by=answered_by, **counts)
        self._answered = (choice, answered_by)

    def record_agent(
        self,
        key: int | str,
        time: float,
        question: str,
        policy: str,
        value: str,
        status: str,
        confidence: float | None = None,
    ) -> None:
        choice, answered_by = self._answered
        failed = status != "ok"
        text = value if choice is None and value else None
        length = None if text is None else len(words(text))
        left = failed and (answered_by != policy or not value)
        self.kept.append(
            (str(key), float(time), question, choice, text, length, failed, left, confidence)
        )


def word_vectors(texts: pl.Series) -> pl.Series:
    """Texts as vectors of how often each word occurs, one list per text, null stays null.

    Vectors of words know nothing of meaning: two texts without a common word are unrelated to
    them. Use a backend's `embed` where meaning counts.

    Examples
    --------
    >>> word_vectors(pl.Series(["a b a", "b"])).to_list()
    [[2.0, 1.0], [0.0, 1.0]]
    """
    tokens = [None if text is None else words(text) for text in texts.to_list()]
    known = {word: i for i, word in enumerate(sorted({w for t in tokens if t for w in t}))}
    made: list[list[float] | None] = []
    for said in tokens:
        if said is None:
            made.append(None)
            continue
        places = np.array([known[word] for word in said], dtype=np.int64)
        made.append(np.bincount(places, minlength=len(known)).astype(float).tolist())
    return pl.Series(texts.name, made, dtype=pl.List(pl.Float64))
