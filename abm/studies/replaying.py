"""Replay: a finished run again, from its own folder, without any language model.

Rules are code and are computed again; every answer of a language model is read from the run's own
ledger. The result must be the same to the bit, and where it is not, the first difference is named.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from abm.errors import AbmError, ScenarioError
from abm.ledger import Ledger, Replayed
from abm.policies.answering import FailureHandling
from abm.policies.base import Policy
from abm.questions import Transform
from abm.studies.answerers import Spec
from abm.studies.folder import disk_errors
from abm.studies.interventions import parse_planned
from abm.studies.mixing import base_role
from abm.studies.reading import RunFolder, load_run
from abm.studies.registry import code_digest, resolve
from abm.studies.run import Result, Run, perform
from abm.studies.seeds import Seeds

__all__ = ["ReplayDiffers", "first_difference", "recorded_policies", "replay", "run_from"]


class ReplayDiffers(AbmError):
    """A replay that gave something else than the run that was recorded. Names the first place."""


def replay(folder: str | Path, *, model: str | type | None = None) -> Result:
    """Execute a finished run again from its own folder and compare it with what is stored.

    Parameters
    ----------
    folder
        A run folder, in its study or copied elsewhere.
    model
        The model class, where the manifest's reference cannot be found (a class of a notebook, a
        file that was moved).

    Returns
    -------
    What the replay gave; equal to what is stored.

    Raises
    ------
    ReplayDiffers
        Something differs; says what first, and whether the code of the model has changed.
    ReplayMiss
        The ledger lacks an answer; names the request.
    ScenarioError
        The folder is no finished run, or the model cannot be found.
    """
    stored = load_run(folder)
    run = run_from(stored, model)
    path = stored.folder / "ledger.sqlite"
    answers: Mapping[str, Any] = stored.manifest["answers"]
    if any(used["recorded"] for used in answers.values()):
        with disk_errors(path), Ledger(path, read_only=True) as ledger:
            result = perform(run, recorded_policies(run, answers, ledger))
    else:
        result = perform(run, recorded_policies(run, answers, None))
    _compare(stored, run, result)
    return result


def run_from(stored: RunFolder, model: str | type | None = None) -> Run:
    """The run that a folder holds, ready to be executed again.

    Raises
    ------
    ScenarioError
        The run failed, or its model cannot be found.
    """
    manifest = stored.manifest
    stored.outcomes()
    definition = manifest["definition"]
    cls = _model(manifest, model)
    failures = dict(definition["failures"])
    return Run(
        study=manifest["study"],
        model=cls,
        arm=manifest["arm"],
        answerer=manifest["answerer"],
        replication=manifest["replication"],
        scenario=cls.Scenario(**definition["scenario"]),  # type: ignore[attr-defined]
        seeds=Seeds(**definition["seeds"]),
        specs={role: _spec(used) for role, used in manifest["answers"].items()},
        failures=FailureHandling(failures.pop("default"), failures),
        interventions=tuple(parse_planned(plan) for plan in definition["interventions"]),
        agents=definition["agents"],
        mixtures=definition.get("mixtures", {}),
    )


def _model(manifest: Mapping[str, Any], model: str | type | None) -> type:
    wanted = manifest["model"]["reference"]
    try:
        return resolve(wanted if model is None else model)
    except ScenarioError as error:
        raise ScenarioError(
            f"the run's model {wanted!r} cannot be found here: {error}. Give it by hand: "
            "abm replay RUN --model-class path/file.py:Class, or replay(folder, model=Class)"
        ) from error


@dataclass(frozen=True)
class _Stored:
    """Stands for a recorded policy that a replay does not need."""

    stands_for: str
    fingerprint: str
    coverage_floor: float
    recorded: bool = True

    def answer(self, requests: Any) -> Any:
        raise NotImplementedError(f"{self.stands_for} is not here; its answers are in the ledger")


def _spec(used: Mapping[str, Any]) -> Spec:
    """A spec of what answered, as the manifest says; recorded policies stand for themselves."""
    spec = used["spec"]
    plain = spec if isinstance(spec, Mapping) else {}
    transform = None
    if "temperature" in plain:
        transform = Transform(plain["temperature"], tuple(plain.get("option_bias", ())))
    if used["recorded"]:
        stored = _Stored(str(spec), used["fingerprint"], used["coverage_floor"])
        return Spec("policy", policy=stored, transform=transform, labelled=used["label"])
    kind = str(plain.get("backend", spec))
    if kind not in ("rule", "truth"):
        raise ScenarioError(
            f"role was answered by the Python policy {spec}, which is code that this folder does "
            "not hold; replay it where it was made, with Study.run in a new folder"
        )
    return Spec(kind, transform=transform, labelled=used["label"])


def recorded_policies(
    run: Run, answers: Mapping[str, Any], ledger: Ledger | None
) -> dict[str, Policy]:
    """Role -> policy of a finished run: recorded answers from its ledger, rules as code."""
    shared: dict[str, Policy] = {}
    found: dict[str, Policy] = {}
    twins: Mapping[str, Policy] = getattr(run.model, "roles", {})
    for role, spec in run.specs.items():
        if spec.recorded:
            assert ledger is not None
            name = f"{answers[role]['fingerprint']} {spec.floor}"
            if name not in shared:
                shared[name] = Replayed(
                    ledger,
                    answers[role]["fingerprint"],
                    coverage_floor=spec.floor,
                    run=run.label,
                )
            found[role] = shared[name]
        else:
            found[role] = spec.build(twins[base_role(role)])
    return found


def _compare(stored: RunFolder, run: Run, result: Result) -> None:
    """Refuse a result that is not the stored one to the bit."""
    found = first_difference(stored.frame("series"), result.series, "series")
    if not found and result.agents is not None:
        found = first_difference(stored.frame("agents"), result.agents, "agents")
    found = found or _outcome_difference(stored.outcomes(), result.outcomes)
    if found:
        changed = code_digest(run.model) != stored.manifest["model"]["code"]
        why = (
            "the code of the model has changed since"
            if changed
            else "the code of the model is the same: versions or the processor may differ, see "
            "made_with in the manifest"
        )
        raise ReplayDiffers(f"replay of {stored.folder} differs: {found} ({why})", where=found)


def first_difference(before: pl.DataFrame, after: pl.DataFrame, name: str) -> str:
    """Where two tables differ first, in words; empty if they are equal to the bit.

    Examples
    --------
    >>> a = pl.DataFrame({"time": [0.0, 1.0], "yes": [0.5, 0.25]})
    >>> first_difference(a, a, "series")
    ''
    >>> first_difference(a, a.with_columns(yes=pl.Series([0.5, 0.5])), "series")
    'series row 1 (time = 1.0), column yes: 0.25 stored, 0.5 now'
    """
    if before.schema != after.schema:
        return f"{name} has columns {dict(before.schema)} stored, {dict(after.schema)} now"
    for row in range(min(before.height, after.height)):
        old, new = before.row(row, named=True), after.row(row, named=True)
        for column in before.columns:
            if not same_bits(old[column], new[column]):
                when = f" (time = {old['time']})" if "time" in old else ""
                values = f"{old[column]!r} stored, {new[column]!r} now"
                return f"{name} row {row}{when}, column {column}: {values}"
    if before.height != after.height:
        return f"{name} has {before.height} rows stored, {after.height} now"
    return ""


def _outcome_difference(before: Mapping[str, float], after: Mapping[str, float]) -> str:
    for name in {**before, **after}:
        old, new = before.get(name), after.get(name)
        if not same_bits(old, new):
            return f"outcome {name}: {old!r} stored, {new!r} now"
    return ""


def same_bits(one: Any, other: Any) -> bool:
    """Equality that tells -0.0 from 0.0 and finds nan equal to nan.

    Examples
    --------
    >>> same_bits(float("nan"), float("nan")), same_bits(0.0, -0.0)
    (True, False)
    """
    if isinstance(one, float) and isinstance(other, float):
        if one != one or other != other:
            return one != one and other != other
        return struct.pack("<d", one) == struct.pack("<d", other)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(same_bits, one, other))
    return type(one) is type(other) and bool(one == other)
