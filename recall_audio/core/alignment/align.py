"""Align every part with the mix: decide its place, drift, confidence and time map.

::

    search        anchors and candidate lags of one part by itself                    search, candidates
    scores        candidates beside the other parts' at the same moment               candidates
    path          which lags belong together, and where they step                     lag_path
    lines         one slope for the clock, a level for each segment                   lag_lines
    decision      aligned or not, how sure, and the time map                          here, confidence
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from recall_audio.core.alignment.candidates import (
    BELOW_OWN_NONE_DB,
    candidate_scores,
    competing_gains,
    own_gain,
)
from recall_audio.core.alignment.confidence import (
    WANDER_STEPS,
    SharedDrift,
    confidence,
    drift_bound_ppm,
    drift_is_observable,
    explained_share,
    path_spread,
    share_drift,
    uncertainty_ms,
)
from recall_audio.core.alignment.correlation import inverted
from recall_audio.core.alignment.lag_path import LagPath, find_lag_path, locate_steps
from recall_audio.core.alignment.search import PartSearch, search_part
from recall_audio.model.alignment import Alignment, PartAlignment, PartAudio, Status, TimeMap
from recall_audio.model.options import AlignOptions
from recall_audio.model.outcome import CountCallback, Finding
from recall_audio.typing import FloatArray, Samples
from recall_audio.units import RATE_HZ

PLACING_SCORE = 1.2
"""Sum of scores from which a part is placed: two clear cells."""

EXPLAINED_SHARE = 0.55
"""Share of what is loud in a part that must be in the mix, ..."""

EXPLAINED_SHARE_WHERE_SPREAD = 0.3
LEAST_SPREAD = 0.75
"""... or less, where it is spread over the whole part at one lag: then the rest is noise of its own."""

LEAP = RATE_HZ // 2
"""A step longer than this, samples, is longer than a window: then the part is not at one lag."""

WHISPER_DB = 12.0
"""A part whose strongest voice is this far below the other parts' (median) holds none of its own."""

STANDS_OUT_DB = 15.0
"""A part that is not found and never this far above its floor holds no speech."""

MOST_RESIDUALS = 600
"""Windows of a part whose residuals are kept for the report."""

KEPT = "the nominal start stands"

FAR_S = 3.0
"""Distance from its nominal start at which a part is named, seconds: starts are wrong by up to 2."""

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
    return (*found, DELAY_UNKNOWN) if encoder_delay_known is False else tuple(found)


def _finding_of(part: PartAlignment) -> Finding | None:
    """Return the finding on one part, None where it is aligned."""
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


@dataclass(frozen=True, slots=True, eq=False)
class _PartCase:
    """A part with its path, or with the reason why it is not placed.

    Attributes:
        part: the part.
        search: what was found of it by itself.
        path: its lag through time, None where there is none.
        share: share of what is loud in it that is in the mix, 0 to 1.
        refused: status of a part that is not placed, None of one that is.
        reason: why it is not placed.
    """

    part: PartAudio
    search: PartSearch
    path: LagPath | None
    share: float
    refused: Status | None
    reason: str


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
    candidates = [s.candidates for s in searches]
    competing = competing_gains(candidates, [p.participant_id for p in parts], len(mix))
    gains_db = _own_gains([own_gain(c, db) for c, db in zip(candidates, competing, strict=True)])
    cases = [_examine(*facts) for facts in zip(parts, searches, competing, gains_db, strict=True)]
    return tuple(_decide(mix, case, cases) for case in cases)


def _own_gains(gains_db: Sequence[float]) -> list[float]:
    """Return the own voices' gains, raised where only leaked voices can have set them.

    No part's own voice is far below the other parts'. A part below that gets a gain at which none of its
    candidates counts.
    """
    known = [g for g in gains_db if np.isfinite(g)]
    least_db = float(np.median(known)) - WHISPER_DB if len(known) > 1 else -np.inf
    return [max(g, least_db) + (BELOW_OWN_NONE_DB if g < least_db else 0.0) for g in gains_db]


