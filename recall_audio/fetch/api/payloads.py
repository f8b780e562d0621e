"""What the API's JSON says, as values: a bot, its recordings, their artifacts and parts.

::

    bot ── recordings[] ─┬─ media_shortcuts.audio_mixed ────────── URL of one file
                         ├─ media_shortcuts.participant_events ─── URLs of three documents
                         └─ (by its own list) audio_separate ───── URL of a document: parts[], a URL each
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from recall_audio.fetch.api import fields
from recall_audio.fetch.api.fields import Json
from recall_audio.fetch.http import urls
from recall_audio.model.meeting import Participant

Kind = Literal["audio_mixed", "audio_separate", "participant_events"]

_UNDER_WAY = frozenset(
    {
        "ready",
        "joining_call",
        "in_waiting_room",
        "in_call_not_recording",
        "recording_permission_allowed",
        "in_call_recording",
        "recording_done",
        "call_ended",
    }
)


@dataclass(frozen=True, slots=True)
class Artifact:
    """One thing made of a recording.

    Attributes:
        kind: which list of the API it is in.
        artifact_id: its id.
        code: ``processing``, ``done``, ``failed``, ``deleted`` or anything new.
        sub_code: why, or None.
        format: declared format of the media, or None.
        addresses: download URLs by field name, where there are any; never shown.
    """

    kind: Kind
    artifact_id: str
    code: str
    sub_code: str | None
    format: str | None
    addresses: dict[str, str] = field(repr=False)

    @property
    def is_lost(self) -> bool:
        """Whether it will never be there."""
        return self.code in ("failed", "deleted")

    @property
    def is_done(self) -> bool:
        """Whether there is something to download, or should be: a code nobody knows yet may be as good."""
        finished = self.code not in ("failed", "deleted", "processing", "paused")
        return self.code == "done" or (finished and bool(self.addresses))

    @property
    def is_under_way(self) -> bool:
        """Whether it may still come."""
        return not self.is_lost and not self.is_done


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording as embedded in its bot.

    Attributes:
        recording_id: its id.
        facts: plain values for ``recording.json``.
        code: its status, or empty.
        sub_code: why, or None.
        mixed: the mixed audio, where the bot's answer already has it.
        events: the participant events, where the bot's answer already has them.
    """

    recording_id: str
    facts: dict[str, Any]
    code: str
    sub_code: str | None
    mixed: Artifact | None
    events: Artifact | None


@dataclass(frozen=True, slots=True)
class Bot:
    """One bot.

    Attributes:
        bot_id: its id.
        facts: plain values for ``recording.json``.
        code: its last status, or empty.
        sub_code: why, or None.
        recordings: none, one or several, in order.
    """

    bot_id: str
    facts: dict[str, Any]
    code: str
    sub_code: str | None
    recordings: tuple[Recording, ...]

    @property
    def is_under_way(self) -> bool:
        """Whether recordings may still come."""
        return self.code in _UNDER_WAY


@dataclass(frozen=True, slots=True)
class PartEntry:
    """One entry of the separate audio's list.

    Attributes:
        key: finds the same part again in a list asked for later: its id, or its place.
        participant: whose voice.
        start_s: start after the recording's, may be negative.
        duration_s: declared length, or None.
        format: the entry's own format, where it or its address tells another than the artifact's.
        address: download URL, or None; never shown.
    """

    key: str
    participant: Participant
    start_s: float
    duration_s: float | None
    format: str | None
    address: str | None = field(repr=False)


