"""Evidence: what every loud cell of a part says about its lag, up to a few answers a cell.

A cell may hold the part's own voice, another's leaked into it, both or neither; so it keeps its best
peaks, and the path through all cells (steps) decides which of them was meant.
"""

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from recall_audio.core import correlate
from recall_audio.core.windows import CELL
from recall_audio.model.tracks import Samples

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

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

    def take(self, which: npt.NDArray[np.bool_] | IntArray) -> "Evidence":
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
    own = correlate.read(part, start, CELL)
    stretch = correlate.read(mix, start + expected - REACH, CELL + 2 * REACH)
    column, height = correlate.peaks(correlate.correlations(own, stretch), ANSWERS, 12)
    row, answer = np.nonzero(height >= LEAST_PEAK)
    if len(row) == 0:
        return no_evidence()
    lag = (expected[row] - REACH + column[row, answer]).astype(np.int64)
    # The same samples once more, now at each answer's own lag.
    fine = correlate.refine(own[row], correlate.read(mix, start[row] + lag, CELL))
    return Evidence(
        cell=cell[row],
        at=start[row] + fine.centre,
        lag=lag + fine.shift,
        sigma=fine.sigma,
        height=height[row, answer].astype(np.float64),
        gain_db=fine.gain_db,
        coherence=fine.coherence,
    )
