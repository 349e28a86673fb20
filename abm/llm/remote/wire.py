"""One exchange with a server, bound in time as a whole: address, connection, headers and body.

Time-outs of single reads do not bind a server that sends a byte now and then, and none binds the
look-up of a name. So exchanges run on one event loop in a thread of their own, where each can be
ended at its deadline wherever it stands.
"""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections.abc import Coroutine, Mapping
from typing import Any, NamedTuple, TypeVar

from abm.errors import BackendError, MissingExtra

__all__ = ["Broken", "Heard", "Late", "Unreachable", "Wire", "check_address"]

T = TypeVar("T")

_MOST_BYTES = 64 * 2**20
_CONNECT = 10.0  # seconds for a connection at most, be the deadline as late as it may
_STARTING, _LOOPS = threading.Lock(), dict[int, asyncio.AbstractEventLoop]()
_LOOPBACK = ("localhost", "::1", "0.0.0.0")


class Late(Exception):
    """Nothing complete came before the deadline."""


class Unreachable(Exception):
    """No connection could be made."""


class Broken(Exception):
    """A connection was made, and what came over it is no reply."""


class Heard(NamedTuple):
    """A reply: its status, headers (names in small letters) and body."""

    code: int
    headers: Mapping[str, str]
    content: bytes


class Wire:
    """Connections to one server, kept between exchanges. Threads may share it.

    Parameters
    ----------
    base_url
        Begins the address of every exchange.
    headers
        Sent with every request.
    connections
        Most connections, >= 1.

    Notes
    -----
    Proxies are those of the environment (HTTPS_PROXY, NO_PROXY, ...), but for loopback addresses,
    which no proxy could reach.
    """

    def __init__(self, base_url: str, headers: Mapping[str, str], connections: int) -> None:
        _httpx()
        self.base_url, self._headers, self._connections = base_url, dict(headers), connections
        self._lock = threading.Lock()
        self._made: tuple[int, Any] | None = None

    def exchange(
        self, method: str, path: str, payload: Mapping[str, Any] | None, seconds: float
    ) -> Heard:
        """Send a request and read its reply to the end.

        Raises
        ------
        Late, Unreachable, Broken
            No reply, and why.
        """
        httpx, client = _httpx(), self._client()
        limits = httpx.Timeout(None, connect=min(_CONNECT, 0.9 * seconds))
        request = client.build_request(method, self.base_url + path, json=payload, timeout=limits)
        try:
            return _on_loop(_heard(client, request, seconds))
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
            raise Unreachable(_words(error) or "no connection in time") from error
        except (TimeoutError, httpx.TimeoutException):
            raise Late(f"no reply within {seconds:g} s") from None
        except httpx.RequestError as error:
            raise Broken(f"{type(error).__name__} {_words(error)}".rstrip()) from error

    def close(self) -> None:
        """Close the connections; the next exchange makes new ones."""
        with self._lock:
            made, self._made = self._made, None
        if made is not None and made[0] == os.getpid():
            _on_loop(made[1].aclose())

    def _client(self) -> Any:
        """The client of this process: one that was made before a fork belongs to the parent."""
        with self._lock:
            if self._made is None or self._made[0] != os.getpid():
                client = _client(self.base_url, self._headers, self._connections)
                self._made = os.getpid(), client
                weakref.finalize(self, _hang_up, client, os.getpid()).atexit = False
            return self._made[1]


def check_address(url: str) -> str:
    """What is wrong with an address; empty if nothing is.

    Examples
    --------
    >>> check_address("http://localhost:8080/v1"), check_address("http:///v1")
    ('', 'it names no host')
    """
    httpx = _httpx()
    try:
        read = httpx.URL(url)
    except (httpx.InvalidURL, ValueError) as error:
        return str(error)
    if read.scheme not in ("http", "https"):
        return "it does not begin with http:// or https://"
    if not 0 < (read.port or 80) < 65536:
        return "a port is a number from 1 to 65535"
    return "" if read.host else "it names no host"


async def _heard(client: Any, request: Any, seconds: float) -> Heard:
    content = bytearray()
    async with asyncio.timeout(seconds):
        response = await client.send(request, stream=True)
        try:
            async for piece in response.aiter_bytes():
                content += piece
                if len(content) > _MOST_BYTES:
                    raise _httpx().ReadError("the reply does not end")
        finally:
            await response.aclose()
    return Heard(response.status_code, response.headers, bytes(content))


def _client(base_url: str, headers: Mapping[str, str], connections: int) -> Any:
    httpx = _httpx()
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    if _is_loopback(httpx.URL(base_url).host):
        direct = httpx.AsyncHTTPTransport(limits=limits)
        return httpx.AsyncClient(headers=headers, transport=direct)
    try:
        return httpx.AsyncClient(headers=headers, limits=limits)
    except (ImportError, ValueError) as error:  # a kind of proxy that is not installed, or none
        raise BackendError(
            f"the proxy that the environment names cannot be used: {error}. Correct or unset "
            "HTTP_PROXY, HTTPS_PROXY and ALL_PROXY, or name the server in NO_PROXY"
        ) from error


def _is_loopback(host: str) -> bool:
    """Whether an address means this machine.

    Examples
    --------
    >>> _is_loopback("127.0.0.1"), _is_loopback("127.example.org")
    (True, False)
    """
    numbers = host.split(".")
    return host in _LOOPBACK or (numbers[0] == "127" and all(map(str.isdecimal, numbers)))


def _on_loop(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run_coroutine_threadsafe(work, _loop(os.getpid())).result()


def _loop(process: int) -> asyncio.AbstractEventLoop:
    """The event loop of all servers of a process, in a thread of its own; a fork makes its own."""
    with _STARTING:
        if process not in _LOOPS:
            _LOOPS.clear()
            _LOOPS[process] = loop = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name="servers", daemon=True).start()
        return _LOOPS[process]


def _hang_up(client: Any, process: int) -> None:
    """Close the connections of a wire that nobody holds any more."""
    loop = _LOOPS.get(process) if process == os.getpid() else None  # no lock: called anywhere
    if loop is not None:
        asyncio.run_coroutine_threadsafe(client.aclose(), loop)


def _words(error: BaseException) -> str:
    """What the first cause of an error says: "Connection refused", not that all attempts failed."""
    said, seen = str(error), error.__cause__ or error.__context__
    while seen is not None:
        while isinstance(seen, BaseExceptionGroup):
            seen = seen.exceptions[0]
        said = str(seen) or said
        if isinstance(seen, OSError) and seen.errno and "Connect call failed" in said:
            said = os.strerror(seen.errno)
        seen = seen.__cause__ or seen.__context__
    return said


def _httpx() -> Any:
    try:
        import httpx
    except ImportError as error:
        raise MissingExtra(
            "a server needs httpx; install the extra: pip install 'agora-abm[remote]'"
        ) from error
    return httpx
