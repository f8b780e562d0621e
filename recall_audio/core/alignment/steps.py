"""Where a step lies: between the last window before it and the first one after, to some ten milliseconds.

::

    part against the mix at the lag before   ▇▇▇▇▇▇▇▁▁▁▁▁
    part against the mix at the lag after    ▁▁▁▁▁▁▁▇▇▇▇▇
                                                   ↑ all that went before fits the one, what follows the other

Where the participant is silent around the step, voices that leak into the track step with it, each at
its own delay, and narrow the pause down.
"""

import numpy as np

from recall_audio.core.alignment import correlation
from recall_audio.core.alignment.candidates import CLEAR_PEAK, Evidence
from recall_audio.core.alignment.lag_path import Track
from recall_audio.core.alignment.windows import CELL
from recall_audio.typing import BoolArray, Float32Array, FloatArray, IntArray, Samples
from recall_audio.units import RATE_HZ

LONGEST_S = 120.0
"""In a longer gap between two windows nothing is known: then the step stands in its middle."""

PAUSE_CELLS = 4
"""From a pause this long on, leaked voices are asked: 2 s."""

LEAK_SAMPLES = (-4000.0, -32.0)
"""Leaked voices come later than the own one, 2 to 250 ms: their lags are smaller."""

SAME_SAMPLES = 4
"""Delays within this are one voice's."""

CHUNK = RATE_HZ // 20
"""Samples of 50 ms: what is asked at which lag it fits better."""

ALIKE = 0.25
"""Difference of two correlations that chance doesn't make in a chunk."""

OFTEN = 3
"""Cells in which a delay must have been heard outside the pause."""


def place_breaks(part: Samples, mix: Samples, track: Track, evidence: Evidence) -> FloatArray:
    """Local times of the steps between consecutive segments, samples, shape (segments − 1,)."""
    rows, lines = track.rows, track.lines
    first = np.flatnonzero(np.diff(track.segment)) + 1
    delays = _leak_delays(track, evidence) if len(first) else np.empty(0, dtype=np.int64)
    found = []
    for i, k in zip(first.tolist(), track.segment[first].tolist(), strict=True):
        cells = int(rows.cell[i - 1]), int(rows.cell[i])
        narrow = _narrowed(
            cells, evidence, _delays_at(track, evidence, k - 1), _delays_at(track, evidence, k), delays
        )
        start, end = narrow[0] * CELL, (narrow[1] + 1) * CELL
        middle = 0.5 * (start + end)
        if narrow != cells or end - start > LONGEST_S * RATE_HZ:
            found.append(middle)
            continue
        before, after = (int(np.rint(lines.at(middle, j))) for j in (k - 1, k))
        found.append(start + _turning_point(part, mix, (start, end), (before, after)))
    return np.array(found)


def _delays_at(track: Track, evidence: Evidence, k: int) -> IntArray:
    """How far each answer lies from a segment's line, in units of :data:`SAME_SAMPLES`."""
    return np.rint((evidence.lag - track.lines.at(evidence.at, k)) / SAME_SAMPLES).astype(np.int64)


def _leak_delays(track: Track, evidence: Evidence) -> IntArray:
    """Delays at which other voices leak in, by the answers that lie within one segment."""
    rows, found = track.rows, [np.empty(0, dtype=np.int64)]
    for k in range(len(track.lines.level)):
        mine = rows.cell[track.segment == k]
        inside = (
            (evidence.cell >= mine.min()) & (evidence.cell <= mine.max()) & (evidence.height > CLEAR_PEAK)
        )
        delay = _delays_at(track, evidence, k)[inside]
        late = (delay * SAME_SAMPLES > LEAK_SAMPLES[0]) & (delay * SAME_SAMPLES < LEAK_SAMPLES[1])
        found.append(delay[late])
    delay, count = np.unique(np.concatenate(found), return_counts=True)
    return np.asarray(delay[count >= OFTEN], dtype=np.int64)


def _narrowed(
    cells: tuple[int, int], evidence: Evidence, before: IntArray, after: IntArray, delays: IntArray
) -> tuple[int, int]:
    """The pause between two cells of own voice, narrowed by leaked voices to the two cells about the step."""
    pause = (evidence.cell > cells[0]) & (evidence.cell < cells[1]) & (evidence.height > CLEAR_PEAK)
    if cells[1] - cells[0] < PAUSE_CELLS or not np.any(pause):
        return cells
    old, new = (_any_near(d[pause], delays) for d in (before, after))
    cell, vote = evidence.cell[pause], old.astype(int) - new.astype(int)
    if not np.any(vote):
        return cells
    # All votes up to the step should be for the lag before it, all others for the lag after it.
    total = np.concatenate(([0], np.cumsum(vote)))
    best = int(np.argmax(total))
    left, right = cell[:best][vote[:best] > 0], cell[best:][vote[best:] < 0]
    return int(left[-1]) if len(left) else cells[0], int(right[0]) if len(right) else cells[1]


def _any_near(delay: IntArray, delays: IntArray) -> BoolArray:
    """Whether each delay is one of `delays`, or next to it."""
    return np.isin(delay, np.concatenate((delays - 1, delays, delays + 1)))


def _turning_point(part: Samples, mix: Samples, stretch: tuple[int, int], lags: tuple[int, int]) -> float:
    """Samples from the stretch's start after which the second lag fits better than the first."""
    start, n = stretch[0], stretch[1] - stretch[0]
    own = np.diff(correlation.read(part, np.array([start]), n + 1)[0]).reshape(-1, CHUNK)
    there = correlation.read(mix, start + np.array(lags), n + 1)
    before, after = (_alike(own, np.diff(row).reshape(-1, CHUNK)) for row in there)
    vote = np.sign(before - after) * (np.abs(before - after) > ALIKE)
    total = np.r_[0.0, np.cumsum(vote)]
    # Over silence the sum is flat: then the middle of the longest flat.
    best = np.flatnonzero(total == total.max())
    flats = np.split(best, np.flatnonzero(np.diff(best) > 1) + 1)
    return float(np.mean(max(flats, key=len))) * CHUNK


def _alike(a: Float32Array, b: Float32Array) -> FloatArray:
    """Correlation of each row of `a` with the same row of `b`, −1 to 1."""
    power = np.einsum("ij,ij->i", a, a) * np.einsum("ij,ij->i", b, b)
    return np.asarray(np.einsum("ij,ij->i", a, b) / np.sqrt(power + 1.0), dtype=np.float64)
