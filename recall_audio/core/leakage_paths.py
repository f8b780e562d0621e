"""The way a voice takes from its own track into another's: an impulse response for each ordered pair.

What listener i hears while others speak is modelled as the sum of the others' tracks, each through a linear
path, and the paths are found together by least squares in the frequency domain::

    Y_i(f, t) ≈ Σ_j H_ij(f) X_j(f, t)      minimise over windows t in which i is not the one who speaks

Windows of 1 s: longer than a delay and the reverberation of a room, so that the product is a convolution to
good measure. Together, because a source's track holds third parties' voices too: each alone would be blamed
for them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recall_audio.core.speech_frames import Mask
from recall_audio.model.detector import FloatArray
from recall_audio.units import FRAME_SAMPLES

PATH_RATE_HZ = 8000
"""Rate of a path's taps: speech above 4 kHz adds nothing to the decision."""

N_TAPS, N_BEFORE = 4096, 800
"""Taps of a path: from 100 ms before to 412 ms after."""

WINDOW, HOP = 16384, 8192
_N_BINS = WINDOW // 4 + 1
_FEWEST_WINDOWS = 6
_SHRINK = 1.5
_STRONGEST = 1.0

Complex = npt.NDArray[np.complex64]


@dataclass(frozen=True, slots=True, eq=False)
class Path:
    """How a source's voice reaches a listener's track.

    Attributes:
        taps: shape (4096,), 8 kHz, the first 100 ms before lag 0.
        delay_ms: lag of the strongest tap; positive: later in the listener's track.
        peak_db: power of the strongest tap over the background of taps.
    """

    taps: FloatArray
    delay_ms: float
    peak_db: float


def share(mask: Mask, n_windows: int) -> npt.NDArray[np.float64]:
    """The part of each window that `mask`, a value each 10 ms, covers."""
    total = np.r_[0, np.cumsum(mask)]
    first = np.minimum(np.arange(n_windows) * HOP // FRAME_SAMPLES, len(mask))
    last = np.minimum(first + WINDOW // FRAME_SAMPLES, len(mask))
    return np.asarray((total[last] - total[first]) * FRAME_SAMPLES / WINDOW)


def usable(speaking: Mapping[str, Mask], listener: str, n_samples: int) -> npt.NDArray[np.int64]:
    """Windows in which others speak and the listener does not."""
    n = max(0, (n_samples - WINDOW) // HOP + 1)
    others = sum((share(m, n) for k, m in speaking.items() if k != listener), np.zeros(n))
    return np.flatnonzero((others > 0.4) & (share(speaking[listener], n) <= 0.08))


def learnt_from(
    speaking: Mapping[str, Mask], listener: str, sources: Sequence[str], n_samples: int, most: int
) -> npt.NDArray[np.int64]:
    """At most about `most` of the :func:`usable` windows, each source's share of them alike.

    Whoever speaks seldom would else be in hardly any of them, and their path be left unknown.
    """
    windows = usable(speaking, listener, n_samples)
    n = max(0, (n_samples - WINDOW) // HOP + 1)
    quota = -(-most // max(len(sources), 1))
    chosen = [thinned(windows[share(speaking[j], n)[windows] > 0.4], quota) for j in sources]
    return np.unique(np.concatenate([*chosen, thinned(windows, quota)])) if chosen else windows


def thinned(windows: npt.NDArray[np.int64], most: int) -> npt.NDArray[np.int64]:
    """At most about `most` of them, evenly spread."""
    return windows[:: max(1, -(-len(windows) // most))]


def find_paths(
    signals: Mapping[str, npt.NDArray[np.int16]],
    windows: Mapping[str, npt.NDArray[np.int64]],
    sources: Mapping[str, Sequence[str]],
) -> dict[tuple[str, str], Path]:
    """Paths from `sources` of each listener, by (source, listener).

    Args:
        signals: 16 kHz tracks on one clock, of one length.
        windows: for each listener the windows to learn from, by index.
        sources: for each listener who may be heard in its track.
    """
    sums = {
        i: (np.zeros((len(j), len(j), _N_BINS), np.complex64), np.zeros((len(j), _N_BINS), np.complex64))
        for i, j in sources.items()
        if len(windows[i]) >= _FEWEST_WINDOWS and j
    }
    for w in sorted({int(w) for i in sums for w in windows[i]}):
        users = [i for i in sums if w in set(windows[i].tolist())]
        spectra = _spectra(signals, {k for i in users for k in (i, *sources[i])}, w)
        for i in users:
            x = np.stack([spectra[j] for j in sources[i]])
            r, p = sums[i]
            r += x.conj()[:, None] * x[None]
            p += x.conj() * spectra[i]
    paths = {}
    for i, (r, p) in sums.items():
        for j, h in zip(sources[i], _solve(r, p), strict=True):
            paths[j, i] = _path(h)
    return paths


def _spectra(signals: Mapping[str, npt.NDArray[np.int16]], labels: set[str], w: int) -> dict[str, Complex]:
    import scipy.fft

    hann = np.hanning(WINDOW + 1)[:-1].astype(np.float32) / 32768
    at = slice(w * HOP, w * HOP + WINDOW)
    return {k: scipy.fft.rfft(signals[k][at] * hann)[:_N_BINS] for k in labels}


def _solve(r: Complex, p: Complex) -> Complex:
    """Least squares for each frequency, a little towards 0."""
    n = len(p)
    power = np.real(np.einsum("aak->ak", r))
    ridge = 3e-3 * power + 1e-3 * power.mean() + 1e-12
    matrix = np.moveaxis(r, 2, 0) + np.eye(n) * ridge.T[:, None, :]
    h = np.linalg.solve(matrix, p.T[..., None])[..., 0].T
    # What leaks is fainter than where it comes from; a stronger answer is a path read backwards.
    return np.asarray(h / np.maximum(np.abs(h) / _STRONGEST, 1), dtype=np.complex64)


def _path(h: Complex) -> Path:
    """Taps of a transfer function; those that do not rise above the background of taps are taken for none."""
    import scipy.fft
    from scipy.ndimage import uniform_filter1d

    taps = np.roll(scipy.fft.irfft(h, WINDOW // 2), N_BEFORE)
    power = taps**2
    noise = float(np.median(power)) / 0.455 + 1e-20  # the median of a squared normal is 0.455 of its mean
    local = uniform_filter1d(power, 17)
    # Wiener's gain, (signal) / (signal + noise), with some more taken off.
    kept = (taps * np.clip(1 - _SHRINK * noise / np.maximum(local, 1e-20), 0, 1))[:N_TAPS]
    peak = int(np.argmax(uniform_filter1d(kept**2, 9)))
    at_ms = (peak - N_BEFORE) * 1000 / PATH_RATE_HZ
    return Path(kept.astype(np.float32), at_ms, float(10 * np.log10(power[:N_TAPS].max() / noise)))
