"""Send signed status webhooks, repeated until an answer 2xx, as Recall.ai does by Svix."""

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
"""A secret for trials; it is public."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message.

    Its id stays the same when it is sent again.

    Attributes:
        message_id: its id.
        body: its bytes.
    """

    message_id: str
    body: bytes

    def headers(
        self, secret: str = SECRET, signed_at: float | None = None, prefix: str = "webhook"
    ) -> dict[str, str]:
        """Return the headers of one delivery.

        Args:
            secret: ``whsec_`` and base64.
            signed_at: time of the signature, seconds since the epoch; now by default.
            prefix: ``webhook`` or, in older workspaces, ``svix``.
        """
        stamp = str(int(time.time() if signed_at is None else signed_at))
        key = base64.b64decode(secret.removeprefix("whsec_"))
        signed = b".".join([self.message_id.encode(), stamp.encode(), self.body])
        signature = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
        values = {"id": self.message_id, "timestamp": stamp, "signature": f"v1,{signature}"}
        named = {f"{prefix}-{name}": value for name, value in values.items()}
        return {"Content-Type": "application/json", "User-Agent": "Svix-Webhooks/1", **named}


def message(event: str, ids: Mapping[str, str], message_id: str) -> Message:
    """Return a status webhook's message.

    Args:
        event: e.g. ``audio_separate.done``.
        ids: ids by object: ``bot``, ``recording``, ``audio_separate``, ``audio_mixed``.
        message_id: the message's own id.
    """
    status: dict[str, Any] = {"data": meetings.status(event.rpartition(".")[2], None)}
    about = {what: {"id": value, "metadata": {}} for what, value in ids.items()}
    return Message(message_id, json.dumps({"event": event, "data": status | about}).encode())


def messages(meeting: ServedMeeting) -> list[Message]:
    """Return the messages about a meeting whose audio is done.

    There is one for each artifact, and one for the recording.
    """
    ids = {"recording": meeting.recording_id, "bot": meeting.bot_id}
    made = [("recording.done", ids)]
    for kind in ("audio_mixed", "audio_separate"):
        made.insert(-1, (f"{kind}.done", {kind: meeting.artifact_id(kind), **ids}))
    return [message(event, about, f"msg_{event}_{meeting.recording_id}") for event, about in made]


@dataclass(slots=True)
class Sender:
    """Delivers messages to one address.

    Attributes:
        url: the receiver.
        secret: the secret for the signatures.
        timeout_s: longest wait for an answer, seconds.
        took_s: time that each answer took, seconds.
    """

    url: str
    secret: str = SECRET
    timeout_s: float = 15.0
    took_s: list[float] = field(default_factory=list)

    def once(self, what: Message, **altered: str) -> int:
        """Deliver a message once and return the status of the answer, 0 where there was none.

        Args:
            what: the message.
            altered: headers to set, ``-`` in their names written as ``_``.
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
        """Deliver a message until the answer is 2xx and return the last status.

        Svix waits longer between two deliveries.
        """
        status = 0
        for _ in range(attempts):
            status = self.once(what)
            if 200 <= status < 300:
                break
            time.sleep(wait_s)
        return status
