"""Repeated with redrawn answers: what runs would have given had a server drawn otherwise.

Every run that used sampled answers is executed again from its own ledger, once per redraw, with the
same random numbers. Redraw j of an answer depends on the answer and on j alone, so arms and
replications share it as they shared the answer. Where a repeated run raises a request that was
never recorded, the recorded request most like it answers; how often that was is kept.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import polars as pl

import abm
from abm.analysis.report import groups, series
from abm.analysis.report.material import Material
from abm.analysis.sampled import draws_in, redrawn
from abm.errors import AbmError, AnalysisError, ReplayMiss, require
from abm.ledger import Ledger, Replayed, answer_key
from abm.policies.base import Policy
from abm.questions import Answer, Kind, Request
from abm.studies.folder import make_folder, write_frame
from abm.studies.registry import code_digest
from abm.studies.replaying import recorded_policies, run_from
from abm.studies.run import Result, Run, perform

__all__ = ["AUTOMATIC", "MOST_DECISIONS", "redraw_cost", "redraws_made", "repeat_with_redraws"]

AUTOMATIC = 20
"""Redraws that a report makes unasked."""
MOST_DECISIONS = 2_000_000
"""Decisions up to which it makes them unasked: a count from the manifests, no clock decides."""
SEED = 0
MARKS = {"digest": pl.String(), "redraw": pl.Int64()}
SCHEMAS: dict[str, dict[str, pl.DataType]] = {
    "outcomes": {
        **MARKS,
        "outcome": pl.String(),
        "value": pl.Float64(),
        "requests": pl.Int64(),
        "unrecorded": pl.Int64(),
    },
    "series": {**MARKS, **series.SCHEMA},
    "groups": {**MARKS, **dict.fromkeys(groups.CELL, pl.String()), "value": pl.Float64()},
}
"""Tables that are kept of the repeated runs."""

Fields = Mapping[str, Any]
Tables = dict[str, pl.DataFrame]


def redraw_cost(material: Material, n: int) -> int:
    """Decisions that `n` redraws of all runs with sampled answers take."""
    return n * sum(_decisions(m) for m in material.with_sampled)


def repeat_with_redraws(material: Material, n: int = AUTOMATIC) -> Path | None:
    """Execute every run with sampled answers `n` times, each time with redrawn answers.

    What lies there from before is kept and only what is missing is executed.

    Parameters
    ----------
    n
        Redraws, >= 2.

    Returns
    -------
    The folder of tables that were written, where reports find it; `None` where no answer was
    sampled.

    Raises
    ------
    AnalysisError
        A server does not say how often it drew, or the model's code has changed since.
    ScenarioError
        The model's class is not found here.
    """
    require(n >= 2, AnalysisError, f"redraws = {n}, expected >= 2: a spread takes two")
    runs = [run for run in material.runs if run.manifest in material.with_sampled]
    if not runs:
        return None
    folder = material.redraws_folder
    known = {name: _read(folder / f"{name}.parquet", name) for name in SCHEMAS}
    done = set(known["outcomes"].select("digest", "redraw").unique().rows())
    pool = _Pool.of(run.folder / "ledger.sqlite" for run in runs)
    declared = material.parts.groups
    made: list[Tables] = []
    for run in runs:
        missing = [j for j in range(n) if (run.manifest["digest"], j) not in done]
        made += _repeat(run, missing, pool, declared) if missing else []
    if made:
        make_folder(folder)
        for name in ("series", "groups", "outcomes"):  # the last says that the others are there
            frames = [known[name], *(tables[name] for tables in made)]
            write_frame(folder / f"{name}.parquet", pl.concat(frames))
    return folder


def _repeat(
    folder: Any, numbers: Sequence[int], pool: _Pool, declared: Sequence[str]
) -> list[Tables]:
    """Tables of one run for each redraw."""
    run, manifest = run_from(folder), folder.manifest
    require(
        code_digest(run.model) == manifest["model"]["code"],
        AnalysisError,
        f"{folder.folder} cannot be repeated with redrawn answers: the code of its model has "
        "changed since. Run the study again",
    )
    made = []
    for number in numbers:
        with Ledger(folder.folder / "ledger.sqlite", read_only=True) as ledger:
            recorded = recorded_policies(run, manifest["answers"], ledger)
            policies: dict[str, Policy] = {
                role: _Redrawn(policy, number, pool) if isinstance(policy, Replayed) else policy
                for role, policy in recorded.items()
            }
            result = _performed(run, policies, folder.folder)
        mine = [p for p in policies.values() if isinstance(p, _Redrawn)]
        counts = (sum(p.requests for p in mine), sum(p.unrecorded for p in mine))
        made.append(_tables(result, (manifest["digest"], number), counts, declared))
    return made


def _tables(
    result: Result, marks: tuple[str, int], counts: tuple[int, int], declared: Sequence[str]
) -> Tables:
    """What is kept of a repeated run, by the names of `SCHEMAS`."""
    rows = [(*marks, name, value, *counts) for name, value in result.outcomes.items()]
    outcomes = pl.DataFrame(rows, schema=SCHEMAS["outcomes"], orient="row")
    told = series.lengthened(result.series)
    grouped = groups.every_group(result.agents, told, declared)
    named = [
        pl.lit(mark, dtype=kind).alias(k)
        for mark, (k, kind) in zip(marks, MARKS.items(), strict=True)
    ]
    tables = {"series": told, "groups": grouped}
    return {"outcomes": outcomes} | {
        name: frame.with_columns(named).select(list(SCHEMAS[name]))
        for name, frame in tables.items()
    }


def _performed(run: Run, policies: Mapping[str, Policy], folder: Path) -> Result:
    try:
        return perform(run, policies)
    except AbmError:
        raise
    except Exception as error:  # the model's own code, in a state that no recorded run had
        raise AnalysisError(
            f"{folder} fails when its answers are redrawn, with {type(error).__name__}: {error}"
        ) from error


@dataclass
class _Redrawn:
    """Recorded answers of a role, those that were sampled redrawn from their posterior."""

    inner: Replayed
    number: int
    pool: _Pool
    requests: int = 0
    unrecorded: int = 0
    recorded: bool = True
    live: bool = False
    known: dict[str, Answer] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        return self.inner.fingerprint

    @property
    def coverage_floor(self) -> float:
        return self.inner.coverage_floor

    def answer(self, requests: Sequence[Request]) -> list[Answer]:
        """One answer per request, in order."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Request) -> Answer:
        self.requests += 1
        key = answer_key(self.fingerprint, request)
        try:
            answer = self.inner.answer([request])[0]
        except ReplayMiss:
            self.unrecorded += 1
            key, answer = self.pool.closest(self.fingerprint, request)
        if not answer.ok or answer.kind is not Kind.SAMPLED or answer.scores is None:
            return answer
        if key not in self.known:
            self.known[key] = _redraw(answer, key, self.number)
        return self.known[key]


