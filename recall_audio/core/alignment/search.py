"""Anchors: the few windows by which a part is found on the mix, wherever its nominal start says.

Each anchor is two seconds of the part's best speech against a long stretch of the mix. One alone can
put a part in its place; where they disagree (leaked voices, a step), the windows between decide later.
"""

from dataclasses import dataclass, fields

import numpy as np

from recall_audio.core.alignment import correlation
from recall_audio.core.alignment.candidates import (
    CELL,
    CLEAR_COHERENCE,
    CLEAR_PEAK,
    REACH,
    Cells,
    Evidence,
    gather,
    measure_cells,
    no_evidence,
    spread_choice,
)
from recall_audio.model.alignment import PartAudio
from recall_audio.model.options import AlignOptions
from recall_audio.typing import BoolArray, FloatArray, IntArray, Samples
from recall_audio.units import RATE_HZ

LONG_CELLS = 4
"""Cells of an anchor's window: 2 s."""

LONG = LONG_CELLS * CELL

PEAK = 8.0
"""Least height of a genuine peak, in root mean squares; foreign tracks stay below 6."""

RUNNER_UP = 1.3
"""Least ratio of a genuine peak to the next one that is not its neighbour."""

ALONE = 2.0
"""Ratio to the runner-up from which an anchor needs no second one."""

ALONE_PEAK = 14.0
"""Height from which it doesn't."""

APART = 64
"""Samples within which two peaks are one: 4 ms, a pitch period."""

SLACK_S = 0.3
"""Searched beyond the given range: the encoder's delay, and the range's own edge."""

CLOCK_PPM = 200.0
"""How far off a clock may be at all."""

MOST_LAGS = 480_000
"""Lags tried in one transform: 30 s; a longer range is taken in turns."""


@dataclass(frozen=True, slots=True, eq=False)
class Anchors:
    """Windows that were looked for, in order of time.

    Attributes:
        at: shape (n,), the window's first sample on the part's clock.
        speech: shape (n,), how much speech it seems to hold: its cells' levels above the floor, dB.
        lag: shape (n,), samples to the mix's clock.
        height: shape (n,), the peak, in root mean squares.
        ratio: shape (n,), the peak over the runner-up.
    """

    at: IntArray
    speech: FloatArray
    lag: IntArray
    height: FloatArray
    ratio: FloatArray

    def take(self, which: BoolArray | IntArray) -> "Anchors":
        """The chosen windows."""
        return Anchors(*(getattr(self, f.name)[which] for f in fields(self)))

    def join(self, other: "Anchors") -> "Anchors":
        """Both, in order of time."""
        pairs = [(getattr(self, f.name), getattr(other, f.name)) for f in fields(self)]
        both = Anchors(*(np.concatenate(p) for p in pairs))
        return both.take(np.argsort(both.at, kind="stable"))


def anchor_windows(cells: Cells, wanted: int) -> tuple[IntArray, FloatArray]:
    """First samples of the windows worth looking for, and the speech each seems to hold (dB)."""
    above = np.clip(np.nan_to_num(cells.level_db - cells.floor_db, neginf=0.0), 0.0, 40.0) * cells.loud
    if len(above) < LONG_CELLS:
        above = np.pad(above, (0, LONG_CELLS - len(above)))
    speech = np.convolve(above, np.full(LONG_CELLS, 1.0 / LONG_CELLS), mode="valid")
    chosen = spread_choice(speech, wanted, LONG_CELLS)
    return chosen * CELL, speech[chosen]


