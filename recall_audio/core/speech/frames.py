"""Read one track as frames of 20 ms: band spectrum, levels, speech probability.

Frame k is a Hann window of 40 ms about the middle of samples ``[320 k, 320 (k + 1))`` of the mix's clock::

    grid      |   k   |  k+1  |
    window  ╱─────────────╲
                   ╱─────────────╲

A spectrum is taken only near possible speech, and in a quarter of the rest, which gives the background.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from recall_audio.core.speech.on_mix import LOWEST_DB, on_mix, read_half
from recall_audio.core.transforms import rfft, sliding_highest, sliding_lowest, sliding_mean
from recall_audio.model.alignment import Track
from recall_audio.model.speech import PartEvidence
from recall_audio.typing import BoolArray, Float32Array


def mean_or_zero(x: Float32Array, width: int, axis: int = -1) -> Float32Array:
    """Return the running mean over `width` frames along one axis, zero outside."""
    return sliding_mean(x, width, axis, "zero")


def near(mask: BoolArray, reach: int) -> BoolArray:
    """Return the frames within `reach` frames of a true one."""
    return np.asarray(sliding_highest(mask.astype(np.float32), 2 * reach + 1) > 0.5)


def runs(mask: BoolArray) -> list[tuple[int, int]]:
    """Return ``(start, end)`` of each run of true frames."""
    edges = np.flatnonzero(np.diff(np.r_[0, mask.astype(np.int8), 0])).reshape(-1, 2)
    return [(int(a), int(b)) for a, b in edges]


def decibels(power: npt.NDArray[np.floating[Any]] | float) -> Float32Array:
    """Return a power in decibels."""
    return np.asarray(10 * np.log10(power), dtype=np.float32)


def log_odds(probability: Float32Array, limit: float) -> Float32Array:
    """Return the log-odds of probabilities kept `limit` away from 0 and 1."""
    p = np.clip(probability, limit, 1 - limit)
    return np.asarray(np.log(p / (1 - p)), dtype=np.float32)


def distances(mask: BoolArray, limit: int) -> tuple[Float32Array, Float32Array]:
    """Return the frames since the last and until the next true frame, at most `limit`."""
    n, at = len(mask), np.arange(len(mask))
    last = np.maximum.accumulate(np.where(mask, at, -limit - 1))
    following = np.minimum.accumulate(np.where(mask, at, n + limit)[::-1])[::-1]
    since, until = np.minimum(at - last, limit), np.minimum(following - at, limit)
    return since.astype(np.float32), until.astype(np.float32)


FRAME_SAMPLES = 320
"""Samples of 16 kHz audio in a frame: 20 ms."""

FRAMES_PER_S = 50

N_BANDS = 24
"""Mel bands from 100 to 4000 Hz."""

HIGH_BAND = 16
"""First band of the upper third, from 1.9 kHz."""

SMALLEST_POWER = 1e-12
"""The least power that a band holds: −120 dB full scale, so that logarithms stay finite."""

_LOW_HZ, _LOWEST_HZ, _HIGHEST_HZ, _BIN_HZ = 20.0, 100.0, 4000.0, 25.0
_HOP, _WINDOW = 160, 320  # samples at 8 kHz
_FRAMES_AT_ONCE = 1000

_MAYBE_SPEECH = 0.12  # detector probability
_CANDIDATE_FRAMES = 71  # 0.7 s each way
_WANTED_FRAMES = 161  # 1.6 s each way: a pattern's running mean reaches 0.75 s past a candidate
_SILENCE_DB = -100.0
_FLOOR_MARGIN_DB = 3.0
_LEAST_FLOOR = 1e-6  # of the loud frames' power: a gated track has digital silence for a background
_PATTERN_MEAN_FRAMES, _PATTERN_LIMIT_DB = 75, 15.0
_PATTERN_NOISE = 16.0  # dB²: keeps likeness low where both patterns are nearly flat
_TAIL_DB_PER_FRAME = 2.5  # a room of 0.5 s reverberation time falls 2.4 dB in 20 ms


@dataclass(frozen=True, slots=True, eq=False)
class TrackFrames:
    """A stretch of one track, n frames of 20 ms.

    Attributes:
        label: the track's.
        probability: shape (n,), the detector's, 0 to 1.
        present: shape (n,), whether there is sound that is not digital silence.
        candidate: shape (n,), near possible speech; other frames are never speech.
        level_db: shape (n,), power from 100 to 4000 Hz, dB full scale.
        full_db: shape (n,), level over all frequencies, the louder of two frames of 10 ms.
        spectrum_db: shape (n, 25), mel bands of 100 to 4000 Hz, then what lies below 100 Hz.
        floor_db: shape (25,), twice the background's power.
        floored_db: shape (n, 24), the bands, not under 3 dB over their floor.
        pattern: shape (n, 24), `floored_db` less its mean over 1.5 s, within ±15 dB: free of gain and colour.
        energy: shape (n,), squared length of the pattern and a constant, dB².
        tail_db: shape (n, 24), `floored_db` held by a decay of 2.5 dB a frame, as a room holds it.
        snr_db: shape (n,), level over the background, −5 to 50.
        local_snr_db: shape (n,), level over the quietest of 3 s, −5 to 40.
        likely: shape (n,), highest detector probability within 80 ms.
        active: shape (n,), frames within 0.2 s of probable speech.
        width: shape (n,), share of the bands 8 dB over their floor, over 0.1 s.
        brightness_db: shape (n,), mean level of the upper third over its floor, over 0.1 s.
        liveliness_db: shape (n,), root mean square of the pattern, over 0.1 s.
    """

    label: str
    probability: Float32Array
    present: BoolArray
    candidate: BoolArray
    level_db: Float32Array
    full_db: Float32Array
    spectrum_db: Float32Array
    floor_db: Float32Array
    floored_db: Float32Array
    pattern: Float32Array
    energy: Float32Array
    tail_db: Float32Array
    snr_db: Float32Array
    local_snr_db: Float32Array
    likely: Float32Array
    active: BoolArray
    width: Float32Array
    brightness_db: Float32Array
    liveliness_db: Float32Array

    @property
    def n(self) -> int:
        """Number of frames."""
        return len(self.level_db)

    @property
    def bands_db(self) -> Float32Array:
        """Levels of the 24 mel bands, shape (n, 24)."""
        return self.spectrum_db[:, :N_BANDS]


def may_hold_speech(track: Track, evidence: Mapping[str, PartEvidence]) -> bool:
    """Return whether the detector heard anything like speech in a track."""
    least = _MAYBE_SPEECH * 255
    return any(np.any(evidence[part.part_id].probability > least) for part in track.parts)


def read_track(track: Track, evidence: Mapping[str, PartEvidence], first: int, n: int) -> TrackFrames | None:
    """Return frames ``first`` to ``first + n`` of a track, or None where nothing may be speech."""
    level, quantised, there = on_mix(track, evidence, 2 * first, 2 * n)
    probability = (quantised.astype(np.float32) / 255).reshape(n, 2).mean(axis=1)
    full_db = (level.astype(np.float32) / 2 + np.float32(LOWEST_DB)).reshape(n, 2).max(axis=1)
    present = there.reshape(n, 2).any(axis=1)
    candidate = (sliding_highest(probability, _CANDIDATE_FRAMES) > _MAYBE_SPEECH) & present
    if not candidate.any():
        return None
    sampled = np.arange(n) // 20 % 4 == 0
    wanted = (sliding_highest(probability, _WANTED_FRAMES) > _MAYBE_SPEECH) | sampled
    power = band_power(read_half(track, first * FRAME_SAMPLES, n * FRAME_SAMPLES), wanted)
    background, loud = _background(power[wanted])
    power[~wanted] = background
    present &= decibels(power[:, :N_BANDS].sum(axis=1)) > _SILENCE_DB
    floor = np.maximum(2 * background, loud * np.float32(_LEAST_FLOOR))
    return make_frames(track.label, power, (background, floor), (probability, full_db), present)


def _background(power: Float32Array) -> tuple[Float32Array, Float32Array]:
    """Return the 10th and 98th percentiles of each band where there is sound, shapes (25,)."""
    sounding = decibels(power[:, :N_BANDS].sum(axis=1)) > _SILENCE_DB + 5
    chosen = power[sounding] if np.count_nonzero(sounding) >= 50 else power
    low, high = np.percentile(chosen, (10, 98), axis=0)
    return low.astype(np.float32), high.astype(np.float32)


def make_frames(
    label: str,
    power: Float32Array,
    noise: tuple[Float32Array, Float32Array],
    heard: tuple[Float32Array, Float32Array],
    present: BoolArray,
) -> TrackFrames:
    """Return the frames of band powers.

    Args:
        label: the track's.
        power: shape (n, 25).
        noise: power of the background and of the floor, shapes (25,).
        heard: the detector's probability and the level over all frequencies in dB, shapes (n,).
        present: shape (n,), whether there is sound.
    """
    probability, full_db = heard
    spectrum_db, floor_db = decibels(power), decibels(noise[1])
    over_db = spectrum_db[:, :N_BANDS] - floor_db[:N_BANDS]
    floored = np.maximum(over_db, _FLOOR_MARGIN_DB) + floor_db[:N_BANDS]
    limit = np.float32(_PATTERN_LIMIT_DB)
    pattern = np.clip(floored - sliding_mean(floored, _PATTERN_MEAN_FRAMES), -limit, limit)
    squared = np.einsum("tb,tb->t", pattern, pattern) + np.float32(_PATTERN_NOISE)
    total = power[:, :N_BANDS].sum(axis=1)
    level_db, background_db = decibels(total), decibels(noise[0][:N_BANDS].sum())
    quietest_db = np.maximum(
        sliding_lowest(decibels(sliding_mean(total, 5) + SMALLEST_POWER), 151), background_db - 20
    )
    ramp = np.arange(len(power), dtype=np.float32)[:, None] * np.float32(_TAIL_DB_PER_FRAME)
    return TrackFrames(
        label=label,
        probability=probability,
        present=present,
        candidate=(sliding_highest(probability, _CANDIDATE_FRAMES) > _MAYBE_SPEECH) & present,
        level_db=level_db,
        full_db=full_db,
        spectrum_db=spectrum_db,
        floor_db=floor_db,
        floored_db=floored,
        pattern=pattern,
        energy=squared,
        tail_db=np.maximum.accumulate(floored + ramp, axis=0) - ramp,
        snr_db=np.clip(sliding_mean(level_db, 3) - background_db, -5, 50),
        local_snr_db=np.clip(level_db - quietest_db, -5, 40),
        likely=sliding_highest(probability, 9),
        active=sliding_highest(probability, 21) > 0.3,
        width=sliding_mean((over_db > 8.0).mean(axis=1, dtype=np.float32), 5),
        brightness_db=sliding_mean(np.clip(over_db[:, HIGH_BAND:], 0, 15).mean(axis=1), 5),
        liveliness_db=sliding_mean(np.sqrt(squared / N_BANDS), 5),
    )


def _edges_hz() -> Float32Array:
    """Return the edges of bands of equal width in mel (O'Shaughnessy 1987: 2595·log10(1 + f/700))."""
    low, high = (2595 * np.log10(1 + f / 700) for f in (_LOWEST_HZ, _HIGHEST_HZ))
    return np.asarray(700 * (10 ** (np.linspace(low, high, N_BANDS + 1) / 2595) - 1), dtype=np.float32)


def _band_matrix() -> Float32Array:
    """Return the share of each bin in each band, shape (161, 25); the last column is below 100 Hz."""
    edges = np.r_[_edges_hz(), _LOW_HZ, _LOWEST_HZ]
    low, high = np.r_[edges[:N_BANDS], edges[-2]], np.r_[edges[1 : N_BANDS + 1], edges[-1]]
    centre = np.arange(_WINDOW // 2 + 1)[:, None] * _BIN_HZ
    half = _BIN_HZ / 2
    overlap = np.minimum(centre + half, high) - np.maximum(centre - half, low)
    return np.asarray(np.clip(overlap / _BIN_HZ, 0, 1), dtype=np.float32)


_BANDS = _band_matrix()


def band_power(x: Float32Array, wanted: BoolArray) -> Float32Array:
    """Return the power in each band of each frame.

    Args:
        x: float32 samples at 8 kHz, full scale 1.
        wanted: shape (n,); other frames are left at :data:`SMALLEST_POWER`.

    Returns:
        Shape (n, 25), at least :data:`SMALLEST_POWER`.
    """
    n = len(wanted)
    padded = np.zeros((n + 1) * _HOP, dtype=np.float32)
    padded[_HOP // 2 : _HOP // 2 + len(x)] = x[: n * _HOP]
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP]
    window = np.hanning(_WINDOW + 1)[:-1].astype(np.float32)
    power = np.full((n, N_BANDS + 1), SMALLEST_POWER, dtype=np.float32)
    rows = np.flatnonzero(wanted)
    # The powers of a sine over its bands add up to half its squared amplitude.
    scale = np.float32(1.0 / (0.375 * _HOP * _WINDOW))
    for i in range(0, len(rows), _FRAMES_AT_ONCE):
        at = rows[i : i + _FRAMES_AT_ONCE]
        spectrum = rfft(frames[at] * window, axis=1)
        power[at] = (spectrum.real**2 + spectrum.imag**2) @ _BANDS * scale + np.float32(SMALLEST_POWER)
    return power
