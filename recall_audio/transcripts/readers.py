"""Read transcripts of the whisper family and subtitles, and single fields of any foreign JSON.

Formats: openai-whisper, faster-whisper and WhisperX JSON; OpenAI's API (``verbose_json``, words only, text
only); SRT; WebVTT.
"""

import html
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from recall_audio.model.transcript import Word

_LATEST_S = 1e7
"""Latest time of a transcript that is believed, seconds: 115 days."""
_WORD = ("start", "end", "word", "probability")
"""The order of the fields where a word is an array: older versions of faster-whisper write tuples."""
_ISO_DURATION = re.compile(r"PT(?:(\d+(?:\.\d+)?)H)?(?:(\d+(?:\.\d+)?)M)?(?:(\d+(?:\.\d+)?)S)?")


@dataclass(frozen=True, slots=True)
class ReadSegment:
    """One stretch of words as a file gives it.

    Attributes:
        text: what was said.
        start_s: seconds, or None where the file does not say.
        end_s: the same.
        words: single words, with the blanks that the file puts around them.
        channel: index of the channel, from 0, where the file has several; None where it has none.
        participant: Recall.ai's participant id, where the file has them.
        confidence: 0 to 1, or None.
    """

    text: str
    start_s: float | None
    end_s: float | None
    words: tuple[Word, ...] = ()
    channel: int | None = None
    participant: int | None = None
    confidence: float | None = None


def mapping(value: Any) -> Mapping[str, Any]:
    """Return a mapping as it is; a named tuple or a plain object as one; else an empty one."""
    if isinstance(value, Mapping):
        return value
    if hasattr(value, "_asdict"):
        return dict(value._asdict())
    if hasattr(value, "__dataclass_fields__"):
        return {name: getattr(value, name) for name in value.__dataclass_fields__}
    return {}


def items(value: Any) -> list[Any]:
    """Return a list as it is, and an empty one for all else."""
    return list(value) if isinstance(value, list | tuple) else []


def text_of(value: Any) -> str:
    """Return a text as it is, and an empty one for all else."""
    return value if isinstance(value, str) else ""


def number(value: Any) -> float | None:
    """Return a finite number, also one that is written as text, or None."""
    try:
        found = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else None
    except (ValueError, OverflowError):
        return None
    return found if found is not None and math.isfinite(found) else None


def seconds(value: Any, per_s: float = 1.0) -> float | None:
    """Return a time in seconds that a meeting can have, or None.

    Args:
        value: a number of units; a text such as ``1.5``, ``1.5s`` or ``PT1.5S``; or ``{seconds, nanos}``.
        per_s: how many of its units are a second: 1000 for milliseconds, 1e7 for ticks.
    """
    if isinstance(value, Mapping):
        whole, nanos = number(value.get("seconds", 0)), number(value.get("nanos", 0))
        found = None if whole is None or nanos is None else whole + nanos / 1e9
    elif isinstance(value, str) and value.startswith("PT"):
        match = _ISO_DURATION.fullmatch(value)
        found = (
            sum(float(n or 0) * u for n, u in zip(match.groups(), (3600, 60, 1), strict=True))
            if match
            else None
        )
    else:
        found = number(value.removesuffix("s") if isinstance(value, str) else value)
        found = None if found is None else found / per_s
    return found if found is not None and abs(found) <= _LATEST_S else None


def probability(value: Any) -> float | None:
    """Return a confidence between 0 and 1, or None."""
    found = number(value)
    return found if found is not None and 0.0 <= found <= 1.0 else None


def word_of(value: Any) -> Word | None:
    """Read a word of the whisper family, whose confidence is ``probability``, ``score`` or ``confidence``."""
    fields = dict(zip(_WORD, value, strict=False)) if type(value) in (list, tuple) else mapping(value)
    if not fields:
        return None
    text = fields.get("word", fields.get("text"))
    known = (fields.get(k) for k in ("probability", "score", "confidence") if fields.get(k) is not None)
    return Word(
        text_of(text),
        seconds(fields.get("start")),
        seconds(fields.get("end")),
        probability(next(known, None)),
    )


