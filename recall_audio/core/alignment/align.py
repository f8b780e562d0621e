"""Alignment: every part on the mix's clock.

::

    cells      which half seconds of the part may hold speech                       windows
    anchors    a few of them, looked for far and wide: roughly where the part lies   anchors
    evidence   all of them, near there: up to three lags each, to a fraction        evidence
    path       which lags belong together, and where they step                      lagpath
    lines      one slope for the clock, a level for each segment                    lagline
    verdict    what is known, how well, and the time map                            verdict
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recall_audio.core.alignment.candidates import BELOW_OWN_DB, own_gain, rivals, worth_of
from recall_audio.core.alignment.confidence import (
    WANDER_STEPS,
    Loan,
    borrow,
    confidence,
    drift_bound_ppm,
    drift_is_seen,
    explained,
    spread,
    uncertainty_ms,
)
from recall_audio.core.alignment.lag_path import Track, place_breaks, trace
from recall_audio.core.alignment.search import PartFit, fit_part
from recall_audio.model.alignment import Alignment, PartAlignment, PartAudio, Status, TimeMap
from recall_audio.model.options import AlignOptions
from recall_audio.model.outcome import CountCallback, Finding
from recall_audio.typing import FloatArray, Samples
from recall_audio.units import RATE_HZ


def align(
    mix: Samples | None,
    parts: Sequence[PartAudio],
    options: AlignOptions,
    progress: CountCallback | None = None,
    encoder_delay_known: bool | None = None,
) -> Alignment:
    """Put every part on the mix's clock.

    Args:
        mix: shape (n,), int16, 16 kHz; None where there is none: every nominal start stands.
        parts: decoded parts, in the recording's order.
        options: how far to look.
        progress: called with (parts done, parts) after each part.
        encoder_delay_known: whether the mix names its encoder's delay; passed on to the result.

    Returns:
        One entry a part, in the same order; a part that cannot be placed keeps its nominal start.
    """
    if mix is None or not options.enabled:
        end_s = max((p.nominal_start_s + len(p.samples) / RATE_HZ for p in parts), default=0.0)
        duration_s = end_s if mix is None else len(mix) / RATE_HZ
        reason = "there is no mix to align with" if mix is None else "alignment was switched off"
        return Alignment(tuple(unplaced(p, "no_mix", reason) for p in parts), duration_s, encoder_delay_known)
    fits: list[PartFit] = []
    for done, part in enumerate(parts, 1):
        fits.append(align_part(mix, part, options))
        if progress is not None:
            progress(done, len(parts))
    return reconcile(mix, parts, fits, encoder_delay_known)


def align_part(mix: Samples, part: PartAudio, options: AlignOptions) -> PartFit:
    """What one part by itself says about its place; a pure function of arrays, fit for a process pool."""
    return fit_part(mix, part, options)


def reconcile(
    mix: Samples, parts: Sequence[PartAudio], fits: Sequence[PartFit], encoder_delay_known: bool | None
) -> Alignment:
    """The alignment of all parts from what each says: others' voices told apart, drift borrowed."""
    placed = verdicts(mix, parts, fits)
    findings = remarks(placed, encoder_delay_known)
    return Alignment(placed, len(mix) / RATE_HZ, encoder_delay_known, findings)


DELAY = Finding(
    "encoder_delay_unknown",
    "The mix does not name its encoder's delay: its time 0 may be up to 0.03 s before the recording's, "
    "and all times are on the decoded mix's clock.",
    severity="note",
)


def remarks(parts: Sequence[PartAlignment], encoder_delay_known: bool | None) -> tuple[Finding, ...]:
    """Findings of the parts, in their order, and of the mix."""
    found = [f for f in map(_remark, parts) if f is not None]
    return (*found, DELAY) if encoder_delay_known is False else tuple(found)


def _remark(part: PartAlignment) -> Finding | None:
    """The finding on one part; None where there is nothing to say."""
    text = f"{part.reason[:1].upper()}{part.reason[1:]}."
    if part.status in {"no_match", "no_mix"}:
        return Finding("nominal_start_kept", text, part.part_id)
    if part.status == "silent":
        return Finding("nominal_start_kept", text, part.part_id, severity="note")
    if part.status == "step":
        return Finding("step", text, part.part_id)
    if part.status == "drift_unobservable":
        code = "drift_borrowed" if part.drift_from else "drift_unobservable"
        return Finding(code, text, part.part_id, severity="note")
    return None


