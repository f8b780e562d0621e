"""Decide what each part of a recording holds and where it lies, beside all others.

::

    alone       a path of own voice | others' voices only | nothing found | silence | another meeting's
    together    placed              | own background,     | where other parts expect it,
                                    | or the leak         | in the whole mix, by its background
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from recall_audio.core.alignment import correlation
from recall_audio.core.alignment.candidates import (
    ABOVE_FLOOR_DB,
    CELL,
    QUIET_DB,
    REACH,
    Candidates,
    Cells,
    candidate_scores,
    choose_spread,
    competing_gains,
    no_candidates,
    own_gain,
    own_gains,
    shares_of_others,
)
from recall_audio.core.alignment.confidence import (
    LATEST_LEAK_S,
    Expected,
    Placed,
    at_one_lag,
    expected_places,
    explained_share,
    n_leaps,
    place_by_leak,
)
from recall_audio.core.alignment.lag_lines import find_background, fit_lines
from recall_audio.core.alignment.lag_path import LagPath, find_lag_path
from recall_audio.core.alignment.search import APART, WORTH_DB, PartSearch, search_everywhere
from recall_audio.model.alignment import PartAudio, Status
from recall_audio.typing import BoolArray, Float32Array, FloatArray, IntArray, Samples
from recall_audio.units import RATE_HZ

PLACING_SCORE = 1.2
"""Sum of scores from which a part is placed: two clear cells."""

LEAKED_SCORE = 3.0
"""Sum of scores from which others' voices place a part."""

CONTRADICTING_SCORE = 20.0
"""The same, from which they do so against what all others' nominal starts say."""

LEAK_MARGIN_S = 0.02
"""By how much a part may begin before the place that others' voices give it, seconds: lags spread."""

SAME_PLACE_S = 0.005
"""Distance within which a place is that of others' voices, seconds: a room spreads them."""

EXPLAINED_SHARE = 0.55
"""Share of what is loud in a part that must be in the mix."""

STANDS_OUT_DB = 15.0
"""A part that is not found and never this far above its floor holds no speech."""

FEWEST_HELD = 2
HELD_SHARE = 0.6
"""Other participants, and the least share of what each says, that a track of the whole mix holds."""

MOST_LEAPS = 1
"""Leaps of its lag that a part may have that was found far from its nominal start."""

LEAKED_SHARE = 0.5
"""Share of a part's candidates that must be louder in other tracks for them to be others' voices."""

MOST_UNFOUND = 8
"""Loud cells, 4 s, that a part may hold and be placed by other parts alone: more would have been found."""

LEAST_REACH_S = 0.05
MOST_REACH_S = 1.0
"""Searched about an expected place, seconds each way: its interval, within these."""

WINDOW_CELLS = 4
WINDOW = WINDOW_CELLS * CELL
"""Cells and samples of the windows of a longer part: 2 s, in which no clock drifts by a pitch period."""

WHOLE = WINDOW + CELL
"""Samples up to which a part is looked at as one: 2.5 s."""

MOST_WINDOWS = 6
"""Such windows of a longer part."""

NEAR_PEAK = 8.0
NEAR_RATIO = 1.3
"""Height and ratio to the runner-up of a peak near an expected place that is no chance.

At 900 wrong places of real speech the highest was 6.8."""

FULL_PEAK = 22.0
"""Height from which such a peak counts as two clear cells."""

AGREE_LAG = 16.0
"""Samples within which windows of one part agree beside a clock's drift: 1 ms."""

CLOCK_PPM = 200.0
"""Largest drift of a clock, ppm."""

KEPT = "the nominal start stands"


@dataclass(frozen=True, slots=True, eq=False)
class PartCase:
    """A part with its path, or with the reason why it is not placed.

    Attributes:
        part: the part.
        search: what was found of it by itself.
        path: its lag through time, None where there is none.
        share: share of what is loud in it that is in the mix, 0 to 1.
        refused: status of a part that is not placed, None of one that is.
        reason: why it is not placed.
        leaked: most of what was found in it is louder in another participant's track.
        leak: the path of others' voices through a part that holds no other, None of any other part.
        holds_all: it holds what all others say, as loud as their own tracks do.
        expected: where it is placed by what else there is.
    """

    part: PartAudio
    search: PartSearch
    path: LagPath | None
    share: float
    refused: Status | None
    reason: str
    leaked: bool = False
    leak: LagPath | None = None
    holds_all: bool = False
    expected: Expected | None = None

    def placed(self) -> list[Placed]:
        """Return where the part was placed by itself, in a list of one, or of none."""
        if self.path is None or self.refused is not None:
            return []
        part, start_s = self.part, float(self.path.lines.at(0.0, 0)) / RATE_HZ
        offset_s = start_s - part.nominal_start_s
        return [Placed(part.participant_id, part.nominal_start_s, offset_s, self.search.opposite)]


