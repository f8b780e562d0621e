"""Measure talk from a recording's files, and collect what the exporters take."""

import json
from pathlib import Path
from typing import Any

from recall_audio import __version__
from recall_audio.core.spans import clip, from_seconds, to_seconds
from recall_audio.core.talk.measure import measure_talk
from recall_audio.core.talk.sensitivity import bridge_variants, measure_sensitivity
from recall_audio.export.recording_view import ExportView, StemFile
from recall_audio.model.alignment import Alignment
from recall_audio.model.meeting import Meeting
from recall_audio.model.options import TalkOptions
from recall_audio.model.speech import OtherThreshold
from recall_audio.model.talk import Talk
from recall_audio.pipeline.documents import Documents, labels_by_id, need
from recall_audio.storage import address_of
from recall_audio.units import FRAME_SAMPLES, RATE_HZ, to_samples


def talk_of(documents: Documents, options: TalkOptions) -> Talk:
    """Measure talk from a recording's segments and alignment, without the sensitivity table.

    Raises:
        ItemError: segments or alignment are not there.
    """
    segments = need(documents, "segments")
    alignment = Alignment.from_json(need(documents, "alignment"))
    labels = labels_by_id(documents)
    meeting = Meeting.from_json(need(documents, "recording"))
    measured = measure_talk(
        segments["speakers"],
        alignment.duration_s,
        options,
        presence=presence_of(meeting, alignment, labels),
        raw_segments=segments["raw"],
        uncertainty_ms=uncertainty_of(alignment, labels),
        cuts_s=cuts_of(alignment, labels),
    )
    if segments.get("unassigned") is not None:
        measured = measured.with_unassigned(round(sum(e - s for s, e in segments["unassigned"]), 6))
    frame_s = FRAME_SAMPLES / RATE_HZ
    return measured.with_parameters(version=__version__, frame_s=frame_s, speech=segments["parameters"])


def remeasure_talk(documents: Documents) -> Talk:
    """Measure talk again, events included, with the options that the recording was processed with.

    Raises:
        ItemError: segments, alignment or the manifest are not there.
    """
    return talk_of(documents, TalkOptions(**need(documents, "run")["parameters"]["talk"]))


def with_sensitivity(talk: Talk, documents: Documents, options: TalkOptions) -> Talk:
    """Return talk with the table that shows whether ranks depend on a parameter."""
    segments = need(documents, "segments")
    bridge_s, shortest_s = (segments["parameters"][k] for k in ("bridge_s", "shortest_s"))
    variants = bridge_variants(segments["unbridged"], shortest_s, options)
    chosen = f"bridge {bridge_s:g} s"
    variants[chosen] = segments["speakers"]
    thresholds = [OtherThreshold(**other) for other in segments["other_thresholds"]]
    return talk.with_sensitivity(measure_sensitivity(variants, chosen, talk.duration_s, thresholds))


def presence_of(
    meeting: Meeting, alignment: Alignment, labels: dict[int, str]
) -> dict[str, list[list[float]]]:
    """Return each label's stretches of presence ``[start_s, end_s]`` within the mix.

    Presence is what join and leave events and the parts show together: a part proves presence, whatever the
    events say. A participant with neither has no entry, because their presence is not known.
    """
    end_s = alignment.duration_s
    found: dict[str, list[list[float]]] = {}
    for seen in meeting.presence:
        if seen.participant_id in labels:
            stretch = [seen.start_s, end_s if seen.end_s is None else seen.end_s]
            found.setdefault(labels[seen.participant_id], []).append(stretch)
    for part in alignment.parts:
        found.setdefault(labels[part.participant_id], []).append([part.start_s, part.time_map.end_s])
    n_samples = to_samples(end_s)
    return {
        label: to_seconds(clip(from_seconds(row for row in rows if row[0] < row[1]), 0, n_samples))
        for label, rows in found.items()
    }


def presence_in(documents: Documents) -> dict[str, list[list[float]]]:
    """Return each label's stretches of presence, from a recording's files.

    Raises:
        ItemError: one of them is not there.
    """
    meeting = Meeting.from_json(need(documents, "recording"))
    alignment = Alignment.from_json(need(documents, "alignment"))
    return presence_of(meeting, alignment, labels_by_id(documents))


def cuts_of(alignment: Alignment, labels: dict[int, str]) -> dict[str, list[float]]:
    """Return where each label's parts begin and end on the mix's clock, seconds.

    An overlap that is cut there is undetermined.
    """
    found: dict[str, list[float]] = {}
    for part in alignment.parts:
        found.setdefault(labels[part.participant_id], []).extend((part.start_s, part.time_map.end_s))
    return found


def uncertainty_of(alignment: Alignment, labels: dict[int, str]) -> dict[str, float | None]:
    """Return each label's largest uncertainty of their parts, ms, None if any is unknown."""
    found: dict[str, list[float | None]] = {}
    for part in alignment.parts:
        if part.status != "silent":  # without speech, no figure depends on its place
            found.setdefault(labels[part.participant_id], []).append(part.uncertainty_ms)
    return {
        label: None if None in values else max(v for v in values if v is not None)
        for label, values in found.items()
    }


def view_of(
    documents: Documents, talk: Talk, root: Path | None = None, out: Path | None = None
) -> ExportView:
    """Return what the exporters take of a recording.

    Args:
        documents: its files.
        talk: its talk, with the events.
        root: its folder, put before the paths of audio files; paths are relative where None.
        out: where the export will lie.
    """
    recording = need(documents, "recording")
    stems: list[dict[str, Any]] = documents.get("stems", {}).get("stems", [])
    return ExportView(
        recording_id=str(recording["recording"]["id"]),
        duration_s=talk.duration_s,
        segments=need(documents, "segments")["speakers"],
        names={label: p["name"] for label, p in need(documents, "speakers")["speakers"].items()},
        talk=talk,
        stems={s["participant"]: StemFile(s["file"], s["rate_hz"], s["n_samples"]) for s in stems},
        labels=labels_by_id(documents),
        parts=Alignment.from_json(need(documents, "alignment")).parts,
        mix=recording["mix"]["file"] if recording["mix"] else None,
        root=address_of(root) if root else "",
        out=address_of(out) if out else None,
        origin=_origin(documents),
    )


def _origin(documents: Documents) -> dict[str, str | None]:
    """Return what the tables say about where a recording comes from."""
    bot, recording = documents["recording"]["bot"], documents["recording"]["recording"]
    found = [facts.get("metadata") for facts in (bot, recording)]
    metadata = {k: v for one in found if isinstance(one, dict) for k, v in one.items()}
    return {
        "bot_id": bot.get("id"),
        "title": recording.get("title"),
        "platform": bot.get("platform"),
        "started_at": recording.get("started_at"),
        "status": documents.get("run", {}).get("status"),
        "metadata": json.dumps(metadata, sort_keys=True) if metadata else None,
    }
