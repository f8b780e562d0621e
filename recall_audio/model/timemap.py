"""The one time map: where each moment of a part lies on the mix's clock.

Straight between its knots. Two knots at one local time are a step::

    local  0 ─────────── 60 ─────────── 120        local  0 ─────────── 60 ─────────── 120
    mix    5 ─────────── 65│67 ──────── 127        mix    5 ─────────── 65│63 ──────── 123
                  2 s of audio were lost                     2 s repeated; the repeat is dropped

Up to and past the last knots the map goes on along its first and last straight piece.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from recall_audio.typing import FloatArray


@dataclass(frozen=True, slots=True)
class Piece:
    """One straight stretch of a map, after repeats are dropped.

    Attributes:
        local_start_s: first moment on the part's clock.
        local_end_s: end on the part's clock.
        mix_start_s: where the first moment lies on the mix's clock.
        mix_end_s: where the end lies on the mix's clock.
    """

    local_start_s: float
    local_end_s: float
    mix_start_s: float
    mix_end_s: float

    @property
    def rate(self) -> float:
        """Mix seconds a local second: 1 + drift."""
        return (self.mix_end_s - self.mix_start_s) / (self.local_end_s - self.local_start_s)


@dataclass(frozen=True, slots=True)
class TimeMap:
    """Local seconds of a part to seconds on the mix's clock.

    Attributes:
        knots: ``((local_s, mix_s), ...)``, at least two, local times never decreasing, the mix strictly
            increasing between two knots of different local time.
    """

    knots: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        if len(self.knots) < 2 or not np.all(np.isfinite(self.knots)):
            raise ValueError("a time map needs at least two finite knots")
        steps = np.diff(np.asarray(self.knots, dtype=np.float64), axis=0)
        if np.any(steps[:, 0] < 0) or np.any(steps[steps[:, 0] > 0, 1] <= 0) or not np.any(steps[:, 0] > 0):
            raise ValueError(f"a time map's knots must go forwards, not {self.knots}")

    @staticmethod
    def straight(start_s: float, duration_s: float, drift_ppm: float = 0.0) -> "TimeMap":
        """A map without steps: from `start_s`, over `duration_s` local seconds, stretched by `drift_ppm`."""
        span_s = max(duration_s, 1e-3)
        return TimeMap(((0.0, start_s), (span_s, start_s + span_s * (1.0 + drift_ppm * 1e-6))))

    @property
    def start_s(self) -> float:
        """Where local time 0 lies on the mix's clock, before any step there."""
        return float(self.to_mix(0.0))

    @property
    def end_s(self) -> float:
        """Where the last knot lies on the mix's clock."""
        return self.knots[-1][1]

    def to_mix(self, local_s: npt.ArrayLike) -> FloatArray:
        """Mix seconds of local seconds, any shape; at a step, the side before it."""
        t = np.asarray(local_s, dtype=np.float64)
        segment = self._segments()
        # side="left": a moment exactly at a step belongs to the piece that ends there.
        i = np.clip(np.searchsorted(segment[:, 1], t, side="left"), 0, len(segment) - 1)
        a, b, x, y = segment[i].T.reshape(4, *t.shape)
        return np.asarray(x + (t - a) * (y - x) / (b - a))

    def to_local(self, mix_s: npt.ArrayLike) -> FloatArray:
        """Local seconds of mix seconds, any shape; NaN where the part's audio was lost."""
        t = np.asarray(mix_s, dtype=np.float64)
        pieces = self.pieces()
        rows = np.array([(p.local_start_s, p.local_end_s, p.mix_start_s, p.mix_end_s) for p in pieces])
        i = np.clip(np.searchsorted(rows[:, 3], t, side="left"), 0, len(rows) - 1)
        a, b, x, y = rows[i].T.reshape(4, *t.shape)
        local = a + (t - x) * (b - a) / (y - x)
        return np.asarray(np.where((t < x) & (i > 0), np.nan, local))

    def pieces(self) -> tuple[Piece, ...]:
        """The straight stretches, increasing on both clocks; what a repeat covers twice is dropped."""
        kept: list[Piece] = []
        for a, b, x, y in self._segments():
            if kept and x < kept[-1].mix_end_s:
                if y <= kept[-1].mix_end_s:
                    continue
                a += (kept[-1].mix_end_s - x) * (b - a) / (y - x)  # noqa: PLW2901
                x = kept[-1].mix_end_s  # noqa: PLW2901
            if b > a and y > x:
                kept.append(Piece(float(a), float(b), float(x), float(y)))
        return tuple(kept)

    def to_json(self) -> list[list[float]]:
        """``[[local_s, mix_s], ...]``, to the nanosecond."""
        return [[round(a, 9), round(b, 9)] for a, b in self.knots]

    @staticmethod
    def from_json(value: list[list[Any]]) -> "TimeMap":
        """The map that :meth:`to_json` wrote."""
        return TimeMap(tuple((float(a), float(b)) for a, b in value))

    def _segments(self) -> FloatArray:
        """Rows ``local start, local end, mix start, mix end`` of the straight stretches, repeats included."""
        k = np.asarray(self.knots, dtype=np.float64)
        rows = np.column_stack((k[:-1, 0], k[1:, 0], k[:-1, 1], k[1:, 1]))
        return np.asarray(rows[rows[:, 1] > rows[:, 0]])
