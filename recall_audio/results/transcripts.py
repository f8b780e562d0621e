"""Merge others' transcripts of a recording, and keep the result beside the other results.

::

    stems ── clips of own speech ── an engine ──┐
    files of any transcriber ── readers ────────┴─ attribution ── transcript.json ── talk.json, report.html
                                                                  transcript/*.vtt, .srt, .txt, ...
"""

import logging
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from recall_audio.errors import ItemError, UsageError
from recall_audio.export.recording_view import Rows
from recall_audio.export.transcripts import TRANSCRIPT_FORMATS, Written, write_transcript
from recall_audio.files import path_in, sweep_parts_of, write_json
from recall_audio.model.labels import safe_name
from recall_audio.model.options import TranscriptOptions
from recall_audio.model.outcome import Finding
from recall_audio.model.pseudonyms import Pseudonyms
from recall_audio.model.transcript import Transcript
from recall_audio.pipeline.documents import TRANSCRIPT, Documents, Layout, labels_by_id, need, read_documents
from recall_audio.pipeline.process import refresh_words
from recall_audio.pipeline.talk import unknown_speakers
from recall_audio.results.export import claim, write_file
from recall_audio.results.pseudonymise import recode_documents
from recall_audio.transcripts import ReadTranscript, read_transcript
from recall_audio.transcripts.attribution import in_order, own_segments, share_out
from recall_audio.transcripts.readers import ReadSegment

NOTES = logging.getLogger(__name__)
"""Gets what a reader of a transcript should know: rows that were mended, words that were dropped."""


def merge_files(
    folder: Path,
    files: Sequence[Path],
    forms: Sequence[str] = (),
    into: Path | None = None,
    pseudonyms: Pseudonyms | None = None,
    options: TranscriptOptions = TranscriptOptions(),  # noqa: B008 - a frozen value
) -> list[Path]:
    """Merge a transcriber's files into the recording's transcript and return the files written.

    Args:
        folder: the recording's folder.
        files: transcripts in any known format: one a stem, named after it; one of all channels of a
            multichannel file; Recall.ai's own; or one of the mix, named ``mixed``.
        forms: names of :data:`recall_audio.export.transcripts.TRANSCRIPT_FORMATS`; all where empty.
        into: the target folder; None writes to ``DIR/transcript``, and makes it the recording's transcript.
        pseudonyms: codes that replace the speakers' names; what they said does not change.
        options: which words count as their speaker's.

    Raises:
        UsageError: a file belongs to no stem, there is no such format, or the target folder holds another
            recording's transcript.
        ItemError: a file is no transcript.
        MachineError: the disk is full.
    """
    check_forms(forms)
    documents = read_documents(folder)
    return keep(folder, documents, read_files(documents, files, options), forms, into, pseudonyms)


def check_forms(forms: Sequence[str]) -> None:
    """Refuse a format that there is not.

    Raises:
        UsageError: there is no such format.
    """
    if unknown := set(forms) - set(TRANSCRIPT_FORMATS):
        raise UsageError(
            f"There is no transcript format {', '.join(sorted(unknown))}.",
            f"Choose from {', '.join(TRANSCRIPT_FORMATS)}.",
        )


def keep(
    folder: Path,
    documents: Documents,
    transcript: Transcript,
    forms: Sequence[str] = (),
    into: Path | None = None,
    pseudonyms: Pseudonyms | None = None,
) -> list[Path]:
    """Write a transcript and what depends on it, and return the files written.

    Without `into` and pseudonyms it becomes the recording's own: ``transcript.json``, with ``talk.json`` and
    ``report.html`` made again.

    Raises:
        UsageError: the target folder holds another recording's transcript.
        MachineError: the disk is full.
    """
    for finding in transcript.findings:
        NOTES.info("%s: %s", folder.name, finding.message)
    is_own = into is None and pseudonyms is None
    if pseudonyms is not None:
        documents, recoded = recode_documents({"recording": need(documents, "recording")}, pseudonyms)
        labels = recoded.labels
        coded = (replace(s, speaker=labels.get(s.speaker or "")) for s in transcript.segments)
        transcript = replace(
            transcript,
            segments=tuple(coded),
            speakers=tuple(labels[label] for label in transcript.speakers if label in labels),
            dropped={labels[k]: n for k, n in transcript.dropped.items() if k in labels},
            findings=(),
        )
    recording_id = str(need(documents, "recording")["recording"]["id"])
    written = Written(transcript, _names(documents), safe_name(recording_id, "recording"))
    target = into or path_in(folder, "transcript")
    named = {f"transcript{TRANSCRIPT_FORMATS[f].suffix}": f for f in forms or TRANSCRIPT_FORMATS}
    if into is not None:
        claim(target, recording_id, list(named))
    sweep_parts_of(target / name for name in named)
    paths = [write_file(target / name, write_transcript(written, form)) for name, form in named.items()]
    if is_own:
        path = Layout(folder).json(TRANSCRIPT)
        write_json(path, TRANSCRIPT, transcript.to_json(written.names))
        paths = [path, *paths, *refresh_words(folder)]
    return paths


