"""One exchange with a server, bound in time as a whole: connection, headers and body."""

from __future__ import annotations

import json
import os
import threading
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.request import getproxies, proxy_bypass

from abm.errors import BackendError, MissingExtra

__all__ = ["Broken", "Heard", "Late", "Unreachable", "Wire", "check_address"]

_MOST_BYTES = 64 * 2**20
_CONNECT = 10.0  # seconds for a connection at most, be the deadline as late as it may
_LOOPBACK = ("localhost", "::1", "0.0.0.0")
_ALWAYS = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "Content-Type": "application/json",
    "User-Agent": "agora-abm",
}


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
        self.base_url, self._connections = base_url, connections
        self._headers = {**_ALWAYS, **headers}
        self._lock = threading.Lock()
        self._made: tuple[int, Any] | None = None

    def exchange(
        self,
        method: str,
        path: str,
        payload: Mapping[str, Any] | None,
        seconds: float,
        unwanted: threading.Event | None = None,
    ) -> Heard:
        """Send a request and read its reply to the end.

        Parameters
        ----------
        method, path, payload
            What is sent; `None` for no body.
        seconds
            For all of it.
        unwanted
            Ends the exchange when it is set.

        Raises
        ------
        Late, Unreachable, Broken
            No reply, and why.
        """
        import httpcore

        content = None if payload is None else json.dumps(payload).encode()
        try:
            return self._heard(method, path, content, seconds, unwanted or threading.Event())
        except (httpcore.ConnectError, httpcore.ConnectTimeout, httpcore.ProxyError) as error:
            raise Unreachable(_words(error) or "no connection in time") from error
        except httpcore.TimeoutException:
            raise Late(f"no reply within {seconds:g} s") from None
        except (httpcore.NetworkError, httpcore.ProtocolError, zlib.error) as error:
            raise Broken(f"{type(error).__name__} {_words(error)}".rstrip()) from error

    def _heard(
        self,
        method: str,
        path: str,
        content: bytes | None,
        seconds: float,
        unwanted: threading.Event,
    ) -> Heard:
        from abm.llm.remote.deadline import within

        url, pool, body = _address(self.base_url + path), self._pool(), bytearray()
        limits = {"timeout": {"connect": min(_CONNECT, 0.9 * seconds), "pool": seconds}}
        sent: dict[str, Any] = {
            "headers": list(self._headers.items()),
            "content": content,
            "extensions": limits,
        }
        with within(seconds, unwanted), pool.stream(method, url, **sent) as response:
            said = [(name.decode("latin-1"), v.decode("latin-1")) for name, v in response.headers]
            for piece in response.iter_stream():
                body += piece
                if len(body) > _MOST_BYTES:
                    break  # no reply of this protocol: it will be garbage
        headers = {name.lower(): value for name, value in said}
        packed = headers.get("content-encoding", "identity") in ("gzip", "deflate")
        return Heard(response.status, headers, zlib.decompress(body, 47) if packed else bytes(body))

    def close(self) -> None:
        """Close the connections; the next exchange makes new ones."""
        with self._lock:
            made, self._made = self._made, None
        if made is not None and made[0] == os.getpid():
            made[1].close()

    def _pool(self) -> Any:
        """The connections of this process: those made before a fork belong to the parent."""
        with self._lock:
            if self._made is None or self._made[0] != os.getpid():
                self._made = os.getpid(), _pool(self.base_url, self._connections)
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


def _address(url: str) -> Any:
    import httpcore

    read = _httpx().URL(url)
    return httpcore.URL(
        scheme=read.raw_scheme, host=read.raw_host, port=read.port, target=read.raw_path
    )


def _pool(base_url: str, connections: int) -> Any:
    import httpcore

    from abm.llm.remote.deadline import BoundedBackend

    httpx, url = _httpx(), _httpx().URL(base_url)
    settings: dict[str, Any] = {
        "ssl_context": httpx.create_ssl_context() if url.scheme == "https" else None,
        "max_connections": connections,
        "max_keepalive_connections": connections,
        "network_backend": BoundedBackend(),
    }
    named = _proxy(url)
    if not named:
        return httpcore.ConnectionPool(**settings)
    try:
        proxy = httpx.Proxy(named)
        kind: Any = (
            httpcore.SOCKSProxy if proxy.url.scheme.startswith("socks") else httpcore.HTTPProxy
        )
        return kind(proxy_url=_address(str(proxy.url)), proxy_auth=proxy.raw_auth, **settings)
    except (
        ImportError,
        RuntimeError,
        ValueError,
    ) as error:  # not installed, or no proxy
        raise BackendError(
            f"the proxy that the environment names cannot be used: {error}. Correct or unset "
            "HTTP_PROXY, HTTPS_PROXY and ALL_PROXY, or name the server in NO_PROXY",
            value=named,
        ) from error


def _proxy(url: Any) -> str:
    """The proxy that the environment names for an address; empty for none."""
    if _is_loopback(url.host) or proxy_bypass(url.host):
        return ""
    named = getproxies()
    found = named.get(url.scheme) or named.get("all") or ""
    return found if "://" in found or not found else f"http://{found}"


def _is_loopback(host: str) -> bool:
    """Whether an address means this machine.

    Examples
    --------
    >>> _is_loopback("127.0.0.1"), _is_loopback("127.example.org")
    (True, False)
    """
    numbers = host.split(".")
    return host in _LOOPBACK or (numbers[0] == "127" and all(map(str.isdecimal, numbers)))


def _words(error: BaseException) -> str:
    """What an error says, without its number: "Connection refused"."""
    cause = error.__cause__ or error.__context__
    if isinstance(cause, ConnectionError) and cause.strerror:
        return str(cause.strerror)
    return str(error)


def _httpx() -> Any:
    try:
        import httpx
    except ImportError as error:
        raise MissingExtra(
            "a server needs httpx; install the extra: pip install 'agora-abm[remote]'"
        ) from error
    return httpx
