"""Answer requests as the API and its media host would, with faults where a script wants them."""

import base64
import hashlib
import hmac
import json
import re
import threading
import time
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from recall_audio.standin import meetings
from recall_audio.standin.meetings import MISSING, ServedMeeting

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer, wrong on purpose. What is not given stays as in the right answer.

    Attributes:
        status: another status.
        headers: headers set on top; an empty value takes a header away.
        body: another body.
        cut_at: bytes of the body that are sent before the connection ends; ``Content-Length`` stays.
        reset: end the connection with RST instead of FIN.
        chunk_bytes: bytes sent at once; 0 sends everything at once.
        pause_s: pause after each chunk, seconds.
        endless: repeat the body until the other side has had enough; no ``Content-Length``.
        ignore_range: answer 200 with the whole file to a request for a range.
        shift_bytes: answer a range that begins so many bytes off.
    """

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    cut_at: int | None = None
    reset: bool = False
    chunk_bytes: int = 0
    pause_s: float = 0.0
    endless: bool = False
    ignore_range: bool = False
    shift_bytes: int = 0


RIGHT = Reply()
"""The right answer."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A script for the requests whose path and query match.

    Attributes:
        path: regular expression, searched in path and query.
        replies: the first request gets the first, and so on; then all is well again.
        forever: the last reply goes on for ever instead.
        method: requests with this method only.
    """

    path: str
    replies: Sequence[Reply]
    forever: bool = False
    method: str = "GET"


class FaultScript:
    """Hands out each fault's replies in order; safe for several threads."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self._lock = threading.Lock()
        self._faults = [(f, list(f.replies)) for f in faults]

    def next(self, method: str, target: str) -> Reply:
        """The reply for a request; :data:`RIGHT` where no fault matches or all are used up."""
        with self._lock:
            for fault, left in self._faults:
                if left and fault.method == method and re.search(fault.path, target):
                    return left[0] if fault.forever and len(left) == 1 else left.pop(0)
        return RIGHT


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


@dataclass(frozen=True, slots=True)
class Terms:
    """How the stand-in behaves.

    Attributes:
        key: the only key that is taken.
        page_size: rows on each page of a list.
        url_life_s: how long a signed address lives, seconds.
        ended_urls: so many of the first addresses have ended when they are given out.
    """

    key: str = "standin-key"
    page_size: int = 50
    url_life_s: float = 6 * 3600.0
    ended_urls: int = 0


