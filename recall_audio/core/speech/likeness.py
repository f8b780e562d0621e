"""Compare two tracks: how alike their patterns are at each lag, and what one leaves of the other.

A pattern is a track's log spectrum, free of gain and colour (:mod:`.frames`). Likeness at lag L is the
correlation of a listener's pattern with a source's pattern L frames before, over windows of three lengths::

    source      ▁▃▇▅▁▁▂▆▃▁
    listener    ▁▁▁▂▅▃▁▁▂▄▂▁       later: the listener hears the source, the source owns the sound
                   └ lag > 0
    listener  ▃▇▅▁▁▂▆▃▁            earlier (lag < 0): the listener owns it
"""

from dataclasses import dataclass

import numpy as np

from recall_audio.core.speech.frames import N_BANDS, TrackFrames, mean_or_zero, near, runs
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


MOST_LAG = 40
"""Frames: lags within ±0.8 s are compared; call platforms delay by 0.03 to 0.7 s."""

COLUMNS = (
    "late_now", "late_now_lag", "same_now", "early_now", "early_now_lag", "late_long", "late_long_lag",
    "early_long", "late_short", "same_short", "snr_difference_db", "slow_gain_db", "gain_change_db",
    "excess_db", "excess_share", "explained_share", "source_likely", "source_snr_db", "width_difference",
    "brightness_difference_db", "liveliness_difference_db",
)  # fmt: skip
"""Columns of a pair, each one value a frame. ``now``: over 0.66 s, ``long``: 6 s, ``short``: 0.26 s at the
lag of the long window. Lags are in frames. The rest compares the listener with the source at that lag."""

AT = {name: i for i, name in enumerate(COLUMNS)}

_SHORT, _NOW, _LONG = 13, 33, 301
_REACH = 150  # frames of context on both sides of what is compared, half of the long window
_JOIN = 60  # runs closer than this are compared in one go
_UNLIKE_DB = -200.0


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """A listener against one source.

    Attributes:
        columns: shape (n, 21), :data:`COLUMNS`; zero where not both may sound.
        explained_db: shape (n, 24), the source's bands as the listener would hear them; −200 where unknown.
            Lower where source and listener are not alike over the long window.
    """

    columns: Float32Array
    explained_db: Float32Array


def compare(listener: TrackFrames, source: TrackFrames) -> Pair:
    """Return the pair's columns where both tracks may hold a voice within the lags compared."""
    pair = Pair(
        np.zeros((listener.n, len(COLUMNS)), dtype=np.float32),
        np.full((listener.n, N_BANDS), _UNLIKE_DB, dtype=np.float32),
    )
    both = listener.candidate & near(source.candidate, MOST_LAG)
    for start, end in runs(near(both, _JOIN) if both.any() else both):
        _compare_run(listener, source, (start, end), pair)
    return pair


def _compare_run(listener: TrackFrames, source: TrackFrames, run: tuple[int, int], pair: Pair) -> None:
    start, end = max(0, run[0] - _REACH), min(listener.n, run[1] + _REACH)
    inner = slice(run[0] - start, run[1] - start)
    lags = _Lags.of(listener, source, start, end)
    columns, lag = lags.columns()
    at = np.clip(np.arange(start, end) - lag, 0, source.n - 1)
    explained = explain(listener, source, slice(start, end), at)
    columns |= _differences(listener, source, slice(start, end), at)
    columns |= explained.columns()
    for name, values in columns.items():
        pair.columns[run[0] : run[1], AT[name]] = values[inner]
    unlike = np.clip(0.45 - columns["late_long"], 0, 0.3) * 60
    pair.explained_db[run[0] : run[1]] = (explained.level_db - unlike[:, None])[inner]


def _differences(
    listener: TrackFrames, source: TrackFrames, here: slice, at: IntArray
) -> dict[str, Float32Array]:
    """Return what the listener has more than the source at its lag."""
    return {
        "snr_difference_db": np.clip(listener.snr_db[here] - source.snr_db[at], -50, 50),
        "width_difference": listener.width[here] - source.width[at],
        "brightness_difference_db": listener.brightness_db[here] - source.brightness_db[at],
        "liveliness_difference_db": listener.liveliness_db[here] - source.liveliness_db[at],
        "source_likely": source.likely[at],
        "source_snr_db": source.snr_db[at],
    }