def _names(documents: Documents) -> dict[str, str | None]:
    return {label: p["name"] for label, p in need(documents, "speakers")["speakers"].items()}


def read_files(
    documents: Documents,
    files: Sequence[Path],
    options: TranscriptOptions = TranscriptOptions(),  # noqa: B008 - a frozen value
) -> Transcript:
    """Read transcribers' files and return what each person said.

    Raises:
        UsageError: a file belongs to no stem, or two to one.
        ItemError: a file is no transcript.
    """
    duration_s = float(need(documents, "alignment")["mix"]["duration_s"])
    by_label: dict[str, list[ReadSegment]] = {}
    of_mix: list[ReadSegment] = []
    findings: list[Finding] = []
    owners: dict[str, Path] = {}
    formats: list[str] = []
    for file in files:
        read = read_transcript(_bytes_of(file), str(file), duration_s)
        formats.append(read.format)
        findings += _mended(read, file.name)
        for label, segments in _owned(read, file, documents, findings).items():
            if label is None:
                of_mix += segments
                continue
            if label in owners:
                raise UsageError(f"{file} is a second transcript of {label}.", "Give one file a stem.")
            owners[label] = file
            by_label.setdefault(label, []).extend(segments)
    engine = {"name": ", ".join(dict.fromkeys(formats)) or None}
    if of_mix:
        if by_label:
            raise UsageError("Some files are of stems and one is of the mix.", "Give either kind alone.")
        return attribute_mix(documents, of_mix, options, engine, findings)
    return attribute_stems(documents, by_label, options, engine, findings)


