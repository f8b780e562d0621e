"""Band powers: the spectrum of a voice in 16 mel bands from 100 to 4000 Hz, and what is below, every 10 ms.

Frame i is a Hann window of 20 ms about the middle of frame i of the 10 ms grid::

    samples    0       80      160      240      at 8 kHz
    grid       |   0   |   1    |   2    |
    window   -40--------120
                   40--------200
"""

import numpy as np
import numpy.typing as npt

from recall_audio.model.detector import FloatArray

LOWEST_HZ, HIGHEST_HZ = 100.0, 4000.0
SMALLEST = 1e-12
"""The least power that a band holds: −120 dB full scale, so that logarithms stay finite."""

_BIN_HZ = 50
_HOP = 80
_FRAMES_AT_ONCE = 1000


def _edges_hz(n_bands: int) -> npt.NDArray[np.float64]:
    """Edges of bands of equal width in mel (O'Shaughnessy 1987: 2595·log10(1 + f/700))."""
    low, high = (2595 * np.log10(1 + f / 700) for f in (LOWEST_HZ, HIGHEST_HZ))
    return np.asarray(700 * (10 ** (np.linspace(low, high, n_bands + 1) / 2595) - 1))


N_BANDS = 16


def _matrix() -> FloatArray:
    """Which of the 81 bins of 50 Hz belong to which band: shape (81, 17), the last for what lies below."""
    bins_hz = np.arange(81) * _BIN_HZ
    at = np.searchsorted(_edges_hz(N_BANDS), bins_hz, side="right") - 1
    at[at < 0] = N_BANDS
    columns = np.arange(N_BANDS + 1)
    return np.asarray((at[:, None] == columns) & (bins_hz < HIGHEST_HZ)[:, None], dtype=np.float32)


_BANDS = _matrix()


def band_power(x: FloatArray, wanted: npt.NDArray[np.bool_] | None = None) -> tuple[FloatArray, FloatArray]:
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
