"""Leaked voices as their paths predict them: a convolution block by block (overlap-save), at 8 kHz.

::

    source      ...|------------ 8192 ------------|...      one spectrum a block, for all listeners
    × response     |~~~~~~~~|==== 4096 ====|~~~~~~|         what wrapped around at either end is dropped
    block b                 |==============|
    block b + 1                            |==============|
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recall_audio.core.leakage_paths import GAIN_FRAMES, HOP, N_BEFORE, N_TAPS, WINDOW, Path
from recall_audio.core.speech_placed import HALF_RATE_HZ
from recall_audio.model.detector import FloatArray

_GOOD = N_TAPS - N_BEFORE  # the first sample that no wrapped tap reaches
_AT_ONCE = 16
_LEAST, _MOST = 0.2, 4.0


@dataclass(frozen=True, slots=True, eq=False)
class Way:
    """A path with its gain over time.

    Attributes:
        source: label.
        path: the path.
        gain: shape (g,), factors on it in each ten seconds.
    """

    source: str
    path: Path
    gain: FloatArray


def predict(signals: Mapping[str, FloatArray], ways: Mapping[str, Sequence[Way]]) -> dict[str, FloatArray]:
    """What leaks into each listener's track.

    Args:
        signals: 8 kHz tracks on one clock, of one length n.
        ways: by listener.

    Returns:
        by listener, shape (n,): the sum over its sources.
    """
    import scipy.fft

    sources = sorted({way.source for several in ways.values() for way in several})
    n = len(signals[sources[0]]) if sources else 0
    out = {k: np.zeros(n, dtype=np.float32) for k in ways}
    n_blocks = -(-n // HOP)
    for b in range(0, n_blocks, _AT_ONCE):
        count = min(_AT_ONCE, n_blocks - b)
        spectra = {k: scipy.fft.rfft(_blocks(signals[k], b, count), axis=1) for k in sources}
        middle_s = (np.arange(b, b + count) + 0.5) * HOP / HALF_RATE_HZ
        for listener, several in ways.items():
            total = np.zeros((count, WINDOW // 2 + 1), dtype=np.complex64)
            for way in several:
                factor = _factor(way.gain, middle_s)
                total += spectra[way.source] * way.path.response * factor[:, None]
            y = scipy.fft.irfft(total, WINDOW, axis=1)[:, _GOOD : _GOOD + HOP].reshape(-1)
            at = slice(b * HOP, min((b + count) * HOP, n))
            out[listener][at] = y[: at.stop - at.start]
    return out


def _blocks(signal: FloatArray, first: int, count: int) -> FloatArray:
    """Blocks `first` to ``first + count``, each with what its answer needs on both sides: (count, 8192)."""
    start = first * HOP - _GOOD
    end = start + (count - 1) * HOP + WINDOW
    inside = signal[max(start, 0) : min(end, len(signal))]
    padded = np.zeros(end - start, dtype=np.float32)
    skipped = max(-start, 0)
    padded[skipped : skipped + len(inside)] = inside
    return np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]


def _factor(gain: FloatArray, at_s: npt.NDArray[np.float64]) -> FloatArray:
    """The gain at some moments, straight between the middles of its windows."""
    middle_s = (np.arange(len(gain)) + 0.5) * GAIN_FRAMES / 100
    return np.interp(at_s, middle_s, np.clip(gain, _LEAST, _MOST)).astype(np.float32)
