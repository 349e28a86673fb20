"""A server of the OpenAI protocol in a thread, whose behaviour the test writes down."""

from __future__ import annotations

import json
import math
import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Behaviour = Callable[["Exchange"], None]


class Exchange:
    """One request and the means to answer it."""

    def __init__(
        self, handler: BaseHTTPRequestHandler, number: int, payload: dict[str, Any]
    ) -> None:
        self.handler, self.number, self.payload, self.path = handler, number, payload, handler.path

    @property
    def text(self) -> str:
        messages = self.payload.get("messages")
        return messages[0]["content"] if messages else self.payload["prompt"]

    def send(self, body: Any, code: int = 200, **headers: str) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.handler.send_response(code)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.handler.send_header(name.replace("_", "-"), value)
        self.handler.end_headers()
        self.handler.wfile.write(content)

    def say(self, text: str, *, finish: str = "stop", n_in: int = 10, n_out: int = 3) -> None:
        message = {"message": {"role": "assistant", "content": text}, "finish_reason": finish}
        self.send({"choices": [message], "usage": used(n_in, n_out)})

    def tokens(self, probabilities: dict[str, float]) -> None:
        """First-token alternatives, in the form of the API that was asked."""
        logs = {text: math.log(p) for text, p in probabilities.items()}
        if "messages" in self.payload:
            top = [{"token": text, "logprob": value} for text, value in logs.items()]
            held: Any = {"content": [{"top_logprobs": top}]}
        else:
            held = {"top_logprobs": [logs]}
        first = max(probabilities, key=probabilities.__getitem__)
        choice = {"text": first, "message": {"content": first}, "logprobs": held}
        self.send({"choices": [choice], "usage": used(10, 1)})

    def break_off(self) -> None:
        """Reset the connection in the middle of a body."""
        self.handler.send_response(200)
        self.handler.send_header("Content-Length", "1000")
        self.handler.end_headers()
        self.handler.wfile.write(b'{"choices": [')
        self.handler.wfile.flush()
        self.drop()

    def drop(self) -> None:
        """Break the connection without a word."""
        self.handler.connection.shutdown(socket.SHUT_RDWR)
        self.handler.close_connection = True


def used(n_in: int, n_out: int) -> dict[str, int]:
    return {"prompt_tokens": n_in, "completion_tokens": n_out}


class FakeServer:
    """Answers each request by `behaviour(exchange)`; counts requests and how many ran at once."""

    def __init__(self, behaviour: Behaviour, port: int = 0) -> None:
        self.behaviour, self.seen = behaviour, []
        self.listing: tuple[int, Any] = (501, {})  # what it says about its models
        self.running = self.most_running = 0
        self.lock = threading.Lock()
        self.release = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # header and body are two writes

            def do_POST(self) -> None:
                outer.handle(self)

            def do_GET(self) -> None:
                code, body = outer.listing
                Exchange(self, -1, {}).send(body, code)

            def log_message(self, *_: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.http.daemon_threads = True
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http.server_address[1]}/v1"

    def handle(self, handler: BaseHTTPRequestHandler) -> None:
        payload = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        with self.lock:
            exchange = Exchange(handler, len(self.seen), payload)
            self.seen.append(exchange)
            self.running += 1
            self.most_running = max(self.most_running, self.running)
        try:
            self.behaviour(exchange)
        except (BrokenPipeError, ConnectionResetError, ValueError):
            pass
        finally:
            with self.lock:
                self.running -= 1

    def hang(self, _: Exchange) -> None:
        """Hold the request until the test is over."""
        self.release.wait(30)

    def trickle(self, exchange: Exchange) -> None:
        """One byte at a time, for ever: no single wait is long."""
        exchange.handler.send_response(200)
        exchange.handler.send_header("Content-Length", "100000")
        exchange.handler.end_headers()
        while not self.release.is_set():
            exchange.handler.wfile.write(b" ")
            exchange.handler.wfile.flush()
            time.sleep(0.02)

    def trickle_headers(self, exchange: Exchange) -> None:
        """One byte of a header at a time, for ever."""
        exchange.handler.send_response(200)
        exchange.handler.flush_headers()
        while not self.release.is_set():
            exchange.handler.wfile.write(b"X")
            exchange.handler.wfile.flush()
            time.sleep(0.02)

    def __enter__(self) -> FakeServer:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.release.set()
        self.http.shutdown()
        self.http.server_close()
