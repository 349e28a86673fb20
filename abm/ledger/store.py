"""The ledger: every distinct answer, in one SQLite file that survives kills and full disks."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abm.errors import LedgerError, require
from abm.ledger import schema
from abm.ledger.damage import inspect, own_errors
from abm.ledger.lock import LockFile
from abm.ledger.schema import Entry, Failure, holds_content
from abm.questions import Answer, Question

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Ledger", "write_ledger"]

_CHUNK = 999  # keys per query: the least bound on values among versions of SQLite
_CACHE = 8000  # kilobytes of the file in memory; answers of many different requests lie all over it


class Ledger:
    """Answers on disk, one transaction per batch.

    Parameters
    ----------
    path
        SQLite file on a local disk. In use it has companions `-wal`, `-shm` and `.lock`.
    create
        Whether a missing file is created.
    read_only
        Open without a lock and refuse to write; several processes may read one file.

    Raises
    ------
    LedgerError
        The file is missing, corrupt, of another version, in use by another process (the message
        names it), or the disk is full. A damaged file is left as it is.

    Examples
    --------
    >>> import tempfile
    >>> request = Question("q", 1, "?", ("a", "b")).request({})
    >>> entry = Entry("model", request, Answer(scores=(0.0, -1.0)))
    >>> with Ledger(Path(tempfile.mkdtemp()) / "ledger.sqlite") as ledger:
    ...     ledger.put_batch([entry])
    ...     ledger.get_many([entry.key])[entry.key].scores
    (0.0, -1.0)
    """

    def __init__(
        self, path: str | os.PathLike[str], *, create: bool = True, read_only: bool = False
    ) -> None:
        self.path, self.read_only = Path(path).absolute(), read_only
        self._guard, self._process = threading.RLock(), os.getpid()
        self._names: dict[tuple[str, str], int] = {}
        self._questions: dict[int, Question] = {}
        exists = self.path.exists() and self.path.stat().st_size > 0
        self._refuse_missing(exists or (create and not read_only))
        self._lock = None if read_only else LockFile(self._companion(".lock"), str(self))
        try:
            if exists:
                inspect(self.path)
            self._base = self._connect(new=not exists)
        except BaseException:
            if self._lock is not None:
                self._lock.release()
            raise

    def __str__(self) -> str:
        return f"ledger {self.path}"

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        """Number of distinct answers."""
        return int(self.rows("SELECT count(*) FROM answers")[0][0])

    def close(self) -> None:
        """Fold everything into the one file and give the lock back."""
        with self._guard:
            if self._base is None:
                return
            base, self._base = self._base, None
            try:
                if not self.read_only:
                    base.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                    base.execute("PRAGMA journal_mode=DELETE")
            except sqlite3.Error:
                pass  # a full disk: the write-ahead log stays beside the file and is read with it
            finally:
                base.close()
                if self._lock is not None:
                    self._lock.release()

    # Answers

    def get_many(self, keys: Sequence[str]) -> dict[str, Answer]:
        """The answers among `keys` that the ledger holds."""
        found: dict[str, Answer] = {}
        for start in range(0, len(keys), _CHUNK):
            part = list(keys[start : start + _CHUNK])
            marks = ",".join("?" * len(part))
            columns = schema.ANSWER_COLUMNS
            rows = self.rows(f"SELECT key, {columns} FROM answers WHERE key IN ({marks})", part)
            found.update((row[0], schema.read_answer(row[0], row[1:], self.path)) for row in rows)
        return found

    def put_batch(self, entries: Iterable[Entry], failures: Iterable[Failure] = ()) -> None:
        """Store a batch in one transaction: all of it or nothing, on disk when this returns.

        An answer that is already there stays as it is. Failures without content go to the run that
        met them and are shared with no other.
        """
        with self.transaction() as base:
            base.executemany(
                f"INSERT OR IGNORE INTO answers VALUES ({','.join('?' * 16)})",
                (self._shared_row(base, entry) for entry in entries),
            )
            for failure in failures:
                marks = ",".join("?" * 18)
                key, *rest = self._row(base, failure.entry)
                base.execute(
                    f"INSERT OR IGNORE INTO failures VALUES ({marks})",
                    (failure.run, key, failure.occurrence, *rest),
                )

    def entries(
        self, *, fingerprint: str | None = None, question: str | None = None
    ) -> Iterator[tuple[str, Entry]]:
        """(key, entry) in order of keys: requests with their answers, to fit or to look at.

        Parameters
        ----------
        fingerprint
            Only answers of this policy.
        question
            Only answers to the question of this id.
        """
        columns = ", ".join(
            f"a.{c}" for c in (schema.REQUEST_COLUMNS + ", " + schema.ANSWER_COLUMNS).split(", ")
        )
        wanted = "(? IS NULL OR p.fingerprint = ?) AND (? IS NULL OR q.question = ?)"
        rows = self.rows(
            f"SELECT a.key, p.fingerprint, {columns} FROM answers a "
            "JOIN policies p ON p.id = a.policy JOIN questions q ON q.id = a.question "
            f"WHERE {wanted} ORDER BY a.key",
            (fingerprint, fingerprint, question, question),
        )
        for key, name, *row in rows:
            yield key, self._entry(key, name, row)

    def fingerprints(self) -> list[str]:
        """Fingerprints of all policies that answered."""
        return [row[0] for row in self.rows("SELECT fingerprint FROM policies ORDER BY id")]

    # Failures of runs

    def runs_with_failures(self) -> list[str]:
        """Names of the runs that met failures without content."""
        return [row[0] for row in self.rows("SELECT DISTINCT run FROM failures ORDER BY run")]

    def failures(self, run: str) -> dict[tuple[str, int], Answer]:
        """(key, occurrence) -> failure, for one run."""
        return {
            (failure.entry.key, failure.occurrence): failure.entry.answer
            for failure in self.failure_entries(run)
        }

    def failure_entries(self, run: str) -> list[Failure]:
        """The failures of one run, with their requests."""
        rows = self.rows(
            f"SELECT f.key, f.occurrence, p.fingerprint, {schema.REQUEST_COLUMNS}, "
            f"{schema.ANSWER_COLUMNS} FROM failures f JOIN policies p ON p.id = f.policy "
            "WHERE run = ? ORDER BY f.key, f.occurrence",
            (run,),
        )
        return [
            Failure(run, occurrence, self._entry(key, name, row))
            for key, occurrence, name, *row in rows
        ]

    def forget_failures(self, run: str) -> None:
        """Before a failed run is tried anew: its failures no longer belong to it."""
        with self.transaction() as base:
            base.execute("DELETE FROM failures WHERE run = ?", (run,))

    # Export

    def export(
        self, keys: Iterable[str], path: str | os.PathLike[str], *, run: str | None = None
    ) -> None:
        """Write these answers, and the failures of `run`, to a ledger of their own.

        The file appears complete or not at all. A missing key is a `LedgerError`.
        """
        wanted = sorted(set(keys))
        entries = [self._get_entry(key) for key in wanted]
        write_ledger(path, entries, () if run is None else self.failure_entries(run))

    # Helpers

    def _refuse_missing(self, fine: bool) -> None:
        require(
            fine and (self.path.parent.is_dir()),
            LedgerError,
            f"{self} does not exist"
            + ("" if self.path.parent.is_dir() else f", nor does the folder {self.path.parent}")
            + "; check the path, or run the study that writes it",
            path=self.path,
        )

    def _companion(self, ending: str) -> Path:
        return self.path.with_name(self.path.name + ending)

    def _connect(self, *, new: bool) -> sqlite3.Connection | None:
        mode = "ro" if self.read_only else "rwc"
        with own_errors(self.path):
            base = sqlite3.connect(
                f"{self.path.as_uri()}?mode={mode}",
                uri=True,
                isolation_level=None,
                check_same_thread=False,
                timeout=30.0,
            )
            base.execute(f"PRAGMA cache_size=-{_CACHE}")
            if self.read_only:
                return base
            base.execute("PRAGMA journal_mode=WAL")
            base.execute("PRAGMA synchronous=FULL")
            if new:
                base.execute(f"PRAGMA application_id={schema.APPLICATION_ID}")
                base.executescript(
                    f"BEGIN IMMEDIATE; {schema.TABLES} "
                    f"PRAGMA user_version={schema.SCHEMA_VERSION}; COMMIT;"
                )
        return base

    def _opened(self) -> sqlite3.Connection:
        require(
            self._base is not None,
            LedgerError,
            f"{self} is closed; open it again",
        )
        require(
            os.getpid() == self._process,
            LedgerError,
            f"{self} was opened by process {self._process} and cannot be used by its fork "
            f"{os.getpid()}; send requests to the answering process instead",
        )
        assert self._base is not None
        return self._base

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows of a query, for whoever wants to look inside."""
        with self._guard, own_errors(self.path):
            return self._opened().execute(query, values).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing: commits at the end, rolls back on any error."""
        require(not self.read_only, LedgerError, f"{self} is open for reading only")
        with self._guard, own_errors(self.path):
            base = self._opened()
            base.execute("BEGIN IMMEDIATE")
            try:
                yield base
                base.execute("COMMIT")
            except BaseException:
                self._names.clear()
                if base.in_transaction:
                    base.execute("ROLLBACK")
                raise

    def _shared_row(self, base: sqlite3.Connection, entry: Entry) -> tuple[Any, ...]:
        if not holds_content(entry.answer):
            raise LedgerError(
                f"{self}: a failure without content ({entry.answer.status}) is no shared "
                "answer; give it as a failure of its run"
            )
        return self._row(base, entry)

    def _row(self, base: sqlite3.Connection, entry: Entry) -> tuple[Any, ...]:
        key, question = entry.key, entry.request.question
        policy_id = self._name(
            base, "policies", "fingerprint", entry.fingerprint, (entry.fingerprint,)
        )
        question_id = self._name(
            base,
            "questions",
            "digest",
            question.digest,
            (question.digest, question.id, question.version, schema.definition_text(question)),
        )
        request = schema.request_row(entry.request)
        return (key, policy_id, question_id, *request, *schema.answer_row(key, entry.answer))

    def _name(
        self, base: sqlite3.Connection, table: str, column: str, name: str, row: tuple[Any, ...]
    ) -> int:
        """Id of a policy or question, inserted at its first use."""
        if (table, name) not in self._names:
            marks = ",".join("?" * len(row))
            base.execute(f"INSERT OR IGNORE INTO {table} VALUES (NULL, {marks})", row)
            found = base.execute(f"SELECT id FROM {table} WHERE {column} = ?", (name,)).fetchone()
            self._names[table, name] = found[0]
        return self._names[table, name]

    def _entry(self, key: str, fingerprint: str, row: Sequence[Any]) -> Entry:
        _, question_id, fields, seed, attempt, *answer = row
        request = schema.read_request(self._question(question_id), fields, seed, attempt)
        return Entry(fingerprint, request, schema.read_answer(key, tuple(answer), self.path))

    def _question(self, number: int) -> Question:
        if number not in self._questions:
            row = self.rows("SELECT definition FROM questions WHERE id = ?", (number,))[0]
            self._questions[number] = schema.read_question(row[0])
        return self._questions[number]

    def _get_entry(self, key: str) -> Entry:
        rows = self.rows(
            f"SELECT p.fingerprint, {schema.REQUEST_COLUMNS}, {schema.ANSWER_COLUMNS} "
            "FROM answers a JOIN policies p ON p.id = a.policy WHERE key = ?",
            (key,),
        )
        require(bool(rows), LedgerError, f"{self} has no answer {key}, so it cannot be exported")
        fingerprint, *row = rows[0]
        return self._entry(key, fingerprint, row)


def write_ledger(
    path: str | os.PathLike[str],
    entries: Iterable[Entry],
    failures: Iterable[Failure] = (),
    *,
    tables: Mapping[str, pl.DataFrame] | None = None,
) -> None:
    """Write a complete ledger file that replaces whatever is at `path`, in one step.

    `tables` go beside the answers; see `abm.ledger.tables`.
    """
    from abm.ledger.tables import write_tables

    final = Path(path).absolute()
    draft = final.with_name(f".{final.name}.{os.getpid()}.part")
    draft.unlink(missing_ok=True)
    try:
        with Ledger(draft) as ledger:
            ledger.put_batch(entries, failures)
            write_tables(ledger, tables or {})
        os.replace(draft, final)
    finally:
        for ending in ("", "-wal", "-shm", "-journal"):
            draft.with_name(draft.name + ending).unlink(missing_ok=True)
