"""Search a part on the mix, and gather the candidate lags of all its cells.

::

    cells        which half seconds of the part may hold speech
    anchors      a few windows of 2 s, searched over a wide range of lags: roughly where the part lies
    candidates   all loud cells, searched near the lags that the anchors expect

One anchor alone can put a part in its place. Where anchors disagree (leaked voices, a step), the cells
between them decide later.
"""

from dataclasses import dataclass, fields, replace

import numpy as np

from recall_audio.core.alignment import correlation
from recall_audio.core.alignment.candidates import (
    CELL,
    CLEAR_COHERENCE,
    CLEAR_PEAK,
    LONG_CELLS,
    REACH,
    Candidates,
    Cells,
    choose_anchor_windows,
    gather_candidates,
    measure_cells,
    no_candidates,
)
from recall_audio.model.alignment import PartAudio
from recall_audio.model.options import AlignOptions
from recall_audio.typing import BoolArray, FloatArray, IntArray, Samples
from recall_audio.units import RATE_HZ

LONG = LONG_CELLS * CELL
"""Samples of an anchor's window."""

FEWEST_WINDOWS = 10
"""Anchors that are tried of a part; one more for each minute of it."""

LEAST_ANCHOR_PEAK = 8.0
"""Least height of a genuine peak, in root mean squares: foreign tracks of real speech stayed below 6."""

LEAST_ANCHOR_RATIO = 1.3
"""Least ratio of a genuine peak to the next one that is not its neighbour."""

ALONE_RATIO = 2.0
ALONE_PEAK = 14.0
"""Ratio and height from which an anchor needs no second one that agrees with it."""

APART = 64
"""Samples within which two peaks are one: 4 ms, a pitch period."""

SLACK_S = 0.3
"""Searched beyond the given range, seconds: the encoder's delay, and the range's own edge."""

CLOCK_PPM = 200.0
"""Largest drift of a clock that is searched for."""

AGREE_SAMPLES = 32.0
"""Samples by which two anchors may differ beside a clock's drift, and agree: 2 ms."""

MOST_LAGS = 480_000
"""Lags tried in one transform: 30 s; a longer range is taken in several."""

REPEATED_S = 20.0
"""Longest stretch that may be repeated inside a part, seconds."""

LOST_S = 600.0
"""Longest stretch that may be lost inside a part, seconds."""

LATE_S = 2
"""Searched beyond the lag at which the part ends with the mix, seconds."""

FEWEST_CELLS = 4
"""Unexplained strong cells in a row from which a stretch is searched again: 2 s of speech."""

MOST_STRETCHES = 3
"""Stretches of a part that are searched in one turn."""

WINDOWS_A_STRETCH = 3
"""Windows of each such stretch that are searched."""

WORTH_DB = 15.0
"""A part that is never this far above its floor is not looked for in the whole mix: it holds no speech."""

WHOLE_MIX_WINDOWS = (2, 6)
"""Windows that are searched over the whole mix first, and where these are not clear."""

TURNS = 3
"""Times that what is still unexplained is searched farther away: once a long step."""

QUIETER_DB = 6.0
"""Cells this much quieter than those that were found need no explanation."""

ONE_LAG = 2000
"""Anchors whose lags differ by less, in samples, share one expected lag: leaked voices lie nearer."""


@dataclass(frozen=True, slots=True, eq=False)
class Anchors:
    """Windows that were searched, in order of time.

    Attributes:
        at: shape (n,), the window's first sample on the part's clock.
        lag: shape (n,), samples to the mix's clock.
        height: shape (n,), the peak, in root mean squares.
        ratio: shape (n,), the peak over the runner-up.
        depth: shape (n,), the highest peak of the window upside down.
    """

    at: IntArray
    lag: IntArray
    height: FloatArray
    ratio: FloatArray
    depth: FloatArray

    def take(self, which: BoolArray | IntArray) -> "Anchors":
        """Return the chosen windows."""
        return Anchors(*(getattr(self, f.name)[which] for f in fields(self)))


