"""Send HTTP requests through two separate sessions that can be shut down at once.

The API's session sends the key to the API's own origin and nowhere else. The media host's session has no key,
no cookies, and ignores ``~/.netrc``. Neither follows redirects. Both honour the proxies and CA bundles of the
environment.

Errors of requests are replaced by the package's own, which never hold a URL's query or a header. Those of
requests hold the URL and the headers, and so the key and the signature, also in ``__context__`` and when
pickled: the package's own are built from safe words and raised outside the ``except`` block.
"""

import contextlib
import logging
import re
import socket
import ssl
import threading
import time
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
import requests.adapters
import urllib3
from requests.auth import AuthBase

from recall_audio.errors import ItemError, MachineError, RecallAudioError, TransientError
from recall_audio.fetch.http import urls
from recall_audio.fetch.http.retry import TransferPolicy


class BoundToken(AuthBase):
    """Signs requests to one origin with the key, and refuses to sign any other."""

    def __init__(self, key: str, origin: urls.Origin, scheme: str = "Token") -> None:
        self._key, self._origin, self._scheme = key, origin, scheme

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Sign `request`.

        Raise ItemError ``url_not_allowed`` for any other origin.
        """
        scheme, host, _ = origin = urls.split(request.url or "")[1]
        if origin != self._origin or not (scheme == "https" or urls.is_loopback(host)):
            message = "Refused to send the key to another host than the API's, or unencrypted."
            raise ItemError(message, code="url_not_allowed")
        request.headers["Authorization"] = f"{self._scheme} {self._key}"
        return request

    def __repr__(self) -> str:
        return "BoundToken(...)"


class Unsigned(AuthBase):
    """Signs nothing, and thereby keeps requests from using ``~/.netrc``."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Remove any signature from `request`."""
        request.headers.pop("Authorization", None)
        return request


class Sockets:
    """All open sockets, so that another thread can end waits on them."""

    def __init__(self) -> None:
        self._open: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._is_shut = False
        self._lock = threading.Lock()

    def add(self, sock: socket.socket | None) -> None:
        """Register a socket.

        One that comes after :meth:`shut` is ended at once.
        """
        if sock is None:
            return
        with self._lock:
            self._open.add(sock)
            is_shut = self._is_shut
        if is_shut:
            _end(sock)

    def shut(self) -> None:
        """End every read and write under way."""
        with self._lock:
            self._is_shut = True
            still_open = list(self._open)
        for sock in still_open:
            _end(sock)


