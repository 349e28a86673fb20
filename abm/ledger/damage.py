"""What can be wrong with a ledger file, in words that say what to do."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from abm.errors import AbmError, LedgerError, require
from abm.ledger import schema

__all__ = ["inspect", "own_errors"]


@contextmanager
def own_errors(path: Path) -> Iterator[None]:
    """Errors of SQLite as errors of the ledger, which say what to do."""
    try:
        yield
    except AbmError:
        raise
    except sqlite3.Error as error:
        raise LedgerError(_explain(path, error), path=path) from error


def _explain(path: Path, error: sqlite3.Error) -> str:
    name, code = str(error), getattr(error, "sqlite_errorname", "")
    if code.startswith("SQLITE_FULL") or "full" in name:
        return (
            f"ledger {path}: the disk is full. Whole batches up to now are safe and the batch in "
            "flight was not stored; free some space and start the study again to resume"
        )
    if code.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return _damaged(path, name)
    return (
        f"ledger {path}: {name} ({code or 'no code'}). Whole batches up to now are safe; check "
        "that the disk is local, writable and has space, then start the study again to resume"
    )


def _damaged(path: Path, cause: str) -> str:
    return (
        f"ledger {path} is damaged: {cause}. The file was left as it is. Move it away and restore "
        "a copy, or run the study again to ask anew"
    )


def inspect(path: Path) -> None:
    """Refuse a file that is no ledger, is damaged or has another version; touch nothing."""
    with open(path, "rb") as file:
        head = file.read(16)
    if head != b"SQLite format 3\x00":
        raise LedgerError(_damaged(path, "it is no SQLite file"), path=path)
    with own_errors(path):
        base = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=30.0)
        try:
            problems = [row[0] for row in base.execute("PRAGMA quick_check(3)")]
            application = base.execute("PRAGMA application_id").fetchone()[0]
            version = base.execute("PRAGMA user_version").fetchone()[0]
        finally:
            base.close()
    if problems != ["ok"]:
        raise LedgerError(_damaged(path, " ".join("; ".join(problems).split())), path=path)
    require(
        application == schema.APPLICATION_ID,
        LedgerError,
        f"{path} is an SQLite file but no ledger; give another path",
        path=path,
    )
    require(
        version == schema.SCHEMA_VERSION,
        LedgerError,
        f"ledger {path} has schema version {version}, and this release reads version "
        f"{schema.SCHEMA_VERSION}; use the release that wrote it (see the run's manifest)",
        path=path,
        version=version,
    )
