"""Align every part with the mix: decide its place, drift, confidence and time map.

::

    search        anchors and candidate lags of one part by itself                    search, candidates
    scores        candidates beside the other parts' at the same moment               candidates
    path          which lags belong together, and where they step                     lag_path
    lines         one slope for the clock, a level for each segment                   lag_lines
    decision      aligned or not, how sure, and the time map                          here, confidence
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from recall_audio.core.alignment.confidence import (
    LATEST_LEAK_S,
    WANDER_STEPS,
    WORST_CLOCK_PPM,
    Expected,
    SharedDrift,
    confidence,
    drift_bound_ppm,
    drift_is_observable,
    share_drift,
    uncertainty_ms,
)
from recall_audio.core.alignment.lag_path import LagPath, locate_steps
from recall_audio.core.alignment.search import PartSearch, search_part
from recall_audio.core.alignment.together import PartCase, examine_parts
from recall_audio.model.alignment import Alignment, PartAlignment, PartAudio, PlacedBy, Status, TimeMap
from recall_audio.model.options import AlignOptions
from recall_audio.model.outcome import CountCallback, Finding
from recall_audio.typing import FloatArray, Samples
from recall_audio.units import RATE_HZ

TOO_LITTLE = "it holds too little to be found by itself, and lies where"
NO_VOICE = "no voice that is surely its own was found in it"
HELD: Mapping[PlacedBy, str] = {
    "participant": f"{TOO_LITTLE} the participant's other parts put it",
    "all": f"{TOO_LITTLE} all participants' parts put it",
    "background": f"{NO_VOICE}: it lies where its background noise is in the mix",
    "leak": f"{NO_VOICE}: it lies by others' voices, which may have come up to 1 s late",
}
"""What is said of a part by what placed it."""

FAR_S = 3.0
"""Distance from its nominal start at which a part is named, seconds: starts are wrong by up to 2."""

COLLIDING_S = 1.0
"""Overlap of two parts of one participant from which they collide, seconds."""

DELAY_UNKNOWN = Finding(
    "encoder_delay_unknown",
    "The mix does not name its encoder's delay: its time 0 may be up to 0.03 s before the recording's, "
    "and all times are on the decoded mix's clock.",
    severity="note",
)


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
        options: how far to search.
        progress: called with (parts done, parts) after each part.
        encoder_delay_known: whether the mix names its encoder's delay; passed on to the result.

    Returns:
        One entry a part, in the same order; a part that cannot be placed keeps its nominal start.
    """
    if mix is None or not options.enabled:
        end_s = max((p.nominal_start_s + len(p.samples) / RATE_HZ for p in parts), default=0.0)
        duration_s = end_s if mix is None else len(mix) / RATE_HZ
        reason = "there is no mix to align with" if mix is None else "alignment was switched off"
        kept = tuple(keep_nominal_start(p, "no_mix", reason) for p in parts)
        return Alignment(kept, duration_s, encoder_delay_known)
    searches: list[PartSearch] = []
    for n_done, part in enumerate(parts, 1):
        searches.append(search_part(mix, part, options))
        if progress is not None:
            progress(n_done, len(parts))
    return reconcile(mix, parts, searches, encoder_delay_known)


def reconcile(
    mix: Samples,
    parts: Sequence[PartAudio],
    searches: Sequence[PartSearch],
    encoder_delay_known: bool | None,
) -> Alignment:
    """Decide the alignment of all parts from what was found of each by itself.

    Here the parts are compared: voices of others are told from the own one, and drift is shared.

    Args:
        mix: shape (n,), int16, 16 kHz.
        parts: decoded parts, in the recording's order.
        searches: what :func:`~recall_audio.core.alignment.search.search_part` gives of each.
        encoder_delay_known: whether the mix names its encoder's delay; passed on to the result.
    """
    placed = decide_parts(mix, parts, searches)
    return Alignment(
        placed, len(mix) / RATE_HZ, encoder_delay_known, findings_of(placed, encoder_delay_known)
    )


def findings_of(parts: Sequence[PartAlignment], encoder_delay_known: bool | None) -> tuple[Finding, ...]:
    """Return the findings on the parts, in their order, and on the mix."""
    found = [f for part in parts for f in (_finding_of(part), *_notes_of(part)) if f is not None]
    found += _collisions(parts)
    return (*found, DELAY_UNKNOWN) if encoder_delay_known is False else tuple(found)


