"""Write where the audio is and who speaks in it, for training and evaluation tools.

References: meeteval's SegLST; NeMo, speaker diarization manifests; Kaldi, data preparation (every file sorted
as in the C locale, utterance ids led by the speaker's); Lhotse, Recording and SupervisionSegment; Hugging
Face datasets, ``audiofolder``.
"""

import gzip
import json
import posixpath
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from recall_audio.export.recording_view import ExportView, readable
from recall_audio.export.timelines import rttm

_CARD = """---
configs:
- config_name: default
  data_files:
  - split: train
    path: stems/*
---
One row a participant of a meeting: the track of their voice, as long as the meeting, and when they speak in
it, seconds (`timestamps_start`, `timestamps_end`).
"""


def seglst(view: ExportView) -> dict[str, bytes]:
    """Write a SegLST of ``{session_id, speaker, start_time, end_time, words, audio_path}``.

    ``words`` is empty: there is no transcript yet.
    """
    rows = [
        {
            "session_id": view.session,
            "speaker": label,
            "start_time": start_s,
            "end_time": end_s,
            "words": "",
            "audio_path": _audio(view, label),
        }
        for start_s, end_s, label in view.by_time()
    ]
    return {"segments.seglst.json": (json.dumps(rows, ensure_ascii=False, indent=1) + "\n").encode()}


def nemo(view: ExportView) -> dict[str, bytes]:
    """Write a line for the mix, or a line a stem without one, and the RTTM beside it."""
    audio = [view.mix] if view.mix else [stem.file for stem in view.stems.values()]
    rows = [
        {
            "audio_filepath": view.path(file),
            "offset": 0,
            "duration": view.duration_s,
            "label": "infer",
            "text": "-",
            "num_speakers": sum(len(rows) > 0 for rows in view.segments.values()),
            "rttm_filepath": view.written("nemo/segments.rttm"),
        }
        for file in audio
    ]
    return {"nemo/manifest.jsonl": _lines(rows), "nemo/segments.rttm": rttm(view)["segments.rttm"]}


def kaldi(view: ExportView) -> dict[str, bytes]:
    """Write a data directory in which a stem is a recording and a segment an utterance.

    ``text`` holds what was said in a segment, and the utterance's id alone where that is not known.
    """
    recordings = {label: f"{label}+{view.session}" for label in view.stems}
    utterances = {label: dict(_utterances(view, label)) for label in recordings}
    spoken = {label: spans for label, spans in utterances.items() if spans}
    tables: dict[str, Iterable[tuple[str, str]]] = {
        "wav.scp": ((recordings[label], _wav(view, label)) for label in recordings),
        "reco2dur": ((recordings[k], f"{s.n_samples / s.rate_hz:.6f}") for k, s in view.stems.items()),
        "segments": (
            (utterance, f"{recordings[label]} {times}")
            for label, spans in spoken.items()
            for utterance, times in spans.items()
        ),
        "text": (
            (utterance, view.said(label, *map(float, times.split())))
            for label, spans in spoken.items()
            for utterance, times in spans.items()
        ),
        "utt2spk": ((utterance, label) for label, spans in spoken.items() for utterance in spans),
        "spk2utt": ((label, " ".join(sorted(spans, key=str.encode))) for label, spans in spoken.items()),
    }
    return {f"kaldi/{name}": _sorted_table(rows) for name, rows in tables.items()}


def lhotse(view: ExportView) -> dict[str, bytes]:
    """Write one Recording with a channel a stem, and a supervision a segment.

    Without stems both manifests are empty.
    """
    channels = {label: i for i, label in enumerate(view.stems)}
    stem = next(iter(view.stems.values()), None)
    recordings = [] if stem is None else [_recording(view, channels)]
    supervisions = [
        {
            "id": f"{view.session}-{number:06d}",
            "recording_id": view.session,
            "start": start_s,
            "duration": round(end_s - start_s, 9),
            "channel": channels[label],
            "speaker": label,
        }
        for number, (start_s, end_s, label) in enumerate(view.by_time())
        if label in channels
    ]
    return {
        "lhotse/recordings.jsonl.gz": gzip.compress(_lines(recordings), mtime=0),
        "lhotse/supervisions.jsonl.gz": gzip.compress(_lines(supervisions), mtime=0),
    }


def hf(view: ExportView) -> dict[str, bytes]:
    """Write ``stems/metadata.jsonl``, a row a stem, and a dataset card.

    The stems have to lie beside the metadata, because loaders refuse paths to other folders. Without the card
    loaders take a file called ``Test.wav`` for another split.
    """
    rows = [
        {
            "file_name": posixpath.basename(stem.file),
            "recording_id": view.recording_id,
            "speaker": label,
            "name": readable(view.names.get(label)),
            "duration": stem.n_samples / stem.rate_hz,
            "sampling_rate": stem.rate_hz,
            "talk_s": view.talk.speakers[label].talk_s,
            "timestamps_start": [float(a) for a, _ in view.segments[label]],
            "timestamps_end": [float(b) for _, b in view.segments[label]],
        }
        for label, stem in view.stems.items()
    ]
    return {"stems/metadata.jsonl": _lines(rows), "README.md": _CARD.encode()}


def _recording(view: ExportView, channels: Mapping[str, int]) -> dict[str, Any]:
    """Return Lhotse's Recording of stems that share one length and one rate."""
    first = next(iter(view.stems.values()))
    sources = [
        {"type": "file", "channels": [channels[label]], "source": view.path(stem.file)}
        for label, stem in view.stems.items()
    ]
    return {
        "id": view.session,
        "sources": sources,
        "sampling_rate": first.rate_hz,
        "num_samples": first.n_samples,
        "duration": first.n_samples / first.rate_hz,
        "channel_ids": list(channels.values()),
    }


def _audio(view: ExportView, label: str) -> str | None:
    """Return the path of the stem, else of the mix, else None."""
    stem = view.stems.get(label)
    file = stem.file if stem else view.mix
    return None if file is None else view.path(file)


def _wav(view: ExportView, label: str) -> str:
    """Return the path of a WAV, or for other formats a command that pipes WAV."""
    path = view.path(view.stems[label].file)
    if path.endswith(".wav"):
        return path
    return f"ffmpeg -nostdin -loglevel error -i {shlex.quote(path)} -f wav - |"


def _utterances(view: ExportView, label: str) -> Iterable[tuple[str, str]]:
    """Yield utterance ids and times.

    ``+`` sorts before all characters of a label, so speakers sort as their utterances do.
    """
    for start_s, end_s in view.segments[label]:
        utterance = f"{label}+{view.session}+{round(start_s * 1000):09d}+{round(end_s * 1000):09d}"
        yield utterance, f"{start_s:.6f} {end_s:.6f}"


def _sorted_table(rows: Iterable[tuple[str, str]]) -> bytes:
    """Return ``key value`` lines, sorted by bytes."""
    return b"".join(
        sorted(f"{key} {value}".rstrip().encode("utf-8", "replace") + b"\n" for key, value in rows)
    )


def _lines(rows: Iterable[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows).encode()
