"""Give words to the person who spoke them, by everyone's own speech.

::

    stem of Ann   [Shall we begin? ············ Fine.]     one segment, its words far apart
    Ann's speech  |---------------|            |-----|
    Bob's speech                   |--------|
    leaked words                   Yes, let's.             outside Ann's own speech: dropped and counted
    segments      [Shall we begin?]            [Fine.]     another's words may come in between

A transcriber that gets one stem alone has no knowledge of the other speakers, and one that gets the mix none
of the tracks. So each word is looked up in the speech that was found: words of a stem are its speaker's or
no one's, words of the mix are given to the one in whose speech they lie.
"""

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from recall_audio.core.spans import Rows, from_seconds, subtract, to_seconds, union
from recall_audio.export.recording_view import readable
from recall_audio.model.options import TalkOptions, TranscriptOptions
from recall_audio.model.transcript import TranscriptSegment, Word, count_words
from recall_audio.transcripts.readers import ReadSegment

_TAIL_S = 0.4
"""A word is looked for by at most this much of its end, seconds: starts are stretched over pauses."""


def tail_of(word: Word) -> tuple[float, float]:
    """Return the part of a word by which its speaker is told, seconds."""
    start_s = word.start_s or 0.0
    end_s = start_s if word.end_s is None else word.end_s
    return max(start_s, end_s - _TAIL_S), end_s


class Stretches:
    """Sorted stretches of time, to look up how much of another stretch lies in them."""

    def __init__(self, rows: Rows) -> None:
        self._starts = [float(a) for a, _ in rows]
        self._ends = [float(b) for _, b in rows]
        self._sums = [0.0, *accumulate(b - a for a, b in zip(self._starts, self._ends, strict=True))]

    def _before_s(self, time_s: float) -> float:
        """Return the seconds of all stretches before a time."""
        i = bisect_right(self._starts, time_s)
        return self._sums[i] - (max(self._ends[i - 1] - time_s, 0.0) if i else 0.0)

    def within_s(self, start_s: float, end_s: float) -> float:
        """Return the seconds of ``[start_s, end_s]`` that lie in the stretches."""
        return self._before_s(end_s) - self._before_s(start_s)

    def share(self, start_s: float, end_s: float) -> float:
        """Return the share of a stretch that lies in these, 0 to 1; a moment lies in them or not."""
        if end_s - start_s < 1e-3:
            start_s, end_s = start_s - 1e-3, end_s + 1e-3
        return min(self.within_s(start_s, end_s) / (end_s - start_s), 1.0)

    def distance_s(self, time_s: float) -> float:
        """Return the seconds from a time to the nearest stretch, infinite where there is none."""
        i = bisect_right(self._starts, time_s)
        after_s = self._starts[i] - time_s if i < len(self._starts) else math.inf
        before_s = max(time_s - self._ends[i - 1], 0.0) if i else math.inf
        return min(before_s, after_s)


@dataclass(frozen=True, slots=True)
class Owned:
    """Segments of one speaker.

    Attributes:
        segments: in the order in which they were read.
        n_dropped: words left out, as they lie outside the speaker's own speech.
    """

    segments: tuple[TranscriptSegment, ...]
    n_dropped: int = 0


def lengthened(speech: Mapping[str, Rows], label: str, edge_s: float) -> Rows:
    """Return a speaker's own speech, longer by `edge_s` on either side where no one else speaks.

    Transcribers place words to a tenth or two of a second only.
    """
    own = from_seconds(speech.get(label, ()))
    everyone = union(*(from_seconds(rows) for rows in speech.values()))
    wider = union(from_seconds([max(a - edge_s, 0.0), b + edge_s] for a, b in speech.get(label, ())))
    return to_seconds(union(own, subtract(wider, subtract(everyone, own))))


