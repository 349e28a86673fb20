"""`OpenAICompatible`: a language model behind any server that speaks the OpenAI protocol."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from abm.errors import BackendError, require
from abm.llm.backend import Generation, Scored
from abm.llm.remote import replies
from abm.llm.remote.control import safe_text
from abm.llm.remote.menus import MenuScores, Next, matched, score_menu
from abm.llm.remote.servers import SERVERS
from abm.llm.remote.transport import Problem, Reply, Traffic, Transport, check_settings
from abm.llm.remote.wire import check_address
from abm.questions import Kind, Prompt, Status, TextConstraint

__all__ = ["OpenAICompatible"]


class OpenAICompatible:
    """A model behind llama-server, vLLM, Ollama, llama-cpp-python's server or another one.

    Choices come from the token log-probabilities that the server returns. An option outside them
    is never given probability zero: the menu is then drawn `draws` times and the answer is marked
    `sampled`, or, without declared draws, it is `off_menu` and says which option was missing.

    Parameters
    ----------
    base_url
        Up to and including the version, such as `http://localhost:8080/v1`.
    model
        Name of the model as the server knows it.
    api
        `chat` (the server applies the chat template) or `completions` (the prompt is sent as it
        is). With completions, options of several tokens are followed token by token.
    server
        `openai`, `llama-server`, `vllm`, `ollama` or `llama-cpp-python`: how constraints are
        given, and how the server's own truncation of the distribution is switched off.
    probabilities
        `logprobs`, or `sampled` for a server that gives none.
    draws
        Answers drawn per choice where probabilities are missing, 1 to 10,000; the error of a
        share p is sqrt(p (1 - p) / draws). `None` declares none.
    top
        Alternatives per token that are asked for, >= 2; OpenAI's limit is 20.
    answer_tokens
        Most tokens of a drawn answer, reasoning included; the longest option and a few by default.
    concurrency, timeout, retries, wait
        Most requests at once; seconds for one request; how often a transient failure (time-out,
        rate limit, server error, broken connection, garbage) is tried again; seconds before the
        first retry, doubled for each further one.
    api_key_env
        Name of the environment variable that holds the key. Keys appear in no file.
    extra
        Further fields of every request, such as `{"reasoning_effort": "low"}`; part of the key.
    revision
        What identifies the weights, such as a file hash. Where it is given, the same model under
        another address is the same model; without it the address is part of the identity.

    Raises
    ------
    BackendError
        A setting that cannot work; or the server refuses the key, the path or the model.
    MissingExtra
        httpx is not installed.

    Notes
    -----
    A server promises no equal bits: two runs that ask it anew may differ. What it answered is in
    the ledger, and a replay reads that. Notional prompt tokens are the server's own count.

    Examples
    --------
    >>> backend = OpenAICompatible("http://localhost:8080/v1", "qwen", server="llama-server")
    >>> backend.info["model"]
    'qwen'
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        api: Literal["chat", "completions"] = "chat",
        server: str = "openai",
        probabilities: Literal["logprobs", "sampled"] = "logprobs",
        draws: int | None = None,
        top: int = 20,
        answer_tokens: int | None = None,
        concurrency: int = 8,
        timeout: float = 120.0,
        retries: int = 4,
        wait: float = 1.0,
        api_key_env: str = "",
        extra: Mapping[str, Any] | None = None,
        revision: str = "",
    ) -> None:
        self.base_url, self.model, self.api = base_url.rstrip("/"), model, api
        self.probabilities, self.draws, self.top = probabilities, draws, top
        self.answer_tokens, self.api_key_env = answer_tokens, api_key_env
        self.extra, self.revision, self.server_name = dict(extra or {}), revision, server
        self._settings: dict[str, Any] = {
            "concurrency": concurrency, "timeout": timeout, "retries": retries, "wait": wait
        }  # fmt: skip
        self._check()
        check_settings(**self._settings)
        self.server = SERVERS[server]
        self._open()

    def _check(self) -> None:
        url = self.base_url
        http = url.startswith(("http://", "https://"))
        _expect(http, "base_url", url, "an address such as 'http://localhost:8080/v1'")
        wrong = check_address(url)
        _expect(not wrong, "base_url", url, f"such as 'http://localhost:8080/v1' ({wrong})")
        _expect(bool(self.model), "model", self.model, "the name of a model of the server")
        _expect(self.api in ("chat", "completions"), "api", self.api, "'chat' or 'completions'")
        _expect(self.server_name in SERVERS, "server", self.server_name, f"one of {list(SERVERS)}")
        known = self.probabilities in ("logprobs", "sampled")
        _expect(known, "probabilities", self.probabilities, "'logprobs' or 'sampled'")
        good = self.draws is None or 1 <= self.draws <= 10_000
        _expect(good, "draws", self.draws, "1 <= draws <= 10000, or none")
        needs = self.probabilities == "logprobs" or self.draws is not None
        _expect(needs, "draws", None, "draws = 20, say, because probabilities = 'sampled'")
        _expect(2 <= self.top <= 10_000, "top", self.top, "2 <= top <= 10000")
        few = self.answer_tokens is None or self.answer_tokens >= 1
        _expect(few, "answer_tokens", self.answer_tokens, "a number >= 1, or none")

    def _open(self) -> None:
        key = os.environ.get(self.api_key_env, "").strip() if self.api_key_env else ""
        said = f"the environment variable {self.api_key_env} is not set; it holds the server's key"
        require(bool(key) or not self.api_key_env, BackendError, said, value=self.api_key_env)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._transport = Transport(self.base_url, headers, **self._settings)

    @property
    def fingerprint(self) -> str:
        """Model, revision (or address), and every setting that can change an answer."""
        settings = {
            "api": self.api, "server": self.server_name, "probabilities": self.probabilities,
            "draws": self.draws, "top": self.top, "answer_tokens": self.answer_tokens,
            "extra": self.extra,
        }  # fmt: skip
        where = self.revision or self.base_url
        return f"openai:{self.model}@{where};{json.dumps(settings, sort_keys=True)}"

    @property
    def info(self) -> dict[str, Any]:
        """What a manifest says about this backend; plain values, no key."""
        return {
            "backend": "openai",
            "model": self.model,
            "base_url": self.base_url,
            "fingerprint": self.fingerprint,
            **self._settings,
        }

    def statistics(self) -> Traffic:
        """What was sent, what was retried and why, what failed."""
        return self._transport.statistics

    def ready(self) -> None:
        """Look whether the server is there, takes the key and has the model; a study does first.

        A server that is busy, or shows no list of its models, is taken at its word.

        Raises
        ------
        BackendError
            Nobody listens at `base_url`, the key is refused, the path is wrong or a web page, or
            the server names its models and this is none of them.
        """
        code, body = self._transport.look("/models")
        page = code == 200 and body is None
        _expect(
            not page,
            "base_url",
            self.base_url,
            "the address of a model's server, such as 'http://localhost:8080/v1' (/models under "
            "it is a page, no list)",
        )
        _expect(
            code != 404 or not self.server.lists,
            "base_url",
            self.base_url,
            "the address up to and including the version, such as 'http://localhost:8080/v1' "
            "(there is no /models under it)",
        )
        names = replies.models(body or {})
        known = not (self.server.only and names) or {self.model, f"{self.model}:latest"} & {*names}
        _expect(bool(known), "model", self.model, f"one that the server has: {names}")

    def lost(self) -> str:
        """Why it is of no use to go on asking; empty while it may be. Looks at a server that died.

        A study asks after each run, and leaves out the others that need a lost server.
        """
        return self._transport.lost()

    def abandon(self, abandoned: bool = True) -> None:
        """Have a batch that is under way raise a BackendError soon; or take requests again."""
        self._transport.abandon(abandoned)

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def __enter__(self) -> OpenAICompatible:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_transport"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._open()

    def __repr__(self) -> str:
        return f"OpenAICompatible({self.base_url!r}, {self.model!r})"

    # ------------------------------------------------------------------ the protocol

    def score(self, prompts: Sequence[Prompt], options: Sequence[Sequence[str]]) -> list[Scored]:
        """Score each prompt's own menu, `concurrency` prompts at a time."""
        pairs = [(safe_text(p), tuple(menu)) for p, menu in zip(prompts, options, strict=True)]
        return self._transport.each(self._score_one, pairs)

    def generate(
        self, prompts: Sequence[Prompt], constraints: Sequence[TextConstraint], seeds: Sequence[int]
    ) -> list[Generation]:
        """One text per prompt under its constraint and its own seed."""
        texts = [safe_text(prompt) for prompt in prompts]
        for constraint in dict.fromkeys(constraints):
            self.server.constraint(constraint, self.api)
        return self._transport.each(self._write_one, zip(texts, constraints, seeds, strict=True))

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors, shape (n_texts, n_dimensions).

        Raises
        ------
        BackendError
            The server gives no usable embeddings.
        """
        if not len(texts):
            return np.zeros((0, 0), dtype=np.float32)
        payload = {"model": self.model, "input": list(texts), **self.extra}
        found = self._transport.post("/embeddings", payload)
        rows = found.body.get("data") if isinstance(found, Reply) else None
        if not isinstance(rows, list) or len(rows) != len(texts):
            detail = found.detail if isinstance(found, Problem) else "no list `data` in the reply"
            raise BackendError(f"{self.base_url} gave no embeddings of {self.model!r}: {detail}")
        try:
            ordered = sorted(rows, key=lambda row: int(row["index"]))
            vectors = np.array([row["embedding"] for row in ordered], dtype=np.float64)
            vectors = vectors.reshape(len(texts), -1)
        except (KeyError, TypeError, ValueError) as error:
            raise BackendError(f"{self.base_url} gave no usable embeddings: {error!r}") from error
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        require(bool((norms > 0).all()), BackendError, "the server gave a vector of length zero")
        unit: NDArray[np.float32] = (vectors / norms).astype(np.float32)
        return unit

    def as_sent(self, prompt: Prompt) -> tuple[str, tuple[int, ...]]:
        """The text that is sent, before the server's chat template; a server shows no tokens."""
        return safe_text(prompt), ()

    def prompt_tokens(self, prompt: Prompt) -> int:
        """Notional cost for budgets, before the server has counted: a token per four bytes."""
        return max(1, math.ceil(len(safe_text(prompt).encode()) / 4))

    # ------------------------------------------------------------------ choices

    def _score_one(self, pair: tuple[str, tuple[str, ...]]) -> Scored:
        text, menu = pair
        if self.probabilities == "sampled":
            return self._draw_menu(text, menu, "")
        asked = _Asked()
        try:
            found = score_menu(
                menu, lambda start: self._next(text, start, asked), follows=self._follows
            )
        except _Failed as failed:
            return Scored(None, None, *asked.cost, failed.problem.status, failed.problem.detail)
        if not asked.probabilities:
            return self._without(text, menu, "the server gives no log-probabilities")
        if found.missing:
            return self._without(text, menu, _missing(menu, found))
        scores = tuple(score for score in found.scores if score is not None)
        mass = min(1.0, math.fsum(map(math.exp, scores)))
        return Scored(scores, mass, *asked.cost, detail=asked.history)

    @property
    def _follows(self) -> bool:
        return self.api == "completions"

    def _next(self, text: str, start: str, asked: _Asked) -> Next:
        payload = self._payload(text + start, 1, seed=0, temperature=1.0)
        if self.api == "chat":
            payload |= {"logprobs": True, "top_logprobs": self.top}
        else:
            payload["logprobs"] = self.top
        reply = self._sent(payload)
        asked.saw(reply, first=not start)
        tokens = replies.next_tokens(reply.body)
        asked.probabilities = asked.probabilities or tokens is not None
        return tokens or {}

    def _without(self, text: str, menu: tuple[str, ...], why: str) -> Scored:
        if self.draws is not None:
            return self._draw_menu(text, menu, why)
        said = f"{why}; set draws (20, say) to have such choices drawn and marked as sampled"
        return Scored(None, None, 0, 0, Status.OFF_MENU, said)

    def _draw_menu(self, text: str, menu: tuple[str, ...], why: str) -> Scored:
        """Shares among drawn answers. A count of zero stays zero: shares of draws are unbiased."""
        assert self.draws is not None
        asked, counts, cut = _Asked(), Counter[int | None](), 0
        limit = self.answer_tokens or 8 + max(len(option.encode()) for option in menu)
        for number in range(self.draws):
            seed = _seed(text, menu, number)
            payload = self._payload(text, limit, seed=seed, temperature=1.0)
            try:
                reply = self._sent(payload)
            except _Failed as failed:
                problem = failed.problem
                return Scored(None, None, *asked.cost, problem.status, problem.detail, Kind.SAMPLED)
            asked.saw(reply, first=number == 0)
            chosen = matched(replies.spoken(reply.body) or "", menu)
            counts[chosen] += 1
            cut += chosen is None and not replies.ended(reply.body)
        shares = [counts[k] / self.draws for k in range(len(menu))]
        said = f"{self.draws} draws" + (f" ({why})" if why else "")
        said += f", {cut} cut at answer_tokens = {limit} before an option" if cut else ""
        said += asked.history_after
        if not any(shares):
            return Scored(None, 0.0, *asked.cost, Status.OFF_MENU, said, Kind.SAMPLED)
        scores = tuple(math.log(share) if share else -math.inf for share in shares)
        return Scored(scores, math.fsum(shares), *asked.cost, detail=said, kind=Kind.SAMPLED)

    # ------------------------------------------------------------------ texts

    def _write_one(self, job: tuple[str, TextConstraint, int]) -> Generation:
        text, constraint, seed = job
        payload = self._payload(
            text, constraint.max_tokens, seed=int(seed), temperature=constraint.temperature
        ) | self.server.constraint(constraint, self.api)
        try:
            reply = self._sent(payload)
        except _Failed as failed:
            return Generation(None, 0, 0, failed.problem.status, failed.problem.detail)
        said, (n_in, n_out) = replies.spoken(reply.body), replies.usage(reply.body)
        history = "; ".join(reply.history)
        if said is None:
            return Generation(None, n_in, n_out, Status.BACKEND_ERROR, "the reply holds no text")
        if not replies.ended(reply.body):
            detail = f"no end of the turn within {constraint.max_tokens} tokens"
            return Generation(said, n_in, n_out, Status.TRUNCATED, detail)
        if constraint.json_schema is not None and not _is_json(said):
            return Generation(None, n_in, n_out, Status.INVALID, f"no JSON: {said[:80]!r}")
        return Generation(said, n_in, n_out, detail=history)

    # ------------------------------------------------------------------ requests

    def _payload(self, text: str, limit: int, *, seed: int, temperature: float) -> dict[str, Any]:
        ask: dict[str, Any] = (
            {"messages": [{"role": "user", "content": text}]}
            if self.api == "chat"
            else {"prompt": text}
        )
        common = {"model": self.model, "max_tokens": limit, "temperature": temperature}
        return ask | common | {"top_p": 1.0, "seed": seed} | dict(self.server.whole) | self.extra

    def _sent(self, payload: Mapping[str, Any]) -> Reply:
        path = "/chat/completions" if self.api == "chat" else "/completions"
        found = self._transport.post(path, payload)
        if isinstance(found, Problem):
            raise _Failed(found)
        return found