@dataclass(frozen=True, slots=True, eq=False)
class _Lags:
    """Products of two patterns at each lag, and the energies they are divided by.

    Attributes:
        product: shape (81, n), row ``MOST_LAG + L`` for lag L.
        energy: shape (81, n), the source's at that lag.
        own: shape (n,), the listener's energy.
    """

    product: Float32Array
    energy: Float32Array
    own: Float32Array

    @staticmethod
    def of(listener: TrackFrames, source: TrackFrames, start: int, end: int) -> "_Lags":
        """Return the products of frames ``start`` to ``end`` of the listener."""
        n, first, last = end - start, start - MOST_LAG, end + MOST_LAG
        low, high = max(first, 0), min(last, source.n)
        pattern = np.zeros((n + 2 * MOST_LAG, N_BANDS), dtype=np.float32)
        energy = np.full(n + 2 * MOST_LAG, 16.0, dtype=np.float32)
        pattern[low - first : high - first] = source.pattern[low:high]
        energy[low - first : high - first] = source.energy[low:high]
        product = np.empty((2 * MOST_LAG + 1, n), dtype=np.float32)
        shifted = np.empty_like(product)
        own = listener.pattern[start:end]
        for row in range(2 * MOST_LAG + 1):
            offset = 2 * MOST_LAG - row
            np.einsum("tb,tb->t", own, pattern[offset : offset + n], out=product[row])
            shifted[row] = energy[offset : offset + n]
        return _Lags(product, shifted, listener.energy[start:end])

    def likeness(self, width: int) -> Float32Array:
        """Return the correlation at each lag over `width` frames, shape (81, n)."""
        scale = mean_or_zero(self.own, width) * mean_or_zero(self.energy, width)
        return np.asarray(mean_or_zero(self.product, width) / np.sqrt(np.maximum(scale, 1e-6)))

    def at_lag(self, row: IntArray) -> Float32Array:
        """Return the correlation over the short window at one lag a frame, shape (n,)."""
        at = np.arange(len(row))
        scale = mean_or_zero(self.own, _SHORT) * mean_or_zero(self.energy[row, at], _SHORT)
        product = mean_or_zero(self.product[row, at], _SHORT)
        return np.asarray(product / np.sqrt(np.maximum(scale, 1e-6)))

    def columns(self) -> tuple[dict[str, Float32Array], IntArray]:
        """Return the columns of likeness, and the lag of the long window in frames, at least 0."""
        now, long = self.likeness(_NOW), self.likeness(_LONG)
        at = np.arange(now.shape[1])
        late = 1 + np.argmax(now[MOST_LAG + 1 :], axis=0)
        early = 1 + np.argmax(now[:MOST_LAG][::-1], axis=0)
        lag = np.argmax(long[MOST_LAG:], axis=0)
        row = MOST_LAG + lag
        short = [self.at_lag(np.clip(row + d, 0, 2 * MOST_LAG)) for d in (-1, 0, 1)]
        found = {
            "late_now": now[MOST_LAG + late, at],
            "late_now_lag": late.astype(np.float32),
            "same_now": now[MOST_LAG],
            "early_now": now[MOST_LAG - early, at],
            "early_now_lag": early.astype(np.float32),
            "late_long": long[row, at],
            "late_long_lag": lag.astype(np.float32),
            "early_long": long[:MOST_LAG].max(axis=0),
            "late_short": np.max(short, axis=0),
            "same_short": self.at_lag(np.full(len(at), MOST_LAG)),
        }
        return found, lag


def likeness_score(columns: Float32Array) -> Float32Array:
    """Return how well each source explains the listener, to choose the best of them.

    Args:
        columns: shape (..., 21), :data:`COLUMNS`.
    """
    now = np.maximum(columns[..., AT["late_now"]], columns[..., AT["same_now"]])
    alike = np.maximum(0.6 * columns[..., AT["late_short"]] + 0.4 * now, 0)
    return np.asarray(alike * (0.5 + 0.5 * columns[..., AT["source_likely"]]))
