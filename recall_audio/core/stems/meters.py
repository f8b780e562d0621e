"""Measure loudness and true peak by ITU-R BS.1770-4 and EBU R 128, streaming, in mono.

For loudness, the signal is K-weighted (two biquads), its energy taken over blocks of 400 ms that overlap by
75 %, and averaged twice: over the blocks above -70 LUFS, then over those within 10 LU of that first average::

    samples   |····|····|····|····|····|····|      100 ms each; their energies are all that is kept
    blocks    |___________________|                400 ms = 4 of them
                   |___________________|           the next, 100 ms later

Because energies are kept and not a sum, the loudness after any linear gain needs no second pass. Eight
hours are 288,000 energies: 2.3 MB.

True peak (BS.1770-4, annex 2) is the largest value of the signal oversampled four times. Oversampling every
sample would cost more than all the rest of a stem. A stretch whose samples, times the interpolator's largest
possible gain, stay below the peak found so far cannot hold a larger one, so only the few stretches that can
are oversampled. The result is the same.

Reference implementation for all choices the standard leaves open (the biquads at other rates than
48 kHz): libebur128.
"""

import math

import numpy as np
import numpy.typing as npt

from recall_audio.core.transforms import fast_length, irfft, rfft
from recall_audio.typing import Float32Array, FloatArray

ABSOLUTE_GATE_LUFS = -70.0
"""Loudness below which a block never counts, LUFS: BS.1770-4, equation (7)."""

RELATIVE_GATE_LU = -10.0
"""Distance from the loudness of all blocks below which a block does not count: BS.1770-4, equation (6)."""

OFFSET_LU = -0.691
"""Added to the energy's level, by which a 1 kHz sine reads its own level: BS.1770-4, equation (2)."""

STEPS_A_BLOCK = 4
"""Steps of 100 ms in a gating block of 400 ms."""

SHELF_48K = (1.53512485958697, -2.69169618940638, 1.19839281085285, -1.69065929318241, 0.73248077421585)
HIGHPASS_48K = (1.0, -2.0, 1.0, -1.99004745483398, 0.99007225036621)
"""Coefficients (b0, b1, b2, a1, a2) at 48 kHz: BS.1770-4, tables 1 and 2."""

STEPS_A_TRANSFORM = 15
"""Steps filtered by one transform; one more in front of them is the filter's past."""

SINC_TAPS = 49
"""Taps of the Hann-windowed sinc at the oversampled rate, as libebur128 has it: 12 or 24 a phase."""

STRETCH = 32
"""Samples oversampled, or passed over, together."""

MOST_STRETCHES = 512
"""Stretches oversampled by one product, so that it stays in the processor's cache."""


def step_samples(rate_hz: int) -> int:
    """Return the samples of the 100 ms step, to the nearest where the rate does not divide."""
    return (rate_hz + 5) // 10


def _at_rate(biquad: tuple[float, ...], rate_hz: int) -> tuple[FloatArray, FloatArray]:
    """Return a biquad at another rate: the bilinear transform undone, and done again.

    With ``s = (1 - z^-1) / (k (1 + z^-1))``, ``k = tan(pi f0 / rate)``, a denominator
    ``1 + a1 z^-1 + a2 z^-2`` has its corner where ``k^2 = (1 + a1 + a2) / (1 - a1 + a2)``.
    """
    b0, b1, b2, a1, a2 = biquad
    k = math.sqrt((1 + a1 + a2) / (1 - a1 + a2))
    scale = 4.0 / (1 - a1 + a2)  # makes the denominator s^2 + s/q + 1
    over_q = scale * (1 - a2) / (2 * k)
    high, band, low = (
        scale * (b0 - b1 + b2) / 4,
        scale * (b0 - b2) / (2 * k),
        scale * (b0 + b1 + b2) / (4 * k * k),
    )
    w = math.tan(math.atan(k) * 48_000 / rate_hz)
    a = np.array([1 + over_q * w + w * w, 2 * (w * w - 1), 1 - over_q * w + w * w])
    b = np.array([high + band * w + low * w * w, 2 * (low * w * w - high), high - band * w + low * w * w])
    return b / a[0], a / a[0]