def _finding_of(part: PartAlignment) -> Finding | None:
    """Return the finding on one part, None where it is aligned."""
    by_others = part.placed_by not in {"itself", "nominal"}
    matters = part.status in {"step", "no_match", "no_mix"} or part.placed_by == "leak"
    if part.holds_mix:
        code = "holds_whole_mix"
    elif part.status == "step":
        code = "step"
    elif by_others:
        code = f"placed_by_{part.placed_by}"
    elif part.status in {"no_match", "no_mix", "silent"}:
        code = "nominal_start_kept"
    elif part.status == "drift_unobservable":
        code = "drift_borrowed" if part.drift_from else "drift_unobservable"
    else:
        return None
    text = f"{part.reason[:1].upper()}{part.reason[1:]}."
    return Finding(code, text, part.part_id, severity="warning" if matters else "note")


def _collisions(parts: Sequence[PartAlignment]) -> Iterator[Finding]:
    """Yield where two parts of one participant lie on top of each other, and their nominal starts do not."""
    for participant_id in dict.fromkeys(p.participant_id for p in parts):
        own = sorted((p for p in parts if p.participant_id == participant_id), key=lambda p: p.start_s)
        for first, second in pairwise(own):
            over_s = min(first.time_map.end_s, second.time_map.end_s) - second.start_s
            moved_s = [p.start_s - p.nominal_start_s for p in (first, second)]
            ends = [p.time_map.end_s - by_s for p, by_s in zip((first, second), moved_s, strict=True)]
            said_s = min(ends) - max(first.nominal_start_s, second.nominal_start_s)
            if over_s > COLLIDING_S >= said_s:
                text = (
                    f"It lies over {over_s:.1f} s of part {first.part_id} of the same participant, though "
                    "their nominal starts are apart: one of the two may be in a wrong place."
                )
                yield Finding("parts_collide", text, second.part_id)


def _notes_of(part: PartAlignment) -> Iterator[Finding]:
    """Yield what is odd about a part that was placed: far from its nominal start, or upside down."""
    if part.status in {"no_match", "no_mix", "silent"}:
        return
    off_s = part.start_s - part.nominal_start_s
    if abs(off_s) > FAR_S:
        side = "after" if off_s > 0 else "before"
        text = f"It was found {abs(off_s):.1f} s {side} its nominal start, in a search of the whole mix."
        yield Finding("found_far", text, part.part_id)
    if part.opposite:
        text = (
            "Its polarity is opposite to the mix's: it was aligned upside down, and its stem is as recorded."
        )
        yield Finding("opposite_polarity", text, part.part_id, severity="note")


def keep_nominal_start(
    part: PartAudio, status: Status, reason: str, confidence: float | None = None
) -> PartAlignment:
    """Return the alignment of a part that keeps its nominal start."""
    return PartAlignment(
        part_id=part.part_id,
        participant_id=part.participant_id,
        nominal_start_s=part.nominal_start_s,
        time_map=TimeMap.straight(part.nominal_start_s, len(part.samples) / RATE_HZ),
        status=status,
        confidence=confidence,
        reason=reason,
    )


def decide_parts(
    mix: Samples, parts: Sequence[PartAudio], searches: Sequence[PartSearch]
) -> tuple[PartAlignment, ...]:
    """Decide the alignment of each part beside all others, in their order."""
    cases = examine_parts(mix, parts, searches)
    return tuple(_decide(mix, case, cases) for case in cases)


def _decide(mix: Samples, case: PartCase, cases: Sequence[PartCase]) -> PartAlignment:
    """Decide the alignment of one part, with the others' drift where it shows none."""
    if case.refused is not None and case.expected is not None:
        return _expect_part(case, case.expected)
    if case.path is None or case.refused is not None:
        sure = None if case.refused == "silent" else _refused_confidence(case)
        return keep_nominal_start(case.part, case.refused or "no_match", case.reason, sure)
    if case.holds_all:
        return _place_recorder(_place_part(mix, case, case.path, None))
    if drift_is_observable(case.path.lines):
        return _place_part(mix, case, case.path, None)
    others = [
        (other.part.part_id, other.path.lines)
        for other in cases
        if other.part.participant_id == case.part.participant_id
        and other.path is not None
        and other.refused is None
        and drift_is_observable(other.path.lines)
    ]
    shared = share_drift(case.path.lines, others)
    return _place_part(mix, case, case.path.with_slope(shared.drift_ppm * 1e-6 if shared else 0.0), shared)


