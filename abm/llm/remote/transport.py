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
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from abm.errors import BackendError, require
from abm.llm.remote import replies
from abm.llm.remote.wire import Broken, Late, Unreachable, Wire
from abm.questions import Status

__all__ = ["Problem", "Reply", "Traffic", "Transport", "check_settings"]

_LOOK = 10.0  # seconds for the list of models
_FEW = 3  # requests in a row without a reply, at least, before a server counts as gone
_SHORT = 0.5  # seconds of waiting after which Ctrl-C is looked for
_NAMES = 20  # of models, that are counted
_FATAL = {
    401: "the key was refused",
    402: "the account is empty",
    403: "access was refused",
    404: "no such path or model",
    405: "no such path",
}
_SLOW = (408, 504)
_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNKNOWN_PROTOCOL", "CERTIFICATE_VERIFY")

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
    models
        Model that gave a reply, as the server calls it -> replies; 20 names at most.
    """

    requests: int = 0
    attempts: int = 0
    retries: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    waited: float = 0.0
    models: Counter[str] = field(default_factory=Counter)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for a manifest."""
        return {
            "requests": self.requests,
            "attempts": self.attempts,
            "retries": dict(sorted(self.retries.items())),
            "failures": dict(sorted(self.failures.items())),
            "waited_s": round(self.waited, 3),
            "models": dict(sorted(self.models.items())),
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
        Seconds from sending a request to the last byte of its reply, > 0.
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
        self.base_url, self.concurrency = base_url.rstrip("/"), concurrency
        self.timeout, self.retries, self.wait = timeout, retries, wait
        self.statistics = Traffic()
        self._wire = Wire(self.base_url, headers, concurrency)
        self._lock, self._down = threading.Lock(), threading.Event()
        self._unwanted, self._abandoned = threading.Event(), False
        self._in_vain = 0  # requests in a row whose retries were used up, within a call of `each`
        self._unheard = 0  # the same over all calls
        self._last: Problem | None = None  # how the last of them ended
        self._gone: Problem | None = None
        self._refusal = ""

    def close(self) -> None:
        self._wire.close()

    def each(self, work: Callable[[A], T], items: Iterable[A]) -> list[T]:
        """`work(item)` for each item, `concurrency` at a time; results in order.

        When the server cannot be reached and the retries of one request are used up, the others of
        this call are sent once and not retried: a dead server costs one round of waiting. When as
        many requests in a row as may be under way (3 at least) used up their retries, the others of
        this call fail without being sent: so does one that hangs.

        Raises
        ------
        BackendError
            `abandon` was called; what was heard until then is dropped.
        """
        with self._lock:
            if not self._abandoned:
                self._down.clear()
                self._unwanted.clear()
            self._in_vain, self._gone = 0, None
        with ThreadPoolExecutor(self.concurrency) as pool:
            futures = [pool.submit(work, item) for item in items]
            try:
                while wait(futures, timeout=_SHORT, return_when=FIRST_EXCEPTION).not_done:
                    for future in futures:
                        if future.done():
                            future.result()  # raises at once what one of them met
                made = [future.result() for future in futures]
                require(not self._abandoned, BackendError, "stopped before all answers had come")
                return made
            except BaseException:
                for future in futures:
                    future.cancel()
                self._down.set()  # what is under way is left: the batch is lost anyway
                self._unwanted.set()
                raise

    def abandon(self, abandoned: bool) -> None:
        """Leave what is under way, from any thread; or take requests again."""
        with self._lock:
            self._abandoned = abandoned
            if abandoned:
                self._down.set()
                self._unwanted.set()

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
            self._heard(replies.served(found))
            return Reply(found, tuple(history))
        tried = f" (attempt {attempt + 1})" if attempt else ""
        if found.status is Status.TIMEOUT and self.concurrency > 1:
            tried += f"; is the server made for concurrency = {self.concurrency}?"
        return self._given_up(replace(found, detail=found.detail + tried))

    def _heard(self, model: str) -> None:
        with self._lock:
            known = self.statistics.models
            if model and (model in known or len(known) < _NAMES):
                known[model] += 1
            self._in_vain, self._unheard, self._gone, self._refusal = 0, 0, None, ""

    def _given_up(self, found: Problem) -> Problem:
        """Count a request without a reply, and whether the server has replied to nobody of late."""
        with self._lock:
            self.statistics.failures[str(found.status)] += 1
            if not found.transient and not found.unreachable:
                self._in_vain = self._unheard = 0  # it was a reply, if no good one
                return found
            self._last = found
            self._in_vain += 1
            self._unheard += 1
            if found.unreachable:
                self._down.set()
            elif self._in_vain >= max(self.concurrency, _FEW):
                detail = f"not sent: {self._in_vain} requests before it failed in a row, the last "
                self._gone = Problem(found.status, f"{detail}with: {found.detail}")
        return found

    def lost(self) -> str:
        """Why it is of no use to go on asking; empty while it may be.

        A server counts as lost when it refused the key, the path or the model, when it cannot be
        reached after all retries and now, and when the last requests (3 at least) used up their
        retries without a reply.
        """
        with self._lock:
            said, last, n = self._refusal, self._last, self._unheard
        if said or last is None or not n:
            return said
        if last.unreachable:
            try:
                self._wire.exchange("GET", "/models", None, self._moment)
            except Unreachable:
                return last.detail
            except (Late, Broken):
                pass
            return ""  # it is back
        where = f"the last {n} requests to {self.base_url} failed"
        return f"{where}, the last with: {last.detail}" if n >= _FEW else ""

    @property
    def _moment(self) -> float:
        return min(self.timeout, _LOOK)

    def look(self, path: str) -> tuple[int, Mapping[str, Any] | None]:
        """Status and JSON object of a page (`None` if it is none); status 0 if it does not come.

        Raises
        ------
        BackendError
            Nobody listens there, however often it was tried, or the key was refused.
        """
        for attempt in range(self.retries + 1):
            try:
                code, headers, content = self._wire.exchange("GET", path, None, self._moment)
                break
            except Unreachable as error:
                if attempt == self.retries or _is_tls(str(error)):
                    raise BackendError(
                        f"cannot connect to {self.base_url} (attempt {attempt + 1}): {error}. "
                        f"Start the server, or correct base_url{_tls_hint(str(error))}",
                        value=self.base_url,
                    ) from error
                time.sleep(min(60.0, self.wait * 2**attempt))
            except (Late, Broken):
                return 0, {}
        if code in (401, 403) or 300 <= code < 400:
            self._refused(path, code, headers, content)
        return code, _object(content)

    def _pause(self, problem: Problem, attempt: int) -> None:
        seconds = min(60.0, max(self.wait * 2**attempt, problem.wait or 0.0))
        with self._lock:
            self.statistics.retries[problem.detail.split(":")[0]] += 1
            self.statistics.waited += seconds
        self._down.wait(seconds)

    def _once(self, path: str, payload: Mapping[str, Any]) -> Mapping[str, Any] | Problem:
        with self._lock:
            self.statistics.attempts += 1
        try:
            code, headers, content = self._wire.exchange(
                "POST", path, payload, self.timeout, self._unwanted
            )
        except Late as error:
            return Problem(Status.TIMEOUT, str(error), transient=True)
        except Unreachable as error:
            detail = f"cannot connect: {error} at {self.base_url}{_tls_hint(str(error))}"
            again = not _is_tls(detail)
            return Problem(Status.BACKEND_ERROR, detail, transient=again, unreachable=True)
        except Broken as error:
            return Problem(Status.BACKEND_ERROR, f"connection broke: {error}", transient=True)
        if code == 200:
            return _parsed(content, "data" if path == "/embeddings" else "choices")
        return self._refused(path, code, headers, content)

    def _refused(self, path: str, code: int, headers: Mapping[str, str], content: bytes) -> Problem:
        said, cause = _message(content), _FATAL.get(code, "")
        if 300 <= code < 400:
            cause = f"which leads to {headers.get('location', 'another address')}"
        if cause:
            self._refusal = (
                f"{self.base_url}{path} answered {code}, {cause}: {said}. Correct base_url, "
                "model or api_key_env"
            )
            raise BackendError(self._refusal, value=code)
        if code == 429 or code >= 500 or code in _SLOW:
            status = Status.TIMEOUT if code in _SLOW else Status.BACKEND_ERROR
            name = "rate limit" if code == 429 else f"server error {code}"
            return Problem(status, f"{name}: {said}", True, _retry_after(headers))
        if _is_overflow(said):
            return Problem(Status.CONTEXT_OVERFLOW, said)
        return Problem(Status.INVALID, f"the server refused the request ({code}): {said}")


def _parsed(content: bytes, needs: str = "") -> Mapping[str, Any] | Problem:
    """A reply's JSON object, if it holds a list `needs` of objects and does not name an error."""
    body = _object(content)
    if body is None:
        return Problem(Status.BACKEND_ERROR, f"garbage: {_short(content)!r}", transient=True)
    if body.get("error"):
        said = _message(content)
        if _is_overflow(said):
            return Problem(Status.CONTEXT_OVERFLOW, said)
        return Problem(Status.BACKEND_ERROR, f"garbage: an error as reply: {said}", transient=True)
    rows = body.get(needs)
    if needs and not (isinstance(rows, list) and rows and isinstance(rows[0], dict)):
        detail = f"garbage: no {needs} in {_short(content)!r}"
        return Problem(Status.BACKEND_ERROR, detail, transient=True)
    return body


def _object(content: bytes) -> dict[str, Any] | None:
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def _message(content: bytes) -> str:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return _short(content)
    error = found.get("error", found) if isinstance(found, dict) else found
    text = error.get("message", error) if isinstance(error, dict) else error
    return replies.whole_text(str(text)[:300])


def _short(content: bytes) -> str:
    return content[:120].decode("utf-8", "replace")


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a server asks to wait, which it says as such or as a date.

    Examples
    --------
    >>> _retry_after({"retry-after": "2.5"}), _retry_after({"retry-after": "soon"})
    (2.5, None)
    >>> _retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"})
    0.0
    """
    text = headers.get("retry-after", "").strip()
    if text.replace(".", "", 1).isdecimal():
        return float(text)
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (date - datetime.now(UTC)).total_seconds())


def _is_tls(said: str) -> bool:
    """Whether no connection will ever be made with this scheme and these certificates."""
    return any(word in said.upper().replace(" ", "_") for word in _TLS)


def _tls_hint(said: str) -> str:
    """What to do about an address whose server speaks no TLS, or with a strange certificate."""
    if "CERTIFICATE" in said:
        return "; its certificate is not trusted here: SSL_CERT_FILE names others"
    return "; does its address begin with http:// rather than https://?" if _is_tls(said) else ""


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
