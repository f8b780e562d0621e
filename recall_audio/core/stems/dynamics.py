r"""Muting what is not a participant's own speech, without clicks.

::

    speech            |========|                 |===|
    gate     ____/‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾\_________/‾‾‾‾‾‾‾‾‾‾‾‾\____      open 100 ms before and after
"""

import numpy as np

from recall_audio.core.stems.meters import interpolator, oversampling
from recall_audio.typing import Float32Array, Spans
from recall_audio.units import RATE_HZ

MARGIN_S = 0.1
"""How long before and after speech the gate is open: a soft first consonant is below any detector."""

FADE_S = 0.02
"""Length of the raised-cosine fade outside of that, seconds."""


def gate(speech: Spans, start: int, stop: int, rate_hz: int) -> Float32Array:
    """Factors 0 to 1 for samples [start, stop) of a track, shape (stop - start,).

    Args:
        speech: spans on the mix's 16 kHz clock.
        start: first sample, at `rate_hz`.
        stop: sample after the last.
        rate_hz: the track's rate.
    """
    factors = np.zeros(stop - start, dtype=np.float32)
    margin, fade = round(MARGIN_S * rate_hz), round(FADE_S * rate_hz)
    table = np.cos(np.minimum(np.arange(fade + 2) / (fade + 1), 1.0) * (np.pi / 2)) ** 2
    opens, closes = np.rint(speech.T * (rate_hz / RATE_HZ)).astype(np.int64)
    opens, closes = opens - margin, closes + margin
    near = (closes + fade > start) & (opens - fade < stop)
    for a, b in zip(opens[near], closes[near], strict=True):
        at = np.arange(max(a - fade, start), min(b + fade, stop))
        outside = np.clip(np.maximum(a - at, at - b + 1), 0, fade + 1)
        here = factors[at[0] - start : at[-1] + 1 - start]
        # Where two fades meet, the one that is further open counts.
        np.maximum(here, table[outside], out=here)
    return factors


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
