"""Measure talk from a recording's files, and collect what the exporters take."""

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

from recall_audio import __version__
from recall_audio.core.spans import clip, from_seconds, to_seconds
from recall_audio.core.talk.annotation import Rows
from recall_audio.core.talk.certainty import uncertainty_findings, with_ranks
from recall_audio.core.talk.intervals import with_intervals
from recall_audio.core.talk.measure import measure_talk, with_unknown
from recall_audio.core.talk.sensitivity import bridge_variants, measure_sensitivity
from recall_audio.export.recording_view import ExportView, StemFile
from recall_audio.model.alignment import Alignment
from recall_audio.model.meeting import Meeting
from recall_audio.model.options import TalkOptions
from recall_audio.model.outcome import Finding, ending_of
from recall_audio.model.persons import ids_by_label
from recall_audio.model.pseudonyms import LEFT_OUT
from recall_audio.model.speech import OtherThreshold
from recall_audio.model.talk import Talk
from recall_audio.model.transcript import Transcript, Word, count_speech
from recall_audio.pipeline.documents import TRANSCRIPT, Documents, Posteriors, labels_by_id, need
from recall_audio.storage import address_of
from recall_audio.typing import Spans
from recall_audio.units import FRAME_SAMPLES, RATE_HZ, to_samples

T = TypeVar("T")


def talk_of(documents: Documents, options: TalkOptions, posteriors: Posteriors | None = None) -> Talk:
    """Measure talk from a recording's segments and alignment, without the sensitivity table.

    With `posteriors`, figures have their intervals, and the order of the speakers says how sure it is.

    Raises:
        ItemError: segments or alignment are not there.
    """
    segments = need(documents, "segments")
    alignment = Alignment.from_json(need(documents, "alignment"))
    labels = labels_by_id(documents)
    meeting = Meeting.from_json(need(documents, "recording"))
    unknown = unknown_speakers(documents)
    presence = presence_of(meeting, alignment, labels)
    measured = measure_talk(
        without(segments["speakers"], unknown),
        alignment.duration_s,
        options,
        presence=without(presence, unknown),
        raw_segments=segments["raw"],
        uncertainty_ms=uncertainty_of(alignment, labels),
        cuts_s=cuts_of(alignment, labels),
    )
    lost_s = _lost_s(meeting, alignment, labels)
    if posteriors is not None:
        spans = spans_of(segments["speakers"], measured.over, alignment.duration_s)
        places_ms = uncertainty_of(alignment, labels)
        measured = with_ranks(with_intervals(measured, spans, posteriors, places_ms, lost_s))
    if segments.get("unassigned") is not None:
        measured = measured.with_unassigned(round(sum(e - s for s, e in segments["unassigned"]), 6))
    measured = with_unknown(measured, unknown, list(segments["speakers"]))
    measured = measured.with_facts(lost_s, {label: _length_s(rows) for label, rows in presence.items()})
    frame_s = FRAME_SAMPLES / RATE_HZ
    measured = _with_words(measured, documents)
    return measured.with_parameters(version=__version__, frame_s=frame_s, speech=segments["parameters"])


def _with_words(measured: Talk, documents: Documents) -> Talk:
    """Return talk with the words of everyone, where there is a transcript."""
    if TRANSCRIPT not in documents:
        return measured.with_words(None, "there is no transcript: `recall-audio transcribe` makes one")
    try:
        said = Transcript.from_json(documents[TRANSCRIPT])
        return measured.with_words(count_speech(said.segments, said.speakers))
    except (KeyError, TypeError, AttributeError, ValueError):
        return measured.with_words(None, "transcript.json is not as this version writes it")


def spans_of(rows: Mapping[str, Rows], labels: Sequence[str], duration_s: float) -> dict[str, Spans]:
    """Return the rows of some labels as spans within the meeting."""
    end = to_samples(duration_s)
    return {label: clip(from_seconds(rows[label]), 0, end) for label in labels}


MIN_UNASSIGNED_S = 2.0
"""Seconds of speech of the mix on no track that show a further speaker; its finding needs as much."""
MIN_UNASSIGNED_SHARE = 0.02
"""The same as a share of the speech found: the 2 points by which a share may be wrong without a warning."""


