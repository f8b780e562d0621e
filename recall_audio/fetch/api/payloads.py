"""What the API's JSON says, as values: a bot, its recordings, their artifacts and parts.

::

    bot ── recordings[] ─┬─ media_shortcuts.audio_mixed ────────── URL of one file
                         ├─ media_shortcuts.participant_events ─── URLs of three documents
                         └─ (by its own list) audio_separate ───── URL of a document: parts[], a URL each
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from recall_audio.errors import ItemError
from recall_audio.fetch.http import urls
from recall_audio.model.meeting import Participant

_LONGEST_S = 1e7  # 115 days; a nominal time beyond it is no meeting's
_LONGEST_TEXT = 16_384

Json = Mapping[str, Any]


def bad(what: str, expected: str) -> ItemError:
    """The error for a field that cannot be used."""
    return ItemError(f"The API's {what} cannot be used: expected {expected}.", code="bad_payload")


def mapping(value: Any, what: str) -> Json:
    """`value` if it is an object."""
    if not isinstance(value, dict):
        raise bad(what, "an object")
    return value


def optional_mapping(value: Any) -> Json:
    """`value` if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def rows(value: Any, what: str) -> list[Json]:
    """`value` if it is a list of objects."""
    if not isinstance(value, list):
        raise bad(what, "a list")
    return [mapping(row, what) for row in value]


def identifier(value: Any, what: str) -> str:
    """An id that has to be there: a string without surrogates or control characters, or a whole number."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not 0 < len(value) <= 256 or not value.isprintable():
        raise bad(what, "an id")
    return value


def whole(value: Any, what: str) -> int:
    """A whole number of at most 63 bits."""
    if isinstance(value, bool) or not isinstance(value, int) or not -(2**63) <= value < 2**63:
        raise bad(what, "a whole number")
    return value


def seconds(value: Any, what: str) -> float:
    """A finite time in seconds, possibly negative."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise bad(what, "a number of seconds")
    if not -_LONGEST_S <= value <= _LONGEST_S:  # NaN is neither
        raise bad(what, "a number of seconds within reason")
    return float(value)


def duration_s(value: Any, what: str) -> float | None:
    """A length in seconds, or None where there is none."""
    if value is None:
        return None
    length_s = seconds(value, what)
    if length_s < 0.0:
        raise bad(what, "a length that is not negative")
    return length_s


def text(value: Any) -> str | None:
    """A string exactly as received (lone surrogates too: names hold anything), or None."""
    return value[:_LONGEST_TEXT] if isinstance(value, str) else None


def address(value: Any) -> str | None:
    """A URL, not yet judged, or None."""
    return value if isinstance(value, str) and value and len(value) <= _LONGEST_TEXT else None


def flag(value: Any) -> bool | None:
    """True, False or None."""
    return value if isinstance(value, bool) else None


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
    body = mapping(value, "bot")
    meeting = optional_mapping(body.get("meeting_url"))
    changes = rows(body.get("status_changes") or [], "bot's status changes")
    last = changes[-1] if changes else {}
    bot_id = identifier(body.get("id"), "bot")
    facts: dict[str, Any] = {
        "id": bot_id,
        "name": text(body.get("bot_name")),
        "platform": text(meeting.get("platform")),
        "meeting_id": text(meeting.get("meeting_id")),
        "join_at": text(body.get("join_at")),
    }
    found = tuple(recording(r) for r in rows(body.get("recordings") or [], "bot's recordings"))
    code, sub_code = _status(last)
    made = Bot(bot_id, facts, code, sub_code, found)
    # So that a later run can tell, without asking, whether everything of this bot is here.
    facts |= {"is_over": not made.is_under_way, "recording_ids": [r.recording_id for r in found]}
    return made


def recording(value: Any) -> Recording:
    """A recording's values."""
    body = mapping(value, "recording")
    recording_id = identifier(body.get("id"), "recording")
    shortcuts = optional_mapping(body.get("media_shortcuts"))
    code, sub_code = _status(optional_mapping(body.get("status")))
    facts: dict[str, Any] = {"id": recording_id}
    facts |= {k: text(body.get(k)) for k in ("started_at", "completed_at", "expires_at")}
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
    return text(value.get("code")) or "", text(value.get("sub_code"))


def artifact(kind: Kind, value: Any) -> Artifact:
    """An artifact's values."""
    body = mapping(value, kind)
    code, sub_code = _status(optional_mapping(body.get("status")))
    data = optional_mapping(body.get("data"))
    given = {name: address(url) for name, url in data.items() if name.endswith("download_url")}
    addresses = {name: url for name, url in given.items() if url is not None}
    return Artifact(
        kind,
        identifier(body.get("id"), kind),
        code,
        sub_code,
        text(body.get("format")),
        addresses,
    )


def parts(value: Any) -> list[PartEntry]:
    """The entries of a separate artifact's document, in its order."""
    entries: list[PartEntry] = []
    keys: set[str] = set()
    for at, row in enumerate(rows(value, "list of parts")):
        key = identifier(row.get("id", f"part_{at}"), "part")
        key = f"{key}#{at}" if key in keys else key
        keys.add(key)
        what = f"part {key}"
        url = address(row.get("download_url"))
        start = mapping(row.get("start_timestamp"), f"{what}, start")
        entries.append(
            PartEntry(
                key,
                participant(row.get("participant"), what),
                seconds(start.get("relative"), f"{what}, start"),
                duration_s(row.get("duration"), f"{what}, duration"),
                text(row.get("format")) or ("raw" if urls.claims_raw(url) else None),
                url,
            )
        )
    return entries


def participant(value: Any, what: str) -> Participant:
    """A participant's values; the name exactly as received."""
    body = mapping(value, f"{what}, participant")
    extra = body.get("extra_data")
    return Participant(
        participant_id=whole(body.get("id"), f"{what}, participant's id"),
        name=text(body.get("name")),
        is_host=flag(body.get("is_host")),
        platform=text(body.get("platform")),
        email=text(body.get("email")),
        extra_data=dict(extra) if isinstance(extra, dict) else None,
    )


def page(value: Any) -> tuple[list[Json], str | None]:
    """The rows of one page of a list, and the address of the next page or None."""
    body = mapping(value, "list")
    return rows(body.get("results"), "list's results"), address(body.get("next"))
