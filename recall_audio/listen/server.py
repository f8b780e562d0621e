"""HTTP: requests in, answers out, and an end to whoever is too large, too slow or too many.

Tornado does the parsing, the waiting and the writing. Only this module knows it.
"""

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol

from tornado import httputil
from tornado.httpserver import HTTPServer

from recall_audio.listen.signatures import Claim, claims

_SLACK_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Limits:
    """How much anybody may ask of the listener.

    Attributes:
        body_bytes: longest body; status webhooks have about 1 kB.
        header_bytes: longest request line and headers together.
        header_s: time for request line and headers, seconds.
        body_s: time for the body, seconds.
        connections: open at once; one more is closed.
        pending: messages on their way to the disk at once; one more is told to come again.
    """

    body_bytes: int = 1 << 20
    header_bytes: int = 16 << 10
    header_s: float = 10.0
    body_s: float = 10.0
    connections: int = 256
    pending: int = 1000


class Answering(Protocol):
    """Who knows the answers: status and a few words."""

    limits: Limits

    async def answer(self, body: bytes, among: list[Claim]) -> tuple[int, str]:
        """To a message."""

    def health(self) -> tuple[int, str]:
        """To whoever asks how it goes."""


class _Exchange(httputil.HTTPMessageDelegate):
    """One request and its answer."""

    def __init__(self, listener: Answering, connection: httputil.HTTPConnection) -> None:
        self._listener, self._connection = listener, connection
        self._method = ""
        self._claims: list[Claim] = []
        self._body = bytearray()
        self._is_answered = False
        self._work: asyncio.Task[None] | None = None

    def headers_received(self, start_line: Any, headers: httputil.HTTPHeaders) -> None:
        self._method, self._claims = start_line.method, claims(headers)
        length = headers.get("Content-Length", "0")
        if length.isdecimal() and int(length[:16]) > self._listener.limits.body_bytes:
            self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too large")

    def data_received(self, chunk: bytes) -> None:
        self._body += chunk
        if len(self._body) > self._listener.limits.body_bytes and not self._is_answered:
            self._body.clear()
            self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too large")

    def finish(self) -> None:
        if self._method == "POST":
            self._work = asyncio.ensure_future(self._answered())
        elif self._method in ("GET", "HEAD"):
            self._answer(*self._listener.health())
        else:
            self._answer(HTTPStatus.METHOD_NOT_ALLOWED, "POST webhooks here")

    def on_connection_close(self) -> None:
        self._is_answered = True

    async def _answered(self) -> None:
        self._answer(*await self._listener.answer(bytes(self._body), self._claims))

    def _answer(self, status: int, words: str) -> None:
        if self._is_answered:
            return
        self._is_answered = True
        body = words.encode("ascii", "replace") + b"\n"
        headers = httputil.HTTPHeaders({"Content-Type": "text/plain", "Content-Length": str(len(body))})
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            headers["Retry-After"] = "5"
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            headers["Allow"] = "GET, HEAD, POST"
        start = httputil.ResponseStartLine("HTTP/1.1", int(status), HTTPStatus(status).phrase)
        self._connection.write_headers(start, headers, None if self._method == "HEAD" else body)
        self._connection.finish()


class _Exchanges(httputil.HTTPServerConnectionDelegate):
    """Begins an exchange for each request."""

    def __init__(self, listener: Answering) -> None:
        self._listener = listener

    def start_request(
        self, server_conn: object, request_conn: httputil.HTTPConnection
    ) -> httputil.HTTPMessageDelegate:
        return _Exchange(self._listener, request_conn)


class _Server(HTTPServer):
    """Tornado's server with a limit on connections."""

    most = 0
    _n_open = 0

    def handle_stream(self, stream: Any, address: Any) -> None:
        if self._n_open >= self.most:
            stream.close()
            return
        self._n_open += 1
        super().handle_stream(stream, address)

    def on_close(self, server_conn: object) -> None:
        self._n_open -= 1
        super().on_close(server_conn)


def server_for(listener: Answering) -> HTTPServer:
    """A server that asks `listener` what to answer; not listening yet."""
    limits = listener.limits
    server = _Server(
        _Exchanges(listener),
        # One request a connection: a proxy that keeps one open would use it just when we end it.
        no_keep_alive=True,
        max_header_size=limits.header_bytes,
        idle_connection_timeout=limits.header_s,
        body_timeout=limits.body_s,
        max_body_size=limits.body_bytes + _SLACK_BYTES,
        max_buffer_size=limits.body_bytes + _SLACK_BYTES,
    )
    server.most = limits.connections
    return server
