"""HTTP to a server: bounded concurrency, deadlines, and retries that wait longer each time.

Nothing here can change an answer: time only decides when a request counts as failed, and a failure
is data.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from abm.errors import BackendError, MissingExtra, require
from abm.questions import Status

__all__ = ["Problem", "Reply", "Traffic", "Transport", "check_settings"]

_MOST_BYTES = 64 * 2**20
_LOOK = 10.0  # seconds for the list of models
_FEW = 3  # requests in a row without a reply, at least, before a server counts as gone
_FATAL = {401: "the key was refused", 403: "access was refused", 404: "no such path or model"}
_SLOW = (408, 504)

T = TypeVar("T")
A = TypeVar("A")


@dataclass(frozen=True)
class Problem:
    """A request that got no usable reply; `transient` says whether asking again may help."""

    status: Status
    detail: str
    transient: bool = False
    wait: float | None = None
    unreachable: bool = False


@dataclass(frozen=True)
class Reply:
    """A JSON object, and what happened before it came (empty when it came at once)."""

    body: Mapping[str, Any]
    history: tuple[str, ...] = ()


@dataclass
class Traffic:
    """What was sent and how it went. Reported, and read by nothing.

    Attributes
    ----------
    requests, attempts
        Requests of the protocol, and how often they were sent.
    retries
        Cause -> number of attempts that were repeated because of it.
    failures
        Status -> requests that ended without a reply.
    waited
        Seconds spent waiting between attempts, summed over requests.
    """

    requests: int = 0
    attempts: int = 0
    retries: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    waited: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for a manifest."""
        return {
            "requests": self.requests,
            "attempts": self.attempts,
            "retries": dict(sorted(self.retries.items())),
            "failures": dict(sorted(self.failures.items())),
            "waited_s": round(self.waited, 3),
        }


