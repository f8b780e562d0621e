"""What a webhook says: which bot has something new."""

import json
import re
from dataclasses import dataclass, field
from typing import Any

from recall_audio.model.ids import is_file_name

WANTED = ("audio_separate.done", "audio_mixed.done", "recording.done")
"""Events after which there may be something to fetch. Others are taken note of and left alone."""


@dataclass(frozen=True, slots=True)
class Told:
    """One event that is to be acted on.

    Attributes:
        bot_id: whose.
        message_id: the message's own; the same however often it is delivered. Empty where somebody else asks.
        recording_id: which recording, or empty.
        artifacts: ids of what is done, by kind (``audio_separate``, ``audio_mixed``, ``recording``).
    """

    bot_id: str
    message_id: str = ""
    recording_id: str = ""
    artifacts: dict[str, str] = field(default_factory=dict)

    @property
    def is_sound(self) -> bool:
        """Whether the bot's id can be one."""
        return is_file_name(self.bot_id)


@dataclass(frozen=True, slots=True)
class Nothing:
    """A message that asks for nothing.

    Attributes:
        why: in a few words, safe to show: no part of the message but an event's name of the usual form.
        is_odd: whether it is one that should have asked for something.
    """

    why: str
    is_odd: bool = False


def read(body: bytes, message_id: str) -> Told | Nothing:
    """What the body of a verified message asks for.

    Only what can be an id is taken; everything else about a bot, the API is asked itself.
    """
    try:
        message: Any = json.loads(body)
    except (ValueError, RecursionError):
        return Nothing("it cannot be read as JSON", is_odd=True)
    event = message.get("event") if isinstance(message, dict) else None
    if event not in WANTED:
        is_plain = isinstance(event, str) and re.fullmatch(r"[a-z_.]{1,60}", event)
        return Nothing(f"{event if is_plain else 'its event'} asks for nothing")
    data = message.get("data")
    bot_id = _id(data, "bot")
    if not bot_id:
        return Nothing(f"{event} names no bot", is_odd=True)
    recording_id = _id(data, "recording")
    kind = event.removesuffix(".done")
    artifacts = {kind: done} if (done := _id(data, kind)) else {}
    return Told(bot_id, message_id, recording_id, artifacts)


def _id(data: Any, what: str) -> str:
    """The id of a bot, recording or artifact as the message has it, or empty."""
    found = data.get(what) if isinstance(data, dict) else None
    value = found.get("id") if isinstance(found, dict) else None
    return value if isinstance(value, str) and is_file_name(value) else ""
