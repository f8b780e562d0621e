"""Represent the stems that were written and how each got its level (``stems.json``)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from recall_audio.model.outcome import Finding

SetBy = Literal["target", "peak", "cap", "silence"]


def _level(value: float | None) -> float | None:
    """Return a level rounded to the thousandth, or None for silence (−inf)."""
    return round(value, 3) if value is not None and math.isfinite(value) else None


@dataclass(frozen=True, slots=True)
class Stem:
    """One stem and its levels.

    Levels in ``stems.json`` are null where they are −inf: nothing there reaches the loudness gate, or
    every sample is 0; `reason` says why.

    Attributes:
        file: path below the recording's folder; None where no file is written, because the participant is
            silent: the stem is `n_samples` zeros then.
        participant: label.
        rate_hz: sample rate.
        n_samples: length at that rate, the mix's.
        integrated_lufs_before: integrated loudness of the track (BS.1770-4), LUFS, before the gain.
        integrated_lufs_after: the same of the stem as written.
        speech_lufs_before: loudness of the blocks in which the participant speaks, gated alike.
        speech_lufs_after: the same of the stem as written.
        true_peak_dbtp_before: true peak of the track.
        true_peak_dbtp_after: true peak of the stem as written (lossy formats: as handed to the encoder).
        gain_db: the gain applied to every sample.
        gain_set_by: ``target``, or what held it: ``peak`` (the ceiling), ``cap`` (the largest gain),
            ``silence`` (nothing to measure, gain 0).
        measured_over: what the target was compared with: the whole ``file`` as a meter reads it, or
            ``speech`` alone where pauses would have swayed the meter; None where nothing was measured.
        limited_db: most that the limiter took away; 0 without one.
        reason: one sentence where there was nothing to measure; else empty.
    """

    file: str | None
    participant: str
    rate_hz: int
    n_samples: int
    integrated_lufs_before: float = -math.inf
    integrated_lufs_after: float = -math.inf
    speech_lufs_before: float = -math.inf
    speech_lufs_after: float = -math.inf
    true_peak_dbtp_before: float = -math.inf
    true_peak_dbtp_after: float = -math.inf
    gain_db: float = 0.0
    gain_set_by: SetBy = "silence"
    measured_over: Literal["file", "speech"] | None = None
    limited_db: float = 0.0
    reason: str = ""

    @property
    def reading(self) -> float:
        """Return the loudness, LUFS, that was to reach the target: the file's or its speech's."""
        return self.speech_lufs_after if self.measured_over == "speech" else self.integrated_lufs_after

    def to_json(self) -> dict[str, Any]:
        """Return the plain values of one entry of ``stems`` in ``stems.json``."""
        return {
            "file": self.file,
            "participant": self.participant,
            "rate_hz": self.rate_hz,
            "n_samples": self.n_samples,
            "integrated_lufs_before": _level(self.integrated_lufs_before),
            "integrated_lufs_after": _level(self.integrated_lufs_after),
            "speech_lufs_before": _level(self.speech_lufs_before),
            "speech_lufs_after": _level(self.speech_lufs_after),
            "true_peak_dbtp_before": _level(self.true_peak_dbtp_before),
            "true_peak_dbtp_after": _level(self.true_peak_dbtp_after),
            "gain_db": round(self.gain_db, 4),
            "gain_set_by": self.gain_set_by,
            "measured_over": self.measured_over,
            "limited_db": round(self.limited_db, 3),
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class Mixdown:
    """The sum of the stems.

    Attributes:
        file: path below the recording's folder.
        gain_db: gain of the sum; below 0 where its peaks would have passed the ceiling.
        integrated_lufs: integrated loudness as written; −inf for silence.
        true_peak_dbtp: true peak as written.
    """

    file: str
    gain_db: float
    integrated_lufs: float
    true_peak_dbtp: float

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "file": self.file,
            "gain_db": round(self.gain_db, 4),
            "integrated_lufs": _level(self.integrated_lufs),
            "true_peak_dbtp": _level(self.true_peak_dbtp),
        }


@dataclass(frozen=True, slots=True)
class Residual:
    """The part of the mix that the stems do not explain.

    Attributes:
        explained: share of the mix's energy, where it is not silent, that the stems explain, 0 to 1.
        unexplained: ``((start_s, end_s), ...)`` on the mix's clock.
    """

    explained: float | None
    unexplained: tuple[tuple[float, float], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "explained": None if self.explained is None else round(self.explained, 4),
            "unexplained": [[round(a, 3), round(b, 3)] for a, b in self.unexplained],
        }


@dataclass(frozen=True, slots=True)
class StemsResult:
    """All files that the stems stage wrote.

    Attributes:
        stems: one a participant that was asked for, in the recording's order.
        parameters: the options in force, plain values.
        mixdown: the sum, where it was asked for.
        poly: path of the multichannel file, where it was asked for; its channels are those of `stems` that
            were written, in order.
        residual: what the stems leave of the mix unexplained; None where there is no mix.
        findings: what a reader should know.
    """

    stems: tuple[Stem, ...]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    mixdown: Mixdown | None = None
    poly: str | None = None
    residual: Residual | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def files(self) -> tuple[str, ...]:
        """Return the paths of all files written, relative to the recording's folder."""
        more = [self.mixdown.file if self.mixdown else None, self.poly]
        return tuple(f for f in (*(s.file for s in self.stems), *more) if f)

    def to_json(self) -> dict[str, Any]:
        """Return the plain values of ``stems.json``."""
        channels = [s.participant for s in self.stems if s.file]
        return {
            "parameters": dict(self.parameters),
            "stems": [s.to_json() for s in self.stems],
            "mixdown": self.mixdown.to_json() if self.mixdown else None,
            "poly": {"file": self.poly, "channels": channels} if self.poly else None,
            "residual": self.residual.to_json() if self.residual else None,
            "findings": [f.to_json() for f in self.findings],
        }
