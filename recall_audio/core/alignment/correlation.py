"""Lags between windows of a part and stretches of the mix: whitened cross-correlation, then phase.

A lag is in samples of the 16 kHz clock: sample t of the part lies at t + lag of the mix::

    mix    ────────────┌────────┐──────────      t + lag
    part       ┌───────┘┐       ┘                t
               └────────┘
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft

from recall_audio.typing import Complex64Array, Float32Array, FloatArray, IntArray, Samples
from recall_audio.units import RATE_HZ

BAND_HZ = (150.0, 6800.0)
"""Where both codecs keep speech and its phase."""

WHITENING = 0.8
"""Exponent of the cross-spectrum's magnitude that is divided out: 1 is PHAT (Knapp & Carter 1976)."""


def read(samples: Samples, starts: IntArray, n: int) -> Float32Array:
    """Stretches of `n` samples from each of `starts`, shape (len(starts), n); zeros outside the audio."""
    out = np.zeros((len(starts), n), dtype=np.float32)
    for row, start in zip(out, starts.tolist(), strict=True):
        a, b = max(start, 0), min(start + n, len(samples))
        if b > a:
            row[a - start : b - start] = samples[a:b]
    return out


def band(n_fft: int) -> slice:
    """Bins of a real transform of `n_fft` samples that lie in :data:`BAND_HZ`."""
    return slice(int(BAND_HZ[0] * n_fft / RATE_HZ), int(BAND_HZ[1] * n_fft / RATE_HZ) + 1)


def correlations(part: Float32Array, mix: Float32Array) -> Float32Array:
    """Whitened correlation of each row of `part` along the same row of `mix`.

    Args:
        part: shape (n, w).
        mix: shape (n, m), m ≥ w.

    Returns:
        Shape (n, m − w + 1): column k is the mix read from its k-th sample on; in units of the row's own
        root mean square, so that chance stays below about 6.
    """
    n_fft = fft.next_fast_len(mix.shape[1], real=True)
    cross = np.conj(fft.rfft(part, n_fft)) * fft.rfft(mix, n_fft)
    kept = np.zeros_like(cross)
    inside = band(n_fft)
    power = np.abs(cross[:, inside])
    power **= WHITENING
    kept[:, inside] = cross[:, inside] / np.maximum(power, 1e-12)
    r = fft.irfft(kept, n_fft)[:, : mix.shape[1] - part.shape[1] + 1]
    spread = np.sqrt(np.mean(r * r, axis=1, keepdims=True))
    return np.asarray(r / np.maximum(spread, 1e-20), dtype=np.float32)


def peaks(r: Float32Array, most: int, apart: int) -> tuple[IntArray, Float32Array]:
    """The `most` highest peaks of each row, at least `apart` columns from one another.

    Returns:
        Columns and heights, both of shape (n, most), highest first.
    """
    r = r.copy()
    rows = np.arange(len(r))
    at = np.empty((len(r), most), dtype=np.int64)
    height = np.empty((len(r), most), dtype=np.float32)
    reach = np.arange(-apart, apart + 1)
    for k in range(most):
        at[:, k] = np.argmax(r, axis=1)
        height[:, k] = r[rows, at[:, k]]
        near = np.clip(at[:, k, None] + reach, 0, r.shape[1] - 1)
        r[rows[:, None], near] = -np.inf
    return at, height


@dataclass(frozen=True, slots=True, eq=False)
class Fine:
    """What the phase says about windows that already lie within a sample or two of their place.

    Attributes:
        shift: shape (n,), samples by which the mix's window lies too early (add it to the lag).
        sigma: shape (n,), standard deviation of `shift`, samples.
        centre: shape (n,), where in the window the common energy lies, samples from its start: with a
            clock that drifts, the lag is the lag there, not in the window's middle.
        gain_db: shape (n,), how strongly what is in the mix's window is in the part's, dB.
        coherence: shape (n,), 0 to 1: share of the part's window that the mix explains.
    """

    shift: FloatArray
    sigma: FloatArray
    centre: FloatArray
    gain_db: FloatArray
    coherence: FloatArray


