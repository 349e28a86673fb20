"""The folder of a study: what lies where, written so that a kill at any moment loses nothing.

::

    OUT/<study>/
        study.toml  manifest.json  ledger.sqlite  lock
        series.parquet  outcomes.parquet        all runs, with arm, answerer, replication
        figures/
        runs/<arm>/<answerer>/r000/
            manifest.json  series.parquet  agents.parquet, edges.parquet (if asked)
            decisions.parquet (if any)  ledger.sqlite (if any)

A run appears whole: it is written beside its place and renamed into it.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl

from abm.errors import LedgerError, ScenarioError, require
from abm.studies.manifest import from_json, to_json
from abm.studies.run import Result, Run

__all__ = [
    "clear_leftovers",
    "finished",
    "make_folder",
    "prepare_run",
    "publish",
    "read_manifest",
    "read_table",
    "set_aside",
    "write_frame",
    "write_text",
]

MANIFEST = "manifest.json"
_NEEDED = {
    "run": ("status", "study", "arm", "answerer", "replication", "model", "definition"),
    "study": ("status", "study", "arms", "answerers", "replications", "model"),
}
"""What every manifest says, whichever version of the package wrote it."""
_LEFT = ".partial"


def prepare_run(
    target: Path,
    manifest: dict[str, Any],
    result: Result | None = None,
    export: Callable[[Path], None] | None = None,
) -> Path:
    """Write a run beside its place; `publish` then puts it there.

    Parameters
    ----------
    target
        Where the run's folder will be.
    manifest
        Its manifest.
    result
        Its tables; `None` for a failed run.
    export
        Writes the answers that the run used to the given ledger path; `None` if it used none.

    Returns
    -------
    The folder that was written; no other process writes one of that name.

    Raises
    ------
    LedgerError
        The disk is full.
    """
    partial = target.with_name(f".{target.name}-{os.getpid()}{_LEFT}")
    with disk_errors(target):
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        if result is not None:
            _write_table(partial / "series.parquet", result.series)
            if result.agents is not None:
                _write_table(partial / "agents.parquet", result.agents)
            if result.edges is not None:
                _write_table(partial / "edges.parquet", result.edges)
            if result.decided is not None:
                _write_table(partial / "decisions.parquet", result.decided)
        if export is not None:
            export(partial / "ledger.sqlite")
        (partial / MANIFEST).write_text(to_json(manifest), encoding="utf-8")
        for file in partial.iterdir():
            _settle(file)
    return partial


def publish(partial: Path, target: Path) -> None:
    """Rename a prepared run into its place, so that it appears whole; replaces a failed one."""
    with disk_errors(target):
        if target.exists():
            old = target.with_name(f".{target.name}.old{_LEFT}")
            shutil.rmtree(old, ignore_errors=True)
            target.rename(old)
            partial.rename(target)
            shutil.rmtree(old, ignore_errors=True)
        else:
            partial.rename(target)


def write_text(path: Path, text: str) -> None:
    """Write a text file so that it appears whole or not at all."""
    _replace(path, lambda partial: partial.write_text(text, encoding="utf-8"))


def write_frame(path: Path, frame: pl.DataFrame) -> None:
    """Write a table so that it appears whole or not at all."""
    _replace(path, lambda partial: _write_table(partial, frame))


def _write_table(path: Path, frame: pl.DataFrame) -> None:
    """Parquet by way of memory: a full disk is then an OSError that says so."""
    content = BytesIO()
    frame.write_parquet(content)
    path.write_bytes(content.getvalue())


def read_table(path: Path) -> pl.DataFrame:
    """A stored table.

    Raises
    ------
    ScenarioError
        The file is damaged.
    """
    try:
        return pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ScenarioError(
            f"{path} is damaged: {error}. Remove the folder {path.parent} and give the study's "
            "command again: only this run is repeated",
            path=str(path),
        ) from error


def make_folder(path: Path) -> None:
    """Make a folder for results.

    Raises
    ------
    ScenarioError
        Something else is in the way, or nobody may write there.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (NotADirectoryError, FileExistsError, PermissionError) as error:
        raise ScenarioError(
            f"{path} cannot hold results: {error.strerror}. Choose another folder with --out",
            path=str(path),
        ) from error


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    partial = path.with_name(f".{path.name}{_LEFT}")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write(partial)
        _settle(partial)
        partial.replace(path)


