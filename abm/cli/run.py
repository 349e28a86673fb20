"""`abm run`, `abm replay`, `abm fork`: one run at a time."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from abm.cli import show
from abm.cli.study import read
from abm.errors import ScenarioError
from abm.studies.parameters import closest
from abm.studies.reading import RunFolder, load_run
from abm.studies.registry import families
from abm.studies.replaying import replay
from abm.studies.run import Run
from abm.studies.single import fork, run_single
from abm.studies.study import Study

__all__ = ["chosen_run", "fork_one", "replay_one", "run_one", "settings"]


def run_one(
    what: str,
    changes: Sequence[str],
    arm: str | None,
    answerer: str | None,
    replication: int,
    seed: int | None,
    model: Path | None,
    out: Path,
) -> None:
    """Execute one run and show its outcomes."""
    study, run = chosen_run(what, settings(changes), arm, answerer, replication, seed, model)
    done = run_single(run, out / f"{study.name}.single")
    _show_run(done)


def chosen_run(
    what: str,
    changes: Mapping[str, Any],
    arm: str | None,
    answerer: str | None,
    replication: int,
    seed: int | None = None,
    model: Path | None = None,
) -> tuple[Study, Run]:
    """The study and the run that a command line names."""
    own = not _is_study(what)
    if own and answerer is None and model is not None:
        answerer, model = str(model), None
    study = _study_of_model(what, changes, answerer) if own else read(what, model)
    if seed is not None:
        study = replace(study, seed=seed)
    arm = arm or next(iter(study.arms))
    if answerer is not None and answerer not in study.answerers:
        study = replace(study, answerers={**study.answerers, _safe(answerer): answerer})
        answerer = _safe(answerer)
    if model is not None and own:
        study = study.with_model(model)
        answerer = list(study.answerers)[-1]
    study = _changed(study, arm, changes)
    study = replace(study, replications=max(study.replications, replication + 1))
    answerer = answerer or next(iter(study.answerers))
    return study, study.check().run_of(arm, answerer, replication)


def _is_study(what: str) -> bool:
    return what.endswith(".toml") or ("/" in what and ":" not in what)


def _study_of_model(what: str, changes: Mapping[str, Any], answerer: str | None) -> Study:
    name = what.rpartition(":")[2] if ":" in what else what
    if ":" not in what and what not in families():
        hint = closest(what, families())
        raise ScenarioError(
            f"{what!r} is neither a study file nor a model; {hint}. Your own model is named "
            "'package.module:Class' or 'path/file.py:Class'"
        )
    spec = answerer or "rule"
    return Study(name, what, scenario=dict(changes), answerers={_safe(spec): spec})


def _changed(study: Study, arm: str, changes: Mapping[str, Any]) -> Study:
    if not changes or arm not in study.arms:
        return study
    return replace(study, arms={**study.arms, arm: {**study.arms[arm], **changes}})


def _safe(spec: str) -> str:
    """A spec as a folder name: the file's name without its ending."""
    return Path(spec).stem if spec.endswith(".gguf") else spec


def settings(changes: Sequence[str]) -> dict[str, Any]:
    """NAME=VALUE as values: numbers, true, false, lists as in TOML; anything else is a text.

    Examples
    --------
    >>> settings(["bound=0.5", "tone=calm", "days=[1, 2]", "open=true"])
    {'bound': 0.5, 'tone': 'calm', 'days': [1, 2], 'open': True}
    """
    found: dict[str, Any] = {}
    for change in changes:
        name, equals, text = change.partition("=")
        if not equals or not name.strip():
            raise ScenarioError(f"--set {change!r}, expected NAME=VALUE, such as --set rate=0.5")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text
        found[name.strip()] = value
    return found


def _show_run(done: RunFolder) -> None:
    manifest = done.manifest
    who = f"{manifest['arm']}/{manifest['answerer']}, replication {manifest['replication']}"
    show.mapping(f"{manifest['study']}: {who}", done.outcomes())
    counts = manifest["decisions"]
    if counts:
        show.console.print(
            f"{counts['decisions']:,} decisions, {counts['distinct']:,} distinct requests"
        )
    for role, used in manifest["answers"].items():
        if used["recorded"]:
            failed = show.share(sum(used["failures"].values()), used["asked"])
            show.console.print(f"{role}: {used['asked']:,} asked, {failed} failed")
    show.flags(manifest["flags"])
    show.labels(manifest["labels"])
    show.console.print(f"results: {done.folder}")


def replay_one(folder: Path, model_class: str | None) -> None:
    """Replay a run and say that it is identical."""
    result = replay(folder, model=model_class)
    manifest = load_run(folder).manifest
    tables = [f"series ({result.series.height:,} rows)"]
    tables += [f"agents ({result.agents.height:,} rows)"] if result.agents is not None else []
    recorded = any(used["recorded"] for used in manifest["answers"].values())
    source = "answers from the run's ledger, no model loaded" if recorded else "rules only"
    show.console.print(
        f"identical to the bit: {', '.join(tables)}, {len(result.outcomes)} outcomes ({source})"
    )
    show.labels(manifest["labels"])


def fork_one(
    folder: Path,
    at: float,
    changes: Sequence[str],
    model: Path | None,
    model_class: str | None,
    out: Path | None,
) -> None:
    """Fork a run and show both side by side."""
    made = fork(folder, at, settings(changes), model=model_class, model_file=model, out=out)
    before, after = made.base.outcomes(), made.folder.outcomes()
    rows = [
        [name, value, after.get(name, float("nan")), after.get(name, float("nan")) - value]
        for name, value in before.items()
    ]
    show.table("", ("outcome", "run", "fork", "difference"), rows)
    if made.equal_until is not None:
        show.console.print(f"equal to the bit before time {made.equal_until:g}")
    show.flags(made.folder.manifest["flags"])
    show.labels(made.folder.manifest["labels"])
    show.console.print(f"results: {made.folder.folder}")
