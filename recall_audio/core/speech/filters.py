"""Filter values along time: running means and extremes, gaps, decibels. Frames lie on the first axis."""

from typing import Any

import numpy as np
import numpy.typing as npt

from recall_audio.typing import BoolArray, Float32Array


def mean(x: Float32Array, width: int) -> Float32Array:
    """Return the running mean over `width` frames."""
    from scipy.ndimage import uniform_filter1d

    return np.asarray(uniform_filter1d(x, width, axis=0, mode="nearest"), dtype=np.float32)


def mean_or_zero(x: Float32Array, width: int, axis: int = -1) -> Float32Array:
    """Return the running mean over `width` frames along one axis, zero outside."""
    from scipy.ndimage import uniform_filter1d

    return np.asarray(uniform_filter1d(x, width, axis=axis, mode="constant"), dtype=np.float32)


def highest(x: Float32Array, width: int) -> Float32Array:
    """Return the highest value within `width` frames, centred."""
    from scipy.ndimage import maximum_filter1d

    return np.asarray(maximum_filter1d(x, width, axis=0, mode="nearest"), dtype=np.float32)


def lowest(x: Float32Array, width: int) -> Float32Array:
    """Return the lowest value within `width` frames, centred."""
    from scipy.ndimage import minimum_filter1d

    return np.asarray(minimum_filter1d(x, width, axis=0, mode="nearest"), dtype=np.float32)


def near(mask: BoolArray, reach: int) -> BoolArray:
    """Return the frames within `reach` frames of a true one."""
    return np.asarray(highest(mask.astype(np.float32), 2 * reach + 1) > 0.5)


def runs(mask: BoolArray) -> list[tuple[int, int]]:
    """Return ``(start, end)`` of each run of true frames."""
    edges = np.flatnonzero(np.diff(np.r_[0, mask.astype(np.int8), 0])).reshape(-1, 2)
    return [(int(a), int(b)) for a, b in edges]


def decibels(power: npt.NDArray[np.floating[Any]] | float) -> Float32Array:
    """Return a power in decibels."""
    return np.asarray(10 * np.log10(power), dtype=np.float32)


def log_odds(probability: Float32Array, limit: float) -> Float32Array:
    """Return the log-odds of probabilities kept `limit` away from 0 and 1."""
    p = np.clip(probability, limit, 1 - limit)
    return np.asarray(np.log(p / (1 - p)), dtype=np.float32)


def distances(mask: BoolArray, limit: int) -> tuple[Float32Array, Float32Array]:
    """Return the frames since the last and until the next true frame, at most `limit`."""
    n, at = len(mask), np.arange(len(mask))
    last = np.maximum.accumulate(np.where(mask, at, -limit - 1))
    following = np.minimum.accumulate(np.where(mask, at, n + limit)[::-1])[::-1]
    since, until = np.minimum(at - last, limit), np.minimum(following - at, limit)
    return since.astype(np.float32), until.astype(np.float32)