GROUP = 16
"""Bins in one group: within it a shift of a sample or two turns the phase by little."""


def refine(part: Float32Array, mix: Float32Array) -> Fine:
    """Sub-sample shift between rows of `part` and `mix`, both of shape (n, w).

    The cross-spectrum's phase falls as ω·shift. Bins are summed in groups; each group is weighted by
    coherence / (1 − coherence), which is what maximum likelihood gives (Knapp & Carter 1976, eq. 27), and
    the slope is the weighted least-squares one, reached in a few turns.
    """
    n_fft = part.shape[1]
    taper = np.hanning(n_fft).astype(np.float32)
    inside = band(n_fft)
    x = _groups(fft.rfft(part * taper), inside)
    y = _groups(fft.rfft(mix * taper), inside)
    omega = 2.0 * np.pi * (inside.start + (np.arange(x.shape[1]) + 0.5) * GROUP) / n_fft
    cross = np.einsum("ngk,ngk->ng", x, y.conj()).astype(np.complex128)
    pxx, pyy = _power(x), _power(y)
    coherence = np.clip(np.abs(cross) ** 2 / np.maximum(pxx * pyy, 1e-20), 0.0, 0.98)
    # Chance alone gives a group of n bins a coherence of about 1.5/n under a taper that spans 1.5 bins.
    weight = np.maximum(coherence - 2.0 / GROUP, 1e-9) / (1.0 - coherence)
    shift, phase = np.zeros(len(x)), np.angle(cross)
    for _ in range(5):
        angle = _wrapped(phase - omega * shift[:, None])
        near = weight * (np.abs(angle) < 1.5)
        bend = np.sum(near * omega**2, axis=1) + 1e-12
        step = np.sum(near * omega * angle, axis=1) / bend
        shift = shift + np.clip(step, -1.0, 1.0)
    spare = np.sum(near * angle**2, axis=1) / np.sum(near + 1e-12, axis=1)
    sigma = np.sqrt(spare * np.sum(near**2 * omega**2, axis=1)) / bend
    turned = np.abs(cross) * np.cos(phase - omega * shift[:, None])
    gain = np.mean(turned / np.maximum(pyy, 1e-12), axis=1)
    explained = np.sum(coherence * pxx, axis=1) / np.maximum(np.sum(pxx, axis=1), 1e-12)
    centre = _common_centre(part, mix, taper)
    return Fine(shift, sigma, centre, 20.0 * np.log10(np.maximum(gain, 1e-6)), explained)


def _common_centre(part: Float32Array, mix: Float32Array, taper: Float32Array) -> FloatArray:
    """Centre of the energy that both rows share, in samples; a first difference stands for whitening."""
    common = np.abs(np.diff(part, axis=1) * np.diff(mix, axis=1)) * taper[1:] ** 2
    at = np.arange(1, part.shape[1], dtype=np.float32)
    return np.asarray((common @ at) / np.maximum(common.sum(axis=1), 1e-12), dtype=np.float64)


def _groups(spectrum: npt.NDArray[np.complexfloating], inside: slice) -> Complex64Array:
    """Bins inside the band, shape (n, groups, GROUP)."""
    n_groups = (inside.stop - inside.start) // GROUP
    kept = spectrum[:, inside.start : inside.start + n_groups * GROUP]
    return np.ascontiguousarray(kept.reshape(len(spectrum), n_groups, GROUP), dtype=np.complex64)


def _power(groups: Complex64Array) -> FloatArray:
    """Energy of each group."""
    values = groups.view(np.float32)
    return np.asarray(np.einsum("ngk,ngk->ng", values, values), dtype=np.float64)


def _wrapped(angle: FloatArray) -> FloatArray:
    """Angles within ±π."""
    return angle - 2.0 * np.pi * np.rint(angle / (2.0 * np.pi))
