"""Status webhooks as Recall sends them through Svix: signed, and sent again until somebody answers 2xx."""

import base64
import contextlib
import hashlib
import hmac
import http.client
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from recall_audio.standin import meetings
from recall_audio.standin.meetings import ServedMeeting

SECRET = "whsec_" + base64.b64encode(b"a stand-in's webhook secret").decode()
"""A secret for trying things out: everybody knows it."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message; its id stays the same however often it is sent.

    Attributes:
        message_id: its id.
        body: its bytes.
    """

    message_id: str
    body: bytes

    def headers(
        self, secret: str = SECRET, at: float | None = None, prefix: str = "webhook"
    ) -> dict[str, str]:
        """The headers of one attempt to deliver it.

        Args:
            secret: ``whsec_`` and base64.
            at: when it is signed, seconds since the epoch; now by default.
            prefix: ``webhook`` or, in older workspaces, ``svix``.
        """
        stamp = str(int(time.time() if at is None else at))
        key = base64.b64decode(secret.removeprefix("whsec_"))
        signed = b".".join([self.message_id.encode(), stamp.encode(), self.body])
        signature = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
        values = {"id": self.message_id, "timestamp": stamp, "signature": f"v1,{signature}"}
        named = {f"{prefix}-{name}": value for name, value in values.items()}
        return {"Content-Type": "application/json", "User-Agent": "Svix-Webhooks/1", **named}


def message(event: str, ids: Mapping[str, str], message_id: str) -> Message:
    """A status webhook's message.

    Args:
        event: e.g. ``audio_separate.done``.
        ids: ids by what they are of: ``bot``, ``recording``, ``audio_separate``, ``audio_mixed``.
        message_id: the message's own id.
    """
    status: dict[str, Any] = {"data": meetings.status(event.rpartition(".")[2], None)}
    about = {what: {"id": value, "metadata": {}} for what, value in ids.items()}
    return Message(message_id, json.dumps({"event": event, "data": status | about}).encode())


def messages(meeting: ServedMeeting) -> list[Message]:
    """What Recall sends once a meeting's audio is done: a message an artifact, and one for the recording."""
    ids = {"recording": meeting.recording_id, "bot": meeting.bot_id}
    made = [("recording.done", ids)]
    for kind in ("audio_mixed", "audio_separate"):
        made.insert(-1, (f"{kind}.done", {kind: meeting.artifact_id(kind), **ids}))
    return [message(event, about, f"msg_{event}_{meeting.recording_id}") for event, about in made]


@dataclass(slots=True)
class Sender:
    """Delivers messages to one address.

    Attributes:
        url: where to.
        secret: what they are signed with.
        timeout_s: an answer that takes longer counts as none, seconds.
        took_s: how long each answer took, seconds.
    """

    url: str
    secret: str = SECRET
    timeout_s: float = 15.0
    took_s: list[float] = field(default_factory=list)

    def once(self, what: Message, **altered: str) -> int:
        """Deliver a message once; gives the status of the answer, 0 where there was none.

        Args:
            what: the message.
            altered: headers set on top, ``-`` in their names written as ``_``.
        """
        parts = urlsplit(self.url)
        to = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=self.timeout_s)
        headers = what.headers(self.secret) | {k.replace("_", "-"): v for k, v in altered.items()}
        began = time.monotonic()
        with contextlib.closing(to):
            try:
                to.request("POST", parts.path or "/", what.body, headers)
                status = to.getresponse().status
            except (OSError, http.client.HTTPException):
                return 0
        self.took_s.append(time.monotonic() - began)
        return status

    def until_taken(self, what: Message, wait_s: float = 0.05, attempts: int = 400) -> int:
        """Deliver a message until the answer is 2xx; gives the last status. Svix waits longer in between."""
        status = 0
        for _ in range(attempts):
            status = self.once(what)
            if 200 <= status < 300:
                break
            time.sleep(wait_s)
        return status
