"""Manifests: what a result was made from, with what, on what, and what went wrong on the way."""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
import traceback
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from abm.errors import AbmError
from abm.studies.registry import code_digest, reference
from abm.studies.run import Result, Run

__all__ = ["environment", "failed_manifest", "from_json", "run_manifest", "to_json"]

FORMAT = 1
_PACKAGES = (
    "agora-abm",
    "mesa",
    "simpy",
    "numpy",
    "polars",
    "numba",
    "pydantic",
    "llama-cpp-python",
)


def run_manifest(
    run: Run, result: Result, answers: Mapping[str, Any], made_with: Mapping[str, Any]
) -> dict[str, Any]:
    """Manifest of a finished run.

    Parameters
    ----------
    answers
        Who answered and what was counted: see `abm.studies.answering.Answering.used`.
    made_with
        `environment(...)` of the executing process.
    """
    return {
        **_head(run, "finished", made_with),
        "outcomes": dict(result.outcomes),
        "decisions": result.decisions,
        "rules": result.rules,
        "answers": dict(answers),
        "flags": result.flags,
        "rows": {
            "series": result.series.height,
            "agents": None if result.agents is None else result.agents.height,
        },
        "timings": {name: round(seconds, 4) for name, seconds in result.timings.items()},
    }


def failed_manifest(
    run: Run,
    error: BaseException,
    answers: Mapping[str, Any],
    made_with: Mapping[str, Any],
    rules: Sequence[Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """Manifest of a run that failed: its cause, for people and for programs.

    Parameters
    ----------
    rules
        Rules that were applied until then; `None` if nobody can tell, as the process died.
    """
    return {
        **_head(run, "failed", made_with),
        **({} if rules is None else {"rules": [dict(entry) for entry in rules]}),
        "answers": dict(answers),
        "flags": [],
        "error": described_error(error),
    }


def described_error(error: BaseException) -> dict[str, Any]:
    """Type, message, place and traceback of an error, as plain values."""
    values = getattr(error, "values", {}) if isinstance(error, AbmError) else {}
    notes = getattr(error, "__notes__", [])  # the engine notes agent and time
    return {
        "type": type(error).__name__,
        "message": "; ".join([str(error) or type(error).__name__, *notes]),
        "values": {name: str(value)[:500] for name, value in values.items()},
        "traceback": "".join(traceback.format_exception(error))[-8000:],
    }


def _head(run: Run, status: str, made_with: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "kind": "run",
        "status": status,
        "labels": run.labels,
        "study": run.study,
        "arm": run.arm,
        "answerer": run.answerer,
        "replication": run.replication,
        "model": {"reference": reference(run.model), "code": code_digest(run.model)},
        "definition": run.definition(),
        "digest": run.digest,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "made_with": dict(made_with),
    }


def environment(folder: Path | None = None) -> dict[str, Any]:
    """Versions, git commit and hardware of this process.

    Parameters
    ----------
    folder
        The study's folder, whose git commit is noted beside the package's.
    """
    here = Path(__file__).resolve().parent
    return {
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in _PACKAGES if _version(name)},
        "git": {"package": _commit(here), "study": _commit(folder) if folder else None},
        "hardware": _hardware(),
    }


@lru_cache(maxsize=64)
def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


@lru_cache(maxsize=8)
def _commit(folder: Path) -> str | None:
    """Commit of the repository around a folder, with `+` when it has changes; `None` outside."""
    command = [
        "git",
        "-C",
        str(folder),
        "describe",
        "--always",
        "--dirty=+",
        "--abbrev=40",
        "--exclude=*",
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


@lru_cache(maxsize=1)
def _hardware() -> dict[str, Any]:
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next((x.split(":", 1)[1].strip() for x in lines if x.startswith("model name")), name)
    except OSError:
        pass
    return {"machine": platform.machine(), "processor": name, "cores": os.cpu_count()}


def to_json(value: Any) -> str:
    """Strict JSON: a number that is not finite becomes the text `nan`, `inf` or `-inf`."""
    return json.dumps(_finite(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def from_json(text: str) -> Any:
    """Inverse of `to_json`, but for numbers that are not finite, which stay texts."""
    return json.loads(text)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {str(name): _finite(item) for name, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_finite(item) for item in value]
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    item = getattr(value, "item", None)
    return _finite(item()) if callable(item) else str(value)
