"""The ledger of simulations: every record, kept as soon as it is known, in one SQLite file.

It is in WAL mode, so that a process that is killed leaves a whole file with everything committed.
Numbers are stored as 64-bit floats, to the bit. A place (stage, index, fidelity) has one record.
"""

from __future__ import annotations

import json
import sqlite3
from array import array
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl

from abm.calibration.columns import distinct
from abm.calibration.problem import Problem, Task
from abm.calibration.records import Record
from abm.errors import LedgerError, require
from abm.ledger.lock import LockFile

__all__ = ["SimulationLedger"]

_META = "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)"
_SIMULATIONS = """
CREATE TABLE IF NOT EXISTS simulations (
    stage TEXT NOT NULL, number INTEGER NOT NULL, fidelity TEXT NOT NULL, seed INTEGER NOT NULL,
    parameters BLOB NOT NULL, outcome TEXT NOT NULL, statistics BLOB NOT NULL,
    held_out BLOB NOT NULL, cost REAL NOT NULL, tokens INTEGER NOT NULL, seconds REAL NOT NULL,
    error TEXT NOT NULL, PRIMARY KEY (stage, number, fidelity)
) WITHOUT ROWID
"""
_COLUMNS = (
    "stage, number, fidelity, seed, parameters, outcome, statistics, held_out, cost, tokens, "
    "seconds, error"
)
_OF_RECORD = ("stage", "index", "fidelity", "seed", "outcome", "cost", "tokens", "seconds", "error")
"""Columns of `frame` beside parameters and statistics."""
_INSERT = f"INSERT OR IGNORE INTO simulations VALUES ({', '.join('?' * 12)})"


