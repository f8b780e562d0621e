"""One HTTP exchange: requests' exceptions in, the package's own out, never with an address or a header.

requests' exceptions hold the URL and the headers, and so the key and the signature, also in ``__context__``
and when pickled: ours are built from safe words and raised outside the ``except`` block.
"""

import contextlib
import logging
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import requests
import urllib3

from recall_audio.errors import ItemError, MachineError, RecallAudioError, TransientError
from recall_audio.fetch.http import urls
from recall_audio.fetch.http.limits import TransferPolicy

_BLOCK = 1 << 16
_REQUEST_IDS = ("x-request-id", "x-amz-request-id", "x-amzn-requestid", "cf-ray")
_log = logging.getLogger(__name__)
FAILURES = (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError)
"""Whatever requests and urllib3 raise for a network, a server or a setting that misbehaves."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request.

    Attributes:
        method: ``GET`` or ``POST``.
        url: the whole address; never shown.
        headers: headers beside the session's.
        body: JSON to send, or None.
    """

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None


@contextlib.contextmanager
def opened(session: requests.Session, call: Call, limits: TransferPolicy) -> Iterator[requests.Response]:
    """The answer to `call`, its body still unread; closed at the end.

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
            timeout=(limits.connect_s, limits.read_s),
            allow_redirects=False,
            stream=True,
        )
    except FAILURES as error:
        failure = plain(error, call.url)
    else:
        _tell(call, response, time.monotonic() - began)
        with response:
            yield response
        return
    _log.info("%s %s failed: %s", call.method, urls.shown(call.url), failure.message)
    raise failure


def _tell(call: Call, response: requests.Response, seconds: float) -> None:
    """Log an exchange, with the id under which the other side's support finds it."""
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
    """The body as it arrives, at most 64 KiB at a time; each block is what the socket had.

    Raises:
        TransientError: the connection broke, stalled, or ended before the length it had named.
    """
    while True:
        try:
            block = response.raw.read1(_BLOCK, decode_content=decode)
        except FAILURES as error:
            failure = plain(error, url)
            break
        if not block:
            return
        yield block
    raise failure


def capped_body(response: requests.Response, url: str, most_bytes: int) -> bytes:
    """The decoded body, unless it is larger than `most_bytes` (ItemError ``too_large``)."""
    body = bytearray()
    for block in blocks(response, url, decode=True):
        body += block
        if len(body) > most_bytes:
            raise ItemError(
                f"{urls.shown(url)} sent more than {most_bytes} bytes where less was due.", code="too_large"
            )
    return bytes(body)


def plain(error: BaseException, url: str) -> RecallAudioError:
    """The package's own error for what requests or urllib3 raised; holds the host, nothing else of `url`."""
    host = urls.shown(url).split("://")[-1].split("/")[0]
    causes = list(_chain(error))
    if any(isinstance(e, ssl.SSLCertVerificationError) for e in causes):
        return MachineError(
            f"The certificate of {host} cannot be verified on this machine.",
            "Behind a proxy that opens TLS, set REQUESTS_CA_BUNDLE to its certificate.",
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
    """An error and everything wrapped in it."""
    todo: list[BaseException] = [error]
    seen: set[int] = set()
    while todo:
        one = todo.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        inner = [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]
        todo += [e for e in inner if isinstance(e, BaseException)]


def _is_bad_ca_bundle(error: BaseException) -> bool:
    """A bundle that is not there is a bare OSError of requests; one without a certificate is ssl's."""
    if isinstance(error, requests.RequestException):
        return any(isinstance(e, ssl.SSLError) and "NO_CERTIFICATE" in str(e.args) for e in _chain(error))
    return type(error) is OSError and "CA certificate bundle" in str(error)
