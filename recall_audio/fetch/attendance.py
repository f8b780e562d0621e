"""Participants, presence and the platform's speaker timeline, as far as the API has them.

None of it is needed to go on: what cannot be had for good becomes a note. What may come later
(TransientError) is raised, because people who never spoke are in these documents only.
"""

from dataclasses import dataclass
from typing import Any

from recall_audio.errors import ItemError
from recall_audio.fetch import fields, payloads, people
from recall_audio.fetch.addresses import AddressBook
from recall_audio.fetch.client import Api
from recall_audio.fetch.payloads import Artifact
from recall_audio.fetch.store import Store
from recall_audio.model.findings import Finding
from recall_audio.model.meeting import Participant, Presence


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
    return Attendance(people.merged([listed, named]), presence, timeline, tuple(notes))


def _timeline(value: Any) -> list[dict[str, Any]]:
    """The platform's active-speaker events; an end that never came is None."""
    rows = []
    for row in fields.rows(value, "speaker timeline"):
        start = fields.mapping(row.get("start_timestamp"), "speaker timeline, start")
        end = fields.optional_mapping(row.get("end_timestamp"))
        person = payloads.participant(row.get("participant"), "speaker timeline")
        rows.append(
            {
                "participant_id": person.participant_id,
                "start_s": fields.seconds(start.get("relative"), "speaker timeline, start"),
                "end_s": fields.seconds(end["relative"], "speaker timeline, end")
                if "relative" in end
                else None,
            }
        )
    return rows


_READERS = {
    "participants_download_url": people.participants,
    "participant_events_download_url": people.events,
    "speaker_timeline_download_url": _timeline,
}