def _settle(file: Path) -> None:
    """Have the disk hold the content before the name points to it."""
    handle = os.open(file, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Say what a full or read-only disk means for a study; nothing that was finished is lost."""
    try:
        yield
    except OSError as error:
        known = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk quota is used up"}
        known |= {errno.EROFS: "the disk is read-only", errno.EACCES: "no permission to write"}
        cause = known.get(error.errno or 0)
        if cause is None:
            raise
        raise LedgerError(
            f"{path} cannot be written: {cause}. Everything finished before is intact; make room "
            "and give the same command again to go on",
            path=str(path),
        ) from error


def clear_leftovers(folder: Path) -> None:
    """Remove what a killed process left half-written. Only the holder of the lock may."""
    for left in [*folder.glob(f".*{_LEFT}"), *folder.glob(f"runs/*/*/.*{_LEFT}")]:
        shutil.rmtree(left) if left.is_dir() else left.unlink()


def set_aside(folder: Path, keep: Iterable[str] = ("lock",)) -> Path | None:
    """Move a study's content to `NAME.previous` beside it, replacing what was there.

    Returns
    -------
    Where it went, or `None` if there was nothing.
    """
    content = [item for item in folder.iterdir() if item.name not in set(keep)]
    if not content:
        return None
    previous = folder.with_name(f"{folder.name}.previous")
    with disk_errors(previous):
        if previous.exists():
            shutil.rmtree(previous)
        previous.mkdir()
        for item in content:
            item.rename(previous / item.name)
    return previous


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest in a run or study folder.

    Raises
    ------
    ScenarioError
        There is none, or it is damaged.
    """
    path = folder / MANIFEST
    try:
        found = from_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ScenarioError(
            f"{folder} is no run or study folder: it has no {MANIFEST}. Run folders lie in "
            "OUT/<study>/runs/<arm>/<answerer>/r000",
            path=str(folder),
        ) from None
    except NotADirectoryError:
        raise ScenarioError(
            f"{folder} is a file, expected a run or study folder, such as OUT/<study>",
            path=str(folder),
        ) from None
    except (ValueError, OSError) as error:
        raise ScenarioError(
            f"{path} is damaged: {error}. Remove that folder and give the study's command again: "
            "only this run is repeated",
            path=str(path),
        ) from error
    if not isinstance(found, dict) or found.get("kind") not in ("run", "study"):
        raise ScenarioError(f"{path} is no manifest of a run or study", path=str(path))
    missing = [key for key in _NEEDED[found["kind"]] if key not in found]
    require(
        not missing,
        ScenarioError,
        f"{path} is damaged: it does not say {', '.join(missing)}. Remove that folder and give the "
        "study's command again",
        path=str(path),
    )
    return found


def finished(target: Path, run: Run) -> dict[str, Any] | None:
    """The manifest of a run that is there and finished; `None` if it is to be executed.

    Raises
    ------
    ScenarioError
        The folder holds a finished run of another definition; names what differs.
    """
    if not (target / MANIFEST).exists():
        return None
    manifest = read_manifest(target)
    if manifest["status"] != "finished":
        return None
    if manifest["digest"] != run.digest:
        raise ScenarioError(
            f"{target} holds a run of another study: {_difference(manifest, run)}. "
            "Choose another folder with --out, another study name, or start anew with --fresh "
            "(the earlier results are kept as .previous)",
            path=str(target),
        )
    return manifest


def _difference(manifest: dict[str, Any], run: Run) -> str:
    """The first thing in which a stored run differs from the one that is wanted."""
    wanted = from_json(to_json(run.definition()))
    stored = manifest["definition"]
    for part, value in wanted.items():
        before = stored.get(part)
        if isinstance(value, dict) and isinstance(before, dict):
            for name in sorted({*value, *before}):
                if value.get(name) != before.get(name):
                    return f"{part}.{name} was {before.get(name)!r} and is now {value.get(name)!r}"
        elif value != before:
            return f"{part} was {before!r} and is now {value!r}"
    return "its definition was written by another version"
