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
import numpy.typing as npt

from recall_audio.core.speech.frames import N_BANDS, TrackFrames, mean_or_zero, near, runs
from recall_audio.typing import BoolArray, Float32Array, IntArray

_LOWEST_DB, _STEP_DB, _CELLS = -70.0, 2.0, 55
_QUANTILE = 0.3
_FEWEST = 12.0  # cells of bands and frames, below which there is no quantile
_CLEAR_DB = 12.0  # over its floor a source's band counts
_GAIN_BLOCK, _FAST_BLOCKS, _SLOW_BLOCKS = 5, 7, 121  # blocks of 0.1 s: 0.7 s and 12.1 s
_UNKNOWN_GAIN_DB, _MOST_RISE_DB = -60.0, 12.0
_INACTIVE_DB = -200.0
EXCESS_LOW_DB, EXCESS_HIGH_DB = -6.0, 20.0


Int32Array = npt.NDArray[np.int32]


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


def _cells(over_db: Float32Array) -> Int32Array:
    scaled = (over_db - np.float32(_LOWEST_DB)) * np.float32(1 / _STEP_DB)
    return np.asarray(np.clip(scaled, 0, _CELLS - 1).astype(np.int32))


def _histogram(rows: Int32Array, n_rows: int) -> Float32Array:
    counted = np.bincount(rows, minlength=n_rows * _CELLS)
    return counted.reshape(n_rows, _CELLS).astype(np.float32)


def _colour(over_db: Float32Array, clear: BoolArray) -> Float32Array:
    """Return each band's gain against the median band, shape (24,), dB."""
    cells = _cells(over_db) + np.arange(N_BANDS, dtype=np.int32) * _CELLS
    found = quantile(_histogram(cells[clear], N_BANDS))
    known = found[~np.isnan(found)]
    filled = np.where(np.isnan(found), np.median(known) if len(known) else 0.0, found)
    return np.asarray(filled - np.median(filled), dtype=np.float32)


