"""One writer per ledger: a lock file that names its holder.

The lock itself is the kernel's (`flock`), so it ends with its process however that dies, and a
recycled process id cannot be mistaken for the holder. The file's text says who holds it.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from abm.errors import LedgerError

__all__ = ["LockFile"]


class LockFile:
    """An exclusive lock, held from construction until `release`.

    Parameters
    ----------
    path
        The lock file; created if need be, removed on release.
    what
        What is locked, for the message.

    Raises
    ------
    LedgerError
        Another process holds the lock, or a process on another host held it and left no trace of
        having ended. Carries `holder`.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "ledger.lock"
    >>> lock = LockFile(path, "a ledger")
    >>> lock.holder["pid"] == os.getpid()
    True
    >>> lock.release()
    """

    def __init__(self, path: Path, what: str) -> None:
        self.path, self.what = path, what
        self.holder: dict[str, Any] = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        self._handle = self._acquire()

    def release(self) -> None:
        """Give the lock back. Only the process that took it does."""
        if self._handle >= 0 and os.getpid() == self.holder["pid"]:
            self.path.unlink(missing_ok=True)
            os.close(self._handle)
        self._handle = -1

    def _acquire(self) -> int:
        while True:
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                self._lock(handle)
                if self._is_current(handle):
                    self._write(handle)
                    return handle
            except BaseException:
                os.close(handle)
                raise
            os.close(handle)

    def _lock(self, handle: int) -> None:
        found = _read(handle)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise self._refusal(found, "wait for it to end, or stop it") from error
        if found.get("host", self.holder["host"]) != self.holder["host"]:
            raise self._refusal(found, f"if it is gone, delete {self.path}")

    def _is_current(self, handle: int) -> bool:
        """Whether the locked file is still the one at the path, not one its holder removed."""
        try:
            there = self.path.stat()
        except FileNotFoundError:
            return False
        here = os.fstat(handle)
        return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)

    def _write(self, handle: int) -> None:
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(self.holder).encode(), 0)

    def _refusal(self, found: dict[str, Any], remedy: str) -> LedgerError:
        if found.get("pid") == os.getpid() and found.get("host") == self.holder["host"]:
            who, remedy = f"this process (pid {os.getpid()})", "close it there first"
        else:
            who = (
                f"process {found.get('pid', 'unknown')} on {found.get('host', 'an unknown host')}, "
                f"started {found.get('started', 'at an unknown time')}"
            )
        return LedgerError(f"{self.what} is in use by {who}; {remedy}", holder=found)


def _read(handle: int) -> dict[str, Any]:
    try:
        found = json.loads(os.pread(handle, 4096, 0) or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
