"""Measure lags between windows of a part and the mix: by correlation, then by phase.

A lag is in samples of the 16 kHz clock: sample t of the part lies at t + lag of the mix::

    mix    ────────────┌────────┐──────────      t + lag
    part       ┌───────┘┐       ┘                t
               └────────┘
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from recall_audio.core.transforms import fast_length, irfft, rfft
from recall_audio.typing import Complex64Array, Float32Array, FloatArray, IntArray, Samples
from recall_audio.units import RATE_HZ

LOWEST_HZ = 150.0
HIGHEST_HZ = 6800.0
"""Band in which both codecs, MP3 and Opus, keep speech and its phase."""

WHITENING = 0.8
"""Exponent of the cross-spectrum's magnitude that is divided out: 1 is PHAT (Knapp & Carter 1976)."""


class _Inverted(np.ndarray[tuple[int], np.dtype[np.int16]]):
    """A view of samples that gives its slices upside down."""

    def __getitem__(self, key: Any) -> Any:
        return -np.maximum(self.view(np.ndarray)[key], -32767)


def inverted(samples: Samples) -> Samples:
    """Return samples of the opposite polarity, shape (n,), turned over as they are read in slices."""
    return samples.view(_Inverted)


def read_windows(samples: Samples, starts: IntArray, n: int) -> Float32Array:
    """Return `n` samples from each of `starts`, zeros outside the audio, one row each."""
    windows = np.zeros((len(starts), n), dtype=np.float32)
    for window, start in zip(windows, starts.tolist(), strict=True):
        first, end = max(start, 0), min(start + n, len(samples))
        if end > first:
            window[first - start : end - start] = samples[first:end]
    return windows


def band(n_fft: int) -> slice:
    """Return the bins of a real transform of `n_fft` samples that lie in the band of speech."""
    return slice(int(LOWEST_HZ * n_fft / RATE_HZ), int(HIGHEST_HZ * n_fft / RATE_HZ) + 1)


def correlations(part: Float32Array, mix: Float32Array) -> Float32Array:
    """Return the whitened correlation of each row of `part` along the same row of `mix`.

    Args:
        part: shape (n, w).
        mix: shape (n, m), m ≥ w.

    Returns:
        Shape (n, m − w + 1): column k is the mix read from its k-th sample on, in units of the row's own
        root mean square. Chance stays below about 6.
    """
    n_fft = fast_length(mix.shape[1])
    cross = np.conj(rfft(part, n_fft)) * rfft(mix, n_fft)
    kept = np.zeros_like(cross)
    inside = band(n_fft)
    power = np.abs(cross[:, inside])
    power **= WHITENING
    kept[:, inside] = cross[:, inside] / np.maximum(power, 1e-12)
    r = irfft(kept, n_fft)[:, : mix.shape[1] - part.shape[1] + 1]
    spread = np.sqrt(np.mean(r * r, axis=1, keepdims=True))
    return np.asarray(r / np.maximum(spread, 1e-20), dtype=np.float32)


def find_peaks(r: Float32Array, n_peaks: int, apart: int) -> tuple[IntArray, Float32Array]:
    """Return the highest peaks of each row, at least `apart` columns from one another.

    Returns:
        Columns and heights, both of shape (n, n_peaks), highest first.
    """
    r = r.copy()
    rows = np.arange(len(r))
    column = np.empty((len(r), n_peaks), dtype=np.int64)
    height = np.empty((len(r), n_peaks), dtype=np.float32)
    reach = np.arange(-apart, apart + 1)
    for k in range(n_peaks):
        column[:, k] = np.argmax(r, axis=1)
        height[:, k] = r[rows, column[:, k]]
        near = np.clip(column[:, k, None] + reach, 0, r.shape[1] - 1)
        r[rows[:, None], near] = -np.inf
    return column, height


@dataclass(frozen=True, slots=True, eq=False)
class FineLags:
    """Lags by the phase, of windows that already lie within a sample or two of their place.

    Attributes:
        shift: shape (n,), samples by which the mix's window lies too early (add it to the lag).
        sigma: shape (n,), standard deviation of `shift`, samples.
        centre: shape (n,), where in the window the common energy lies, samples from its start: with a
            clock that drifts, the lag is the lag there, not in the window's middle.
        gain_db: shape (n,), level in the part of what its window shares with the mix's, dB against the mix.
        coherence: shape (n,), 0 to 1: share of the part's window that the mix explains.
    """

    shift: FloatArray
    sigma: FloatArray
    centre: FloatArray
    gain_db: FloatArray
    coherence: FloatArray


