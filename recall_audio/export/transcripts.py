"""Merge a transcriber's files, one a stem, into one chronological transcript.

::

    Ann.json   [Shall we begin?]              [Fine.]          stems lie on the mix's clock, so do
    Bob.json              [Yes, let's.]                        the times that come back
    merged     Ann: Shall we begin?  Bob: Yes, let's.  Ann: Fine.

Reads the JSON of openai-whisper and WhisperX (``{"segments": [...]}``), and of faster-whisper: its segments
as a list or under that name, each a dictionary with ``start``, ``end``, ``text`` and, where there are some,
``words``.

::

    stem of Ann   [Shall we begin? ············ Fine.]     one segment, its words far apart
    utterances    [Shall we begin?]            [Fine.]     another speaker's words may come in between

A transcriber that gets one stem alone has no knowledge of the other speakers. A segment is therefore split
where two of its words are further apart than the silence that joins one speaker's turn.
"""

import html
import json
import math
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recall_audio.errors import ItemError, UsageError
from recall_audio.export.recording_view import Rows, readable
from recall_audio.export.timelines import timestamp
from recall_audio.model.options import TalkOptions

EXPECTED_TRANSCRIPT = "Expected openai-whisper, faster-whisper or WhisperX JSON."
_LATEST_S = 1e7
"""Latest time of a transcript that is believed, seconds: 115 days."""
_WORD = ("start", "end", "word", "probability")
"""The order of the fields where a word is an array: older versions of faster-whisper write tuples."""


