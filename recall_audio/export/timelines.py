"""Write who speaks when for tools that score, annotate and transcribe.

Formats: RTTM, UEM, TextGrid, Audacity labels, WebVTT, and clips for a transcriber.

References: NIST, Rich Transcription evaluation plan (RTTM, UEM), 2009; Praat manual, "TextGrid file formats";
Audacity manual, "Importing and exporting labels"; W3C, WebVTT: The Web Video Text Tracks Format.
"""

import html
import json
import math
from bisect import bisect_left, bisect_right
from itertools import pairwise

from recall_audio.core.spans import from_seconds, to_seconds
from recall_audio.export.recording_view import ExportView, Rows, readable
from recall_audio.model.options import ClipOptions

_RECIPE = """# Clips of each speaker for faster-whisper

`recall-audio transcribe DIR` does all of this. By hand, with the stems of the recording in `stems/`:

```python
import json
from pathlib import Path

from faster_whisper import BatchedInferencePipeline, WhisperModel

model = WhisperModel("small")
batched = BatchedInferencePipeline(model)
transcripts = {}
for folder in sorted(path for path in Path("whisper").iterdir() if path.is_dir()):
    clips = json.loads((folder / "BatchedInferencePipeline.clip_timestamps.json").read_text())
    if not clips:  # an empty list means the whole file to faster-whisper
        continue
    segments, _ = batched.transcribe(f"stems/{folder.name}.wav", clip_timestamps=clips, word_timestamps=True)
    # One clip after another instead, with a flat list of seconds:
    # clips = json.loads((folder / "WhisperModel.clip_timestamps.json").read_text())
    # segments, _ = model.transcribe(f"stems/{folder.name}.wav", clip_timestamps=clips, word_timestamps=True)
    transcripts[folder.name] = [[segment.start, segment.end, segment.text] for segment in segments]
```

A participant who never speaks has no folder here and must not be transcribed: what is on their track are
others' voices.
`clip_timestamps.json` is the same as `BatchedInferencePipeline.clip_timestamps.json`.
"""


def whisper(view: ExportView) -> dict[str, bytes]:
    """Write the clips of each stem, in the form of each class of faster-whisper, and how to use them.

    ``BatchedInferencePipeline`` takes a list of ``{"start": s, "end": s}`` as ``clip_timestamps``,
    ``WhisperModel`` a flat list of seconds, and both take an empty list for "the whole file". A participant
    who never speaks has therefore no folder.
    """
    files = {"whisper/README.md": _RECIPE.encode()}
    for label in view.stems:
        others = [row for other, rows in view.segments.items() if other != label for row in rows]
        clips = find_clips(view.segments[label], view.duration_s, view.clips, others)
        if not clips:
            continue
        rows = [{"start": start_s, "end": end_s} for start_s, end_s in clips]
        forms = {
            "clip_timestamps": rows,
            "BatchedInferencePipeline.clip_timestamps": rows,
            "WhisperModel.clip_timestamps": [time_s for clip in clips for time_s in clip],
        }
        for name, form in forms.items():
            files[f"whisper/{label}/{name}.json"] = (json.dumps(form, indent=1) + "\n").encode()
    return files


_LEAST_PAD_S = 0.05
"""A clip reaches this far around speech even where another speaks there, seconds: edges are not sharper."""


def find_clips(
    segments: Rows,
    duration_s: float,
    options: ClipOptions = ClipOptions(),  # noqa: B008 - a frozen value
    others: Rows = (),
) -> list[tuple[float, float]]:
    """Return ``(start_s, end_s)`` of each clip: short, covering all speech, cut in silence.

    ::

        speech   |----|  |------|        |-----------|   |--------------------------------------|
        others                             |--|     |----|
        clips   [----------------]      [------------]   [-------------------][-------------------]

    Segments are joined over short silences in which no one else speaks, while the clip stays short enough: a
    voice that leaks in would be transcribed with the speaker's own. Each clip reaches a little into the
    silence around it, and hardly into others' speech. Only speech without a silence for longer than a whole
    clip is cut inside, into equal pieces.

    Args:
        segments: one speaker's ``[[start_s, end_s], ...]``, sorted by time, without overlaps.
        duration_s: the recording's length in seconds; no clip ends after it.
        options: how long a clip may be, and which silences it joins.
        others: everyone else's speech, in any order.
    """
    longest_s = options.longest_s - 2.0 * options.pad_s
    elsewhere = to_seconds(from_seconds(others))
    joined: list[tuple[float, float]] = []
    for start_s, end_s in ((float(a), float(b)) for a, b in segments):
        if (
            joined
            and start_s - joined[-1][1] <= options.join_s
            and end_s - joined[-1][0] <= longest_s
            and not _between(elsewhere, joined[-1][1], start_s)
        ):
            joined[-1] = (joined[-1][0], end_s)
        else:
            joined += _pieces(start_s, end_s, longest_s)
    # Half of each silence belongs to either side.
    padded = []
    for i, (start_s, end_s) in enumerate(joined):
        before_s = joined[i - 1][1] if i else -start_s
        after_s = joined[i + 1][0] if i + 1 < len(joined) else 2.0 * duration_s - end_s
        first_s = max(start_s - options.pad_s, (before_s + start_s) / 2.0)
        last_s = min(end_s + options.pad_s, (end_s + after_s) / 2.0)
        if spoken := _between(elsewhere, first_s, start_s):
            first_s = max(first_s, min(spoken[-1][1], start_s - _LEAST_PAD_S))
        if spoken := _between(elsewhere, end_s, last_s):
            last_s = min(last_s, max(spoken[0][0], end_s + _LEAST_PAD_S))
        padded.append((round(first_s, 6), round(last_s, 6)))
    return padded


