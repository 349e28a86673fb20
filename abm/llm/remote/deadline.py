"""Sockets that know until when the request of their thread may take.

Time-outs of single reads do not bind a server that sends a byte now and then. Here every connect,
read and write waits for what is left of the whole request at most, and a read ends soon after the
request is no longer wanted.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpcore

__all__ = ["BoundedBackend", "within"]

_PIECE = 1 << 16
_SLICE = 0.25  # seconds until a read looks again whether it is wanted
_thread = threading.local()


@contextmanager
def within(seconds: float, unwanted: threading.Event) -> Iterator[None]:
    """Bind what this thread sends and reads, by raising `httpcore.ReadTimeout`.

    Parameters
    ----------
    seconds
        From now on.
    unwanted
        Set when nobody waits for the reply any more.
    """
    _thread.until, _thread.unwanted = time.monotonic() + seconds, unwanted
    try:
        yield
    finally:
        del _thread.until, _thread.unwanted


def _left(timeout: float | None) -> float | None:
    until = getattr(_thread, "until", None)
    if until is None:
        return timeout
    left: float = until - time.monotonic()
    if left <= 0 or _thread.unwanted.is_set():
        raise httpcore.ReadTimeout("deadline")
    return left if timeout is None else min(left, timeout)


class BoundedBackend(httpcore.NetworkBackend):
    """Makes connections whose every wait ends with the request's time."""

    def __init__(self) -> None:
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Try the addresses of a host, one after another."""
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(str(error)) from error
        for number, (*_, address) in enumerate(found, start=1):
            try:
                stream = self._inner.connect_tcp(
                    str(address[0]), port, _left(timeout), local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if number == len(found):
                    raise
            else:
                return _BoundedStream(stream)
        raise httpcore.ConnectError(f"{host} has no address")

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


class _BoundedStream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            left = _left(None if until is None else max(0.0, until - time.monotonic()))
            try:
                return self._inner.read(max_bytes, _SLICE if left is None else min(left, _SLICE))
            except httpcore.ReadTimeout:
                if left is not None and left <= _SLICE:
                    raise

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), _PIECE):
            self._inner.write(buffer[start : start + _PIECE], _left(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        secure = self._inner.start_tls(ssl_context, server_hostname, _left(timeout))
        return _BoundedStream(secure)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
