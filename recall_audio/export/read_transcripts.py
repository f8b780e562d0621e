"""What a transcriber heard in one stem, as utterances.

Read are openai-whisper's and WhisperX's JSON (``{"segments": [...]}``), faster-whisper's segments as a list
or under that name, each a dictionary with ``start``, ``end``, ``text`` and, where there are some, ``words``.

::

    stem of Ann   [Shall we begin? ············ Fine.]     one segment, its words far apart:
    utterances    [Shall we begin?]            [Fine.]     whoever spoke in between comes in between

A transcriber that hears one stem alone knows nothing of the others, so a segment is split where its words
are apart by more than what joins one speaker's turn.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from recall_audio.errors import ItemError
from recall_audio.export.recording_view import Rows, readable
from recall_audio.model.options import TalkOptions
from recall_audio.model.transcript import Utterance, Word

_READ = "Expected openai-whisper, faster-whisper or WhisperX JSON."
_WORD = ("start", "end", "word", "probability")
"""The order of faster-whisper's words where they come as arrays: its older versions' are tuples."""


def utterances(transcript: Any, label: str, speech: Rows | None = None) -> Iterator[Utterance]:
    """Utterances of one stem, in the file's order; blank ones are left out.

    Args:
        transcript: what the transcriber's JSON file holds.
        label: the stem's.
        speech: the speaker's own ``[[start_s, end_s], ...]``, to tell words made up in silence, or others'
            that leaked.

    Raises:
        ItemError: there are no segments, or one of them has no start, end and text.
    """
    segments = transcript.get("segments") if isinstance(transcript, Mapping) else transcript
    if not isinstance(segments, list):
        raise ItemError(f"The transcript of {label} holds no segments.", _READ, code="no_segments")
    for number, segment in enumerate(segments, 1):
        for start_s, end_s, text, words in _pieces(segment, f"Segment {number} of {label}'s transcript"):
            heard = None if speech is None else _share_within(start_s, end_s, speech)
            if text:
                yield Utterance(start_s, end_s, label, text, words, heard)


Piece = tuple[float, float, str, tuple[Word, ...]]


def _pieces(segment: Any, what: str) -> list[Piece]:
    """A segment, split where its words are far apart."""
    given = segment if isinstance(segment, Mapping) else {}
    listed = given.get("words")
    raw = [_named(w) for w in listed if isinstance(w, (Mapping, list))] if isinstance(listed, list) else []
    words = [_word(w) for w in raw]
    text, times = given.get("text"), _times(given, words)
    if times is None or not isinstance(text, str):
        hint = f"Each needs start and end in seconds, in order, and text. {_READ}"
        raise ItemError(f"{what} is damaged.", hint, code="bad_segment")
    spoken = [str(w.get("word") or "") for w in raw]
    runs, between = _runs(words), _between(spoken, text)
    if len(runs) < 2 or between is None:
        return [(*times, readable(text), tuple(words))]
    edges = [(words[a].start_s, _last_end(words[a:b])) for a, b in runs]
    said = [readable(between.join(spoken[a:b])) for a, b in runs]
    return [
        (times[0] if i == 0 else start_s or times[0], end_s, piece, tuple(words[a:b]))
        for i, ((start_s, end_s), piece, (a, b)) in enumerate(zip(edges, said, runs, strict=True))
    ]


def _times(segment: Mapping[str, Any], words: Sequence[Word]) -> tuple[float, float] | None:
    """Start and end, of the words where the segment has none; None where they are no stretch of time."""
    starts = [w.start_s for w in words if w.start_s is not None]
    ends = [w.end_s for w in words if w.end_s is not None]
    start_s, end_s = _seconds(segment, "start"), _seconds(segment, "end")
    start_s = min(starts, default=None) if start_s is None else start_s
    end_s = max(ends, default=None) if end_s is None else end_s
    if start_s is None or end_s is None or end_s < start_s:
        return None
    return max(start_s, 0.0), max(end_s, 0.0)


def _runs(words: Sequence[Word]) -> list[tuple[int, int]]:
    """First and last-but-one of each run of words that are not far apart; a word without times goes along."""
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
    """What stands between words so that they make the text again; None where they do not."""
    wanted = text.split()
    return next((b for b in ("", " ") if b.join(spoken).split() == wanted), None)


def _named(word: Any) -> Mapping[str, Any]:
    return word if isinstance(word, Mapping) else dict(zip(_WORD, word, strict=False))


def _word(word: Mapping[str, Any]) -> Word:
    """WhisperX calls the confidence ``score``, the others ``probability``."""
    probability = _seconds(word, "probability")
    confidence = _seconds(word, "score") if probability is None else probability
    text = word.get("word")
    times = _seconds(word, "start"), _seconds(word, "end")
    return Word(readable(text if isinstance(text, str) else ""), *times, confidence)


def _seconds(value: Mapping[str, Any], key: str) -> float | None:
    """A finite number, or None."""
    number = value.get(key)
    usable = isinstance(number, (int, float)) and not isinstance(number, bool) and math.isfinite(number)
    return float(number) if usable and number is not None else None


def _share_within(start_s: float, end_s: float, speech: Rows) -> float:
    """Share of a stretch that lies in speech."""
    inside_s = sum(max(0.0, min(end_s, b) - max(start_s, a)) for a, b in speech)
    return round(inside_s / (end_s - start_s), 3) if end_s > start_s else 0.0