def _between(rows: list[list[float]], start_s: float, end_s: float) -> list[list[float]]:
    """Return the rows that overlap a stretch; rows are sorted and apart."""
    if end_s <= start_s:
        return []
    first = bisect_right(rows, start_s, key=lambda row: row[1])
    return rows[first : bisect_left(rows, end_s, key=lambda row: row[0])]


def _pieces(start_s: float, end_s: float, longest_s: float) -> list[tuple[float, float]]:
    """Split a stretch into as few equal pieces as keep each short enough."""
    n_pieces = max(1, math.ceil((end_s - start_s) / longest_s))
    cuts_s = [start_s + (end_s - start_s) * i / n_pieces for i in range(n_pieces)] + [end_s]
    return list(pairwise(cuts_s))


def rttm(view: ExportView) -> dict[str, bytes]:
    """Write ``SPEAKER file 1 onset duration <NA> <NA> label <NA> <NA>`` lines, by onset.

    Times are seconds with three decimals.
    """
    lines = []
    for start_s, end_s, label in view.by_time():
        onset_ms, end_ms = round(start_s * 1000), round(end_s * 1000)
        # The duration is taken between rounded ends, so that the end is not off by two roundings.
        if end_ms > onset_ms:
            times = f"{onset_ms / 1000:.3f} {(end_ms - onset_ms) / 1000:.3f}"
            lines.append(f"SPEAKER {view.session} 1 {times} <NA> <NA> {label} <NA> <NA>\n")
    return {"segments.rttm": "".join(lines).encode()}


def uem(view: ExportView) -> dict[str, bytes]:
    """Write ``file 1 start end``, so that the whole meeting is scored."""
    return {"segments.uem": f"{view.session} 1 0.000 {view.duration_s:.3f}\n".encode()}


def audacity(view: ExportView) -> dict[str, bytes]:
    """Write ``start\\tend\\tlabel`` lines, seconds with six decimals, by start."""
    lines = (f"{start_s:.6f}\t{end_s:.6f}\t{label}\n" for start_s, end_s, label in view.by_time())
    return {"segments.audacity.txt": "".join(lines).encode()}


def webvtt(view: ExportView) -> dict[str, bytes]:
    """Write a cue a segment with the speaker's real name.

    Cues may overlap. ``…`` stands for the text, as there is no transcript yet.
    """
    cues = ["WEBVTT\n"]
    for start_s, end_s, label in view.by_time():
        name = html.escape(readable(view.names.get(label)) or label, quote=False)
        cues.append(f"{timestamp(start_s)} --> {timestamp(end_s)}\n<v {name}>…</v>\n")
    return {"segments.vtt": "\n".join(cues).encode()}


def timestamp(time_s: float, point: str = ".") -> str:
    """Format seconds as ``hh:mm:ss.mmm``."""
    whole, milliseconds = divmod(round(time_s * 1000), 1000)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}{point}{milliseconds:03d}"


def textgrid(view: ExportView) -> dict[str, bytes]:
    """Write the long text format: an IntervalTier a speaker, and the tier ``overlap``.

    Each tier is contiguous from 0 to the end.
    """
    tiers = {label: [(float(a), float(b), label) for a, b in rows] for label, rows in view.segments.items()}
    tiers["overlap"] = [(a, b, "+".join(labels)) for a, b, labels in view.overlaps()]
    head = [
        'File type = "ooTextFile"',
        'Object class = "TextGrid"',
        "",
        f"xmin = 0\nxmax = {view.duration_s:.7f}\ntiers? <exists>\nsize = {len(tiers)}\nitem []:",
    ]
    body = [_tier(i, name, rows, view.duration_s) for i, (name, rows) in enumerate(tiers.items(), start=1)]
    return {"segments.TextGrid": ("\n".join([*head, *body]) + "\n").encode()}


def _tier(number: int, name: str, rows: list[tuple[float, float, str]], duration_s: float) -> str:
    """Return one tier, with empty intervals for the silences."""
    intervals: list[tuple[float, float, str]] = []
    reached_s = 0.0
    for start_s, end_s, text in rows:
        if start_s > reached_s:
            intervals.append((reached_s, start_s, ""))
        intervals.append((start_s, end_s, text))
        reached_s = end_s
    if reached_s < duration_s:
        intervals.append((reached_s, duration_s, ""))
    lines = [
        f"    item [{number}]:",
        '        class = "IntervalTier"',
        f"        name = {_quoted(name)}",
        f"        xmin = 0\n        xmax = {duration_s:.7f}",
        f"        intervals: size = {len(intervals)}",
    ]
    for i, (start_s, end_s, text) in enumerate(intervals, start=1):
        lines.append(f"        intervals [{i}]:\n            xmin = {start_s:.7f}")
        lines.append(f"            xmax = {end_s:.7f}\n            text = {_quoted(text)}")
    return "\n".join(lines)


def _quoted(text: str) -> str:
    """Quote a string for Praat: inner quotes are doubled."""
    return '"' + text.replace('"', '""') + '"'
