"""Evidence: what every loud cell of a part says about its lag, up to a few answers a cell.

A cell may hold the part's own voice, another's leaked into it, both or neither; so it keeps its best
peaks, and the path through all cells (steps) decides which of them was meant.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np

from recall_audio.core.alignment import correlation
from recall_audio.typing import BoolArray, FloatArray, IntArray, Samples
from recall_audio.units import RATE_HZ

CELL = RATE_HZ // 2
"""Samples of a cell: 0.5 s, a few syllables; the window in which one lag is measured."""

BLOCK_CELLS = 16
"""Cells read at once: 8 s, 0.5 MB as floats, which stay near the processor."""

QUIET_DB = -70.0
"""Below this, in dB of full scale, a cell holds nothing that was meant to be heard."""

DEAD_DB = -90.0
"""The level that digital silence stands for: a gated microphone's background."""

ABOVE_FLOOR_DB = 6.0
"""A cell with speech stands out from the part's floor by this much, ..."""

BELOW_TOP_DB = 12.0
"""... or is this near the loudest: a part may hold nothing but speech."""


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Levels of a part's consecutive cells.

    Attributes:
        level_db: shape (n,), mean power of each cell after a first difference, dB of full scale; −inf is
            digital silence.
        floor_db: level of the part's background; digital silence counts as :data:`DEAD_DB`.
    """

    level_db: FloatArray
    floor_db: float

    @property
    def loud(self) -> BoolArray:
        """Shape (n,): which cells stand out from the floor."""
        top_db = float(np.max(self.level_db, initial=DEAD_DB))
        least_db = min(self.floor_db + ABOVE_FLOOR_DB, top_db - BELOW_TOP_DB)
        return np.asarray(self.level_db > max(least_db, QUIET_DB))

    @property
    def range_db(self) -> float:
        """How far the loudest cell stands out from the floor."""
        return float(np.max(self.level_db, initial=DEAD_DB)) - self.floor_db


def measure_cells(samples: Samples) -> Cells:
    """Levels of the whole cells of `samples` (shape (n,), int16), read in blocks.

    A first difference stands before the power, so that hum and rumble do not pass for speech.
    """
    n = len(samples) // CELL
    level_db = np.full(n, -np.inf)
    for first in range(0, n, BLOCK_CELLS):
        last = min(first + BLOCK_CELLS, n)
        x = np.asarray(samples[first * CELL : last * CELL], dtype=np.float32).reshape(last - first, CELL)
        d = np.diff(x, axis=1)
        power = np.einsum("ij,ij->i", d, d) / (CELL * 32768.0**2)
        with np.errstate(divide="ignore"):
            level_db[first:last] = 10.0 * np.log10(power)
    floor_db = float(np.percentile(np.maximum(level_db, DEAD_DB), 10)) if n else DEAD_DB
    return Cells(level_db, floor_db)


def spread_choice(worth: FloatArray, wanted: int, apart: int) -> IntArray:
    """Up to `wanted` indices of the greatest `worth` > 0, `apart` from one another, spread over the whole.

    Half of them are the best anywhere, half the best of equal stretches: a voice that is heard
    once in an hour is found, and so is a clock that drifts over that hour.
    """
    n = len(worth)
    best = np.argsort(-worth, kind="stable")
    edges = np.linspace(0, n, max(wanted // 2, 1) + 1).astype(int)
    local = [a + int(np.argmax(worth[a:b])) for a, b in pairwise(edges) if b > a]
    local.sort(key=lambda i: -worth[i])
    chosen: list[int] = []
    for limit, order in ((wanted // 2, best), (wanted, np.array(local, dtype=np.int64)), (wanted, best)):
        for i in order[: 8 * wanted].tolist():
            if len(chosen) >= limit:
                break
            if worth[i] > 0 and all(abs(i - j) >= apart for j in chosen):
                chosen.append(i)
    return np.array(sorted(chosen), dtype=np.int64)


REACH = 2560
"""Lags tried on each side of a cell's expected one: 160 ms, more than any leaked voice is late."""

ANSWERS = 3
"""Peaks kept of each cell."""

LEAST_PEAK = 5.0
"""Least height of a peak worth keeping, in root mean squares."""

BATCH = 32
"""Cells transformed at once: arrays of a MB or two, which stay near the processor."""


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """Candidate lags, in order of time; several may share a cell. All arrays of shape (n,).

    Attributes:
        cell: index of the 0.5 s cell.
        at: where in the part the common energy lies, samples.
        lag: samples to the mix's clock, to a fraction.
        sigma: standard deviation of `lag`, samples.
        height: the peak, in root mean squares of the cell's correlation.
        gain_db: how strongly the mix is in the part there.
        coherence: 0 to 1, share of the cell that the mix explains.
    """

    cell: IntArray
    at: FloatArray
    lag: FloatArray
    sigma: FloatArray
    height: FloatArray
    gain_db: FloatArray
    coherence: FloatArray

    def take(self, which: BoolArray | IntArray) -> "Evidence":
        """The chosen rows."""
        return Evidence(*(getattr(self, f.name)[which] for f in fields(self)))

    def __len__(self) -> int:
        return len(self.cell)

    @staticmethod
    def join(several: "list[Evidence]") -> "Evidence":
        """All rows, in order of cells, without the same peak twice."""
        columns = [np.concatenate([getattr(e, f.name) for e in several]) for f in fields(Evidence)]
        joined = Evidence(*columns)
        joined = joined.take(np.lexsort((joined.lag, joined.cell)))
        again = (np.diff(joined.cell) == 0) & (np.diff(joined.lag) < 1.0)
        return joined.take(np.r_[True, ~again]) if len(joined) else joined


