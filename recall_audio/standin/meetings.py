"""Read the meetings that the stand-in serves, and write the API's JSON about them.

The JSON has the shapes of Recall.ai's published description. A meeting is a folder and a state of its
artifacts.

::

    FOLDER/meeting.json     recording_id, duration, participants[], parts[]; optional: bot_id, platform,
                            bot_name, mix (file), events[], speaker_timeline[], title, bot_metadata{},
                            recording_metadata{}, video (file), transcript[],
                            expires_at
    FOLDER/mix.mp3          the mixed recording
    FOLDER/parts/...        the parts, as meeting.json's ``parts[].file`` names them
"""

import datetime
import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

MISSING = "missing"
"""Status of an artifact that was never recorded."""


@dataclass(frozen=True, slots=True)
class State:
    """Which artifacts of a recording the API has.

    Attributes:
        mixed: status code of the mixed audio (``done``, ``processing``, ``failed``, ``deleted``, or any
            other word), or ``missing``.
        separate: the same for the separate audio.
        events: the same for the participant events.
        video: the same for the mixed video.
        transcript: the same for the transcript.
        metadata: the same for the meeting's metadata, of a meeting with a title.
        sub_code: reason of codes other than ``done``.
        recording: status code of the recording.
        looks: number of answers that show an artifact as ``processing`` first, each artifact by itself.
        null_urls: number of answers about an artifact that is done and has no URL yet.
        stale: number of failed artifacts before the good one in lists.
        shortcuts: the bot's answer has the mixed audio and the events among its ``media_shortcuts``.
    """

    mixed: str = "done"
    separate: str = "done"
    events: str = "done"
    video: str = "missing"
    transcript: str = "missing"
    metadata: str = "done"
    sub_code: str | None = None
    recording: str = "done"
    looks: int = 0
    null_urls: int = 0
    stale: int = 0
    shortcuts: bool = True

    def of(self, kind: str) -> str:
        """Return the status code of an artifact by its kind."""
        codes = {"audio_mixed": self.mixed, "audio_separate": self.separate, "video_mixed": self.video}
        codes |= {"transcript": self.transcript, "meeting_metadata": self.metadata}
        return codes.get(kind, self.events)


@dataclass(frozen=True)
class ServedMeeting:
    """One recording of a bot.

    Attributes:
        folder: the folder of its files.
        content: ``meeting.json``.
        state: which of its artifacts the API has.
        bot_id: the bot's id; several meetings with one id are several recordings of one bot.
    """

    folder: Path
    content: dict[str, Any] = field(repr=False)
    state: State = State()
    bot_id: str = ""

    @property
    def recording_id(self) -> str:
        """Return the recording's id."""
        return str(self.content["recording_id"])

    @property
    def platform(self) -> str:
        """Return the meeting's platform."""
        return str(self.content.get("platform", "zoom"))

    def has(self, kind: str) -> bool:
        """Return whether the API has an artifact of a kind, in whatever state."""
        return self.state.of(kind) != MISSING and (kind != "meeting_metadata" or "title" in self.content)

    def artifact_id(self, kind: str) -> str:
        """Return an artifact's id, the same in every run."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{kind}/{self.recording_id}"))

    def without_media(self) -> "ServedMeeting":
        """Return the meeting after its media were deleted: whatever was there is ``deleted``."""
        fields = ("mixed", "separate", "events", "video", "transcript", "metadata")
        codes: dict[str, Any] = {n: "deleted" for n in fields if getattr(self.state, n) != MISSING}
        return replace(self, state=replace(self.state, **codes, recording="deleted", sub_code=None))

    @property
    def mix_file(self) -> Path:
        """Return the path of the mixed recording."""
        return self.folder / str(self.content.get("mix", "mix.mp3"))

    @property
    def video_file(self) -> Path:
        """Return the path of the mixed video."""
        return self.folder / str(self.content.get("video", "video.mp4"))

    @property
    def part_files(self) -> list[Path]:
        """Return the paths of the parts, in their order."""
        return [self.folder / p["file"] for p in self.content["parts"]]


def meeting(folder: Path, state: State | None = None, bot_id: str | None = None) -> ServedMeeting:
    """Read the meeting of a folder.

    Args:
        folder: holds ``meeting.json``.
        state: which of its artifacts the API has; all by default.
        bot_id: overrides ``meeting.json``'s, which overrides one derived from the recording's id.
    """
    content = json.loads((folder / "meeting.json").read_text(encoding="utf-8"))
    derived = str(uuid.uuid5(uuid.NAMESPACE_URL, f"bot/{content['recording_id']}"))
    return ServedMeeting(folder, content, state or State(), bot_id or content.get("bot_id") or derived)


Json = dict[str, Any]
Sign = Callable[[str], str]
"""Returns a signed URL of a path at the media host."""

START = datetime.datetime(2026, 1, 12, 9, 0, tzinfo=datetime.UTC)
"""Start of every meeting of the stand-in."""

KINDS = (
    "audio_mixed", "audio_separate", "participant_events", "video_mixed", "transcript", "meeting_metadata",
)  # fmt: skip
_ASYNC_PROVIDERS = ("assembly_ai", "deepgram", "gladia_v2", "recallai", "rev", "speechmatics")
_SERVED_SHORTCUTS = (
    "audio_mixed", "participant_events", "video_mixed", "transcript", "meeting_metadata",
)  # fmt: skip
_SHORTCUTS = ("video_mixed", "transcript", "participant_events", "meeting_metadata", "audio_mixed")
_STATUS_CHANGES = ((-5, "joining_call"), (0, "in_call_recording"), (9, "call_ended"), (10, "done"))
"""Seconds after the meetings' start, and status codes of every bot."""

