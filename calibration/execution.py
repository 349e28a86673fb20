"""Carrying a calibration out: its folder, its ledger, its result; again and again the same.

OUT/<name>/
    calibration.toml       the file, where there is one
    simulations.sqlite     every simulation, failures included
    posterior.parquet      the draws and their weights
    manifest.json          problem, method, costs, outcomes, notices, versions
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from abm.calibration.distances import ScaledEuclidean
from abm.calibration.ledger import SimulationLedger
from abm.calibration.methods import POSTERIORS, method_named
from abm.calibration.posterior import Posterior
from abm.calibration.problem import Problem
from abm.calibration.reading import Calibration
from abm.calibration.records import Tally, statistics_of
from abm.calibration.rejection import prior_draws
from abm.calibration.simulations import Progress, Simulations
from abm.errors import CalibrationError, require
from abm.ledger.lock import LockFile
from abm.studies.manifest import environment, to_json

if TYPE_CHECKING:
    from abm.calibration.trust.check import TrustReport

__all__ = ["Done", "execute"]

LEDGER = "simulations.sqlite"


@dataclass(frozen=True)
class Done:
    """A finished calibration.

    Attributes
    ----------
    result
        What the method gave.
    folder, manifest
        Where it lies, and the content of `manifest.json`.
    """

    result: Any
    folder: Path
    manifest: Mapping[str, Any]


def execute(
    calibration: Calibration,
    out: str | Path = "runs",
    *,
    workers: int = 1,
    fresh: bool = False,
    report: bool = True,
    check: int | None = None,
    check_sets: int | None = None,
    progress: Progress | None = None,
) -> Done:
    """Run a calibration; what its ledger holds already is not simulated again.

    Parameters
    ----------
    out
        Folder that holds a folder per calibration.
    workers
        1 is serial; any number gives the same result to the bit.
    fresh
        Start anew; what was there is kept as `NAME.previous`.
    report
        Whether REPORT.md is written and the calibration's own report runs.
    check
        Check on a table of so many simulations whether planted parameters are recovered (by
        rejection ABC, whatever the method; for rejection, with its own options).
    check_sets
        Run the method itself on so many planted data sets instead, at the full price.

    Raises
    ------
    CalibrationError, LedgerError
        See `Simulations`; also where the folder holds another calibration of this name.
    """
    require(
        check_sets is None or calibration.method in POSTERIORS,
        CalibrationError,
        f"check_sets = {check_sets}: method {calibration.method!r} gives no posterior to check on "
        f"planted sets, expected one of {list(POSTERIORS)}; --check judges rejection ABC on a "
        "table of simulations instead",
        argument="check_sets",
        value=check_sets,
    )
    folder = Path(out) / calibration.name
    _prepare(folder, calibration, fresh)
    method = method_named(calibration.method, calibration.options)
    begun = time.monotonic()
    with Simulations(
        calibration.problem, folder / LEDGER, workers=workers, progress=progress
    ) as simulations:
        result = method(simulations, **calibration.options)
        manifest = _manifest(calibration, result, simulations, time.monotonic() - begun)
        used = deepcopy(simulations.used)  # of the fit: what checks simulate is not its cost
        _write(folder, result, manifest)
        trust = _trust(calibration, simulations, folder, check, check_sets)
        if trust is not None:
            trust = _with_prediction(trust, result, simulations)
            manifest["trust"] = {"passes": trust.passes, "words": trust.words}
            _write(folder, result, manifest)
        if report:
            _report(calibration, result, folder, simulations, trust, used)
    return Done(result, folder, manifest)


def _trust(
    calibration: Calibration,
    simulations: Simulations,
    folder: Path,
    check: int | None,
    sets: int | None,
) -> TrustReport | None:
    """The checks that were asked for. A table reuses what rejection has simulated."""
    if check is None and sets is None:
        return None
    from abm.calibration.trust.check import check_method, check_table
    from abm.calibration.trust.table import own_noise

    problem, options = calibration.problem, dict(calibration.options)
    if sets is not None:
        method = method_named(calibration.method, options)
        return check_method(
            problem,
            lambda s: method(s, **options),
            n_sets=sets,
            tolerance=_last_tolerance(problem, options),
            workers=simulations.workers,
            folder=folder / f"planted_{sets}",
            progress=simulations.progress,
        )
    assert check is not None
    simulations.stage("check", check)
    apart = own_noise(problem)
    stage = "prior" if apart is problem else "check"
    draws = prior_draws(problem, stage, check)
    records = simulations.run_all(apart.tasks(stage, draws))
    own: dict[str, Any] = {k: options[k] for k in ("accept", "tolerance", "adjust") if k in options}
    itself = calibration.method == "rejection"
    report = check_table(
        problem, draws, statistics_of(records), **(own if itself else {"accept": 0.05})
    )
    remark = (
        f"these checks judge rejection ABC that accepts 5 % of {check} simulations, not "
        f"{calibration.method} itself; --check-sets judges a method that gives a posterior"
    )
    return report if itself else replace(report, remarks=[*report.remarks, remark])


def _with_prediction(trust: TrustReport, result: Any, simulations: Simulations) -> TrustReport:
    """With the predictive check of the fit to the data, or why there is none."""
    from abm.calibration.trust.check import predictive_check

    if not isinstance(result, Posterior):
        return trust
    try:
        return replace(trust, predictive=predictive_check(simulations, result))
    except CalibrationError as error:
        return replace(trust, remarks=[*trust.remarks, f"no predictive check: {error}"])


def _last_tolerance(problem: Problem, options: Mapping[str, Any]) -> float | None:
    """The fixed last tolerance that a method was given, if its kernel can be drawn from."""
    if options.get("adjust") or not isinstance(problem.distance, ScaledEuclidean):
        return None
    found = options.get("tolerance", options.get("tolerances"))
    if isinstance(found, Mapping):
        found = found.get(problem.dearest)
    if isinstance(found, Sequence):
        found = found[-1] if found else None
    return None if found is None else float(found)


def _report(
    calibration: Calibration,
    result: Any,
    folder: Path,
    simulations: Simulations,
    trust: TrustReport | None,
    used: Tally,
) -> None:
    """REPORT.md, then the calibration's own report."""
    from abm.calibration.report import write_report

    write_report(
        result,
        calibration.problem,
        folder,
        simulations,
        trust=trust,
        label=calibration.label,
        used=used,
    )
    if calibration.report is not None:
        calibration.report(result, calibration.problem, folder, simulations)


