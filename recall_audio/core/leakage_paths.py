"""The way a voice takes from its own track into another's: an impulse response for each ordered pair.

What listener i hears while others speak is modelled as the sum of the others' tracks, each through a linear
path, and the paths are found together by least squares in the frequency domain::

    Y_i(f, t) ≈ Σ_j H_ij(f) X_j(f, t)      minimise over windows t in which i is not the one who speaks

Windows of 1 s: longer than a delay and the reverberation of a room, so that the product is a convolution to
good measure. Together, because a source's track holds third parties' voices too: each alone would be blamed
for them. The sums that this takes are kept for each ten seconds apart: the gains come from them as well, and
follow people who move and volumes that change.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from recall_audio.core.speech_frames import Mask
from recall_audio.core.speech_placed import HALF_RATE_HZ
from recall_audio.model.detector import FloatArray

N_TAPS, N_BEFORE = 4096, 800
"""Taps of a path at 8 kHz: from 100 ms before to 412 ms after."""

WINDOW, HOP = 8192, 4096
"""Samples of a window, and from one to the next, at 8 kHz."""

GAIN_FRAMES = 1000
"""Frames of a gain window: ten seconds."""

_FRAME = HALF_RATE_HZ // 100
_N_BINS = WINDOW // 2 + 1
_FEWEST_WINDOWS = 6
_SHRINK = 1.5
_STRONGEST = 1.0
_SPEAKS = 0.4
_HELD_HERE, _HELD_OVERALL = 0.1, 0.05

Complex = npt.NDArray[np.complex64]
Windows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Path:
    """How a source's voice reaches a listener's track.

    Attributes:
        response: shape (4097,), at the frequencies of a window of 8192 samples at 8 kHz.
        delay_ms: lag of the strongest tap; positive: later in the listener's track.
        peak_db: power of the strongest tap over the background of taps.
    """

    response: Complex
    delay_ms: float
    peak_db: float


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """What one listener's windows come to, for each ten seconds g apart.

    Attributes:
        sources: labels, in the order of j and k.
        cross: shape (g, j, k, f), Σ conj(X_j) X_k.
        heard: shape (g, j, f), Σ conj(X_j) Y.
        power: shape (g,), Σ |Y|².
        spoke: shape (g, j), windows in which j is the one who speaks.
    """

    sources: tuple[str, ...]
    cross: Complex
    heard: Complex
    power: npt.NDArray[np.float64]
    spoke: npt.NDArray[np.int64]


def n_windows(n_samples: int) -> int:
    """Windows in a signal of `n_samples` at 8 kHz."""
    return max(0, (n_samples - WINDOW) // HOP + 1)


def share(mask: Mask, n: int) -> npt.NDArray[np.float64]:
    """The part of each of `n` windows that `mask`, a value each 10 ms, covers."""
    total = np.r_[0, np.cumsum(mask)]
    first = np.minimum(np.arange(n) * HOP // _FRAME, len(mask))
    last = np.minimum(first + WINDOW // _FRAME, len(mask))
    return np.asarray((total[last] - total[first]) * _FRAME / WINDOW)


def usable(speaking: Mapping[str, Mask], listener: str, n: int) -> Windows:
    """Windows, of `n`, in which others speak and the listener does not."""
    others = sum((share(m, n) for k, m in speaking.items() if k != listener), np.zeros(n))
    return np.flatnonzero((others > _SPEAKS) & (share(speaking[listener], n) <= 0.08))


def learnt_from(
    speaking: Mapping[str, Mask], listener: str, sources: Sequence[str], n: int, most: int
) -> Windows:
    """At most about `most` of the :func:`usable` windows, each source's share of them alike.

    Whoever speaks seldom would else be in hardly any of them, and their path be left unknown.
    """
    windows = usable(speaking, listener, n)
    quota = -(-most // max(len(sources), 1))
    chosen = [thinned(windows[share(speaking[j], n)[windows] > _SPEAKS], quota) for j in sources]
    return np.unique(np.concatenate([*chosen, thinned(windows, quota)]))


def thinned(windows: Windows, most: int) -> Windows:
    """At most about `most` of them, evenly spread."""
    return windows[:: max(1, -(-len(windows) // most))]


def gather(
    signals: Mapping[str, FloatArray],
    listener: str,
    sources: Sequence[str],
    windows: Windows,
    speaking: Mapping[str, Mask],
) -> Sums | None:
    """The sums over some windows; None where they are too few to learn from.

    Args:
        signals: 8 kHz tracks on one clock, of one length.
        listener: in whose track voices are looked for.
        sources: whose voices.
        windows: by index.
        speaking: by label, frames of 10 ms in which each is the one who speaks.
    """
    if len(windows) < _FEWEST_WINDOWS or not sources:
        return None
    length = len(signals[listener])
    n_gains, n = -(-length // (GAIN_FRAMES * _FRAME)), len(sources)
    cross = np.zeros((n_gains, n, n, _N_BINS), dtype=np.complex64)
    heard = np.zeros((n_gains, n, _N_BINS), dtype=np.complex64)
    power = np.zeros(n_gains)
    spoke = np.zeros((n_gains, n), dtype=np.int64)
    shares = [share(speaking[j], n_windows(length)) > _SPEAKS for j in sources]
    for w in windows:
        g = (w * HOP + WINDOW // 2) // (GAIN_FRAMES * _FRAME)
        x = np.stack([_spectrum(signals[j], w) for j in sources])
        y = _spectrum(signals[listener], w)
        conjugate = x.conj()
        for j in range(n):
            cross[g, j] += conjugate[j] * x
        heard[g] += conjugate * y
        power[g] += float(np.vdot(y, y).real)
        spoke[g] += [s[w] for s in shares]
    return Sums(tuple(sources), cross, heard, power, spoke)


def _spectrum(signal: FloatArray, w: int) -> Complex:
    import scipy.fft

    return np.asarray(scipy.fft.rfft(signal[w * HOP : w * HOP + WINDOW] * _hann()))


@cache
def _hann() -> FloatArray:
    return np.hanning(WINDOW + 1)[:-1].astype(np.float32)


def solve(sums: Sums) -> list[Path]:
    """Paths of all sources together: least squares for each frequency, held a little towards 0."""
    r, p = sums.cross.sum(axis=0), sums.heard.sum(axis=0)
    power = np.real(np.einsum("aak->ak", r))
    ridge = 3e-3 * power + 1e-3 * power.mean() + 1e-12
    matrix = np.moveaxis(r, 2, 0) + np.eye(len(p)) * ridge.T[:, None, :]
    h = np.linalg.solve(matrix, p.T[..., None])[..., 0].T
    # What leaks is fainter than where it comes from; a stronger answer is a path read backwards.
    h = h / np.maximum(np.abs(h) / _STRONGEST, 1)
    return [_path(row) for row in h.astype(np.complex64)]


def _path(h: Complex) -> Path:
    """A path from its raw response; taps that do not rise above the background of taps are taken for none."""
    import scipy.fft
    from scipy.ndimage import uniform_filter1d

    taps = np.roll(scipy.fft.irfft(h, WINDOW), N_BEFORE)
    power = taps**2
    noise = float(np.median(power)) / 0.455 + 1e-20  # the median of a squared normal is 0.455 of its mean
    local = uniform_filter1d(power, 17)
    # Wiener's gain, (signal) / (signal + noise), with some more taken off.
    taps *= np.clip(1 - _SHRINK * noise / np.maximum(local, 1e-20), 0, 1)
    taps[N_TAPS:] = 0
    peak = int(np.argmax(uniform_filter1d(uniform_filter1d(taps**2, 5), 5)))  # where most of it arrives
    response = scipy.fft.rfft(np.roll(taps, -N_BEFORE).astype(np.float32))
    at_ms = (peak - N_BEFORE) * 1000 / HALF_RATE_HZ
    return Path(np.asarray(response), at_ms, float(10 * np.log10(power[:N_TAPS].max() / noise)))


def gains(sums: Sums, paths: Sequence[Path]) -> FloatArray:
    """How loud each leak really is in each ten seconds, all of them together: shape (g, j), factors.

    By least squares again, held towards 1 (ridge regression) where ten seconds tell little.
    """
    h = np.stack([p.response for p in paths])
    bent = h.conj()[None] * np.einsum("gjkf,kf->gjkf", sums.cross, h).transpose(2, 0, 1, 3)
    gram = np.real(bent.sum(axis=-1)).transpose(1, 2, 0)
    wanted = np.real(np.einsum("jf,gjf->gj", h.conj(), sums.heard))
    power = np.einsum("gjj->gj", gram)
    ridge = _HELD_HERE * power + _HELD_OVERALL * power.mean(axis=0) + 1e-12
    left = gram + np.eye(len(paths)) * ridge[:, None, :]
    return np.asarray(np.linalg.solve(left, (wanted + ridge)[..., None])[..., 0], dtype=np.float32)


def told(sums: Sums, paths: Sequence[Path]) -> tuple[FloatArray, FloatArray]:
    """What a reader may know of each path: its gain in dB (j,), and how alike what it predicts is (g, j)."""
    h = np.stack([p.response for p in paths])
    own = np.real(np.einsum("gjjf->gjf", sums.cross))
    leaked = np.einsum("jf,gjf->gj", np.abs(h) ** 2, own)
    gain_db = 10 * np.log10(leaked.sum(axis=0) / np.maximum(own.sum(axis=(0, 2)), 1e-15) + 1e-12)
    both = np.real(np.einsum("jf,gjf->gj", h.conj(), sums.heard))
    alike = np.clip(both / np.sqrt(np.maximum(leaked * sums.power[:, None], 1e-30)), 0, 1)
    return gain_db.astype(np.float32), alike.astype(np.float32)
