"""Answer requests as the API and its media host do, with scripted faults."""

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

from recall_audio.model.new_bot import check_body, platform_of
from recall_audio.standin import meetings
from recall_audio.standin.meetings import ServedMeeting

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass(frozen=True, slots=True)
class Reply:
    """Changes to one answer.

    Fields at their defaults leave the right answer as it is.

    Attributes:
        status: another status.
        headers: headers that are set; an empty value removes a header.
        body: another body.
        cut_at: bytes of the body sent before the connection ends; ``Content-Length`` stays.
        reset: end the connection with RST instead of FIN.
        chunk_bytes: bytes sent at once; 0 sends everything at once.
        pause_s: pause after each chunk, seconds.
        endless: repeat the body until the client closes the connection; no ``Content-Length``.
        ignore_range: answer 200 with the whole file to a request for a range.
        shift_bytes: offset of the answered range from the requested one, bytes.
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
"""The reply that leaves the answer unchanged."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A script of replies for the requests whose path and query match.

    Attributes:
        path: regular expression, searched in path and query.
        replies: one for each matching request, in order; later requests get the right answer.
        forever: repeat the last reply for all later requests.
        method: match requests with this method only.
    """

    path: str
    replies: Sequence[Reply]
    forever: bool = False
    method: str = "GET"


class FaultScript:
    """Returns each fault's replies in order.

    Safe for several threads.
    """

    def __init__(self, faults: Sequence[Fault]) -> None:
        self._lock = threading.Lock()
        self._faults = [(fault, list(fault.replies)) for fault in faults]

    def next(self, method: str, target: str) -> Reply:
        """Return the reply for a request, :data:`RIGHT` where no fault matches or all are used up."""
        with self._lock:
            for fault, replies in self._faults:
                if replies and fault.method == method and re.search(fault.path, target):
                    return replies[0] if fault.forever and len(replies) == 1 else replies.pop(0)
        return RIGHT


@dataclass(frozen=True, slots=True)
class Response:
    """An answer before faults are applied.

    Attributes:
        status: HTTP status.
        headers: headers, ``Content-Length`` excluded.
        body: the body.
    """

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


def signed(origin: str, path: str, secret: str, expires: int) -> str:
    """Return a signed URL like those of AWS Signature Version 2."""
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
    """Return the media host's refusal of a request, or None where it is valid."""
    query = {k: v[-1] for k, v in parse_qs(urlsplit(target).query).items()}
    path, expires = urlsplit(target).path, query.get("Expires", "")
    if "authorization" in headers:
        return xml(400, "InvalidArgument", "Only one auth mechanism allowed")
    if not expires.isdigit():
        return xml(403, "AccessDenied", "Access Denied")
    if not hmac.compare_digest(query.get("Signature", ""), _signature(path, secret, int(expires))):
        return xml(403, "SignatureDoesNotMatch", "The request signature we calculated does not match")
    if now > int(expires):
        return xml(403, "AccessDenied", "Request has expired")
    return None


def xml(status: int, code: str, message: str) -> Response:
    """Return an error as the media host writes them."""
    error = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n{error}'.encode()
    return Response(status, {"Content-Type": "application/xml"}, body)


def file(body: bytes, headers: dict[str, str], reply: Reply) -> Response:
    """Return a file, or the range of it that ``Range`` and ``If-Match`` request."""
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
class StandInOptions:
    """Options of the stand-in.

    Attributes:
        key: the only key that is accepted.
        page_size: rows on each page of a list.
        url_life_s: lifetime of a signed URL, seconds.
        ended_urls: number of the first URLs that have ended when they are given out.
    """

    key: str = "standin-key"
    page_size: int = 50
    url_life_s: float = 6 * 3600.0
    ended_urls: int = 0