def _gains(over_db: Float32Array, clear: BoolArray) -> tuple[Float32Array, Float32Array]:
    """Return the gain over 12 s and over 0.7 s, shapes (n,), dB."""
    n = len(over_db)
    block = np.arange(n, dtype=np.int32)[:, None] // _GAIN_BLOCK
    counted = _histogram((_cells(over_db) + block * _CELLS)[clear], -(-n // _GAIN_BLOCK))
    slow = quantile(mean_or_zero(counted, _SLOW_BLOCKS, 0) * _SLOW_BLOCKS)
    fast = quantile(mean_or_zero(counted, _FAST_BLOCKS, 0) * _FAST_BLOCKS)
    slow = np.where(np.isnan(slow), np.float32(_UNKNOWN_GAIN_DB), slow)
    fast = np.where(np.isnan(fast), slow, fast)
    return np.repeat(slow, _GAIN_BLOCK)[:n], np.repeat(fast, _GAIN_BLOCK)[:n]


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
"""Columns of a pair, each one value a frame. ``now``: over 0.68 s, ``long``: 6 s, ``short``: 0.26 s at the
lag of the long window. Lags are in frames. The rest compares the listener with the source at that lag."""

AT = {name: i for i, name in enumerate(COLUMNS)}

_SHORT = 13
_NOW_BLOCK, _NOW_BLOCKS = 2, 17  # blocks of 40 ms, 0.68 s
_LONG_BLOCK, _LONG_BLOCKS = 10, 31  # blocks of 0.2 s, 6.2 s
_N_LAGS, _TILE = 2 * MOST_LAG + 1, 2 * MOST_LAG  # a tile is a whole number of blocks
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
        product: shape (at least n, 81), column ``MOST_LAG + L`` for lag L; zero from frame n on.
        source: shape (n + 80,), the source's energy from ``MOST_LAG`` frames before the first frame on.
        own: shape (n,), the listener's energy.
    """

    product: Float32Array
    source: Float32Array
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
        return _Lags(_products(listener.pattern[start:end], pattern), energy, listener.energy[start:end])

    def likeness(self, block: int, blocks: int) -> Float32Array:
        """Return the correlation at each lag over a window of blocks of frames, shape (n / block, 81)."""
        n = len(self.own)
        starts = np.arange(0, n, block)
        first = np.maximum(starts - blocks // 2 * block, 0)
        last = np.minimum(starts + (blocks // 2 + 1) * block, n)
        summed = _running(self.product.reshape(-1, block, _N_LAGS).sum(axis=1))
        product = summed[-(-last // block)] - summed[first // block]
        own, source = _running(self.own), _running(self.source)
        by_lag = np.lib.stride_tricks.sliding_window_view(source, _N_LAGS)
        energy = (by_lag[last] - by_lag[first])[:, ::-1] * (own[last] - own[first])[:, None]
        return np.asarray(product / np.sqrt(np.maximum(energy, 1e-6)), dtype=np.float32)

    def at_lag(self, column: IntArray) -> Float32Array:
        """Return the correlation over the short window at one lag a frame, shape (n,)."""
        at = np.arange(len(column))
        energy = self.source[at + 2 * MOST_LAG - column]
        scale = mean_or_zero(self.own, _SHORT) * mean_or_zero(energy, _SHORT)
        product = mean_or_zero(self.product[at, column], _SHORT)
        return np.asarray(product / np.sqrt(np.maximum(scale, 1e-6)))

    def columns(self) -> tuple[dict[str, Float32Array], IntArray]:
        """Return the columns of likeness, and the lag of the long window in frames, at least 0."""
        n = len(self.own)
        now, long = self.likeness(_NOW_BLOCK, _NOW_BLOCKS), self.likeness(_LONG_BLOCK, _LONG_BLOCKS)
        at = np.arange(len(now))
        late = 1 + np.argmax(now[:, MOST_LAG + 1 :], axis=1)
        early = 1 + np.argmax(now[:, :MOST_LAG][:, ::-1], axis=1)
        by_block = np.argmax(long[:, MOST_LAG:], axis=1)
        lag = np.repeat(by_block, _LONG_BLOCK)[:n]
        short = [self.at_lag(np.clip(MOST_LAG + lag + d, 0, 2 * MOST_LAG)) for d in (-1, 0, 1)]
        by_now = {
            "late_now": now[at, MOST_LAG + late],
            "late_now_lag": late.astype(np.float32),
            "same_now": now[:, MOST_LAG],
            "early_now": now[at, MOST_LAG - early],
            "early_now_lag": early.astype(np.float32),
        }
        by_long = {
            "late_long": long[np.arange(len(long)), MOST_LAG + by_block],
            "late_long_lag": by_block.astype(np.float32),
            "early_long": long[:, :MOST_LAG].max(axis=1),
        }
        found = {name: np.repeat(values, _NOW_BLOCK)[:n] for name, values in by_now.items()}
        found |= {name: np.repeat(values, _LONG_BLOCK)[:n] for name, values in by_long.items()}
        found["late_short"] = np.max(short, axis=0)
        found["same_short"] = self.at_lag(np.full(n, MOST_LAG))
        return found, lag


def _products(own: Float32Array, source: Float32Array) -> Float32Array:
    """Return the products of frames of the listener with those of the source at each lag.

    Tiles of 80 frames are multiplied with the 160 that they may meet, and diagonals are read off.

    Args:
        own: shape (n, 24).
        source: shape (n + 80, 24), from the greatest lag on.

    Returns:
        Shape (n rounded up to whole tiles, 81).
    """
    n = len(own)
    tiles = -(-n // _TILE)
    left = np.zeros((tiles, _TILE, N_BANDS), dtype=np.float32)
    left.reshape(-1, N_BANDS)[:n] = own
    right = np.zeros(((tiles + 1) * _TILE, N_BANDS), dtype=np.float32)
    right[: len(source)] = source
    step, item = right.strides
    met = np.lib.stride_tricks.as_strided(right, (tiles, N_BANDS, 2 * _TILE), (_TILE * step, item, step))
    product = np.zeros((tiles, _TILE, 2 * _TILE + 1), dtype=np.float32)
    np.matmul(left, met, out=product[:, :, :-1])
    tile, row, item = product.strides
    # Frame t and lag L meet in column t + 80 - (40 + L).
    diagonals = np.lib.stride_tricks.as_strided(product, (tiles, _TILE, _N_LAGS), (tile, row + item, item))
    return np.ascontiguousarray(diagonals[:, :, ::-1]).reshape(-1, _N_LAGS)


def _running(x: Float32Array) -> npt.NDArray[np.float64]:
    """Return the sums of the first 0, 1, 2, … rows."""
    summed = np.zeros((len(x) + 1, *x.shape[1:]))
    np.cumsum(x, axis=0, dtype=np.float64, out=summed[1:])
    return summed


def likeness_score(columns: Float32Array) -> Float32Array:
    """Return how well each source explains the listener, to choose the best of them.

    Args:
        columns: shape (..., 21), :data:`COLUMNS`.
    """
    now = np.maximum(columns[..., AT["late_now"]], columns[..., AT["same_now"]])
    alike = np.maximum(0.6 * columns[..., AT["late_short"]] + 0.4 * now, 0)
    return np.asarray(alike * (0.5 + 0.5 * columns[..., AT["source_likely"]]))
