"""Serve the stand-in on loopback."""

import contextlib
import itertools
import os
import re
import socket
import ssl
import struct
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

from recall_audio.standin.meetings import ServedMeeting, meeting
from recall_audio.standin.routes import Fault, FaultScript, Reply, Response, Routes, StandInOptions

_CHUNK_BYTES = 1 << 16
_ARRIVE_S = 0.05
"""Seconds for sent bytes to arrive before a reset."""

_LINGER_FORMAT = "hh" if os.name == "nt" else "ii"


@dataclass(frozen=True, slots=True)
class Request:
    """A request that was received.

    Attributes:
        method: ``GET`` or ``POST``.
        path: path without the query.
        query: the query, or empty.
        headers: by lower-case name.
    """

    method: str
    path: str
    query: str
    headers: dict[str, str]


class StandIn:
    """Serves meetings as Recall.ai's API and media host do.

    A context manager.

    ::

        with StandIn([folder]) as server:
            ...  # RECALL_BASE_URL=server.base_url, RECALL_API_KEY=server.key
        server.requests                       # all requests so far

    Attributes:
        requests: every request so far, in order of arrival.
        created: bots that were created: the body sent, and the bot.
        bot_ids: the bots that have recordings.
        numbers: numbers of the answers, for their request ids.
    """

    def __init__(
        self,
        meetings: Sequence[Path | ServedMeeting],
        faults: Sequence[Fault] = (),
        options: StandInOptions | None = None,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        served = [m if isinstance(m, ServedMeeting) else meeting(m) for m in meetings]
        self._routes = Routes(served, options or StandInOptions())
        self.requests: list[Request] = []
        self.bot_ids = list(dict.fromkeys(m.bot_id for m in served))
        self.created = self._routes.created
        self.script = FaultScript(faults)
        self.closing = threading.Event()
        self.numbers = itertools.count(1)
        self._port, self._tls = port, tls
        self._server: _Server | None = None

    @property
    def key(self) -> str:
        """Return the key that is accepted."""
        return self._routes.options.key

    @property
    def origin(self) -> str:
        """Return scheme, host and port."""
        return self._routes.origin

    @property
    def base_url(self) -> str:
        """Return the value for ``RECALL_BASE_URL``."""
        return f"{self.origin}/api/v1"

    def __enter__(self) -> "StandIn":
        self._server = _Server(self, self._port)
        if self._tls is not None:
            self._server.socket = self._tls.wrap_socket(self._server.socket, server_side=True)
        scheme = "https" if self._tls else "http"
        self._routes.origin = f"{scheme}://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def hold(self, bot_id: str, held: ServedMeeting) -> ServedMeeting:
        """Let a bot that was created record a meeting, and return what is served of it from now on."""
        [made] = [bot["made"] for bot in self.created if bot["made"]["id"] == bot_id]
        content = held.content | {"bot_name": made["bot_name"], "bot_metadata": made["metadata"]}
        self._routes.meetings.append(replace(held, content=content, bot_id=bot_id))
        return self._routes.meetings[-1]

    def paths(self, containing: str = "") -> list[str]:
        """Return the requested paths that contain a text, in order."""
        return [r.path for r in list(self.requests) if containing in r.path]

    def answer(self, request: Request, body: bytes, reply: Reply) -> Response:
        """Return the answer to a request before `reply` is applied."""
        target = f"{request.path}?{request.query}" if request.query else request.path
        return self._routes.answer(request.method, target, request.headers, body, reply)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, standin: StandIn, port: int) -> None:
        self.standin = standin
        super().__init__(("127.0.0.1", port), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that closed the connection."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self._serve(b"")

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length") or "0"
        if re.fullmatch(r"[0-9]{1,9}", length):
            self._serve(self.rfile.read(int(length)))
        else:
            self.send_error(400)

    def __getattr__(self, name: str) -> Any:
        """Serve every other method alike, so that it is refused by the routes."""
        if name.startswith("do_"):
            return self.do_POST
        raise AttributeError(name)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing.

        Requests are kept in ``StandIn.requests``.
        """

    def _serve(self, body: bytes) -> None:
        path, _, query = self.path.partition("?")
        headers = {k.lower(): v for k, v in self.headers.items()}
        request = Request(self.command, path, query, headers)
        standin = self.server.standin
        standin.requests.append(request)
        reply = standin.script.next(self.command, self.path)
        right = standin.answer(request, body, reply)
        id_header = "x-amz-request-id" if path.startswith("/store/") else "x-request-id"
        right.headers.setdefault(id_header, f"standin-{next(standin.numbers):06d}")
        self._send(_with_reply(right, reply), reply)

    def _send(self, answer: Response, reply: Reply) -> None:
        self.send_response(answer.status)
        named = {k.lower() for k in answer.headers}
        for name, value in answer.headers.items():
            if value:
                self.send_header(name, value)
        if reply.endless or ("content-length" in named and not answer.headers.get("Content-Length")):
            self.send_header("Connection", "close")
        elif "content-length" not in named:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        with contextlib.suppress(OSError):
            body = b"" if self.command == "HEAD" else answer.body
            for chunk in self._chunks(body, reply):
                self.wfile.write(chunk)
        if reply.cut_at is not None or reply.endless or reply.reset:
            self._close_connection(reply.reset)

    def _chunks(self, body: bytes, reply: Reply) -> Iterator[bytes]:
        body = body if reply.cut_at is None else body[: reply.cut_at]
        size = reply.chunk_bytes or _CHUNK_BYTES
        closing = self.server.standin.closing
        while True:
            for start in range(0, len(body), size):
                yield body[start : start + size]
                if closing.wait(reply.pause_s) if reply.pause_s else closing.is_set():
                    return
            if not reply.endless:
                return

    def _close_connection(self, reset: bool) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.wfile.flush()
            if reset:
                # A reset discards what is in flight: let what was sent arrive first.
                self.server.standin.closing.wait(_ARRIVE_S)
                # Linger of zero seconds: the kernel sends RST instead of FIN.
                self.connection.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack(_LINGER_FORMAT, 1, 0)
                )
                self.connection.close()
            else:
                self.connection.shutdown(socket.SHUT_RDWR)


def _with_reply(answer: Response, reply: Reply) -> Response:
    """Return an answer with a reply applied."""
    return Response(
        answer.status if reply.status is None else reply.status,
        {**answer.headers, **reply.headers},
        answer.body if reply.body is None else reply.body,
    )


def serve_forever(folders: Sequence[Path], port: int = 8765) -> None:
    """Serve meeting folders until Ctrl-C, for trials by hand, and print the variables to set."""
    with StandIn(folders, port=port) as server:
        print(f"RECALL_BASE_URL={server.base_url} RECALL_API_KEY={server.key}")
        print("bots:", *server.bot_ids)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()
