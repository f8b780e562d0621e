"""Anchors: the few windows by which a part is found on the mix, wherever its nominal start says.

Each anchor is two seconds of the part's best speech against a long stretch of the mix. One alone can
put a part in its place; where they disagree (leaked voices, a step), the windows between decide later.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recall_audio.core import correlate
from recall_audio.core.windows import CELL, Cells, spread_choice
from recall_audio.model.tracks import Samples
from recall_audio.units import RATE_HZ

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

LONG_CELLS = 4
"""Cells of an anchor's window: 2 s."""

LONG = LONG_CELLS * CELL

PEAK = 8.0
"""Least height of a genuine peak, in root mean squares; foreign tracks stay below 6."""

RUNNER_UP = 1.3
"""Least ratio of a genuine peak to the next one that is not its neighbour."""

ALONE = 2.0
"""Ratio to the runner-up from which an anchor needs no second one."""

ALONE_PEAK = 14.0
"""Height from which it doesn't."""

APART = 64
"""Samples within which two peaks are one: 4 ms, a pitch period."""

SLACK_S = 0.3
"""Searched beyond the given range: the encoder's delay, and the range's own edge."""

CLOCK_PPM = 200.0
"""How far off a clock may be at all."""


@dataclass(frozen=True, slots=True, eq=False)
class Anchors:
    """Windows that were looked for, in order of time.

    Attributes:
        at: shape (n,), the window's first sample on the part's clock.
        lag: shape (n,), samples to the mix's clock.
        height: shape (n,), the peak, in root mean squares.
        ratio: shape (n,), the peak over the runner-up.
    """

    at: IntArray
    lag: IntArray
    height: FloatArray
    ratio: FloatArray

    @property
    def found(self) -> npt.NDArray[np.bool_]:
        """Shape (n,): which of them stand out."""
        return np.asarray((self.height >= PEAK) & (self.ratio >= RUNNER_UP))


def anchor_windows(cells: Cells, wanted: int) -> IntArray:
    """First samples of the windows worth looking for, by the speech they seem to hold."""
    above = np.clip(np.nan_to_num(cells.level_db - cells.floor_db, neginf=0.0), 0.0, 40.0) * cells.loud
    if len(above) < LONG_CELLS:
        above = np.pad(above, (0, LONG_CELLS - len(above)))
    worth = np.convolve(above, np.ones(LONG_CELLS), mode="valid")
    return spread_choice(worth, wanted, LONG_CELLS) * CELL


def look_for(part: Samples, mix: Samples, at: IntArray, first: IntArray, n_lags: int) -> Anchors:
    """Look for the windows of `part` that start at `at`, each over `n_lags` lags from its `first` one."""
    lag, height, ratio = [np.empty(0)], [np.empty(0)], [np.empty(0)]
    for a, low in zip(at, first, strict=True):
        window = correlate.read(part, np.array([a]), LONG)
        stretch = correlate.read(mix, np.array([a + low]), LONG + n_lags - 1)
        column, peak = correlate.peaks(correlate.correlations(window, stretch), 2, APART)
        lag.append(low + column[:, 0])
        height.append(peak[:, 0])
        ratio.append(peak[:, 0] / np.maximum(peak[:, 1], 1e-3))
    return Anchors(
        np.asarray(at, dtype=np.int64),
        np.concatenate(lag).astype(np.int64),
        np.concatenate(height).astype(np.float64),
        np.concatenate(ratio).astype(np.float64),
    )


def find_anchors(part: Samples, mix: Samples, cells: Cells, nominal: int, search_s: float) -> Anchors:
    """Anchors of a part around its nominal lag (samples): `search_s` each way, wider where its clock may drift."""
    at = anchor_windows(cells, 10 + 2 * (len(part) // (60 * RATE_HZ)))
    reach = ((search_s + SLACK_S) * RATE_HZ + at * CLOCK_PPM * 1e-6).astype(np.int64)
    n_lags = int(2 * reach.max(initial=1) + 1)
    return look_for(part, mix, at, nominal - reach, n_lags)


def trusted(anchors: Anchors) -> Anchors:
    """Anchors that stand out by themselves, or that another one agrees with."""
    found = np.flatnonzero(anchors.found)
    lag, at = anchors.lag[found], anchors.at[found]
    room = 32.0 + np.abs(at[:, None] - at[None, :]) * CLOCK_PPM * 1e-6
    agree = np.sum(np.abs(lag[:, None] - lag[None, :]) <= room, axis=1) > 1
    alone = (anchors.ratio[found] >= ALONE) & (anchors.height[found] >= ALONE_PEAK)
    kept = found[agree | alone]
    return Anchors(anchors.at[kept], anchors.lag[kept], anchors.height[kept], anchors.ratio[kept])
