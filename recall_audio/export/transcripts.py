"""Write a transcript with its speakers for readers, players, and tools that align and score.

References: W3C, WebVTT (voice spans); SubRip; WhisperX, ``--output_format json``; meeteval, SegLST.
"""

import html
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from recall_audio.errors import UsageError
from recall_audio.export.recording_view import readable
from recall_audio.export.timelines import timestamp
from recall_audio.model.transcript import Transcript, TranscriptSegment

Names = Mapping[str, str | None]
"""Label to the speaker's real name."""

NO_SPEAKER = "Unknown"
"""Name of the speaker of words that lie in the speech of no one."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a writer gets.

    Attributes:
        transcript: what was said.
        names: label to real name.
        session: the recording's id as one word.
    """

    transcript: Transcript
    names: Names
    session: str = "recording"

    def name(self, segment: TranscriptSegment) -> str:
        """Return the name of a segment's speaker for people."""
        if segment.speaker is None:
            return NO_SPEAKER
        return readable(self.names.get(segment.speaker)) or segment.speaker


@dataclass(frozen=True, slots=True)
class TranscriptFormat:
    """One format of ``merge-transcripts --to`` and ``transcribe --to``.

    Attributes:
        write: makes its text.
        suffix: the ending of its file's name.
    """

    write: Callable[[Written], str]
    suffix: str


def write_transcript(written: Written, to: str) -> bytes:
    """Write a transcript in one of :data:`TRANSCRIPT_FORMATS`.

    Raises:
        UsageError: there is no such format.
    """
    if to not in TRANSCRIPT_FORMATS:
        raise UsageError(
            f"There is no transcript format {to!r}.", f"Choose one of {', '.join(TRANSCRIPT_FORMATS)}."
        )
    return TRANSCRIPT_FORMATS[to].write(written).encode("utf-8", "replace")


def _dumped(body: Any) -> str:
    # Escaped as ASCII: half a surrogate pair in a name stays what it was.
    return json.dumps(body, allow_nan=False, indent=1) + "\n"


def _json(written: Written) -> str:
    return _dumped({"schema": "recall-audio/transcript/1", **written.transcript.to_json(written.names)})


def _webvtt(written: Written) -> str:
    cues = ["WEBVTT\n"]
    for s in written.transcript.segments:
        name, text = (html.escape(x, quote=False) for x in (written.name(s), s.text))
        cues.append(f"{timestamp(s.start_s)} --> {timestamp(s.end_s)}\n<v {name}>{text}</v>\n")
    return "\n".join(cues)


def _srt(written: Written) -> str:
    cues = []
    for i, s in enumerate(written.transcript.segments, start=1):
        times = f"{timestamp(s.start_s, ',')} --> {timestamp(s.end_s, ',')}"
        cues.append(f"{i}\n{times}\n{written.name(s)}: {s.text}\n")
    return "\n".join(cues)


def _text(written: Written) -> str:
    lines = (
        f"[{timestamp(s.start_s)[:8]}] {written.name(s)}: {s.text}\n" for s in written.transcript.segments
    )
    return "".join(lines)


def _whisperx(written: Written) -> str:
    """Write WhisperX's JSON after diarization; a word without times has none there either."""
    segments: list[dict[str, Any]] = []
    for s in written.transcript.segments:
        speaker = {"speaker": s.speaker} if s.speaker else {}
        words = []
        for word in s.words:
            known = {"start": word.start_s, "end": word.end_s, "score": word.confidence}
            there = {name: value for name, value in known.items() if value is not None}
            words.append({"word": word.text, **there, **speaker})
        segments.append({"start": s.start_s, "end": s.end_s, "text": s.text, "words": words, **speaker})
    everything = [word for s in segments for word in s["words"]]
    language = written.transcript.engine.get("language")
    return _dumped({"segments": segments, "word_segments": everything, "language": language})


def _seglst(written: Written) -> str:
    """Write a SegLST, whose words are scored by label."""
    rows = [
        {
            "session_id": written.session,
            "speaker": s.speaker or NO_SPEAKER,
            "start_time": s.start_s,
            "end_time": s.end_s,
            "words": s.text,
        }
        for s in written.transcript.segments
    ]
    return _dumped(rows)


TRANSCRIPT_FORMATS: Mapping[str, TranscriptFormat] = {
    "json": TranscriptFormat(_json, ".json"),
    "webvtt": TranscriptFormat(_webvtt, ".vtt"),
    "srt": TranscriptFormat(_srt, ".srt"),
    "text": TranscriptFormat(_text, ".txt"),
    "whisperx": TranscriptFormat(_whisperx, ".whisperx.json"),
    "seglst": TranscriptFormat(_seglst, ".seglst.json"),
}
"""Every format by the name that ``--to`` takes."""
