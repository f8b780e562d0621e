"""Transform arrays of frames: real Fourier transforms, sliding means and extremes.

SciPy has all of these. Its import takes twice as long as NumPy's, more than all else that a short meeting
needs, and NumPy's transforms are the same code (pocketfft); `tests/core/test_transforms.py` compares.
"""

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from recall_audio.typing import Complex64Array, Float32Array

Outside = Literal["nearest", "zero"]
"""What stands beyond both ends of an array: its last value, or zero."""


def rfft(x: Float32Array, n: int | None = None, axis: int = -1) -> Complex64Array:
    """Return the Fourier transform of real float32 values, in single precision.

    Args:
        x: float32, any shape.
        n: values taken along the axis: the rest is cut off, or filled up with zeros; None for all.
        axis: along which it is transformed.

    Returns:
        complex64, n // 2 + 1 values along the axis.
    """
    n = x.shape[axis] if n is None else n
    if n > x.shape[axis]:
        # NumPy's own filling up takes three times as long, for rows of many samples.
        filled = np.zeros((*x.shape[:axis], n, *x.shape[axis:][1:]), dtype=x.dtype)
        np.moveaxis(filled, axis, 0)[: x.shape[axis]] = np.moveaxis(x, axis, 0)
        x = filled
    # Without a factor NumPy computes float32 in double precision, at twice the time.
    spectrum: npt.NDArray[Any] = np.fft.rfft(x, n, axis, norm="forward")
    spectrum *= np.float32(n)
    return spectrum


def irfft(spectrum: Complex64Array, n: int, axis: int = -1) -> Float32Array:
    """Return the `n` real values along the axis whose transform is given, in its precision."""
    return np.asarray(np.fft.irfft(spectrum, n, axis), dtype=np.float32)


def fast_length(n: int) -> int:
    """Return the smallest product of 2, 3 and 5 that is at least `n`: a length that transforms quickly."""
    best = 1 << max(n - 1, 0).bit_length()
    fives = 1
    while fives < best:
        threes = fives
        while threes < best:
            best = min(best, threes << max(-(-n // threes) - 1, 0).bit_length())
            threes *= 3
        fives *= 5
    return best


def sliding_mean(x: Float32Array, width: int, axis: int = 0, outside: Outside = "nearest") -> Float32Array:
    """Return the mean over `width` values about each one; one more before it than after for an even width.

    Sums of 1, 2, 4, ... values are made from one another, and those that make up the width are added: a few
    passes over contiguous memory, without the cancellation of a running sum.
    """
    padded = _padded(x, width, axis, outside)
    n = len(padded) - width + 1
    total = np.zeros((n, *padded.shape[1:]), dtype=np.float32)
    sums, size, start = padded, 1, 0
    while True:
        if width & size:
            total += sums[start : start + n]
            start += size
        if 2 * size > width:
            total /= np.float32(width)
            return np.moveaxis(total, 0, axis)
        sums = sums[:-size] + sums[size:]
        size *= 2


def sliding_highest(x: Float32Array, width: int, axis: int = 0, before: int | None = None) -> Float32Array:
    """Return the highest of the `width` values about each one, of which `before` come before it."""
    highest, size = _padded(x, width, axis, "nearest", before), 1
    while size < width:
        step = min(size, width - size)
        highest = np.maximum(highest[:-step], highest[step:])
        size += step
    return np.moveaxis(highest, 0, axis)


def sliding_lowest(x: Float32Array, width: int, axis: int = 0, before: int | None = None) -> Float32Array:
    """Return the lowest of the `width` values about each one, of which `before` come before it."""
    return -sliding_highest(-x, width, axis, before)


def _padded(
    x: Float32Array, width: int, axis: int, outside: Outside, before: int | None = None
) -> Float32Array:
    """Return the values with the axis first, and `width` - 1 more of them at its ends."""
    x = np.moveaxis(x, axis, 0)
    before = width // 2 if before is None else before
    padded = np.zeros((len(x) + width - 1, *x.shape[1:]), dtype=np.float32)
    padded[before : before + len(x)] = x
    if outside == "nearest" and len(x):
        padded[:before] = x[0]
        padded[before + len(x) :] = x[-1]
    return padded