def examine_parts(mix: Samples, parts: Sequence[PartAudio], searches: Sequence[PartSearch]) -> list[PartCase]:
    """Find each part's path, or the place that all else gives it, or the reason why it has none."""
    cases = _beside_all(mix, _examine_all(parts, searches, len(mix)))
    again = [_searched_everywhere(mix, case) for case in cases]
    if any(new is not case.search for new, case in zip(again, cases, strict=True)):
        # What was found far away is a voice, too, beside which others' voices are told from own ones.
        cases = _beside_all(mix, _examine_all(parts, again, len(mix)))
    return [_as_listener(mix, case, cases) for case in cases]


def _beside_all(mix: Samples, cases: list[PartCase]) -> list[PartCase]:
    return [_beside_others(mix, case, cases) for case in cases]


def _searched_everywhere(mix: Samples, case: PartCase) -> PartSearch:
    """Return the search of a part, over the whole mix where nothing near its nominal start placed it."""
    search = case.search
    done = case.refused is None or case.leaked or search.whole_mix
    if done or case.path is not None or search.cells.range_db < WORTH_DB:
        return search
    return search_everywhere(mix, case.part, search)


def _examine_all(parts: Sequence[PartAudio], searches: Sequence[PartSearch], n_mix: int) -> list[PartCase]:
    """Examine each part by itself, and again without those in which everything is.

    Beside a track that holds all voices, no voice would be its own participant's.
    """
    alone = _examine_each(parts, searches, n_mix)
    if not any(case.holds_all for case in alone):
        return alone
    searched = [replace(c.search, candidates=no_candidates()) if c.holds_all else c.search for c in alone]
    again = _examine_each(parts, searched, n_mix)
    return [case if case.holds_all else other for case, other in zip(alone, again, strict=True)]


def _examine_each(parts: Sequence[PartAudio], searches: Sequence[PartSearch], n_mix: int) -> list[PartCase]:
    """Find each part's path, or the reason why it is not placed."""
    candidates, people = [s.candidates for s in searches], [p.participant_id for p in parts]
    competing = competing_gains(candidates, people, n_mix)
    gains_db = own_gains([own_gain(c, db) for c, db in zip(candidates, competing, strict=True)])
    cases = [_examine(*facts) for facts in zip(parts, searches, competing, gains_db, strict=True)]
    for i, case in enumerate(cases):
        if case.path is not None and case.refused is None:
            shares = shares_of_others(case.path.rows, i, candidates, people, n_mix)
            holds_all = len(shares) >= FEWEST_HELD and min(shares) >= HELD_SHARE
            cases[i] = replace(case, holds_all=holds_all)
    return cases


def _examine(part: PartAudio, search: PartSearch, competing_db: FloatArray, own_gain_db: float) -> PartCase:
    """Find a part's path, or the reason why it is not placed."""
    candidates = search.candidates
    reason = f"nothing in it stands out from its background; {KEPT}"
    silent = PartCase(part, search, None, 0.0, "silent", reason)
    if not np.any(search.cells.loud) or (len(candidates) == 0 and search.cells.range_db < STANDS_OUT_DB):
        return silent
    path = find_lag_path(candidates, candidate_scores(candidates, own_gain_db, competing_db))
    if path is None or float(np.sum(path.score)) < PLACING_SCORE:
        if search.cells.range_db < ABOVE_FLOOR_DB:
            return silent
        leaked = len(candidates) > 0 and float(np.mean(competing_db > candidates.gain_db)) > LEAKED_SHARE
        found = f"only other participants' voices were found in it; {KEPT}"
        if not leaked:
            found = f"nothing in it was found {_searched(search)}; {KEPT}"
        leak = _leak_path(search) if leaked else None
        return PartCase(part, search, None, 0.0, "no_match", found, leaked, leak)
    share = explained_share(search, path)
    if search.whole_mix and n_leaps(path) > MOST_LEAPS:
        reason = (
            f"pieces of it were found in {n_leaps(path) + 1} places far apart in the whole mix, so it may be "
            f"another meeting's; {KEPT}"
        )
        return PartCase(part, search, path, share / (n_leaps(path) + 1), "no_match", reason)
    if share < EXPLAINED_SHARE and not at_one_lag(search, path, share):
        reason = (
            f"only {share:.0%} of what is loud in it is in the mix, so it may be another meeting's; {KEPT}"
        )
        return PartCase(part, search, path, share, "no_match", reason)
    return PartCase(part, search, path, share, None, "")


