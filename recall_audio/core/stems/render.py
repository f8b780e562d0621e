"""Stretches of parts, and the samples of a track rendered from them, any block in any order."""

import bisect
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from recall_audio.core.resample import read_at, read_near
from recall_audio.model.alignment import TimeMap
from recall_audio.typing import Float32Array, Samples


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
        """Position in the part of a sample of the track."""
        return self.at + (sample - self.start) * self.step

    def moved(self, start: int, stop: int) -> "Stretch":
        """The same line over other samples of the track."""
        return replace(self, start=start, stop=stop, at=self.position(start))


def render(
    stretches: Sequence[Stretch], sources: Sequence[Source], start: int, stop: int, *, draft: bool = False
) -> Float32Array:
    """Samples [start, stop) of the track, shape (stop - start,), full scale 1.

    Args:
        stretches: in order of their ends, as :func:`recall_audio.core.stems.placement.plan` gives them.
        sources: the parts they read.
        start: first sample of the track.
        stop: sample after the last.
        draft: take the nearest samples instead of interpolating between them.
    """
    read = read_near if draft else read_at
    out = np.zeros(stop - start, dtype=np.float32)
    first = bisect.bisect_right(stretches, start, key=lambda s: s.stop)
    for s in itertools.takewhile(lambda s: s.start < stop, stretches[first:]):
        a, b = max(s.start, start), min(s.stop, stop)
        block = read(sources[s.source].samples, s.position(a), s.step, b - a)
        if block is not None:
            _fade(block, s, a, b)
            out[a - start : b - start] += block
    return out


def _fade(block: Float32Array, s: Stretch, start: int, stop: int) -> None:
    """Apply in place the raised-cosine fades of a stretch to its samples [start, stop)."""
    if s.fade_in and start < s.start + s.fade_in:
        n = np.arange(start, min(stop, s.start + s.fade_in)) - s.start
        block[: len(n)] *= np.sin((n + 0.5) * (np.pi / 2 / s.fade_in)).astype(np.float32) ** 2
    if s.fade_out and stop > s.stop - s.fade_out:
        n = s.stop - 1 - np.arange(max(start, s.stop - s.fade_out), stop)
        block[len(block) - len(n) :] *= np.sin((n + 0.5) * (np.pi / 2 / s.fade_out)).astype(np.float32) ** 2
