"""A participant's parts read on the mix's clock."""

from collections.abc import Mapping
from functools import cache

import numpy as np
import numpy.typing as npt

from recall_audio.core.resample import group_equal, read_padded
from recall_audio.model.alignment import Piece, Track
from recall_audio.model.speech import HOP_SAMPLES, PartEvidence
from recall_audio.typing import BoolArray, Float32Array, IntArray, Samples
from recall_audio.units import FRAME_SAMPLES, RATE_HZ

LOWEST_DB = -120.0
HALF_RATE_HZ = RATE_HZ // 2
"""Rate at which leaks are looked for: speech above 4 kHz adds nothing to the decision."""

_FADE = 16  # samples on both sides of an output that its low pass reaches
_PHASES = 32  # of a sample at which outputs are computed: their places are right to a 64th of one
_ROW = 32  # outputs by one row of a product
_ROWS = 8192  # read in one go: 33 s


def read_half(track: Track, start: int, n: int) -> Float32Array:
    """A track at 8 kHz from sample `start` of the mix's clock on, shape (n // 2,): i lies at ``start + 2·i``.

    Full scale 1, zero where there is no part. Read between samples and freed from what is above 4 kHz by one
    windowed sinc, −60 dB from 4.8 kHz; 32 outputs are a window of samples times a matrix of their phase.
    """
    out = np.zeros(n // 2, dtype=np.float32)
    for part in track.parts:
        for piece in part.time_map.pieces():
            _add_piece(out, part.samples, piece, start)
    return out


def _add_piece(out: Float32Array, samples: Samples, piece: Piece, start: int) -> None:
    first = max(0, _half_up(int(np.ceil(piece.mix_start_s * RATE_HZ)) - start))
    last = min(len(out), _half_up(int(np.ceil(piece.mix_end_s * RATE_HZ)) - start))
    for a in range(first, last, _ROW * _ROWS):
        b = min(a + _ROW * _ROWS, last)
        # Within a row outputs are two samples apart, whatever the clock; its middle is right.
        middle_s = (start + 2 * np.arange(a, b, _ROW) + _ROW) / RATE_HZ
        local_s = piece.local_start_s + (middle_s - piece.mix_start_s) / piece.rate
        phase = np.rint((local_s * RATE_HZ - _ROW) * _PHASES).astype(np.int64)
        out[a:b] = _rows(samples, phase // _PHASES, phase % _PHASES)[: b - a]


def _half_up(n: int) -> int:
    return -(-n // 2)


def _rows(samples: Samples, base: IntArray, phase: IntArray) -> Float32Array:
    """Rows of outputs end to end, each from a phase past sample `base` on, two samples apart."""
    matrices = _matrices()
    low = int(base[0]) - _FADE
    x = read_padded(samples, low, int(base[-1]) - _FADE + matrices.shape[1])
    if x is None:
        return np.zeros(len(base) * _ROW, dtype=np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(x, matrices.shape[1])
    out = np.empty((len(base), _ROW), dtype=np.float32)
    for rows in group_equal(phase):
        out[rows] = windows[base[rows] - base[0]] @ matrices[phase[rows[0]]]
    return out.ravel()


@cache
def _matrices() -> Float32Array:
    """For each phase the weights of a window's samples in each output of a row."""
    width = 2 * (_ROW - 1) + 2 * _FADE + 2
    at = np.arange(_PHASES)[:, None, None] / _PHASES + _FADE + 2 * np.arange(_ROW)
    t = at - np.arange(width)[:, None]
    window = np.i0(6.0 * np.sqrt(np.clip(1 - (t / _FADE) ** 2, 0, None))) / np.i0(6.0)
    taps = np.sinc(t / 2) * window * (np.abs(t) < _FADE)
    return np.asarray(taps / taps.sum(axis=1, keepdims=True), dtype=np.float32)


def on_mix(
    track: Track, evidence: Mapping[str, PartEvidence], first: int, n: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], BoolArray]:
    """A track's evidence for 10 ms frames ``first`` to ``first + n`` of the mix's clock.

    Returns:
        levels (half decibels above −120 dBFS), probabilities (× 255), and whether there is a part at all;
        0, 0 and False where there is none.
    """
    level, probability = np.zeros(n, dtype=np.uint8), np.zeros(n, dtype=np.uint8)
    present = np.zeros(n, dtype=np.bool_)
    middle_s = (first + np.arange(n) + 0.5) * FRAME_SAMPLES / RATE_HZ
    for part in track.parts:
        e = evidence[part.part_id]
        local_s = np.nan_to_num(part.time_map.to_local(middle_s), nan=-1.0)
        at = np.floor(local_s * RATE_HZ).astype(np.int64)
        inside = (at >= 0) & (at < len(e.level) * FRAME_SAMPLES)
        level[inside] = e.level[at[inside] // FRAME_SAMPLES]
        probability[inside] = e.probability[at[inside] // HOP_SAMPLES]
        present |= inside
    return level, probability, present