def find_anchors(part: Samples, mix: Samples, cells: Cells, nominal: int, search_s: float) -> Anchors:
    """The trusted anchors of a part about its nominal lag (samples), `search_s` each way."""
    at, speech = anchor_windows(cells, 10 + len(part) // (60 * RATE_HZ))
    reach = ((search_s + SLACK_S) * RATE_HZ + at * CLOCK_PPM * 1e-6).astype(np.int64)
    first, n_lags = nominal - reach, int(2 * reach.max(initial=1) + 1)
    return trusted(look_for(part, mix, at, speech, (first, n_lags)))


def look_for(
    part: Samples, mix: Samples, at: IntArray, speech: FloatArray, lags: tuple[IntArray, int]
) -> Anchors:
    """Look for the windows of `part` that start at `at`, each over a range of lags.

    Args:
        part: the part.
        mix: the mix.
        at: shape (n,), first samples of the windows.
        speech: shape (n,), passed on.
        lags: the first lag of each window, shape (n,), and how many are tried.
    """
    first, n_lags = lags
    lag = np.zeros(len(at), dtype=np.int64)
    best, second = np.zeros(len(at)), np.full(len(at), 1e-3)
    for low in range(0, n_lags, MOST_LAGS):
        width = min(MOST_LAGS, n_lags - low)
        for i in range(len(at)):
            window = correlation.read(part, at[i : i + 1], LONG)
            stretch = correlation.read(mix, at[i : i + 1] + first[i] + low, LONG + width - 1)
            if not np.any(stretch):
                continue
            column, peak = correlation.peaks(correlation.correlations(window, stretch), 2, APART)
            high, next_high = float(peak[0, 0]), float(peak[0, 1])
            if high > best[i]:
                lag[i], next_high = first[i] + low + column[0, 0], max(next_high, best[i])
                best[i] = high
            else:
                next_high = high
            second[i] = max(second[i], next_high)
    return Anchors(np.asarray(at, dtype=np.int64), speech, lag, best, best / second)


def trusted(anchors: Anchors) -> Anchors:
    """Anchors that stand out by themselves, or that another one agrees with."""
    found = anchors.take((anchors.height >= PEAK) & (anchors.ratio >= RUNNER_UP))
    room = 32.0 + np.abs(found.at[:, None] - found.at[None, :]) * CLOCK_PPM * 1e-6
    agree = np.sum(np.abs(found.lag[:, None] - found.lag[None, :]) <= room, axis=1) > 1
    return found.take(agree | ((found.ratio >= ALONE) & (found.height >= ALONE_PEAK)))


REPEATED_S = 20.0
"""Longest stretch that may be repeated inside a part."""

LOST_S = 600.0
"""Longest stretch that may be lost inside a part."""

FEWEST_CELLS = 4
"""Strong cells in a row that nothing explains, from which a stretch is looked for anew: 2 s of speech."""

STRETCHES = 3
"""Stretches of a part that are looked for in one turn."""

PROBES = 3
"""Windows of each."""

WHOLE_WINDOWS = 6
"""Windows that are looked for over the whole mix."""


def beyond_steps(
    part: Samples, mix: Samples, cells: Cells, lost: IntArray, beside: IntArray
) -> tuple[IntArray, IntArray]:
    """Cells that were found farther away, and the lag each was found at (samples).

    What was lost inside a part moves all that follows to later in the mix, at most so far that the part
    still ends with the mix; what was repeated moves it back.

    Args:
        part: the part.
        mix: the mix.
        cells: the part's levels.
        lost: strong cells that nothing explains, in order of time.
        beside: for every cell of the part, the lag of the nearest explained one before it.
    """
    found_cells, found_lags = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    for stretch in _stretches(lost, beside)[:STRETCHES]:
        only = np.zeros(len(cells.level_db), dtype=np.bool_)
        only[stretch] = True
        at, speech = anchor_windows(Cells(np.where(only, cells.level_db, -np.inf), cells.floor_db), PROBES)
        near = int(beside[stretch[0]])
        back = int(REPEATED_S * RATE_HZ)
        room = int(np.clip(len(mix) - len(part) - near, 0, LOST_S * RATE_HZ)) + 2 * RATE_HZ
        first = np.full(len(at), near - back)
        there = trusted(look_for(part, mix, at, speech, (first, back + room)))
        for lag in _apart(there.lag):
            found_cells.append(stretch)
            found_lags.append(np.full(len(stretch), lag))
    return np.concatenate(found_cells), np.concatenate(found_lags)


def _stretches(lost: IntArray, beside: IntArray) -> list[IntArray]:
    """Lost cells between which nothing was explained, the longest stretch first."""
    edges = np.flatnonzero(np.diff(beside[lost])) + 1 if len(lost) else np.empty(0, dtype=np.int64)
    stretches = [s for s in np.split(lost, edges) if len(s) >= FEWEST_CELLS]
    return sorted(stretches, key=len, reverse=True)


def _apart(lags: IntArray) -> list[int]:
    """Lags that differ by more than a cell's reach, one of each."""
    kept: list[int] = []
    for lag in lags.tolist():
        if all(abs(lag - k) > REACH // 2 for k in kept):
            kept.append(lag)
    return kept


def anywhere(part: Samples, mix: Samples, cells: Cells) -> int | None:
    """Lag of a part that may lie anywhere on the mix, in samples; None where it is not found.

    The windows with most speech are looked for over the whole mix, about a second a window and hour.
    """
    at, speech = anchor_windows(cells, WHOLE_WINDOWS)
    found = trusted(look_for(part, mix, at, speech, (-at - LONG, len(mix) + LONG)))
    if len(found.at) == 0:
        return None
    agree = np.abs(found.lag[:, None] - found.lag[None, :]) < RATE_HZ
    return int(found.lag[np.argmax(agree @ found.height)])


TURNS = 3
"""How often what is still unexplained is looked for farther away: once a long step."""

QUIETER_DB = 6.0
"""Cells this much quieter than those that were found are not missed."""

ONE_BASE = 2000
"""Anchors whose lags differ by less, in samples, share one expected lag: leaked voices lie nearer."""


@dataclass(frozen=True, slots=True, eq=False)
class PartFit:
    """What one part says about its place, before the others were heard.

    Attributes:
        cells: levels of its cells.
        evidence: all answers of the loud ones; none where no anchor was found.
    """

    cells: Cells
    evidence: Evidence


def fit_part(mix: Samples, part: PartAudio, options: AlignOptions) -> PartFit:
    """Gather a part's evidence."""
    cells = measure_cells(part.samples)
    nominal: int | None = round(part.nominal_start_s * RATE_HZ)
    if options.whole_mix:
        nominal = anywhere(part.samples, mix, cells)
    if nominal is None or not np.any(cells.loud):
        return PartFit(cells, no_evidence())
    known = find_anchors(part.samples, mix, cells, nominal, options.search_s)
    if len(known.at) == 0:
        return PartFit(cells, no_evidence())
    evidence = _evidence(mix, part.samples, cells, known)
    for _ in range(TURNS):
        lost, beside = _unexplained(cells, evidence)
        cell, expected = beyond_steps(part.samples, mix, cells, lost, beside)
        if len(cell) == 0:
            break
        evidence = Evidence.join([evidence, gather(part.samples, mix, cell, expected)])
    return PartFit(cells, evidence)


def _unexplained(cells: Cells, evidence: Evidence) -> tuple[IntArray, IntArray]:
    """Strong cells that no clear answer explains, and for every cell the clear lag nearest before it."""
    clear = evidence.take((evidence.height > CLEAR_PEAK) & (evidence.coherence > CLEAR_COHERENCE))
    if len(clear) == 0:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    strong = cells.loud & (cells.level_db >= np.median(cells.level_db[clear.cell]) - QUIETER_DB)
    strong[evidence.cell[evidence.height > CLEAR_PEAK]] = False
    every = np.arange(len(cells.level_db))
    before = np.clip(np.searchsorted(clear.cell, every, side="right") - 1, 0, None)
    return np.flatnonzero(strong), np.rint(clear.lag[before]).astype(np.int64)


def _evidence(mix: Samples, part: Samples, cells: Cells, anchors: Anchors) -> Evidence:
    """Evidence of all loud cells about the lags that the anchors before and after them expect."""
    cell = np.flatnonzero(cells.loud).astype(np.int64)
    middle = cell * CELL + CELL // 2
    after = np.searchsorted(anchors.at, middle)
    before, after = np.maximum(after - 1, 0), np.minimum(after, len(anchors.at) - 1)
    low, high = anchors.lag[before], anchors.lag[after]
    apart = np.maximum(anchors.at[after] - anchors.at[before], 1)
    share = np.clip((middle - anchors.at[before]) / apart, 0.0, 1.0)
    between = np.rint(low + (high - low) * share).astype(np.int64)
    split = np.abs(high - low) > ONE_BASE
    first = gather(part, mix, cell, np.where(split, low, between))
    if not np.any(split):
        return first
    return Evidence.join([first, gather(part, mix, cell[split], high[split])])