def _searched(search: PartSearch) -> str:
    """Return where a part was searched, in words."""
    if search.whole_mix:
        return "in the mix, which was searched from end to end, upright and upside down"
    return f"within {search.searched_s:g} s of its nominal start in the mix"


def _leak_path(search: PartSearch) -> LagPath | None:
    """Return the path of others' voices through a part, None where they are too few to place it."""
    candidates = search.candidates
    none_db = np.full(len(candidates), -np.inf)
    path = find_lag_path(candidates, candidate_scores(candidates, -np.inf, none_db))
    return path if path is not None and float(np.sum(path.score)) >= LEAKED_SCORE else None


def _places(case: PartCase, cases: Sequence[PartCase]) -> list[Expected]:
    """Return where all others expect a part, the likeliest first."""
    placed = [p for other in cases if other is not case for p in other.placed()]
    return expected_places(case.part.participant_id, case.part.nominal_start_s, placed)


def _beside_others(mix: Samples, case: PartCase, cases: Sequence[PartCase]) -> PartCase:
    """Look for a part that was not found by itself where the others expect it."""
    if case.refused is None or case.path is not None:
        return case
    part, places = case.part, _places(case, cases)
    for place in places:
        if case.leak is not None and place.source != "participant":
            break
        search = replace(case.search, opposite=place.opposite)
        path = look_near(search.upright(part.samples), mix, search.cells, place)
        if path is None:
            continue
        if place.source == "participant" or not _is_leaked(path, case, cases, len(mix)):
            return replace(case, search=search, path=path, share=1.0, refused=None, reason="", leak=None)
        if float(np.sum(path.score)) >= LEAKED_SCORE:
            return replace(case, leaked=True, leak=path)
    return case


def _as_listener(mix: Samples, case: PartCase, cases: Sequence[PartCase]) -> PartCase:
    """Place a part without a voice of its own: by other parts, its background, or others' voices."""
    if case.refused is None or case.path is not None:
        return case
    place = next(iter(_places(case, cases)), None)
    few = case.leak is None and np.count_nonzero(case.search.cells.loud) <= MOST_UNFOUND
    if place is not None and few:
        return replace(case, expected=place) if place.tells else case
    found = _heard_place(mix, case, place)
    return case if found is None else replace(case, expected=found)


def _heard_place(mix: Samples, case: PartCase, place: Expected | None) -> Expected | None:
    """Return the place of a part by its background, else by others' voices in it, or None."""
    samples, leak = case.part.samples, case.leak
    expected_s = place.start_s if place else case.part.nominal_start_s
    reach_s = max(place.half_width_s if place else 0.0, 0.5 * LATEST_LEAK_S)
    near = (expected_s - reach_s, expected_s + reach_s)
    if leak is None:
        return place_by_background(samples, mix, near) if case.refused == "no_match" else None
    early_s = float(np.max(leak.lines.level)) / RATE_HZ
    span = (early_s - LEAK_MARGIN_S, early_s + LATEST_LEAK_S)
    if place is not None:
        both = max(span[0], near[0]), min(span[1], near[1])
        if both[1] > both[0]:
            span = both
        elif float(np.sum(leak.score)) < CONTRADICTING_SCORE:
            return place_by_background(samples, mix, near)
    found = place_by_background(samples, mix, span)
    if found is not None and not _is_on(leak, found):
        return found
    if case.refused == "silent":
        return None
    # Others' pauses hold what their microphones hear: on the voices' own line a background proves nothing.
    return place_by_leak(early_s, found.start_s if found else expected_s)


def _is_on(leak: LagPath, place: Expected) -> bool:
    """Return whether a place is that of others' voices."""
    lag = leak.lines.level - leak.lines.slope * leak.lines.centre
    return bool(np.min(np.abs(lag / RATE_HZ - place.start_s)) < SAME_PLACE_S)


