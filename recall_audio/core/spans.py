"""Compute with spans: rows ``[start, end)`` of integer samples, sorted, apart, never empty.

::

    a        |------|       |-----|
    b            |-----|       |------|
    union    |---------|    |---------|
    overlap      |--|          |--|
    a - b    |--|           |--|

Adjacent spans (one ends where the next starts) are one span.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from recall_audio.typing import BoolArray, IntArray, Spans
from recall_audio.units import RATE_HZ

Rows = Sequence[Sequence[float]]
"""``[[start, end], ...]`` as plain numbers."""

EMPTY: Spans = np.empty((0, 2), dtype=np.int64)
"""No span."""


def spans(rows: Iterable[Sequence[int]] | Spans) -> Spans:
    """Return spans of any rows, joined where they touch, empty ones dropped.

    Raises:
        ValueError: a row ends before it starts.
    """
    given = rows if isinstance(rows, np.ndarray) else [(int(a), int(b)) for a, b in rows]
    table = np.array(given, dtype=np.int64).reshape(-1, 2)
    if np.any(table[:, 1] < table[:, 0]):
        raise ValueError("a span ends before it starts; rows are (start, end)")
    return _joined(table[table[:, 1] > table[:, 0]], 0)


def _joined(table: Spans, gap: int) -> Spans:
    """Return rows joined across gaps of up to `gap` samples."""
    if len(table) == 0:
        return EMPTY
    table = table[np.argsort(table[:, 0], kind="stable")]
    reach = np.maximum.accumulate(table[:, 1])
    first = np.flatnonzero(np.r_[True, table[1:, 0] - reach[:-1] > gap])
    last = np.r_[first[1:] - 1, len(table) - 1]
    return np.column_stack((table[first, 0], reach[last])).astype(np.int64)


def from_seconds(rows: Iterable[Sequence[float]], rate_hz: int = RATE_HZ) -> Spans:
    """Return spans of rows ``start_s, end_s``, rounded to the nearest sample at `rate_hz`."""
    table = np.array([(a, b) for a, b in rows], dtype=np.float64).reshape(-1, 2)
    return spans(np.rint(table * rate_hz).astype(np.int64))


def to_seconds(a: Spans) -> list[list[float]]:
    """Return rows ``[start_s, end_s]``, to the microsecond."""
    return [[round(int(s) / RATE_HZ, 6), round(int(e) / RATE_HZ, 6)] for s, e in a]


def from_mask(mask: BoolArray, step: int, start: int = 0) -> Spans:
    """Return spans of the true frames of a mask.

    Frame i covers samples ``start + i*step`` to ``start + (i+1)*step``.
    """
    edges = np.flatnonzero(np.diff(np.r_[0, mask.astype(np.int8), 0])).reshape(-1, 2)
    return (edges * step + start).astype(np.int64)


def to_mask(a: Spans, step: int, n_frames: int, start: int = 0) -> BoolArray:
    """Return whether each frame's middle lies in a span, the inverse of :func:`from_mask`."""
    middle = start + np.arange(n_frames, dtype=np.int64) * step + step // 2
    return covers(a, middle)


def covers(a: Spans, at: IntArray) -> BoolArray:
    """Return whether each sample of `at` lies in a span, in the shape of `at`."""
    if len(a) == 0:
        return np.zeros(np.shape(at), dtype=np.bool_)
    i = np.searchsorted(a[:, 0], at, side="right") - 1
    return np.asarray((i >= 0) & (at < a[np.maximum(i, 0), 1]))


def total(a: Spans) -> int:
    """Return the samples covered."""
    return int(np.sum(a[:, 1] - a[:, 0]))


def union(*several: Spans) -> Spans:
    """Return the time in any of several sets of spans."""
    return _joined(np.concatenate((EMPTY, *several)), 0)


def intersect(a: Spans, b: Spans) -> Spans:
    """Return the time in both."""
    rows = []
    i = j = 0
    while i < len(a) and j < len(b):
        start, end = max(a[i, 0], b[j, 0]), min(a[i, 1], b[j, 1])
        if start < end:
            rows.append((int(start), int(end)))
        if a[i, 1] <= b[j, 1]:
            i += 1
        else:
            j += 1
    return np.array(rows, dtype=np.int64).reshape(-1, 2)