@dataclass(frozen=True, slots=True)
class Word:
    """One word as a transcriber gave it.

    Attributes:
        text: without spaces around it.
        start_s: None where the transcriber could not place it.
        end_s: the same.
        confidence: 0 to 1, or None.
    """

    text: str
    start_s: float | None
    end_s: float | None
    confidence: float | None

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Utterance:
    """One stretch of one speaker's words.

    Attributes:
        start_s: seconds on the mix's clock.
        end_s: seconds on the mix's clock.
        speaker: label.
        text: what was said, without spaces around it.
        words: single words, where the transcriber gave them.
        in_speech: share of the words' time that lies in the speaker's own speech, 0 to 1; near 0 the text is
            likely invented; None where the speech is not known.
    """

    start_s: float
    end_s: float
    speaker: str
    text: str
    words: tuple[Word, ...] = ()
    in_speech: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain values, with ``words`` only where there are some."""
        plain: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__ if name != "words"}
        return plain | ({"words": [w.to_json() for w in self.words]} if self.words else {})


def recall_segments(transcript: Any) -> list[tuple[int | None, Mapping[str, Any]]] | None:
    """Return participant ids and segments of Recall.ai's own transcript, or None where it is another's.

    ::

        [{participant: {id}, words: [{text, start_timestamp: {relative}, end_timestamp: {relative} | null}]}]

    A word without an end lasts to the next one. A row or word that cannot be read is left out.
    """
    is_recalls = isinstance(transcript, list) and any(
        isinstance(row, Mapping) and "participant" in row and isinstance(row.get("words"), list)
        for row in transcript
    )
    if not is_recalls:
        return None
    found: list[tuple[int | None, Mapping[str, Any]]] = []
    for row in (r for r in transcript if isinstance(r, Mapping) and isinstance(r.get("words"), list)):
        words = [w for w in map(_recall_word, row["words"]) if w is not None]
        for word, after in zip(words, [*words[1:], *words[-1:]], strict=True):
            if word["end"] is None:
                word["end"] = max(word["start"], after["start"])
        person = row.get("participant")
        number = person.get("id") if isinstance(person, Mapping) else None
        if words:
            text = " ".join(w["word"] for w in words)
            found.append((number if isinstance(number, int) else None, {"text": text, "words": words}))
    return found


def _recall_word(value: Any) -> dict[str, Any] | None:
    word = value if isinstance(value, Mapping) else {}
    times = [word.get(name) for name in ("start_timestamp", "end_timestamp")]
    start_s, end_s = (_seconds(t, "relative") if isinstance(t, Mapping) else None for t in times)
    if start_s is None or not isinstance(word.get("text"), str) or (end_s is not None and end_s < start_s):
        return None
    return {"word": word["text"].strip(), "start": start_s, "end": end_s}


def split_utterances(transcript: Any, label: str, speech: Rows | None = None) -> Iterator[Utterance]:
    """Yield the utterances of one stem, in the file's order, without blank ones.

    Args:
        transcript: the content of the transcriber's JSON file.
        label: the stem's label.
        speech: the speaker's own ``[[start_s, end_s], ...]``, to detect words that were invented in silence
            or leaked from others.

    Raises:
        ItemError: there are no segments, or one of them has no start, end and text.
    """
    segments = transcript.get("segments") if isinstance(transcript, Mapping) else transcript
    if not isinstance(segments, list):
        raise ItemError(
            f"The transcript of {label} holds no segments.", EXPECTED_TRANSCRIPT, code="no_segments"
        )
    for number, segment in enumerate(segments, 1):
        for start_s, end_s, text, words in _pieces(segment, f"Segment {number} of {label}'s transcript"):
            in_speech = None if speech is None else _share_within(start_s, end_s, speech)
            if text:
                yield Utterance(start_s, end_s, label, text, words, in_speech)


Piece = tuple[float, float, str, tuple[Word, ...]]


def _pieces(segment: Any, what: str) -> list[Piece]:
    """Split a segment where its words are far apart."""
    fields = segment if isinstance(segment, Mapping) else {}
    listed = fields.get("words")
    raw = [_named(w) for w in listed if isinstance(w, (Mapping, list))] if isinstance(listed, list) else []
    words = [_word(w) for w in raw]
    text, times = fields.get("text"), _times(fields, words)
    if times is None or not isinstance(text, str):
        hint = f"Each needs start and end in seconds, in order, and text. {EXPECTED_TRANSCRIPT}"
        raise ItemError(f"{what} is damaged.", hint, code="bad_segment")
    spoken = [str(w.get("word") or "") for w in raw]
    runs, between = _runs(words), _between(spoken, text)
    if len(runs) < 2 or between is None:
        return [(*times, readable(text), tuple(words))]
    edges = [(words[a].start_s, _last_end(words[a:b])) for a, b in runs]
    texts = [readable(between.join(spoken[a:b])) for a, b in runs]
    return [
        (times[0] if i == 0 else start_s or times[0], end_s, piece, tuple(words[a:b]))
        for i, ((start_s, end_s), piece, (a, b)) in enumerate(zip(edges, texts, runs, strict=True))
    ]


def _times(segment: Mapping[str, Any], words: Sequence[Word]) -> tuple[float, float] | None:
    """Return start and end, from the words where the segment lacks them, or None if out of order."""
    starts = [w.start_s for w in words if w.start_s is not None]
    ends = [w.end_s for w in words if w.end_s is not None]
    start_s, end_s = _seconds(segment, "start"), _seconds(segment, "end")
    start_s = min(starts, default=None) if start_s is None else start_s
    end_s = max(ends, default=None) if end_s is None else end_s
    if start_s is None or end_s is None or end_s < start_s:
        return None
    return max(start_s, 0.0), max(end_s, 0.0)


def _runs(words: Sequence[Word]) -> list[tuple[int, int]]:
    """Return the index ranges of runs of words that are close together.

    A word without times belongs to the run before it.
    """
    first, reached_s, runs = 0, -math.inf, []
    for i, word in enumerate(words):
        if word.start_s is None or word.end_s is None or word.end_s < word.start_s:
            continue
        if word.start_s - reached_s > TalkOptions().turn_join_s and reached_s > -math.inf:
            runs.append((first, i))
            first = i
        reached_s = max(reached_s, word.end_s)
    return [*runs, (first, len(words))]


def _last_end(words: Sequence[Word]) -> float:
    return max(w.end_s for w in words if w.end_s is not None)


def _between(spoken: Sequence[str], text: str) -> str | None:
    """Return the separator that joins the words to the text, or None."""
    wanted = text.split()
    return next((b for b in ("", " ") if b.join(spoken).split() == wanted), None)


def _named(word: Any) -> Mapping[str, Any]:
    return word if isinstance(word, Mapping) else dict(zip(_WORD, word, strict=False))


def _word(word: Mapping[str, Any]) -> Word:
    """Read a word, whose confidence WhisperX calls ``score`` and the others ``probability``."""
    probability = _seconds(word, "probability")
    confidence = _seconds(word, "score") if probability is None else probability
    text = word.get("word")
    times = _seconds(word, "start"), _seconds(word, "end")
    return Word(readable(text if isinstance(text, str) else ""), *times, confidence)


def _seconds(value: Mapping[str, Any], key: str) -> float | None:
    """Return a number of seconds that a meeting can have, or None."""
    number = value.get(key)
    usable = isinstance(number, (int, float)) and not isinstance(number, bool) and abs(number) <= _LATEST_S
    return float(number) if usable and number is not None else None


def _share_within(start_s: float, end_s: float, speech: Rows) -> float:
    """Return the share of a stretch that lies in speech, 0 to 1."""
    inside_s = sum(max(0.0, min(end_s, b) - max(start_s, a)) for a, b in speech)
    return round(inside_s / (end_s - start_s), 3) if end_s > start_s else 0.0


Names = Mapping[str, str | None]
"""Label to the speaker's real name."""


