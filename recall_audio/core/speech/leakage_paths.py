"""The way a voice takes from its own track into another's: an impulse response for each ordered pair.

What listener i hears while others speak is modelled as the sum of the others' tracks, each through a linear
path, and the paths are found together by least squares in the frequency domain::

    Y_i(f, t) ≈ Σ_j H_ij(f) X_j(f, t)      minimise over windows t in which i is not the one who speaks

IntArray of 1 s: longer than a delay and the reverberation of a room, so that the product is a convolution to
good measure. Together, because a source's track holds third parties' voices too: each alone would be blamed
for them. The sums that this takes are kept for each ten seconds apart: the gains come from them as well, and
follow people who move and volumes that change.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from recall_audio.core.speech.on_mix import HALF_RATE_HZ
from recall_audio.typing import BoolArray, Complex64Array, Float32Array, FloatArray, IntArray

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


@dataclass(frozen=True, slots=True, eq=False)
class Path:
    """How a source's voice reaches a listener's track.

    Attributes:
        response: shape (4097,), at the frequencies of a window of 8192 samples at 8 kHz.
        delay_ms: lag of the strongest tap; positive: later in the listener's track.
        peak_db: power of the strongest tap over the background of taps.
    """

    response: Complex64Array
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
    cross: Complex64Array
    heard: Complex64Array
    power: FloatArray
    spoke: IntArray


def n_windows(n_samples: int) -> int:
    """Windows in a signal of `n_samples` at 8 kHz."""
    return max(0, (n_samples - WINDOW) // HOP + 1)


def share(mask: BoolArray, n: int) -> FloatArray:
    """The part of each of `n` windows that `mask`, a value each 10 ms, covers."""
    total = np.r_[0, np.cumsum(mask)]
    first = np.minimum(np.arange(n) * HOP // _FRAME, len(mask))
    last = np.minimum(first + WINDOW // _FRAME, len(mask))
    return np.asarray((total[last] - total[first]) * _FRAME / WINDOW)


def usable(speaking: Mapping[str, BoolArray], listener: str, n: int) -> IntArray:
    """Windows, of `n`, in which others speak and the listener does not."""
    others = sum((share(m, n) for k, m in speaking.items() if k != listener), np.zeros(n))
    return np.flatnonzero((others > _SPEAKS) & (share(speaking[listener], n) <= 0.08))


def learnt_from(
    speaking: Mapping[str, BoolArray], listener: str, sources: Sequence[str], n: int, most: int
) -> IntArray:
    """At most about `most` of the :func:`usable` windows, each source's share of them alike.

    Whoever speaks seldom would else be in hardly any of them, and their path be left unknown.
    """
    windows = usable(speaking, listener, n)
    quota = -(-most // max(len(sources), 1))
    chosen = [thinned(windows[share(speaking[j], n)[windows] > _SPEAKS], quota) for j in sources]
    return np.unique(np.concatenate([*chosen, thinned(windows, quota)]))


def thinned(windows: IntArray, most: int) -> IntArray:
    """At most about `most` of them, evenly spread."""
    return windows[:: max(1, -(-len(windows) // most))]


def gather(
    signals: Mapping[str, Float32Array],
    listener: str,
    sources: Sequence[str],
    windows: IntArray,
    speaking: Mapping[str, BoolArray],
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


def _spectrum(signal: Float32Array, w: int) -> Complex64Array:
    import scipy.fft

    return np.asarray(scipy.fft.rfft(signal[w * HOP : w * HOP + WINDOW] * _hann()))


@cache
def _hann() -> Float32Array:
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


def _path(h: Complex64Array) -> Path:
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


def gains(sums: Sums, paths: Sequence[Path]) -> Float32Array:
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


def told(sums: Sums, paths: Sequence[Path]) -> tuple[Float32Array, Float32Array]:
    """What a reader may know of each path: its gain in dB (j,), and how alike what it predicts is (g, j)."""
    h = np.stack([p.response for p in paths])
    own = np.real(np.einsum("gjjf->gjf", sums.cross))
    leaked = np.einsum("jf,gjf->gj", np.abs(h) ** 2, own)
    gain_db = 10 * np.log10(leaked.sum(axis=0) / np.maximum(own.sum(axis=(0, 2)), 1e-15) + 1e-12)
    both = np.real(np.einsum("jf,gjf->gj", h.conj(), sums.heard))
    alike = np.clip(both / np.sqrt(np.maximum(leaked * sums.power[:, None], 1e-30)), 0, 1)
    return gain_db.astype(np.float32), alike.astype(np.float32)


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
    gain: Float32Array


def predict(
    signals: Mapping[str, Float32Array], ways: Mapping[str, Sequence[Way]]
) -> dict[str, Float32Array]:
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


def _blocks(signal: Float32Array, first: int, count: int) -> Float32Array:
    """Blocks `first` to ``first + count``, each with what its answer needs on both sides: (count, 8192)."""
    start = first * HOP - _GOOD
    end = start + (count - 1) * HOP + WINDOW
    inside = signal[max(start, 0) : min(end, len(signal))]
    padded = np.zeros(end - start, dtype=np.float32)
    skipped = max(-start, 0)
    padded[skipped : skipped + len(inside)] = inside
    return np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]


def _factor(gain: Float32Array, at_s: FloatArray) -> Float32Array:
    """The gain at some moments, straight between the middles of its windows."""
    middle_s = (np.arange(len(gain)) + 0.5) * GAIN_FRAMES / 100
    return np.interp(at_s, middle_s, np.clip(gain, _LEAST, _MOST)).astype(np.float32)
