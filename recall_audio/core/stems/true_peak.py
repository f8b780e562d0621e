"""True peak after ITU-R BS.1770-4, annex 2: the largest value of the signal oversampled four times.

Oversampling every sample would cost more than all the rest of a stem. A stretch whose samples, times the
interpolator's largest possible gain, stay below the peak found so far cannot hold a larger one, so only
the few stretches that can are looked at. The result is the same.
"""

import math

import numpy as np

from recall_audio.typing import Float32Array

_TAPS = 49
"""Hann-windowed sinc of 49 taps at the oversampled rate, as libebur128 has it: 12 or 24 a phase."""

_STRETCH = 32
"""Samples looked at, or passed over, together."""

_AT_ONCE = 512
"""Stretches oversampled by one product, so that it stays in the cache."""


def oversampling(rate_hz: int) -> int:
    """Times a signal of `rate_hz` is oversampled: to 192 kHz at least, or four times below 96 kHz."""
    if rate_hz < 96_000:
        return 4
    return 2 if rate_hz < 192_000 else 1


def interpolator(factor: int) -> Float32Array:
    """Taps of each phase, shape (n_taps, factor): a window of samples times it is oversampled there.

    Column 0 gives a sample of the signal itself, the others what lies between it and the next.
    """
    at = np.arange(_TAPS) - _TAPS // 2
    taps = np.sinc(at / factor) * np.hanning(_TAPS)
    n_taps = _TAPS // factor + 1
    phases = np.zeros((n_taps, factor), dtype=np.float32)
    for phase in range(factor):
        mine = taps[phase::factor][::-1]
        phases[n_taps - len(mine) :, phase] = mine
    return phases


class PeakMeter:
    """True peak of a signal that arrives in blocks of any size.

    Attributes:
        peak: largest absolute value so far, full scale 1.
    """

    def __init__(self, rate_hz: int) -> None:
        phases = interpolator(oversampling(rate_hz))
        self._reach = len(phases) - 1
        self._most = float(np.abs(phases).sum(axis=0).max())
        # One column for each oversampled value of a stretch, so that a stretch is one row of a product.
        matrix = np.zeros((_STRETCH + self._reach, _STRETCH, phases.shape[1]), dtype=np.float32)
        for i in range(_STRETCH):
            matrix[i : i + len(phases), i] = phases
        self._matrix = matrix.reshape(_STRETCH + self._reach, -1)
        # The interpolator starts from silence; a stretch is always whole, however short a block.
        self._past = np.zeros(_STRETCH + self._reach, dtype=np.float32)
        self.peak = 0.0

    @property
    def dbtp(self) -> float:
        """The peak in dBTP; -inf for silence."""
        return 20.0 * math.log10(self.peak) if self.peak > 0.0 else -math.inf

    def add(self, block: Float32Array) -> None:
        """Take the next samples, shape (n,), full scale 1."""
        signal = np.concatenate((self._past, block))
        width = _STRETCH + self._reach
        self._past = signal[len(signal) - width :]
        rows = np.lib.stride_tricks.sliding_window_view(signal, width)
        high = np.maximum.reduceat(np.abs(signal), np.arange(0, len(signal), _STRETCH))
        # The samples themselves count at once: the last few are never met in the interpolator's middle.
        self.peak = max(self.peak, float(high.max()))
        whole = len(rows[::_STRETCH])
        self._look(rows[::_STRETCH], np.maximum(high[:whole], np.append(high[1:], 0.0)[:whole]))
        self._look(rows[-1:], np.full(1, np.inf))

    def _look(self, rows: Float32Array, high: Float32Array) -> None:
        """Raise the peak to that of the stretches, shape (n, stretch + reach), none larger than `high`."""
        bound = high * self._most
        while True:
            # The loudest stretches first: the peak they hold rules most others out.
            held = np.flatnonzero(bound > self.peak)
            if len(held) == 0:
                return
            if len(held) > _AT_ONCE:
                held = held[np.argpartition(bound[held], -_AT_ONCE)[-_AT_ONCE:]]
            values = rows[held] @ self._matrix
            self.peak = max(self.peak, float(values.max()), -float(values.min()))
            bound[held] = 0.0
