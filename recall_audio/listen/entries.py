"""One bot in the queue, as a value and as a small file."""

import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from recall_audio.errors import ItemError
from recall_audio.files import read_json
from recall_audio.listen.events import Told

KIND = "queued"
MOST_MESSAGES = 200
OTHERS_WITHIN_S = 60.0
"""After a message of something that is done, this long for the others'."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One bot that there is something to do for.

    Attributes:
        bot_id: the bot.
        since: when it was first heard of, ISO 8601.
        recordings: ids of what is done, by recording id and kind, as far as messages said.
        messages: ids of the messages that are known.
        not_before: when to look again, ISO 8601, or None for at once.
        tries: how often it had to be put back.
        why: why it was put back.
    """

    bot_id: str
    since: str = ""
    recordings: dict[str, dict[str, str]] = field(default_factory=dict)
    messages: tuple[str, ...] = ()
    not_before: str | None = None
    tries: int = 0
    why: str = ""

    def with_told(self, told: Told) -> "Entry":
        """The entry with one message more: what waits need not wait any longer.

        Separate audio and one thing more that is done are worth a look. Others are given a minute to follow:
        each look costs calls of the API, and an artifact that nobody named costs a list.
        """
        recordings = {k: dict(v) for k, v in self.recordings.items()}
        known = recordings.setdefault(told.recording_id, {}) if told.recording_id else {}
        known.update(told.artifacts)
        messages = (*self.messages, told.message_id) if told.message_id else self.messages
        is_due = bool(self.since) and self.not_before is None
        is_all = not told.recording_id or ("audio_separate" in known and len(known) > 1)
        return replace(
            self,
            since=self.since or stamp(time.time()),
            recordings=recordings,
            messages=messages[-MOST_MESSAGES:],
            not_before=None if is_due or is_all else self._soon(),
        )

    def _soon(self) -> str:
        others = time.time() + OTHERS_WITHIN_S
        return stamp(min(others, seconds(self.not_before) or others))

    def to_json(self) -> dict[str, Any]:
        """Plain values for the entry's file."""
        return {name: getattr(self, name) for name in self.__slots__} | {"messages": list(self.messages)}


def read_entry(path: Path) -> Entry | None:
    """An entry, or None where it is not there or cannot be read."""
    try:
        found = read_json(path, KIND)
        recordings = {str(k): {str(a): str(b) for a, b in v.items()} for k, v in found["recordings"].items()}
        messages = tuple(str(m) for m in found["messages"])
        not_before = found["not_before"]
        return Entry(
            str(found["bot_id"]), str(found["since"]), recordings, messages,
            not_before if isinstance(not_before, str) else None, int(found["tries"]), str(found["why"]),
        )  # fmt: skip
    except (ItemError, KeyError, TypeError, ValueError, AttributeError):
        return None


def stamp(at_s: float) -> str:
    """A time since the epoch as ISO 8601."""
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="seconds")


def seconds(stamped: str | None) -> float:
    """An ISO 8601 time as seconds since the epoch; 0 where there is none."""
    try:
        return 0.0 if stamped is None else datetime.fromisoformat(stamped).timestamp()
    except ValueError:
        return 0.0
