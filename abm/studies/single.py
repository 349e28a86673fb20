"""Single runs and forks: one run outside the plan of a study, with a ledger of its own folder."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from abm.errors import AbmError, ScenarioError, require
from abm.ledger import Ledger
from abm.ledger.lock import LockFile
from abm.studies.answerers import parse_spec
from abm.studies.answering import Answering
from abm.studies.execute import execute_run
from abm.studies.folder import clear_leftovers, make_folder, publish, read_manifest
from abm.studies.interventions import Planned
from abm.studies.manifest import environment
from abm.studies.reading import RunFolder, load_run
from abm.studies.replaying import first_difference, run_from
from abm.studies.run import Run

__all__ = ["Fork", "RunFailed", "fork", "home_of", "run_single", "with_models"]


class RunFailed(AbmError):
    """A single run that failed. Carries `folder`, where its manifest tells the cause."""


@dataclass(frozen=True)
class Fork:
    """A run and what became of it with another intervention.

    Attributes
    ----------
    base, folder
        The run that was forked, and the fork.
    equal_until
        Simulated time before which both were compared and are equal to the bit; `None` where the
        series has no column `time`.
    """

    base: RunFolder
    folder: RunFolder
    equal_until: float | None


def run_single(run: Run, folder: Path, *, name: str | None = None) -> RunFolder:
    """Execute one run into `folder/name`; what was there under that name is replaced.

    Parameters
    ----------
    run
        What to execute.
    folder
        Holds single runs and one ledger that they share.
    name
        By default the run's label and the beginning of its digest.

    Raises
    ------
    RunFailed
        Carries `folder`, where its manifest tells the cause.
    """
    make_folder(folder)
    target = folder / (name or f"{run.label.replace('/', '-')}-{run.digest[:8]}")
    lock = LockFile(folder / "lock", f"folder {folder}")
    try:
        clear_leftovers(folder)
        with Answering([run], folder / "ledger.sqlite") as answering:
            if target.exists():
                answering.forget_failures(run)
            answers = answering.for_run(run)
            partial, manifest = execute_run(run, answers, target, environment())
            publish(partial, target)
    finally:
        lock.release()
    if manifest["status"] != "finished":
        error = manifest["error"]
        raise RunFailed(
            f"the run failed with {error['type']}: {error['message']} (the whole story is in "
            f"{target / 'manifest.json'})",
            folder=str(target),
        )
    return RunFolder(target)


def fork(
    folder: str | Path,
    at: float,
    change: Mapping[str, Any] | None = None,
    *,
    assign: Mapping[str, str] | None = None,
    inject: Mapping[str, Any] | None = None,
    model: str | type | None = None,
    model_file: str | Path | None = None,
    out: str | Path | None = None,
) -> Fork:
    """Execute a finished run again with one more intervention, against its ledger.

    Nothing is copied from the middle of a run: the fork starts at time 0, reads every answer that
    the run had, is equal to the bit until `at`, and asks its models only for what is new.

    Parameters
    ----------
    folder
        A run folder.
    at
        Simulated time of the intervention.
    change, assign, inject
        What happens then; see `abm.Intervention`.
    model, model_file
        The model class and the GGUF, where the ones in the manifest cannot be found here.
    out
        Folder of forks; by default `forks` in the study, or beside a run that was copied.

    Raises
    ------
    ScenarioError
        The intervention cannot act, or the fork differs from the run before it acts.
    """
    base = load_run(folder)
    run = with_models(run_from(base, model), base, model_file)
    plan = Planned(float(at), dict(change or {}), assign, inject, label=f"fork at {at:g}")
    require(
        bool(change or assign or inject),
        ScenarioError,
        "a fork changes something: give --set name=value",
    )
    plan.check(run.model, {run.arm: run.scenario}, {run.answerer: run.specs})
    forked = replace(run, interventions=(*run.interventions, plan))
    place = Path(out) if out is not None else home_of(base.folder, "forks")
    _seed_ledger(base, place)
    name = f"{run.label.replace('/', '-')}-at-{at:g}-{forked.digest[:8]}"
    made = run_single(forked, place, name=name)
    return Fork(base, made, _equal_before(base, made, float(at)))


def with_models(run: Run, base: RunFolder, model_file: str | Path | None) -> Run:
    """The run with real language models where the manifest only knows fingerprints."""
    specs = dict(run.specs)
    for role, used in base.manifest["answers"].items():
        if used["recorded"]:
            written = used["spec"]
            known = not (isinstance(written, Mapping) and "policy" in written)
            require(
                known or model_file is not None,
                ScenarioError,
                f"role {role!r} was answered by the Python policy {written}, which this folder "
                "does not hold; give model_file= (--model file.gguf)",
            )
            spec = parse_spec(str(model_file) if model_file else written, base.folder)
            specs[role] = replace(spec, transform=run.specs[role].transform)
    return replace(run, specs=specs)


def home_of(run_folder: Path, name: str) -> Path:
    """A folder of the study that a run lies in, such as `forks`; beside the run if in none."""
    for parent in run_folder.absolute().parents[2:4]:
        with suppress(ScenarioError):
            if read_manifest(parent)["kind"] == "study":
                return parent / name
    return run_folder.absolute().parent / f"{run_folder.absolute().name}-{name}"


def _seed_ledger(base: RunFolder, folder: Path) -> None:
    """Let the forks' ledger know every answer and failure of the run."""
    source = base.folder / "ledger.sqlite"
    if not source.exists():
        return
    make_folder(folder)
    with Ledger(source, read_only=True) as old, Ledger(folder / "ledger.sqlite") as new:
        failures = [f for run in old.runs_with_failures() for f in old.failure_entries(run)]
        new.put_batch((entry for _, entry in old.entries()), failures)


def _equal_before(base: RunFolder, made: RunFolder, at: float) -> float | None:
    before, after = base.frame("series"), made.frame("series")
    if "time" not in before.columns or "time" not in after.columns:
        return None
    early = pl.col("time") < at
    found = first_difference(before.filter(early), after.filter(early), "series")
    if found:
        raise ScenarioError(
            f"the fork {made.folder} differs from {base.folder} before its intervention acts: "
            f"{found}. The code or the model file has changed since the run was made; compare "
            "both manifests"
        )
    return at
