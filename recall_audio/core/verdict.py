"""The verdict on each part: status, time map, confidence, interval, and one sentence where it is thin."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from recall_audio.core.alignpart import PartFit, Track, own_gain, trace, worth_of
from recall_audio.core.lagline import Lines, fit_lines
from recall_audio.model.alignment import PartAlignment, Status
from recall_audio.model.timemap import TimeMap
from recall_audio.model.tracks import PartAudio
from recall_audio.units import RATE_HZ

FloatArray = npt.NDArray[np.float64]

ENOUGH = 1.5
"""Evidence from which a part is placed: two clear cells."""

PPM = 1e6


def unplaced(part: PartAudio, status: Status, reason: str) -> PartAlignment:
    """A part whose nominal start stands."""
    time_map = TimeMap.straight(part.nominal_start_s, len(part.samples) / RATE_HZ)
    return PartAlignment(
        part.part_id, part.participant_id, part.nominal_start_s, time_map, status, reason=reason
    )


def verdicts(parts: Sequence[PartAudio], fits: Sequence[PartFit]) -> tuple[PartAlignment, ...]:
    """One verdict a part."""
    return tuple(_verdict(p, f) for p, f in zip(parts, fits, strict=True))


def _verdict(part: PartAudio, fit: PartFit) -> PartAlignment:
    if fit.n_loud == 0:
        return unplaced(part, "silent", "nothing in it stands out from its background")
    track = trace(fit.evidence, worth_of(fit.evidence, own_gain(fit.evidence)))
    if track is None or float(np.sum(track.worth)) < ENOUGH:
        return unplaced(part, "no_match", "nothing in it was found in the mix near its nominal start")
    return _placed(part, track)


def _placed(part: PartAudio, track: Track) -> PartAlignment:
    lines, n = track.lines, len(part.samples)
    seen = _drift_is_seen(track)
    if not seen and lines.slope:
        lines = _without_drift(track)
    time_map = _time_map(track, lines, n)
    k = int(lines.level.size)
    far = max(abs(n - lines.centre[-1]), abs(lines.centre[0]))
    sigma = float(np.hypot(np.max(lines.level_sigma), lines.slope_sigma * far if seen else 0.0))
    error = lines.residual / RATE_HZ * 1000
    mix_s = (track.rows.at + track.rows.lag) / RATE_HZ
    residuals = [
        (round(float(a), 3), round(float(b), 4), round(float(c), 3))
        for a, b, c in zip(mix_s, error, lines.weight, strict=True)
    ]
    status: Status = "step" if k > 1 else "aligned" if seen else "drift_unobservable"
    return PartAlignment(
        part.part_id,
        part.participant_id,
        part.nominal_start_s,
        time_map,
        status,
        drift_ppm=lines.slope * PPM if seen else None,
        confidence=round(float(1 - np.exp(-np.sum(track.worth))), 4),
        uncertainty_ms=(2.0 * sigma + 0.02) / RATE_HZ * 1000,
        reason="" if seen else "too little speech, too close together, to see the clock's drift",
        residuals=tuple(residuals),
    )


def _drift_is_seen(track: Track) -> bool:
    slope, sigma = abs(track.lines.slope) * PPM, track.lines.slope_sigma * PPM
    return bool(sigma < 0.25 or slope > 5.0 * sigma)


def _without_drift(track: Track) -> Lines:
    return fit_lines(track.rows.at, track.rows.lag, track.rows.sigma, track.segment, slope=0.0)


def _time_map(track: Track, lines: Lines, n: int) -> TimeMap:
    """The map of parallel lines: breaks half way between the windows on both sides."""
    knots: list[tuple[float, float]] = []
    edge = 0.0
    for k in range(len(lines.level)):
        inside = track.rows.at[track.segment == k]
        last = k == len(lines.level) - 1
        end = float(n) if last else (inside.max() + track.rows.at[track.segment == k + 1].min()) / 2
        knots += [(t / RATE_HZ, (t + float(lines.at(t, k))) / RATE_HZ) for t in (edge, end)]
        edge = end
    return TimeMap(tuple(knots))
