"""Where each part lies on the mix's clock, and how far that can be trusted: ``alignment.json``."""

from dataclasses import dataclass
from typing import Any, Literal

from recall_audio.model.timemap import TimeMap
from recall_audio.model.warnings import Finding

Status = Literal["aligned", "drift_unobservable", "step", "no_match", "silent", "no_mix"]


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

    @property
    def start_s(self) -> float:
        """Where the part's first sample lies on the mix's clock."""
        return self.time_map.start_s

    def to_json(self) -> dict[str, Any]:
        """Plain values, one entry of ``alignment.json``'s ``parts``."""
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
        }

    @staticmethod
    def from_json(value: dict[str, Any]) -> "PartAlignment":
        """The alignment that :meth:`to_json` wrote."""
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
        """Plain values of ``alignment.json``."""
        mix = {"duration_s": self.duration_s, "encoder_delay_known": self.encoder_delay_known}
        return {
            "mix": mix,
            "parts": [p.to_json() for p in self.parts],
            "findings": [f.to_json() for f in self.findings],
        }

    @staticmethod
    def from_json(value: dict[str, Any]) -> "Alignment":
        """The alignment that :meth:`to_json` wrote."""
        return Alignment(
            parts=tuple(PartAlignment.from_json(p) for p in value["parts"]),
            duration_s=value["mix"]["duration_s"],
            encoder_delay_known=value["mix"]["encoder_delay_known"],
            findings=tuple(Finding.from_json(f) for f in value["findings"]),
        )
