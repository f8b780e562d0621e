"""One chronological transcript from a transcriber's files, one file a stem.

::

    Ann.json   [Shall we begin?]              [Fine.]          stems lie on the mix's clock, so do
    Bob.json              [Yes, let's.]                        the times that come back
    merged     Ann: Shall we begin?  Bob: Yes, let's.  Ann: Fine.

Read are openai-whisper's and WhisperX's JSON (``{"segments": [...]}``), faster-whisper's segments as a list
or under that name, each a dictionary with ``start``, ``end``, ``text`` and, where there are some, ``words``.
"""

import html
import json
import math
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from recall_audio.errors import ItemError, UsageError
from recall_audio.export.timelines import timestamp
from recall_audio.export.view import Rows, readable
from recall_audio.model.transcript import Utterance, Word

Names = Mapping[str, str | None]


def match_files(files: Iterable[str], labels: Sequence[str]) -> dict[str, str]:
    """File name to the label of the stem that it transcribes: ``Ann_Lee.json``, ``Ann_Lee.wav.json``.

    Raises:
        UsageError: a file is no stem's, or two are the same one's.
    """
    by_name = {unicodedata.normalize("NFC", label).casefold(): label for label in labels}
    matched: dict[str, str] = {}
    for file in files:
        name = unicodedata.normalize("NFC", file.replace("\\", "/").rsplit("/", 1)[-1]).casefold()
        label = by_name.get(name.split(".", 1)[0])
        if label is None:
            hint = f"Name it after its stem: {', '.join(f'{x}.json' for x in labels)}."
            raise UsageError(f"{file} is no stem's transcript.", hint)
        if label in matched.values():
            raise UsageError(f"{file} is a second transcript of {label}.", "Give one file a stem.")
        matched[file] = label
    return matched


def merge_transcripts(
    transcripts: Mapping[str, Any], speech: Mapping[str, Rows] | None = None
) -> tuple[Utterance, ...]:
    """Everybody's utterances by start.

    Args:
        transcripts: label to what the transcriber's JSON file holds.
        speech: label to ``[[start_s, end_s], ...]``, to tell words that were made up in silence.

    Raises:
        ItemError: a file has no segments, or one of them no start, end and text.
    """
    found = [
        _utterance(segment, label, None if speech is None else speech.get(label, ()))
        for label, value in transcripts.items()
        for segment in _segments(value, label)
    ]
    return tuple(sorted((u for u in found if u.text), key=lambda u: (u.start_s, u.end_s, u.speaker)))


def write_transcript(utterances: Sequence[Utterance], names: Names, to: str) -> bytes:
    """The transcript in one of :data:`TRANSCRIPT_FORMATS`.

    Raises:
        UsageError: there is no such format.
    """
    if to not in TRANSCRIPT_FORMATS:
        raise UsageError(
            f"There is no transcript format {to!r}.", f"Choose one of {', '.join(TRANSCRIPT_FORMATS)}."
        )
    return TRANSCRIPT_FORMATS[to](utterances, names).encode("utf-8", "replace")


def _segments(value: Any, label: str) -> list[Any]:
    segments = value.get("segments") if isinstance(value, dict) else value
    if not isinstance(segments, list):
        hint = "Expected openai-whisper, faster-whisper or WhisperX JSON."
        raise ItemError(f"The transcript of {label} holds no segments.", hint, code="no_segments")
    return segments


def _utterance(segment: Any, label: str, speech: Rows | None) -> Utterance:
    start_s, end_s = (_seconds(segment, key) for key in ("start", "end"))
    text = segment.get("text") if isinstance(segment, dict) else None
    if start_s is None or end_s is None or end_s < start_s or not isinstance(text, str):
        hint = "Each needs start and end in seconds, in order, and text."
        raise ItemError(f"A segment of {label}'s transcript is damaged.", hint, code="bad_segment")
    words = tuple(_word(w) for w in segment.get("words") or () if isinstance(w, dict))
    heard = None if speech is None else _share_within(start_s, end_s, speech)
    return Utterance(start_s, end_s, label, readable(text), words, heard)


def _word(word: Mapping[str, Any]) -> Word:
    """WhisperX calls the confidence ``score``, the others ``probability``."""
    confidence = _seconds(word, "probability")
    text = readable(str(word.get("word", "")))
    return Word(
        text,
        _seconds(word, "start"),
        _seconds(word, "end"),
        _seconds(word, "score") if confidence is None else confidence,
    )


def _seconds(value: Any, key: str) -> float | None:
    """A finite number, or None."""
    number = value.get(key) if isinstance(value, Mapping) else None
    usable = isinstance(number, (int, float)) and not isinstance(number, bool) and math.isfinite(number)
    return float(number) if usable and number is not None else None


def _share_within(start_s: float, end_s: float, speech: Rows) -> float:
    """Share of a stretch that lies in speech."""
    inside_s = sum(max(0.0, min(end_s, b) - max(start_s, a)) for a, b in speech)
    return round(inside_s / (end_s - start_s), 3) if end_s > start_s else 0.0


def _name(utterance: Utterance, names: Names) -> str:
    return readable(names.get(utterance.speaker)) or utterance.speaker


def _json(utterances: Sequence[Utterance], names: Names) -> str:
    rows = [{"name": names.get(u.speaker), **u.to_json()} for u in utterances]
    # Escaped as ASCII: half a surrogate pair in a name stays what it was.
    body = {"schema": "recall-audio/transcript/1", "utterances": rows}
    return json.dumps(body, allow_nan=False, indent=1) + "\n"


def _webvtt(utterances: Sequence[Utterance], names: Names) -> str:
    cues = ["WEBVTT\n"]
    for u in utterances:
        name, text = (html.escape(x, quote=False) for x in (_name(u, names), u.text))
        cues.append(f"{timestamp(u.start_s)} --> {timestamp(u.end_s)}\n<v {name}>{text}</v>\n")
    return "\n".join(cues)


def _srt(utterances: Sequence[Utterance], names: Names) -> str:
    cues = []
    for i, u in enumerate(utterances, start=1):
        times = f"{timestamp(u.start_s, ',')} --> {timestamp(u.end_s, ',')}"
        cues.append(f"{i}\n{times}\n{_name(u, names)}: {u.text}\n")
    return "\n".join(cues)


def _text(utterances: Sequence[Utterance], names: Names) -> str:
    return "".join(f"[{timestamp(u.start_s)[:8]}] {_name(u, names)}: {u.text}\n" for u in utterances)


TRANSCRIPT_FORMATS: Mapping[str, Callable[[Sequence[Utterance], Names], str]] = {
    "json": _json,
    "webvtt": _webvtt,
    "srt": _srt,
    "text": _text,
}
"""Name to writer."""