def unknown_speakers(documents: Documents) -> dict[str, str]:
    """Return label to reason of the participants whose speech is not known.

    It is known where a part of theirs was decoded, silent or not. Where there is none, it is known to be zero
    if the platform reports who spoke, they are not among these, and the mix holds no speech beyond the
    tracks::

        a part was decoded                                           known
        their parts are lost                                         unknown
        no part, the platform heard them                             unknown
        no part, speech in the mix is on no track                    unknown
        no part, the platform heard others and never them            known: 0 s
        no part, all speech in the mix is on tracks                  known: 0 s
        no part, and nothing that shows whether they spoke           unknown

    Raises:
        ItemError: a file is not there.
    """
    meeting, segments = Meeting.from_json(need(documents, "recording")), need(documents, "segments")
    decoded = {p["participant_id"] for p in need(documents, "alignment")["parts"]}
    speech_s = sum(_length_s(rows) for rows in segments["speakers"].values())
    rows = segments.get("unassigned")
    unassigned_s = None if rows is None else _length_s(rows)
    is_heard = unassigned_s is not None and unassigned_s >= max(
        MIN_UNASSIGNED_S, MIN_UNASSIGNED_SHARE * speech_s
    )
    found, heard = {}, set(meeting.spoke or ())
    lost: dict[int, list[str]] = {}
    for part in (p for p in meeting.parts if p.media.duration_s != 0):
        problem = part.media.problem
        why = "it cannot be decoded" if problem is None or problem == LEFT_OUT else problem
        lost.setdefault(part.participant_id, []).append(why)
    for label, ids in ids_by_label(labels_by_id(documents)).items():
        if not decoded.isdisjoint(ids):
            continue
        reasons = [why for participant_id in ids for why in lost.get(participant_id, ())]
        if reasons:
            found[label] = f"their separate audio is lost ({', '.join(dict.fromkeys(reasons))})"
        elif not heard.isdisjoint(ids):
            found[label] = "the platform reports that they spoke, but there is no separate audio of them"
        elif is_heard:
            found[label] = (
                f"there is no separate audio of them, and {unassigned_s:.0f} s of speech in the mix are on "
                "no track"
            )
        elif not meeting.spoke and unassigned_s is None:
            found[label] = "there is no separate audio of them, and nothing that shows whether they spoke"
    return found


def talk_findings(talk: Talk) -> tuple[Finding, ...]:
    """Return a warning for each speaker who is not known, and for each figure that may be off."""
    unknown = [
        Finding("speaker_unknown", f"{label}: how much they spoke is not known: {why}.", label)
        for label, why in talk.unknown.items()
    ]
    incomplete = [
        Finding(
            "speaker_incomplete",
            f"{label}: {'an unknown length' if s.lost_s is None else f'{s.lost_s:.1f} s'} of their separate "
            "audio is lost; their figures leave it out and are too low by what they said there.",
            label,
        )
        for label, s in talk.speakers.items()
        if label not in talk.unknown and s.lost_s != 0
    ]
    named = {finding.where for finding in incomplete}
    uncertain = [f for f in uncertainty_findings(talk) if not f.where or f.where not in named]
    return (*unknown, *incomplete, *uncertain)


def _lost_s(meeting: Meeting, alignment: Alignment, labels: Mapping[int, str]) -> dict[str, float | None]:
    """Return the declared length of each label's parts that are not in the alignment, seconds.

    It is not known where a person with several ids was heard under one that has no part.
    """
    decoded, with_part = {p.part_id for p in alignment.parts}, {p.participant_id for p in meeting.parts}
    lengths = [(p.participant_id, p.media.duration_s) for p in meeting.parts if p.part_id not in decoded]
    several = {i for ids in ids_by_label(labels).values() if len(ids) > 1 for i in ids}
    lengths += [(i, None) for i in meeting.spoke or () if i in several and i not in with_part]
    found: dict[str, float | None] = {}
    for participant_id, length_s in lengths:
        if participant_id in labels:
            before = found.get(labels[participant_id], 0.0)
            is_known = before is not None and length_s is not None
            found[labels[participant_id]] = (before or 0.0) + (length_s or 0.0) if is_known else None
    return found


