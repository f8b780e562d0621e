"""Stretches of time as a page needs them: sorted, joined, cut out of one another, counted by the bin.

The report reads files and may not use the measuring core, whose clock is samples; here it is milliseconds,
the finest that a page shows.
"""

from typing import Any

from recall_audio.report.formatting import items, number

Stretches = list[tuple[int, int]]
"""Disjoint ``(start_ms, end_ms)``, in order."""


def stretches(value: Any) -> Stretches:
    """Milliseconds of ``[[start_s, end_s], ...]``, in any order; what is no stretch of time is left out."""
    found = []
    for pair in items(value):
        ends = [number(v) for v in items(pair)[:2]]
        if len(ends) == 2 and ends[0] is not None and ends[1] is not None and ends[1] > ends[0]:
            found.append((max(0, round(1000 * ends[0])), max(0, round(1000 * ends[1]))))
    return joined(found)


def joined(found: Stretches) -> Stretches:
    """Any stretches as disjoint ones, in order."""
    out: Stretches = []
    for start, end in sorted(found):
        if out and start <= out[-1][1]:
            out[-1] = (out[-1][0], max(out[-1][1], end))
        elif end > start:
            out.append((start, end))
    return out


def without(a: Stretches, b: Stretches) -> Stretches:
    """What of `a` is not in `b`.

    a  ───────────    ─────
    b     ────          ───────
       ───    ────    ──
    """
    out: Stretches = []
    j = 0
    for start, end in a:
        left = start
        while j < len(b) and b[j][1] <= left:
            j += 1
        k = j
        while k < len(b) and b[k][0] < end:
            if b[k][0] > left:
                out.append((left, b[k][0]))
            left = max(left, b[k][1])
            k += 1
        if left < end:
            out.append((left, end))
    return out


def deltas(found: Stretches) -> list[int]:
    """``[pause, length, pause, length, ...]`` in ms: short numbers, a third of the bytes."""
    out, last = [], 0
    for start, end in found:
        out += [start - last, end - start]
        last = end
    return out


def per_bin(found: Stretches, width_ms: int, n_bins: int) -> list[int]:
    """Milliseconds of the stretches in each bin of `width_ms`, from time 0."""
    bins = [0] * n_bins
    for start, end in found:
        left = start
        while left < end:
            index = left // width_ms
            if index >= n_bins:
                break
            right = min(end, (index + 1) * width_ms)
            bins[index] += right - left
            left = right
    return bins


def total_s(found: Stretches) -> float:
    """Seconds of all stretches together."""
    return sum(end - start for start, end in found) / 1000.0