def k_weighting(rate_hz: int, frequency_hz: npt.ArrayLike) -> npt.NDArray[np.complex128]:
    """Return the response of the K-weighting filter of `rate_hz` at frequencies of any shape.

    The high-pass keeps the numerator 1, -2, 1 at every rate, as libebur128 and ffmpeg do.
    """
    z = np.exp(-2j * np.pi * np.asarray(frequency_hz, dtype=np.float64) / rate_hz)
    b, a = _at_rate(SHELF_48K, rate_hz)
    _, c = _at_rate(HIGHPASS_48K, rate_hz)
    shelf = (b[0] + z * (b[1] + z * b[2])) / (a[0] + z * (a[1] + z * a[2]))
    return np.asarray(shelf * (1 - z) ** 2 / (c[0] + z * (c[1] + z * c[2])))


class EnergyMeter:
    """K-weighted energy of each 100 ms of a signal that arrives in blocks of any size.

    The filter is applied to spectra (overlap-save): 15 steps at a time with the 100 ms before them, after
    which the filter's memory, a double pole at 38 Hz, is below -190 dB. In single precision this costs a
    quarter of a second for an hour at 16 kHz.
    """

    def __init__(self, rate_hz: int) -> None:
        self._step = step_samples(rate_hz)
        self._n_fft = fast_length((STEPS_A_TRANSFORM + 1) * self._step)
        bins = np.arange(self._n_fft // 2 + 1) * (rate_hz / self._n_fft)
        self._response = k_weighting(rate_hz, bins).astype(np.complex64)
        self._pending = np.zeros(self._step, dtype=np.float32)  # the past of the first row is silence
        self._energies: list[FloatArray] = []

    def add(self, block: Float32Array) -> None:
        """Take the next samples, shape (n,), full scale 1."""
        signal = np.concatenate((self._pending, block)) if len(self._pending) else block
        width = STEPS_A_TRANSFORM * self._step
        n_rows = (len(signal) - self._step) // width
        if n_rows > 0:
            self._measure(signal[: n_rows * width + self._step], n_rows, STEPS_A_TRANSFORM)
        self._pending = signal[n_rows * width :].copy() if n_rows > 0 else signal

    def energies(self) -> FloatArray:
        """Return the mean square of each whole step so far, shape (n_steps,).

        It is called once, at the end.
        """
        n_steps = len(self._pending) // self._step - 1
        if n_steps > 0:
            self._measure(self._pending[: (n_steps + 1) * self._step], 1, n_steps)
            self._pending = self._pending[n_steps * self._step :]
        return np.concatenate(self._energies) if self._energies else np.empty(0)

    def _measure(self, signal: Float32Array, n_rows: int, n_steps: int) -> None:
        """Filter rows of `n_steps` steps, and append their energies."""
        width = n_steps * self._step
        rows = np.lib.stride_tricks.sliding_window_view(signal, width + self._step)[::width]
        energy = np.zeros((n_rows, n_steps))
        live = rows.any(axis=1)  # digital silence costs nothing
        if live.any():
            spectrum = rfft(rows[live], self._n_fft, axis=1) * self._response
            heard = irfft(spectrum, self._n_fft, axis=1)[:, self._step : self._step + width]
            steps = np.ascontiguousarray(heard).reshape(-1, n_steps, self._step)
            energy[live] = np.einsum("rst,rst->rs", steps, steps) / self._step
        self._energies.append(energy.ravel())


def block_energies(steps: FloatArray) -> FloatArray:
    """Return the energies of gating blocks, shape (n_steps - 3,), from those of steps."""
    if len(steps) < STEPS_A_BLOCK:
        return np.empty(0)
    total = np.convolve(steps, np.ones(STEPS_A_BLOCK), mode="valid")
    return np.asarray(total / STEPS_A_BLOCK)


def to_lufs(energy: float) -> float:
    """Return the loudness of a mean K-weighted energy, BS.1770-4 equation (2).

    An energy of 0 gives -inf.
    """
    return OFFSET_LU + 10.0 * math.log10(energy) if energy > 0.0 else -math.inf


def gated_lufs(blocks: FloatArray, gain_db: float = 0.0) -> float:
    """Return the integrated loudness of gating blocks after a linear gain, LUFS.

    It is -inf where no block passes the gate.

    BS.1770-4, equations (5) to (7). Blocks of several channels are added, weighted, beforehand.
    """
    factor = 10.0 ** (gain_db / 10.0)
    loud = blocks[blocks * factor >= 10.0 ** ((ABSOLUTE_GATE_LUFS - OFFSET_LU) / 10.0)]
    if len(loud) == 0:
        return -math.inf
    threshold = float(np.mean(loud)) * 10.0 ** (RELATIVE_GATE_LU / 10.0)
    return to_lufs(float(np.mean(loud[loud >= threshold])) * factor)


def oversampling(rate_hz: int) -> int:
    """Return how often a signal is oversampled: 4 below 96 kHz, else to 192 kHz at least."""
    if rate_hz < 96_000:
        return 4
    return 2 if rate_hz < 192_000 else 1


def interpolator(factor: int) -> Float32Array:
    """Return the taps of each phase, shape (n_taps, factor).

    A window of samples times the taps is oversampled.

    Column 0 gives a sample of the signal itself, the others what lies between it and the next.
    """
    position = np.arange(SINC_TAPS) - SINC_TAPS // 2
    taps = np.sinc(position / factor) * np.hanning(SINC_TAPS)
    n_taps = SINC_TAPS // factor + 1
    phases = np.zeros((n_taps, factor), dtype=np.float32)
    for phase in range(factor):
        column = taps[phase::factor][::-1]
        phases[n_taps - len(column) :, phase] = column
    return phases


class PeakMeter:
    """True peak of a signal that arrives in blocks of any size.

    Attributes:
        peak: largest absolute value so far, full scale 1.
    """

    def __init__(self, rate_hz: int) -> None:
        phases = interpolator(oversampling(rate_hz))
        self._reach = len(phases) - 1
        self._largest_rise = float(np.abs(phases).sum(axis=0).max())
        # One column for each oversampled value of a stretch, so that a stretch is one row of a product.
        matrix = np.zeros((STRETCH + self._reach, STRETCH, phases.shape[1]), dtype=np.float32)
        for i in range(STRETCH):
            matrix[i : i + len(phases), i] = phases
        self._matrix = matrix.reshape(STRETCH + self._reach, -1)
        # The interpolator starts from silence; a stretch is always whole, however short a block.
        self._past = np.zeros(STRETCH + self._reach, dtype=np.float32)
        self.peak = 0.0

    @property
    def dbtp(self) -> float:
        """Return the peak in dBTP, -inf for silence."""
        return 20.0 * math.log10(self.peak) if self.peak > 0.0 else -math.inf

    def add(self, block: Float32Array) -> None:
        """Take the next samples, shape (n,), full scale 1."""
        signal = np.concatenate((self._past, block))
        width = STRETCH + self._reach
        self._past = signal[len(signal) - width :]
        rows = np.lib.stride_tricks.sliding_window_view(signal, width)
        high = np.maximum.reduceat(np.abs(signal), np.arange(0, len(signal), STRETCH))
        # The samples themselves count at once: the last few are never met in the interpolator's middle.
        self.peak = max(self.peak, float(high.max()))
        whole = len(rows[::STRETCH])
        self._raise_peak(rows[::STRETCH], np.maximum(high[:whole], np.append(high[1:], 0.0)[:whole]))
        self._raise_peak(rows[-1:], np.full(1, np.inf))

    def _raise_peak(self, rows: Float32Array, high: Float32Array) -> None:
        """Raise the peak to that of stretches whose samples are none larger than `high`."""
        bound = high * self._largest_rise
        while True:
            # The loudest stretches first: the peak they hold rules most others out.
            held = np.flatnonzero(bound > self.peak)
            if len(held) == 0:
                return
            if len(held) > MOST_STRETCHES:
                held = held[np.argpartition(bound[held], -MOST_STRETCHES)[-MOST_STRETCHES:]]
            values = rows[held] @ self._matrix
            self.peak = max(self.peak, float(values.max()), -float(values.min()))
            bound[held] = 0.0