class SimulationLedger:
    """Records of one problem, held by one writer at a time.

    Parameters
    ----------
    path
        The file; made if it is not there.
    problem
        Whose simulations they are; `None` only to read.

    Raises
    ------
    LedgerError
        The file holds simulations of another problem, is held by another process, or is damaged.

    Examples
    --------
    >>> import tempfile
    >>> from abm.calibration import Problem, Independent, Targets, scalar, uniform
    >>> def same(parameters, seed, fidelity):
    ...     return {"x": parameters["a"]}
    >>> problem = Problem(same, Independent({"a": uniform(0, 1)}), Targets([scalar("x", 0.5)]))
    >>> with SimulationLedger(Path(tempfile.mkdtemp()) / "simulations.sqlite", problem) as ledger:
    ...     len(ledger)
    0
    """

    def __init__(self, path: str | Path, problem: Problem | None = None) -> None:
        self.path = Path(path)
        self._lock: LockFile | None = None
        if problem is None:
            require(self.path.is_file(), LedgerError, f"there is no ledger {self.path}")
        else:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = LockFile(self.path.with_suffix(".lock"), f"ledger {self.path}")
        try:
            self._open(problem)
        except sqlite3.DatabaseError as error:
            self.close()
            raise LedgerError(
                f"{self.path} is no ledger of simulations, or damaged: {error}. Move it away"
            ) from error
        except BaseException:
            self.close()
            raise

    def _open(self, problem: Problem | None) -> None:
        if problem is None:
            self._file = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)
            return
        mine = json.dumps(problem.identity(), sort_keys=True, default=str)
        fresh = not self.path.exists()
        self._file = sqlite3.connect(self.path, isolation_level=None)
        # A file without records has nothing that a power cut could take: no waiting for the disk.
        self._file.execute(f"PRAGMA synchronous = {'OFF' if fresh else 'NORMAL'}")
        self._file.execute("PRAGMA journal_mode = WAL")
        self._file.execute("BEGIN")
        self._file.execute(_META)
        self._file.execute(_SIMULATIONS)
        known = self.meta("identity")
        if known is None:
            self._file.execute("INSERT INTO meta VALUES ('identity', ?)", (mine,))
        self._file.execute("COMMIT")
        self._file.execute("PRAGMA synchronous = NORMAL")
        if known not in (None, mine):
            raise LedgerError(
                f"{self.path} holds simulations of another problem: {_differences(known, mine)}. "
                "Give another folder, or move the file away",
                outcome="another_problem",
            )

    def meta(self, name: str) -> str | None:
        """A stored text, or `None`."""
        row = self._file.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def close(self) -> None:
        """Close the file and give the lock back."""
        if hasattr(self, "_file"):
            with suppress(sqlite3.Error):
                self._file.close()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return int(self._file.execute("SELECT COUNT(*) FROM simulations").fetchone()[0])

    def add(self, records: Iterable[Record]) -> None:
        """Commit records in one transaction."""
        rows = [_row(record) for record in records]
        try:
            self._file.execute("BEGIN")
            done = self._file.executemany(_INSERT, rows).rowcount
            if done < len(rows):
                self._refuse_others(rows)
            self._file.execute("COMMIT")
        except LedgerError:
            self._file.execute("ROLLBACK")
            raise
        except sqlite3.Error as error:
            with suppress(sqlite3.Error):
                self._file.execute("ROLLBACK")
            raise LedgerError(
                f"{self.path}: {len(rows)} records could not be written: {error}. What was "
                "committed before is kept"
            ) from error

    def _refuse_others(self, rows: list[tuple[Any, ...]]) -> None:
        query = "SELECT seed, parameters FROM simulations WHERE stage=? AND number=? AND fidelity=?"
        for row in rows:
            if self._file.execute(query, row[:3]).fetchone() != row[3:5]:
                raise LedgerError(
                    f"two different simulations have the place {row[:3]}; give each stage of a "
                    "method a name of its own, and repetitions indices of their own",
                    outcome="another_simulation",
                )

    def stage(self, name: str) -> dict[tuple[int, str], Record]:
        """Records of a stage, by (index, fidelity)."""
        found = self._records("WHERE stage = ?", (name,))
        return {(r.task.index, r.task.fidelity): r for r in found}

    def records(self) -> Iterator[Record]:
        """All records, by stage, index and fidelity."""
        return self._records("ORDER BY stage, number, fidelity")

    def frame(self, names: tuple[str, ...], labels: tuple[str, ...]) -> pl.DataFrame:
        """All records as a table: parameters under `names`, statistics under `labels`.

        Where a name is that of another column, it is `parameter name` or `statistic label`.
        """
        columns = distinct(names, (*_OF_RECORD, *labels))
        statistics = distinct(labels, _OF_RECORD, "statistic")
        rows: list[dict[str, Any]] = []
        for record in self.records():
            task = record.task
            row: dict[str, Any] = {"stage": task.stage, "index": task.index}
            row |= {"fidelity": task.fidelity, "seed": task.seed, "outcome": record.outcome}
            row |= {"cost": record.cost, "tokens": record.tokens, "seconds": record.seconds}
            row |= dict(zip(columns, task.parameters, strict=True))
            row |= dict(zip(statistics, record.statistics.tolist(), strict=True))
            rows.append({**row, "error": record.error})
        return pl.DataFrame(rows, infer_schema_length=None)

    def _records(self, where: str, values: tuple[Any, ...] = ()) -> Iterator[Record]:
        query = f"SELECT {_COLUMNS} FROM simulations {where}"
        for row in self._file.execute(query, values):
            stage, number, fidelity, seed, parameters, outcome, statistics, held_out, *rest = row
            point = tuple(np.frombuffer(parameters).tolist())
            yield Record(
                Task(stage, number, point, seed, fidelity),
                outcome,
                np.frombuffer(statistics),
                np.frombuffer(held_out),
                *rest,
            )


def _row(record: Record) -> tuple[Any, ...]:
    task = record.task
    return (
        task.stage,
        task.index,
        task.fidelity,
        task.seed,
        array("d", task.parameters).tobytes(),
        record.outcome,
        record.statistics.tobytes(),
        record.held_out.tobytes(),
        record.cost,
        record.tokens,
        record.seconds,
        record.error,
    )


def _differences(known: str, mine: str) -> str:
    old, new = json.loads(known), json.loads(mine)
    told = [
        f"{name} was {_short(old.get(name))}, is {_short(new.get(name))}"
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    ]
    return "; ".join(told)


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 100 else text[:97] + "..."