GROUP = 16
"""Bins in one group: within it, a shift of a sample or two turns the phase by little."""

MOST_COHERENCE = 0.98
"""Coherences are held below this, so that no group outweighs all others."""

REFINEMENTS = 5
"""Steps of the weighted fit of the phase; it settles in three."""

FAR_PHASE_RAD = 1.5
"""Groups whose phase is this far from the fitted slope are left out: it may have wrapped."""


def refine_lags(part: Float32Array, mix: Float32Array) -> FineLags:
    """Return the sub-sample shift between rows of `part` and `mix`, both of shape (n, w).

    The cross-spectrum's phase falls as ω·shift. Bins are summed in groups; each group is weighted by
    coherence / (1 − coherence), which is what maximum likelihood gives (Knapp & Carter 1976, eq. 27), and
    the slope is the weighted least-squares one, reached in a few turns.
    """
    n_fft = part.shape[1]
    taper = np.hanning(n_fft).astype(np.float32)
    inside = band(n_fft)
    x = _groups(rfft(part * taper), inside)
    y = _groups(rfft(mix * taper), inside)
    omega = 2.0 * np.pi * (inside.start + (np.arange(x.shape[1]) + 0.5) * GROUP) / n_fft
    cross = np.einsum("ngk,ngk->ng", x, y.conj()).astype(np.complex128)
    pxx, pyy = _power(x), _power(y)
    coherence = np.clip(np.abs(cross) ** 2 / np.maximum(pxx * pyy, 1e-20), 0.0, MOST_COHERENCE)
    # Chance alone gives a group of n bins a coherence of about 1.5/n under a taper that spans 1.5 bins.
    weight = np.maximum(coherence - 2.0 / GROUP, 1e-9) / (1.0 - coherence)
    shift, phase = np.zeros(len(x)), np.angle(cross)
    for _ in range(REFINEMENTS):
        angle = _wrapped(phase - omega * shift[:, None])
        near = weight * (np.abs(angle) < FAR_PHASE_RAD)
        bend = np.sum(near * omega**2, axis=1) + 1e-12
        step = np.sum(near * omega * angle, axis=1) / bend
        shift = shift + np.clip(step, -1.0, 1.0)
    variance = np.sum(near * angle**2, axis=1) / np.sum(near + 1e-12, axis=1)
    sigma = np.sqrt(variance * np.sum(near**2 * omega**2, axis=1)) / bend
    turned = np.abs(cross) * np.cos(phase - omega * shift[:, None])
    gain = np.mean(turned / np.maximum(pyy, 1e-12), axis=1)
    explained_share = np.sum(coherence * pxx, axis=1) / np.maximum(np.sum(pxx, axis=1), 1e-12)
    centre = _common_centre(part, mix, taper)
    return FineLags(shift, sigma, centre, 20.0 * np.log10(np.maximum(gain, 1e-6)), explained_share)


def _common_centre(part: Float32Array, mix: Float32Array, taper: Float32Array) -> FloatArray:
    """Return the centre of the energy that both rows share, in samples, shape (n,).

    A first difference stands for whitening.
    """
    common = np.abs(np.diff(part, axis=1) * np.diff(mix, axis=1)) * taper[1:] ** 2
    at = np.arange(1, part.shape[1], dtype=np.float32)
    return np.asarray((common @ at) / np.maximum(common.sum(axis=1), 1e-12), dtype=np.float64)


def _groups(spectrum: npt.NDArray[np.complexfloating], inside: slice) -> Complex64Array:
    """Return the bins inside the band in groups, shape (n, groups, GROUP)."""
    n_groups = (inside.stop - inside.start) // GROUP
    kept = spectrum[:, inside.start : inside.start + n_groups * GROUP]
    return np.ascontiguousarray(kept.reshape(len(spectrum), n_groups, GROUP), dtype=np.complex64)


def _power(groups: Complex64Array) -> FloatArray:
    """Return the energy of each group."""
    values = groups.view(np.float32)
    return np.asarray(np.einsum("ngk,ngk->ng", values, values), dtype=np.float64)


def _wrapped(angle: FloatArray) -> FloatArray:
    """Return angles brought to within ±π."""
    return angle - 2.0 * np.pi * np.rint(angle / (2.0 * np.pi))