class Routes:
    """Answers requests for some meetings, and counts how often each artifact was shown."""

    def __init__(self, served: Sequence[ServedMeeting], options: StandInOptions) -> None:
        self.meetings = list(served)
        self.options = options
        self.origin = ""
        self.created: list[dict[str, Any]] = []
        self._secret = uuid.uuid5(uuid.NAMESPACE_URL, options.key).hex
        self._shown: Counter[tuple[str, str]] = Counter()
        self._signed = 0
        self._lock = threading.Lock()

    def answer(
        self, method: str, target: str, headers: dict[str, str], body: bytes, reply: Reply
    ) -> Response:
        """Return the answer to a request.

        `reply` may change which range of a file it holds.
        """
        path = urlsplit(target).path
        if path.startswith("/store/"):
            return self._from_media_host(target, headers, reply)
        if headers.get("authorization") not in (f"Token {self.options.key}", self.options.key):
            return _json(401, {"code": "authentication_failed", "detail": "Invalid API token."})
        if not path.endswith("/"):
            return Response(301, {"Location": f"{path}/"})
        pieces = [p for p in path.removeprefix("/api/v1").split("/") if p]
        if method == "POST":
            return self._create(pieces, headers, body)
        if method != "GET":
            return _not_allowed(method, pieces)
        return self._read(pieces, parse_qs(urlsplit(target).query, keep_blank_values=True))

    def _read(self, pieces: list[str], query: dict[str, list[str]]) -> Response:
        """Return a list, or one object."""
        last = {k: v[-1] for k, v in query.items()}
        if wrong := meetings.wrong_query(last):
            return _json(400, wrong)
        if pieces == ["bot"]:
            found: Any = self._list_bots(query)
        else:
            found = (
                self._retrieve(*pieces) if len(pieces) == 2 else self._list(pieces[0] if pieces else "", last)
            )
        return _json(404, {"detail": "Not found."}) if found is None else _json(200, found)

    def _create(self, pieces: list[str], headers: Mapping[str, str], body: bytes) -> Response:
        """Answer a POST: a bot is created, or all media of one are deleted."""
        if len(pieces) == 3 and pieces[::2] == ["bot", "delete_media"]:
            return self._delete_media(pieces[1])
        if pieces != ["bot"]:
            return _not_allowed("POST", pieces)
        sent = _parsed(headers, body)
        if isinstance(sent, Response):
            return sent
        problems, _ = check_body(sent)
        if sent.get("join_at") is not None and not problems and meetings.time_of(sent["join_at"]) is None:
            problems = ["join_at is expected to be a time"]
        if problems:
            return _json(400, {p.partition(" ")[0]: [p] for p in problems})
        made: dict[str, Any] = {
            "id": str(uuid.uuid4()),
            "meeting_url": meetings.meeting_url(platform_of(sent["meeting_url"]) or "zoom"),
        }
        made |= {"bot_name": sent.get("bot_name", "Meeting Notetaker"), "join_at": sent.get("join_at")}
        made |= {"recordings": [], "status_changes": [meetings.status_change(0.0, "ready")]}
        made |= {"calendar_meetings": [], "slack_team": None}
        asked = ("recording_config", "variant", "automatic_leave", "chat", "zoom", "google_meet")
        made |= {key: sent[key] for key in asked if key in sent}
        made["metadata"] = sent.get("metadata", {})
        self.created.append({"sent": sent, "made": made})
        return _json(201, made)

    def _delete_media(self, bot_id: str) -> Response:
        """Delete all media of a bot for good."""
        with self._lock:
            concerned = [i for i, m in enumerate(self.meetings) if m.bot_id == bot_id]
            for i in concerned:
                self.meetings[i] = self.meetings[i].without_media()
        return Response(200) if concerned else _json(404, {"detail": "Not found."})

    def _retrieve(self, collection: str, object_id: str) -> Any:
        if collection == "bot":
            recordings = [m for m in self.meetings if m.bot_id == object_id]
            created = (bot["made"] for bot in self.created if bot["made"]["id"] == object_id)
            return meetings.bot(recordings, self._artifact) if recordings else next(created, None)
        for meeting in self.meetings:
            if collection == "recording" and meeting.recording_id == object_id:
                return meetings.recording_alone(meeting, self._artifact)
            has_it = collection in meetings.KINDS and meeting.has(collection)
            if has_it and meeting.artifact_id(collection) == object_id:
                return self._artifact(meeting, collection)
        return None

    def _list_bots(self, query: dict[str, list[str]]) -> Any:
        """Return one numbered page of the bots that match a query."""
        ids = dict.fromkeys([*(m.bot_id for m in self.meetings), *(b["made"]["id"] for b in self.created)])
        rows = [row for bot_id in ids if meetings.matches(row := self._retrieve("bot", bot_id), query)]
        number = query.get("page", ["1"])[-1]
        page = int(number) if re.fullmatch(r"[0-9]{1,6}", number) else 0
        start, size = (page - 1) * self.options.page_size, self.options.page_size
        if page < 1 or (page > 1 and start >= len(rows)):
            return None
        rest = urlencode({**query, "page": [str(page + 1)]}, doseq=True)
        more = f"{self.origin}/api/v1/bot/?{rest}" if start + size < len(rows) else None
        return {"count": len(rows), "next": more, "previous": None, "results": rows[start : start + size]}

    def _list(self, collection: str, query: dict[str, str]) -> Any:
        rows: list[Any] = []
        for meeting in self.meetings:
            if query.get("recording_id", meeting.recording_id) != meeting.recording_id:
                continue
            if collection == "recording" and query.get("bot_id", meeting.bot_id) == meeting.bot_id:
                rows.append(meetings.recording_alone(meeting, self._artifact))
            elif collection in meetings.KINDS and meeting.has(collection):
                rows += [meetings.stale(meeting, collection, n) for n in range(meeting.state.stale)]
                rows.append(self._artifact(meeting, collection))
        if collection not in ("recording", *meetings.KINDS):
            return None
        rows = [r for r in rows if query.get("status_code") in (None, r["status"]["code"])]
        start = _cursor_start(query.pop("cursor", "MA=="))
        if start is None:
            return None
        size = self.options.page_size
        cursor = base64.urlsafe_b64encode(str(start + size).encode()).decode()
        rest = "".join(f"&{k}={v}" for k, v in sorted(query.items()))
        more = (
            f"{self.origin}/api/v1/{collection}/?cursor={cursor}{rest}" if start + size < len(rows) else None
        )
        return {"next": more, "previous": None, "results": rows[start : start + size]}

    def _artifact(self, meeting: ServedMeeting, kind: str) -> dict[str, Any]:
        with self._lock:
            shown = self._shown[meeting.recording_id, kind]
            self._shown[meeting.recording_id, kind] += 1
        state = meeting.state
        code = "processing" if shown < state.looks else state.of(kind)
        has_url = shown >= state.looks + state.null_urls
        return meetings.artifact(meeting, kind, code, self.sign if has_url else None)

    def sign(self, path: str) -> str:
        """Return a signed URL of a path at the media host."""
        with self._lock:
            self._signed += 1
            life_s = self.options.url_life_s if self._signed > self.options.ended_urls else -60.0
        return signed(self.origin, path, self._secret, int(time.time() + life_s))

    def _from_media_host(self, target: str, headers: dict[str, str], reply: Reply) -> Response:
        refusal = denied(target, headers, self._secret, time.time())
        if refusal is not None:
            return refusal
        _, _, recording_id, *rest = urlsplit(target).path.split("/")
        meeting = next((m for m in self.meetings if m.recording_id == recording_id), None)
        is_gone = meeting is None or meeting.state.recording == "deleted"
        body = None if meeting is None or is_gone else self._content(meeting, "/".join(rest))
        return xml(404, "NoSuchKey", "No such key.") if body is None else file(body, headers, reply)

    def _content(self, meeting: ServedMeeting, name: str) -> bytes | None:
        if name == "parts.json":
            return json.dumps(meetings.parts(meeting, self.sign)).encode()
        if name.endswith(".json"):
            return json.dumps(meetings.events(meeting, name.removesuffix(".json"))).encode()
        files: dict[str, Path] = {f.name: f for f in (meeting.video_file, meeting.mix_file)}
        files |= {f"parts/{path.name}": path for path in meeting.part_files}
        path = files.get(name)
        return path.read_bytes() if path is not None and path.is_file() else None


