r"""Place a participant's parts on the mix's clock: which plays when, with which fades.

Planning is separate from rendering. A plan is a few stretches; any block of the track can be rendered from
it, in any order, and blocks put side by side are the whole track.

::

    part 1   |~~~~~~~~~~~~~~~~~~~|                      mix ────────────────────────────────►
    part 2                  |~~~~~~~~~~~|   lost |~~~~~~~|
    track    /~~~~~~~~~~~~~~~~~~X~~~~~~~\········/~~~~~~~\        / \ fades   X cross-fade   · silence

Where two parts of one participant overlap, one of them plays, never both: the one that began first, unless
the other is 10 dB louder there (two devices, one of them muted).
"""

import bisect
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from recall_audio.core.resample import REACH, SAME_PLACE, read_at, read_near
from recall_audio.model.alignment import TimeMap
from recall_audio.typing import Float32Array, Samples

EDGE_FADE_S = 0.005
"""Length of a fade where a stretch begins or ends in silence, seconds: short of any click."""

CROSS_FADE_S = 0.005
"""Length of the cross-fade between two parts that both have audio, seconds."""

SEAM_S = 0.005
"""Length of audio on each side of a seam by which it is decided whether the audio goes on, seconds."""

SEAM_JUMP = 1.5
"""The audio goes on at a seam if it jumps by no more than this times the largest jump beside it."""

ONE_POSITION = 0.02
"""Positions in one part closer than this, in samples, are one: only the pace changes."""

LOUDER = 10.0
"""Energy ratio (10 dB) from which a part takes an overlap over from the one that has it."""

SHARE_S = 1.0
"""Length of the pieces in which an overlap is shared out, seconds."""


@dataclass(frozen=True, slots=True)
class Source:
    """One part as it is placed.

    Attributes:
        samples: shape (n,), int16, at the track's rate.
        time_map: its local seconds to the mix's.
    """

    samples: Samples
    time_map: TimeMap


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of the track that one straight piece of one part fills.

    Attributes:
        source: index of the part.
        start: first sample of the track.
        stop: sample after the last.
        at: position in the part of the track's sample `start`, in samples.
        step: samples of the part a sample of the track.
        fade_in: samples over which it fades in from `start`; 0 for none.
        fade_out: samples over which it fades out before `stop`.
    """

    source: int
    start: int
    stop: int
    at: float
    step: float
    fade_in: int = 0
    fade_out: int = 0

    def position(self, sample: int) -> float:
        """Return the position in the part of a sample of the track."""
        return self.at + (sample - self.start) * self.step

    def moved(self, start: int, stop: int) -> "Stretch":
        """Return the same line over other samples of the track."""
        return replace(self, start=start, stop=stop, at=self.position(start))


def render(
    stretches: Sequence[Stretch], sources: Sequence[Source], start: int, stop: int, *, draft: bool = False
) -> Float32Array:
    """Render samples [start, stop) of the track, shape (stop - start,), full scale 1.

    Args:
        stretches: in order of their ends, as :func:`plan` gives them.
        sources: the parts they read.
        start: first sample of the track.
        stop: sample after the last.
        draft: take the nearest samples instead of interpolating between them.
    """
    read = read_near if draft else read_at
    out = np.zeros(stop - start, dtype=np.float32)
    first = bisect.bisect_right(stretches, start, key=lambda s: s.stop)
    for s in itertools.takewhile(lambda s: s.start < stop, stretches[first:]):
        first_sample, end = max(s.start, start), min(s.stop, stop)
        block = read(sources[s.source].samples, s.position(first_sample), s.step, end - first_sample)
        if block is not None:
            _fade(block, s, first_sample, end)
            out[first_sample - start : end - start] += block
    return out


def _fade(block: Float32Array, s: Stretch, start: int, stop: int) -> None:
    """Apply the raised-cosine fades of a stretch to its samples [start, stop), in place."""
    if s.fade_in and start < s.start + s.fade_in:
        n = np.arange(start, min(stop, s.start + s.fade_in)) - s.start
        block[: len(n)] *= np.sin((n + 0.5) * (np.pi / 2 / s.fade_in)).astype(np.float32) ** 2
    if s.fade_out and stop > s.stop - s.fade_out:
        n = s.stop - 1 - np.arange(max(start, s.stop - s.fade_out), stop)
        block[len(block) - len(n) :] *= np.sin((n + 0.5) * (np.pi / 2 / s.fade_out)).astype(np.float32) ** 2


def plan(sources: Sequence[Source], n_samples: int, rate_hz: int) -> tuple[Stretch, ...]:
    """Plan a track: parts in order of time, overlaps shared out, fades set.

    Args:
        sources: one participant's parts.
        n_samples: length of the track.
        rate_hz: its rate, and the parts'.
    """
    lines = [s for i, source in enumerate(sources) for s in _lines(i, source, rate_hz)]
    lines = [s for s in lines if s.stop > 0 and s.start < n_samples]
    owned = _share_out(lines, sources, rate_hz)
    faded = _join(owned, sources, rate_hz)
    return tuple(s for s in faded if s.stop > 0 and s.start < n_samples)


def _lines(index: int, source: Source, rate_hz: int) -> list[Stretch]:
    """Return the straight pieces of a part's map, the outer ones reaching to its ends."""
    pieces = source.time_map.pieces()
    duration_s = len(source.samples) / rate_hz
    lines = []
    for k, piece in enumerate(pieces):
        start_s = 0.0 if k == 0 else max(piece.local_start_s, 0.0)
        end_s = duration_s if k == len(pieces) - 1 else min(piece.local_end_s, duration_s)
        x, y = (piece.mix_start_s + (t - piece.local_start_s) * piece.rate for t in (start_s, end_s))
        # The first sample at or after x; one that misses it by a rounding error counts as at it.
        start, stop = (math.ceil(t * rate_hz - SAME_PLACE) for t in (x, y))
        if end_s <= start_s or stop <= start:
            continue
        step = 1.0 / piece.rate
        at = start_s * rate_hz + (start - x * rate_hz) * step
        lines.append(_snap(Stretch(index, start, stop, at, step)))
    return lines