def _redraw(answer: Answer, key: str, number: int) -> Answer:
    """The answer with shares that could as well be behind its draws."""
    n = draws_in(answer.detail)
    require(
        n > 0,
        AnalysisError,
        f"a sampled answer does not say from how many draws it comes ({answer.detail!r}); a "
        "backend of your own says so by a detail that begins with '20 draws'",
    )
    counts = n * np.exp(np.asarray(answer.scores))
    rng = abm.chance(SEED, "redrawn answers", key, number)
    shares = redrawn([counts], rng=rng)[0] * min(1.0, float(counts.sum()) / n)
    return replace(answer, scores=tuple(float(math.log(p)) for p in np.maximum(shares, 1e-300)))


@dataclass
class _Pool:
    """Everything that was recorded, to find the request most like one that was not."""

    entries: dict[tuple[str, str], dict[str, tuple[Fields, Answer]]]

    @classmethod
    def of(cls, ledgers: Iterable[Path]) -> _Pool:
        found: dict[tuple[str, str], dict[str, tuple[Fields, Answer]]] = {}
        for path in ledgers:
            with Ledger(path, create=False, read_only=True) as ledger:
                for key, entry in ledger.entries():
                    place = (entry.fingerprint, entry.request.question.digest)
                    fields = dict(entry.request.fields)
                    found.setdefault(place, {})[key] = (fields, entry.answer)
        return cls(found)

    def closest(self, fingerprint: str, request: Request) -> tuple[str, Answer]:
        """The recorded answer to the request that differs least: fewest words, then numbers."""
        there = self.entries.get((fingerprint, request.question.digest), {})
        usable = {key: pair for key, pair in there.items() if pair[1].ok}
        require(
            bool(usable),
            AnalysisError,
            f"question {request.question.id!r} was never answered in these runs, but is asked "
            "when their answers are redrawn; record more replications first",
        )
        wanted = dict(request.fields)
        key = min(usable, key=lambda k: (*_distance(wanted, usable[k][0]), k))
        return key, usable[key][1]


def _distance(wanted: Fields, known: Fields) -> tuple[int, float]:
    """How many words differ, and by how much the numbers do together, relative to the larger."""
    words, numbers = 0, 0.0
    for name, value in wanted.items():
        other = known.get(name)
        if value == other:
            continue
        if _is_number(value) and _is_number(other):
            numbers += abs(value - other) / max(abs(value), abs(other))
        else:
            words += 1
    return words, numbers


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _decisions(manifest: Mapping[str, Any]) -> int:
    return int(manifest["decisions"].get("decisions", 0))


def _read(path: Path, name: str) -> pl.DataFrame:
    if not path.exists():
        return pl.DataFrame(schema=SCHEMAS[name])
    try:
        return pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise AnalysisError(f"{path} is damaged: {error}. Remove it and report again") from error


def redraws_made(materials: Sequence[Material], asked: int | None = None) -> list[str]:
    """Make the redraws that a report needs: those asked for, else the automatic ones if cheap.

    Parameters
    ----------
    asked
        Redraws; 0 makes none, `None` makes `AUTOMATIC` where they take at most `MOST_DECISIONS`.

    Returns
    -------
    What kept the automatic ones from being made; those asked for raise instead.
    """
    said = []
    for material in materials:
        n = AUTOMATIC if asked is None else asked
        if not n or (asked is None and redraw_cost(material, n) > MOST_DECISIONS):
            continue
        try:
            repeat_with_redraws(material, n)
        except AbmError as error:
            if asked is not None:
                raise
            said.append(f"The error of sampled answers could not be put in: {error}")
    return said
