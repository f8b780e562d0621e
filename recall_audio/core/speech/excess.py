"""Predict how loud a source is in a listener's track, and measure what the listener has beyond it.

The level of each band of the listener over the source's at their lag is collected in a histogram a frame, so
that a quantile over any window costs a running mean. Its 30 % quantile over bands and time is the leak's
gain: own speech on top of a leak raises the upper part of the distribution, not the lower one. The gain over
0.6 s follows automatic gain control and distortion, within 12 dB of the gain over 12 s; a colour for each
band follows the path's frequency response.
"""

from dataclasses import dataclass

import numpy as np

from recall_audio.core.speech.filters import mean_or_zero
from recall_audio.core.speech.frames import N_BANDS, TrackFrames
from recall_audio.typing import BoolArray, Float32Array, IntArray

_LOWEST_DB, _STEP_DB, _CELLS = -70.0, 2.0, 55
_QUANTILE = 0.3
_FEWEST = 12.0  # cells of bands and frames, below which there is no quantile
_CLEAR_DB = 12.0  # over its floor a source's band counts
_FAST, _BLOCK, _SLOW_BLOCKS = 31, 10, 61  # frames; 0.62 s, and 12.2 s in blocks of 0.2 s
_UNKNOWN_GAIN_DB, _MOST_RISE_DB = -60.0, 12.0
_INACTIVE_DB = -200.0
EXCESS_LOW_DB, EXCESS_HIGH_DB = -6.0, 20.0


@dataclass(frozen=True, slots=True, eq=False)
class Explained:
    """What a source explains of a listener, n frames.

    Attributes:
        level_db: shape (n, 24), the bands predicted; −200 where the source is not active.
        slow_gain_db: shape (n,), over 12 s.
        gain_change_db: shape (n,), over 0.6 s against 12 s.
        excess_db: shape (n, 24), of the listener over the prediction or its floor, −6 to 20.
        share: shape (n,), of bands in which the source is clear of its background.
    """

    level_db: Float32Array
    slow_gain_db: Float32Array
    gain_change_db: Float32Array
    excess_db: Float32Array
    share: Float32Array

    def columns(self) -> dict[str, Float32Array]:
        """Return the columns of a pair that come from here."""
        return {
            "slow_gain_db": self.slow_gain_db,
            "gain_change_db": self.gain_change_db,
            "excess_db": self.excess_db.mean(axis=1),
            "excess_share": (self.excess_db > 6).mean(axis=1, dtype=np.float32),
            "explained_share": self.share,
        }


def explain(listener: TrackFrames, source: TrackFrames, here: slice, at: IntArray) -> Explained:
    """Return what frames `at` of the source explain of frames `here` of the listener."""
    source_db = source.tail_db[at]
    active = source.active[at]
    clear = (source_db > source.floor_db[:N_BANDS] + _CLEAR_DB) & active[:, None]
    over_db = listener.bands_db[here] - source_db
    colour_db = _colour(over_db, clear)
    slow, fast = _gains(over_db - colour_db, clear)
    level = source_db + colour_db + np.minimum(fast, slow + _MOST_RISE_DB)[:, None]
    level[~active] = _INACTIVE_DB
    return Explained(
        level_db=level.astype(np.float32),
        slow_gain_db=slow,
        gain_change_db=np.clip(fast - slow, -20, 20),
        excess_db=excess_over(listener, here, level),
        share=clear.mean(axis=1, dtype=np.float32),
    )


def excess_over(listener: TrackFrames, here: slice, explained_db: Float32Array) -> Float32Array:
    """Return the level of each band over what is explained or over its floor, shape (n, 24), −6 to 20 dB."""
    least_db = listener.floor_db[:N_BANDS] + 2
    over = listener.bands_db[here] - np.maximum(explained_db, least_db)
    return np.clip(over, EXCESS_LOW_DB, EXCESS_HIGH_DB).astype(np.float32)


def _cells(over_db: Float32Array) -> IntArray:
    return np.asarray(np.clip((over_db - _LOWEST_DB) / _STEP_DB, 0, _CELLS - 1), dtype=np.int64)


def _histogram(rows: IntArray, n_rows: int) -> Float32Array:
    counted = np.bincount(rows, minlength=n_rows * _CELLS)
    return counted.reshape(n_rows, _CELLS).astype(np.float32)


def _colour(over_db: Float32Array, clear: BoolArray) -> Float32Array:
    """Return each band's gain against the median band, shape (24,), dB."""
    cells = _cells(over_db) + np.arange(N_BANDS) * _CELLS
    found = quantile(_histogram(cells[clear], N_BANDS))
    known = found[~np.isnan(found)]
    filled = np.where(np.isnan(found), np.median(known) if len(known) else 0.0, found)
    return np.asarray(filled - np.median(filled), dtype=np.float32)


def _gains(over_db: Float32Array, clear: BoolArray) -> tuple[Float32Array, Float32Array]:
    """Return the gain over 12 s and over 0.6 s, shapes (n,), dB."""
    n = len(over_db)
    cells = _cells(over_db) + np.arange(n)[:, None] * _CELLS
    counted = _histogram(cells[clear], n)
    blocks = np.zeros((-(-n // _BLOCK) * _BLOCK, _CELLS), dtype=np.float32)
    blocks[:n] = counted
    by_block = blocks.reshape(-1, _BLOCK, _CELLS).sum(axis=1)
    slow = np.repeat(quantile(mean_or_zero(by_block, _SLOW_BLOCKS, 0) * _SLOW_BLOCKS), _BLOCK)[:n]
    fast = quantile(mean_or_zero(counted, _FAST, 0) * _FAST)
    slow = np.where(np.isnan(slow), np.float32(_UNKNOWN_GAIN_DB), slow)
    return slow, np.where(np.isnan(fast), slow, fast)


def quantile(histogram: Float32Array) -> Float32Array:
    """Return the 30 % quantile of each row of counts in dB, shape (n,); NaN under 12 counts."""
    summed = np.cumsum(histogram, axis=1)
    wanted = _QUANTILE * summed[:, -1]
    cell = np.argmax(summed >= wanted[:, None], axis=1)
    rows = np.arange(len(cell))
    inside = histogram[rows, cell]
    before = summed[rows, cell] - inside
    value = _LOWEST_DB + _STEP_DB * (cell + (wanted - before) / np.maximum(inside, 1e-9))
    return np.where(summed[:, -1] >= _FEWEST, value, np.nan).astype(np.float32)