def _snap(line: Stretch) -> Stretch:
    """Remove rounding errors from a line of whole samples, so that they pass unchanged."""
    if abs(line.step - 1.0) * (line.stop - line.start) >= SAME_PLACE:
        return line
    whole = round(line.at)
    return replace(line, step=1.0, at=float(whole) if abs(line.at - whole) < SAME_PLACE else line.at)


def _share_out(lines: Sequence[Stretch], sources: Sequence[Source], rate_hz: int) -> list[Stretch]:
    """Cut lines so that each sample belongs to one of them at most."""
    waiting = sorted(lines, key=lambda s: (s.start, s.stop))
    edges = sorted({e for s in waiting for e in (s.start, s.stop)})
    owned: list[Stretch] = []
    playing: list[Stretch] = []
    for start, stop in itertools.pairwise(edges):
        while waiting and waiting[0].start <= start:
            playing.append(waiting.pop(0))
        playing = [s for s in playing if s.stop > start]
        step = stop - start if len(playing) < 2 else round(SHARE_S * rate_hz)
        for a in range(start, stop, step) if playing else ():
            _give(owned, playing, sources, a, min(a + step, stop))
    return owned


def _give(
    owned: list[Stretch], playing: Sequence[Stretch], sources: Sequence[Source], start: int, stop: int
) -> None:
    """Give [start, stop) to one of the lines, by default to the owner of what precedes."""
    last = owned[-1] if owned and owned[-1].stop == start else None
    holder = next((s for s in playing if last is not None and _one_line(s, last)), playing[0])
    if len(playing) > 1:
        energy = [_energy(s.moved(start, stop), sources) for s in playing]
        loudest = max(range(len(playing)), key=energy.__getitem__)
        if energy[loudest] > LOUDER * energy[playing.index(holder)]:
            holder = playing[loudest]
    if last is not None and _one_line(holder, last):
        owned[-1] = replace(last, stop=stop)
    else:
        owned.append(holder.moved(start, stop))


