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
from abm.linear_algebra import one_thread
from abm.studies.reading import load_run
from abm.studies.replaying import recorded_policies, run_from
from abm.studies.run import build_model

__all__ = ["recorded_decisions", "word_vectors"]


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
        Nobody was asked anything in this run.

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
    rows = _table(_replayed(Path(folder), model))
    require(rows.height > 0, AnalysisError, f"{folder}: nobody was asked anything in this run")
    first, last = float(rows["time"].min()), float(rows["time"].max())  # type: ignore[arg-type]
    span = (last - first) or 1.0
    part = ((pl.col("time") - first) / span * windows).floor().clip(0, windows - 1)
    return rows.select(part.cast(pl.Int64).alias("window"), pl.all())


def _replayed(folder: Path, model: str | type | None) -> DecisionLog:
    """The log of a repeated run, with a row per decision."""
    stored = load_run(folder)
    run, path = run_from(stored, model), stored.folder / "ledger.sqlite"
    answers: Mapping[str, Any] = stored.manifest["answers"]
    source = Ledger(path, read_only=True) if path.exists() else nullcontext()
    with source as ledger, one_thread():
        built = build_model(run, recorded_policies(run, answers, ledger))
        built.decisions.by_agent = True
        built.run_until(run.scenario.duration)
    log: DecisionLog = built.decisions
    return log


def _table(log: DecisionLog) -> pl.DataFrame:
    """The rows of a log in the words of the agent-stability index."""
    chosen = log.frame().drop_nulls("choice")["question"].unique()
    value, failed = pl.col("value"), pl.col("status") != "ok"
    is_text = ~pl.col("question").is_in(chosen.implode())
    said = pl.when(is_text & (value != "")).then(value)
    left = failed & ((pl.col("answered_by") != pl.col("policy")) | (value == ""))
    return log.agents_frame().select(
        pl.col("key").alias("agent"),
        "time",
        "question",
        pl.when(~is_text & (value != "")).then(value).alias("choice"),
        said.alias("text"),
        said.map_elements(lambda text: len(words(text)), return_dtype=pl.Int64).alias("length"),
        failed.alias("failed"),
        left.alias("intervened"),
        "confidence",
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
