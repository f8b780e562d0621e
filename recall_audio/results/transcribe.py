"""Transcribe recordings with an engine of the user's, one speaker at a time, and go on where a run ended.

Answers are kept in ``.work/transcribe.jsonl``, a line a chunk, from the moment they come: an interrupted run,
one whose engine failed, and one with another choice of the words that count repeat none.
"""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import soxr

from recall_audio.errors import ItemError, UsageError
from recall_audio.export.timelines import find_clips
from recall_audio.files import disk_error, path_in, read_json
from recall_audio.media.wav import read_block
from recall_audio.model.options import ClipOptions, TranscriptOptions
from recall_audio.model.outcome import CountCallback, Finding
from recall_audio.model.transcript import Transcript
from recall_audio.pipeline.documents import (
    TRANSCRIPT,
    Documents,
    Layout,
    need,
    read_documents,
    upload_written,
)
from recall_audio.pipeline.plan import key_of
from recall_audio.results.transcripts import attribute_stems, check_forms, keep, read_files, speech_of
from recall_audio.storage import ensure_files
from recall_audio.transcripts.engines import (
    ENGINE_NAMES,
    ENGINES,
    RECALL,
    Callback,
    Chunk,
    Engine,
    FromFunction,
    chunk_key,
    from_plain,
    identity,
    pack,
    to_plain,
)
from recall_audio.transcripts.readers import ReadSegment
from recall_audio.typing import Float32Array
from recall_audio.units import RATE_HZ

if TYPE_CHECKING:
    from recall_audio.results.recording import Recording

RECALL_FILE = "source/transcript.json"
"""Recall.ai's own transcript below a recording's folder."""
_KEPT = ".work/transcribe.jsonl"
_LONGEST_S = 30.0
"""Longest clip that is sent, seconds: Whisper ignores what comes after."""


def make_engine(
    engine: str | Callback, model: str | None = None, language: str | None = None, url: str | None = None
) -> Engine | None:
    """Return an engine by its name or made of a function, None for Recall.ai's own transcript.

    Raises:
        UsageError: there is no such engine, or it lacks a setting.
    """
    if callable(engine):
        return FromFunction(engine, model, language)
    if engine == RECALL:
        return None
    if engine not in ENGINES:
        raise UsageError(f"There is no engine {engine!r}.", f"Choose one of {', '.join(ENGINE_NAMES)}.")
    return ENGINES[engine](model, language, url)


def transcribe(
    recording: "Recording | str | Path",
    engine: str | Callback = "faster-whisper",
    *,
    model: str | None = None,
    language: str | None = None,
    force: bool = False,
) -> Transcript:
    """Transcribe a recording's own speech, and return what each person said.

    ``transcript.json`` and the files in ``transcript/`` are written, ``talk.json`` and ``report.html`` made
    again.

    Args:
        recording: an opened recording, or its folder.
        engine: ``faster-whisper``, ``openai`` or ``recall``; or a function ``(samples, rate_hz) -> segments``
            that gets float32 samples and returns segments with start, end and text, in seconds.
        model: the engine's model.
        language: the language spoken, e.g. ``en``; the engine detects it where None.
        force: transcribe again what has been.

    Raises:
        UsageError: there is no such engine.
        ItemError: the recording has no stems, or the engine failed.
        MachineError: the engine or its model is not installed, or the disk is full.
        TransientError, KeyRefused: of an engine behind a network.
    """
    folder = Path(recording) if isinstance(recording, str | Path) else recording.folder
    upload_written(transcribe_folder(folder, make_engine(engine, model, language), force=force))
    if not isinstance(recording, str | Path):
        vars(recording).pop("documents", None)  # they have changed
    return Transcript.from_json(read_json(Layout(folder).json(TRANSCRIPT), TRANSCRIPT))


def transcribe_folder(
    folder: Path,
    engine: Engine | None,
    forms: Sequence[str] = (),
    options: TranscriptOptions = TranscriptOptions(),  # noqa: B008 - a frozen value
    clips: ClipOptions = ClipOptions(),  # noqa: B008 - a frozen value
    progress: CountCallback = lambda _done, _total: None,
    *,
    force: bool = False,
) -> list[Path]:
    """Transcribe one recording and return the files written.

    Args:
        folder: the recording's folder.
        engine: what transcribes; None for Recall.ai's own transcript.
        forms: names of :data:`recall_audio.export.transcripts.TRANSCRIPT_FORMATS`; all where empty.
        options: which words count as their speaker's.
        clips: how own speech is cut.
        progress: called with chunks done and chunks in all.
        force: ask the engine again for what it has answered.

    Raises:
        ItemError: the recording has no stems, or the engine failed on it.
        MachineError, TransientError, KeyRefused: of the engine or the disk.
    """
    check_forms(forms)
    if engine is None:
        return _keep_recalls(folder, forms, options)
    ensure_files(folder, ("stems/",))
    documents = read_documents(folder)
    chunks = plan_chunks(documents, replace(clips, longest_s=min(clips.longest_s, _LONGEST_S)))
    key = _key(documents, engine, chunks, options)
    before = documents.get(TRANSCRIPT, {})
    if not force and before.get("parameters", {}).get("key") == key:
        with contextlib.suppress(KeyError, TypeError):
            return keep(folder, documents, Transcript.from_json(before), forms)
    path = path_in(folder, _KEPT)
    if force:
        path.unlink(missing_ok=True)
    read: dict[str, list[ReadSegment]] = {chunk.label: [] for chunk in chunks}
    for chunk, segments in _answers(folder, documents, engine, chunks, progress):
        read[chunk.label] += chunk.on_mix(segments)
    made = {"name": engine.name, "model": engine.model, "language": engine.language}
    transcript = attribute_stems(documents, read, options, made, _left_out(documents), "clips", key)
    return keep(folder, documents, transcript, forms)