class _Failed(Exception):
    """A request of a menu or text ended without a reply."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


class _Asked:
    """What the requests of one choice cost, and what went wrong on the way."""

    def __init__(self) -> None:
        self.probabilities = False
        self._in = self._out = 0
        self._history: list[str] = []

    def saw(self, reply: Reply, *, first: bool) -> None:
        n_in, n_out = replies.usage(reply.body)
        self._in += n_in if first else 0
        self._out += n_out
        self._history += reply.history

    @property
    def cost(self) -> tuple[int, int]:
        """The prompt once, as if it were kept, and every token that was drawn."""
        return self._in, self._out

    @property
    def history(self) -> str:
        return "retried after " + "; ".join(self._history) if self._history else ""

    @property
    def history_after(self) -> str:
        return f"; {self.history}" if self._history else ""


def _missing(menu: Sequence[str], found: MenuScores) -> str:
    names = [menu[k] for k in found.missing]
    return f"{names} lie outside the returned tokens (the rarest had probability {found.least:.2g})"


def _seed(text: str, menu: Sequence[str], number: int) -> int:
    told = json.dumps([text, list(menu), number]).encode()
    return int.from_bytes(hashlib.sha256(told).digest()[:4], "big") >> 1


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _expect(good: bool, name: str, value: Any, expected: str) -> None:
    require(good, BackendError, f"{name} = {value!r}, expected {expected}", value=value)
