"""Who is in the report: every label of every file, the one who talked most first."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from recall_audio.report.formatting import items, mapping, number, objects, text
from recall_audio.report.intervals import Stretches, stretches, total_s, without

COLOURS = 10
"""Colours in the style sheet; the eleventh speaker shares the first one's, and is told by name."""

Documents = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Speaker:
    """One participant of the report.

    Attributes:
        label: as in ``speakers.json`` and the file names.
        name: for display: the real name made safe for one line, else the label.
        colour: class number in the style sheet.
        participant_ids: all ids of this label.
        speech: what counts as their speech.
        taken_out: what was detected on their track but explained by others' leaked voices.
        talk: their entry in ``talk.json``, or an empty mapping.
    """

    label: str
    name: str
    colour: int
    participant_ids: tuple[int, ...]
    speech: Stretches
    taken_out: Stretches
    talk: Mapping[str, Any]

    @property
    def talk_s(self) -> float:
        """Seconds of speech: the measured figure, else what the segments add up to."""
        measured = number(self.talk.get("talk_s"))
        return total_s(self.speech) if measured is None else measured


def speakers(documents: Documents) -> list[Speaker]:
    """Every label of ``speakers.json``, ``segments.json`` and ``talk.json``, most talk first."""
    known = mapping(mapping(documents.get("speakers")).get("speakers"))
    talk = mapping(mapping(documents.get("talk")).get("speakers"))
    segments = mapping(documents.get("segments"))
    clean, raw = mapping(segments.get("speakers")), mapping(segments.get("raw"))
    labels = dict.fromkeys([*known, *talk, *clean])
    found = []
    for label in labels:
        entry = mapping(known.get(label))
        speech = stretches(clean.get(label))
        ids = _ids(entry)
        name = text(entry.get("name")) or text(label)
        taken = without(stretches(raw.get(label)), speech)
        found.append(Speaker(label, name, 0, ids, speech, taken, mapping(talk.get(label))))
    found.sort(key=lambda s: -s.talk_s)
    return [replace(s, colour=i % COLOURS) for i, s in enumerate(_told_apart(found))]


def _ids(entry: Mapping[str, Any]) -> tuple[int, ...]:
    """Every id of a label; most have one."""
    several = [*items(entry.get("participant_ids")), entry.get("participant_id")]
    return tuple(dict.fromkeys(i for i in several if isinstance(i, int)))


def _told_apart(found: list[Speaker]) -> list[Speaker]:
    """Two people of one name are shown with their labels, so that a reader can tell them apart."""
    names = [s.name for s in found]
    return [
        s
        if names.count(s.name) == 1 or s.name == text(s.label)
        else replace(s, name=f"{s.name} ({text(s.label)})")
        for s in found
    ]


def duration_s(documents: Documents, people: list[Speaker]) -> float:
    """The mix's length; without one, the end of the last speech."""
    mix = mapping(mapping(documents.get("alignment")).get("mix"))
    for value in (mapping(documents.get("talk")).get("duration_s"), mix.get("duration_s")):
        length_s = number(value)
        if length_s is not None and length_s > 0:
            return length_s
    return max((s.speech[-1][1] / 1000.0 for s in people if s.speech), default=0.0)


def name_of_participant(documents: Documents, people: list[Speaker], participant_id: Any) -> str:
    """The display name for a participant's id, also where they have no label."""
    for s in people:
        if participant_id in s.participant_ids:
            return s.name
    for p in objects(mapping(documents.get("recording")).get("participants")):
        if p.get("participant_id") == participant_id and text(p.get("name")):
            return text(p.get("name"))
    return f"participant {text(participant_id)}"