def bot(value: Any) -> Bot:
    """A bot's values; ItemError ``bad_payload`` where it cannot be used."""
    body = fields.mapping(value, "bot")
    meeting = fields.optional_mapping(body.get("meeting_url"))
    changes = fields.rows(body.get("status_changes") or [], "bot's status changes")
    last = changes[-1] if changes else {}
    bot_id = fields.identifier(body.get("id"), "bot")
    facts: dict[str, Any] = {
        "id": bot_id,
        "name": fields.text(body.get("bot_name")),
        "platform": fields.text(meeting.get("platform")),
        "meeting_id": fields.text(meeting.get("meeting_id")),
        "join_at": fields.text(body.get("join_at")),
    }
    found = tuple(recording(r) for r in fields.rows(body.get("recordings") or [], "bot's recordings"))
    code, sub_code = _status(last)
    made = Bot(bot_id, facts, code, sub_code, found)
    # So that a later run can tell, without asking, whether everything of this bot is here.
    facts |= {"is_over": not made.is_under_way, "recording_ids": [r.recording_id for r in found]}
    return made


def recording(value: Any) -> Recording:
    """A recording's values."""
    body = fields.mapping(value, "recording")
    recording_id = fields.identifier(body.get("id"), "recording")
    shortcuts = fields.optional_mapping(body.get("media_shortcuts"))
    code, sub_code = _status(fields.optional_mapping(body.get("status")))
    facts: dict[str, Any] = {"id": recording_id}
    facts |= {k: fields.text(body.get(k)) for k in ("started_at", "completed_at", "expires_at")}
    return Recording(
        recording_id,
        facts,
        code,
        sub_code,
        _shortcut("audio_mixed", shortcuts.get("audio_mixed")),
        _shortcut("participant_events", shortcuts.get("participant_events")),
    )


def _shortcut(kind: Kind, value: Any) -> Artifact | None:
    return artifact(kind, value) if isinstance(value, dict) and value.get("id") is not None else None


def _status(value: Json) -> tuple[str, str | None]:
    return fields.text(value.get("code")) or "", fields.text(value.get("sub_code"))


def artifact(kind: Kind, value: Any) -> Artifact:
    """An artifact's values."""
    body = fields.mapping(value, kind)
    code, sub_code = _status(fields.optional_mapping(body.get("status")))
    data = fields.optional_mapping(body.get("data"))
    given = {name: fields.address(url) for name, url in data.items() if name.endswith("download_url")}
    addresses = {name: url for name, url in given.items() if url is not None}
    return Artifact(
        kind,
        fields.identifier(body.get("id"), kind),
        code,
        sub_code,
        fields.text(body.get("format")),
        addresses,
    )


def parts(value: Any) -> list[PartEntry]:
    """The entries of a separate artifact's document, in its order."""
    entries: list[PartEntry] = []
    keys: set[str] = set()
    for at, row in enumerate(fields.rows(value, "list of parts")):
        key = fields.identifier(row.get("id", f"part_{at}"), "part")
        key = f"{key}#{at}" if key in keys else key
        keys.add(key)
        what = f"part {key}"
        address = fields.address(row.get("download_url"))
        start = fields.mapping(row.get("start_timestamp"), f"{what}, start")
        entries.append(
            PartEntry(
                key,
                participant(row.get("participant"), what),
                fields.seconds(start.get("relative"), f"{what}, start"),
                fields.duration_s(row.get("duration"), f"{what}, duration"),
                fields.text(row.get("format")) or ("raw" if urls.claims_raw(address) else None),
                address,
            )
        )
    return entries


def participant(value: Any, what: str) -> Participant:
    """A participant's values; the name exactly as received."""
    body = fields.mapping(value, f"{what}, participant")
    extra = body.get("extra_data")
    return Participant(
        participant_id=fields.whole(body.get("id"), f"{what}, participant's id"),
        name=fields.text(body.get("name")),
        is_host=fields.flag(body.get("is_host")),
        platform=fields.text(body.get("platform")),
        email=fields.text(body.get("email")),
        extra_data=dict(extra) if isinstance(extra, dict) else None,
    )


def page(value: Any) -> tuple[list[Json], str | None]:
    """The rows of one page of a list, and the address of the next page or None."""
    body = fields.mapping(value, "list")
    return fields.rows(body.get("results"), "list's results"), fields.address(body.get("next"))
