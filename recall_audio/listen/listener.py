"""Serve webhooks over HTTP: verify each, put it into the queue, answer once it is on the disk.

::

    POST, any path   200 queued, known or ignored; 401 not verified; 413 too large; 503 send again
    GET, HEAD        200 the queue can be written to; 503 it cannot

Nothing is processed in a request. A sender that gets no 2xx in time (Svix allows 15 s) sends again.

Recall signs as Svix and Standard Webhooks do (docs.svix.com, "Verifying webhooks manually";
github.com/standard-webhooks/standard-webhooks, "Signature scheme")::

    signed content   ID.TIMESTAMP.BODY                        the body's bytes as they came
    signature        v1,BASE64(HMAC-SHA256(key, content))     several, one blank between: old key, new key
    secret           whsec_BASE64(key)

The headers are ``webhook-id``, ``webhook-timestamp``, ``webhook-signature``, or the same with ``svix-``. A
message that was signed more than five minutes ago, or ahead, is refused: it may be a replay.
"""

import asyncio
import base64
import binascii
import logging
import math
import os
import re
import socket
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from threading import Event
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler, stream_request_body

from recall_audio.environment import WEBHOOK_SECRET_VARIABLE, read_variables
from recall_audio.errors import MachineError, RecallAudioError, UsageError
from recall_audio.listen import queue as events
from recall_audio.listen.queue import Queue

_log = logging.getLogger(__name__)

_SECRET_PREFIX = "whsec_"  # noqa: S105 - what secrets begin with
_SHORTEST_KEY_BYTES = 16
"""Length below which a secret is taken for a mistake, in bytes."""
_HEADER_PREFIXES = ("webhook", "svix")
_MAX_SIGNATURES = 16
"""Signatures of one message that are compared; a sender that replaces a secret gives two."""
_MESSAGE_ID = re.compile(r"[!-~]{1,200}")
_TIMESTAMP = re.compile(r"[0-9]{1,15}")
_SIGNATURE = re.compile(r"v1,[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=")
# 32 bytes in canonical base64: of the last digit's bits only the upper four are used.


@dataclass(frozen=True, slots=True)
class Secrets:
    """The keys that webhooks are signed with.

    Attributes:
        keys: several while a secret is replaced, or where a workspace has one and an endpoint another.
    """

    keys: tuple[bytes, ...] = field(repr=False)

    @staticmethod
    def from_environment() -> "Secrets":
        """Read ``RECALL_WEBHOOK_SECRET`` from the environment or ``.env``.

        Several secrets are separated by blanks or commas.

        Raises:
            UsageError: there is none, or one is malformed. No message holds any of it.
        """
        words = read_variables().get(WEBHOOK_SECRET_VARIABLE, "").replace(",", " ").split()
        if not words:
            raise UsageError(
                f"{WEBHOOK_SECRET_VARIABLE} is not set; without a webhook secret no message can be verified.",
                "Copy it from Recall.ai's dashboard into the environment or a .env file in this folder.",
                code="no_webhook_secret",
            )
        return Secrets(tuple(_parse_secret(word) for word in words))