def _prepare(folder: Path, calibration: Calibration, fresh: bool) -> None:
    """Make the folder; refuse one of another definition; put an old one aside if told so."""
    definition = to_json(_lists(_definition(calibration)))
    file = folder / "definition.json"
    if fresh and folder.exists():
        _put_aside(folder)
    if file.exists() and file.read_text(encoding="utf-8") != definition:
        _forget_if_empty(folder)
    if file.exists():
        require(
            file.read_text(encoding="utf-8") == definition,
            CalibrationError,
            f"{folder} holds results of another calibration with the name {calibration.name!r}; "
            "give another --out, or --fresh to put them aside",
            outcome="another_calibration",
        )
        return
    folder.mkdir(parents=True, exist_ok=True)
    if calibration.text:
        (folder / "calibration.toml").write_text(calibration.text, encoding="utf-8")
    _replace(file, definition)


def _forget_if_empty(folder: Path) -> None:
    """Remove a definition under which nothing was simulated, as after a mistake in its options."""
    ledger = folder / LEDGER
    if (folder / "manifest.json").exists():
        return
    lock = LockFile(ledger.with_suffix(".lock"), f"ledger {ledger}")
    try:
        if ledger.exists():
            with SimulationLedger(ledger) as known:
                if len(known):
                    return
            for suffix in ("", "-wal", "-shm"):
                ledger.with_name(f"{LEDGER}{suffix}").unlink(missing_ok=True)
        (folder / "definition.json").unlink()
    finally:
        lock.release()


def _put_aside(folder: Path) -> None:
    old = folder.with_name(f"{folder.name}.previous")
    number = 1
    while old.exists():
        number += 1
        old = folder.with_name(f"{folder.name}.previous{number}")
    folder.rename(old)


def _definition(calibration: Calibration) -> dict[str, Any]:
    return {
        "problem": calibration.problem.describe(),
        "method": calibration.method,
        "options": dict(calibration.options),
    }


def _manifest(
    calibration: Calibration, result: Any, simulations: Simulations, seconds: float
) -> dict[str, Any]:
    used = simulations.used
    made: dict[str, Any] = {
        "kind": "calibration",
        **_definition(calibration),
        "label": calibration.label,
        "summary": result.summary().to_dicts(),
        "notices": [vars(notice) for notice in result.notices],
        "details": dict(result.details),
        "simulations": used.to_dict() | {"speculative": simulations.speculative},
        "execution": {
            "workers": simulations.workers,
            "seconds": seconds,
            "simulated_hours": sum(used.seconds.values()) / 3600,
        },
        "made_with": environment(),
    }
    if isinstance(result, Posterior):
        made |= {"ess": result.ess, "cost": result.cost, "ess_per_cost": result.ess_per_cost}
        made |= {"draws": result.n, "covariance": result.covariance}
    return made


def _write(folder: Path, result: Any, manifest: Mapping[str, Any]) -> None:
    frame = getattr(result, "frame", None)
    if callable(frame):
        partial = folder / "posterior.parquet.partial"
        frame().write_parquet(partial)
        partial.replace(folder / "posterior.parquet")
    _replace(folder / "manifest.json", to_json(_lists(manifest)))


def _replace(path: Path, text: str) -> None:
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)


def _lists(value: Any) -> Any:
    """Arrays as lists, at any depth."""
    if isinstance(value, Mapping):
        return {name: _lists(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_lists(item) for item in value]
    return value.tolist() if isinstance(value, np.ndarray) else value