def _examine(part: PartAudio, search: PartSearch, competing_db: FloatArray, own_gain_db: float) -> _PartCase:
    """Find a part's path, or the reason why it is not placed."""
    candidates = search.candidates
    if not np.any(search.cells.loud) or (len(candidates) == 0 and search.cells.range_db < STANDS_OUT_DB):
        reason = f"nothing in it stands out from its background; {KEPT}"
        return _PartCase(part, search, None, 0.0, "silent", reason)
    path = find_lag_path(candidates, candidate_scores(candidates, own_gain_db, competing_db))
    if path is None or float(np.sum(path.score)) < PLACING_SCORE:
        leaked = len(candidates) > 0 and float(np.mean(competing_db > candidates.gain_db)) > 0.5
        found = (
            "only other participants' voices were found in it"
            if leaked
            else "nothing in it was found in the mix"
        )
        if search.whole_mix:
            found += ", which was searched from end to end, upright and upside down"
        return _PartCase(part, search, None, 0.0, "no_match", f"{found}; {KEPT}")
    share = explained_share(search, path)
    if share < EXPLAINED_SHARE and not _at_one_lag(search, path, share):
        reason = (
            f"only {share:.0%} of what is loud in it is in the mix, so it may be another meeting's; {KEPT}"
        )
        return _PartCase(part, search, path, share, "no_match", reason)
    return _PartCase(part, search, path, share, None, "")


def _at_one_lag(search: PartSearch, path: LagPath, share: float) -> bool:
    """Return whether the path visits most of a part at nearly one lag."""
    leaps = bool(np.any(np.abs(np.diff(path.lines.level)) > LEAP))
    return share >= EXPLAINED_SHARE_WHERE_SPREAD and path_spread(search, path) >= LEAST_SPREAD and not leaps


def _decide(mix: Samples, case: _PartCase, cases: Sequence[_PartCase]) -> PartAlignment:
    """Decide the alignment of one part, with the others' drift where it shows none."""
    if case.path is None or case.refused is not None:
        sure = None if case.refused == "silent" else _refused_confidence(case)
        return keep_nominal_start(case.part, case.refused or "no_match", case.reason, sure)
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


def _refused_confidence(case: _PartCase) -> float:
    """Return the confidence of a part that was refused: below every part that was placed."""
    return round(confidence(case.path, case.share) * case.share, 4) if case.path else 0.0


def _place_part(mix: Samples, case: _PartCase, path: LagPath, shared: SharedDrift | None) -> PartAlignment:
    """Return the alignment of a part that is placed.

    Its `path` has the slope that is to hold.
    """
    part, own = case.part, case.path.lines if case.path else path.lines
    observable = drift_is_observable(own)
    if observable:
        bound_ppm = own.sigmas_95 * own.slope_sigma * 1e6
    else:
        bound_ppm = shared.bound_ppm if shared else drift_bound_ppm(own)
    samples = inverted(part.samples) if case.search.opposite else part.samples
    steps = locate_steps(samples, mix, path, case.search.candidates)
    return PartAlignment(
        part_id=part.part_id,
        participant_id=part.participant_id,
        nominal_start_s=part.nominal_start_s,
        time_map=_time_map(path, steps, len(part.samples)),
        status="step" if len(steps) else "aligned" if observable else "drift_unobservable",
        drift_ppm=round(own.slope * 1e6, 4) if observable else None,
        confidence=confidence(path, case.share),
        uncertainty_ms=round(uncertainty_ms(path.lines, len(part.samples), bound_ppm), 5),
        reason="; ".join(_reasons(steps, observable, shared)),
        drift_bound_ppm=None if observable else round(bound_ppm, 2),
        drift_from=shared.part_id if shared else None,
        residuals=_residuals(path),
        opposite=case.search.opposite,
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


def _residuals(path: LagPath) -> tuple[tuple[float, float, float], ...]:
    """Return ``(mix_s, lag error in ms, weight)`` of windows about the lines, evenly thinned."""
    rows = path.rows
    kept = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), MOST_RESIDUALS)).astype(int))
    mix_s = (rows.at + rows.lag)[kept] / RATE_HZ
    error_ms = path.lines.residual[kept] / RATE_HZ * 1e3
    table = zip(mix_s.tolist(), error_ms.tolist(), path.lines.weight[kept].tolist(), strict=True)
    return tuple((round(a, 3), round(b, 5), round(c, 3)) for a, b, c in table)


def _time_map(path: LagPath, steps: FloatArray, n_samples: int) -> TimeMap:
    """Return the map of parallel lines between the steps (samples) of a part."""
    edges = np.r_[0.0, steps, float(n_samples)]
    knots: list[tuple[float, float]] = []
    for k in range(len(path.lines.level)):
        knots += [(float(t) / RATE_HZ, float(t + path.lines.at(t, k)) / RATE_HZ) for t in edges[k : k + 2]]
    return TimeMap(tuple(knots))