ENOUGH = 1.2
"""Worth from which a part is placed: two clear cells."""

EXPLAINED = 0.55
"""Share of what is loud in a part that must be in the mix, ..."""

EXPLAINED_SPREAD, SPREAD = 0.3, 0.75
"""... or less, where it is spread over the whole part at one lag: then the rest is noise of its own."""

LEAP = RATE_HZ // 2
"""A step as long as a window, samples."""

WHISPER_DB = 12.0
"""A part whose strongest voice is this far below the other parts' (median) holds none of its own."""

STANDS_OUT_DB = 15.0
"""A part that is not found and never this far above its floor holds no speech."""

MOST_RESIDUALS = 600
"""Windows kept for the report."""

STANDS = "the nominal start stands"


@dataclass(frozen=True, slots=True, eq=False)
class _Case:
    """A part, its track where it has one, and why not where it has none."""

    part: PartAudio
    fit: PartFit
    track: Track | None
    share: float
    refused: Status | None
    reason: str


def unplaced(part: PartAudio, status: Status, reason: str, sure: float | None = None) -> PartAlignment:
    """A part whose nominal start stands."""
    return PartAlignment(
        part_id=part.part_id,
        participant_id=part.participant_id,
        nominal_start_s=part.nominal_start_s,
        time_map=TimeMap.straight(part.nominal_start_s, len(part.samples) / RATE_HZ),
        status=status,
        confidence=sure,
        reason=reason,
    )


def verdicts(mix: Samples, parts: Sequence[PartAudio], fits: Sequence[PartFit]) -> tuple[PartAlignment, ...]:
    """One verdict a part, in order; each part is heard beside all others."""
    others = rivals([f.evidence for f in fits], [p.participant_id for p in parts], len(mix))
    gains = [own_gain(f.evidence, r) for f, r in zip(fits, others, strict=True)]
    heard = zip(parts, fits, others, _not_whispering(gains), strict=True)
    cases = [_heard(p, f, r, g) for p, f, r, g in heard]
    return tuple(_decided(mix, case, cases) for case in cases)


def _not_whispering(gains_db: Sequence[float]) -> list[float]:
    """Gains of the parts' own voices, none far below the others': leaked voices alone are no own one."""
    known = [g for g in gains_db if np.isfinite(g)]
    least = float(np.median(known)) - WHISPER_DB if len(known) > 1 else -np.inf
    return [max(g, least) + (BELOW_OWN_DB[1] if g < least else 0.0) for g in gains_db]


def _heard(part: PartAudio, fit: PartFit, rivals_db: FloatArray, own_gain_db: float) -> _Case:
    """A part's track, or why it has none."""
    silent = "nothing in it stands out from its background"
    if not np.any(fit.cells.loud):
        return _Case(part, fit, None, 0.0, "silent", f"{silent}; {STANDS}")
    if len(fit.evidence) == 0 and fit.cells.range_db < STANDS_OUT_DB:
        return _Case(part, fit, None, 0.0, "silent", f"{silent}; {STANDS}")
    track = trace(fit.evidence, worth_of(fit.evidence, own_gain_db, rivals_db))
    if track is None or float(np.sum(track.worth)) < ENOUGH:
        leaked = len(fit.evidence) > 0 and float(np.mean(rivals_db > fit.evidence.gain_db)) > 0.5
        found = (
            "only other participants' voices were found in it"
            if leaked
            else "nothing in it was found in the mix"
        )
        return _Case(part, fit, None, 0.0, "no_match", f"{found}; {STANDS}")
    share = explained(fit, track)
    if share < EXPLAINED and (share < EXPLAINED_SPREAD or spread(fit, track) < SPREAD or _leaps(track)):
        reason = (
            f"only {share:.0%} of what is loud in it is in the mix, so it may be another meeting's; {STANDS}"
        )
        return _Case(part, fit, track, share, "no_match", reason)
    return _Case(part, fit, track, share, None, "")


