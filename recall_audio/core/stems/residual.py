"""Check what of the mix the stems do not explain: a shared screen's sound, a lost part.

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
from recall_audio.core.transforms import irfft, rfft
from recall_audio.model.alignment import Track
from recall_audio.model.outcome import Finding
from recall_audio.model.stems import Residual
from recall_audio.typing import Float32Array, FloatArray, Samples, Spans
from recall_audio.units import RATE_HZ

LOW_HZ = 4_000
"""Sample rate of the comparison."""

MARGIN = 1_000
"""Samples at 16 kHz on both sides of a block, in which the low-pass settles."""

PASS_HZ = 1_600.0
STOP_HZ = 1_900.0
"""Band in which the low-pass falls from full to nothing."""

UNEXPLAINED_SHARE = 0.25
"""Share of a window's energy (-6 dB) from which what is left over counts."""

QUIET_DB = -20.0
"""Level of what is left over, beside the mix's loud windows, from which it counts."""

LOUD_PERCENTILE = 90
"""Percentile of the windows' energies that is the mix's loud one."""

SILENT_DB = -65.0
"""Level below which a window is silent, dBFS."""

HOP_S = 2
"""A window of one second stands for this much of the mix."""

LONGEST_GAP_S = 2
"""Longest gap between two unexplained stretches that is closed."""

SHORTEST_S = 4
"""Shortest unexplained stretch that is published."""

BLOCK_S = 14
"""Length of mix that is fitted at once, a multiple of HOP_S."""

CROWD = 64
"""Tracks from which a window at a time is fitted: two arrays of 16 kB a second are held for each."""

SAME_VOICE = 1e-4
"""Added to the diagonal of the normal equations: two tracks may hold the same voice."""

SILENT_TRACK = 1e-10
"""Mean square below which a track's window has no part in the fit."""

NAMED_STRETCHES = 5
"""Unexplained stretches that a finding names."""


