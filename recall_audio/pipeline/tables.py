"""Results as rows: the same tables for the terminal, for CSV and for data frames."""

from typing import Any

from recall_audio.core.talk.measure import slide_talk
from recall_audio.model.options import TalkOptions
from recall_audio.pipeline.documents import Documents, need

Table = tuple[list[str], list[list[Any]]]
"""Column names, and rows in their order."""

_SPEAKER_COLUMNS = [
    "talk_s", "exclusive_s", "overlapped_s", "presence_s",
    "share_of_talk", "share_of_speech", "share_of_meeting", "share_of_presence",
    "turns", "longest_monologue_s",
]  # fmt: skip


def parts(documents: Documents) -> Table:
    """A row a part: where it lies on the mix's clock."""
    columns = [
        "part",
        "participant",
        "nominal_start_s",
        "start_s",
        "drift_ppm",
        "status",
        "confidence",
        "uncertainty_ms",
    ]
    labels = labels_by_id(documents)
    rows = [
        [p["part_id"], labels.get(p["participant_id"]), *(p[c] for c in columns[2:])]
        for p in need(documents, "alignment")["parts"]
    ]
    return columns, rows


def speakers(documents: Documents) -> Table:
    """A row a speaker: talk time and its shares."""
    rows = [
        [label, *(figures.get(c) for c in _SPEAKER_COLUMNS)]
        for label, figures in need(documents, "talk")["speakers"].items()
    ]
    return ["speaker", *_SPEAKER_COLUMNS], rows


def pairs(documents: Documents) -> Table:
    """A row a pair of speakers: how long they spoke at once."""
    found = need(documents, "talk")["pairs"]
    columns = list(found[0]) if found else ["a", "b", "overlap_s"]
    return columns, [[p[c] for c in columns] for p in found]


def windows(documents: Documents, options: TalkOptions) -> Table:
    """A row a sliding window of ``options.window_s``: speech, overlap, equality, each one's talk."""
    spoken = need(documents, "segments")["speakers"]
    columns = ["start_s", "end_s", "speech_s", "overlap_s", "gini_normalised", "entropy", "reasons"]
    rows = [
        [
            *(w.start_s, w.end_s, w.speech_s, w.overlap_s, w.equality.gini_normalised, w.equality.entropy),
            "; ".join(f"{figure}: {why}" for figure, why in w.equality.reasons.items()),
            *(w.talk_s[label] for label in spoken),
        ]
        for w in slide_talk(spoken, need(documents, "alignment")["mix"]["duration_s"], options)
    ]
    return [*columns, *(f"talk_s {label}" for label in spoken)], rows


def segments(documents: Documents) -> Table:
    """A row a stretch of speech, in order of time."""
    found = need(documents, "segments")["speakers"]
    rows = [[label, start, end] for label, spans in found.items() for start, end in spans]
    return ["speaker", "start_s", "end_s"], sorted(rows, key=lambda r: (r[1], r[2], r[0]))


def labels_by_id(documents: Documents) -> dict[int, str]:
    """Participant id to label, by ``speakers.json``."""
    people = need(documents, "speakers")["speakers"]
    return {i: label for label, person in people.items() for i in person["participant_ids"]}
