"""Read what others transcribed, transcribe with an engine of the user's, and give words to their speakers.

A transcript is read by what is in its file, whichever tool or service wrote it.

::

    bytes ── JSON, or JSON values one after another ── a reader that recognises them ──┐
      └───── WebVTT or SRT ────────────────────────────────────────────────────────────┴─ ReadSegment ── mend

A reader returns None for what is not its format, and leaves out rows that hold no text. Times and order are
checked afterwards, in one place: a row that is wrong is mended or dropped and noted, and the others stay.

Formats: those of :mod:`recall_audio.transcripts.readers` and :mod:`recall_audio.transcripts.vendors`.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from recall_audio.errors import ItemError
from recall_audio.model.transcript import Word
from recall_audio.transcripts.readers import (
    ReadSegment,
    read_cues,
    read_text_alone,
    read_whisper,
    read_words_only,
)
from recall_audio.transcripts.vendors import VENDORS

EXPECTED = (
    "Expected the JSON of whisper, faster-whisper, WhisperX, whisper.cpp, vosk, OpenAI, Deepgram, "
    "AssemblyAI, AWS, Azure, Google, Hugging Face or Recall.ai, JSON lines, SRT or WebVTT."
)
_WORD_FAR_S = 1.0
"""A word this far outside its own segment has a wrong time, seconds; transcribers are off by tenths."""
_END_LATE_S = 0.5
"""Ends up to this long after the recording are rounding and padding, seconds."""


@dataclass(frozen=True, slots=True)
class ReadTranscript:
    """A transcript as it was read.

    Attributes:
        segments: usable segments, in the file's order.
        format: what wrote it.
        notes: what was mended or dropped, to how often.
    """

    segments: tuple[ReadSegment, ...]
    format: str
    notes: Mapping[str, int] = field(default_factory=dict)


def read_transcript(content: bytes, what: str, duration_s: float = math.inf) -> ReadTranscript:
    """Read a transcript's file.

    Args:
        content: the file's bytes, in any of Unicode's encodings.
        what: what to call it in messages.
        duration_s: the recording's length; nothing can be said after it.

    Raises:
        ItemError: ``damaged_file``: it is no transcript in a known format, or no row of it is usable.
    """
    text = _decoded(content)
    parsed = None if text is None else _json_values(text)
    if parsed is None:
        cues = None if text is None else read_cues(text)
        if cues is None:
            raise ItemError(f"{what} is no transcript that can be read.", EXPECTED, code="damaged_file")
        return mend(cues, what, duration_s, "subtitles")
    values, n_damaged = parsed
    return read_values(values, what, duration_s, n_damaged)


def read_values(
    values: Sequence[Any], what: str, duration_s: float = math.inf, n_damaged: int = 0
) -> ReadTranscript:
    """Read parsed JSON: one value, or the values of JSON lines.

    Raises:
        ItemError: as of :func:`read_transcript`.
    """
    shapes = [values[0]] if len(values) == 1 else [list(values)]
    for name, read in READERS.items():
        for value in shapes:
            found = read(value)
            if found is not None:
                return mend(found, what, duration_s, name, n_damaged)
    raise ItemError(f"{what} holds no segments.", EXPECTED, code="no_segments")


def _decoded(content: bytes) -> str | None:
    """Return the text of a file in UTF-8, UTF-16 or UTF-32, with or without a byte order mark."""
    for encoding in (json.detect_encoding(content[:4]), "utf-8-sig", "cp1252"):
        try:
            return content.decode(encoding).removeprefix("\ufeff")
        except (UnicodeDecodeError, ValueError):
            continue
    return None


def _json_values(text: str) -> tuple[list[Any], int] | None:
    """Return the values of JSON, JSON lines or JSON values in a row, and the number of damaged lines."""
    try:
        return [json.loads(text)], 0
    except (ValueError, RecursionError):
        pass
    decoder, values, at = json.JSONDecoder(), [], 0
    blanks = re.compile(r"[\s\x1e,]*")
    n_damaged = 0
    while at < len(text):
        at = blanks.match(text, at).end()  # type: ignore[union-attr]
        if at >= len(text):
            break
        try:
            value, at = decoder.raw_decode(text, at)
            values.append(value)
        except (ValueError, RecursionError):
            n_damaged += 1
            line_end = text.find("\n", at)
            at = len(text) if line_end < 0 else line_end + 1
    rows = [v for v in values if isinstance(v, Mapping | list)]
    return (rows, n_damaged) if len(rows) > n_damaged else None


READERS: Mapping[str, Callable[[Any], Iterable[ReadSegment] | None]] = {
    **VENDORS,
    "whisper": read_whisper,
    "openai words": read_words_only,
    "text": read_text_alone,
}
"""Every format of JSON by name, those that are recognised by more first."""


def mend(
    segments: Iterable[ReadSegment], what: str, duration_s: float, form: str, n_damaged: int = 0
) -> ReadTranscript:
    """Mend or drop what cannot be, and note it.

    Raises:
        ItemError: ``bad_segment``: there are segments, and none is usable.
    """
    notes: Counter[str] = Counter({"line that is no JSON: left out": n_damaged} if n_damaged else {})
    kept, n_said = [], 0
    for segment in segments:
        n_said += bool(segment.text.strip())
        mended = _mended(segment, duration_s, notes)
        if mended is not None:
            kept.append(mended)
    if n_said and not kept:
        raise ItemError(
            f"No segment of {what} has start, end and text in order ({_listed(notes)}); nothing was read.",
            EXPECTED,
            code="bad_segment",
        )
    return ReadTranscript(tuple(kept), form, dict(notes))


def _listed(notes: Mapping[str, int]) -> str:
    return "; ".join(f"{n} × {note}" for note, n in notes.items())


def _mended(segment: ReadSegment, duration_s: float, notes: Counter[str]) -> ReadSegment | None:
    """Return a segment whose times can be, or None where it is dropped; both are noted."""
    if not segment.text.strip():
        return None
    words = tuple(_near(segment, segment.words, duration_s, notes))
    starts = [w.start_s for w in words if w.start_s is not None]
    ends = [w.end_s for w in words if w.end_s is not None]
    start_s, end_s = segment.start_s, segment.end_s
    if start_s is not None and end_s is not None and end_s < start_s:
        if not ends:
            notes["segment whose end is before its start: left out"] += 1
            return None
        notes["segment whose end was before its start: its words' times taken"] += 1
        start_s, end_s = None, None
    start_s = min(starts, default=None) if start_s is None else start_s
    end_s = max(ends, default=None) if end_s is None else end_s
    if start_s is None or end_s is None or end_s < start_s:
        notes["segment without times: left out"] += 1
        return None
    if start_s >= duration_s:
        notes["segment after the recording's end: left out"] += 1
        return None
    if end_s > duration_s + _END_LATE_S:
        notes["segment that ended after the recording: cut there"] += 1
    times = max(start_s, 0.0), min(max(end_s, 0.0), duration_s)
    return replace(segment, start_s=times[0], end_s=times[1], words=words)


def _near(
    segment: ReadSegment, words: Sequence[Word], duration_s: float, notes: Counter[str]
) -> Iterator[Word]:
    """Yield words, without the times of those that lie far outside their segment or end before they start."""
    start_s, end_s = segment.start_s, segment.end_s
    is_ordered = start_s is not None and end_s is not None and end_s >= start_s
    first_s = start_s - _WORD_FAR_S if is_ordered and start_s is not None else -_WORD_FAR_S
    last_s = end_s + _WORD_FAR_S if is_ordered and end_s is not None else duration_s + _WORD_FAR_S
    for word in words:
        times = [t for t in (word.start_s, word.end_s) if t is not None]
        if any(not first_s <= t <= last_s for t in times):
            notes["word far outside its segment: its time left out"] += 1
            yield replace(word, start_s=None, end_s=None)
        elif len(times) == 2 and times[1] < times[0]:
            notes["word whose end is before its start: its end left out"] += 1
            yield replace(word, end_s=word.start_s)
        else:
            yield word