@dataclass(frozen=True, slots=True)
class TranscriptFormat:
    """One format of ``merge-transcripts --to``.

    Attributes:
        write: makes its text of the utterances and the speakers' names.
        suffix: the ending of its file's name.
    """

    write: Callable[[Sequence[Utterance], Names], str]
    suffix: str


def match_files(files: Iterable[str], labels: Sequence[str]) -> dict[str, str]:
    """Match transcripts to stems by name: ``Ann_Lee.json``, ``Ann_Lee.wav.json``.

    Returns:
        File to the label of the stem that it transcribes.

    Raises:
        UsageError: a file belongs to no stem, or two files to one stem.
    """
    by_name = {unicodedata.normalize("NFC", label).casefold(): label for label in labels}
    matched: dict[str, str] = {}
    for file in files:
        name = unicodedata.normalize("NFC", file.replace("\\", "/").rsplit("/", 1)[-1]).casefold()
        label = by_name.get(name.split(".", 1)[0])
        if label is None:
            hint = f"Name it after its stem: {', '.join(f'{x}.json' for x in labels)}."
            raise UsageError(f"{file} belongs to no stem.", hint)
        if label in matched.values():
            raise UsageError(f"{file} is a second transcript of {label}.", "Give one file a stem.")
        matched[file] = label
    return matched


def merge_transcripts(
    transcripts: Mapping[str, Any], speech: Mapping[str, Rows] | None = None
) -> tuple[Utterance, ...]:
    """Return the utterances of all speakers by start.

    Args:
        transcripts: label to the content of the transcriber's JSON file.
        speech: label to ``[[start_s, end_s], ...]``, to detect words that were invented in silence.

    Raises:
        ItemError: a file has no segments, or one of them no start, end and text.
    """
    found = [
        utterance
        for label, value in transcripts.items()
        for utterance in split_utterances(value, label, None if speech is None else speech.get(label, ()))
    ]
    return tuple(sorted(found, key=lambda u: (u.start_s, u.end_s, u.speaker)))


def write_transcript(utterances: Sequence[Utterance], names: Names, to: str) -> bytes:
    """Write the transcript in one of :data:`TRANSCRIPT_FORMATS`.

    Raises:
        UsageError: there is no such format.
    """
    if to not in TRANSCRIPT_FORMATS:
        raise UsageError(
            f"There is no transcript format {to!r}.", f"Choose one of {', '.join(TRANSCRIPT_FORMATS)}."
        )
    return TRANSCRIPT_FORMATS[to].write(utterances, names).encode("utf-8", "replace")


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


TRANSCRIPT_FORMATS: Mapping[str, TranscriptFormat] = {
    "json": TranscriptFormat(_json, ".json"),
    "webvtt": TranscriptFormat(_webvtt, ".vtt"),
    "srt": TranscriptFormat(_srt, ".srt"),
    "text": TranscriptFormat(_text, ".txt"),
}
"""Every format by the name that ``merge-transcripts --to`` takes."""
