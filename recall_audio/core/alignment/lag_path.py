"""Find the path of a part's lag through its candidates, and where in time it steps.

::

    lag    ×   ×        ×                 × leaked voices, echoes, chance
           ●●●●● ●●●                      ● the path
                    ×    ●●● ●●●●●●
                       ↑ a step: paid for once, by all that follows

The path is found by Viterbi's search with a beam. A hypothesis is a level; a cell may follow it, be left out,
or, at a price, step away from it. Levels are of lags whose common slope has been taken out.

A step lies between the last window before it and the first one after; the audio itself places it there to
some ten milliseconds::

    part against the mix at the lag before   ▇▇▇▇▇▇▇▁▁▁▁▁
    part against the mix at the lag after    ▁▁▁▁▁▁▁▇▇▇▇▇
                                                   ↑ all that went before fits the one, what follows the other

Where the participant is silent around the step, voices that leak into the track step with it, each at its own
delay, and narrow the pause down.
"""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from recall_audio.core.alignment import correlation
from recall_audio.core.alignment.candidates import CELL, CLEAR_PEAK, Candidates
from recall_audio.core.alignment.lag_lines import MAD_SIGMA, Lines, common_slope, fit_lines
from recall_audio.model.alignment import TimeMap
from recall_audio.typing import BoolArray, Float32Array, FloatArray, IntArray, Samples
from recall_audio.units import RATE_HZ

BEAM = 24
"""Hypotheses kept after each cell."""

LEVEL_GAIN = 0.3
"""Share of a lag's difference by which a level follows it: one poor cell doesn't carry it away."""

EDGE_LOSS = 0.5
"""Share of its score that a lag loses at the edge of what a level tolerates."""

LEAST_SCORE = 0.02
"""Candidates with a lower score are left out."""

WANDER_PRICE = 0.7
"""Price of a step in a part that steps all the time."""

WANDER_SHARE = 0.03
"""A part wanders where a path of few steps leaves more than this share of the score aside."""

REGAINED_SHARE = 0.5
"""A path of many steps is taken where it regains this share of what was left aside."""

TOLERANCE_SPREADS = 12.0
LEAST_TOLERANCE = 1.0
"""What a level tolerates: so many standard deviations of the residuals, never below this, samples."""

CREEP_SIGMAS = 4.0
LEAST_CREEP = 1e-6
"""Slope left in the levels: so many standard deviations of the slope, never below this."""

LEAST_STEP = 16.0
"""Smallest step, samples: 1 ms; what is smaller is a clock that is not quite steady."""

LONGEST_GAP_S = 120.0
"""In a longer gap between two windows a step's place is unknown: it is put in the middle, seconds."""

PAUSE_CELLS = 4
"""Cells of silence, 2 s, from which on leaked voices place a step."""

MOST_LEAK_SAMPLES = 4000.0
LEAST_LEAK_SAMPLES = 32.0
"""Samples by which a leaked voice comes later than the own one, 2 to 250 ms: its lag is so much smaller."""

DELAY_UNIT = 4
"""Samples within which two delays are one voice's: 0.25 ms."""

DELAY_CELLS = 3
"""Cells outside the pause in which a delay must occur."""

CHUNK = RATE_HZ // 20
"""Samples of the pieces that are compared with the mix at both lags: 50 ms."""

LEAST_DIFFERENCE = 0.25
"""Difference of two correlations of a piece from which it counts: chance makes smaller ones."""


MOST_RESIDUALS = 600
"""Windows of a part whose residuals are kept for the report."""


@dataclass(frozen=True, slots=True)
class PathRules:
    """Limits of a path.

    Attributes:
        step_price: score that a step costs; a clear cell has a score of 1.
        tolerance: samples by which a lag may differ from its level.
        creep: slope that may be left in the levels, samples a sample.
    """

    step_price: float
    tolerance: float
    creep: float


FIRST_RULES = PathRules(step_price=1.5, tolerance=4.0, creep=10e-6)
"""Before slope and spread are known; a step needs two clear cells at an end, four in between."""


