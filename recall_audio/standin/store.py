"""The stand-in's store: signed addresses that end, and files with ranges and ETags."""

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlencode, urlsplit

from recall_audio.standin.faults import Reply

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass(frozen=True, slots=True)
class Response:
    """An answer before faults.

    Attributes:
        status: HTTP status.
        headers: headers, ``Content-Length`` excluded.
        body: the body.
    """

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


def signed(origin: str, path: str, secret: str, expires: int) -> str:
    """An address in the manner of SigV2: access key, signature, token, end."""
    query = {
        "AWSAccessKeyId": "AKIASTANDIN",
        "Signature": _signature(path, secret, expires),
        "x-amz-security-token": base64.b64encode(f"token {secret}".encode()).decode(),
        "Expires": str(expires),
    }
    return f"{origin}{path}?{urlencode(query)}"


def _signature(path: str, secret: str, expires: int) -> str:
    digest = hmac.new(secret.encode(), f"GET\n{expires}\n{path}".encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


def denied(target: str, headers: dict[str, str], secret: str, now: float) -> Response | None:
    """The store's refusal of a request, or None where it is in order."""
    asked = {k: v[-1] for k, v in parse_qs(urlsplit(target).query).items()}
    path, expires = urlsplit(target).path, asked.get("Expires", "")
    if "authorization" in headers:
        return xml(400, "InvalidArgument", "Only one auth mechanism allowed")
    if not expires.isdigit():
        return xml(403, "AccessDenied", "Access Denied")
    if not hmac.compare_digest(asked.get("Signature", ""), _signature(path, secret, int(expires))):
        return xml(403, "SignatureDoesNotMatch", "The request signature we calculated does not match")
    if now > int(expires):
        return xml(403, "AccessDenied", "Request has expired")
    return None


def xml(status: int, code: str, message: str) -> Response:
    """An error in the store's manner."""
    error = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n{error}'.encode()
    return Response(status, {"Content-Type": "application/xml"}, body)


def file(body: bytes, headers: dict[str, str], reply: Reply) -> Response:
    """A file, whole or from a byte on, as ``Range`` and ``If-Match`` ask."""
    etag = f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
    known = {"ETag": etag, "Accept-Ranges": "bytes", "Content-Type": "binary/octet-stream"}
    if headers.get("if-match", etag) != etag:
        return xml(412, "PreconditionFailed", "At least one of the pre-conditions did not hold")
    found = _RANGE.fullmatch(headers.get("range", ""))
    if not found or reply.ignore_range:
        return Response(200, known, body)
    start = int(found.group(1))
    if start >= len(body):
        return xml(416, "InvalidRange", "The requested range is not satisfiable")
    end = min(int(found.group(2) or len(body)), len(body) - 1)
    start = max(start + reply.shift_bytes, 0)
    known["Content-Range"] = f"bytes {start}-{end}/{len(body)}"
    return Response(206, known, body[start : end + 1])
