"""Tables of a study: means, effects of arms, what the model added, who decided, what it cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

import numpy as np
import polars as pl

from abm.analysis.added import added_by_model
from abm.analysis.comparisons import adjusted, effects_table, means_table
from abm.analysis.intervals import t_halfwidth
from abm.analysis.numbers import number_text, percent_text
from abm.analysis.planning import detectable_effect
from abm.analysis.redraws import ERROR, with_redraws
from abm.analysis.report.material import KEYS, Material
from abm.analysis.sampled import answer_error, draws_in
from abm.errors import AbmError
from abm.ledger import Ledger
from abm.studies.decided import decision_counts

__all__ = [
    "added",
    "answer_degrees",
    "cost",
    "counted",
    "decided",
    "dose_of",
    "effects",
    "estimates",
    "fallback_share",
    "means",
    "p_text",
    "per_replication",
    "redrawn_runs",
    "sampled",
    "scope",
    "wholes",
]

MOST_PARTS = 8
"""Parts of a whole at most."""


def per_replication(material: Material) -> pl.DataFrame:
    """Outcomes, one row per run that adds something: where no seed varies, runs are copies."""
    outcomes = material.outcomes
    if material.varied:
        return outcomes
    first = outcomes["replication"].to_numpy().min()
    return outcomes.filter(pl.col("replication") == int(first))


def scope(material: Material, level: float) -> dict[str, Any]:
    """What varied and what was held fixed, as the tables of effects take it."""
    varied = material.varied or ("nothing",)
    return {"level": level, "varied": varied, "fixed": material.fixed}


def counted(table: pl.DataFrame) -> str:
    """How many replications the rows of a table of estimates rest on: `6`, or `3 to 6`."""
    few, many = int(table["n"].to_numpy().min()), int(table["n"].to_numpy().max())
    return f"{few}" if few == many else f"{few} to {many}"


def redrawn_runs(material: Material) -> pl.DataFrame:
    """The runs of `per_replication` under redrawn answers; empty where none were repeated."""
    redraws = material.redraws
    if not redraws.height or material.varied:
        return redraws
    return redraws.filter(pl.col("replication") == pl.col("replication").min())


def estimates(
    material: Material, make: Callable[[pl.DataFrame], pl.DataFrame], heads: Sequence[str]
) -> pl.DataFrame:
    """A table of the runs, with the error of sampled answers in its intervals where it is known."""
    degrees = answer_degrees(material)
    runs, again = per_replication(material), redrawn_runs(material)
    return with_redraws(make, runs, again, heads=heads, degrees=degrees)


def means(material: Material, level: float, outcomes: Sequence[str] | None = None) -> pl.DataFrame:
    """Mean of every main outcome per answerer and arm, with its interval over replications.

    Intervals of parts of a whole are cut to 0 to 1, which costs them no coverage.
    """

    def make(frame: pl.DataFrame) -> pl.DataFrame:
        return means_table(
            frame,
            outcomes=material.main_outcomes if outcomes is None else outcomes,
            by=("answerer", "arm"),
            **scope(material, level),
        )

    table = estimates(material, make, ("answerer", "arm", "outcome"))
    shares = [name for whole in wholes(material).values() for name in whole]
    cut = pl.col("outcome").is_in(shares)
    return table.with_columns(
        pl.when(cut).then(pl.col(name).clip(0, 1)).otherwise(pl.col(name)).alias(name)
        for name in ("low", "high")
    )


@lru_cache(maxsize=16)
def wholes(material: Material) -> dict[str, list[str]]:
    """Group -> consecutive outcomes of that group that are shares and add up to 1 in every run."""
    frame, found = material.outcomes, {}
    groups: dict[str, list[str]] = {}
    for name in material.outcome_names:
        groups.setdefault(name.rpartition(".")[0], []).append(name)
    for group, names in groups.items():
        values = frame.select(names).to_numpy()
        inside = np.all((values >= 0) & (values <= 1), axis=0)
        for first in range(len(names)):
            for last in range(first + 2, min(len(names), first + MOST_PARTS) + 1):
                block = values[:, first:last]
                whole = np.allclose(block.sum(axis=1), 1, atol=1e-9) and inside[first:last].all()
                if whole and group not in found and np.ptp(block, axis=0).max() > 0:
                    found[group] = names[first:last]
    return found


@lru_cache(maxsize=16)
def effects(material: Material, level: float, control: str | None = None) -> pl.DataFrame:
    """Every arm against the control within each answerer; empty with one arm.

    Adds `p_adjusted` (Holm, over the whole table) and `detectable`, the smallest true effect that
    so many pairs would find with 80 % power.
    """
    if len(material.arms) < 2:
        return pl.DataFrame()

    def make(frame: pl.DataFrame) -> pl.DataFrame:
        return effects_table(
            frame,
            outcomes=material.main_outcomes,
            control=control or material.control,
            by="answerer",
            **scope(material, level),
        )

    table = estimates(material, make, ("answerer", "arm", "control", "outcome"))
    return with_planning(adjusted(table), level)


def with_planning(table: pl.DataFrame, level: float) -> pl.DataFrame:
    """Add the smallest true effect that is found with 80 % power.

    Where sampled answers add to the interval, the standard deviation is the one that gives it.
    """
    sd = table["sd_paired"]
    if ERROR in table.columns:
        widths = ((table["high"] - table["low"]) / 2).to_numpy()
        unit = t_halfwidth(1.0, table["n"].to_numpy(), level)
        sd = pl.Series(np.divide(widths, unit, out=np.full(widths.shape, np.nan), where=unit > 0))
    pairs = zip(sd, table["n"], strict=True)
    found = [detectable_effect(sd or float("nan"), n, level=level) for sd, n in pairs]
    return table.with_columns(pl.Series("detectable", found, dtype=pl.Float64))


@lru_cache(maxsize=16)
def added(material: Material, level: float, control: str | None = None) -> pl.DataFrame:
    """Every answerer against the rule twin (p: Holm per quantity); empty without another."""
    twin = material.parts.twin
    if twin not in material.answerers or len(material.answerers) < 2:
        return pl.DataFrame()

    def make(frame: pl.DataFrame) -> pl.DataFrame:
        return added_by_model(
            frame,
            outcomes=material.main_outcomes,
            twin=twin,
            control=(control or material.control) if len(material.arms) > 1 else None,
            **scope(material, level),
        )

    table = estimates(material, make, ("answerer", "quantity", "arm", "outcome"))
    return adjusted(table, family="quantity")


@lru_cache(maxsize=16)
def decided(material: Material) -> pl.DataFrame:
    """Decisions per answerer and question: as assigned, by a rule that stood in, or otherwise."""
    found: dict[str, list[pl.DataFrame]] = {}
    for run in material.runs:
        if run.manifest["status"] == "finished" and (run.folder / "decisions.parquet").exists():
            found.setdefault(run.manifest["answerer"], []).append(run.frame("decisions"))
    if not found:
        return pl.DataFrame()
    # Added up before they are put in words, so that "invalid 9" counts those of all runs.
    counts = [
        decision_counts(pl.concat(frames, how="diagonal_relaxed")).with_columns(
            pl.lit(answerer).alias("answerer")
        )
        for answerer, frames in found.items()
    ]
    keys = ["answerer", "question"]
    numbers = ["decisions", "as_assigned", "by_rule", "again_or_skipped"]
    return (
        pl.concat(counts)
        .group_by(keys, maintain_order=True)
        .agg(pl.col(numbers).sum(), pl.col("how").filter(pl.col("how") != ""))
        .sort(keys)
        .with_columns(pl.col("how").list.join(", "))
    )


def fallback_share(material: Material) -> dict[str, float]:
    """Answerer -> share of its decisions that were not answered as assigned."""
    table = decided(material)
    if not table.height:
        return {}
    sums = table.group_by("answerer").agg(pl.col("decisions", "as_assigned").sum())
    return {r["answerer"]: 1 - r["as_assigned"] / r["decisions"] for r in sums.to_dicts()}


def cost(material: Material) -> pl.DataFrame:
    """Per answerer: runs, hours, decisions, answers inferred, saved by asking once, tokens."""
    inferred = _inferred(material)
    rows = []
    for name in material.answerers:
        mine = [m for m in material.finished if m["answerer"] == name]
        marks = material.language_models.get(name, [])
        decisions = sum(m["decisions"].get("decisions", 0) for m in mine)
        tokens = [
            sum(m["decisions"].get(f"tokens_{way}", 0) for m in mine) for way in ("in", "out")
        ]
        seconds = sum(sum(m["timings"].values()) for m in mine)
        answers = sum(inferred.get(mark, 0) for mark in marks)
        saved = percent_text(1 - answers / decisions) if marks and decisions else "—"
        rows.append(
            {
                "answerer": material.written(name),
                "runs": len(mine),
                "hours of runs": number_text(seconds / 3600, seconds / 3600 / 10),
                "decisions": f"{decisions:,}",
                "answers inferred": f"{answers:,}" if marks else "—",
                "saved by asking once": saved,
                "tokens in": f"{tokens[0]:,}" if marks else "—",
                "tokens out": f"{tokens[1]:,}" if marks else "—",
            }
        )
    return pl.DataFrame(rows)


@lru_cache(maxsize=16)
def sampled(material: Material) -> pl.DataFrame:
    """Per choice question the answers that a server gave by draws, and what error that leaves.

    `error` is the largest standard error, over the options, of an option's share among decisions
    that raise each distinct request equally often; first order, see `abm.analysis.sampled`.
    """
    rows = []
    for (question, n), answers in sorted(_sampled_answers(material).items()):
        table = np.array([a for a in answers.values() if a[0] > 0])
        counts = table[:, :1] * table[:, 1:] if table.size else np.zeros((0, n))
        counts = counts[counts.sum(axis=1) > 0]
        errors = (
            [answer_error(counts, values=np.eye(n)[i]) for i in range(n)] if len(counts) else []
        )
        draws = int(table[:, 0].min()) if table.size else 0
        error = max(errors, default=float("nan"))
        rows.append(
            {"question": question, "requests": len(answers), "draws": draws, "error": error}
        )
    return pl.DataFrame(rows)


@lru_cache(maxsize=16)
def _sampled_answers(material: Material) -> dict[tuple[str, int], dict[str, list[float]]]:
    """Question and number of options -> key of an answer -> its draws and the shares of options."""
    found: dict[tuple[str, int], dict[str, list[float]]] = {}
    for run in material.runs:
        path = run.folder / "ledger.sqlite"
        if run.manifest["status"] != "finished" or not path.exists():
            continue
        with Ledger(path, create=False, read_only=True) as ledger:
            for key, entry in ledger.entries():
                if entry.answer.kind == "sampled" and entry.answer.scores is not None:
                    k = draws_in(entry.answer.detail)
                    shares = [math.exp(score) for score in entry.answer.scores]
                    cell = (entry.request.question.id, len(shares))
                    found.setdefault(cell, {})[key] = [k, *shares]
    return found


def answer_degrees(*materials: Material) -> float:
    """Draws of all sampled answers less distinct requests; infinite where none was sampled.

    The degrees of freedom of their error where each request decides equally often.
    """
    draws = {
        key: max(answer[0] - 1, 1.0)
        for material in materials
        if material.with_sampled
        for answers in _sampled_answers(material).values()
        for key, answer in answers.items()
    }
    return float(sum(draws.values())) if draws else math.inf


def dose_of(material: Material) -> tuple[str, dict[str, float]] | None:
    """The one numeric parameter in which three or more arms differ, and its value in each arm."""
    scenarios = {m["arm"]: m["definition"]["scenario"] for m in material.finished}
    names = {n for s in scenarios.values() for n in s}
    differing = [n for n in names if len({repr(s.get(n)) for s in scenarios.values()}) > 1]
    if len(differing) != 1:
        return None
    doses = {arm: s.get(differing[0]) for arm, s in scenarios.items()}
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in doses.values())
    distinct = len(set(doses.values())) == len(doses) >= 3
    return (differing[0], {a: float(v) for a, v in doses.items()}) if numbers and distinct else None


def p_text(value: float | None) -> str:
    """A p value as it is printed.

    Examples
    --------
    >>> p_text(0.00004), p_text(0.0312), p_text(float("nan"))
    ('< 0.001', '0.031', '—')
    """
    if value is None or value != value:
        return "—"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _inferred(material: Material) -> dict[str, int]:
    """Fingerprint -> distinct answers that the chosen runs used."""
    counts: dict[str, set[str]] = {}
    for run in material.runs:
        path = run.folder / "ledger.sqlite"
        if run.manifest["status"] == "finished" and path.exists():
            with suppress(AbmError), Ledger(path, create=False, read_only=True) as ledger:
                query = (
                    "SELECT p.fingerprint, a.key FROM answers a JOIN policies p ON p.id = a.policy"
                )
                for mark, key in ledger.rows(query):
                    counts.setdefault(mark, set()).add(key)
    return {mark: len(keys) for mark, keys in counts.items()}


def keyed(material: Material, table: str) -> pl.DataFrame:
    """A stored table of all runs with its keys; empty if there is none."""
    frame = material.table(table)
    return frame if set(KEYS) <= set(frame.columns) else pl.DataFrame()