_EVENT_DOCUMENTS = ("participant_events", "speaker_timeline", "participants")


def stamp(offset_s: float = 0.0) -> str:
    """Return the ISO time `offset_s` seconds after the meetings' start."""
    return (
        (START + datetime.timedelta(seconds=offset_s))
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z")
    )


def moment(offset_s: float) -> Json:
    """Return a timestamp as the API writes them: absolute and relative."""
    return {"absolute": stamp(offset_s), "relative": offset_s}


def status(code: str, sub_code: str | None) -> Json:
    """Return a status."""
    return {"code": code, "sub_code": None if code == "done" else sub_code, "updated_at": stamp()}


def status_change(offset_s: float, code: str) -> Json:
    """Return a change of a bot's status, some seconds after the meetings' start."""
    return {"code": code, "message": "", "created_at": stamp(offset_s), "sub_code": ""}


def meeting_url(platform: str) -> Json:
    """Return a bot's meeting, with the fields that its platform has."""
    if platform == "webex":
        return {"meeting_subdomain": "lab", "meeting_personal_room_id": "room", "platform": platform}
    fields: Json = {"meeting_id": "81234567890", "platform": platform}
    if platform.startswith("microsoft_teams"):
        names = "meeting_password organizer_id tenant_id message_id thread_id business_meeting_id"
        fields |= dict.fromkeys([*names.split(" "), "business_meeting_password"])
    return fields


def bot(meetings: list[ServedMeeting], artifacts: Callable[[ServedMeeting, str], Json]) -> Json:
    """Return a bot with its recordings.

    `artifacts` returns the shortcuts.
    """
    first = meetings[0]
    return {
        "id": first.bot_id,
        "meeting_url": meeting_url(first.platform),
        "bot_name": first.content.get("bot_name", "Meeting Notetaker"),
        "join_at": first.content.get("join_at"),
        "status_changes": [status_change(offset_s, code) for offset_s, code in _STATUS_CHANGES],
        "recordings": [recording(m, artifacts) for m in meetings],
        "calendar_meetings": [],
        "slack_team": None,
        "metadata": first.content.get("bot_metadata", {}),
    }


def matches(row: Json, query: dict[str, list[str]]) -> bool:
    """Return whether a bot matches a query by its last status, its platform and when it joined."""
    joined = datetime.datetime.fromisoformat(row["join_at"] or stamp())

    def bound(name: str) -> datetime.datetime:
        time_given = datetime.datetime.fromisoformat(query[name][-1])
        return time_given.replace(tzinfo=time_given.tzinfo or datetime.UTC)

    return (
        row["status_changes"][-1]["code"] in query.get("status", [row["status_changes"][-1]["code"]])
        and row["meeting_url"]["platform"] in query.get("platform", [row["meeting_url"]["platform"]])
        and all(
            row["metadata"].get(key.removeprefix("metadata__")) == values[-1]
            for key, values in query.items()
            if key.startswith("metadata__")
        )
        and ("join_at_after" not in query or joined > bound("join_at_after"))
        and ("join_at_before" not in query or joined < bound("join_at_before"))
    )


_WORDS = {
    "status_code": "processing paused done failed",
    "platform": "chime_sdk google_meet google_meet_media_api goto_meeting microsoft_teams "
    "microsoft_teams_live slack_authenticator slack_huddle_observer webex zoom zoom_rtms",
    "status": "analysis_done analysis_failed call_ended done fatal in_call_not_recording in_call_recording "
    "in_waiting_room joining_call media_expired ready recording_done recording_permission_allowed "
    "recording_permission_denied",
}
_CHOICES = {key: set(words.split()) for key, words in _WORDS.items()}
"""Parameters of lists that are one of a few words."""

_TIMES = ("join_at_after", "join_at_before", "created_at_after", "created_at_before")
"""Parameters of lists that are times."""


