"""The stages of one recording: each reads what the ones before left, and writes its own files."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from recall_audio.core.align import align
from recall_audio.core.speech import find_speech
from recall_audio.errors import ItemError
from recall_audio.export.timelines import rttm
from recall_audio.files import atomic, read_json, write_json, write_text
from recall_audio.model.alignment import Alignment
from recall_audio.model.labels import make_labels, speakers_json
from recall_audio.model.meeting import Meeting
from recall_audio.model.options import Options
from recall_audio.model.speech import SpeechResult
from recall_audio.model.tracks import PartAudio, PlacedPart, Track
from recall_audio.units import to_samples
from recall_audio.workflow.audio import Audio, decode_all
from recall_audio.workflow.documents import read_documents
from recall_audio.workflow.layout import Layout
from recall_audio.workflow.manifest import Manifest, StageResult
from recall_audio.workflow.measuring import talk_of, view_of, with_sensitivity
from recall_audio.workflow.stems import export_stems
from recall_audio.workflow.voices import Original, StemSources


@dataclass(slots=True)
class Job:
    """One recording under way.

    Attributes:
        layout: its folder.
        meeting: what the API said.
        options: what was chosen.
        manifest: what has been done.
        progress: called with a stage's name, units done and units in all.
        labels: participant id to label, in the API's order.
    """

    layout: Layout
    meeting: Meeting
    options: Options
    manifest: Manifest
    progress: Callable[[str, int, int], None]
    labels: dict[int, str] = field(init=False)
    _audio: Audio | None = None

    def __post_init__(self) -> None:
        self.labels = make_labels(self.meeting.participants)

    @property
    def audio(self) -> Audio:
        """The decoded working files, opened once."""
        if self._audio is None:
            self._audio = Audio.open(self.layout, self.meeting)
        return self._audio

    @property
    def alignment(self) -> Alignment:
        """What the align stage left."""
        return Alignment.from_json(self.document("alignment"))

    @property
    def has_tracks(self) -> bool:
        """Whether any part came with a file."""
        return any(part.media.file for part in self.meeting.parts)

    def document(self, kind: str) -> dict[str, Any]:
        """One JSON file of the folder."""
        return read_json(self.layout.json(kind), kind)

    def write(self, kind: str, body: dict[str, Any]) -> Path:
        """Write one JSON file of the folder."""
        path = self.layout.json(kind)
        write_json(path, kind, body)
        return path

    def told(self, stage: str) -> Callable[[int, int], None]:
        """Progress of one stage."""
        return lambda done, total: self.progress(stage, done, total)

    def tracks(self) -> list[Track]:
        """Every participant's parts on the mix's clock; the silent ones have none."""
        placed: dict[int, list[PlacedPart]] = {i: [] for i in self.labels}
        for part in self.alignment.parts:
            samples = self.audio.parts[part.part_id].samples
            placed[part.participant_id].append(PlacedPart(part.part_id, samples, part.time_map))
        return [
            Track(self.labels[i], tuple(sorted(parts, key=lambda p: p.time_map.start_s)))
            for i, parts in placed.items()
        ]


def people(job: Job) -> StageResult:
    """``speakers.json``: labels to real names and all ids; the fetch layer's findings become warnings."""
    body = speakers_json(job.meeting.participants, job.labels)
    return StageResult((job.write("speakers", body),), job.meeting.findings)


def decode(job: Job) -> StageResult:
    """Every file once to 16 kHz mono int16."""
    files, warnings = decode_all(job.layout, job.meeting, job.told("decode"))
    return StageResult(files, warnings)


def put_on_one_clock(job: Job) -> StageResult:
    """``alignment.json``."""
    audio = job.audio
    if audio.mix is None and not audio.parts:
        raise ItemError("No audio of this recording could be had: nothing to process.", code="no_audio")
    parts = [
        PartAudio(p.part_id, p.participant_id, p.nominal_start_s, audio.parts[p.part_id].samples)
        for p in job.meeting.parts
        if p.part_id in audio.parts
    ]
    mix = audio.mix.samples if audio.mix else None
    known = audio.mix.encoder_delay_known if audio.mix else None
    result = align(mix, parts, job.options.align, job.told("align"), encoder_delay_known=known)
    return StageResult((job.write("alignment", result.to_json()),), result.findings)


def speech(job: Job) -> StageResult:
    """``segments.json`` and ``leakage.json``."""
    from recall_audio.detector import load

    if not job.has_tracks:
        return StageResult(status="skipped")
    duration_s = job.alignment.duration_s
    result = find_speech(job.tracks(), duration_s, load(), job.options.speech, job.told("speech"))
    files = (job.write("segments", result.to_json()), job.write("leakage", result.leakage_json()))
    return StageResult(files, result.findings)


def talk(job: Job) -> StageResult:
    """``talk.json`` and ``segments.rttm``."""
    if not job.has_tracks:
        return StageResult(status="skipped")
    documents = read_documents(job.layout.folder)
    measured = with_sensitivity(talk_of(documents, job.options.talk), documents, job.options.talk)
    path = job.layout.folder / "segments.rttm"
    with atomic(path) as stream:
        stream.write(b"".join(rttm(view_of(documents, measured)).values()))
    return StageResult((job.write("talk", measured.to_json()), path))


def stems(job: Job) -> StageResult:
    """``stems/`` and ``stems.json``."""
    if not job.has_tracks:
        return StageResult(status="skipped")
    spans = SpeechResult.from_json(job.document("segments")).segments
    n_samples = job.audio.mix.n_samples if job.audio.mix else to_samples(job.alignment.duration_s)
    result = export_stems(
        job.tracks(),
        spans,
        n_samples,
        job.layout.stems,
        job.options.stems,
        job.told("stems"),
        _stem_sources(job),
    )
    names = [s.file for s in result.stems]
    names += [result.mixdown.file] if result.mixdown else []
    names += [result.poly] if result.poly else []
    files = tuple(job.layout.folder / name for name in names)
    return StageResult((*files, job.write("stems", result.to_json())), result.findings)


def _stem_sources(job: Job) -> StemSources:
    """What the stems can use beside the decoded tracks."""
    names = {job.labels[p.participant_id]: p.name for p in job.meeting.participants if p.name}
    originals = {
        p.part_id: Original(job.layout.folder / p.media.file, p.media.format, p.media.duration_s)
        for p in job.meeting.parts
        if p.media.file
    }
    return StemSources(
        mix=job.audio.mix.samples if job.audio.mix else None,
        originals=originals,
        work=job.layout.work,
        names=names,
        recording_id=job.meeting.recording_id,
        started_at=moment(job.meeting.recording.get("started_at")),
    )


def moment(text: str | None) -> datetime | None:
    """A time the API gave, or None where there is none that can be read."""
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None


def report(job: Job) -> StageResult:
    """``report.html``."""
    from recall_audio.workflow.reporting import render_report

    documents = read_documents(job.layout.folder)
    documents["run"] = job.manifest.to_json("done")
    path = job.layout.folder / "report.html"
    write_text(path, render_report(documents))
    return StageResult((path,))


STEPS: Mapping[str, Callable[[Job], StageResult]] = {
    "people": people,
    "decode": decode,
    "align": put_on_one_clock,
    "speech": speech,
    "talk": talk,
    "stems": stems,
    "report": report,
}
