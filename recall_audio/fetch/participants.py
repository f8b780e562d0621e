"""Read who took part: their parts, and their presence from the participant events."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from recall_audio.errors import ItemError
from recall_audio.fetch.api import payloads
from recall_audio.fetch.api.client import Api
from recall_audio.fetch.api.payloads import Artifact
from recall_audio.fetch.artifacts import retrieve_artifact, still_made
from recall_audio.fetch.download.media_host import MediaHost, SignedUrls
from recall_audio.fetch.http import urls
from recall_audio.model.meeting import Participant, Presence
from recall_audio.model.outcome import EVENTS_WAITING, Finding

T = TypeVar("T")

_OPTIONAL_FIELDS = ("name", "is_host", "platform", "email", "extra_data")


def _usable_rows(value: Any, what: str, read: Callable[[payloads.Json], T]) -> tuple[list[T], list[int]]:
    """Read each row of a list of objects, and return the values and the indices of those without one."""
    return payloads.usable_rows(value, what, lambda row: read(payloads.mapping(row, f"{what}, row")))


@dataclass(frozen=True, slots=True)
class PartEntry:
    """One entry of the separate audio's list.

    Attributes:
        key: identifies the part in a list that is requested later: its id, or its index.
        participant: the participant whose audio it is.
        start_s: start after the recording's, may be negative.
        duration_s: declared length, or None.
        format: the entry's own format, where it or its URL names another than the artifact's.
        url: download URL, or None; never shown.
    """

    key: str
    participant: Participant
    start_s: float
    duration_s: float | None
    format: str | None
    url: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class PartList:
    """The separate audio's document.

    Attributes:
        entries: what can be fetched, in the document's order.
        unusable: key, participant (None if that is unusable) and error of every other row.
    """

    entries: tuple[PartEntry, ...] = ()
    unusable: tuple[tuple[str, Participant | None, ItemError], ...] = ()


def read_parts(value: Any) -> PartList:
    """Read the separate audio's document: a row that cannot be used costs its own part alone.

    Raises:
        ItemError: it is no list, or none of its rows can be used.
    """
    if not isinstance(value, list):
        raise payloads.bad_payload("list of parts", "a list")
    entries: list[PartEntry] = []
    unusable: list[tuple[str, Participant | None, ItemError]] = []
    keys: set[str] = set()
    for index, row in enumerate(value):
        try:
            key = payloads.identifier(
                payloads.mapping(row, f"part {index}").get("id", f"part_{index}"), f"part {index}"
            )
            key = f"{key}#{index}" if key in keys else key
            keys.add(key)
            entries.append(_part(row, key))
        except ItemError as error:
            unusable.append((f"part_{index}", _participant_of(row), error))
    if unusable and not entries:
        raise unusable[0][2]
    return PartList(tuple(entries), tuple(unusable))


def _part(row: payloads.Json, key: str) -> PartEntry:
    what = f"part {key}"
    url = payloads.url_text(row.get("download_url"))
    start = payloads.mapping(row.get("start_timestamp"), f"{what}, start")
    return PartEntry(
        key,
        payloads.participant(row.get("participant"), what),
        payloads.seconds(start.get("relative"), f"{what}, start"),
        payloads.duration_s(row.get("duration"), f"{what}, duration"),
        payloads.text(row.get("format")) or ("raw" if urls.claims_raw(url) else None),
        url,
    )


def _participant_of(row: Any) -> Participant | None:
    try:
        return payloads.participant(payloads.optional_mapping(row).get("participant"), "part")
    except ItemError:
        return None


def merge(lists: Iterable[Iterable[Participant]]) -> tuple[Participant, ...]:
    """Return every participant once, in order of appearance.

    Later lists fill fields that are None.
    """
    known: dict[int, Participant] = {}
    for participants_listed in lists:
        for participant in participants_listed:
            before = known.get(participant.participant_id)
            known[participant.participant_id] = (
                participant if before is None else _filled(before, participant)
            )
    return tuple(known.values())


def _filled(first: Participant, second: Participant) -> Participant:
    def either(name: str) -> Any:
        value = getattr(first, name)
        return getattr(second, name) if value is None else value

    return Participant(first.participant_id, **{name: either(name) for name in _OPTIONAL_FIELDS})


@dataclass(frozen=True, slots=True)
class Read:
    """What one of the three documents holds.

    Attributes:
        participants: every participant named, in order of appearance.
        presence: join and leave stretches.
        spoke: ids of those who are reported to speak.
        timeline: rows of the speaker timeline.
        n_dropped: rows that could not be used.
    """

    participants: tuple[Participant, ...] = ()
    presence: tuple[Presence, ...] = ()
    spoke: frozenset[int] = frozenset()
    timeline: tuple[dict[str, Any], ...] = ()
    n_dropped: int = 0


def participants(value: Any) -> Read:
    """Read the participants' document."""
    named, errors = _usable_rows(value, "participants", lambda row: payloads.participant(row, "participants"))
    return Read(tuple(named), n_dropped=len(errors))


