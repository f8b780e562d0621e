"""Read audio between its samples, at any offset and a pace near its own.

The value at position p of samples x[i] is ``sum x[i] h(p - i)``, h a Kaiser-windowed sinc of 128 taps that
ends its transition at half the sample rate, so nothing folds back whichever way positions move:

    0 dB ───────────────────╮              pass band to 0.45 of the rate
                             ╲             transition 0.45 to 0.50
    -96 dB                    ╰────────    nothing above

Neighbouring outputs share most of their taps, so several are computed by one matrix product: a window of
samples times a band matrix with one column an output. Where positions drift, each of 192 phases of a sample
has such a matrix and its slope, side by side in one product, and the line through them stands for the phases
between; its error, (pi/192)^2 / 8, is -89 dB at half the rate and below -100 dB where voices are.
"""

import functools
import itertools
import math

import numpy as np

from recall_audio.typing import Float32Array, FloatArray, IntArray, Samples

FULL_SCALE = 32768.0
"""int16 value of full scale."""

HALF_TAPS = 64
"""Taps on each side of a position."""

STOP_BAND_DB = 96.0
"""Attenuation above half the sample rate: below one step of 16 bits."""

KAISER_BETA = 0.1102 * (STOP_BAND_DB - 8.7)
"""Parameter of the Kaiser window for this stop band (Kaiser 1974)."""

TRANSITION = (STOP_BAND_DB - 8.0) / (2.285 * 2.0 * math.pi * 2 * HALF_TAPS)
"""Width of the transition that so many taps give, in parts of the sample rate (Kaiser 1974)."""

CUTOFF = 0.5 - TRANSITION / 2.0
"""Middle of the transition, in parts of the sample rate."""

PHASES = 192
"""Matrices a sample, for positions that drift."""

BAND_COLUMNS = 64
"""Outputs of one row of a product, for positions a sample apart."""

REACH = HALF_TAPS + 2
"""Samples beyond both ends that the interpolation of a stretch reads."""

SAME_PLACE = 1e-4
"""Positions closer than this, in samples, are the same: 6 ns, the digits of a time map."""


def taps(phase: FloatArray) -> FloatArray:
    """Return the weights of the 130 samples around positions, shape (n, 130).

    Sample 64 is the one at or before the position.

    Args:
        phase: shape (n,), how far each position lies past that sample, about 0 to 1.
    """
    t = phase[:, None] + HALF_TAPS - np.arange(2 * HALF_TAPS + 2)
    window = np.i0(KAISER_BETA * np.sqrt(np.clip(1.0 - (t / HALF_TAPS) ** 2, 0.0, None))) / np.i0(KAISER_BETA)
    h = 2.0 * CUTOFF * np.sinc(2.0 * CUTOFF * t) * window * (np.abs(t) < HALF_TAPS)
    return np.asarray(h / h.sum(axis=1, keepdims=True))


def read_padded(x: Samples, start: int, stop: int) -> Float32Array | None:
    """Return samples [start, stop) at full scale 1, silence outside of `x`.

    Returns:
        Shape (stop - start,); None where all is digital silence.
    """
    first, end = max(start, 0), min(stop, len(x))
    inside = x[first:end] if first < end else x[:0]
    if not inside.any():
        return None
    out = np.zeros(stop - start, dtype=np.float32)
    out[first - start : end - start] = inside
    out *= np.float32(1.0 / FULL_SCALE)
    return out


def read_at(x: Samples, at: float, step: float, n: int) -> Float32Array | None:
    """Return values at positions ``at + k * step``, k = 0 ... n-1, silence outside of `x`.

    Exact samples where `at` is whole and `step` is 1.

    Args:
        x: samples, shape (any,), int16.
        at: first position, in samples of `x`; may lie outside.
        step: samples of `x` an output; 1 + 1e-4 reads a clock that runs 100 ppm fast. Content within
            ``step - 1`` of half the rate may fold where step is above 1.
        n: outputs.

    Returns:
        Shape (n,), full scale 1; None where all is digital silence.
    """
    whole = math.floor(at + SAME_PLACE)
    if step == 1.0 and abs(at - whole) < SAME_PLACE:
        return read_padded(x, whole, whole + n)
    first = math.floor(at) - HALF_TAPS
    last = math.floor(at + max(n - 1, 0) * step) + HALF_TAPS
    samples = read_padded(x, first - 128, last + 2 * 128)
    if samples is None:
        return None
    if step == 1.0:
        return _shifted(samples[128:], at - math.floor(at), n)
    return _drifting(samples, at - (first - 128), step, n)


