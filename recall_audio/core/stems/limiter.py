"""A look-ahead limiter that holds the true peak: for those who want the loudness whatever the peaks.

::

    peak                      |                      the gain is lowered before a peak arrives and given
    gain   ‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾\\_______________/‾‾‾‾      back after it, along a raised cosine of 10 ms
                         5 ms      50 ms

The gain wanted at each sample is the ceiling over the true peak around it. Its minimum over the last 50 and
the next 5 ms, averaged over a Hann window of 10 ms, is nowhere above what is wanted. It depends on nothing
further away, so blocks can be limited in any order.
"""

import numpy as np

from recall_audio.core.stems.true_peak import interpolator, oversampling
from recall_audio.typing import Float32Array

AHEAD_S = 0.005
"""How long before a peak the gain is down, seconds."""

HOLD_S = 0.05
"""How long it stays down, seconds."""

_UNDER = 0.996
"""The ceiling aimed at, below the one asked for: oversampling the limited signal adds up to 0.03 dB."""


def margin_samples(rate_hz: int) -> int:
    """Samples on both sides of a block that its limiting reads."""
    return round((AHEAD_S + HOLD_S) * rate_hz) + round(AHEAD_S * rate_hz) + 32


def limit(x: Float32Array, ceiling: float, rate_hz: int) -> tuple[Float32Array, float]:
    """A block with its true peaks held, and the smallest gain that was needed.

    Args:
        x: the block with :func:`margin_samples` on both sides of it, which are cut off; shape (n,).
        ceiling: largest amplitude allowed.
        rate_hz: sample rate.

    Returns:
        Shape (n - 2 margins,); the gain, 1 where nothing was above the ceiling.
    """
    margin = margin_samples(rate_hz)
    inside = x[margin : len(x) - margin]
    if float(np.abs(x).max(initial=0.0)) * _most(rate_hz) <= ceiling * _UNDER:
        return inside, 1.0
    peaks = _peaks(x, rate_hz)
    if float(peaks.max(initial=0.0)) <= ceiling * _UNDER:
        return inside, 1.0
    from scipy.ndimage import minimum_filter1d

    ahead, hold = round(AHEAD_S * rate_hz), round((HOLD_S + AHEAD_S) * rate_hz)
    wanted = np.minimum(1.0, ceiling * _UNDER / np.maximum(peaks, 1e-12))
    width = ahead + hold + 1
    # Output i is the minimum over [i - hold, i + ahead].
    lowest = minimum_filter1d(wanted, width, mode="nearest", origin=width // 2 - ahead)
    window = np.hanning(2 * ahead + 3)[1:-1]
    gain = np.convolve(lowest, window / window.sum(), mode="same")[margin : len(x) - margin]
    return (inside * gain).astype(np.float32), float(gain.min(initial=1.0))


def _most(rate_hz: int) -> float:
    """Largest factor by which a true peak passes the samples around it."""
    return float(np.abs(interpolator(oversampling(rate_hz))).sum(axis=0).max())


def _peaks(x: Float32Array, rate_hz: int) -> Float32Array:
    """The largest of each sample and of what the interpolator finds on both sides of it, shape (n,)."""
    phases = interpolator(oversampling(rate_hz))
    before = len(phases) // 2
    padded = np.pad(x, (before, len(phases) - 1 - before))
    between = np.zeros(len(x), dtype=np.float32)
    for phase in range(1, phases.shape[1]):
        np.maximum(between, np.abs(np.convolve(padded, phases[::-1, phase], mode="valid")), out=between)
    peaks = np.maximum(np.abs(x), between)
    # What lies after a sample lies before the next one.
    peaks[1:] = np.maximum(peaks[1:], between[:-1])
    return np.asarray(peaks, dtype=np.float32)