@contextlib.contextmanager
def _deadline(sock: socket.socket | None, limit_s: float | None) -> Iterator[None]:
    """End a socket if the block takes longer than `limit_s`.

    A time limit of the socket's own counts anew with each byte that comes.

    Raises:
        TimeoutError: it took longer; what was read until then may look like a short answer.
    """
    if sock is None or limit_s is None:
        yield
        return
    is_late = threading.Event()

    def end() -> None:
        is_late.set()
        _end(sock)

    timer = threading.Timer(limit_s, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
    if is_late.is_set():
        raise TimeoutError


def _end(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


class _WatchedAdapter(requests.adapters.HTTPAdapter):
    """An adapter whose connections register their sockets."""

    def __init__(self, sockets: Sockets, **kwargs: Any) -> None:
        self._pools = _watched_pools(sockets)
        super().__init__(**kwargs)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        if not proxy.lower().startswith("socks"):
            manager.pool_classes_by_scheme = self._pools
        return manager


def _watched_pools(sockets: Sockets) -> dict[str, Any]:
    """Return urllib3's connection pools with connections that register their socket."""

    class Plain(urllib3.connection.HTTPConnection):
        def connect(self) -> None:
            super().connect()
            sockets.add(self.sock)

        def getresponse(self) -> Any:
            with _deadline(self.sock, self.timeout):
                return super().getresponse()

    class Secure(urllib3.connection.HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            connected = super()._new_conn()
            # The handshake takes the socket over; a copy of it still ends the connection.
            copy = self._on_secured.enter_context(connected.dup())
            sockets.add(copy)
            limit_s = HANDSHAKE_LIMITS * self.timeout if isinstance(self.timeout, int | float) else None
            self._on_secured.enter_context(_deadline(copy, limit_s))
            return connected

        def connect(self) -> None:
            with contextlib.ExitStack() as self._on_secured:
                super().connect()
            sockets.add(self.sock)

        def getresponse(self) -> Any:
            with _deadline(self.sock, self.timeout):
                return super().getresponse()

    class PlainPool(urllib3.HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(urllib3.HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


class _DirectSession(requests.Session):
    """A session that reaches this machine itself without a proxy, whatever the environment says."""

    def merge_environment_settings(self, url: Any, *arguments: Any, **more: Any) -> Any:
        """Return the settings for a URL, without a proxy for loopback."""
        merged = super().merge_environment_settings(url, *arguments, **more)
        if urls.is_loopback(urls.split(str(url))[1][1]):
            merged["proxies"] = {}
        return merged


def session(sockets: Sockets, auth: AuthBase, at_once: int) -> requests.Session:
    """Return a session without cookies that signs with `auth` and never retries by itself."""
    made = _DirectSession()
    made.headers.clear()
    made.headers.update({"User-Agent": "recall-audio", "Accept-Encoding": "identity"})
    made.auth = auth
    made.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    for scheme in ("https://", "http://"):
        made.mount(scheme, _WatchedAdapter(sockets, max_retries=0, pool_maxsize=max(at_once, 1)))
    return made


class _NoQueries(logging.Filter):
    """Removes the query, which holds signatures, from every URL that urllib3 logs."""

    _QUERY = re.compile(r"\?[^\s\"')>]*")

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = self._QUERY.sub("?...", record.getMessage())
        record.args, record.exc_info, record.exc_text = (), None, None
        return True


for _name in ("connectionpool", "connection", "util.retry", "poolmanager", "response"):
    logging.getLogger(f"urllib3.{_name}").addFilter(_NoQueries())


_BLOCK_BYTES = 1 << 16
HANDSHAKE_LIMITS = 3.0
"""Time limits of a connection, each counted anew with every byte, within which it has to be secured."""
_REQUEST_IDS = ("x-request-id", "x-amz-request-id", "x-amzn-requestid", "cf-ray")
_log = logging.getLogger(__name__)
FAILURES = (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError)
"""What requests and urllib3 raise for a failing network, server or setting."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request.

    Attributes:
        method: ``GET`` or ``POST``.
        url: the full URL; never shown.
        headers: headers beside the session's.
        body: JSON to send, or None.
        form: fields of a form to send.
        files: files of the form: field to name, content and type.
    """

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    form: tuple[tuple[str, str], ...] = ()
    files: Mapping[str, tuple[str, bytes, str]] | None = field(default=None, repr=False)


@contextlib.contextmanager
def open_response(
    session: requests.Session, call: Call, limits: TransferPolicy
) -> Iterator[requests.Response]:
    """Send `call` and yield the answer, its body still unread.

    Raises:
        TransientError: no connection, or it broke.
        MachineError: the server's certificate cannot be checked on this machine.
    """
    began = time.monotonic()
    try:
        response = session.request(
            call.method,
            call.url,
            headers=dict(call.headers),
            json=call.body,
            data=list(call.form) or None,
            files=call.files,
            timeout=(limits.connect_s, limits.read_s),
            allow_redirects=False,
            stream=True,
        )
    except FAILURES as error:
        failure = safe_error(error, call.url)
    else:
        _log_exchange(call, response, time.monotonic() - began)
        with response:
            yield response
        return
    _log.info("%s %s failed: %s", call.method, urls.shown(call.url), failure.message)
    raise failure


def _log_exchange(call: Call, response: requests.Response, seconds: float) -> None:
    """Log an exchange, with the id under which the server's support finds it."""
    known = next((response.headers[n] for n in _REQUEST_IDS if n in response.headers), "")
    request_id = "".join(c for c in known[:80] if c.isascii() and c.isprintable())
    facts = {"status": response.status_code, "ms": round(1000 * seconds), "request_id": request_id}
    _log.info(
        "%s %s: %d in %d ms%s",
        call.method,
        urls.shown(call.url),
        facts["status"],
        facts["ms"],
        f", request {request_id}" if request_id else "",
        extra={"facts": facts},
    )


def blocks(response: requests.Response, url: str, decode: bool = False) -> Iterator[bytes]:
    """Yield the body as it arrives, in blocks of at most 64 KiB that the socket had ready.

    Raises:
        TransientError: the connection broke, stalled, or ended before the announced length.
    """
    while True:
        try:
            block = response.raw.read1(_BLOCK_BYTES, decode_content=decode)
        except FAILURES as error:
            failure = safe_error(error, url)
            break
        if not block:
            return
        yield block
    raise failure


def capped_body(response: requests.Response, url: str, most_bytes: int, longest_s: float) -> bytes:
    """Return the decoded body.

    Raises:
        ItemError: ``too_large``: it holds more than `most_bytes`.
        TransientError: ``slow``: it did not end within `longest_s` seconds; ``network``.
    """
    body = bytearray()
    ends_at = time.monotonic() + longest_s
    sock = getattr(getattr(response.raw, "connection", None), "sock", None)
    try:
        with _deadline(sock, longest_s):
            for block in blocks(response, url, decode=True):
                body += block
                if len(body) > most_bytes:
                    raise ItemError(
                        f"{urls.shown(url)} sent more than {most_bytes} bytes, the most accepted here.",
                        code="too_large",
                    )
                if time.monotonic() >= ends_at:
                    break
    except (TransientError, TimeoutError):
        if time.monotonic() < ends_at:
            raise
    if time.monotonic() < ends_at:
        return bytes(body)
    message = f"{urls.shown(url)} did not send its answer within {longest_s:.0f} s."
    raise TransientError(message, "Run again later.", code="slow")


def safe_error(error: BaseException, url: str) -> RecallAudioError:
    """Return the package's own error for one of requests or urllib3.

    Of `url`, it holds the host only.
    """
    host = urls.shown(url).split("://")[-1].split("/")[0]
    causes = list(_chain(error))
    if any(isinstance(e, ssl.SSLCertVerificationError) for e in causes):
        return MachineError(
            f"The certificate of {host} cannot be verified on this machine.",
            "Behind a proxy that inspects TLS, set REQUESTS_CA_BUNDLE to its certificate.",
            code="tls",
        )
    if _is_bad_ca_bundle(error):
        return MachineError(
            "The certificate file that REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names cannot be read.",
            "Correct or unset it.",
            code="tls",
        )
    kind = type(error).__name__
    return TransientError(f"The connection to {host} failed ({kind}).", "Run again later.", code="network")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and every error wrapped in it."""
    todo: list[BaseException] = [error]
    seen: set[int] = set()
    while todo:
        current = todo.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        inner = [current.__cause__, current.__context__, getattr(current, "reason", None), *current.args]
        todo += [e for e in inner if isinstance(e, BaseException)]


def _is_bad_ca_bundle(error: BaseException) -> bool:
    """Return whether the CA bundle is missing or holds no certificate.

    requests raises an OSError for the first, ssl an SSLError for the second.
    """
    if isinstance(error, requests.RequestException):
        return any(isinstance(e, ssl.SSLError) and "NO_CERTIFICATE" in str(e.args) for e in _chain(error))
    return type(error) is OSError and "CA certificate bundle" in str(error)
