"""Represent where each part lies on the mix's clock (``alignment.json``).

A time map is straight between its knots. Two knots at one local time are a step::

    local  0 ─────────── 60 ─────────── 120        local  0 ─────────── 60 ─────────── 120
    mix    5 ─────────── 65│67 ──────── 127        mix    5 ─────────── 65│63 ──────── 123
                  2 s of audio were lost                     2 s repeated; the repeat is dropped

Before the first knot and after the last one, the map continues its first and last straight piece.
Decoded audio is 16 kHz mono int16, usually a memory-mapped file.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from recall_audio.model.outcome import Finding
from recall_audio.typing import FloatArray, Samples


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
        """Return mix seconds per local second, 1 + drift."""
        return (self.mix_end_s - self.mix_start_s) / (self.local_end_s - self.local_start_s)


@dataclass(frozen=True, slots=True)
class TimeMap:
    """A map from local seconds of a part to seconds on the mix's clock.

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
        """Return a map without steps."""
        span_s = max(duration_s, 1e-3)
        return TimeMap(((0.0, start_s), (span_s, start_s + span_s * (1.0 + drift_ppm * 1e-6))))

    @property
    def start_s(self) -> float:
        """Return where local time 0 lies on the mix's clock, before any step there."""
        return float(self.to_mix(0.0))

    @property
    def end_s(self) -> float:
        """Return where the last knot lies on the mix's clock."""
        return self.knots[-1][1]

    def to_mix(self, local_s: npt.ArrayLike) -> FloatArray:
        """Convert local seconds of any shape to mix seconds, taking the side before a step."""
        t = np.asarray(local_s, dtype=np.float64)
        segment = self._segments()
        # side="left": a moment exactly at a step belongs to the piece that ends there.
        i = np.clip(np.searchsorted(segment[:, 1], t, side="left"), 0, len(segment) - 1)
        a, b, x, y = segment[i].T.reshape(4, *t.shape)
        return np.asarray(x + (t - a) * (y - x) / (b - a))

    def to_local(self, mix_s: npt.ArrayLike) -> FloatArray:
        """Convert mix seconds of any shape to local seconds, NaN where audio was lost."""
        t = np.asarray(mix_s, dtype=np.float64)
        pieces = self.pieces()
        rows = np.array([(p.local_start_s, p.local_end_s, p.mix_start_s, p.mix_end_s) for p in pieces])
        i = np.clip(np.searchsorted(rows[:, 3], t, side="left"), 0, len(rows) - 1)
        a, b, x, y = rows[i].T.reshape(4, *t.shape)
        local = a + (t - x) * (b - a) / (y - x)
        return np.asarray(np.where((t < x) & (i > 0), np.nan, local))

    def pieces(self) -> tuple[Piece, ...]:
        """Return the straight pieces, increasing on both clocks, without repeated audio."""
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
        """Return ``[[local_s, mix_s], ...]``, rounded to the nanosecond."""
        return [[round(a, 9), round(b, 9)] for a, b in self.knots]

    @staticmethod
    def from_json(value: list[list[Any]]) -> "TimeMap":
        """Return the map that :meth:`to_json` wrote."""
        return TimeMap(tuple((float(a), float(b)) for a, b in value))

    def _segments(self) -> FloatArray:
        """Return rows ``local start, local end, mix start, mix end``, repeats included."""
        k = np.asarray(self.knots, dtype=np.float64)
        rows = np.column_stack((k[:-1, 0], k[1:, 0], k[:-1, 1], k[1:, 1]))
        return np.asarray(rows[rows[:, 1] > rows[:, 0]])


@dataclass(frozen=True, slots=True, eq=False)
class PartAudio:
    """One decoded part before it is placed.

    Attributes:
        part_id: which part.
        participant_id: whose.
        nominal_start_s: what the API said, seconds on the recording's clock.
        samples: shape (n,), int16, 16 kHz; read in blocks, never copied whole.
    """

    part_id: str
    participant_id: int
    nominal_start_s: float
    samples: Samples


@dataclass(frozen=True, slots=True, eq=False)
class PlacedPart:
    """One decoded part and its place on the mix's clock.

    Attributes:
        part_id: which part.
        samples: shape (n,), int16, 16 kHz; read in blocks, never copied whole.
        time_map: its local seconds to the mix's.
    """

    part_id: str
    samples: Samples
    time_map: TimeMap


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """All parts of one participant.

    Attributes:
        label: the participant's label (``speakers.json``).
        parts: placed parts in order of time; empty for a participant without audio.
    """

    label: str
    parts: tuple[PlacedPart, ...]


Status = Literal["aligned", "drift_unobservable", "step", "no_match", "silent", "no_mix"]
PlacedBy = Literal["itself", "participant", "all", "background", "leak", "nominal"]


