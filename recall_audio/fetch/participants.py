"""Read participants and their presence from the participant events."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from recall_audio.errors import ItemError
from recall_audio.fetch.api import payloads
from recall_audio.fetch.api.client import Api
from recall_audio.fetch.api.payloads import Artifact
from recall_audio.fetch.artifacts import retrieve_artifact
from recall_audio.fetch.download.media_host import MediaHost, SignedUrls
from recall_audio.model.meeting import Participant, Presence
from recall_audio.model.outcome import Finding

_OPTIONAL_FIELDS = ("name", "is_host", "platform", "email", "extra_data")


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


def participants(value: Any) -> list[Participant]:
    """Read the participants' document."""
    return [payloads.participant(row, "participants") for row in payloads.rows(value, "participants")]


def events(value: Any) -> tuple[list[Participant], tuple[Presence, ...]]:
    """Read the events' document: every participant it names, and when each was present.

    ::

        join ──────── leave      join ─────────        leave without join: present from the start
        |  present    |          |  present, end None  join while present: ignored
    """
    named: list[Participant] = []
    moves: list[tuple[float, int, str]] = []
    for row in payloads.rows(value, "participant events"):
        participant = payloads.participant(row.get("participant"), "event")
        named.append(participant)
        if row.get("action") in ("join", "leave"):
            relative = payloads.optional_mapping(row.get("timestamp")).get("relative")
            time_s = payloads.seconds(relative, "event's time")
            moves.append((time_s, participant.participant_id, row["action"]))
    return named, _presence(sorted(moves, key=lambda move: move[0]))


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
        findings: notes about documents that are not available.
    """

    participants: tuple[Participant, ...] = ()
    presence: tuple[Presence, ...] = ()
    timeline: list[dict[str, Any]] | None = None
    findings: tuple[Finding, ...] = ()


def fetch_attendance(api: Api, media_host: MediaHost, artifact: Artifact | None) -> Attendance:
    """Fetch the three documents of the participant events.

    A missing one becomes a note.
    """
    if artifact is None or not artifact.is_done:
        message = (
            "The API has no participant events of this recording: participants who only listened are unknown."
        )
        return Attendance(findings=(Finding("no_participant_events", message, severity="note"),))

    def renew() -> dict[str, str]:
        return retrieve_artifact(api, artifact.kind, artifact.artifact_id).urls_by_field

    signed_urls = SignedUrls(artifact.urls_by_field, renew, media_host.policy)
    notes: list[Finding] = []

    def read(field: str, what: str) -> Any:
        if field not in artifact.urls_by_field:
            return None
        try:
            return _READERS[field](media_host.document(signed_urls, field, what))
        except ItemError as error:
            code, message = f"no_{what.replace(' ', '_')}", f"The {what} are not available ({error.code})."
            notes.append(Finding(code, message, severity="note"))
            return None

    listed = read("participants_download_url", "participants") or []
    named, presence = read("participant_events_download_url", "participant events") or ([], ())
    timeline = read("speaker_timeline_download_url", "speaker timeline")
    return Attendance(merge([listed, named]), presence, timeline, tuple(notes))


def _timeline(value: Any) -> list[dict[str, Any]]:
    """Read the platform's active-speaker events.

    An end that is missing is None.
    """
    rows = []
    for row in payloads.rows(value, "speaker timeline"):
        start = payloads.mapping(row.get("start_timestamp"), "speaker timeline, start")
        end = payloads.optional_mapping(row.get("end_timestamp"))
        participant = payloads.participant(row.get("participant"), "speaker timeline")
        end_s = payloads.seconds(end["relative"], "speaker timeline, end") if "relative" in end else None
        rows.append(
            {
                "participant_id": participant.participant_id,
                "start_s": payloads.seconds(start.get("relative"), "speaker timeline, start"),
                "end_s": end_s,
            }
        )
    return rows


_READERS = {
    "participants_download_url": participants,
    "participant_events_download_url": events,
    "speaker_timeline_download_url": _timeline,
}