@dataclass(frozen=True, slots=True, eq=False)
class LagPath:
    """A part's lag through time.

    Attributes:
        rows: the candidates on the path, in order of time.
        score: shape (n,), score of each.
        segment: shape (n,), number of the straight stretch that each belongs to.
        lines: the straight lines through them.
    """

    rows: Candidates
    score: FloatArray
    segment: IntArray
    lines: Lines

    def with_slope(self, slope: float) -> "LagPath":
        """Return the same path with a given slope, samples a sample."""
        lines = fit_lines(self.rows.at, self.rows.lag, self.rows.sigma, self.segment, slope)
        return LagPath(self.rows, self.score, self.segment, lines)

    def residuals(self) -> tuple[tuple[float, float, float], ...]:
        """Return ``(mix_s, lag error in ms, weight)`` of windows about the lines, evenly thinned."""
        rows = self.rows
        kept = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), MOST_RESIDUALS)).astype(int))
        mix_s = (rows.at + rows.lag)[kept] / RATE_HZ
        error_ms = self.lines.residual[kept] / RATE_HZ * 1e3
        table = zip(mix_s.tolist(), error_ms.tolist(), self.lines.weight[kept].tolist(), strict=True)
        return tuple((round(a, 3), round(b, 5), round(c, 3)) for a, b, c in table)

    def time_map(self, steps: FloatArray, n_samples: int) -> TimeMap:
        """Return the map of parallel lines between the steps (samples) of a part."""
        edges = np.r_[0.0, steps, float(n_samples)]
        knots: list[tuple[float, float]] = []
        for k in range(len(self.lines.level)):
            ends = edges[k : k + 2]
            knots += [(float(t) / RATE_HZ, float(t + self.lines.at(t, k)) / RATE_HZ) for t in ends]
        return TimeMap(tuple(knots))


def find_lag_path(candidates: Candidates, score: FloatArray) -> LagPath | None:
    """Find path and lines through candidates, None where there are none.

    The first path gives slope, spread and whether the part wanders at all; the second follows them.

    Args:
        candidates: of one part, n of them.
        score: shape (n,), 0 to 1.
    """
    rows, score = candidates.take(score > LEAST_SCORE), score[score > LEAST_SCORE]
    if len(rows) == 0:
        return None
    first = _follow(rows, score, common_slope(rows.at, rows.lag, score), FIRST_RULES)
    spread = float(np.median(np.abs(first.lines.residual))) * MAD_SIGMA
    tolerance = np.clip(TOLERANCE_SPREADS * spread, LEAST_TOLERANCE, FIRST_RULES.tolerance)
    creep = np.clip(CREEP_SIGMAS * first.lines.slope_sigma, LEAST_CREEP, FIRST_RULES.creep)
    rules = PathRules(FIRST_RULES.step_price, float(tolerance), float(creep))
    straight = _follow(rows, score, first.lines.slope, rules)
    aside = _best_total(rows.cell, score) - float(np.sum(straight.score))
    if aside <= WANDER_SHARE * float(np.sum(straight.score)):
        return straight
    cheap = replace(FIRST_RULES, step_price=WANDER_PRICE)
    wandering = _follow(rows, score, common_slope(rows.at, rows.lag, score), cheap)
    wandering = _follow(rows, score, wandering.lines.slope, replace(rules, step_price=WANDER_PRICE))
    regained = float(np.sum(wandering.score) - np.sum(straight.score))
    return wandering if regained > REGAINED_SHARE * aside else straight


def _best_total(cell: IntArray, score: FloatArray) -> float:
    """Return the sum of the best scores of all cells, whether or not they agree."""
    first = np.flatnonzero(np.diff(cell, prepend=-1))
    return float(np.sum(np.maximum.reduceat(score, first)))


def _follow(rows: Candidates, score: FloatArray, slope: float, rules: PathRules) -> LagPath:
    """Return the best path under `rules`, small steps joined, and the lines through it."""
    chosen, segment = best_path((rows.cell, rows.at, rows.lag - slope * rows.at, score), rules)
    rows = rows.take(chosen)
    lines = fit_lines(rows.at, rows.lag, rows.sigma, segment)
    joined = _join_small_steps(lines)[segment]
    if joined[-1] != segment[-1]:
        segment, lines = joined, fit_lines(rows.at, rows.lag, rows.sigma, joined)
    return LagPath(rows, score[chosen], segment, lines)


