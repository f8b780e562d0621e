"""Read the API's JSON into values: a bot, its recordings, their artifacts and parts.

::

    bot ── recordings[] ─┬─ media_shortcuts.audio_mixed ────────── URL of one file
                         ├─ media_shortcuts.participant_events ─── URLs of three documents
                         └─ (by its own list) audio_separate ───── URL of a document: parts[], a URL each

A field of the wrong type, or out of bounds, raises ItemError ``bad_payload``; in a list it costs its own row,
which is counted. Unknown fields are never read, and a status code is any string: both grow without notice.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from recall_audio.errors import ItemError
from recall_audio.model.meeting import Participant
from recall_audio.model.outcome import Finding

T = TypeVar("T")

_LONGEST_S = 1e7
"""Seconds (115 days) beyond which a nominal time is not one of a meeting."""

_LONGEST_TEXT = 16_384
"""Characters kept of a text, and of the longest URL accepted."""

_LONGEST_ID = 256
"""Characters of the longest id accepted."""

_MOST_METADATA = 200
"""Keys of metadata that are kept."""

Json = Mapping[str, Any]


def bad_payload(what: str, expected: str) -> ItemError:
    """Return the error for a field that cannot be used."""
    return ItemError(f"The API's {what} cannot be used: expected {expected}.", code="bad_payload")


def mapping(value: Any, what: str) -> Json:
    """Return `value` if it is an object."""
    if not isinstance(value, dict):
        raise bad_payload(what, "an object")
    return value


def optional_mapping(value: Any) -> Json:
    """Return `value` if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def usable_rows(value: Any, what: str, read: Callable[[Any], T]) -> tuple[list[T], list[int]]:
    """Read each row of a list, and return the values, and the indices of the rows that cannot be used.

    Raises:
        ItemError: `value` is no list.
    """
    if not isinstance(value, list):
        raise bad_payload(what, "a list")
    found: list[T] = []
    unusable: list[int] = []
    for index, row in enumerate(value):
        try:
            found.append(read(row))
        except ItemError:
            unusable.append(index)
    return found, unusable


def rows_dropped(what: str, n: int) -> tuple[Finding, ...]:
    """Return the note about rows that were left out, none where there is none."""
    if not n:
        return ()
    rows = "1 row" if n == 1 else f"{n} rows"
    message = f"Left out of the {what}: {rows} that cannot be used; the others were read."
    return (Finding("rows_dropped", message, severity="note"),)


def identifier(value: Any, what: str) -> str:
    """Return a required id: a printable string without surrogates, or an integer as a string."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_ID or not value.isprintable():
        raise bad_payload(what, "an id")
    return value


def integer(value: Any, what: str) -> int:
    """Return an integer of at most 63 bits and a sign."""
    if isinstance(value, bool) or not isinstance(value, int) or not -(2**63) <= value < 2**63:
        raise bad_payload(what, "an integer")
    return value


def seconds(value: Any, what: str) -> float:
    """Return a finite time in seconds, possibly negative."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise bad_payload(what, "a number of seconds")
    if not -_LONGEST_S <= value <= _LONGEST_S:  # False for NaN
        raise bad_payload(what, f"a number of seconds between {-_LONGEST_S:.0f} and {_LONGEST_S:.0f}")
    return float(value)


def duration_s(value: Any, what: str) -> float | None:
    """Return a length in seconds, or None where there is none."""
    if value is None:
        return None
    length_s = seconds(value, what)
    if length_s < 0.0:
        raise bad_payload(what, "a length that is not negative")
    return length_s


def text(value: Any) -> str | None:
    """Return a string exactly as received, lone surrogates included, or None."""
    return value[:_LONGEST_TEXT] if isinstance(value, str) else None


def url_text(value: Any) -> str | None:
    """Return a URL that has not been checked yet, or None."""
    return value if isinstance(value, str) and value and len(value) <= _LONGEST_TEXT else None


def boolean(value: Any) -> bool | None:
    """Return True or False, or None for anything else."""
    return value if isinstance(value, bool) else None


Kind = Literal[
    "audio_mixed", "audio_separate", "participant_events", "video_mixed", "transcript", "meeting_metadata"
]  # fmt: skip

