"""Render the report of one recording."""

import math
from collections.abc import Mapping
from typing import Any

from recall_audio.report.alignment_section import parts
from recall_audio.report.formatting import (
    NOTHING,
    clock,
    mapping,
    number,
    objects,
    percent,
    quantity,
    seconds,
    sentence,
    text,
)
from recall_audio.report.leakage_section import (
    explained,
    leakage_matrix,
    taken_out,
    unexplained_rows,
)
from recall_audio.report.page import definitions, page, relative_url
from recall_audio.report.summary import interval, lede, metadata, platform, when
from recall_audio.report.talk_section import (
    DENOMINATORS,
    at_once,
    interruption_matrix,
    order_sentence,
    over_time,
    overlap_matrix,
    rows,
    sensitivity_rows,
    shares_over,
    turn_rows,
)
from recall_audio.report.timeline import Assets, timeline
from recall_audio.report.values import (
    CHECK,
    Documents,
    Speaker,
    Statement,
    duration_s,
    speakers,
    spoke,
    talkers,
    title,
)
from recall_audio.report.warnings_section import statements, verdict

SCRIPTS = (
    "spans.js",
    "view.js",
    "pen.js",
    "lanes.js",
    "player.js",
    "pointing.js",
    "talk.js",
    "transcript.js",
    "what.js",
    "save.js",
    "start.js",
)


_CROWDED = 6
"""People from whom on the columns of a matrix are numbered instead of named."""


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
    drawn_people = talkers(people)
    found = statements(documents, people)
    drawn = timeline(documents, drawn_people, assets or Assets.named_in(documents))
    view = {
        "title": title(documents),
        "when": when(documents),
        "facts": facts(documents, people),
        "lede": lede(people),
        "headline": headline(documents, people),
        "to_know": to_know(found),
        "more_to_know": sum(s.rank >= CHECK for s in found) - len(to_know(found)),
        "ids": ids(documents),
        "links": links(documents, drawn_people, assets or Assets.named_in(documents)),
        "define": definitions(documents),
        "crowded": len(drawn_people) > _CROWDED,
        "scale": scale(people),
        "has_intervals": any(interval(s) for s in people),
        "has_words": any(number(s.talk.get("words")) is not None for s in people),
        "has_taken": any(len(s.taken_out) for s in people),
        "verdict": verdict(found),
        "worst": max((s.rank for s in found), default=0),
        "people": drawn_people,
        "silent": len(people) - len(drawn_people),
        "statements": found,
        "has": {
            kind: bool(documents.get(kind))
            for kind in ("segments", "talk", "alignment", "leakage", "stems", "run", "transcript")
        },
        "stems_of": {s.label for s, lane in zip(drawn_people, drawn["lanes"], strict=True) if lane["stem"]},
        "has_stems": any(lane["stem"] for lane in drawn["lanes"]),
        "has_mix": bool(drawn["mix"]),
        "duration": clock(duration_s(documents, people)),
        "rows": rows(people),
        "share_rows": rows(drawn_people),
        "denominators": DENOMINATORS,
        "over": shares_over(people),
        "order": order_sentence(documents, people),
        "overlap": overlap_matrix(documents, drawn_people),
        "at_once": at_once(documents),
        "over_time": over_time(documents, drawn_people),
        "turn_taking": turn_rows(documents),
        "interruptions": interruption_matrix(documents, drawn_people),
        "sensitivity": sensitivity_rows(documents, drawn_people),
        "has_marks": bool(documents.get("events")),
        "parts": parts(documents, people),
        "leakage": leakage_matrix(documents, drawn_people),
        "taken_out": taken_out(people),
        "unexplained": unexplained_rows(documents),
        "explained": explained(documents),
        "stems": stem_rows(documents, people),
        "silent_stems": silent_stems(documents),
        "made": made(documents),
    }
    return page("report.html", SCRIPTS if people else (), drawn, view)


def facts(documents: Documents, people: list[Speaker]) -> list[tuple[str, str]]:
    """Return the facts under the title, name and value."""
    bot = mapping(mapping(documents.get("recording")).get("bot"))
    pairs = [
        ("When", when(documents)),
        ("Length", clock(duration_s(documents, people) or None)),
        ("People", f"{len(people)}, {spoke(people)}" if people else ""),
        ("Platform", platform(documents)),
        ("Recorded by", text(bot.get("name"))),
    ]
    return [(name, value) for name, value in pairs if value.strip(f" {NOTHING}")]


def headline(documents: Documents, people: list[Speaker]) -> list[tuple[str, str, str]]:
    """Return figures of the whole meeting: key of the definition, figure, and what it refers to."""
    talk = mapping(documents.get("talk"))
    length_s, speech_s = duration_s(documents, people), number(talk.get("speech_s"))
    of_meeting = percent(speech_s / length_s, 0) if speech_s is not None and length_s > 0 else ""
    over = number(talk.get("overlap_of_speech"))
    found = []
    if of_meeting:
        found.append(("speech", of_meeting, "of the time someone speaks"))
    if over is not None:
        found.append(("overlap_of_speech", percent(over), "of that, more than one does"))
    if (unassigned_s := number(talk.get("unassigned_s"))) is not None and unassigned_s >= _LEAST_UNASSIGNED_S:
        found.append(("unexplained", clock(unassigned_s), "of speech in no one’s recording"))
    return found


_LEAST_UNASSIGNED_S = 1.0
"""Shorter speech of the mix that is on no track is not worth a line on the first screen, seconds."""
_MOST_TO_KNOW = 3
"""Most statements on the first screen; the section on trust has them all."""


def to_know(found: list[Statement]) -> list[Statement]:
    """Return what the first screen says: the worst statements, none that is only good to know."""
    return [s for s in found if s.rank >= CHECK][:_MOST_TO_KNOW]


def scale(people: list[Speaker]) -> int:
    """Return the percentage that the longest bar of the shares stands for, rounded up to five."""
    tops = [(interval(s) or (0.0, number(s.talk.get("share_of_talk")) or 0.0))[1] for s in people]
    return min(100, 5 * math.ceil(20 * max(tops, default=0.0))) or 100


def ids(documents: Documents) -> list[tuple[str, str]]:
    """Return ids and metadata of the meeting, name and value."""
    recording = mapping(documents.get("recording"))
    bot, about = mapping(recording.get("bot")), mapping(recording.get("recording"))
    pairs = [("Bot", text(bot.get("id"))), ("Recording", text(about.get("id"))), *metadata(documents)]
    return [(name, value) for name, value in pairs if value.strip()]


def links(
    documents: Documents, people: list[Speaker], assets: Assets
) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return groups of files beside the page: name of the group, and name and relative URL of each file."""
    mix = [("mixed recording", relative_url(assets.mix))]
    stems = [(s.name, relative_url(assets.stems.get(s.label))) for s in people]
    tables = [
        (file, relative_url(file) if documents.get(kind) else None)
        for file, kind in (
            ("talk.json", "talk"),
            ("segments.json", "segments"),
            ("segments.rttm", "talk"),
            ("transcript.json", "transcript"),
            ("alignment.json", "alignment"),
        )
    ]
    groups = (("Listen", mix), ("One track a person", stems), ("Numbers", tables))
    found = [(name, [(word, url) for word, url in files if url]) for name, files in groups]
    return [(name, files) for name, files in found if files]


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
