"""The report of one recording."""

from collections.abc import Mapping
from typing import Any

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
    text,
)
from recall_audio.report.leakage_section import explained, leakage_matrix, unexplained_rows
from recall_audio.report.page import Assets, page
from recall_audio.report.speakers import Documents, Speaker, duration_s, speakers
from recall_audio.report.talk_section import (
    DENOMINATORS,
    at_once,
    interruption_matrix,
    over_time,
    overlap_matrix,
    rows,
    sensitivity_rows,
    turn_rows,
)
from recall_audio.report.timeline import timeline
from recall_audio.report.warnings_section import statements, verdict

SCRIPTS = ("spans.js", "view.js", "lanes.js", "player.js", "pointing.js", "talk.js", "start.js")


def render(documents: Documents, assets: Assets | None = None) -> str:
    """``report.html`` of one recording.

    Args:
        documents: parsed JSON files of the recording's folder by kind (``recording``, ``alignment``,
            ``speakers``, ``segments``, ``talk``, ``stems``, ``leakage``, ``run``). What is missing, in
            whole or in part, is said on the page.
        assets: the audio beside the page; None takes what the documents name.

    Returns:
        One HTML text that asks for nothing but the audio beside it, and that only when played.
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
        "made": made(documents),
    }
    return page("report.html", SCRIPTS if people else (), drawn, view)


def title(documents: Documents) -> str:
    """What the meeting is called: the bot's name, else its platform, else its id."""
    bot = mapping(mapping(documents.get("recording")).get("bot"))
    return text(bot.get("name")) or text(bot.get("meeting_id")) or text(bot.get("id")) or "Meeting"


def facts(documents: Documents) -> list[tuple[str, str]]:
    """The plain facts under the title."""
    recording = mapping(documents.get("recording"))
    bot, own = mapping(recording.get("bot")), mapping(recording.get("recording"))
    started = text(own.get("started_at"))
    said = [
        ("Started", started[:16].replace("T", " ") + (" UTC" if started.endswith("Z") else "")),
        ("Platform", text(bot.get("platform")).replace("_", " ")),
        ("Bot", text(bot.get("id"))),
        ("Recording", text(own.get("id"))),
    ]
    return [(name, value) for name, value in said if value.strip()]


def headline(documents: Documents, people: list[Speaker]) -> list[tuple[str, str, str]]:
    """The figures that people look for first: name, figure, what it is of."""
    talk = mapping(documents.get("talk"))
    length_s, speech_s = duration_s(documents, people), number(talk.get("speech_s"))
    spoke = sum(s.talk_s > 0 for s in people)
    of_meeting = percent(speech_s / length_s, 0) if speech_s is not None and length_s > 0 else ""
    over = number(talk.get("overlap_of_speech"))
    return [
        (
            "Length",
            clock(length_s),
            count(len(objects(mapping(documents.get("alignment")).get("parts"))), "part"),
        ),
        ("People", str(len(people)), f"{spoke} spoke"),
        ("Somebody speaks", clock(speech_s), f"{of_meeting} of the meeting" if of_meeting else ""),
        (
            "More than one at once",
            clock(talk.get("overlap_s")),
            "" if over is None else f"{percent(over)} of the speech",
        ),
    ]


def stem_rows(documents: Documents, people: list[Speaker]) -> list[dict[str, str]]:
    """One row a stem: loudness before and after, and what set the gain."""
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
    ]


def _levels(stem: Mapping[str, Any]) -> dict[str, str]:
    """The loudness that was to reach the target: the file's, or its speech's where pauses sway the meter."""
    of = "speech" if stem.get("measured_over") == "speech" else "integrated"
    return {
        "before": quantity(stem.get(f"{of}_lufs_before"), "LUFS", 1),
        "after": quantity(stem.get(f"{of}_lufs_after"), "LUFS", 1),
        "over": "of the speech" if of == "speech" else "",
    }


def made(documents: Documents) -> dict[str, Any]:
    """How the results were made: version, stages, parameters."""
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
