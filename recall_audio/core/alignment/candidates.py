"""Evidence: what every loud cell of a part says about its lag, up to a few answers a cell.

A cell may hold the part's own voice, another's leaked into it, both or neither; so it keeps its best
peaks, and the path through all cells (steps) decides which of them was meant.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from recall_audio.core.alignment import correlation
from recall_audio.core.alignment.windows import CELL
from recall_audio.typing import BoolArray, FloatArray, IntArray, Samples
from recall_audio.units import RATE_HZ

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