@dataclass(frozen=True, slots=True)
class PartAlignment:
    """One part on the mix's clock.

    Attributes:
        part_id: which part.
        participant_id: whose.
        nominal_start_s: what the API said.
        time_map: local to mix seconds; the nominal, driftless map where the evidence is thin.
        status: ``aligned``: start and drift measured; ``drift_unobservable``: start measured, drift not;
            ``step``: piecewise; ``no_match``: nothing of it found in the mix; ``silent``: nothing in it to
            look for; ``no_mix``: nothing to look in.
        drift_ppm: parts per million by which the part's clock is off (positive: it is stretched on the
            mix's clock); None where it cannot be observed.
        confidence: 0 to 1, that this track belongs where it was put; None where there was nothing to judge.
        uncertainty_ms: half width of the 95 % interval of the worst error over the part, or None.
        reason: one sentence where the nominal start stands or the drift is missing; else empty.
        drift_bound_ppm: where drift is not observable, how large it may be.
        drift_from: part id whose drift was borrowed (one device, one clock), or None.
        residuals: ``((mix_s, lag_error_ms, weight), ...)`` of the windows about the map, for the report.
        opposite: its polarity is opposite to the mix's.
        placed_by: what its place rests on: ``itself``, what is said in it; ``participant`` or ``all``,
            whose other parts were placed; ``background``: its own noise in the mix; ``leak``: others' voices,
            which may have come late; ``nominal``: the API's word alone.
        holds_mix: it holds what all other participants say, as loud as their own tracks do.
    """

    part_id: str
    participant_id: int
    nominal_start_s: float
    time_map: TimeMap
    status: Status
    drift_ppm: float | None = None
    confidence: float | None = None
    uncertainty_ms: float | None = None
    reason: str = ""
    drift_bound_ppm: float | None = None
    drift_from: str | None = None
    residuals: tuple[tuple[float, float, float], ...] = ()
    opposite: bool = False
    placed_by: PlacedBy = "nominal"
    holds_mix: bool = False

    @property
    def start_s(self) -> float:
        """Return where the part's first sample lies on the mix's clock."""
        return self.time_map.start_s

    def to_json(self) -> dict[str, Any]:
        """Return the plain values of one entry of ``parts`` in ``alignment.json``."""
        return {
            "part_id": self.part_id,
            "participant_id": self.participant_id,
            "nominal_start_s": self.nominal_start_s,
            "start_s": round(self.start_s, 9),
            "drift_ppm": self.drift_ppm,
            "status": self.status,
            "confidence": self.confidence,
            "uncertainty_ms": self.uncertainty_ms,
            "reason": self.reason,
            "drift_bound_ppm": self.drift_bound_ppm,
            "drift_from": self.drift_from,
            "time_map": self.time_map.to_json(),
            "residuals": [list(r) for r in self.residuals],
            "opposite": self.opposite,
            "placed_by": self.placed_by,
            "holds_mix": self.holds_mix,
        }

    @staticmethod
    def from_json(value: dict[str, Any]) -> "PartAlignment":
        """Return the alignment that :meth:`to_json` wrote."""
        fields = {k: v for k, v in value.items() if k != "start_s"}
        fields["time_map"] = TimeMap.from_json(value["time_map"])
        fields["residuals"] = tuple((r[0], r[1], r[2]) for r in value["residuals"])
        return PartAlignment(**fields)


@dataclass(frozen=True, slots=True)
class Alignment:
    """Every part of a recording on one clock.

    Attributes:
        parts: one entry a part that could be decoded, in the recording's order.
        duration_s: the mix's length (without a mix: the end of the last part).
        encoder_delay_known: the mix names its encoder's delay, so its time 0 is the recording's; False for
            an MP3 without a LAME tag (late by 1105 samples in every decoder); None without a mix.
        findings: what a reader should know.
    """

    parts: tuple[PartAlignment, ...]
    duration_s: float
    encoder_delay_known: bool | None
    findings: tuple[Finding, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the plain values of ``alignment.json``."""
        mix = {"duration_s": self.duration_s, "encoder_delay_known": self.encoder_delay_known}
        return {
            "mix": mix,
            "parts": [p.to_json() for p in self.parts],
            "findings": [f.to_json() for f in self.findings],
        }

    @staticmethod
    def from_json(value: dict[str, Any]) -> "Alignment":
        """Return the alignment that :meth:`to_json` wrote."""
        return Alignment(
            parts=tuple(PartAlignment.from_json(p) for p in value["parts"]),
            duration_s=value["mix"]["duration_s"],
            encoder_delay_known=value["mix"]["encoder_delay_known"],
            findings=tuple(Finding.from_json(f) for f in value["findings"]),
        )
