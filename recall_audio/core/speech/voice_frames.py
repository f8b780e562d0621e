"""The frames a decision is made on, and the small filters along time that it uses."""

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from recall_audio.core import spans as sp
from recall_audio.typing import BoolArray, Float32Array

LOWEST_HZ, HIGHEST_HZ = 100.0, 4000.0
SMALLEST = 1e-12
"""The least power that a band holds: −120 dB full scale, so that logarithms stay finite."""

_BIN_HZ = 50
_HOP = 80
_FRAMES_AT_ONCE = 1000


def _edges_hz(n_bands: int) -> Float32Array:
    """Edges of bands of equal width in mel (O'Shaughnessy 1987: 2595·log10(1 + f/700))."""
    low, high = (2595 * np.log10(1 + f / 700) for f in (LOWEST_HZ, HIGHEST_HZ))
    return np.asarray(700 * (10 ** (np.linspace(low, high, n_bands + 1) / 2595) - 1))


N_BANDS = 16


def _matrix() -> Float32Array:
    """Which of the 81 bins of 50 Hz belong to which band: shape (81, 17), the last for what lies below."""
    bins_hz = np.arange(81) * _BIN_HZ
    at = np.searchsorted(_edges_hz(N_BANDS), bins_hz, side="right") - 1
    at[at < 0] = N_BANDS
    columns = np.arange(N_BANDS + 1)
    return np.asarray((at[:, None] == columns) & (bins_hz < HIGHEST_HZ)[:, None], dtype=np.float32)


_BANDS = _matrix()


def band_power(x: Float32Array, wanted: BoolArray | None = None) -> tuple[Float32Array, Float32Array]:
    """Power in each band of each 10 ms frame, and below them.

    Args:
        x: float32 samples at 8 kHz, full scale 1; the last frame may be cut short.
        wanted: shape (n_frames,): other frames are left at :data:`SMALLEST`. None: all.

    Returns:
        shapes (``ceil(len(x) / 80)``, 16) and (n,), at least :data:`SMALLEST`.
    """
    import scipy.fft

    n = -(-len(x) // _HOP)
    padded = np.zeros((n + 2) * _HOP, dtype=np.float32)
    padded[_HOP // 2 : _HOP // 2 + len(x)] = x
    frames = np.lib.stride_tricks.sliding_window_view(padded, 2 * _HOP)[::_HOP][:n]
    window = np.hanning(2 * _HOP + 1)[:-1].astype(np.float32)
    power, below = np.full((n, N_BANDS), SMALLEST, dtype=np.float32), np.full(n, SMALLEST, dtype=np.float32)
    rows = np.arange(n) if wanted is None else np.flatnonzero(wanted[:n])
    # A sine of amplitude 1 in one band gives its power, 1/2, times the window's 3/2: a constant, left in.
    scale = np.float32(1.0 / (0.375 * _HOP * _HOP))
    for i in range(0, len(rows), _FRAMES_AT_ONCE):
        at = rows[i : i + _FRAMES_AT_ONCE]
        spectrum = scipy.fft.rfft(frames[at] * window, axis=1)
        found = (spectrum.real**2 + spectrum.imag**2) @ _BANDS * scale + SMALLEST
        power[at], below[at] = found[:, :N_BANDS], found[:, N_BANDS]
    return power, below


SMOOTH = 9
"""Frames over which band powers are averaged: 90 ms, about a syllable's nucleus."""


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """A stretch of one track, one row each 10 ms; powers are running means over 90 ms.

    Attributes:
        probability: shape (n,), the network's, 0 to 1.
        present: shape (n,), whether the track has a part there that is not digital silence.
        heard: shape (n, 16), band powers of what the track holds.
        own: shape (n, 16), band powers of what is left when others' leaked voices are subtracted.
        leaked: shape (n, 16), band powers of the leaked voices as predicted.
        puffs: shape (n,), power below those bands, what leaked subtracted: breath and lips at the microphone.
    """

    probability: Float32Array
    present: BoolArray
    heard: Float32Array
    own: Float32Array
    leaked: Float32Array
    puffs: Float32Array

    def without_leakage(self) -> "Frames":
        """The same as if nothing had leaked."""
        return replace(self, own=self.heard, leaked=np.zeros_like(self.leaked))


def joined(several: list[Frames]) -> Frames:
    """Stretches one after the other."""
    if len(several) == 1:
        return several[0]
    columns = ([getattr(f, field.name) for f in several] for field in fields(Frames))
    return Frames(*(np.concatenate(column) for column in columns))


def smooth(x: Float32Array, width: int = SMOOTH) -> Float32Array:
    """Running mean along time."""
    from scipy.ndimage import uniform_filter1d

    return np.asarray(uniform_filter1d(x, width, axis=0, mode="nearest"), dtype=np.float32)


def highest(x: Float32Array, reach: int) -> Float32Array:
    """The highest value within `reach` frames each way."""
    from scipy.ndimage import maximum_filter1d

    return np.asarray(maximum_filter1d(x, 2 * reach + 1, mode="nearest"), dtype=np.float32)


def near(mask: BoolArray, reach: int) -> BoolArray:
    """Frames within `reach` frames of a true one."""
    return np.asarray(highest(mask.astype(np.float32), reach) > 0.5)


def closed(mask: BoolArray, gap: int) -> BoolArray:
    """`mask` with gaps of up to `gap` frames closed."""
    return sp.to_mask(sp.bridge(sp.from_mask(mask, 1), gap), 1, len(mask))


def db(power: npt.NDArray[np.floating[Any]] | float) -> Float32Array:
    """Decibels of a power."""
    return np.asarray(10 * np.log10(power), dtype=np.float32)