def wrong_query(query: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the errors of a list's parameters by name, as the API explains them."""
    wrong = {k: ["Enter a valid date/time."] for k in _TIMES if k in query and time_of(query[k]) is None}
    for key, choices in _CHOICES.items():
        if key in query and query[key] not in choices:
            wrong[key] = ["Select a valid choice."]
    for key in ("bot_id", "recording_id", "desktop_sdk_upload_id"):
        try:
            uuid.UUID(query.get(key, "0" * 32))
        except ValueError:
            wrong[key] = ["Enter a valid UUID."]
    return wrong


def time_of(text: str) -> datetime.datetime | None:
    """Return an ISO 8601 time, UTC where it names no zone, or None."""
    try:
        time_given = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    return time_given.replace(tzinfo=time_given.tzinfo or datetime.UTC)


def recording(meeting: ServedMeeting, artifacts: Callable[[ServedMeeting, str], Json]) -> Json:
    """Return a recording as embedded in a bot."""
    has = meeting.state
    shown = [k for k in _SERVED_SHORTCUTS if has.shortcuts and meeting.has(k)]
    shortcuts: Json = dict.fromkeys(_SHORTCUTS)
    for kind in shown:
        shortcuts[kind] = {k: v for k, v in artifacts(meeting, kind).items() if k != "recording"}
    duration_s = float(meeting.content["duration"])
    return {
        "id": meeting.recording_id,
        "created_at": stamp(),
        "started_at": stamp(),
        "completed_at": stamp(duration_s),
        "expires_at": meeting.content.get("expires_at", stamp(7 * 86_400.0)),
        "status": status(has.recording, has.sub_code),
        "media_shortcuts": shortcuts if has.shortcuts else None,
        "metadata": meeting.content.get("recording_metadata", {}),
    }


def recording_alone(meeting: ServedMeeting, artifacts: Callable[[ServedMeeting, str], Json]) -> Json:
    """Return a recording as it is retrieved or listed."""
    alone = recording(meeting, artifacts)
    alone["media_shortcuts"] = alone["media_shortcuts"] or dict.fromkeys(_SHORTCUTS)
    alone |= {
        "bot": {"id": meeting.bot_id, "metadata": meeting.content.get("bot_metadata", {})},
        "realtime_endpoints": [],
        "desktop_sdk_upload": None,
    }
    return alone


def artifact(meeting: ServedMeeting, kind: str, code: str, sign: Sign | None) -> Json:
    """Return an artifact.

    Without `sign` it has no URL.
    """
    body: Json = {
        "id": meeting.artifact_id(kind),
        "recording": {"id": meeting.recording_id, "metadata": {}},
        "created_at": stamp(),
        "status": status(code, meeting.state.sub_code),
        "metadata": {},
        "data": {"download_url": None},
    }
    root = f"/store/{meeting.recording_id}"
    if kind == "meeting_metadata":
        title = meeting.content["title"] if code == "done" else None
        return body | {"data": {"title": title, "zoom": None}}
    if kind == "audio_mixed":
        body["format"] = meeting.content.get("mix_format", meeting.mix_file.suffix.lstrip("."))
        paths = {"download_url": f"{root}/{meeting.mix_file.name}"}
    elif kind == "audio_separate":
        formats = {p["format"] for p in meeting.content["parts"]}
        # One artifact declares one format; where a folder mixes them, URLs name the parts' own.
        body["format"] = formats.pop() if len(formats) == 1 else "ogg"
        paths = {"download_url": f"{root}/parts.json"}
    elif kind == "video_mixed":
        body["format"] = "mp4"
        paths = {"download_url": f"{root}/{meeting.video_file.name}"}
    elif kind == "transcript":
        # The published description demands a key for each of these providers.
        providers = ("recallai_streaming", *(f"{name}_async" for name in _ASYNC_PROVIDERS))
        body |= {"diarization": None, "provider": {name: {} for name in providers}}
        paths = {"download_url": f"{root}/transcript.json", "provider_data_download_url": f"{root}/no.json"}
    else:
        paths = {f"{name}_download_url": f"{root}/{name}.json" for name in _EVENT_DOCUMENTS}
    body["data"] = {name: sign(path) if sign and code == "done" else None for name, path in paths.items()}
    return body


def stale(meeting: ServedMeeting, kind: str, number: int) -> Json:
    """Return an earlier artifact of the same kind that failed."""
    body = artifact(meeting, kind, "failed", None)
    body["id"] = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{body['id']}/{number}"))
    return body


def parts(meeting: ServedMeeting, sign: Sign) -> list[Json]:
    """Return the document at the separate artifact's URL."""
    rows = []
    for part, path in zip(meeting.content["parts"], meeting.part_files, strict=True):
        start = part["start_timestamp"]
        rows.append(
            {
                "id": part["id"],
                "participant": part["participant"],
                "start_timestamp": moment(start["relative"]) | start,
                "duration": part["duration"],
                "download_url": sign(f"/store/{meeting.recording_id}/parts/{path.name}"),
            }
        )
    return rows


def events(meeting: ServedMeeting, name: str) -> list[Json]:
    """Return one of the three documents of the participant events."""
    content = meeting.content
    if name == "participants":
        return list(content["participants"])
    if name == "transcript":
        return list(content.get("transcript", []))
    if name == "speaker_timeline":
        return list(content.get("speaker_timeline", []))
    if "events" in content:
        return list(content["events"])
    return [
        {"participant": person, "action": action, "timestamp": moment(at_s), "data": None}
        for at_s, action in ((0.0, "join"), (float(content["duration"]), "leave"))
        for person in content["participants"]
    ]