def _leaps(track: Track) -> bool:
    """Whether the lag steps by more than a window anywhere."""
    return bool(np.any(np.abs(np.diff(track.lines.level)) > LEAP))


def _decided(mix: Samples, case: _Case, cases: Sequence[_Case]) -> PartAlignment:
    """The verdict on one part, drift borrowed from the same participant's others where it shows none."""
    if case.track is None or case.refused is not None:
        sure = None if case.refused == "silent" else _doubt(case)
        return unplaced(case.part, case.refused or "no_match", case.reason, sure)
    own = case.track.lines
    if drift_is_seen(own):
        return _placed(mix, case, case.track, None)
    donors = [
        (other.part.part_id, other.track.lines)
        for other in cases
        if other.part.participant_id == case.part.participant_id
        and other.track is not None
        and other.refused is None
        and drift_is_seen(other.track.lines)
    ]
    loan = borrow(own, donors)
    return _placed(mix, case, case.track.with_slope(loan.drift_ppm * 1e-6 if loan else 0.0), loan)


def _doubt(case: _Case) -> float:
    """Confidence of a part that was refused: below every part that was placed."""
    return round(confidence(case.track, case.share) * case.share, 4) if case.track else 0.0


def _placed(mix: Samples, case: _Case, track: Track, loan: Loan | None) -> PartAlignment:
    """A part on the mix's clock; `track` with the slope that is to hold."""
    part, own = case.part, case.track.lines if case.track else track.lines
    seen = drift_is_seen(own)
    bound_ppm = (
        own.sigmas_95 * own.slope_sigma * 1e6 if seen else loan.bound_ppm if loan else drift_bound_ppm(own)
    )
    breaks = place_breaks(part.samples, mix, track, case.fit.evidence)
    return PartAlignment(
        part_id=part.part_id,
        participant_id=part.participant_id,
        nominal_start_s=part.nominal_start_s,
        time_map=_time_map(track, breaks, len(part.samples)),
        status="step" if len(breaks) else "aligned" if seen else "drift_unobservable",
        drift_ppm=round(own.slope * 1e6, 4) if seen else None,
        confidence=confidence(track, case.share),
        uncertainty_ms=round(uncertainty_ms(track.lines, len(part.samples), bound_ppm), 5),
        reason="; ".join(_remarks(track, breaks, seen, loan)),
        drift_bound_ppm=None if seen else round(bound_ppm, 2),
        drift_from=loan.part_id if loan else None,
        residuals=_residuals(track),
    )


def _remarks(track: Track, breaks: FloatArray, seen: bool, loan: Loan | None) -> list[str]:
    """What a reader should know about a part that was placed."""
    remarks = []
    if len(breaks) >= WANDER_STEPS:
        remarks.append(f"its lag wanders: {len(breaks)} steps were followed")
    elif len(breaks):
        remarks.append("its lag steps at " + " and ".join(f"{b / RATE_HZ:.1f} s" for b in breaks))
    if not seen:
        thin = "too little speech, or too close together, to see its clock's drift"
        remarks.append(
            f"{thin}: {loan.drift_ppm:.2f} ppm taken from the participant's other part" if loan else thin
        )
    return remarks


def _residuals(track: Track) -> tuple[tuple[float, float, float], ...]:
    """``(mix_s, lag error in ms, weight)`` of windows about the lines, evenly thinned."""
    rows = track.rows
    kept = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), MOST_RESIDUALS)).astype(int))
    mix_s = (rows.at + rows.lag)[kept] / RATE_HZ
    error_ms = track.lines.residual[kept] / RATE_HZ * 1e3
    table = zip(mix_s.tolist(), error_ms.tolist(), track.lines.weight[kept].tolist(), strict=True)
    return tuple((round(a, 3), round(b, 5), round(c, 3)) for a, b, c in table)


def _time_map(track: Track, breaks: FloatArray, n: int) -> TimeMap:
    """The map of parallel lines between the breaks (samples) of a part of `n` samples."""
    edges = np.r_[0.0, breaks, float(n)]
    knots: list[tuple[float, float]] = []
    for k in range(len(track.lines.level)):
        knots += [(float(t) / RATE_HZ, float(t + track.lines.at(t, k)) / RATE_HZ) for t in edges[k : k + 2]]
    return TimeMap(tuple(knots))
