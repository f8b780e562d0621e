"""Who was there and when: participants and presence out of the participant events."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from recall_audio.errors import ItemError
from recall_audio.fetch.api import payloads
from recall_audio.fetch.api.client import Api
from recall_audio.fetch.api.payloads import Artifact
from recall_audio.fetch.download.media_host import AddressBook, Store
from recall_audio.model.meeting import Participant, Presence
from recall_audio.model.warnings import Finding


def merged(lists: Iterable[Iterable[Participant]]) -> tuple[Participant, ...]:
    """Every participant once, in order of appearance; what one list leaves open, the next fills."""
    known: dict[int, Participant] = {}
    for people in lists:
        for person in people:
            before = known.get(person.participant_id)
            known[person.participant_id] = person if before is None else _filled(before, person)
    return tuple(known.values())


def _filled(one: Participant, other: Participant) -> Participant:
    def either(name: str) -> Any:
        mine = getattr(one, name)
        return getattr(other, name) if mine is None else mine

    names = ("name", "is_host", "platform", "email", "extra_data")
    return Participant(one.participant_id, **{name: either(name) for name in names})


def participants(value: Any) -> list[Participant]:
    """The participants' document."""
    return [payloads.participant(row, "participants") for row in payloads.rows(value, "participants")]


def events(value: Any) -> tuple[list[Participant], tuple[Presence, ...]]:
    """The events' document: everyone it names, and when each was there.

    ::

        join ──────── leave      join ─────────        leave without join: there from the start
        |  present    |          |  present, end None  join while present: nothing new
    """
    people: list[Participant] = []
    moves: list[tuple[float, int, str]] = []
    for row in payloads.rows(value, "participant events"):
        person = payloads.participant(row.get("participant"), "event")
        people.append(person)
        if row.get("action") in ("join", "leave"):
            at = payloads.optional_mapping(row.get("timestamp")).get("relative")
            moves.append((payloads.seconds(at, "event's time"), person.participant_id, row["action"]))
    return people, _presence(sorted(moves, key=lambda move: move[0]))


def _presence(moves: list[tuple[float, int, str]]) -> tuple[Presence, ...]:
    inside: dict[int, float] = {}
    seen: set[int] = set()
    stretches = []
    for at_s, who, action in moves:
        if action == "join":
            inside.setdefault(who, at_s)
        elif who in inside or who not in seen:
            stretches.append(Presence(who, inside.pop(who, min(0.0, at_s)), at_s))
        seen.add(who)
    stretches += [Presence(who, at_s, None) for who, at_s in inside.items()]
    return tuple(sorted(stretches, key=lambda s: (s.start_s, s.participant_id)))


@dataclass(frozen=True, slots=True)
class Attendance:
    """Who was there.

    Attributes:
        participants: everyone named, in order of appearance.
        presence: join and leave stretches.
        timeline: rows ``{participant_id, start_s, end_s}`` of the platform's active-speaker events, or None.
        findings: notes about what could not be had.
    """

    participants: tuple[Participant, ...] = ()
    presence: tuple[Presence, ...] = ()
    timeline: list[dict[str, Any]] | None = None
    findings: tuple[Finding, ...] = ()


def attendance(api: Api, store: Store, artifact: Artifact | None) -> Attendance:
    """The three documents of the participant events, each by itself."""
    if artifact is None or not artifact.is_done:
        message = "The API has no participant events of this recording: who only listened is not known."
        return Attendance(findings=(Finding("no_participant_events", message, severity="note"),))

    def renew() -> dict[str, str]:
        return payloads.artifact(artifact.kind, api.retrieve(artifact.kind, artifact.artifact_id)).addresses

    book = AddressBook(artifact.addresses, renew, store.policy)
    notes: list[Finding] = []

    def read(key: str, what: str) -> Any:
        if key not in artifact.addresses:
            return None
        try:
            return _READERS[key](store.document(book, key, what))
        except ItemError as error:
            code, message = f"no_{what.replace(' ', '_')}", f"The {what} could not be had ({error.code})."
            notes.append(Finding(code, message, severity="note"))
            return None

    listed = read("participants_download_url", "participants") or []
    named, presence = read("participant_events_download_url", "participant events") or ([], ())
    timeline = read("speaker_timeline_download_url", "speaker timeline")
    return Attendance(merged([listed, named]), presence, timeline, tuple(notes))


def _timeline(value: Any) -> list[dict[str, Any]]:
    """The platform's active-speaker events; an end that never came is None."""
    rows = []
    for row in payloads.rows(value, "speaker timeline"):
        start = payloads.mapping(row.get("start_timestamp"), "speaker timeline, start")
        end = payloads.optional_mapping(row.get("end_timestamp"))
        person = payloads.participant(row.get("participant"), "speaker timeline")
        rows.append(
            {
                "participant_id": person.participant_id,
                "start_s": payloads.seconds(start.get("relative"), "speaker timeline, start"),
                "end_s": payloads.seconds(end["relative"], "speaker timeline, end")
                if "relative" in end
                else None,
            }
        )
    return rows


_READERS = {
    "participants_download_url": participants,
    "participant_events_download_url": events,
    "speaker_timeline_download_url": _timeline,
}