def _cursor_start(cursor: str) -> int | None:
    """Return the first row of a page, or None where the cursor is not one of ours."""
    try:
        text = base64.urlsafe_b64decode(cursor).decode("ascii")
    except ValueError:
        return None
    return int(text) if re.fullmatch(r"[0-9]{1,6}", text) else None


def _parsed(headers: Mapping[str, str], body: bytes) -> dict[str, Any] | Response:
    """Return the object that was sent, or the refusal of what is none."""
    kind = headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind != "application/json":
        return _json(415, {"detail": f'Unsupported media type "{kind}" in request.'})
    try:
        sent = json.loads(body)
    except (ValueError, RecursionError):
        return _json(400, {"detail": "JSON parse error - expected a value."})
    refusal = _json(400, {"non_field_errors": ["Invalid data. Expected a dictionary."]})
    return sent if isinstance(sent, dict) else refusal


def _not_allowed(method: str, pieces: Sequence[str]) -> Response:
    """Return the refusal of a method, with those that this path has."""
    allowed = "GET, POST" if pieces == ["bot"] else "POST" if pieces[2:] == ["delete_media"] else "GET"
    refused = _json(405, {"detail": f'Method "{method}" not allowed.'})
    return Response(405, refused.headers | {"Allow": allowed}, refused.body)


def _json(status: int, value: Any) -> Response:
    return Response(status, {"Content-Type": "application/json"}, json.dumps(value).encode())