def no_evidence() -> Evidence:
    """No rows at all."""
    return Evidence(np.empty(0, dtype=np.int64), *(np.empty(0) for _ in range(6)))


def gather(part: Samples, mix: Samples, cell: IntArray, expected: IntArray) -> Evidence:
    """Evidence of the given cells about their expected lags (samples, one a cell)."""
    batches = [
        _batch(part, mix, cell[k : k + BATCH], expected[k : k + BATCH]) for k in range(0, len(cell), BATCH)
    ]
    return Evidence.join([no_evidence(), *batches])


def _batch(part: Samples, mix: Samples, cell: IntArray, expected: IntArray) -> Evidence:
    start = cell * CELL
    own = correlation.read(part, start, CELL)
    stretch = correlation.read(mix, start + expected - REACH, CELL + 2 * REACH)
    column, height = correlation.peaks(correlation.correlations(own, stretch), ANSWERS, 12)
    row, answer = np.nonzero(height >= LEAST_PEAK)
    if len(row) == 0:
        return no_evidence()
    lag = (expected[row] - REACH + column[row, answer]).astype(np.int64)
    # The same samples once more, now at each answer's own lag.
    fine = correlation.refine(own[row], correlation.read(mix, start[row] + lag, CELL))
    return Evidence(
        cell=cell[row],
        at=start[row] + fine.centre,
        lag=lag + fine.shift,
        sigma=fine.sigma,
        height=height[row, answer].astype(np.float64),
        gain_db=fine.gain_db,
        coherence=fine.coherence,
    )


PEAK_RANGE = (4.0, 18.0)
"""Heights that are worth nothing, and everything."""

BELOW_OWN_DB = (8.0, 18.0)
"""An answer this far below the part's own gain counts in full, and not at all."""

BELOW_RIVAL_DB = (4.0, 8.0)
"""The same for an answer below another track's gain at that moment of the mix."""

CLEAR_PEAK, CLEAR_COHERENCE = 9.0, 0.3
"""An answer by which gains are judged."""

MOMENT = RATE_HZ // 4
"""Grid of the mix on which tracks are compared, samples."""


def own_gain(evidence: Evidence, rivals_db: FloatArray) -> float:
    """Gain of the part's own voice: the strongest that several clear answers share, dB; −inf without any."""
    own = (evidence.height > CLEAR_PEAK) & (evidence.gain_db > rivals_db - BELOW_RIVAL_DB[0])
    clear = evidence.gain_db[own & (evidence.coherence > CLEAR_COHERENCE)]
    if len(clear) == 0:
        clear = evidence.gain_db[own]
    strongest = np.sort(clear)[::-1]
    return float(np.median(strongest[: max(5, len(clear) // 10)])) if len(clear) else -np.inf


def rivals(evidence: Sequence[Evidence], participants: Sequence[int], n_mix: int) -> list[FloatArray]:
    """For each answer of each part, the strongest gain of other participants' tracks at its moment, dB."""
    n_moments = n_mix // MOMENT + 2
    people = sorted(set(participants))
    strongest = np.full((len(people), n_moments), -np.inf)
    moments = [np.clip(((e.at + e.lag) / MOMENT).astype(np.int64), 0, n_moments - 1) for e in evidence]
    for e, who, moment in zip(evidence, participants, moments, strict=True):
        clear = e.height > CLEAR_PEAK
        np.maximum.at(strongest[people.index(who)], moment[clear], e.gain_db[clear])
    # Two tracks' cells don't begin together: a neighbour on the grid is the same moment.
    wide = np.maximum(strongest, np.maximum(np.roll(strongest, 1, axis=1), np.roll(strongest, -1, axis=1)))
    found = []
    for who, moment in zip(participants, moments, strict=True):
        others = np.delete(wide, people.index(who), axis=0)
        found.append(np.max(others, axis=0, initial=-np.inf)[moment])
    return found


def worth_of(evidence: Evidence, own_gain_db: float, rivals_db: FloatArray) -> FloatArray:
    """What each answer is worth, 0 to 1."""
    low, high = PEAK_RANGE
    clear = np.clip((evidence.height - low) / (high - low), 0.0, 1.0)
    own = _above(evidence.gain_db, np.full(len(evidence), own_gain_db), BELOW_OWN_DB)
    return np.asarray(clear * own * _above(evidence.gain_db, rivals_db, BELOW_RIVAL_DB))


def _above(gain_db: FloatArray, reference_db: FloatArray, below_db: tuple[float, float]) -> FloatArray:
    """1 down to `below_db[0]` under the reference, 0 from `below_db[1]` under it on."""
    full, none = below_db
    return np.clip((gain_db - np.maximum(reference_db, -200.0) + none) / (none - full), 0.0, 1.0)
