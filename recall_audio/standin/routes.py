"""Requests to answers: which path of the API or the store gives what."""

import base64
import json
import threading
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from recall_audio.standin import answers, store
from recall_audio.standin.faults import Reply
from recall_audio.standin.meetings import MISSING, ServedMeeting
from recall_audio.standin.store import Response


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

    def __init__(self, meetings: Sequence[ServedMeeting], terms: Terms) -> None:
        self.meetings = list(meetings)
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
            return answers.bot(own, self._artifact) if own else None
        for meeting in self.meetings:
            if collection == "recording" and meeting.recording_id == object_id:
                return answers.recording_alone(meeting, self._artifact)
            has_it = collection in answers.KINDS and meeting.state.of(collection) != MISSING
            if has_it and meeting.artifact_id(collection) == object_id:
                return self._artifact(meeting, collection)
        return None

    def _bots(self, asked: dict[str, list[str]]) -> Any:
        """One page of the bots that are asked for, numbered."""
        ids = dict.fromkeys(m.bot_id for m in self.meetings)
        rows = [row for bot_id in ids if answers.matches(row := self._one("bot", bot_id), asked)]
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
                rows.append(answers.recording_alone(meeting, self._artifact))
            elif collection in answers.KINDS and meeting.state.of(collection) != MISSING:
                rows += [answers.stale(meeting, collection, n) for n in range(meeting.state.stale)]
                rows.append(self._artifact(meeting, collection))
        if collection not in ("recording", *answers.KINDS):
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
        return answers.artifact(meeting, kind, code, self.sign if has_url else None)

    def sign(self, path: str) -> str:
        """A signed address of a path in the store."""
        with self._lock:
            self._signed += 1
            life_s = self.terms.url_life_s if self._signed > self.terms.ended_urls else -60.0
        return store.signed(self.origin, path, self._secret, int(time.time() + life_s))

    def _from_store(self, target: str, headers: dict[str, str], reply: Reply) -> Response:
        refusal = store.denied(target, headers, self._secret, time.time())
        if refusal is not None:
            return refusal
        _, _, recording_id, *rest = urlsplit(target).path.split("/")
        meeting = next((m for m in self.meetings if m.recording_id == recording_id), None)
        body = None if meeting is None else self._content(meeting, "/".join(rest))
        return (
            store.xml(404, "NoSuchKey", "No such key.") if body is None else store.file(body, headers, reply)
        )

    def _content(self, meeting: ServedMeeting, name: str) -> bytes | None:
        if name == "parts.json":
            return json.dumps(answers.parts(meeting, self.sign)).encode()
        if name.endswith(".json"):
            return json.dumps(answers.events(meeting, name.removesuffix(".json"))).encode()
        files: dict[str, Path] = {meeting.mix_file.name: meeting.mix_file}
        files |= {f"parts/{path.name}": path for path in meeting.part_files}
        path = files.get(name)
        return path.read_bytes() if path is not None and path.is_file() else None


def _json(status: int, value: Any) -> Response:
    return Response(status, {"Content-Type": "application/json"}, json.dumps(value).encode())
