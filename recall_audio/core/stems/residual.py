"""What of the mix the stems do not explain: a shared screen's sound, somebody without a track, a lost part.

In one second of every two, below 1.8 kHz, where most of a voice's energy lies, the mix is fitted by least
squares with the stems and their slopes::

    mix(t) ≈ Σ g_i stem_i(t) + h_i stem_i'(t)

The slope's share h/g is a delay, up to about 0.1 ms, which an alignment may leave; the gains are each
window's own, since a mix is often levelled. What is left over, against the mix, is unexplained.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

from recall_audio.core.resample import read_near
from recall_audio.core.spans import EMPTY, bridge, drop_short, from_mask, to_seconds
from recall_audio.core.stems.placement import Source, Stretch, plan, render
from recall_audio.model.alignment import Track
from recall_audio.model.outcome import Finding
from recall_audio.model.stems import Residual
from recall_audio.typing import Float32Array, FloatArray, Samples, Spans
from recall_audio.units import RATE_HZ

LOW_HZ = 4_000
"""Sample rate of the comparison."""

MARGIN = 1_000
"""Samples at 16 kHz on both sides of a block, in which the low-pass settles."""

_PASS_HZ, _STOP_HZ = 1_600.0, 1_900.0

UNEXPLAINED = 0.25
"""Share of a window's energy (-6 dB) from which what is left over counts."""

_QUIET_DB = -20.0
"""Windows this far below the mix's loud ones hold nothing that could be missed."""

_SILENT_DB = -65.0
"""Nor do windows below this level, dBFS."""

HOP_S = 2
"""A window of one second stands for this much of the mix."""

_LONGEST_GAP_S, _SHORTEST_S = 2, 4


