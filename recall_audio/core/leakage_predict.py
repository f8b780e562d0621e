"""Leaked voices as a path predicts them: a convolution block by block (overlap-add), 16 kHz in, 8 kHz out.

::

    source    |--block 0--|--block 1--|--block 2--|
    × path    |--------- 0 --------|
                          |--------- 1 --------|      each block's answer is longer than the block:
                                      |--------...    where they overlap they are added
"""

import numpy as np
import numpy.typing as npt

from recall_audio.core.leakage_paths import N_BEFORE, N_TAPS, Complex, Path
from recall_audio.model.detector import FloatArray

_BLOCK = 4096
_FFT = 2 * _BLOCK
_HALF = _BLOCK // 2
_N_BINS = _FFT // 4 + 1
_AT_ONCE = 64
_HELD_HERE, _HELD_OVERALL = 0.1, 0.05


class Predictor:
    """One source's signal, ready to be sent along paths."""

    def __init__(self, signal: npt.NDArray[np.int16]) -> None:
        self._n = len(signal) // 2
        self._blocks = _block_spectra(signal)

    def unchanged(self) -> FloatArray:
        """The source itself at 8 kHz, shape (n // 2,)."""
        return _added(self._blocks, None)[: self._n]

    def along(self, path: Path) -> FloatArray:
        """The source as the listener hears it, 8 kHz, shape (n // 2,)."""
        out = np.zeros(self._n + N_TAPS, dtype=np.float32)
        for first in range(0, N_TAPS, _HALF):
            taps = path.taps[first : first + _HALF]
            if np.any(taps):
                y = _added(self._blocks, taps)[: self._n + N_TAPS - first]
                out[first : first + len(y)] += y
        return out[N_BEFORE : N_BEFORE + self._n]


def _block_spectra(signal: npt.NDArray[np.int16]) -> Complex:
    """Spectra up to 4 kHz of the blocks, each followed by as much silence."""
    import scipy.fft

    n_blocks = -(-len(signal) // _BLOCK)
    out = np.zeros((n_blocks, _N_BINS), dtype=np.complex64)
    for i in range(0, n_blocks, _AT_ONCE):
        x = np.asarray(signal[i * _BLOCK : (i + _AT_ONCE) * _BLOCK], dtype=np.float32) / 32768
        x = np.pad(x, (0, -len(x) % _BLOCK)).reshape(-1, _BLOCK)
        # Half the bins mean half the rate, and the inverse divides by half the length: hence the half.
        out[i : i + len(x)] = scipy.fft.rfft(x, _FFT, axis=1)[:, :_N_BINS] * np.float32(0.5)
    return out


def _added(blocks: Complex, taps: FloatArray | None) -> FloatArray:
    import scipy.fft

    response = None if taps is None else scipy.fft.rfft(taps, _BLOCK).astype(np.complex64)
    out = np.zeros((len(blocks) + 1) * _HALF, dtype=np.float32)
    for i in range(0, len(blocks), _AT_ONCE):
        part = blocks[i : i + _AT_ONCE]
        y = scipy.fft.irfft(part if response is None else part * response, _BLOCK, axis=1)
        n = len(part)
        out[i * _HALF : (i + n) * _HALF] += y[:, :_HALF].reshape(-1)
        out[(i + 1) * _HALF : (i + n + 1) * _HALF] += y[:, _HALF:].reshape(-1)
    return out


def window_gains(
    heard: FloatArray, predicted: FloatArray, speaking: npt.NDArray[np.bool_], n_frames: int
) -> tuple[FloatArray, FloatArray]:
    """How much of a prediction there really is, in windows of `n_frames` frames of 10 ms.

    Args:
        heard: the listener's track, 8 kHz.
        predicted: the leaked voice as predicted, 8 kHz.
        speaking: frames in which the source is the one who speaks.
        n_frames: frames a window.

    Returns:
        for each window the factor by least squares, NaN where the source does not speak for half a second,
        and the correlation of the two, 0 to 1.
    """
    hop = 80
    n = min(len(speaking), len(heard) // hop)
    x, y = (a[: n * hop].reshape(n, hop) for a in (predicted, heard))
    xx, xy, yy = (np.einsum("ij,ij->i", a, b) * speaking[:n] for a, b in ((x, x), (x, y), (y, y)))
    starts = np.arange(0, n, n_frames)
    sums = [np.add.reduceat(v, starts) for v in (xx, xy, yy, speaking[:n].astype(np.float64))]
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = np.where((sums[3] >= 50) & (sums[0] > 0), sums[1] / sums[0], np.nan)
        alike = np.clip(sums[1] / np.sqrt(sums[0] * sums[2]), 0, 1)
    return gain.astype(np.float32), np.nan_to_num(alike).astype(np.float32)


def joint_gains(
    heard: FloatArray, predicted: list[FloatArray], usable: npt.NDArray[np.bool_], n_frames: int
) -> list[FloatArray]:
    """How loud each prediction really is in each window, all of them together.

    One source's track holds third parties' voices too, so the paths explain a track only as a sum: their
    gains are found together, by least squares, held towards 1 (ridge regression) where a window tells little.

    Args:
        heard: the listener's track, 8 kHz.
        predicted: the leaked voices as predicted, 8 kHz.
        usable: frames of 10 ms in which the listener does not speak.
        n_frames: frames a window.

    Returns:
        for each prediction its factor in each window.
    """
    hop, n = 80, min(len(usable), len(heard) // 80)
    rows = [x[: n * hop].reshape(n, hop) for x in (heard, *predicted)]
    starts = np.arange(0, n, n_frames)
    held = usable[:n].astype(np.float64)
    products = np.array(
        [[np.add.reduceat(np.einsum("ij,ij->i", a, b) * held, starts) for b in rows] for a in rows[1:]]
    )  # shape (sources, 1 + sources, windows)
    wanted, gram = products[:, 0].T, np.moveaxis(products[:, 1:], 2, 0)
    power = np.einsum("wii->wi", gram)
    ridge = _HELD_HERE * power + _HELD_OVERALL * power.mean(axis=0) + 1e-12
    left = gram + np.eye(len(predicted)) * ridge[:, None, :]
    factor = np.linalg.solve(left, (wanted + ridge)[..., None])[..., 0]
    return [g.astype(np.float32) for g in factor.T]


def scaled(predicted: FloatArray, gain: FloatArray, n_frames: int) -> FloatArray:
    """`predicted` with each window's factor, straight in between; 1 where none could be found."""
    known = np.flatnonzero(np.isfinite(gain))
    if len(known) == 0:
        return predicted
    middle = (known + 0.5) * n_frames * 80
    at = np.arange(0, len(predicted), 80)
    factor = np.interp(at, middle, np.clip(gain[known], 0.2, 4.0)).astype(np.float32)
    return np.asarray(predicted * np.repeat(factor, 80)[: len(predicted)], dtype=np.float32)