def _one_line(a: Stretch, b: Stretch) -> bool:
    """Return whether two stretches lie on the same line of the same part."""
    return a.source == b.source and a.step == b.step and abs(a.position(b.start) - b.at) < SAME_PLACE


def _energy(stretch: Stretch, sources: Sequence[Source]) -> float:
    """Return the sum of squares of the part's samples under a stretch."""
    x = sources[stretch.source].samples
    a, b = (round(min(max(stretch.position(t), 0.0), len(x))) for t in (stretch.start, stretch.stop))
    inside = x[a:b].astype(np.float32)
    return float(inside @ inside)


def _join(owned: Sequence[Stretch], sources: Sequence[Source], rate_hz: int) -> list[Stretch]:
    """Set the fades at the edges of stretches, and overlap those that cross-fade."""
    edge, cross, seam = (round(t * rate_hz) for t in (EDGE_FADE_S, CROSS_FADE_S, SEAM_S))
    joined: list[Stretch] = []
    for s in owned:
        before = joined[-1] if joined else None
        if before is None or before.stop < s.start - 1:
            joined.append(_fade_in(s, edge))
        elif before.source == s.source and abs(before.position(s.start) - s.at) < ONE_POSITION:
            joined.append(s)  # the pace changes, the audio goes on
        elif (fade := _cross_fade(before, s, sources, cross)) is not None:
            start, length = fade
            joined[-1] = replace(before.moved(before.start, start + length), fade_out=length)
            joined.append(replace(s.moved(start, s.stop), fade_in=length))
        elif _goes_on(before, s, sources, seam):
            # Each is silence beyond its own end, so the sum is the interpolation of both put end to end.
            joined[-1] = before.moved(before.start, before.stop + REACH)
            joined.append(s.moved(s.start - REACH, s.stop))
        else:
            joined.append(_fade_in(s, edge))
    return [_fade_out(s, after, edge) for s, after in itertools.zip_longest(joined, joined[1:])]


def _fade_in(s: Stretch, fade: int) -> Stretch:
    """Fade a stretch in over up to `fade` samples."""
    return replace(s, fade_in=min(fade, (s.stop - s.start) // 2))


def _fade_out(s: Stretch, after: Stretch | None, fade: int) -> Stretch:
    """Fade a stretch out where nothing takes over from it."""
    if s.fade_out or (after is not None and (after.start < s.stop or _continues(s, after))):
        return s
    return replace(s, fade_out=min(fade, (s.stop - s.start) // 2))


def _continues(s: Stretch, after: Stretch) -> bool:
    """Return whether the next stretch goes on at full level where this one ends."""
    return after.start == s.stop and after.fade_in == 0


def _cross_fade(a: Stretch, b: Stretch, sources: Sequence[Source], fade: int) -> tuple[int, int] | None:
    """Return start and length of a cross-fade about the border of a and b, if both sound."""
    first = b.start - math.floor(b.at / b.step)
    remaining = len(sources[a.source].samples) - a.position(a.stop)
    last = a.stop + math.floor(remaining / a.step)
    first, last = max(first, a.start + 1), min(last, b.stop - 1)
    length = min(fade, last - first)
    return (min(max(b.start - length // 2, first), last - length), length) if length > 0 else None


def _goes_on(a: Stretch, b: Stretch, sources: Sequence[Source], seam: int) -> bool:
    """Return whether the audio goes on from a's last sample to b's first."""
    end, start = sources[a.source].samples, sources[b.source].samples
    ends_meet = a.position(a.stop) > len(end) - 1 and b.at < 1.0 and b.stop - b.start > REACH
    tail, head = end[max(len(end) - seam, 0) :].astype(np.int64), start[:seam].astype(np.int64)
    if a.source == b.source or not ends_meet or len(tail) < 2 or len(head) < 2:
        return False
    usual = max(int(np.abs(np.diff(tail)).max()), int(np.abs(np.diff(head)).max()))
    return abs(int(head[0]) - int(tail[-1])) <= SEAM_JUMP * usual
