"""Run the stages of one recording, each from what earlier ones left to its own files.

The expensive piece of a stage is a function of the folder and a name, so that it can run in another process.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from recall_audio.core.alignment.align import align, reconcile
from recall_audio.core.alignment.search import PartSearch, search_part
from recall_audio.core.speech.evidence import part_evidence
from recall_audio.core.speech.find import join_speech
from recall_audio.core.speech.ownership import Hearing
from recall_audio.core.stems.residual import check_residual
from recall_audio.detector.ownership import load_ownership
from recall_audio.errors import ItemError
from recall_audio.export.timelines import rttm
from recall_audio.files import atomic, write_text
from recall_audio.media.pcm_file import open_work
from recall_audio.model.alignment import PartAudio, PlacedPart, Track
from recall_audio.model.labels import speakers_json
from recall_audio.model.options import AlignOptions, Options, SpeechOptions
from recall_audio.model.outcome import CountCallback
from recall_audio.model.persons import ids_by_label, person_findings, with_persons
from recall_audio.model.speech import Detector, PartEvidence, SpeechResult
from recall_audio.model.stems import Residual, StemsResult
from recall_audio.pipeline.documents import Layout, read_documents, read_posteriors, write_posteriors
from recall_audio.pipeline.job import MIX, Job, decode_all
from recall_audio.pipeline.manifest import Manifest, StageResult
from recall_audio.pipeline.parallel import Pieces
from recall_audio.pipeline.stems.export import combine_results, export_stems, is_silent, select_tracks
from recall_audio.pipeline.talk import talk_findings, talk_of, view_of, with_sensitivity
from recall_audio.typing import Spans


def find_speech(
    tracks: Sequence[Track],
    duration_s: float,
    detector: Detector,
    options: SpeechOptions,
    progress: Callable[[int, int], None] | None = None,
    mix: PlacedPart | None = None,
) -> SpeechResult:
    """Return each participant's own speech.

    Args:
        tracks: every participant, silent ones too; labels differ.
        duration_s: the mix's length; nothing is found past it.
        detector: the voice detector.
        options: what counts as speech.
        progress: called with (parts heard, parts in all).
        mix: the mixed recording on its own clock; with it, voices that have no track are found, and kept out
            of others' speech.

    Returns:
        segments, raw segments and leakage; every label is there, with no spans where nothing was said.
    """
    parts = [p for t in tracks for p in t.parts]
    evidence: dict[str, PartEvidence] = {}
    for i, part in enumerate(parts):
        evidence[part.part_id] = part_evidence(part.part_id, part.samples, detector)
        if progress is not None:
            progress(i + 1, len(parts))
    hear_mix: Hearing | None = None
    if mix is not None:
        hear_mix = partial(part_evidence, mix.part_id, mix.samples, detector)
    return join_speech(tracks, evidence, duration_s, options, load_ownership(), mix, hear_mix)


@dataclass(frozen=True, slots=True)
class StageContext:
    """How a stage is run.

    Attributes:
        manifest: what has been done before it.
        to_come: names of the stages that run after it.
        pieces: runs its pieces.
        progress: called with units done and units in all.
    """

    manifest: Manifest
    to_come: frozenset[str] = frozenset()
    pieces: Pieces = field(default_factory=Pieces)
    progress: CountCallback = lambda _done, _total: None


def run_people(job: Job, _context: StageContext) -> StageResult:
    """Write ``speakers.json``."""
    body = with_persons(speakers_json(job.meeting.participants, job.labels), job.labels, job.persons)
    return StageResult((job.write("speakers", body),), person_findings(job.labels, job.persons))


def run_decode(job: Job, context: StageContext) -> StageResult:
    """Decode every file once to 16 kHz mono int16."""

    def decoded(name: str) -> None:
        if "speech" in context.to_come and name != MIX:
            context.pieces.prefetch(detect_one, job.layout.folder, name)

    files, warnings = decode_all(job.layout, job.meeting, context.pieces, context.progress, decoded)
    return StageResult(files, warnings)


def run_align(job: Job, context: StageContext) -> StageResult:
    """Write ``alignment.json``."""
    mix, parts = job.audio.mix, job.parts()
    if mix is None and not parts:
        raise ItemError(
            "No audio of this recording could be decoded, so there is nothing to process.", code="no_audio"
        )
    if mix is None or not job.options.align.enabled:
        known = mix.encoder_delay_known if mix else None
        result = align(mix.samples if mix else None, parts, job.options.align, encoder_delay_known=known)
    else:
        folder, search = job.layout.folder, job.options.align
        calls = [(folder, search, p.part_id, p.participant_id, p.nominal_start_s) for p in parts]
        fits = list(context.pieces.map(fit_one, calls, context.progress))
        result = reconcile(mix.samples, parts, fits, mix.encoder_delay_known)
    written = job.write("alignment", result.to_json())
    if "stems" in context.to_come and _one_by_one(job.options):
        context.pieces.prefetch(write_one, job.layout.folder, job.options, None)
    return StageResult((written,), result.findings)


def fit_one(
    folder: Path, options: AlignOptions, part_id: str, participant_id: int, nominal_start_s: float
) -> PartSearch:
    """Fit one part to the mix, opening their two working files alone."""
    layout = Layout(folder)
    samples = open_work(layout.working(part_id))
    part = PartAudio(part_id, participant_id, nominal_start_s, samples)
    return search_part(open_work(layout.working(MIX)), part, options)


def run_speech(job: Job, context: StageContext) -> StageResult:
    """Write ``segments.json``, ``leakage.json`` and ``posteriors.npz``."""
    if not job.has_tracks:
        return StageResult(status="skipped")
    tracks, duration_s = job.tracks(), job.alignment.duration_s
    mix = job.placed_mix()
    calls = [(job.layout.folder, p.part_id) for t in tracks for p in t.parts]
    evidence = {e.part_id: e for e in context.pieces.map(detect_one, calls, context.progress)}
    hear_mix = partial(detect_one, job.layout.folder, MIX) if mix is not None else None
    result = join_speech(tracks, evidence, duration_s, job.options.speech, load_ownership(), mix, hear_mix)
    posteriors = job.layout.posteriors
    with atomic(posteriors) as stream:
        write_posteriors(stream, result.posteriors)
    files = (job.write("segments", result.to_json()), job.write("leakage", result.leakage_json()), posteriors)
    return StageResult(files, result.findings)


def detect_one(folder: Path, part_id: str, where: Spans | None = None) -> PartEvidence:
    """Return the evidence about speech in one part, or in stretches of it."""
    from recall_audio.detector import load_detector

    return part_evidence(part_id, open_work(Layout(folder).working(part_id)), load_detector(), where)


def run_talk(job: Job, _context: StageContext) -> StageResult:
    """Write ``talk.json`` and ``segments.rttm``."""
    if not job.has_tracks:
        return StageResult(status="skipped")
    documents = read_documents(job.layout.folder)
    for written_later in ("stems", "run"):  # of an earlier run
        documents.pop(written_later, None)
    options, posteriors = job.options.talk, read_posteriors(job.layout.folder)
    measured = with_sensitivity(talk_of(documents, options, posteriors), documents, options)
    path = job.layout.folder / "segments.rttm"
    with atomic(path) as stream:
        stream.write(b"".join(rttm(view_of(documents, measured)).values()))
    body = measured.to_json()
    for label, ids in ids_by_label(job.labels).items():
        body["speakers"][label]["ids"] = ids
    return StageResult((job.write("talk", body), path), talk_findings(measured))


def run_stems(job: Job, context: StageContext) -> StageResult:
    """Write ``stems/`` and ``stems.json``."""
    if not job.has_tracks:
        return StageResult(status="skipped")
    if context.pieces.in_processes and _one_by_one(job.options):
        spans, wanted = job.speech().segments, select_tracks(job.tracks(), job.options.stems.speakers)
        silent = [t for t in wanted if not job.options.stems.silent and is_silent(t, spans.get(t.label))]
        left_out = {t.label for t in silent}
        names = [*(t.label for t in wanted if t.label not in left_out), None]
        calls = [(job.layout.folder, job.options, name) for name in names]
        results = list(context.pieces.map(write_one, calls, context.progress))
        results.append(_write_tracks(job, silent))
        result = combine_results(results, [t.label for t in wanted], job.options.stems)
    else:
        result = _stems(job, context.progress)
    files = tuple(job.layout.folder / name for name in result.files)
    body, ids = result.to_json(), ids_by_label(job.labels)
    for stem in body["stems"]:
        stem["ids"] = ids[stem["participant"]]
    return StageResult((*files, job.write("stems", body)), result.findings)


def _one_by_one(options: Options) -> bool:
    """Return whether each stem is a piece of its own."""
    return not (options.stems.mixdown or options.stems.poly)


def _stems(job: Job, progress: CountCallback) -> StemsResult:
    sources, spans = job.stem_sources(), job.speech().segments
    return export_stems(
        job.tracks(), spans, job.n_samples, job.layout.stems, job.options.stems, progress, sources
    )


def write_one(folder: Path, options: Options, label: str | None) -> StemsResult | Residual | None:
    """Write one participant's stem, or return the mix's residual where `label` is None."""
    job = Job.of(folder, options)
    if label is None:
        return check_residual(job.tracks(), job.audio.mix.samples) if job.audio.mix else None
    return _write_tracks(job, job.tracks(label))


def _write_tracks(job: Job, tracks: Sequence[Track]) -> StemsResult:
    """Write the stems of some tracks alone."""
    spans, sources = job.speech().segments, job.stem_sources(with_mix=False)
    alone = replace(job.options.stems, speakers=())
    return export_stems(tracks, spans, job.n_samples, job.layout.stems, alone, sources=sources)


def run_report(job: Job, context: StageContext) -> StageResult:
    """Write ``report.html``."""
    from recall_audio.pipeline.report import render_report

    documents = read_documents(job.layout.folder)
    documents["run"] = context.manifest.to_json()
    path = job.layout.folder / "report.html"
    write_text(path, render_report(documents))
    return StageResult((path,))