def complement(a: Spans, start: int, end: int) -> Spans:
    """Return the time of ``[start, end)`` in no span of `a`."""
    inside = clip(a, start, end)
    edges = np.r_[start, inside.ravel(), end].reshape(-1, 2)
    return np.asarray(edges[edges[:, 1] > edges[:, 0]], dtype=np.int64)


def subtract(a: Spans, b: Spans) -> Spans:
    """Return the time in `a` and not in `b`."""
    if len(a) == 0 or len(b) == 0:
        return a
    return intersect(a, complement(b, int(a[0, 0]), int(a[-1, 1])))


def clip(a: Spans, start: int, end: int) -> Spans:
    """Return the part of `a` inside ``[start, end)``."""
    cut = np.clip(a, start, end)
    return np.asarray(cut[cut[:, 1] > cut[:, 0]], dtype=np.int64)


def bridge(a: Spans, gap: int) -> Spans:
    """Close gaps of up to `gap` samples."""
    return _joined(a, gap)


def drop_short(a: Spans, shortest: int) -> Spans:
    """Return the spans of at least `shortest` samples."""
    return np.asarray(a[a[:, 1] - a[:, 0] >= shortest], dtype=np.int64)


def counts(several: Sequence[Spans], start: int, end: int) -> list[int]:
    """Return the samples of ``[start, end)`` in exactly 0, 1, ... of the sets: D_0, D_1, ..."""
    cut = np.concatenate((EMPTY, *(clip(a, start, end) for a in several)))
    at = np.concatenate((cut[:, 0], cut[:, 1], [start, end])).astype(np.int64)
    change = np.concatenate((np.ones(len(cut)), -np.ones(len(cut)), [0, 0])).astype(np.int64)
    order = np.argsort(at, kind="stable")
    level = np.cumsum(change[order])[:-1]
    width = np.diff(at[order])
    held = np.bincount(level[width > 0], weights=width[width > 0], minlength=len(several) + 1)
    return [int(x) for x in held]


def totals_by_bin(a: Spans, width: int, n_bins: int) -> list[int]:
    """Return the samples covered in each of `n_bins` bins of `width` samples, from sample 0."""
    edges = np.arange(n_bins + 1, dtype=np.int64) * width
    n_begun = np.searchsorted(a[:, 0], edges, side="right")
    covered = np.r_[0, np.cumsum(a[:, 1] - a[:, 0])][n_begun]
    if len(a):
        last_end = a[np.maximum(n_begun - 1, 0), 1]
        covered = covered - np.where(n_begun > 0, np.maximum(last_end - edges, 0), 0)
    return [int(n) for n in np.diff(covered)]


def simultaneous(rows: Mapping[str, Rows]) -> list[tuple[float, float, tuple[str, ...]]]:
    """Return ``(start, end, labels)`` of each stretch in which the same two or more are active.

    ::

        Ann    |-----------|
        Bob       |-----|
        Cem          |--------|
        found     |--|        Ann, Bob
                     |--|     Ann, Bob, Cem
                        |--|  Ann, Cem

    Args:
        rows: label to ``[[start, end], ...]``, sorted and apart; the result is in the same unit.
    """
    edges = sorted(
        (time, change, label)
        for label, own in rows.items()
        for start, end in own
        for time, change in ((start, 1), (end, -1))
    )
    active: list[str] = []
    found: list[tuple[float, float, tuple[str, ...]]] = []
    since = 0.0
    for time, change, label in edges:
        if len(active) > 1 and time > since:
            found.append((since, time, tuple(active)))
        active = sorted([*active, label]) if change > 0 else [other for other in active if other != label]
        since = time
    return found


def finished(found: Spans, gap: int, shortest: int) -> Spans:
    """Return spans as published: pauses of up to `gap` bridged, then those under `shortest` dropped."""
    return drop_short(bridge(found, gap), shortest)