def _length_s(rows: Rows) -> float:
    """Return the length of disjoint rows, whole samples in seconds."""
    return sum(to_samples(end_s) - to_samples(start_s) for start_s, end_s in rows) / RATE_HZ


def without(by_label: Mapping[str, T], unknown: Mapping[str, str]) -> dict[str, T]:
    """Return a mapping without the labels that are not known."""
    return {label: value for label, value in by_label.items() if label not in unknown}


def remeasure_talk(documents: Documents, posteriors: Posteriors | None = None) -> Talk:
    """Measure talk again, events included, with the options that the recording was processed with.

    Without `posteriors`, intervals are those of ``talk.json``.

    Raises:
        ItemError: segments, alignment or the manifest are not there.
    """
    options = TalkOptions(**need(documents, "run")["parameters"]["talk"])
    talk = talk_of(documents, options, posteriors)
    return talk if posteriors is not None else _with_stored_intervals(talk, documents.get("talk") or {})


def _with_stored_intervals(talk: Talk, stored: Mapping[str, Any]) -> Talk:
    """Return talk with the intervals that ``talk.json`` holds."""
    speakers = stored.get("speakers", {})
    pairs = {(pair["a"], pair["b"]): pair for pair in stored.get("pairs", [])}
    return replace(
        talk,
        **_stored_ends(talk, stored),
        speakers={k: replace(s, **_stored_ends(s, speakers.get(k, {}))) for k, s in talk.speakers.items()},
        pairs=tuple(replace(p, **_stored_ends(p, pairs.get((p.a, p.b), {}))) for p in talk.pairs),
    )


def _stored_ends(figures: Any, stored: Mapping[str, Any]) -> dict[str, Any]:
    names = (field.name for field in fields(figures) if field.name.endswith(("_low", "_high")))
    return {name: stored.get(name) for name in names}


def with_sensitivity(talk: Talk, documents: Documents, options: TalkOptions) -> Talk:
    """Return talk with the table that shows whether ranks depend on a parameter."""
    segments = need(documents, "segments")
    bridge_s, shortest_s = (segments["parameters"][k] for k in ("bridge_s", "shortest_s"))
    variants = bridge_variants(without(segments["unbridged"], talk.unknown), shortest_s, options)
    chosen = f"bridge {bridge_s:g} s"
    variants[chosen] = without(segments["speakers"], talk.unknown)
    thresholds = [
        OtherThreshold(**{**other, "talk_s": without(other["talk_s"], talk.unknown)})
        for other in segments["other_thresholds"]
    ]
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
        segments=without(need(documents, "segments")["speakers"], talk.unknown),
        names={label: p["name"] for label, p in need(documents, "speakers")["speakers"].items()},
        talk=talk,
        stems={
            s["participant"]: StemFile(s["file"], s["rate_hz"], s["n_samples"])
            for s in stems
            if s["file"] is not None and s["participant"] not in talk.unknown
        },
        labels=labels_by_id(documents),
        parts=Alignment.from_json(need(documents, "alignment")).parts,
        mix=recording["mix"]["file"] if recording["mix"] else None,
        root=address_of(root) if root else "",
        out=address_of(out) if out else None,
        origin=_origin(documents),
        ending=ending_of(documents.get("run")),
        words=_words_by_label(documents),
    )


def _words_by_label(documents: Documents) -> dict[str, list[Word]]:
    """Return label to the words of the transcript, empty where there is none that can be read."""
    found: dict[str, list[Word]] = {}
    with contextlib.suppress(KeyError, TypeError, AttributeError, ValueError):
        for segment in Transcript.from_json(documents[TRANSCRIPT]).segments:
            whole = (Word(segment.text, segment.start_s, segment.end_s),)
            found.setdefault(segment.speaker or "", []).extend(segment.words or whole)
    return found


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
        "status": ending_of(documents.get("run")).status,
        "metadata": json.dumps(metadata, sort_keys=True) if metadata else None,
    }