def own_segments(
    read: Iterable[ReadSegment],
    label: str,
    speech: Mapping[str, Rows] | None,
    options: TranscriptOptions = TranscriptOptions(),  # noqa: B008 - a frozen value
) -> Owned:
    """Return what one speaker said, from a transcript of their own stem.

    Args:
        read: the transcript; all times are there.
        label: the speaker.
        speech: label to ``[[start_s, end_s], ...]`` of everyone; None where it is not known, and nothing is
            dropped.
        options: what counts as inside.
    """
    exact = None if speech is None else Stretches(speech.get(label, ()))
    wide = None if speech is None else Stretches(lengthened(speech, label, options.edge_s))
    found: list[TranscriptSegment] = []
    n_dropped = 0
    for segment in read:
        kept, dropped = _inside(segment, wide, options)
        n_dropped += dropped
        for piece in [] if kept is None else _pieces(kept, label):
            share = None if exact is None else round(exact.share(piece.start_s, piece.end_s), 3)
            found.append(replace(piece, in_speech=share))
    return Owned(tuple(found), n_dropped)


def _inside(
    segment: ReadSegment, speech: Stretches | None, options: TranscriptOptions
) -> tuple[ReadSegment | None, int]:
    """Return what of a segment lies in speech, and the number of words that do not."""
    if speech is None or options.keep_outside:
        return segment, 0
    if not any(w.start_s is not None for w in segment.words):
        start_s, end_s = segment.start_s or 0.0, segment.end_s or 0.0
        if speech.share(start_s, end_s) >= options.segment_share:
            return segment, 0
        return None, count_words(segment.text)
    kept: list[Word] = []
    is_inside: bool | None = None
    undecided: list[Word] = []
    for word in segment.words:
        if word.start_s is None:  # as the word before it, else as the one after it
            (undecided if is_inside is None else kept if is_inside else []).append(word)
            continue
        is_inside = speech.share(*tail_of(word)) >= options.word_share
        kept += [*(undecided if is_inside else []), *([word] if is_inside else [])]
        undecided = []
    if len(kept) == len(segment.words):
        return segment, 0
    n_dropped = len(segment.words) - len(kept)
    return (_of_words(segment, kept) if kept else None), n_dropped


def _of_words(segment: ReadSegment, kept: Sequence[Word]) -> ReadSegment:
    """Return a segment of some of its words only."""
    between = _between([w.text for w in segment.words], segment.text)
    if between is None:
        between = "" if any(w.text.startswith(" ") for w in segment.words) else " "
    starts = [w.start_s for w in kept if w.start_s is not None]
    ends = [w.end_s for w in kept if w.end_s is not None]
    return replace(
        segment,
        text=between.join(w.text for w in kept),
        words=tuple(kept),
        start_s=min(starts, default=segment.start_s),
        end_s=max(ends, default=segment.end_s),
    )


def _pieces(segment: ReadSegment, label: str | None) -> list[TranscriptSegment]:
    """Split a segment where its words are far apart, if it is made of its words."""
    runs, spoken = _runs(segment.words), [w.text for w in segment.words]
    between = _between(spoken, segment.text)
    if len(runs) < 2 or between is None:
        return _finished(segment, label)
    pieces: list[TranscriptSegment] = []
    for i, (a, b) in enumerate(runs):
        words = segment.words[a:b]
        start_s = segment.start_s if i == 0 else words[0].start_s
        end_s = max((w.end_s for w in words if w.end_s is not None), default=segment.end_s)
        text = between.join(spoken[a:b])
        pieces += _finished(replace(segment, text=text, words=words, start_s=start_s, end_s=end_s), label)
    return pieces


def _finished(segment: ReadSegment, label: str | None) -> list[TranscriptSegment]:
    """Return a segment as it is published, or nothing where nothing was said."""
    text = readable(segment.text)
    if not text or segment.start_s is None or segment.end_s is None:
        return []
    sure = [w.confidence for w in segment.words if w.confidence is not None]
    confidence = round(sum(sure) / len(sure), 4) if sure else segment.confidence
    words = tuple(replace(w, text=readable(w.text)) for w in segment.words)
    end_s = max(segment.start_s, segment.end_s)
    return [TranscriptSegment(segment.start_s, end_s, label, text, words, None, confidence)]


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