def _join_small_steps(lines: Lines) -> IntArray:
    """Return a new number for each segment, the same where no real step lies between two."""
    step = np.diff(lines.level) - lines.slope * np.diff(lines.centre)
    return np.cumsum(np.r_[False, np.abs(step) >= LEAST_STEP], dtype=np.int64)


@dataclass(frozen=True, slots=True)
class _Hypothesis:
    """A path so far.

    Attributes:
        level: its lag without the common slope, samples.
        at: time of its last cell, samples.
        score: sum of scores, less the steps' prices.
        link: index of the link it ends in; −1 before the first cell.
    """

    level: float
    at: float
    score: float
    link: int


_NOTHING = _Hypothesis(np.inf, 0.0, 0.0, -1)


def best_path(
    columns: tuple[IntArray, FloatArray, FloatArray, FloatArray], rules: PathRules
) -> tuple[IntArray, IntArray]:
    """Return the rows on the best path, and the segment (0, 1, ...) of each.

    Args:
        columns: of the candidates, each of shape (n,): cell (non-decreasing; at most one row of a cell is
            chosen), time in samples, lag without the common slope in samples, score.
        rules: limits of the path.
    """
    cell, at, level, score = columns
    beam, links = [_NOTHING], []
    edges = [*np.flatnonzero(np.diff(cell, prepend=-1)).tolist(), len(cell)]
    for first, end in pairwise(edges):
        grown = []
        for row in range(first, end):
            best, before, stepped = _extend(beam, float(level[row]), float(at[row]), float(score[row]), rules)
            links.append((row, before, stepped))
            grown.append(_Hypothesis(*best, len(links) - 1))
        beam = _prune(beam + grown, rules.tolerance)
    rows, steps = [], []
    link = max(beam, key=lambda h: h.score).link
    while link >= 0:
        row, link, stepped = links[link]
        rows.append(row)
        steps.append(stepped)
    return np.array(rows[::-1], dtype=np.int64), np.cumsum(steps[::-1]).astype(np.int64)


def _extend(
    beam: list[_Hypothesis], level: float, at: float, score: float, rules: PathRules
) -> tuple[tuple[float, float, float], int, bool]:
    """Return the best path that ends in a cell.

    Returns:
        Its (level, time, score), the link before, and whether it stepped.
    """
    best, before, stepped = (level, at, score), -1, False
    for h in beam:
        tolerance = rules.tolerance + (at - h.at) * rules.creep
        off = abs(level - h.level)
        if off <= tolerance:
            total = h.score + score * (1.0 - EDGE_LOSS * (off / tolerance) ** 2)
        else:
            total = h.score + score - (rules.step_price if h.link >= 0 else 0.0)
        if total > best[2]:
            followed = h.level + LEVEL_GAIN * (level - h.level) if off <= tolerance else level
            best, before, stepped = (followed, at, total), h.link, off > tolerance and h.link >= 0
    return best, before, stepped


def _prune(beam: list[_Hypothesis], tolerance: float) -> list[_Hypothesis]:
    """Return the best hypotheses, one a level."""
    kept: list[_Hypothesis] = []
    for h in sorted(beam, key=lambda h: -h.score):
        if len(kept) >= BEAM:
            break
        if h.link < 0 or all(abs(h.level - k.level) > 0.5 * tolerance for k in kept):
            kept.append(h)
    return kept


def locate_steps(part: Samples, mix: Samples, path: LagPath, candidates: Candidates) -> FloatArray:
    """Return the local times of the steps between segments, samples, shape (segments − 1,)."""
    rows, lines = path.rows, path.lines
    first = np.flatnonzero(np.diff(path.segment)) + 1
    delays = _leak_delays(path, candidates) if len(first) else np.empty(0, dtype=np.int64)
    times = []
    for i, k in zip(first.tolist(), path.segment[first].tolist(), strict=True):
        cells = int(rows.cell[i - 1]), int(rows.cell[i])
        old, new = (_delays_at(path, candidates, j) for j in (k - 1, k))
        narrow = _narrow_pause(cells, candidates, old, new, delays)
        start, end = narrow[0] * CELL, (narrow[1] + 1) * CELL
        middle = 0.5 * (start + end)
        if narrow != cells or end - start > LONGEST_GAP_S * RATE_HZ:
            times.append(middle)
            continue
        before, after = (int(np.rint(lines.at(middle, j))) for j in (k - 1, k))
        times.append(start + _turning_point(part, mix, (start, end), (before, after)))
    return np.array(times)


