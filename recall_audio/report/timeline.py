"""Gather what the page's scripts draw and play: the timeline, the transcript, the audio beside the page."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from recall_audio.report.formatting import mapping, number, objects, spans_ms, text
from recall_audio.report.leakage_section import unexplained
from recall_audio.report.page import relative_url
from recall_audio.report.values import LATEST_S, Documents, Speaker, duration_s, time_map
from recall_audio.typing import Spans

_PLAYABLE = (".mp3", ".wav", ".flac", ".ogg", ".opus", ".m4a", ".mp4")


@dataclass(frozen=True, slots=True)
class Assets:
    """Audio files beside ``report.html``.

    Attributes:
        mix: path of the mixed recording below the page's folder, or None.
        stems: label to path of that speaker's stem.
    """

    mix: str | None = None
    stems: Mapping[str, str] = field(default_factory=dict)

    @staticmethod
    def named_in(documents: Documents) -> "Assets":
        """Return the files that ``recording.json`` and ``stems.json`` name, without looking for them."""
        mix = mapping(mapping(documents.get("recording")).get("mix")).get("file")
        stems = {}
        for stem in objects(mapping(documents.get("stems")).get("stems")):
            label, file = stem.get("participant"), stem.get("file")
            if isinstance(label, str) and isinstance(file, str):
                stems[label] = file if "/" in file else f"stems/{file}"
        return Assets(mix if isinstance(mix, str) else None, stems)


def audio_url(path: str | None) -> str | None:
    """Return a relative URL of an audio file below the page, or None if it cannot be played."""
    return relative_url(path) if path and path.lower().endswith(_PLAYABLE) else None


MOST_MARKS = 20_000
"""Interruptions drawn at most. A meeting of eight hours has some thousands."""


def timeline(documents: Documents, people: list[Speaker], assets: Assets) -> dict[str, Any]:
    """Return the data that the page's scripts draw.

    Times are milliseconds, spans ``[pause, length, ...]``.

    Returns:
        ``{duration, mix, lanes: [{name, colour, stem, speech, taken, parts, steps, presence}],
        marks: [[ms, lane, other lane], ...], unexplained, transcript: [[ms, length, lane, text, word starts],
        ...]}``.
    """
    return {
        "duration": round(1000 * duration_s(documents, people)),
        "mix": audio_url(assets.mix),
        "lanes": [_lane(documents, s, assets) for s in people],
        "marks": _marks(documents, people),
        "unexplained": _deltas(unexplained(documents)),
        "transcript": _transcript(documents, people),
    }


def _lane(documents: Documents, s: Speaker, assets: Assets) -> dict[str, Any]:
    parts, steps = _parts(documents, s)
    return {
        "name": s.name,
        "colour": s.colour,
        "stem": audio_url(assets.stems.get(s.label)),
        "speech": _deltas(s.speech),
        "taken": _deltas(s.taken_out),
        "parts": _deltas(parts),
        "steps": steps,
        "presence": _deltas(_presence(documents, s)),
    }


def _parts(documents: Documents, s: Speaker) -> tuple[Spans, list[int]]:
    """Return a speaker's parts on the mix's clock, and the times at which their clock steps, ms."""
    extents, steps = [], []
    for part in objects(mapping(documents.get("alignment")).get("parts")):
        if part.get("participant_id") not in s.participant_ids:
            continue
        knots = time_map(part)
        if len(knots) > 1:
            extents.append([knots[0][1], knots[-1][1]])
        steps += [max(0, round(1000 * b[1])) for a, b in itertools.pairwise(knots) if a[0] == b[0]]
    return spans_ms(extents), sorted(steps)


def _presence(documents: Documents, s: Speaker) -> Spans:
    """Return a speaker's presence by its join and leave events, if there are any."""
    end_s = number(mapping(mapping(documents.get("alignment")).get("mix")).get("duration_s"))
    rows = []
    for p in objects(mapping(documents.get("recording")).get("presence")):
        if p.get("participant_id") in s.participant_ids:
            left_s = number(p.get("end_s"))
            rows.append([p.get("start_s"), end_s if left_s is None else left_s])
    return spans_ms(rows)


def _marks(documents: Documents, people: list[Speaker]) -> list[list[int]]:
    """List interruption candidates: time in ms, lane of the later speaker, lane of the earlier one."""
    lane = {s.label: i for i, s in enumerate(people)}
    marks = []
    for event in objects(mapping(documents.get("events")).get("overlaps")):
        start_s, who, whom = number(event.get("start_s")), str(event.get("later")), str(event.get("earlier"))
        if event.get("interruption") == "candidate" and start_s is not None and who in lane and whom in lane:
            marks.append([max(0, round(1000 * start_s)), lane[who], lane[whom]])
    return sorted(marks)[:MOST_MARKS]


def _transcript(documents: Documents, people: list[Speaker]) -> list[list[Any]]:
    """Return what was said: start and length in ms, lane or -1, text, and the start of each of its words.

    Words start so many hundredths of a second after the word before. They are left out where there are none,
    or where they do not make up the text.
    """
    lane = {s.label: i for i, s in enumerate(people)}
    rows: list[list[Any]] = []
    for segment in objects(mapping(documents.get("transcript")).get("segments")):
        start_s, end_s, said = (
            number(segment.get("start_s")),
            number(segment.get("end_s")),
            segment.get("text"),
        )
        if start_s is None or end_s is None or not 0 <= start_s <= end_s or end_s > LATEST_S:
            continue
        words = text(said, _LONGEST_SAID)
        row = [
            round(1000 * start_s),
            round(1000 * (end_s - start_s)),
            lane.get(str(segment.get("speaker")), -1),
        ]
        starts = [number(word.get("start_s")) for word in objects(segment.get("words"))]
        known = [s for s in starts if s is not None and 0 <= s <= LATEST_S]
        if known and len(known) == len(starts) == len(words.split()):
            hundredths = np.diff([round(100 * s) for s in known], prepend=round(100 * start_s))
            rows.append([*row, words, [int(n) for n in hundredths]])
        elif words:
            rows.append([*row, words])
    return sorted(rows, key=lambda row: (row[0], row[2]))


_LONGEST_SAID = 4_000
"""Longest text of one segment that the page shows, characters."""


def _deltas(found: Spans) -> list[int]:
    """Return ``[pause, length, pause, length, ...]`` in ms: short numbers, a third of the bytes."""
    return [int(n) for n in np.diff(found.ravel(), prepend=0)]
