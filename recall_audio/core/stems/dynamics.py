r"""Change a stem's level over time: mute what is not speech, limit true peaks.

The gate mutes what is not the participant's own speech, without clicks::

    speech            |========|                 |===|
    gate     ____/‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾\_________/‾‾‾‾‾‾‾‾‾‾‾‾\____      open 100 ms before and after

The limiter is for those who want the loudness whatever the peaks::

    peak                      |                      the gain is lowered before a peak arrives and given
    gain   ‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾\_______________/‾‾‾‾       back after it, along a raised cosine of 10 ms
                         5 ms      50 ms

The gain wanted at each sample is the ceiling over the true peak around it. Its minimum over the last 50 and
the next 5 ms, averaged over a Hann window of 10 ms, is nowhere above what is wanted. It depends on nothing
farther away, so blocks can be limited in any order.
"""

import numpy as np

from recall_audio.core.stems.meters import interpolator, oversampling
from recall_audio.core.transforms import sliding_lowest
from recall_audio.typing import Float32Array, Spans
from recall_audio.units import RATE_HZ

GATE_MARGIN_S = 0.1
"""Time before and after speech that the gate is open, seconds: no detector hears a soft first consonant."""

GATE_FADE_S = 0.02
"""Length of the raised-cosine fade outside of that, seconds."""

ATTACK_S = 0.005
"""Time before a peak at which the limiter's gain is down, seconds."""

HOLD_S = 0.05
"""Time after a peak for which the gain stays down, seconds."""

CEILING_FACTOR = 0.996
"""Ceiling aimed at, over the one asked for: oversampling the limited signal adds up to 0.03 dB."""

INTERPOLATOR_SAMPLES = 32
"""Samples beside a block that its true peaks reach into, or more."""


def gate(speech: Spans, start: int, stop: int, rate_hz: int) -> Float32Array:
    """Return factors 0 to 1 for samples [start, stop) of a track, shape (stop - start,).

    Args:
        speech: spans on the mix's 16 kHz clock.
        start: first sample, at `rate_hz`.
        stop: sample after the last.
        rate_hz: the track's rate.
    """
    factors = np.zeros(stop - start, dtype=np.float32)
    margin, fade = round(GATE_MARGIN_S * rate_hz), round(GATE_FADE_S * rate_hz)
    table = np.cos(np.minimum(np.arange(fade + 2) / (fade + 1), 1.0) * (np.pi / 2)) ** 2
    opens, closes = np.rint(speech.T * (rate_hz / RATE_HZ)).astype(np.int64)
    opens, closes = opens - margin, closes + margin
    near = (closes + fade > start) & (opens - fade < stop)
    for first, end in zip(opens[near], closes[near], strict=True):
        sample = np.arange(max(first - fade, start), min(end + fade, stop))
        outside = np.clip(np.maximum(first - sample, sample - end + 1), 0, fade + 1)
        touched = factors[sample[0] - start : sample[-1] + 1 - start]
        # Where two fades meet, the one that is further open counts.
        np.maximum(touched, table[outside], out=touched)
    return factors


def margin_samples(rate_hz: int) -> int:
    """Return the samples on both sides of a block that its limiting reads."""
    return round((ATTACK_S + HOLD_S) * rate_hz) + round(ATTACK_S * rate_hz) + INTERPOLATOR_SAMPLES


def limit(x: Float32Array, ceiling: float, rate_hz: int) -> tuple[Float32Array, float]:
    """Hold the true peaks of a block below a ceiling.

    Args:
        x: the block with :func:`margin_samples` on both sides of it, which are cut off; shape (n,).
        ceiling: largest amplitude allowed.
        rate_hz: sample rate.

    Returns:
        The limited block, shape (n - 2 margins,); the smallest gain that was needed, 1 where nothing was
        above the ceiling.
    """
    margin = margin_samples(rate_hz)
    inside = x[margin : len(x) - margin]
    aimed = ceiling * CEILING_FACTOR
    if float(np.abs(x).max(initial=0.0)) * _largest_rise(rate_hz) <= aimed:
        return inside, 1.0
    peaks = _true_peaks(x, rate_hz)
    if float(peaks.max(initial=0.0)) <= aimed:
        return inside, 1.0
    attack, hold = round(ATTACK_S * rate_hz), round((HOLD_S + ATTACK_S) * rate_hz)
    wanted = np.minimum(1.0, aimed / np.maximum(peaks, 1e-12))
    width = attack + hold + 1
    # Output i is the minimum over [i - hold, i + attack].
    lowest = sliding_lowest(wanted, width, before=hold)
    window = np.hanning(2 * attack + 3)[1:-1]
    gain = np.convolve(lowest, window / window.sum(), mode="same")[margin : len(x) - margin]
    return (inside * gain).astype(np.float32), float(gain.min(initial=1.0))


def _largest_rise(rate_hz: int) -> float:
    """Return the largest factor by which a true peak passes the samples around it."""
    return float(np.abs(interpolator(oversampling(rate_hz))).sum(axis=0).max())


def _true_peaks(x: Float32Array, rate_hz: int) -> Float32Array:
    """Return the true peak about each sample, shape (n,)."""
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