def events(value: Any) -> Read:
    """Read the events' document: every participant it names, when each was present, and who spoke.

    ::

        join ──────── leave      join ─────────        leave without join: present from the start
        |  present    |          |  present, end None  join while present: ignored
    """
    named: list[Participant] = []
    moves: list[tuple[float, int, str]] = []
    spoke: set[int] = set()

    def read(row: payloads.Json) -> None:
        participant = payloads.participant(row.get("participant"), "event")
        named.append(participant)
        action = row.get("action")
        if action == "speech_on":
            spoke.add(participant.participant_id)
        if action in ("join", "leave"):
            relative = payloads.optional_mapping(row.get("timestamp")).get("relative")
            time_s = payloads.seconds(relative, "event's time")
            moves.append((time_s, participant.participant_id, str(action)))

    _, errors = _usable_rows(value, "participant events", read)
    presence = _presence(sorted(moves, key=lambda move: move[0]))
    return Read(tuple(named), presence, frozenset(spoke), n_dropped=len(errors))


def _presence(moves: list[tuple[float, int, str]]) -> tuple[Presence, ...]:
    """Pair joins and leaves, in order of time, into stretches of presence."""
    joined_s: dict[int, float] = {}
    seen: set[int] = set()
    stretches = []
    for time_s, participant_id, action in moves:
        if action == "join":
            joined_s.setdefault(participant_id, time_s)
        elif participant_id in joined_s or participant_id not in seen:
            start_s = joined_s.pop(participant_id, min(0.0, time_s))
            stretches.append(Presence(participant_id, start_s, time_s))
        seen.add(participant_id)
    stretches += [Presence(participant_id, start_s, None) for participant_id, start_s in joined_s.items()]
    return tuple(sorted(stretches, key=lambda s: (s.start_s, s.participant_id)))


@dataclass(frozen=True, slots=True)
class Attendance:
    """What the participant events hold.

    Attributes:
        participants: every participant named, in order of appearance.
        presence: join and leave stretches.
        timeline: rows ``{participant_id, start_s, end_s}`` of the platform's active-speaker events, or None.
        findings: notes about documents that are not available, and rows that could not be used.
        spoke: ids of those whom events or timeline report speaking; None where they report no one.
    """

    participants: tuple[Participant, ...] = ()
    presence: tuple[Presence, ...] = ()
    timeline: list[dict[str, Any]] | None = None
    findings: tuple[Finding, ...] = ()
    spoke: tuple[int, ...] | None = None


def fetch_attendance(api: Api, media_host: MediaHost, artifact: Artifact | None) -> Attendance:
    """Fetch the three documents of the participant events.

    A missing one becomes a note.
    """
    if artifact is not None and artifact.is_under_way:
        return Attendance(findings=(still_made(EVENTS_WAITING, "The list of participant events is"),))
    if artifact is None or not artifact.is_done:
        message = (
            "The API has no participant events of this recording: participants who only listened are unknown."
        )
        return Attendance(findings=(Finding("no_participant_events", message, severity="note"),))

    def renew() -> dict[str, str]:
        return retrieve_artifact(api, artifact.kind, artifact.artifact_id).urls_by_field

    signed_urls = SignedUrls(artifact.urls_by_field, renew, media_host.policy)
    notes: list[Finding] = []

    def read(field: str, what: str) -> Read | None:
        if field not in artifact.urls_by_field:
            return None
        try:
            found = _READERS[field](media_host.document(signed_urls, field, what))
        except ItemError as error:
            code, message = f"no_{what.replace(' ', '_')}", f"The {what} are not available ({error.code})."
            notes.append(Finding(code, message, severity="note"))
            return None
        notes.extend(payloads.rows_dropped(what, found.n_dropped))
        return found

    listed = read("participants_download_url", "participants") or Read()
    moves = read("participant_events_download_url", "participant events") or Read()
    speaking = read("speaker_timeline_download_url", "speaker timeline")
    named = merge([listed.participants, moves.participants, speaking.participants if speaking else ()])
    spoke = moves.spoke | (speaking.spoke if speaking else frozenset())
    return Attendance(
        named,
        moves.presence,
        list(speaking.timeline) if speaking else None,
        tuple(notes),
        tuple(sorted(spoke)) or None,
    )


def speaker_timeline(value: Any) -> Read:
    """Read the platform's active-speaker events.

    An end that is missing is None.
    """
    named: list[Participant] = []

    def read(row: payloads.Json) -> dict[str, Any]:
        start = payloads.mapping(row.get("start_timestamp"), "speaker timeline, start")
        end = payloads.optional_mapping(row.get("end_timestamp"))
        participant = payloads.participant(row.get("participant"), "speaker timeline")
        times_s = {
            "start_s": payloads.seconds(start.get("relative"), "speaker timeline, start"),
            "end_s": payloads.seconds(end["relative"], "speaker timeline, end")
            if "relative" in end
            else None,
        }
        named.append(participant)
        return {"participant_id": participant.participant_id, **times_s}

    timeline, errors = _usable_rows(value, "speaker timeline", read)
    spoke = frozenset(p.participant_id for p in named)
    return Read(tuple(named), spoke=spoke, timeline=tuple(timeline), n_dropped=len(errors))


_READERS: Mapping[str, Callable[[Any], Read]] = {
    "participants_download_url": participants,
    "participant_events_download_url": events,
    "speaker_timeline_download_url": speaker_timeline,
}
