"""What transcribers made of the stems, merged into one transcript on the meeting's clock."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from recall_audio.errors import ItemError, UsageError
from recall_audio.export.transcripts import (
    TRANSCRIPT_FORMATS,
    match_files,
    merge_transcripts,
    write_transcript,
)
from recall_audio.files import atomic
from recall_audio.model.pseudonyms import Pseudonyms
from recall_audio.model.transcript import Utterance
from recall_audio.pipeline.documents import Documents, need, read_documents
from recall_audio.results.pseudonymise_documents import recode_documents

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