_FINAL = frozenset({"done", "fatal", "media_expired", "analysis_done", "analysis_failed"})
"""Status codes of a bot after which no recording appears; any other, known or new, may go on."""

_SETTLED = frozenset({"done", "failed", "deleted"})
"""Status codes of a recording that changes no more."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """One thing made of a recording.

    Attributes:
        kind: which list of the API it is in.
        artifact_id: its id.
        code: ``processing``, ``done``, ``failed``, ``deleted`` or anything new.
        sub_code: why, or None.
        format: declared format of the media, or None.
        urls_by_field: download URLs by field name, where there are any; never shown.
    """

    kind: Kind
    artifact_id: str
    code: str
    sub_code: str | None
    format: str | None
    urls_by_field: dict[str, str] = field(repr=False)

    @property
    def is_lost(self) -> bool:
        """Return whether it will never be available."""
        return self.code in ("failed", "deleted")

    @property
    def is_done(self) -> bool:
        """Return whether there is something to download.

        An unknown code counts if a URL is there.
        """
        finished = self.code not in ("failed", "deleted", "processing", "paused")
        return self.code == "done" or (finished and bool(self.urls_by_field))

    @property
    def is_under_way(self) -> bool:
        """Return whether it may still become available."""
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
        video: the mixed video, where the bot's answer already has it.
        transcript: the transcript, where the bot's answer already has it.
        title: the artifact that holds the meeting's title, where there is one.
        notes: what of its answer could not be used.
    """

    recording_id: str
    facts: dict[str, Any]
    code: str
    sub_code: str | None
    mixed: Artifact | None
    events: Artifact | None
    video: Artifact | None = None
    transcript: Artifact | None = None
    title: Artifact | None = None
    notes: tuple[Finding, ...] = ()

    @property
    def is_being_made(self) -> bool:
        """Return whether artifacts of it may still appear."""
        return self.code in ("processing", "paused")


@dataclass(frozen=True, slots=True)
class Bot:
    """One bot.

    Attributes:
        bot_id: its id.
        facts: plain values for ``recording.json``.
        code: its last status, or empty.
        sub_code: reason of the status, or None.
        recordings: any number, in order.
        unreadable: ids, or else places in the list, of recordings whose rows cannot be used.
        notes: what else of its answer could not be used.
    """

    bot_id: str
    facts: dict[str, Any]
    code: str
    sub_code: str | None
    recordings: tuple[Recording, ...]
    unreadable: tuple[str, ...] = ()
    notes: tuple[Finding, ...] = ()

    @property
    def is_under_way(self) -> bool:
        """Return whether recordings may still appear or grow.

        Codes are an open set: only those that are known to be final end a bot. A call that has ended is final
        once all its recordings are settled, a refused permission where there is none.
        """
        if self.code == "call_ended":
            return not self.recordings or any(r.code not in _SETTLED for r in self.recordings)
        if self.code == "recording_permission_denied":
            return bool(self.recordings)
        return bool(self.code) and self.code not in _FINAL


def bot(value: Any) -> Bot:
    """Read a bot.

    Raise ItemError ``bad_payload`` where it cannot be used.
    """
    body = mapping(value, "bot")
    meeting = optional_mapping(body.get("meeting_url"))
    changes, odd_changes = _rows_or_none(body.get("status_changes"), "bot's status changes", mapping)
    last = changes[-1] if changes else {}
    bot_id = identifier(body.get("id"), "bot")
    facts: dict[str, Any] = {
        "id": bot_id,
        "name": text(body.get("bot_name")),
        "platform": text(meeting.get("platform")),
        "meeting_id": text(meeting.get("meeting_id")),
        "join_at": text(body.get("join_at")),
        "metadata": metadata(body.get("metadata")),
    }
    found, odd = _rows_or_none(body.get("recordings"), "bot's recordings", lambda row, _: recording(row))
    unreadable = tuple(_name_of(body.get("recordings"), index) for index in odd)
    code, sub_code = _status(last)
    notes = rows_dropped("bot's status changes", len(odd_changes))
    made = Bot(bot_id, facts, code, sub_code, tuple(found), unreadable, notes)
    # A later run tells from these, without a request, whether everything of this bot is on disk.
    named = [*(r.recording_id for r in found), *unreadable]
    facts |= {"is_over": not made.is_under_way, "recording_ids": named}
    return made