@dataclass(frozen=True, slots=True, eq=False)
class PartSearch:
    """What was found of one part by itself, before the parts are compared.

    Attributes:
        cells: levels of its cells.
        candidates: candidate lags of the loud ones; none where no anchor was found.
        opposite: its polarity is opposite to the mix's: it was searched upside down.
        whole_mix: it was searched over the whole mix.
        searched_s: how far about its nominal start it was searched, each way, seconds.
    """

    cells: Cells
    candidates: Candidates
    opposite: bool = False
    whole_mix: bool = False
    searched_s: float = 0.0

    def upright(self, samples: Samples) -> Samples:
        """Return the part's samples in the mix's polarity."""
        return correlation.inverted(samples) if self.opposite else samples


def search_part(mix: Samples, part: PartAudio, options: AlignOptions) -> PartSearch:
    """Search one part on the mix.

    It is a pure function of arrays, fit for a process pool.

    Args:
        mix: shape (n,), int16, 16 kHz.
        part: the part and its nominal start.
        options: how far to search.
    """
    cells = measure_cells(part.samples)
    nothing = PartSearch(cells, no_candidates(), searched_s=options.search_s)
    if not np.any(cells.loud):
        return nothing
    if options.whole_mix:
        return search_everywhere(mix, part, nothing, options.search_s)
    nominal = _Place(round(part.nominal_start_s * RATE_HZ))
    anchors, place = _anchors_near(part.samples, mix, cells, nominal, options.search_s)
    if len(anchors.at) == 0:
        return nothing
    return replace(_gather_about(mix, part.samples, cells, anchors, place), searched_s=options.search_s)


def search_everywhere(
    mix: Samples, part: PartAudio, search: PartSearch, search_s: float = AlignOptions().search_s
) -> PartSearch:
    """Search a part over the whole mix, and return `search` where nothing is found."""
    found = search_whole_mix(part.samples, mix, search.cells)
    if found is not None:
        place = _Place(found[0], found[1])
        anchors, place = _anchors_near(part.samples, mix, search.cells, place, search_s)
        if len(anchors.at):
            found_there = _gather_about(mix, part.samples, search.cells, anchors, place)
            return replace(found_there, whole_mix=True)
    return replace(search, whole_mix=True)