def _between(spoken: Sequence[str], text: str) -> str | None:
    """Return the separator that joins the words to the text, or None."""
    wanted = text.split()
    return next((b for b in ("", " ") if b.join(spoken).split() == wanted), None)


@dataclass(frozen=True, slots=True)
class Shared:
    """A transcript of the mix, shared out.

    Attributes:
        segments: in order of time.
        n_unassigned: words that lie in the speech of no one; left out unless they were to be kept.
    """

    segments: tuple[TranscriptSegment, ...]
    n_unassigned: int = 0


def share_out(
    read: Iterable[ReadSegment],
    speech: Mapping[str, Rows],
    options: TranscriptOptions = TranscriptOptions(),  # noqa: B008 - a frozen value
) -> Shared:
    """Give each word of a transcript of the mix to the speaker in whose own speech it lies.

    Where several speak at once the mix does not tell whose a word is: it goes on with the speaker of the word
    before. A word just outside all speech goes to the nearest within ``edge_s``.

    Args:
        read: the transcript; all times of segments are there.
        speech: label to ``[[start_s, end_s], ...]`` of everyone.
        options: what counts as near, and whether words of no one are kept.
    """
    lookup = {label: Stretches(rows) for label, rows in speech.items() if len(rows)}
    found: list[TranscriptSegment] = []
    n_unassigned = 0
    speaker: str | None = None
    for segment in read:
        timed = replace(segment, words=timed_words(segment))
        groups: list[tuple[str | None, list[Word]]] = []
        for word in timed.words:
            speaker = _speaker_of(word, speaker, lookup, options.edge_s)
            if not groups or groups[-1][0] != speaker:
                groups.append((speaker, []))
            groups[-1][1].append(word)
        for label, words in groups:
            n_unassigned += len(words) if label is None else 0
            if label is None and not options.keep_outside:
                continue
            whole = timed if len(groups) == 1 else _of_words(timed, words)
            for piece in _pieces(whole, label):
                share = None if label is None else lookup[label].share(piece.start_s, piece.end_s)
                found.append(replace(piece, in_speech=None if share is None else round(share, 3)))
    return Shared(in_order(found), n_unassigned)


def timed_words(segment: ReadSegment) -> tuple[Word, ...]:
    """Return a segment's words, each with times: those without get a share of the time by their length."""
    words = segment.words or tuple(Word(" " + t, None, None) for t in segment.text.split())
    start_s, end_s = segment.start_s or 0.0, segment.end_s or 0.0
    length = sum(len(w.text) for w in words) or 1
    edges = [
        start_s + (end_s - start_s) * n / length for n in accumulate((len(w.text) for w in words), initial=0)
    ]
    return tuple(
        replace(w, start_s=edges[i], end_s=edges[i + 1]) if w.start_s is None or w.end_s is None else w
        for i, w in enumerate(words)
    )


def _speaker_of(word: Word, before: str | None, lookup: Mapping[str, Stretches], edge_s: float) -> str | None:
    """Return the label in whose speech most of a word lies, or None."""
    start_s, end_s = tail_of(word)
    shares = {label: rows.share(start_s, end_s) for label, rows in lookup.items()}
    most = max(shares.values(), default=0.0)
    if most > 0.0:
        equal = [label for label, share in shares.items() if share >= most - 0.05]
        return before if before in equal else equal[0]
    middle_s = (start_s + end_s) / 2
    distances = {label: rows.distance_s(middle_s) for label, rows in lookup.items()}
    nearest = min(distances, key=distances.__getitem__, default=None)
    return nearest if nearest is not None and distances[nearest] <= edge_s else None


def in_order(segments: Iterable[TranscriptSegment]) -> tuple[TranscriptSegment, ...]:
    """Return segments by start, end and speaker."""
    return tuple(sorted(segments, key=lambda s: (s.start_s, s.end_s, s.speaker or "")))