def _is_leaked(path: LagPath, case: PartCase, cases: Sequence[PartCase], n_mix: int) -> bool:
    """Return whether what lies on a path is louder in another participant's track."""
    others = [other for other in cases if other is not case]
    candidates = [path.rows, *(o.search.candidates for o in others)]
    people = [case.part.participant_id, *(o.part.participant_id for o in others)]
    competing_db = competing_gains(candidates, people, n_mix)[0]
    return bool(np.mean(competing_db > path.rows.gain_db) > LEAKED_SHARE)


def look_near(samples: Samples, mix: Samples, cells: Cells, place: Expected) -> LagPath | None:
    """Return the path of a part about an expected place, None where it is not found there.

    A short part is looked at as one window: a word in a second and a half is 30 times above chance.

    Args:
        samples: the part, turned over where it is expected to be.
        mix: the mix.
        cells: the part's levels.
        place: where it is expected.
    """
    at, length = _windows(cells, len(samples))
    if len(at) == 0:
        return None
    reach = round(float(np.clip(place.half_width_s, LEAST_REACH_S, MOST_REACH_S)) * RATE_HZ)
    wide = max(reach, REACH)
    lag = np.full(len(at), round(place.start_s * RATE_HZ), dtype=np.int64)
    own = correlation.read_windows(samples, at, length)
    r = correlation.correlations(own, correlation.read_windows(mix, at + lag - wide, length + 2 * wide))
    column, peak = correlation.find_peaks(r[:, wide - reach : wide + reach + 1], 2, APART)
    found = lag + column[:, 0] - reach
    clear = (peak[:, 0] >= NEAR_PEAK) & (peak[:, 0] >= NEAR_RATIO * peak[:, 1])
    chosen = _agreeing(at, found, np.where(clear, peak[:, 0], 0.0))
    if not np.any(chosen):
        return None
    rows = _rows(own[chosen], mix, at[chosen], found[chosen], peak[chosen, 0], length)
    score = np.clip(2.0 * rows.height / FULL_PEAK, 0.0, 2.0)
    segment = np.zeros(len(rows), dtype=np.int64)
    return LagPath(rows, score, segment, fit_lines(rows.at, rows.lag, rows.sigma, segment))


def _windows(cells: Cells, n_samples: int) -> tuple[IntArray, int]:
    """Return the first samples of the windows of a part to look at, and their length."""
    if n_samples <= WHOLE:
        return np.zeros(1 if n_samples else 0, dtype=np.int64), n_samples
    above_db = np.clip(np.nan_to_num(cells.level_db - QUIET_DB, neginf=0.0), 0.0, None)
    speech = np.convolve(above_db, np.full(WINDOW_CELLS, 1.0 / WINDOW_CELLS), mode="valid")
    return choose_spread(speech, MOST_WINDOWS, WINDOW_CELLS) * CELL, WINDOW


def _agreeing(at: IntArray, lag: IntArray, height: FloatArray) -> BoolArray:
    """Return which windows lie on the lag on which the highest peaks agree."""
    tolerance = AGREE_LAG + np.abs(at[:, None] - at[None, :]) * CLOCK_PPM * 1e-6
    agree = (np.abs(lag[:, None] - lag[None, :]) <= tolerance) & (height > 0.0)
    best = int(np.argmax(agree @ height * (height > 0.0)))
    return np.asarray(agree[best])


def _rows(
    own: Float32Array, mix: Samples, at: IntArray, lag: IntArray, height: FloatArray, length: int
) -> Candidates:
    """Return one refined candidate a window."""
    fine = correlation.refine_lags(own, correlation.read_windows(mix, at + lag, length))
    return Candidates(
        cell=(at + fine.centre).astype(np.int64) // CELL,
        at=at + fine.centre,
        lag=lag + fine.shift,
        sigma=fine.sigma,
        height=np.asarray(height, dtype=np.float64),
        gain_db=fine.gain_db,
        coherence=fine.coherence,
    )


def place_by_background(samples: Samples, mix: Samples, start_s: tuple[float, float]) -> Expected | None:
    """Return the place at which a part's own background is in the mix, between two moments of the mix."""
    found = find_background(samples, mix, start_s)
    if found is None:
        return None
    half_s, ppm = found.half_width / RATE_HZ, found.slope * 1e6
    return Expected(found.lag / RATE_HZ, half_s, "background", found.sure, drift_ppm=ppm)
