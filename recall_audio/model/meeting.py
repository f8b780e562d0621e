"""Represent what the API said about a recording (``recording.json``), without URLs and keys."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from recall_audio.files import relative_name
from recall_audio.model.outcome import Finding

_LATEST_S = 1e7
"""Latest time of a document, seconds either way: 115 days, far beyond every meeting."""
_LARGEST_INTEGER = 1 << 63


@dataclass(frozen=True, slots=True)
class Participant:
    """One participant, whose id is unique within one meeting only.

    Attributes:
        participant_id: the API's integer id.
        name: display name exactly as received, or None.
        is_host: whether they hosted, or None where unknown.
        platform: the client they used (``desktop``, ``phone``), or None.
        email: where known.
        extra_data: the platform's own fields, such as ``zoom.conf_user_id``.
    """

    participant_id: int
    name: str | None = None
    is_host: bool | None = None
    platform: str | None = None
    email: str | None = None
    extra_data: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class MediaFile:
    """One audio file of a recording, as fetched.

    Attributes:
        file: path below the recording's folder, or None where it could not be fetched.
        format: declared format (``mp3``, ``ogg``, ``raw``, ...), or None.
        n_bytes: size on disk.
        sha256: hex digest of the bytes on disk.
        duration_s: length the API declared, seconds; None where it did not.
        length_verified: the server named the length and it was the length received.
        problem: why the file is missing, as a short code (``gone``, ``not_audio``), or None.
    """

    file: str | None = None
    format: str | None = None
    n_bytes: int | None = None
    sha256: str | None = None
    duration_s: float | None = None
    length_verified: bool = False
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """One separate recording of one participant, who may have several.

    Attributes:
        part_id: safe for a file name.
        participant_id: whose voice it is.
        nominal_start_s: start after the recording's start, as the API says; may be negative.
        media: the file.
    """

    part_id: str
    participant_id: int
    nominal_start_s: float
    media: MediaFile


@dataclass(frozen=True, slots=True)
class Presence:
    """A stretch of the meeting in which a participant was present, by join and leave events.

    Attributes:
        participant_id: who.
        start_s: seconds after the recording's start.
        end_s: None where they stayed to the end.
    """

    participant_id: int
    start_s: float
    end_s: float | None


@dataclass(frozen=True, slots=True)
class Meeting:
    """One recording of one bot: the content of ``recording.json``.

    Attributes:
        bot: plain facts of the bot (``id, name, platform, meeting_id, join_at, metadata``).
        recording: plain facts of the recording (``id, started_at, completed_at, expires_at, title,
            metadata``).
        participants: everyone who was present, silent ones too.
        parts: separate recordings, in the API's order.
        mix: the mixed recording, or None where there is none.
        presence: join and leave stretches; empty where the API gave none.
        findings: what was missing or odd while fetching.
        spoke: ids of those whom the platform's own events report speaking; None where they report no one, so
            that they cannot show who was silent.
    """

    bot: dict[str, Any]
    recording: dict[str, Any]
    participants: tuple[Participant, ...]
    parts: tuple[Part, ...]
    mix: MediaFile | None
    presence: tuple[Presence, ...] = ()
    findings: tuple[Finding, ...] = field(default=())
    spoke: tuple[int, ...] | None = None

    @property
    def bot_id(self) -> str:
        """Return the bot's id."""
        return str(self.bot["id"])

    @property
    def recording_id(self) -> str:
        """Return the recording's id."""
        return str(self.recording["id"])

    def to_json(self) -> dict[str, Any]:
        """Return the plain values of ``recording.json``."""
        return asdict(self)

    @staticmethod
    def from_json(value: dict[str, Any]) -> "Meeting":
        """Return the meeting that :meth:`to_json` wrote.

        Raises:
            KeyError: a field is missing.
            TypeError: a field is unknown, of another kind or out of range.
            ItemError: ``unsafe_path``: a file's name leads out of the folder.
        """
        named = [value["bot"]["id"], value["recording"]["id"], *value["bot"].get("recording_ids", [])]
        if not all(isinstance(identifier, str) for identifier in named):
            raise TypeError("an id that is no text")
        participants = tuple(Participant(**p) for p in value["participants"])
        parts = tuple(Part(**{**p, "media": MediaFile(**p["media"])}) for p in value["parts"])
        presence = tuple(Presence(**p) for p in value["presence"])
        mix = None if value["mix"] is None else MediaFile(**value["mix"])
        _check_people(participants, presence)
        for part in parts:
            _check_part(part)
        if mix is not None:
            _check_media(mix)
        return Meeting(
            bot=value["bot"],
            recording=value["recording"],
            participants=participants,
            parts=parts,
            mix=mix,
            presence=presence,
            findings=tuple(Finding.from_json(f) for f in value["findings"]),
            spoke=None if value.get("spoke") is None else tuple(value["spoke"]),
        )


def _check_people(participants: tuple[Participant, ...], presence: tuple[Presence, ...]) -> None:
    """Check types and ranges before anything is computed from them.

    Raises:
        TypeError: a value is of another kind or out of range.
    """
    for person in participants:
        _need(_is_integer(person.participant_id), "a participant's id")
        _need(isinstance(person.name, str | None), "a participant's name")
        _need(isinstance(person.extra_data, dict | None), "a participant's extra_data")
    for seen in presence:
        _need(_is_integer(seen.participant_id), "a participant's id")
        _need(_is_time(seen.start_s) and (seen.end_s is None or _is_time(seen.end_s)), "a time of presence")


def _check_part(part: Part) -> None:
    _need(isinstance(part.part_id, str) and "/" not in part.part_id, "a part's id")
    relative_name(part.part_id)
    _need(_is_integer(part.participant_id), "a part's participant")
    _need(_is_time(part.nominal_start_s), "a part's start")
    _check_media(part.media)


def _check_media(media: MediaFile) -> None:
    _need(media.n_bytes is None or (_is_integer(media.n_bytes) and media.n_bytes >= 0), "a file's size")
    _need(media.duration_s is None or (_is_time(media.duration_s) and media.duration_s >= 0), "a duration")
    _need(isinstance(media.format, str | None) and isinstance(media.sha256, str | None), "a file's facts")
    if media.file is not None:
        relative_name(media.file)


def _need(is_so: bool, what: str) -> None:
    if not is_so:
        raise TypeError(f"{what} is of another kind or out of range")


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _LARGEST_INTEGER


def _is_time(value: object) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value) and abs(value) <= _LATEST_S  # type: ignore[arg-type]
