"""Where a step lies: between the last window before it and the first one after, to some ten milliseconds.

::

    part against the mix at the lag before   ▇▇▇▇▇▇▇▁▁▁▁▁
    part against the mix at the lag after    ▁▁▁▁▁▁▁▇▇▇▇▇
                                                   ↑ all that went before fits the one, what follows the other
"""

import numpy as np
import numpy.typing as npt

from recall_audio.core import correlate
from recall_audio.core.lagtrace import Track
from recall_audio.core.windows import CELL
from recall_audio.model.tracks import Samples
from recall_audio.units import FRAME_SAMPLES, RATE_HZ

FloatArray = npt.NDArray[np.float64]

LONGEST_S = 120.0
"""In a longer gap between two windows nothing is known: then the step stands in its middle."""


def place_breaks(part: Samples, mix: Samples, track: Track) -> FloatArray:
    """Local times of the steps between consecutive segments, samples, shape (segments − 1,)."""
    rows, lines = track.rows, track.lines
    first = np.flatnonzero(np.diff(track.segment)) + 1
    found = []
    for i, k in zip(first.tolist(), track.segment[first].tolist(), strict=True):
        start, end = int(rows.cell[i - 1]) * CELL, (int(rows.cell[i]) + 1) * CELL
        middle = 0.5 * (rows.at[i - 1] + rows.at[i])
        if end - start > LONGEST_S * RATE_HZ:
            found.append(float(middle))
            continue
        before, after = (int(np.rint(lines.at(middle, j))) for j in (k - 1, k))
        found.append(start + _turning_point(part, mix, (start, end), (before, after)))
    return np.array(found)


def _turning_point(part: Samples, mix: Samples, stretch: tuple[int, int], lags: tuple[int, int]) -> float:
    """Samples from the stretch's start after which the second lag fits better than the first."""
    start, n = stretch[0], stretch[1] - stretch[0]
    own = np.diff(correlate.read(part, np.array([start]), n + 1)[0]).reshape(-1, FRAME_SAMPLES)
    there = correlate.read(mix, start + np.array(lags), n + 1)
    before, after = np.diff(there, axis=1).reshape(2, -1, FRAME_SAMPLES)
    power = np.einsum("ij,ij->i", own, own)
    # Background says nothing about the lag, and its sum would wander.
    heard = power > 4.0 * np.percentile(power, 10)
    favour = heard * np.einsum("ij,ij->i", own, before - after) / np.sqrt(power + 1e3)
    total = np.r_[0.0, np.cumsum(favour)]
    # Over silence the sum is flat: then the middle of the flat.
    best = np.flatnonzero(total >= total.max() - 0.01 * np.ptp(total))
    around = int(np.argmax(total))
    breaks = np.flatnonzero(np.diff(best) > 1)
    run = next(r for r in np.split(best, breaks + 1) if around in r)
    return float(np.mean(run)) * FRAME_SAMPLES