class Transport:
    """Posts JSON to one server.

    Parameters
    ----------
    base_url
        Such as `http://localhost:8080/v1`.
    headers
        Sent with every request.
    concurrency
        Most requests under way at once, >= 1.
    timeout
        Seconds from sending a request to its last byte, > 0.
    retries
        How often a transient failure is tried again, >= 0.
    wait
        Seconds before the first retry, >= 0; doubled for each further one, at most 60. A server's
        `Retry-After` counts if it is longer.
    """

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str],
        *,
        concurrency: int,
        timeout: float,
        retries: int,
        wait: float,
    ) -> None:
        _httpx()
        self.base_url, self.concurrency = base_url.rstrip("/"), concurrency
        self.timeout, self.retries, self.wait = timeout, retries, wait
        self.statistics = Traffic()
        self._headers = dict(headers)
        self._lock, self._down = threading.Lock(), threading.Event()
        self._in_vain = 0  # requests in a row whose retries were used up
        self._gone: Problem | None = None

    @cached_property
    def _client(self) -> Any:
        httpx, n = _httpx(), self.concurrency
        limits = httpx.Limits(max_connections=n, max_keepalive_connections=n)
        return httpx.Client(headers=self._headers, timeout=self.timeout, limits=limits)

    def close(self) -> None:
        if "_client" in vars(self):
            self._client.close()

    def each(self, work: Callable[[A], T], items: Iterable[A]) -> list[T]:
        """`work(item)` for each item, `concurrency` at a time; results in order.

        When the server cannot be reached and the retries of one request are used up, the others of
        this call are sent once and not retried: a dead server costs one round of waiting. When as
        many requests in a row as may be under way (3 at least) used up their retries, the others of
        this call fail without being sent: so does one that hangs.
        """
        self._down.clear()
        self._heard()
        assert self._client is not None  # made before the threads that share it
        with ThreadPoolExecutor(self.concurrency) as pool:
            futures = [pool.submit(work, item) for item in items]
            try:
                return [future.result() for future in futures]
            except BaseException:
                for future in futures:
                    future.cancel()
                self._down.set()  # what is under way is not retried: the batch is lost anyway
                raise

    def post(self, path: str, payload: Mapping[str, Any]) -> Reply | Problem:
        """Send one request until there is a reply, a final failure, or no retry left.

        Raises
        ------
        BackendError
            The server refuses everything: the key, the path or the model is wrong.
        """
        with self._lock:
            self.statistics.requests += 1
            if self._gone is not None:
                self.statistics.failures[str(self._gone.status)] += 1
                return self._gone
        history: list[str] = []
        attempt = 0
        while isinstance(found := self._once(path, payload), Problem):
            if not found.transient or attempt == self.retries or self._down.is_set():
                break
            history.append(found.detail)
            self._pause(found, attempt)
            attempt += 1
        else:
            self._heard()
            return Reply(found, tuple(history))
        tried = f" (attempt {attempt + 1})" if attempt else ""
        return self._given_up(found, Problem(found.status, found.detail + tried))

    def _heard(self) -> None:
        with self._lock:
            self._in_vain, self._gone = 0, None

    def _given_up(self, found: Problem, told: Problem) -> Problem:
        """Count a request without a reply, and whether the server has replied to nobody of late."""
        with self._lock:
            self.statistics.failures[str(found.status)] += 1
            if not found.transient:
                self._in_vain = 0  # it was a reply, if no good one
                return told
            self._in_vain += 1
            if found.unreachable:
                self._down.set()
            elif self._in_vain >= max(self.concurrency, _FEW):
                detail = f"not sent: {self._in_vain} requests before it failed in a row, the last "
                self._gone = Problem(found.status, f"{detail}with: {told.detail}")
        return told

    def look(self, path: str) -> tuple[int, Mapping[str, Any]]:
        """Status and body of a page; status 0 where it does not come in time.

        Raises
        ------
        BackendError
            Nobody listens there, however often it was tried, or the key was refused.
        """
        httpx = _httpx()
        for attempt in range(self.retries + 1):
            try:
                found = self._client.get(self.base_url + path, timeout=min(self.timeout, _LOOK))
                break
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                if attempt == self.retries:
                    raise BackendError(
                        f"cannot connect to {self.base_url} (attempt {attempt + 1}): {error}. "
                        "Start the server, or correct base_url",
                        value=self.base_url,
                    ) from error
                time.sleep(min(60.0, self.wait * 2**attempt))
            except httpx.TransportError:
                return 0, {}
        if found.status_code in (401, 403):
            self._refused(path, found.status_code, found.headers, found.content)
        body = _parsed(found.content)
        return found.status_code, {} if isinstance(body, Problem) else body

    def _pause(self, problem: Problem, attempt: int) -> None:
        seconds = min(60.0, max(self.wait * 2**attempt, problem.wait or 0.0))
        with self._lock:
            self.statistics.retries[problem.detail.split(":")[0]] += 1
            self.statistics.waited += seconds
        self._down.wait(seconds)

    def _once(self, path: str, payload: Mapping[str, Any]) -> Mapping[str, Any] | Problem:
        httpx = _httpx()
        with self._lock:
            self.statistics.attempts += 1
        try:
            code, headers, content = self._exchange(path, payload)
        except httpx.TimeoutException:
            return Problem(Status.TIMEOUT, f"no reply within {self.timeout:g} s", transient=True)
        except httpx.ConnectError as error:
            detail = f"cannot connect to {self.base_url}: {error}"
            return Problem(Status.BACKEND_ERROR, detail, transient=True, unreachable=True)
        except httpx.TransportError as error:
            detail = f"connection broke: {type(error).__name__} {error}".rstrip()
            return Problem(Status.BACKEND_ERROR, detail, transient=True)
        if code == 200:
            return _parsed(content)
        return self._refused(path, code, headers, content)

    def _exchange(
        self, path: str, payload: Mapping[str, Any]
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and body; the deadline holds for the whole of it, however it trickles."""
        httpx = _httpx()
        deadline = time.monotonic() + self.timeout
        content = bytearray()
        with self._client.stream("POST", f"{self.base_url}{path}", json=payload) as response:
            for piece in response.iter_bytes():
                content += piece
                if time.monotonic() > deadline:
                    raise httpx.ReadTimeout("deadline")
                if len(content) > _MOST_BYTES:
                    raise httpx.ReadError("the reply does not end")
            return response.status_code, response.headers, bytes(content)

    def _refused(self, path: str, code: int, headers: Mapping[str, str], content: bytes) -> Problem:
        said = _message(content)
        if code in _FATAL:
            raise BackendError(
                f"{self.base_url}{path} answered {code}, {_FATAL[code]}: {said}. Correct base_url, "
                "model or api_key_env",
                value=code,
            )
        if code == 429 or code >= 500 or code in _SLOW:
            status = Status.TIMEOUT if code in _SLOW else Status.BACKEND_ERROR
            name = "rate limit" if code == 429 else f"server error {code}"
            return Problem(status, f"{name}: {said}", True, _retry_after(headers))
        if _is_overflow(said):
            return Problem(Status.CONTEXT_OVERFLOW, said)
        return Problem(Status.INVALID, f"the server refused the request ({code}): {said}")


def _httpx() -> Any:
    try:
        import httpx
    except ImportError as error:
        raise MissingExtra(
            "a server needs httpx; install the extra: pip install 'agora-abm[remote]'"
        ) from error
    return httpx


def _parsed(content: bytes) -> Mapping[str, Any] | Problem:
    try:
        body = json.loads(content)
    except ValueError:
        body = None
    if isinstance(body, dict):
        return body
    return Problem(Status.BACKEND_ERROR, f"garbage: {_short(content)!r}", transient=True)


def _message(content: bytes) -> str:
    try:
        found = json.loads(content)
        error = found.get("error", found) if isinstance(found, dict) else found
        text = error.get("message", error) if isinstance(error, dict) else error
        return str(text)[:300]
    except ValueError:
        return _short(content)


def _short(content: bytes) -> str:
    return content[:120].decode("utf-8", "replace")


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds a server asks to wait; its other form, a date, is not used."""
    text = headers.get("retry-after", "")
    return float(text) if text.replace(".", "", 1).isdigit() else None


def _is_overflow(said: str) -> bool:
    words = said.lower()
    return "context" in words and any(
        word in words for word in ("length", "window", "size", "exceed", "too long", "maximum")
    )


def check_settings(concurrency: int, timeout: float, retries: int, wait: float) -> None:
    """Refuse settings that could not work."""
    for name, value, good, expected in (
        ("concurrency", concurrency, 1 <= concurrency <= 1024, "1 <= concurrency <= 1024"),
        ("timeout", timeout, 0 < timeout < float("inf"), "seconds > 0"),
        ("retries", retries, 0 <= retries <= 100, "0 <= retries <= 100"),
        ("wait", wait, 0 <= wait <= 60, "seconds between 0 and 60"),
    ):
        require(good, BackendError, f"{name} = {value!r}, expected {expected}", value=value)