def _keep_recalls(folder: Path, forms: Sequence[str], options: TranscriptOptions) -> list[Path]:
    ensure_files(folder, (RECALL_FILE,))
    file = path_in(folder, RECALL_FILE)
    if not file.is_file():
        raise ItemError(
            f"There is no transcript of Recall.ai's in {folder}.",
            "`recall-audio fetch BOT_ID --transcript` gets it, where the bot was created with --transcript.",
            code="no_transcript",
        )
    documents = read_documents(folder)
    return keep(folder, documents, read_files(documents, [file], options), forms)


def plan_chunks(documents: Documents, clips: ClipOptions) -> list[Chunk]:
    """Return everything that an engine is to hear: own speech of everyone with a stem, none of the silent.

    Raises:
        ItemError: the recording has no results, or speech and not one stem.
    """
    speech, duration_s = speech_of(documents), float(need(documents, "alignment")["mix"]["duration_s"])
    stems = _stems(documents)
    if not stems and any(len(rows) for rows in speech.values()):
        raise ItemError(
            "This recording has no stems to transcribe.",
            "`recall-audio process DIR` writes them; without separate audio, transcribe the mix with a tool "
            "of yours and give the result to `recall-audio merge-transcripts DIR mixed.json`.",
            code="no_stem",
        )
    chunks = []
    for label in stems:
        others = [row for other, rows in speech.items() if other != label for row in rows]
        chunks += pack(label, find_clips(speech.get(label, ()), duration_s, clips, others))
    return chunks


def _stems(documents: Documents) -> dict[str, str]:
    rows = documents.get("stems", {}).get("stems", [])
    return {s["participant"]: s["file"] for s in rows if s["file"]}  # one who never speaks has no file


def _left_out(documents: Documents) -> list[Finding]:
    """Return a finding for each speaker without a stem: their words are not in the transcript."""
    stems = _stems(documents)
    return [
        Finding("no_stem", f"{label} has no stem, so their words are not in the transcript.", where=label)
        for label, rows in speech_of(documents).items()
        if len(rows) and label not in stems
    ]


def _key(documents: Documents, engine: Engine, chunks: Sequence[Chunk], options: TranscriptOptions) -> str:
    """Return a digest of all that a transcript depends on: engine, clips, stems, options."""
    outputs = {
        n: o["sha256"] for s in documents.get("run", {}).get("stages", []) for n, o in s["outputs"].items()
    }
    stems = {label: outputs.get(file) for label, file in _stems(documents).items()}
    return key_of(identity(engine), [[c.label, c.clips] for c in chunks], stems, str(options))


def _answers(
    folder: Path, documents: Documents, engine: Engine, chunks: Sequence[Chunk], progress: CountCallback
) -> Iterator[tuple[Chunk, list[ReadSegment]]]:
    """Yield each chunk with the engine's segments, of this run or of one before."""
    stems = {label: path_in(folder, file) for label, file in _stems(documents).items()}
    kept = _Kept(path_in(folder, _KEPT))
    done = 0
    progress(done, len(chunks))
    with kept:
        for first in range(0, len(chunks), engine.n_at_once):
            group = chunks[first : first + engine.n_at_once]
            samples = [chunk.samples(_reader(stems[chunk.label])) for chunk in group]
            keys = [chunk_key(engine, block) for block in samples]
            new = [i for i, key in enumerate(keys) if key not in kept.answers]
            if new:
                found = engine.transcribe([samples[i] for i in new])
                for i, segments in zip(new, found, strict=True):
                    kept.add(keys[i], segments)
            for chunk, key in zip(group, keys, strict=True):
                yield chunk, kept.answers[key]
            done += len(group)
            progress(done, len(chunks))


def _reader(stem: Path) -> Any:
    """Return a function that reads a stretch of a stem at 16 kHz."""

    def read(start_s: float, end_s: float) -> Float32Array:
        samples, rate_hz = read_block(stem, start_s, end_s)
        if rate_hz == RATE_HZ:
            return samples
        return np.asarray(soxr.resample(samples, rate_hz, RATE_HZ), dtype=np.float32)

    return read


class _Kept:
    """Answers of an engine by what it was given, on the disk as soon as they come."""

    def __init__(self, path: Path) -> None:
        self.answers: dict[str, list[ReadSegment]] = dict(_read_kept(path))
        self._path = path
        self._stream: IO[bytes] | None = None

    def __enter__(self) -> "_Kept":
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._stream = self._path.open("ab")
        except OSError as error:
            failure = disk_error(error, self._path)
        else:
            return self
        raise failure

    def __exit__(self, *_: object) -> None:
        if self._stream is not None:
            self._stream.close()

    def add(self, key: str, segments: Sequence[ReadSegment]) -> None:
        """Keep an answer.

        Raises:
            MachineError: the disk is full.
        """
        self.answers[key] = list(segments)
        line = json.dumps({"key": key, "segments": to_plain(segments)}) + "\n"
        assert self._stream is not None  # noqa: S101
        try:
            self._stream.write(line.encode())
            self._stream.flush()
            os.fsync(self._stream.fileno())
        except OSError as error:
            failure = disk_error(error, self._path)
        else:
            return
        raise failure


def _read_kept(path: Path) -> Iterator[tuple[str, list[ReadSegment]]]:
    """Yield the answers of an earlier run; a line that a killed run left half-written is none."""
    with contextlib.suppress(OSError):
        for line in path.read_bytes().splitlines():
            with contextlib.suppress(ValueError, KeyError, TypeError):
                row: Mapping[str, Any] = json.loads(line)
                yield str(row["key"]), from_plain(row["segments"])