_CUE = re.compile(
    r"^[ \t]*((?:\d+:)?\d{1,2}:\d{2}[.,]\d{1,3})[ \t]*-->[ \t]*((?:\d+:)?\d{1,2}:\d{2}[.,]\d{1,3}).*$", re.M
)


def read_cues(text: str) -> list[ReadSegment] | None:
    """Return the cues of SRT or WebVTT, without tags."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    found = list(_CUE.finditer(lines))
    if not found:
        return [] if lines.startswith("WEBVTT") else None
    cues = []
    for match, after in zip(found, [*found[1:], None], strict=True):
        body = lines[match.end() : after.start() if after else len(lines)].lstrip("\n").split("\n\n", 1)[0]
        spoken = html.unescape(re.sub(r"</?[a-zA-Z0-9:.][^>]*>", "", body))
        start_s, end_s = _clock(match[1]), _clock(match[2])
        cues.append(ReadSegment(" ".join(spoken.split()), start_s, end_s))
    return cues


def _clock(text: str) -> float:
    parts = [float(p) for p in text.replace(",", ".").split(":")]
    return float(sum(p * 60.0**i for i, p in enumerate(reversed(parts))))


def read_whisper(value: Any) -> list[ReadSegment] | None:
    """Read whisper, faster-whisper and WhisperX: segments with start, end, text and perhaps words."""
    rows = mapping(value).get("segments") if isinstance(value, Mapping) else value
    if not isinstance(rows, list) or (rows and not any(_is_segment(row) for row in rows)):
        return None
    segments = [
        ReadSegment(
            text_of(row.get("text")),
            seconds(row.get("start")),
            seconds(row.get("end")),
            tuple(w for w in map(word_of, items(row.get("words"))) if w is not None),
            confidence=_log_probability(row.get("avg_logprob")),
        )
        for row in map(mapping, rows)
    ]
    words = [w for w in map(word_of, items(mapping(value).get("words"))) if w is not None]
    return _with_words(segments, words) if words else segments


def _is_segment(row: Any) -> bool:
    fields = mapping(row)
    return isinstance(fields.get("text"), str) and bool({"start", "end", "words"} & fields.keys())


def _log_probability(value: Any) -> float | None:
    found = number(value)
    return None if found is None or found > 0 else round(math.exp(found), 4)


def _with_words(segments: list[ReadSegment], words: list[Word]) -> list[ReadSegment]:
    """Give each segment the words that OpenAI's API lists beside them, by the words' middles."""
    if any(s.words for s in segments) or any(s.start_s is None or s.end_s is None for s in segments):
        return segments
    timed = [(w, (w.start_s + w.end_s) / 2) for w in words if w.start_s is not None and w.end_s is not None]
    filled, at = [], 0
    for i, segment in enumerate(segments):
        ends_s = math.inf if i + 1 == len(segments) else segment.end_s
        first = at
        while at < len(timed) and ends_s is not None and timed[at][1] < ends_s:
            at += 1
        own = punctuated(tuple(w for w, _ in timed[first:at]), segment.text)
        filled.append(replace(segment, words=own))
    return filled


def punctuated(words: tuple[Word, ...], text: str) -> tuple[Word, ...]:
    """Return words with the punctuation of the text that they make, where both have as many words."""
    tokens = text.split()
    if len(tokens) != len(words):
        return words
    return tuple(replace(w, text=token) for w, token in zip(words, tokens, strict=True))


def read_words_only(value: Any) -> list[ReadSegment] | None:
    """Read OpenAI's words without segments, as one segment that is split at pauses later."""
    fields = mapping(value)
    words = tuple(w for w in map(word_of, items(fields.get("words"))) if w is not None)
    if not words or not any("word" in mapping(w) for w in items(fields.get("words"))):
        return None
    words = punctuated(words, text_of(fields.get("text")))
    return [ReadSegment(" ".join(w.text.strip() for w in words), None, None, words)]


def read_text_alone(value: Any) -> list[ReadSegment] | None:
    """Read a text without times, as some models of OpenAI's API give it."""
    fields = mapping(value)
    if not isinstance(fields.get("text"), str) or {"start", "end"} & fields.keys():
        return None
    return [ReadSegment(fields["text"], None, None)]