def _gather_about(
    mix: Samples, samples: Samples, cells: Cells, anchors: "Anchors", place: "_Place"
) -> PartSearch:
    """Gather the candidates of all loud cells about the anchors, and beyond steps."""
    if place.opposite:
        samples = correlation.inverted(samples)
    candidates = _near_anchors(mix, samples, cells, anchors)
    for _ in range(TURNS):
        unexplained, lag_before = unexplained_cells(cells, candidates)
        cell, expected = search_beyond_steps(samples, mix, cells, unexplained, lag_before)
        if len(cell) == 0:
            break
        candidates = Candidates.join([candidates, gather_candidates(samples, mix, cell, expected)])
    return PartSearch(cells, candidates, place.opposite)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a part is searched.

    Attributes:
        lag: about which lag, samples.
        opposite: upside down.
    """

    lag: int = 0
    opposite: bool = False


def _anchors_near(
    samples: Samples, mix: Samples, cells: Cells, place: _Place, search_s: float
) -> tuple[Anchors, _Place]:
    """Find anchors near a place, as the part is and, where nothing is found, turned over."""
    views = {False: samples, True: correlation.inverted(samples)}
    anchors = find_anchors(views[place.opposite], mix, cells, place.lag, search_s)
    if np.sum(anchors.height) > np.sum(anchors.depth):
        return anchors, place
    # Voices repeat: half a period beside its place, a part upside down has peaks too.
    turned = find_anchors(views[not place.opposite], mix, cells, place.lag, search_s)
    if np.sum(turned.height) > np.sum(anchors.height):
        return turned, replace(place, opposite=not place.opposite)
    return anchors, place


def find_anchors(part: Samples, mix: Samples, cells: Cells, nominal: int, search_s: float) -> Anchors:
    """Find the trusted anchors of a part about its nominal lag (samples), `search_s` each way."""
    at = choose_anchor_windows(cells, FEWEST_WINDOWS + len(part) // (60 * RATE_HZ))
    reach = ((search_s + SLACK_S) * RATE_HZ + at * CLOCK_PPM * 1e-6).astype(np.int64)
    n_lags = int(2 * reach.max(initial=1) + 1)
    return trusted_anchors(search_windows(part, mix, at, nominal - reach, n_lags))


def search_windows(part: Samples, mix: Samples, at: IntArray, first: IntArray, n_lags: int) -> Anchors:
    """Search windows of a part on the mix, each over a range of lags.

    Args:
        part: the part.
        mix: the mix.
        at: shape (n,), first samples of the windows.
        first: shape (n,), the first lag of each window.
        n_lags: how many lags are tried from there on.
    """
    lag = np.zeros(len(at), dtype=np.int64)
    best, second, depth = np.zeros(len(at)), np.full(len(at), 1e-3), np.zeros(len(at))
    for low in range(0, n_lags, MOST_LAGS):
        width = min(MOST_LAGS, n_lags - low)
        for i in range(len(at)):
            window = correlation.read_windows(part, at[i : i + 1], LONG)
            stretch = correlation.read_windows(mix, at[i : i + 1] + first[i] + low, LONG + width - 1)
            if not np.any(stretch):
                continue
            r = correlation.correlations(window, stretch)
            depth[i] = max(depth[i], -float(np.min(r)))
            column, peak = correlation.find_peaks(r, 2, APART)
            high, next_high = float(peak[0, 0]), float(peak[0, 1])
            if high > best[i]:
                lag[i], next_high = first[i] + low + column[0, 0], max(next_high, best[i])
                best[i] = high
            else:
                next_high = high
            second[i] = max(second[i], next_high)
    return Anchors(np.asarray(at, dtype=np.int64), lag, best, best / second, depth)


def trusted_anchors(anchors: Anchors) -> Anchors:
    """Return the anchors that stand out by themselves, or that another one agrees with."""
    found = anchors.take(_stands_out(anchors))
    apart = np.abs(found.at[:, None] - found.at[None, :])
    off = np.abs(found.lag[:, None] - found.lag[None, :])
    agree = np.sum(off <= AGREE_SAMPLES + apart * CLOCK_PPM * 1e-6, axis=1) > 1
    return found.take(agree | ((found.ratio >= ALONE_RATIO) & (found.height >= ALONE_PEAK)))


def _stands_out(anchors: Anchors) -> BoolArray:
    return np.asarray((anchors.height >= LEAST_ANCHOR_PEAK) & (anchors.ratio >= LEAST_ANCHOR_RATIO))


def search_whole_mix(part: Samples, mix: Samples, cells: Cells) -> tuple[int, bool] | None:
    """Return the lag of a part that may lie anywhere on the mix, samples, and whether it is upside down.

    It is None where the part is not found. The two windows with most speech are searched over the whole mix,
    more of them where these leave it open.
    """
    for n_windows in WHOLE_MIX_WINDOWS:
        at = choose_anchor_windows(cells, n_windows)
        found = _search_windows_everywhere(part, mix, at)
        opposite = max(found, key=lambda o: float(np.sum(trusted_anchors(found[o]).height)))
        anchors = trusted_anchors(found[opposite])
        if len(anchors.at):
            agree = np.abs(anchors.lag[:, None] - anchors.lag[None, :]) < RATE_HZ
            return int(anchors.lag[np.argmax(agree @ anchors.height)]), opposite
        if not any(np.any(_stands_out(a)) for a in found.values()) or len(at) < n_windows:
            return None
    return None


def _search_windows_everywhere(part: Samples, mix: Samples, at: IntArray) -> dict[bool, Anchors]:
    """Search windows over the whole mix, as they are and (True) upside down, all on one transform of it."""
    windows = correlation.read_windows(part, at, LONG)
    best = {
        opposite: (np.zeros(len(at)), np.full(len(at), 1e-3), np.zeros(len(at), np.int64))
        for opposite in (False, True)
    }
    for low in range(-LONG, len(mix), MOST_LAGS):
        start = np.array([low], dtype=np.int64)
        stretch = correlation.read_windows(mix, start, LONG + min(MOST_LAGS, len(mix) - low) - 1)
        if not np.any(stretch):
            continue
        r = correlation.correlations(windows, stretch)
        for opposite, (high, second, lag) in best.items():
            column, peak = correlation.find_peaks(-r if opposite else r, 2, APART)
            better = peak[:, 0] > high
            second[:] = np.maximum(second, np.where(better, np.maximum(high, peak[:, 1]), peak[:, 0]))
            lag[:] = np.where(better, low + column[:, 0] - at, lag)
            high[:] = np.maximum(high, peak[:, 0])
    return {o: Anchors(at, lag, h, h / s, 0.0 * h) for o, (h, s, lag) in best.items()}


def search_beyond_steps(
    part: Samples, mix: Samples, cells: Cells, unexplained: IntArray, lag_before: IntArray
) -> tuple[IntArray, IntArray]:
    """Search cells that nothing explains farther away from their place.

    What was lost inside a part moves all that follows to later in the mix, at most so far that the part
    still ends with the mix; what was repeated moves it back.

    Args:
        part: the part.
        mix: the mix.
        cells: the part's levels.
        unexplained: strong cells that nothing explains, in order of time.
        lag_before: for every cell of the part, the lag of the nearest explained one before it, samples.

    Returns:
        The cells that were found, and the lag each was found at, samples.
    """
    found_cells, found_lags = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    for stretch in _stretches(unexplained, lag_before)[:MOST_STRETCHES]:
        level_db = np.full(len(cells.level_db), -np.inf)
        level_db[stretch] = cells.level_db[stretch]
        at = choose_anchor_windows(Cells(level_db, cells.floor_db), WINDOWS_A_STRETCH)
        lag = int(lag_before[stretch[0]])
        back = int(REPEATED_S * RATE_HZ)
        ahead = int(np.clip(len(mix) - len(part) - lag, 0, LOST_S * RATE_HZ)) + LATE_S * RATE_HZ
        first = np.full(len(at), lag - back)
        anchors = trusted_anchors(search_windows(part, mix, at, first, back + ahead))
        for found in _distinct(anchors.lag):
            found_cells.append(stretch)
            found_lags.append(np.full(len(stretch), found))
    return np.concatenate(found_cells), np.concatenate(found_lags)


def _stretches(unexplained: IntArray, lag_before: IntArray) -> list[IntArray]:
    """Return runs of cells between which nothing is explained, the longest first."""
    if len(unexplained) == 0:
        return []
    edges = np.flatnonzero(np.diff(lag_before[unexplained])) + 1
    stretches = [s for s in np.split(unexplained, edges) if len(s) >= FEWEST_CELLS]
    return sorted(stretches, key=len, reverse=True)


def _distinct(lags: IntArray) -> list[int]:
    """Return one of each group of lags that lie within a cell's reach."""
    kept: list[int] = []
    for lag in lags.tolist():
        if all(abs(lag - k) > REACH // 2 for k in kept):
            kept.append(lag)
    return kept


def unexplained_cells(cells: Cells, candidates: Candidates) -> tuple[IntArray, IntArray]:
    """Return cells without a clear candidate, and each cell's clear lag before it."""
    clear = candidates.take((candidates.height > CLEAR_PEAK) & (candidates.coherence > CLEAR_COHERENCE))
    if len(clear) == 0:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    strong = cells.loud & (cells.level_db >= np.median(cells.level_db[clear.cell]) - QUIETER_DB)
    strong[candidates.cell[candidates.height > CLEAR_PEAK]] = False
    every = np.arange(len(cells.level_db))
    before = np.clip(np.searchsorted(clear.cell, every, side="right") - 1, 0, None)
    return np.flatnonzero(strong), np.rint(clear.lag[before]).astype(np.int64)


def _near_anchors(mix: Samples, part: Samples, cells: Cells, anchors: Anchors) -> Candidates:
    """Gather candidates of all loud cells about the lags that the anchors around them expect."""
    cell = np.flatnonzero(cells.loud).astype(np.int64)
    middle = cell * CELL + CELL // 2
    after = np.searchsorted(anchors.at, middle)
    before, after = np.maximum(after - 1, 0), np.minimum(after, len(anchors.at) - 1)
    low, high = anchors.lag[before], anchors.lag[after]
    apart = np.maximum(anchors.at[after] - anchors.at[before], 1)
    share = np.clip((middle - anchors.at[before]) / apart, 0.0, 1.0)
    between = np.rint(low + (high - low) * share).astype(np.int64)
    split = np.abs(high - low) > ONE_LAG
    candidates = gather_candidates(part, mix, cell, np.where(split, low, between))
    if not np.any(split):
        return candidates
    return Candidates.join([candidates, gather_candidates(part, mix, cell[split], high[split])])
