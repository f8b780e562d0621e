"""Write a recording's results, and transcripts of its stems, in other tools' formats."""

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from recall_audio import export
from recall_audio.errors import ItemError, UsageError
from recall_audio.export.transcripts import (
    TRANSCRIPT_FORMATS,
    Utterance,
    match_files,
    merge_transcripts,
    write_transcript,
)
from recall_audio.files import appear, atomic
from recall_audio.model.options import ClipOptions, TalkOptions
from recall_audio.model.pseudonyms import Pseudonyms
from recall_audio.pipeline.documents import Documents, as_this_version_writes, need, read_documents
from recall_audio.pipeline.talk import talk_of, view_of
from recall_audio.results.pseudonymise import copy_stems, recode_documents
from recall_audio.storage import ensure_files

_SUFFIX = {"json": ".json", "webvtt": ".vtt", "srt": ".srt", "text": ".txt"}


def merge_files(
    folder: Path,
    files: Sequence[Path],
    forms: Sequence[str] = (),
    into: Path | None = None,
    pseudonyms: Pseudonyms | None = None,
) -> list[Path]:
    """Write ``DIR/transcript/transcript.{json,vtt,srt,txt}`` (or below `into`) and give the files written.

    Args:
        folder: the recording's folder.
        files: a transcriber's JSON, one file a stem, named after it.
        forms: of ``json``, ``webvtt``, ``srt``, ``text``; all where empty.
        into: the folder to write to.
        pseudonyms: speakers are named by their codes; what they said stays as it is.

    Raises:
        UsageError: a file is no stem's, or there is no such format.
        ItemError: a file is no transcript.
        MachineError: the disk is full.
    """
    if unknown := set(forms) - set(TRANSCRIPT_FORMATS):
        raise UsageError(
            f"There is no transcript format {', '.join(sorted(unknown))}.",
            f"Choose of {', '.join(TRANSCRIPT_FORMATS)}.",
        )
    documents = read_documents(folder)
    utterances = utterances_of(documents, files)
    if pseudonyms is not None:
        documents, known = recode_documents({"recording": need(documents, "recording")}, pseudonyms)
        utterances = tuple(replace(u, speaker=known.labels[u.speaker]) for u in utterances)
    names = {label: p["name"] for label, p in need(documents, "speakers")["speakers"].items()}
    written = []
    for form in forms or TRANSCRIPT_FORMATS:
        path = (into or folder / "transcript") / f"transcript{_SUFFIX[form]}"
        with atomic(path) as stream:
            stream.write(write_transcript(utterances, names, form))
        written.append(path)
    return written


def utterances_of(documents: Documents, files: Sequence[Path]) -> tuple[Utterance, ...]:
    """Everybody's utterances by start, out of a transcriber's files.

    Raises:
        UsageError: a file is no stem's.
        ItemError: a file is no transcript.
    """
    labels = match_files([str(f) for f in files], list(need(documents, "speakers")["speakers"]))
    found = {label: _read(Path(file)) for file, label in labels.items()}
    return merge_transcripts(found, need(documents, "segments")["speakers"])


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_bytes())  # in whichever of Unicode's encodings it is
    except (OSError, ValueError, RecursionError):
        hint = "Expected openai-whisper, faster-whisper or WhisperX JSON."
        raise ItemError(f"{file} cannot be read as JSON.", hint, code="damaged_file") from None


def export_recording(
    folder: Path,
    form: str,
    into: Path | None = None,
    pseudonyms: Pseudonyms | None = None,
    clips: ClipOptions = ClipOptions(),  # noqa: B008 - a frozen value
) -> list[Path]:
    """Write one recording in `form` below ``DIR/export/FORMAT`` (or `into`) and give the files written.

    A format that wants the audio beside its files gets links to the stems, or copies where links are not to
    be had.

    Under codes it goes to ``DIR/export/FORMAT-pseudonymised``, with the stems beside it where the format
    names them: paths in it are relative to that folder, because the recording's own path holds its ids.

    Raises:
        UsageError: there is no such format.
        ItemError: the recording has no results to export.
        MachineError: the format needs a package that is not installed, or the disk is full.
    """
    if form in export.HOLDING_AUDIO or pseudonyms is not None:
        ensure_files(folder, ("stems/",))
    documents = read_documents(folder)
    written = list[Path]()
    if pseudonyms is None:
        target = into or folder / "export" / form
        view = _view(documents, folder, target)
        if form in export.HOLDING_AUDIO:
            written += [_beside(folder / s.file, target / s.file) for s in view.stems.values()]
    else:
        target = into or folder / "export" / f"{form}-pseudonymised"
        with as_this_version_writes():
            coded, known = recode_documents(documents, pseudonyms)
        view = _view(coded)
        if form in export.NAMING_AUDIO:
            written += copy_stems(documents, known, folder, target)
    for name, content in sorted(export.export(replace(view, clips=clips), form).items()):
        path = target / name
        with atomic(path) as stream:
            stream.write(content)
        written.append(path)
    return written


def _view(documents: Documents, folder: Path | None = None, target: Path | None = None) -> export.ExportView:
    with as_this_version_writes():
        options = TalkOptions(**need(documents, "run")["parameters"]["talk"])
        return view_of(documents, talk_of(documents, options), folder, target)


def _beside(source: Path, target: Path) -> Path:
    """A file under another name: a hard link, or a copy."""
    if not source.is_file():
        raise ItemError(f"{source} is not there.", "Process the recording again.", code="missing_file")

    def fill(temporary: Path) -> None:
        try:
            os.link(source, temporary)
        except OSError:  # another disk, or one without links
            shutil.copyfile(source, temporary)

    appear(target, fill)
    return target