def _bytes_of(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        why = error.strerror or type(error).__name__
    raise ItemError(f"{file} cannot be read: {why}.", code="damaged_file")


def _mended(read: ReadTranscript, name: str) -> Iterator[Finding]:
    for note, n in read.notes.items():
        yield Finding("transcript_mended", f"{name}: {n} × {note}.", severity="note")


def _owned(
    read: ReadTranscript, file: Path, documents: Documents, findings: list[Finding]
) -> Mapping[str | None, list[ReadSegment]]:
    """Return label to segments of a file, None for a transcript of the mix.

    Raises:
        UsageError: it belongs to no stem.
    """
    labels = list(need(documents, "speakers")["speakers"])
    # Under the name of the mix, Recall.ai's words go by our segments, whatever its labels say.
    is_of_mix = file.name.casefold().split(".", 1)[0] in ("mix", "mixed")
    if read.format == "recall" and not is_of_mix:
        return _of_participants(read, labels_by_id(documents), findings)
    stem = _stem_of(file, labels)
    if stem is not None:
        return {stem: list(read.segments)}
    channels = sorted({s.channel for s in read.segments if s.channel is not None})
    if len(channels) > 1:
        return _of_channels(read, _channel_labels(documents), file)
    if is_of_mix:
        return {None: list(read.segments)}
    raise UsageError(
        f"{file} belongs to no stem.",
        f"Name it after its stem: {', '.join(f'{x}.json' for x in labels[:8])}; or mixed.json for the mix.",
    )


def _stem_of(file: Path, labels: Sequence[str]) -> str | None:
    """Return the label that a file is named after: ``Ann_Lee.json``, ``Ann_Lee.wav.json``."""
    by_name = {_plain(label): label for label in labels}
    return by_name.get(_plain(file.name.split(".", 1)[0]))


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _channel_labels(documents: Documents) -> list[str]:
    """Return the labels of a multichannel file's channels: of ``poly.wav``, else of the stems in order."""
    stems = documents.get("stems", {})
    poly = stems.get("poly")
    if poly:
        return list(poly["channels"])
    return [s["participant"] for s in stems.get("stems", []) if s["file"]]


def _of_channels(
    read: ReadTranscript, labels: Sequence[str], file: Path
) -> Mapping[str | None, list[ReadSegment]]:
    found: dict[str | None, list[ReadSegment]] = {}
    for segment in read.segments:
        channel = segment.channel or 0
        if channel >= len(labels):
            raise UsageError(
                f"{file} has a channel {channel + 1}, but there are {len(labels)} stems.",
                "Its channels have to be the stems in the order of stems.json.",
            )
        found.setdefault(labels[channel], []).append(segment)
    return found


def _of_participants(
    read: ReadTranscript, labels: Mapping[int, str], findings: list[Finding]
) -> Mapping[str | None, list[ReadSegment]]:
    found: dict[str | None, list[ReadSegment]] = {}
    strangers: Counter[int | None] = Counter()
    for segment in read.segments:
        label = None if segment.participant is None else labels.get(segment.participant)
        if label is None:
            strangers[segment.participant] += 1
        else:
            found.setdefault(label, []).append(segment)
    for number, n in strangers.items():
        message = f"{n} rows of participant {number} are left out: there is no such participant."
        findings.append(Finding("transcript_mended", message, severity="note"))
    return found


def speech_of(documents: Documents) -> dict[str, Rows]:
    """Return label to own speech of everyone whose speech is known."""
    unknown = unknown_speakers(documents)
    speakers: Mapping[str, Rows] = need(documents, "segments")["speakers"]
    return {label: rows for label, rows in speakers.items() if label not in unknown}


def attribute_stems(
    documents: Documents,
    by_label: Mapping[str, Sequence[ReadSegment]],
    options: TranscriptOptions,
    engine: Mapping[str, str | None],
    findings: Sequence[Finding] = (),
    source: str = "stems",
    key: str = "",
) -> Transcript:
    """Return the transcript of words by stem, each speaker's within their own speech.

    Words of those whose speech is not known are all kept.
    """
    speech = speech_of(documents)
    owned = {
        label: own_segments(read, label, speech if label in speech else None, options)
        for label, read in by_label.items()
    }
    dropped = {label: found.n_dropped for label, found in owned.items() if found.n_dropped}
    said = [
        Finding(
            "words_dropped",
            f"{n} words in the transcript of {label} lie outside their own speech and were left out: leaked "
            "from others, or invented in silence.",
            where=label,
            severity="note",
        )
        for label, n in dropped.items()
    ]
    return Transcript(
        segments=in_order(s for found in owned.values() for s in found.segments),
        engine=engine,
        source=source,
        dropped=dropped,
        parameters={**asdict(options), **({"key": key} if key else {})},
        findings=(*findings, *said),
        speakers=tuple(need(documents, "speakers")["speakers"]),
    )


def attribute_mix(
    documents: Documents,
    read: Sequence[ReadSegment],
    options: TranscriptOptions,
    engine: Mapping[str, str | None],
    findings: Sequence[Finding] = (),
) -> Transcript:
    """Return the transcript of words of the mix, each given to the speaker in whose speech it lies."""
    shared = share_out(read, speech_of(documents), options)
    said = []
    if shared.n_unassigned:
        verb = "have no speaker" if options.keep_outside else "were left out"
        message = f"{shared.n_unassigned} words of the mix lie in the speech of no one and {verb}."
        said.append(Finding("words_unassigned", message, severity="note"))
    return Transcript(
        segments=shared.segments,
        engine=engine,
        source="mix",
        n_unassigned=shared.n_unassigned,
        parameters=asdict(options),
        findings=(*findings, *said),
        speakers=tuple(need(documents, "speakers")["speakers"]),
    )