class Routes:
    """Answers requests for some meetings; keeps count of what was shown how often."""

    def __init__(self, served: Sequence[ServedMeeting], terms: Terms) -> None:
        self.meetings = list(served)
        self.terms = terms
        self.origin = ""
        self.created: list[dict[str, Any]] = []
        self._secret = uuid.uuid5(uuid.NAMESPACE_URL, terms.key).hex
        self._shown: Counter[tuple[str, str]] = Counter()
        self._signed = 0
        self._lock = threading.Lock()

    def answer(
        self, method: str, target: str, headers: dict[str, str], body: bytes, reply: Reply
    ) -> Response:
        """The right answer to a request, as far as `reply` lets it be right."""
        path = urlsplit(target).path
        if path.startswith("/store/"):
            return self._from_store(target, headers, reply)
        if headers.get("authorization") not in (f"Token {self.terms.key}", self.terms.key):
            return _json(401, {"code": "authentication_failed", "detail": "Invalid API token."})
        if not path.endswith("/"):
            return Response(301, {"Location": f"{path}/"})
        pieces = [p for p in path.removeprefix("/api/v1").split("/") if p]
        if method == "POST":
            return self._create(pieces, body)
        several = parse_qs(urlsplit(target).query)
        asked = {k: v[-1] for k, v in several.items()}
        if pieces == ["bot"]:
            found: Any = self._bots(several)
        else:
            found = self._one(*pieces) if len(pieces) == 2 else self._many(pieces[0] if pieces else "", asked)
        return _json(404, {"detail": "Not found."}) if found is None else _json(200, found)

    def _create(self, pieces: list[str], body: bytes) -> Response:
        asked = json.loads(body)
        if pieces != ["bot"] or "meeting_url" not in asked:
            return _json(400, {"meeting_url": ["This field is required."]})
        made: dict[str, Any] = {
            "id": str(uuid.uuid4()),
            "meeting_url": {"meeting_id": "81234567890", "platform": "zoom"},
        }
        made |= {"bot_name": asked.get("bot_name", "Meeting Notetaker"), "join_at": asked.get("join_at")}
        made |= {"recordings": [], "status_changes": [], "calendar_meetings": [], "slack_team": None}
        made |= {"recording_config": asked.get("recording_config"), "metadata": {}}
        self.created.append({"sent": asked, "made": made})
        return _json(201, made)

    def _one(self, collection: str, object_id: str) -> Any:
        if collection == "bot":
            own = [m for m in self.meetings if m.bot_id == object_id]
            return meetings.bot(own, self._artifact) if own else None
        for meeting in self.meetings:
            if collection == "recording" and meeting.recording_id == object_id:
                return meetings.recording_alone(meeting, self._artifact)
            has_it = collection in meetings.KINDS and meeting.state.of(collection) != MISSING
            if has_it and meeting.artifact_id(collection) == object_id:
                return self._artifact(meeting, collection)
        return None

    def _bots(self, asked: dict[str, list[str]]) -> Any:
        """One page of the bots that are asked for, numbered."""
        ids = dict.fromkeys(m.bot_id for m in self.meetings)
        rows = [row for bot_id in ids if meetings.matches(row := self._one("bot", bot_id), asked)]
        page = int(asked.get("page", ["1"])[-1])
        start, size = (page - 1) * self.terms.page_size, self.terms.page_size
        if page < 1 or (page > 1 and start >= len(rows)):
            return None
        rest = urlencode({**asked, "page": [str(page + 1)]}, doseq=True)
        more = f"{self.origin}/api/v1/bot/?{rest}" if start + size < len(rows) else None
        return {"count": len(rows), "next": more, "previous": None, "results": rows[start : start + size]}

    def _many(self, collection: str, asked: dict[str, str]) -> Any:
        rows: list[Any] = []
        for meeting in self.meetings:
            if asked.get("recording_id", meeting.recording_id) != meeting.recording_id:
                continue
            if collection == "recording" and asked.get("bot_id", meeting.bot_id) == meeting.bot_id:
                rows.append(meetings.recording_alone(meeting, self._artifact))
            elif collection in meetings.KINDS and meeting.state.of(collection) != MISSING:
                rows += [meetings.stale(meeting, collection, n) for n in range(meeting.state.stale)]
                rows.append(self._artifact(meeting, collection))
        if collection not in ("recording", *meetings.KINDS):
            return None
        try:
            at = int(base64.urlsafe_b64decode(asked.pop("cursor", "MA==")))
        except ValueError:
            return None
        size = self.terms.page_size
        cursor = base64.urlsafe_b64encode(str(at + size).encode()).decode()
        rest = "".join(f"&{k}={v}" for k, v in sorted(asked.items()))
        more = f"{self.origin}/api/v1/{collection}/?cursor={cursor}{rest}" if at + size < len(rows) else None
        return {"next": more, "previous": None, "results": rows[at : at + size]}

    def _artifact(self, meeting: ServedMeeting, kind: str) -> dict[str, Any]:
        with self._lock:
            shown = self._shown[meeting.recording_id, kind]
            self._shown[meeting.recording_id, kind] += 1
        state = meeting.state
        code = "processing" if shown < state.looks else state.of(kind)
        has_url = shown >= state.looks + state.null_urls
        return meetings.artifact(meeting, kind, code, self.sign if has_url else None)

    def sign(self, path: str) -> str:
        """A signed address of a path in the store."""
        with self._lock:
            self._signed += 1
            life_s = self.terms.url_life_s if self._signed > self.terms.ended_urls else -60.0
        return signed(self.origin, path, self._secret, int(time.time() + life_s))

    def _from_store(self, target: str, headers: dict[str, str], reply: Reply) -> Response:
        refusal = denied(target, headers, self._secret, time.time())
        if refusal is not None:
            return refusal
        _, _, recording_id, *rest = urlsplit(target).path.split("/")
        meeting = next((m for m in self.meetings if m.recording_id == recording_id), None)
        body = None if meeting is None else self._content(meeting, "/".join(rest))
        return xml(404, "NoSuchKey", "No such key.") if body is None else file(body, headers, reply)

    def _content(self, meeting: ServedMeeting, name: str) -> bytes | None:
        if name == "parts.json":
            return json.dumps(meetings.parts(meeting, self.sign)).encode()
        if name.endswith(".json"):
            return json.dumps(meetings.events(meeting, name.removesuffix(".json"))).encode()
        files: dict[str, Path] = {meeting.mix_file.name: meeting.mix_file}
        files |= {f"parts/{path.name}": path for path in meeting.part_files}
        path = files.get(name)
        return path.read_bytes() if path is not None and path.is_file() else None


def _json(status: int, value: Any) -> Response:
    return Response(status, {"Content-Type": "application/json"}, json.dumps(value).encode())
