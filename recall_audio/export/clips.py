"""Clips for a transcriber: short, covering all speech, cut where the speaker is silent.

::

    speech   |----|  |------|        |-----------|   |--------------------------------------|
    clips   [----------------]      [-------------] [-------------------][-------------------]

Segments are joined over short silences while the clip stays short enough; each clip reaches a little into
the silence around it. Only speech without a silence for longer than a whole clip is cut inside, into equal
pieces.

faster-whisper takes a list of ``{"start": s, "end": s}`` as ``clip_timestamps``.
"""

import json
import math
from itertools import pairwise

from recall_audio.export.recording_view import ExportView, Rows
from recall_audio.model.options import ClipOptions


def whisper(view: ExportView) -> dict[str, bytes]:
    """``whisper/<label>/clip_timestamps.json`` for each stem."""
    files = {}
    for label in view.stems:
        clips = find_clips(view.segments[label], view.duration_s)
        rows = [{"start": start_s, "end": end_s} for start_s, end_s in clips]
        files[f"whisper/{label}/clip_timestamps.json"] = (json.dumps(rows, indent=1) + "\n").encode()
    return files


def find_clips(
    segments: Rows,
    duration_s: float,
    options: ClipOptions = ClipOptions(),  # noqa: B008 - a frozen value
) -> list[tuple[float, float]]:
    """``(start_s, end_s)`` of each clip, by time and apart.

    Args:
        segments: one speaker's ``[[start_s, end_s], ...]``, by time and apart.
        duration_s: the recording's; no clip ends after it.
        options: how long a clip may be, and what it joins.
    """
    longest_s = options.longest_s - 2.0 * options.pad_s
    joined: list[tuple[float, float]] = []
    for start_s, end_s in ((float(a), float(b)) for a, b in segments):
        if joined and start_s - joined[-1][1] <= options.join_s and end_s - joined[-1][0] <= longest_s:
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
        padded.append((round(first_s, 6), round(last_s, 6)))
    return padded


def _pieces(start_s: float, end_s: float, longest_s: float) -> list[tuple[float, float]]:
    """The stretch itself, or equal pieces of it that are short enough."""
    n = max(1, math.ceil((end_s - start_s) / longest_s))
    at = [start_s + (end_s - start_s) * i / n for i in range(n)] + [end_s]
    return list(pairwise(at))