def lowered(block: Float32Array) -> Float32Array:
    """The windows of a block, at 4 kHz, end to end.

    Args:
        block: 16 kHz, whole seconds with :data:`MARGIN` on both sides; every second one from the first on
            is a window.

    Returns:
        Shape (4000 n_windows,).
    """
    from scipy.fft import irfft, rfft

    width, ratio = RATE_HZ + 2 * MARGIN, RATE_HZ // LOW_HZ
    rows = np.lib.stride_tricks.sliding_window_view(block, width)[:: HOP_S * RATE_HZ]
    n_bins = width // ratio // 2 + 1
    hz = np.arange(n_bins) * (RATE_HZ / width)
    edge = np.clip((_STOP_HZ - hz) / (_STOP_HZ - _PASS_HZ), 0.0, 1.0)
    passed = (np.sin(edge * (np.pi / 2)) ** 2 / ratio).astype(np.float32)
    values = irfft(rfft(rows, axis=1)[:, :n_bins] * passed, width // ratio, axis=1)
    return np.ascontiguousarray(values[:, MARGIN // ratio : -MARGIN // ratio], dtype=np.float32).ravel()


def left_over(mix: Float32Array, stems: Sequence[Float32Array]) -> tuple[FloatArray, FloatArray]:
    """Mean square of the mix, and of what the stems leave of it, a window of one second.

    Args:
        mix: shape (n,), at 4 kHz, n a multiple of 4000.
        stems: each of the same shape; silent ones cost nothing.

    Returns:
        Two arrays of shape (n / 4000,).
    """
    windows = [s.reshape(-1, LOW_HZ) for s in stems if s.any()]
    target = mix.reshape(-1, LOW_HZ)
    shapes = [c for w in windows for c in (w, np.asarray(np.gradient(w, axis=1), dtype=np.float32))]
    columns = np.stack(shapes, axis=1) if shapes else np.empty((len(target), 0, LOW_HZ), dtype=np.float32)
    total = np.einsum("ij,ij->i", target, target, dtype=np.float64) / LOW_HZ
    rest = np.array([_rest(t, w) for t, w in zip(target, columns, strict=True)]) / LOW_HZ
    return total, np.minimum(rest, total)


def _rest(target: Float32Array, columns: Float32Array) -> float:
    """Energy of what the columns, shape (k, n), leave of a target, shape (n,)."""
    energy = np.einsum("ij,ij->i", columns, columns, dtype=np.float64)
    used = columns[energy > 1e-10 * len(target)].astype(np.float64)
    wanted = target.astype(np.float64)
    if len(used) == 0:
        return float(wanted @ wanted)
    used /= np.sqrt(np.einsum("ij,ij->i", used, used))[:, None]
    # A little is added to the diagonal: two tracks may hold the same voice.
    weights = np.linalg.solve(used @ used.T + 1e-4 * np.eye(len(used)), used @ wanted)
    error = wanted - weights @ used
    return float(error @ error)


def unexplained(total: FloatArray, rest: FloatArray) -> tuple[float | None, Spans]:
    """The share of the mix that is explained, and where it is not, on the 16 kHz clock.

    Args:
        total: mean squares of the mix, a window of one second.
        rest: mean squares of what is left over.

    Returns:
        The share of the energy of all windows that sound, None where none does; spans of windows of which a
        quarter or more is left over, at a level that can be heard beside the mix's loud passages.
    """
    sounding = total > 10.0 ** (_SILENT_DB / 10.0)
    if not sounding.any():
        return None, EMPTY
    loud_db = 10.0 * math.log10(float(np.percentile(total[sounding], 90)))
    floor = 10.0 ** (max(loud_db + _QUIET_DB, _SILENT_DB) / 10.0)
    explained = 1.0 - float(rest[sounding].sum() / total[sounding].sum())
    found = from_mask((rest > floor) & (rest > UNEXPLAINED * total), HOP_S * RATE_HZ)
    return explained, drop_short(bridge(found, _LONGEST_GAP_S * RATE_HZ), _SHORTEST_S * RATE_HZ)


_BLOCK_S = 14  # a multiple of HOP_S
_NAMED = 5


def check_residual(
    tracks: Sequence[Track], mix: Samples, tick: Callable[[], None] = lambda: None
) -> Residual:
    """Fit the mix with all tracks, window by window; a last stretch below one second is left out."""
    placed = []
    for track in tracks:
        sources = tuple(Source(p.samples, p.time_map) for p in track.parts)
        placed.append((plan(sources, len(mix), RATE_HZ), sources))
    totals, rests = [np.empty(0)], [np.empty(0)]
    size = HOP_S * RATE_HZ
    end = (len(mix) - RATE_HZ) // size * size + size  # the last window is whole
    for start in range(0, end, _BLOCK_S * RATE_HZ):
        stop = min(start + _BLOCK_S * RATE_HZ, end)
        heard = read_near(mix, start - MARGIN, 1.0, stop - start + 2 * MARGIN)
        low = np.zeros((stop - start) // size * LOW_HZ, np.float32) if heard is None else lowered(heard)
        total, rest = left_over(low, [s for p in placed if (s := _low(*p, start, stop)) is not None])
        totals.append(total)
        rests.append(rest)
        tick()
    share, spans = unexplained(np.concatenate(totals), np.concatenate(rests))
    return Residual(share, tuple((a, b) for a, b in to_seconds(spans)))


def _low(
    stretches: Sequence[Stretch], sources: Sequence[Source], start: int, stop: int
) -> Float32Array | None:
    """A track at 4 kHz, None where it is silent."""
    block = render(stretches, sources, start - MARGIN, stop + MARGIN, draft=True)
    return lowered(block) if block.any() else None


def residual_findings(residual: Residual) -> tuple[Finding, ...]:
    """What a reader should know about what is in no track."""
    if not residual.unexplained:
        return ()
    named = ", ".join(f"{a:.0f}-{b:.0f} s" for a, b in residual.unexplained[:_NAMED])
    more = len(residual.unexplained) - _NAMED
    total_s = sum(b - a for a, b in residual.unexplained)
    return (
        Finding(
            "mix_unexplained",
            f"{total_s:.0f} s of the mix are in no participant's track ({named}"
            + (f" and {more} more" if more > 0 else "")
            + "): a shared screen's sound, somebody without a separate recording, a lost part, or one at "
            "the wrong place.",
        ),
    )
