"""Render the report of one recording."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from recall_audio.report.alignment_section import parts
from recall_audio.report.formatting import (
    clock,
    count,
    mapping,
    number,
    objects,
    percent,
    quantity,
    seconds,
    sentence,
    spans_ms,
    text,
)
from recall_audio.report.leakage_section import explained, leakage_matrix, unexplained, unexplained_rows
from recall_audio.report.page import page, relative_url
from recall_audio.report.talk_section import (
    DENOMINATORS,
    at_once,
    interruption_matrix,
    over_time,
    overlap_matrix,
    rows,
    sensitivity_rows,
    shares_over,
    turn_rows,
)
from recall_audio.report.values import Documents, Speaker, duration_s, speakers, spoke, time_map, title
from recall_audio.report.warnings_section import statements, verdict
from recall_audio.typing import Spans

SCRIPTS = ("spans.js", "view.js", "lanes.js", "player.js", "pointing.js", "talk.js", "start.js")


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


def render(documents: Documents, assets: Assets | None = None) -> str:
    """Render ``report.html`` of one recording.

    Args:
        documents: parsed JSON files of the recording's folder by kind (``recording``, ``alignment``,
            ``speakers``, ``segments``, ``talk``, ``stems``, ``leakage``, ``run``). What is missing, in
            whole or in part, is said on the page.
        assets: the audio beside the page; None for those that the documents name.

    Returns:
        One HTML text that requests nothing but the audio beside it, and that only when played.
    """
    people = speakers(documents)
    found = statements(documents, people)
    drawn = timeline(documents, people, assets or Assets.named_in(documents))
    view = {
        "title": title(documents),
        "facts": facts(documents),
        "headline": headline(documents, people),
        "verdict": verdict(found),
        "worst": max((s.rank for s in found), default=0),
        "people": people,
        "statements": found,
        "has": {
            kind: bool(documents.get(kind))
            for kind in ("segments", "talk", "alignment", "leakage", "stems", "run")
        },
        "stems_of": {s.label for s, lane in zip(people, drawn["lanes"], strict=True) if lane["stem"]},
        "has_stems": any(lane["stem"] for lane in drawn["lanes"]),
        "has_mix": bool(drawn["mix"]),
        "duration": clock(duration_s(documents, people)),
        "rows": rows(people),
        "denominators": DENOMINATORS,
        "over": shares_over(people),
        "overlap": overlap_matrix(documents, people),
        "at_once": at_once(documents),
        "over_time": over_time(documents, people),
        "turn_taking": turn_rows(documents),
        "interruptions": interruption_matrix(documents, people),
        "sensitivity": sensitivity_rows(documents, people),
        "has_marks": bool(documents.get("events")),
        "parts": parts(documents, people),
        "leakage": leakage_matrix(documents, people),
        "unexplained": unexplained_rows(documents),
        "explained": explained(documents),
        "stems": stem_rows(documents, people),
        "silent_stems": silent_stems(documents),
        "made": made(documents),
    }
    return page("report.html", SCRIPTS if people else (), drawn, view)


def facts(documents: Documents) -> list[tuple[str, str]]:
    """Return the facts under the title, name and value."""
    recording = mapping(documents.get("recording"))
    bot, about = mapping(recording.get("bot")), mapping(recording.get("recording"))
    started = text(about.get("started_at"))
    pairs = [
        ("Started", started[:16].replace("T", " ") + (" UTC" if started.endswith("Z") else "")),
        ("Platform", text(bot.get("platform")).replace("_", " ")),
        ("Bot", text(bot.get("id"))),
        ("Recording", text(about.get("id"))),
    ]
    return [(name, value) for name, value in pairs if value.strip()]


def headline(documents: Documents, people: list[Speaker]) -> list[tuple[str, str, str]]:
    """Return the main figures: name, figure, and what it refers to."""
    talk = mapping(documents.get("talk"))
    length_s, speech_s = duration_s(documents, people), number(talk.get("speech_s"))
    of_meeting = percent(speech_s / length_s, 0) if speech_s is not None and length_s > 0 else ""
    over = number(talk.get("overlap_of_speech"))
    return [
        (
            "Length",
            clock(length_s),
            count(len(objects(mapping(documents.get("alignment")).get("parts"))), "part"),
        ),
        ("People", str(len(people)), spoke(people)),
        ("Speech", clock(speech_s), f"{of_meeting} of the meeting" if of_meeting else ""),
        (
            "More than one at once",
            clock(talk.get("overlap_s")),
            "" if over is None else f"{percent(over)} of the speech",
        ),
    ]


def stem_rows(documents: Documents, people: list[Speaker]) -> list[dict[str, str]]:
    """Return one row a stem that was written: loudness before and after, and what set the gain."""
    names = {s.label: s.name for s in people}
    return [
        {
            "name": names.get(str(stem.get("participant")), text(stem.get("participant"))),
            "file": text(stem.get("file"), 120),
            **_levels(stem),
            "peak": quantity(stem.get("true_peak_dbtp_after"), "dBTP", 1),
            "gain": quantity(stem.get("gain_db"), "dB", 1),
            "by": text(stem.get("gain_set_by")),
            "why": sentence(stem.get("reason")),
        }
        for stem in objects(mapping(documents.get("stems")).get("stems"))
        if stem.get("file")
    ]


def silent_stems(documents: Documents) -> int:
    """Return the number of silent participants, for whom no file was written."""
    return sum(not stem.get("file") for stem in objects(mapping(documents.get("stems")).get("stems")))


def _levels(stem: Mapping[str, Any]) -> dict[str, str]:
    """Return the loudness that has the target: the file's, or its speech's where pauses bias the meter."""
    of = "speech" if stem.get("measured_over") == "speech" else "integrated"
    return {
        "before": quantity(stem.get(f"{of}_lufs_before"), "LUFS", 1),
        "after": quantity(stem.get(f"{of}_lufs_after"), "LUFS", 1),
        "over": "of the speech" if of == "speech" else "",
    }


def made(documents: Documents) -> dict[str, Any]:
    """Return how the results were made: version, stages, parameters."""
    run = mapping(documents.get("run"))
    stages = [
        {
            "name": text(s.get("name")),
            "status": text(s.get("status")),
            "seconds": seconds(s.get("seconds"), 1),
        }
        for s in objects(run.get("stages"))
    ]
    return {
        "version": text(run.get("version")),
        "stages": stages,
        "timed": any(number(s.get("seconds")) is not None for s in objects(run.get("stages"))),
        "parameters": list(_flat(run.get("parameters"), "")),
    }


def _flat(value: Any, name: str) -> list[tuple[str, str]]:
    if isinstance(value, Mapping):
        return [pair for k, v in value.items() for pair in _flat(v, f"{name}.{k}" if name else str(k))]
    return [(text(name), text("none" if value is None else value))]


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
        marks: [[ms, lane, other lane], ...], unexplained}``.
    """
    return {
        "duration": round(1000 * duration_s(documents, people)),
        "mix": audio_url(assets.mix),
        "lanes": [_lane(documents, s, assets) for s in people],
        "marks": _marks(documents, people),
        "unexplained": _deltas(unexplained(documents)),
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


def _deltas(found: Spans) -> list[int]:
    """Return ``[pause, length, pause, length, ...]`` in ms: short numbers, a third of the bytes."""
    return [int(n) for n in np.diff(found.ravel(), prepend=0)]