def _rows_or_none(value: Any, what: str, read: Callable[[Any, str], T]) -> tuple[list[T], list[int]]:
    """Read the rows of a list that may be missing; what is no list counts as one row that is unusable."""
    if value is None:
        return [], []
    return usable_rows(value if isinstance(value, list) else [value], what, lambda row: read(row, what))


def _name_of(value: Any, index: int) -> str:
    """Return the id of a row that cannot be used, or else its place."""
    row = value[index] if isinstance(value, list) else value
    try:
        return identifier(optional_mapping(row).get("id"), "recording")
    except ItemError:
        return f"recording_{index}"


def recording(value: Any) -> Recording:
    """Read a recording."""
    body = mapping(value, "recording")
    recording_id = identifier(body.get("id"), "recording")
    shortcuts = optional_mapping(body.get("media_shortcuts"))
    code, sub_code = _status(optional_mapping(body.get("status")))
    facts: dict[str, Any] = {"id": recording_id}
    facts |= {k: text(body.get(k)) for k in ("started_at", "completed_at", "expires_at")}
    facts["title"] = text(_data(shortcuts.get("meeting_metadata")).get("title"))
    facts["metadata"] = metadata(body.get("metadata"))
    made = {name: _shortcut(name, shortcuts) for name in _SHORTCUTS}
    odd = [name for name, found in made.items() if found is None and shortcuts.get(name) is not None]
    return Recording(
        recording_id,
        facts,
        code,
        sub_code,
        mixed=made["audio_mixed"],
        events=made["participant_events"],
        video=made["video_mixed"],
        transcript=made["transcript"],
        title=made["meeting_metadata"],
        notes=rows_dropped(f"recording's shortcuts ({', '.join(odd)})", len(odd)),
    )


def metadata(value: Any) -> dict[str, Any]:
    """Return the user's own keys and values: texts, numbers, truth values and None; others are left out."""
    found = list(optional_mapping(value).items())[:_MOST_METADATA]
    plain = {k[:_LONGEST_TEXT]: v[:_LONGEST_TEXT] if isinstance(v, str) else v for k, v in found}
    return {k: v for k, v in plain.items() if v is None or isinstance(v, str | int | float)}


def _data(shortcut: Any) -> Json:
    return optional_mapping(optional_mapping(shortcut).get("data"))


_SHORTCUTS: tuple[Kind, ...] = (
    "audio_mixed", "participant_events", "video_mixed", "transcript", "meeting_metadata",
)  # fmt: skip
"""Artifacts that a bot's answer may hold."""


def _shortcut(kind: Kind, shortcuts: Json) -> Artifact | None:
    """Return an artifact that an answer holds, None where it cannot be used: its list may have it."""
    try:
        return artifact(kind, shortcuts.get(kind))
    except ItemError:
        return None


def _status(value: Json) -> tuple[str, str | None]:
    return text(value.get("code")) or "", text(value.get("sub_code"))


def artifact(kind: Kind, value: Any) -> Artifact:
    """Read an artifact."""
    body = mapping(value, kind)
    code, sub_code = _status(optional_mapping(body.get("status")))
    data = optional_mapping(body.get("data"))
    given = {name: url_text(url) for name, url in data.items() if name.endswith("download_url")}
    urls_by_field = {name: url for name, url in given.items() if url is not None}
    return Artifact(
        kind,
        identifier(body.get("id"), kind),
        code,
        sub_code,
        text(body.get("format")),
        urls_by_field,
    )


def participant(value: Any, what: str) -> Participant:
    """Read a participant.

    The name stays exactly as received.
    """
    body = mapping(value, f"{what}, participant")
    extra = body.get("extra_data")
    return Participant(
        participant_id=integer(body.get("id"), f"{what}, participant's id"),
        name=text(body.get("name")),
        is_host=boolean(body.get("is_host")),
        platform=text(body.get("platform")),
        email=text(body.get("email")),
        extra_data=dict(extra) if isinstance(extra, dict) else None,
    )


def page(value: Any) -> tuple[list[Any], str | None]:
    """Read one page of a list: its rows as they are, and the URL of the next page or None."""
    body = mapping(value, "list")
    rows = body.get("results")
    if not isinstance(rows, list):
        raise bad_payload("list's results", "a list")
    return rows, url_text(body.get("next"))