def read_near(x: Samples, at: float, step: float, n: int) -> Float32Array | None:
    """Read as :func:`read_at` does, by the nearest sample: half a sample off at most.

    It serves comparisons far below half the rate. Between two places where the nearest sample moves on by
    one more or less, samples are copied as they are.
    """
    drift = step - 1.0
    first, last = round(at), round(at + max(n - 1, 0) * drift)
    moves = np.arange(min(first, last) + 0.5, max(first, last)) if drift else np.empty(0)
    cuts = np.clip(np.sort(np.ceil((moves - at) / drift)), 0, n).astype(np.int64) if len(moves) else moves
    edges = [0, *(int(c) for c in cuts), n]
    out = np.empty(n, dtype=np.float32)
    sounding = False
    for k, (a, b) in enumerate(itertools.pairwise(edges)):
        shift = first + k if drift >= 0.0 else first - k
        block = read_padded(x, a + shift, b + shift)
        out[a:b] = 0.0 if block is None else block
        sounding |= block is not None
    return out if sounding else None


def group_equal(values: IntArray) -> list[IntArray]:
    """Return the indices of equal values, one array for each value."""
    order = np.argsort(values, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(values[order])) + 1)


def _band(weights: FloatArray, n_columns: int) -> Float32Array:
    """Return the matrix for outputs a sample apart, shape (n_taps + n_columns - 1, n_columns)."""
    matrix = np.zeros((len(weights) + n_columns - 1, n_columns), dtype=np.float32)
    for column in range(n_columns):
        matrix[column : column + len(weights), column] = weights
    return matrix


def _shifted(samples: Float32Array, phase: float, n: int) -> Float32Array:
    """Return `n` values a sample apart, the first `phase` past sample 64."""
    matrix = _band_at(phase)
    n_rows = -(-n // BAND_COLUMNS)
    short = (n_rows - 1) * BAND_COLUMNS + len(matrix) - len(samples)
    if short > 0:
        samples = np.concatenate((samples, np.zeros(short, dtype=np.float32)))
    rows = np.lib.stride_tricks.sliding_window_view(samples, len(matrix))[
        : n_rows * BAND_COLUMNS : BAND_COLUMNS
    ]
    return np.asarray((rows @ matrix).ravel()[:n])


@functools.lru_cache(maxsize=16)
def _band_at(phase: float) -> Float32Array:
    """Return the matrix of one phase."""
    return _band(taps(np.array([phase]))[0], BAND_COLUMNS)


@functools.lru_cache(maxsize=4)
def _lines(n_columns: int) -> Float32Array:
    """Return matrix and slope at all phases.

    Returns:
        Shape (193, n_taps + n_columns - 1, 2 n_columns), phases from 0 to 1.
    """
    weights = taps(np.arange(-1, PHASES + 2) / PHASES)
    slopes = (weights[2:] - weights[:-2]) / 2.0
    both = zip(weights[1:-1], slopes, strict=True)
    return np.stack([np.hstack((_band(w, n_columns), _band(s, n_columns))) for w, s in both])


def _drifting(samples: Float32Array, at: float, step: float, n: int) -> Float32Array:
    """Return `n` values `step` samples apart, the first at position `at`, not below 64."""
    drift = abs(step - 1.0) * PHASES / 2.0
    width = next(w for w in (32, 16, 4, 1) if (w - 1) * drift <= 0.5)  # stay near one phase's line
    n_rows = -(-n // width)
    # Each row is centred: its middle is right with columns a whole sample apart.
    centre = at + np.arange(n_rows) * (width * step) + (width - 1) / 2.0 * (step - 1.0)
    base = np.floor(centre).astype(np.int64)
    cell = np.rint((centre - base) * PHASES).astype(np.int64)
    off = ((centre - base) * PHASES - cell).astype(np.float32)
    lines = _lines(width)
    short = int(base[-1]) - HALF_TAPS + lines.shape[1] - len(samples)
    if short > 0:
        samples = np.concatenate((samples, np.zeros(short, dtype=np.float32)))
    windows = np.lib.stride_tricks.sliding_window_view(samples, lines.shape[1])
    columns = ((np.arange(width) - (width - 1) / 2.0) * (step - 1.0) * PHASES).astype(np.float32)
    out = np.empty((n_rows, width), dtype=np.float32)
    for rows in group_equal(cell):
        both = windows[base[rows] - HALF_TAPS] @ lines[cell[rows[0]]]
        between = both[:, width:]
        between *= off[rows, None] + columns
        between += both[:, :width]
        out[rows] = between
    return out.ravel()[:n]