def _parse_secret(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(_SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) < _SHORTEST_KEY_BYTES:
        raise UsageError(
            f"{WEBHOOK_SECRET_VARIABLE} holds no webhook secret: expected {_SECRET_PREFIX} and base64.",
            "Copy it again from Recall.ai's dashboard.",
            code="bad_webhook_secret",
        )
    return key


def signature_headers(headers: Mapping[str, str]) -> list[dict[str, str]]:
    """Return a request's sets of signature headers, under ``webhook-`` names.

    Args:
        headers: names in any case that `headers` itself finds.

    Returns:
        One mapping for each prefix of which all three headers are there.
    """
    found = []
    for prefix in _HEADER_PREFIXES:
        message_id, timestamp, signatures = (
            headers.get(f"{prefix}-{name}", "") for name in ("id", "timestamp", "signature")
        )
        if _MESSAGE_ID.fullmatch(message_id) and _TIMESTAMP.fullmatch(timestamp) and signatures:
            signatures = " ".join(filter(_SIGNATURE.fullmatch, signatures.split()[:_MAX_SIGNATURES]))
            values = {"id": message_id, "timestamp": timestamp, "signature": signatures}
            found.append({f"webhook-{name}": value for name, value in values.items()})
    return found


def verified_id(body: bytes, header_sets: list[dict[str, str]], secrets: Secrets) -> str:
    """Verify a message and return its id.

    Args:
        body: the body's bytes as they came.
        header_sets: as :func:`signature_headers` returns them; one that is right is enough.
        secrets: the keys; one that is right is enough.

    Raises:
        WebhookVerificationError: no signature is right, or its time is more than five minutes off.
    """
    problem = WebhookVerificationError(
        "it has no valid signature headers; create a secret in Recall.ai's dashboard"
    )
    for headers in header_sets:
        for key in secrets.keys:
            try:
                Webhook(key).verify(body, headers, json_parse=False)
            except (WebhookVerificationError, ValueError) as error:  # ValueError: the body is not UTF-8
                problem = _described(error)
            else:
                return headers["webhook-id"]
    raise problem


def _described(error: Exception) -> WebhookVerificationError:
    if "too old" in str(error) or "too new" in str(error):
        return WebhookVerificationError("its time is more than 5 minutes off; check this machine's clock")
    return WebhookVerificationError("its signature does not match; check the secret")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a sender may use up.

    Attributes:
        body_bytes: longest body; status webhooks have about 1 kB.
        header_bytes: longest request line and headers together.
        header_s: time for request line and headers, seconds.
        body_s: time for the body, seconds.
        connections: open at once; one more is closed.
        pending: messages on their way to the disk at once; one more is answered 503.
    """

    body_bytes: int = 1 << 20
    header_bytes: int = 16 << 10
    header_s: float = 10.0
    body_s: float = 10.0
    connections: int = 256
    pending: int = 1000


_POLL_S = 0.1
_SHUTDOWN_S = 5.0
"""Wait for messages on their way to the disk when the listener ends, seconds."""
_SAME_WARNING_EVERY_S = 60.0
_WRITERS = 8
"""Threads that write entries: each waits for the disk most of the time."""
_BUFFER_SLACK_BYTES = 1 << 16
"""By how much tornado's own limits are above ours, so that ours, which answer 413, apply first."""
_RETRY_AFTER_S = 5
"""Seconds after which a sender that got 503 should send again."""


@dataclass
class Listener:
    """A server that takes webhooks on a port.

    Attributes:
        queue: takes what the messages say.
        secrets: keys that messages are signed with.
        limits: what a sender may use up.
    """

    queue: Queue
    secrets: Secrets
    limits: Limits = field(default_factory=Limits)
    _writers: list[ThreadPoolExecutor] = field(default_factory=list)
    _pending: int = 0
    _warned: dict[str, float] = field(default_factory=dict)

    def serve(self, host: str, port: int, stop: Event, ready: Callable[[int], None]) -> None:
        """Listen until `stop` is set, then finish what has come in, and return.

        Args:
            host: name or address to listen on.
            port: 0 takes a free one.
            stop: ends it within a second or so.
            ready: called with the port once messages are taken.

        Raises:
            MachineError: ``cannot_listen``: the port is taken or not allowed.
        """
        asyncio.run(self._serve(host, port, stop, ready))

    async def _serve(self, host: str, port: int, stop: Event, ready: Callable[[int], None]) -> None:
        sockets = _bind(host, port)
        # All messages of a bot go to one writer, so that no two of them overwrite each other.
        self._writers = [ThreadPoolExecutor(1) for _ in range(_WRITERS)]
        server = _make_server(self)
        server.add_sockets(sockets)
        ready(sockets[0].getsockname()[1])
        while not stop.is_set():
            await asyncio.sleep(_POLL_S)
        server.stop()
        deadline = time.monotonic() + _SHUTDOWN_S
        while self._pending and time.monotonic() < deadline:
            await asyncio.sleep(_POLL_S / 10)
        await server.close_all_connections()
        for writer in self._writers:
            writer.shutdown()

    async def answer(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, str]:
        """Return the status and a few words for a message."""
        try:
            message_id = verified_id(body, signature_headers(headers), self.secrets)
        except WebhookVerificationError as error:
            self.warn(f"A message was refused: {error}.")
            return HTTPStatus.UNAUTHORIZED, "not verified"
        event = events.parse_event(body, message_id)
        if isinstance(event, events.IgnoredMessage):
            subscribe = "" if event.is_odd else f" Subscribe to {', '.join(events.WANTED)}."
            every_s = _SAME_WARNING_EVERY_S if event.is_odd else math.inf
            self.warn(f"A signed message was ignored: {event.reason}.{subscribe}", every_s)
            return HTTPStatus.OK, f"ignored: {event.reason}"
        if self._pending >= self.limits.pending:
            return HTTPStatus.SERVICE_UNAVAILABLE, "too many messages at once"
        return await self._add(event)

    async def _add(self, event: events.BotEvent) -> tuple[int, str]:
        writer = self._writers[hash(event.bot_id) % len(self._writers)]
        self._pending += 1
        try:
            loop = asyncio.get_running_loop()
            is_new = await loop.run_in_executor(writer, partial(self.queue.add, event))
        except RecallAudioError as error:
            self.warn(str(error))
            return HTTPStatus.SERVICE_UNAVAILABLE, "cannot be queued now"
        except Exception as error:  # noqa: BLE001 - whatever it is, the sender has to send again
            self.warn(f"A message could not be queued ({type(error).__name__}).")
            return HTTPStatus.SERVICE_UNAVAILABLE, "cannot be queued now"
        finally:
            self._pending -= 1
        _log.info("message %s: bot %s %s", event.message_id, event.bot_id, "queued" if is_new else "known")
        return HTTPStatus.OK, "queued" if is_new else "known already"

    def health(self) -> tuple[int, str]:
        """Return the status and a word: whether messages can be queued."""
        is_writable = os.access(self.queue.folder, os.W_OK | os.X_OK)
        if is_writable:
            return HTTPStatus.OK, "ok"
        return HTTPStatus.SERVICE_UNAVAILABLE, "the queue is not there"

    def warn(self, text: str, every_s: float = _SAME_WARNING_EVERY_S) -> None:
        """Log a warning, the same one at most once a minute, or once for all."""
        now = time.monotonic()
        if now - self._warned.get(text, -math.inf) >= every_s:
            self._warned[text] = now
            _log.warning("%s", text)


@stream_request_body
class _WebhookHandler(RequestHandler):
    """Answers one request, and refuses a body that is too large."""

    SUPPORTED_METHODS = ("GET", "HEAD", "POST")

    def initialize(self, listener: Listener) -> None:
        """Keep what tornado passes on from the routing table."""
        self._listener = listener
        self._body = bytearray()

    def set_default_headers(self) -> None:
        """Remove the server's name, and set plain text."""
        self.clear_header("Server")
        self.set_header("Content-Type", "text/plain")

    def prepare(self) -> None:
        """Refuse a body whose declared length is too large."""
        length = self.request.headers.get("Content-Length", "0")
        if length.isdecimal() and int(length[:16]) > self._listener.limits.body_bytes:
            self._respond(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too large")

    def data_received(self, chunk: bytes) -> None:
        """Collect the body, and refuse it once it has become too large."""
        self._body += chunk
        if len(self._body) > self._listener.limits.body_bytes and not self._finished:
            self._body.clear()
            self._respond(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too large")

    async def post(self) -> None:
        """Answer a message."""
        status, words = await self._listener.answer(bytes(self._body), self.request.headers)
        self._respond(status, words)

    def get(self) -> None:
        """Answer whether messages can be queued."""
        self._respond(*self._listener.health())

    head = get

    def _respond(self, status: int, words: str) -> None:
        if self._finished or self.request.connection is None:
            return
        self.set_status(status)
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            self.set_header("Retry-After", str(_RETRY_AFTER_S))
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            self.set_header("Allow", ", ".join(self.SUPPORTED_METHODS))
        self.finish(words.encode("ascii", "replace") + b"\n")

    def compute_etag(self) -> None:
        """Send no entity tag."""

    def write_error(self, status_code: int, **_: Any) -> None:
        """Answer in a few words that repeat nothing of the request."""
        is_method = status_code == HTTPStatus.METHOD_NOT_ALLOWED
        self._respond(status_code, "POST webhooks here" if is_method else HTTPStatus(status_code).phrase)

    def log_exception(self, kind: Any, error: Any, trace: Any) -> None:
        """Log an error's kind alone: its text may hold something of the request."""
        if (
            getattr(error, "status_code", HTTPStatus.INTERNAL_SERVER_ERROR)
            >= HTTPStatus.INTERNAL_SERVER_ERROR
        ):
            self._listener.warn(f"A request failed ({kind.__name__}).")


class _LimitedServer(HTTPServer):
    """Tornado's server with a limit on connections."""

    max_connections = 0
    _n_open = 0

    def handle_stream(self, stream: Any, address: Any) -> None:
        if self._n_open >= self.max_connections:
            stream.close()
            return
        self._n_open += 1
        super().handle_stream(stream, address)

    def on_close(self, server_conn: object) -> None:
        self._n_open -= 1
        super().on_close(server_conn)


def _make_server(listener: Listener) -> HTTPServer:
    """Return a server that asks `listener` for answers and does not listen yet."""
    limits = listener.limits
    handler = (r".*", _WebhookHandler, {"listener": listener})
    server = _LimitedServer(
        Application([handler], log_function=lambda _: None),
        # One request a connection: a proxy that keeps one open would use it just when this side ends it.
        no_keep_alive=True,
        max_header_size=limits.header_bytes,
        idle_connection_timeout=limits.header_s,
        body_timeout=limits.body_s,
        max_body_size=limits.body_bytes + _BUFFER_SLACK_BYTES,
        max_buffer_size=limits.body_bytes + _BUFFER_SLACK_BYTES,
    )
    server.max_connections = limits.connections
    return server


def _bind(host: str, port: int) -> list[socket.socket]:
    try:
        return bind_sockets(port, host)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
    raise MachineError(
        f"Cannot listen on {host} port {port}: {reason}.", "Choose another --port.", code="cannot_listen"
    )
