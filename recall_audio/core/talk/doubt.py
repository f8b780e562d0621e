"""Measure how much of the speech counted may be wrong, from the probabilities of the speech step.

::

    probability of own speech   0  .1 .6 .9 1  1  .8 .3 .4 .2 0  0
    counted                           ======================
    over: may not be theirs           .4 .1 0  0  .2 .7 .6
    missed: may be theirs          .1                      .2

A longer run of doubtful frames is wrong as a whole or not at all, and is counted apart from the edges of
segments. Every frame of 20 ms adds what its decision may be wrong by. A frame of one speaker changes a figure
only where the others leave it to that speaker: the overlap only where exactly one other speaks, the speech of
the meeting only where no other does.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np

from recall_audio.core import spans as sp
from recall_audio.typing import BoolArray, ByteArray, Float32Array, FloatArray, IntArray, Spans
from recall_audio.units import RATE_HZ

FRAME_SAMPLES = 320
"""Samples of a frame of probabilities: 20 ms."""
FRAME_S = FRAME_SAMPLES / RATE_HZ
_BLOCK_FRAMES = 30_000
"""Frames that are held at once: ten minutes."""
_SURE_NOT, _SURE = 0.05, 0.95
"""Probabilities between which a frame is in doubt."""
_RUN_FRAMES = 30
"""Frames of a run of doubt above which it is more than an edge or a short pause: 0.6 s. Of 0.3, 0.6 and 1.2 s
it gave the least loss in ``tests/benchmarks/intervals.py``."""


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """What wrong decisions would change a figure by, in seconds, by the speaker whose frames are wrong.

    Doubt about a longer run of frames is kept apart from that about edges and short pauses.

    Attributes:
        over: speech that is counted and may not be the speaker's, shape (N, ...).
        missed: speech that is not counted and may be, of the same shape.
        over_run: the same as `over`, in longer runs.
        missed_run: the same as `missed`, in longer runs.
    """

    over: FloatArray
    missed: FloatArray
    over_run: FloatArray
    missed_run: FloatArray

    def __add__(self, other: "Change") -> "Change":
        return Change(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


@dataclass(frozen=True, slots=True, eq=False)
class Doubt:
    """The doubt about N speakers' speech in a stretch of the meeting.

    Attributes:
        talk: changes of each speaker's talk, shape (N,).
        speech: changes of the time in which at least one speaks, by speaker, shape (N,).
        overlap: changes of the time in which two or more speak, by speaker, shape (N,).
        pairs: changes of the overlap of two by frames of the first, shape (K, K).
        known: the K speakers that `pairs` is about, those with speech or probabilities, shape (K,).
    """

    talk: Change
    speech: Change
    overlap: Change
    pairs: Change
    known: IntArray

    def __add__(self, other: "Doubt") -> "Doubt":
        mine, theirs = ((d.talk, d.speech, d.overlap, d.pairs) for d in (self, other))
        talk, speech, overlap, pairs = (a + b for a, b in zip(mine, theirs, strict=True))
        return Doubt(talk, speech, overlap, pairs, self.known)


def measure_doubt(
    speech: Sequence[Spans], probability: Sequence[ByteArray | None], start: int, end: int
) -> Doubt:
    """Return the doubt about a stretch.

    Args:
        speech: the segments of each speaker.
        probability: of own speech × 255 of each speaker's frames, shapes (n,); None where nothing is in
            doubt, as for a track that never sounds like speech.
        start: first sample of the stretch.
        end: one past its last sample.
    """
    known = [i for i, row in enumerate(probability) if row is not None or len(speech[i])]
    rows = [probability[i] for i in known]
    frames = round(start / FRAME_SAMPLES), round(end / FRAME_SAMPLES)
    found = _nothing(len(known))
    for first, last in _blocks(*frames):
        found += _doubt_in([speech[i] for i in known], rows, first, last)
    return _spread(found, known, len(speech))


def _blocks(first: int, last: int) -> Iterator[tuple[int, int]]:
    for start in range(first, last, _BLOCK_FRAMES):
        yield start, min(start + _BLOCK_FRAMES, last)


def _doubt_in(speech: Sequence[Spans], rows: Sequence[ByteArray | None], first: int, last: int) -> Doubt:
    """Return the doubt about frames ``[first, last)``."""
    n = last - first
    if not rows:
        return _nothing(0)
    counted = np.stack([sp.to_mask(spans, FRAME_SAMPLES, n, first * FRAME_SAMPLES) for spans in speech])
    p = np.stack([_probability(row, first, last, mask) for row, mask in zip(rows, counted, strict=True)])
    in_run = np.stack([_in_run(row) for row in p])
    wrong = [
        np.where(where, x, np.float32(0))
        for runs in (~in_run, in_run)
        for where, x in ((runs & counted, 1 - p), (runs & ~counted, p))
    ]
    others = counted.sum(axis=0, dtype=np.int16) - counted
    speaking = counted.astype(np.float32).T
    return Doubt(
        _seconds(x.sum(axis=1) for x in wrong),
        _seconds((x * (others == 0)).sum(axis=1) for x in wrong),
        _seconds((x * (others == 1)).sum(axis=1) for x in wrong),
        _seconds(_without_diagonal(x @ speaking) for x in wrong),
        np.arange(len(rows)),
    )


def _in_run(p: Float32Array) -> BoolArray:
    """Return whether each frame is in doubt in a longer run of such frames, shape (n,)."""
    doubtful = (p > _SURE_NOT) & (p < _SURE)
    edges = np.flatnonzero(np.diff(doubtful.astype(np.int8), prepend=0, append=0))
    is_long = np.diff(edges)[::2] > _RUN_FRAMES
    found = np.zeros(len(p) + 1, dtype=np.int8)
    found[edges[::2][is_long]], found[edges[1::2][is_long]] = 1, -1
    return np.cumsum(found[:-1], dtype=np.int8) > 0


def _probability(row: ByteArray | None, first: int, last: int, counted: BoolArray) -> Float32Array:
    """Return the probabilities of frames ``[first, last)``, 0 past the row's end."""
    if row is None:
        return counted.astype(np.float32)
    held = row[first:last].astype(np.float32) / np.float32(255)
    return np.pad(held, (0, len(counted) - len(held)))


def _seconds(frames: Iterable[Float32Array]) -> Change:
    return Change(*(x.astype(np.float64) * FRAME_S for x in frames))


def _without_diagonal(values: Float32Array) -> Float32Array:
    np.fill_diagonal(values, 0)
    return values


def _nothing(n: int) -> Doubt:
    row, square = np.zeros(n), np.zeros((n, n))
    nothing, of_pairs = Change(*[row] * 4), Change(*[square] * 4)
    return Doubt(nothing, nothing, nothing, of_pairs, np.arange(n))


def _spread(doubt: Doubt, known: Sequence[int], n: int) -> Doubt:
    """Return the doubt of some speakers at their places among n; that of pairs stays as it is."""
    at = np.array(known, dtype=np.int64)

    def placed(change: Change) -> Change:
        found = np.zeros((4, n))
        found[:, at] = [getattr(change, f.name) for f in fields(change)]
        return Change(*found)

    return Doubt(placed(doubt.talk), placed(doubt.speech), placed(doubt.overlap), doubt.pairs, at)


def count_edges(speech: Sequence[Spans], start: int, end: int) -> IntArray:
    """Return how many segments of each speaker begin within ``[start, end)`` or reach into it, shape (N,)."""
    return np.array([len(sp.clip(spans, start, end)) for spans in speech], dtype=np.int64)