def low_rate_windows(block: Float32Array) -> Float32Array:
    """Return the windows of a block at 4 kHz, end to end.

    Args:
        block: 16 kHz, whole seconds with :data:`MARGIN` on both sides; every second one from the first on
            is a window.

    Returns:
        Shape (4000 n_windows,).
    """
    width, ratio = RATE_HZ + 2 * MARGIN, RATE_HZ // LOW_HZ
    rows = np.lib.stride_tricks.sliding_window_view(block, width)[:: HOP_S * RATE_HZ]
    n_bins = width // ratio // 2 + 1
    hz = np.arange(n_bins) * (RATE_HZ / width)
    edge = np.clip((STOP_HZ - hz) / (STOP_HZ - PASS_HZ), 0.0, 1.0)
    passed = (np.sin(edge * (np.pi / 2)) ** 2 / ratio).astype(np.float32)
    values = irfft(rfft(rows, axis=1)[:, :n_bins] * passed, width // ratio, axis=1)
    return np.ascontiguousarray(values[:, MARGIN // ratio : -MARGIN // ratio], dtype=np.float32).ravel()


def residual_energy(mix: Float32Array, stems: Sequence[Float32Array]) -> tuple[FloatArray, FloatArray]:
    """Return the mean square of the mix, and of what the stems leave, in windows of 1 s.

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
    """Return the energy of what the columns, shape (k, n), leave of a target, shape (n,)."""
    energy = np.einsum("ij,ij->i", columns, columns, dtype=np.float64)
    used = columns[energy > SILENT_TRACK * len(target)].astype(np.float64)
    wanted = target.astype(np.float64)
    if len(used) == 0:
        return float(wanted @ wanted)
    used /= np.sqrt(np.einsum("ij,ij->i", used, used))[:, None]
    weights = np.linalg.solve(used @ used.T + SAME_VOICE * np.eye(len(used)), used @ wanted)
    error = wanted - weights @ used
    return float(error @ error)


def unexplained_spans(total: FloatArray, rest: FloatArray) -> tuple[float | None, Spans]:
    """Return the share of the mix that is explained, and where it is not, on the 16 kHz clock.

    Args:
        total: mean squares of the mix, a window of one second.
        rest: mean squares of what is left over.

    Returns:
        The share of the energy of all windows that sound, None where none does; spans of windows of which a
        quarter or more is left over, at a level that can be heard beside the mix's loud passages.
    """
    sounding = total > 10.0 ** (SILENT_DB / 10.0)
    if not sounding.any():
        return None, EMPTY
    loud_db = 10.0 * math.log10(float(np.percentile(total[sounding], LOUD_PERCENTILE)))
    floor = 10.0 ** (max(loud_db + QUIET_DB, SILENT_DB) / 10.0)
    explained = 1.0 - float(rest[sounding].sum() / total[sounding].sum())
    found = from_mask((rest > floor) & (rest > UNEXPLAINED_SHARE * total), HOP_S * RATE_HZ)
    return explained, drop_short(bridge(found, LONGEST_GAP_S * RATE_HZ), SHORTEST_S * RATE_HZ)


def check_residual(
    tracks: Sequence[Track], mix: Samples, on_block: Callable[[], None] = lambda: None
) -> Residual:
    """Fit the mix with all tracks, window by window.

    The tracks are planned as stems are, fades included, and read at the nearest sample.

    Args:
        tracks: every participant's parts on the mix's clock.
        mix: shape (n,), int16, 16 kHz; a last stretch below one second is left out.
        on_block: called after each block of 14 s.
    """
    placed = []
    for track in (t for t in tracks if t.parts):
        sources = tuple(Source(p.samples, p.time_map) for p in track.parts)
        placed.append((plan(sources, len(mix), RATE_HZ), sources))
    totals, rests = [np.empty(0)], [np.empty(0)]
    size, block_s = HOP_S * RATE_HZ, BLOCK_S if len(placed) < CROWD else HOP_S
    end = (len(mix) - RATE_HZ) // size * size + size  # the last window is whole
    for start in range(0, end, block_s * RATE_HZ):
        stop = min(start + block_s * RATE_HZ, end)
        block = read_near(mix, start - MARGIN, 1.0, stop - start + 2 * MARGIN)
        n_windows = (stop - start) // size
        low = np.zeros(n_windows * LOW_HZ, np.float32) if block is None else low_rate_windows(block)
        total, rest = residual_energy(
            low, [s for p in placed if (s := _low_rate_track(*p, start, stop)) is not None]
        )
        totals.append(total)
        rests.append(rest)
        on_block()
    share, spans = unexplained_spans(np.concatenate(totals), np.concatenate(rests))
    return Residual(share, tuple((a, b) for a, b in to_seconds(spans)))


def _low_rate_track(
    stretches: Sequence[Stretch], sources: Sequence[Source], start: int, stop: int
) -> Float32Array | None:
    """Return the windows of a track at 4 kHz, None where it is silent."""
    if all(s.stop <= start - MARGIN or s.start >= stop + MARGIN for s in stretches):
        return None
    block = render(stretches, sources, start - MARGIN, stop + MARGIN, draft=True)
    return low_rate_windows(block) if block.any() else None


def residual_findings(residual: Residual) -> tuple[Finding, ...]:
    """Return the finding on what is in no track."""
    if not residual.unexplained:
        return ()
    named = ", ".join(f"{a:.0f}-{b:.0f} s" for a, b in residual.unexplained[:NAMED_STRETCHES])
    more = len(residual.unexplained) - NAMED_STRETCHES
    total_s = sum(b - a for a, b in residual.unexplained)
    return (
        Finding(
            "mix_unexplained",
            f"{total_s:.0f} s of the mix are in no participant's track ({named}"
            + (f" and {more} more" if more > 0 else "")
            + "): a shared screen's sound, a participant without a separate recording, a lost part, or one "
            "at the wrong place.",
        ),
    )
