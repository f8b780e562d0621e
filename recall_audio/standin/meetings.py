"""Meetings that the stand-in serves: a folder's content, and in which state its artifacts are.

::

    FOLDER/meeting.json     recording_id, duration, participants[], parts[]; optional: bot_id, platform,
                            bot_name, mix (file), events[], speaker_timeline[]
    FOLDER/mix.mp3          the mixed recording
    FOLDER/parts/...        the parts, as meeting.json's ``parts[].file`` names them
"""

import json
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MISSING = "missing"
"""State of an artifact that was never recorded."""


@dataclass(frozen=True, slots=True)
class State:
    """How far the API is with a recording.

    Attributes:
        mixed: status code of the mixed audio (``done``, ``processing``, ``failed``, ``deleted``, or any
            other word), or ``missing``.
        separate: the same for the separate audio.
        events: the same for the participant events.
        sub_code: why, for codes other than ``done``.
        recording: status code of the recording.
        looks: so many answers show an artifact as ``processing`` first, each artifact by itself.
        null_urls: so many answers of an artifact that is done have no address yet.
        stale: so many failed artifacts stand before the good one in lists.
        shortcuts: the bot's answer has the mixed audio and the events among its ``media_shortcuts``.
    """

    mixed: str = "done"
    separate: str = "done"
    events: str = "done"
    sub_code: str | None = None
    recording: str = "done"
    looks: int = 0
    null_urls: int = 0
    stale: int = 0
    shortcuts: bool = True

    def of(self, kind: str) -> str:
        """Status code of ``audio_mixed``, ``audio_separate`` or ``participant_events``."""
        return {"audio_mixed": self.mixed, "audio_separate": self.separate}.get(kind, self.events)


@dataclass(frozen=True)
class ServedMeeting:
    """One recording of a bot.

    Attributes:
        folder: where its files are.
        content: ``meeting.json``.
        state: how far the API is with it.
        bot_id: the bot's id; several meetings with one id are several recordings of one bot.
    """

    folder: Path
    content: dict[str, Any] = field(repr=False)
    state: State = State()
    bot_id: str = ""

    @property
    def recording_id(self) -> str:
        """The recording's id."""
        return str(self.content["recording_id"])

    @property
    def platform(self) -> str:
        """The meeting's platform."""
        return str(self.content.get("platform", "zoom"))

    def artifact_id(self, kind: str) -> str:
        """An artifact's id, the same in every run."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{kind}/{self.recording_id}"))

    @property
    def mix_file(self) -> Path:
        """The mixed recording."""
        return self.folder / str(self.content.get("mix", "mix.mp3"))

    @property
    def part_files(self) -> list[Path]:
        """The parts' files, in their order."""
        return [self.folder / p["file"] for p in self.content["parts"]]


def meeting(folder: Path, state: State | None = None, bot_id: str | None = None) -> ServedMeeting:
    """The meeting of a folder.

    Args:
        folder: holds ``meeting.json``.
        state: how far the API is with it; all done by default.
        bot_id: overrides ``meeting.json``'s, which overrides one derived from the recording's id.
    """
    content = json.loads((folder / "meeting.json").read_text(encoding="utf-8"))
    derived = str(uuid.uuid5(uuid.NAMESPACE_URL, f"bot/{content['recording_id']}"))
    return ServedMeeting(folder, content, state or State(), bot_id or content.get("bot_id") or derived)