def _place_recorder(part: PartAlignment) -> PartAlignment:
    """Return the alignment of a part that holds everything: it lies by others' voices."""
    late_ms = LATEST_LEAK_S * 1e3
    reason = (
        "it holds what all others say, as loud as their own tracks do, so it may be a recording of the whole "
        "meeting: it lies by these voices, which may have come up to 1 s late"
    )
    uncertainty = max(part.uncertainty_ms or 0.0, late_ms)
    return replace(part, reason=reason, uncertainty_ms=uncertainty, placed_by="leak", holds_mix=True)


def _expect_part(case: PartCase, place: Expected) -> PartAlignment:
    """Return the alignment of a part that is placed by what else there is."""
    part, silent = case.part, case.refused == "silent"
    ppm, bound_ppm = (place.drift_ppm or 0.0), None if place.drift_ppm is not None else WORST_CLOCK_PPM
    return PartAlignment(
        part_id=part.part_id,
        participant_id=part.participant_id,
        nominal_start_s=part.nominal_start_s,
        time_map=TimeMap.straight(place.start_s, len(part.samples) / RATE_HZ, ppm),
        status="silent" if silent else "drift_unobservable",
        confidence=None if silent else round(place.agreement, 4),
        uncertainty_ms=round(place.half_width_s * 1e3, 5),
        reason=f"{HELD[place.source]} (±{place.half_width_s * 1e3:.1f} ms)",
        drift_bound_ppm=bound_ppm,
        opposite=place.opposite,
        placed_by=place.source,
    )


def _refused_confidence(case: PartCase) -> float:
    """Return the confidence of a part that was refused: below every part that was placed."""
    return round(confidence(case.path, case.share) * case.share, 4) if case.path else 0.0


def _place_part(mix: Samples, case: PartCase, path: LagPath, shared: SharedDrift | None) -> PartAlignment:
    """Return the alignment of a part that is placed.

    Its `path` has the slope that is to hold.
    """
    part, own = case.part, case.path.lines if case.path else path.lines
    observable = drift_is_observable(own)
    if observable:
        bound_ppm = own.sigmas_95 * own.slope_sigma * 1e6
    else:
        bound_ppm = shared.bound_ppm if shared else drift_bound_ppm(own)
    samples = case.search.upright(part.samples)
    steps = locate_steps(samples, mix, path, case.search.candidates)
    return PartAlignment(
        part_id=part.part_id,
        participant_id=part.participant_id,
        nominal_start_s=part.nominal_start_s,
        time_map=path.time_map(steps, len(part.samples)),
        status="step" if len(steps) else "aligned" if observable else "drift_unobservable",
        drift_ppm=round(own.slope * 1e6, 4) if observable else None,
        confidence=confidence(path, case.share),
        uncertainty_ms=round(uncertainty_ms(path.lines, len(part.samples), bound_ppm), 5),
        reason="; ".join(_reasons(steps, observable, shared)),
        drift_bound_ppm=None if observable else round(bound_ppm, 2),
        drift_from=shared.part_id if shared else None,
        residuals=path.residuals(),
        opposite=case.search.opposite,
        placed_by="itself",
    )


def _reasons(steps: FloatArray, observable: bool, shared: SharedDrift | None) -> list[str]:
    """Return what a reader should know about a part that was placed, one clause each."""
    reasons = []
    if len(steps) >= WANDER_STEPS:
        reasons.append(f"its lag wanders: {len(steps)} steps were followed")
    elif len(steps):
        reasons.append("its lag steps at " + " and ".join(f"{t / RATE_HZ:.1f} s" for t in steps))
    if not observable:
        thin = "too little speech, or too close together, to see its clock's drift"
        reasons.append(
            f"{thin}: {shared.drift_ppm:.2f} ppm taken from the participant's other part" if shared else thin
        )
    return reasons