def _delays_at(path: LagPath, candidates: Candidates, k: int) -> IntArray:
    """Return each candidate's distance from segment k's line, in :data:`DELAY_UNIT`."""
    return np.rint((candidates.lag - path.lines.at(candidates.at, k)) / DELAY_UNIT).astype(np.int64)


def _leak_delays(path: LagPath, candidates: Candidates) -> IntArray:
    """Return the delays at which other voices leak in, by the candidates inside each segment."""
    found = [np.empty(0, dtype=np.int64)]
    clear = candidates.height > CLEAR_PEAK
    for k in range(len(path.lines.level)):
        own_cells = path.rows.cell[path.segment == k]
        inside = (candidates.cell >= own_cells.min()) & (candidates.cell <= own_cells.max()) & clear
        delay = _delays_at(path, candidates, k)[inside]
        late = (delay * DELAY_UNIT > -MOST_LEAK_SAMPLES) & (delay * DELAY_UNIT < -LEAST_LEAK_SAMPLES)
        found.append(delay[late])
    delay, count = np.unique(np.concatenate(found), return_counts=True)
    return np.asarray(delay[count >= DELAY_CELLS], dtype=np.int64)


def _narrow_pause(
    cells: tuple[int, int], candidates: Candidates, before: IntArray, after: IntArray, delays: IntArray
) -> tuple[int, int]:
    """Narrow a pause between cells of own voice to cells of leaked voices about the step."""
    pause = (candidates.cell > cells[0]) & (candidates.cell < cells[1]) & (candidates.height > CLEAR_PEAK)
    if cells[1] - cells[0] < PAUSE_CELLS or not np.any(pause):
        return cells
    old, new = (_near_any(d[pause], delays) for d in (before, after))
    cell, vote = candidates.cell[pause], old.astype(int) - new.astype(int)
    if not np.any(vote):
        return cells
    # All votes up to the step should be for the lag before it, all others for the lag after it.
    total = np.concatenate(([0], np.cumsum(vote)))
    best = int(np.argmax(total))
    earlier, later = cell[:best][vote[:best] > 0], cell[best:][vote[best:] < 0]
    return (
        int(earlier[-1]) if len(earlier) else cells[0],
        int(later[0]) if len(later) else cells[1],
    )


def _near_any(delay: IntArray, delays: IntArray) -> BoolArray:
    """Return whether each delay is one of `delays`, or next to it."""
    return np.isin(delay, np.concatenate((delays - 1, delays, delays + 1)))


def _turning_point(part: Samples, mix: Samples, stretch: tuple[int, int], lags: tuple[int, int]) -> float:
    """Return the samples after which the second lag fits better than the first."""
    start, n_samples = stretch[0], stretch[1] - stretch[0]
    own = np.diff(correlation.read_windows(part, np.array([start]), n_samples + 1)[0]).reshape(-1, CHUNK)
    mixed = correlation.read_windows(mix, start + np.array(lags), n_samples + 1)
    before, after = (_correlation(own, np.diff(row).reshape(-1, CHUNK)) for row in mixed)
    vote = np.sign(before - after) * (np.abs(before - after) > LEAST_DIFFERENCE)
    total = np.r_[0.0, np.cumsum(vote)]
    # Over silence the sum is flat: then the middle of the longest flat.
    best = np.flatnonzero(total == total.max())
    flats = np.split(best, np.flatnonzero(np.diff(best) > 1) + 1)
    return float(np.mean(max(flats, key=len))) * CHUNK


def _correlation(a: Float32Array, b: Float32Array) -> FloatArray:
    """Return the correlation of each row of `a` with the same row of `b`, −1 to 1."""
    power = np.einsum("ij,ij->i", a, a) * np.einsum("ij,ij->i", b, b)
    return np.asarray(np.einsum("ij,ij->i", a, b) / np.sqrt(power + 1.0), dtype=np.float64)
