"""The path of a part's lag through its evidence: which answers belong together, and where it steps.

::

    lag    ×   ×        ×                 × leaked voices, echoes, chance
           ●●●●● ●●●                      ● the path
                    ×    ●●● ●●●●●●
                       ↑ a step: paid for once, by all that follows

Viterbi's search with a beam: a hypothesis is a level; a cell may follow it, leave it alone, or, at a
price, step away from it. Levels are of lags whose common slope has been taken out.
"""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from recall_audio.core.alignment import correlation
from recall_audio.core.alignment.candidates import CELL, CLEAR_PEAK, Evidence
from recall_audio.core.alignment.lag_lines import Lines, common_slope, fit_lines
from recall_audio.typing import BoolArray, Float32Array, FloatArray, IntArray, Samples
from recall_audio.units import RATE_HZ

BEAM = 24
"""Hypotheses kept."""


@dataclass(frozen=True, slots=True)
class PathRules:
    """What a path may do.

    Attributes:
        step_price: worth that a step costs; a clear cell is worth 1.
        tolerance: samples by which a lag may differ from its level.
        creep: slope that may be left in the levels, samples a sample.
    """

    step_price: float
    tolerance: float
    creep: float


@dataclass(frozen=True, slots=True)
class _Hypothesis:
    """A path so far: its level, when it was last seen, what it is worth, and the link it ends in."""

    level: float
    at: float
    score: float
    link: int


_NOTHING = _Hypothesis(np.inf, 0.0, 0.0, -1)


def best_path(
    evidence: tuple[IntArray, FloatArray, FloatArray, FloatArray], rules: PathRules
) -> tuple[IntArray, IntArray]:
    """Rows on the best path, and for each of them the number of its segment (0, 1, ...).

    Args:
        evidence: four columns of shape (n,): cell (non-decreasing; at most one row of a cell is chosen),
            time in samples, lag without the common slope in samples, worth.
        rules: what the path may do.
    """
    cell, at, level, worth = evidence
    beam, links = [_NOTHING], []
    edges = [*np.flatnonzero(np.diff(cell, prepend=-1)).tolist(), len(cell)]
    for a, b in pairwise(edges):
        grown = []
        for row in range(a, b):
            best, before, stepped = _extend(beam, float(level[row]), float(at[row]), float(worth[row]), rules)
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
    beam: list[_Hypothesis], level: float, at: float, worth: float, rules: PathRules
) -> tuple[tuple[float, float, float], int, bool]:
    """The best path that ends here: its (level, time, score), the link before, whether it stepped."""
    best, before, stepped = (level, at, worth), -1, False
    for h in beam:
        room = rules.tolerance + (at - h.at) * rules.creep
        off = abs(level - h.level)
        if off <= room:
            score = h.score + worth * (1.0 - 0.5 * (off / room) ** 2)
        else:
            score = h.score + worth - (rules.step_price if h.link >= 0 else 0.0)
        if score > best[2]:
            # The level follows slowly: one poor cell doesn't carry it away.
            kept = h.level + 0.3 * (level - h.level) if off <= room else level
            best, before, stepped = (kept, at, score), h.link, off > room and h.link >= 0
    return best, before, stepped


def _prune(beam: list[_Hypothesis], tolerance: float) -> list[_Hypothesis]:
    """The best hypotheses, one a level."""
    kept: list[_Hypothesis] = []
    for h in sorted(beam, key=lambda h: -h.score):
        if len(kept) >= BEAM:
            break
        if h.link < 0 or all(abs(h.level - k.level) > 0.5 * tolerance for k in kept):
            kept.append(h)
    return kept


LEAST_WORTH = 0.02
"""Answers worth less are not looked at."""

FIRST_RULES = PathRules(step_price=1.5, tolerance=4.0, creep=10e-6)
"""Before slope and spread are known; a step needs two clear cells at an end, four in between."""

WANDER_PRICE = 0.7
"""Price of a step in a part that steps all the time."""

WANDER_SHARE = 0.03
"""A part wanders where a path of few steps leaves more than this share of the worth aside."""

LEAST_STEP = 16.0
"""Samples: 1 ms; less is no step, but a clock that is not quite steady."""


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """A part's lag through time.

    Attributes:
        rows: the answers on the path, in order of time.
        worth: shape (n,), what each is worth.
        segment: shape (n,), which straight stretch each belongs to.
        lines: the straight lines through them.
    """

    rows: Evidence
    worth: FloatArray
    segment: IntArray
    lines: Lines

    def with_slope(self, slope: float) -> "Track":
        """The same path with a given slope."""
        lines = fit_lines(self.rows.at, self.rows.lag, self.rows.sigma, self.segment, slope)
        return Track(self.rows, self.worth, self.segment, lines)


def trace(evidence: Evidence, worth: FloatArray) -> Track | None:
    """Path and lines through the evidence, `worth` of shape (n,); None where there is none.

    Twice: the first path gives slope, spread and whether the part wanders at all, the second follows them.
    """
    rows, worth = evidence.take(worth > LEAST_WORTH), worth[worth > LEAST_WORTH]
    if len(rows) == 0:
        return None
    first = _follow(rows, worth, common_slope(rows.at, rows.lag, worth), FIRST_RULES)
    spread = float(np.median(np.abs(first.lines.residual))) * 1.4826
    rules = PathRules(
        step_price=FIRST_RULES.step_price,
        tolerance=float(np.clip(12.0 * spread, 1.0, FIRST_RULES.tolerance)),
        creep=float(np.clip(4.0 * first.lines.slope_sigma, 1e-6, FIRST_RULES.creep)),
    )
    straight = _follow(rows, worth, first.lines.slope, rules)
    aside = _most_worth(rows.cell, worth) - float(np.sum(straight.worth))
    if aside <= WANDER_SHARE * float(np.sum(straight.worth)):
        return straight
    cheap = replace(FIRST_RULES, step_price=WANDER_PRICE)
    wandering = _follow(rows, worth, common_slope(rows.at, rows.lag, worth), cheap)
    wandering = _follow(rows, worth, wandering.lines.slope, replace(rules, step_price=WANDER_PRICE))
    regained = float(np.sum(wandering.worth) - np.sum(straight.worth))
    return wandering if regained > 0.5 * aside else straight


def _most_worth(cell: IntArray, worth: FloatArray) -> float:
    """Worth of the best answers of all cells, whether or not they agree."""
    first = np.flatnonzero(np.diff(cell, prepend=-1))
    return float(np.sum(np.maximum.reduceat(worth, first)))


def _follow(rows: Evidence, worth: FloatArray, slope: float, rules: PathRules) -> Track:
    chosen, segment = best_path((rows.cell, rows.at, rows.lag - slope * rows.at, worth), rules)
    rows = rows.take(chosen)
    lines = fit_lines(rows.at, rows.lag, rows.sigma, segment)
    joined = _without_small_steps(lines)[segment]
    if joined[-1] != segment[-1]:
        segment, lines = joined, fit_lines(rows.at, rows.lag, rows.sigma, joined)
    return Track(rows, worth[chosen], segment, lines)


def _without_small_steps(lines: Lines) -> IntArray:
    """New number of each segment, those joined between which there is no real step."""
    between = 0.5 * (lines.centre[1:] + lines.centre[:-1])
    before = lines.level[:-1] + lines.slope * (between - lines.centre[:-1])
    after = lines.level[1:] + lines.slope * (between - lines.centre[1:])
    return np.cumsum(np.r_[False, np.abs(after - before) >= LEAST_STEP], dtype=np.int64)


LONGEST_S = 120.0
"""In a longer gap between two windows nothing is known: then the step stands in its middle."""

PAUSE_CELLS = 4
"""From a pause this long on, leaked voices are asked: 2 s."""

LEAK_SAMPLES = (-4000.0, -32.0)
"""Leaked voices come later than the own one, 2 to 250 ms: their lags are smaller."""

SAME_SAMPLES = 4
"""Delays within this are one voice's."""

CHUNK = RATE_HZ // 20
"""Samples of 50 ms: what is asked at which lag it fits better."""

ALIKE = 0.25
"""Difference of two correlations that chance doesn't make in a chunk."""

OFTEN = 3
"""Cells in which a delay must have been heard outside the pause."""


def place_breaks(part: Samples, mix: Samples, track: Track, evidence: Evidence) -> FloatArray:
    """Local times of the steps between consecutive segments, samples, shape (segments − 1,)."""
    rows, lines = track.rows, track.lines
    first = np.flatnonzero(np.diff(track.segment)) + 1
    delays = _leak_delays(track, evidence) if len(first) else np.empty(0, dtype=np.int64)
    found = []
    for i, k in zip(first.tolist(), track.segment[first].tolist(), strict=True):
        cells = int(rows.cell[i - 1]), int(rows.cell[i])
        narrow = _narrowed(
            cells, evidence, _delays_at(track, evidence, k - 1), _delays_at(track, evidence, k), delays
        )
        start, end = narrow[0] * CELL, (narrow[1] + 1) * CELL
        middle = 0.5 * (start + end)
        if narrow != cells or end - start > LONGEST_S * RATE_HZ:
            found.append(middle)
            continue
        before, after = (int(np.rint(lines.at(middle, j))) for j in (k - 1, k))
        found.append(start + _turning_point(part, mix, (start, end), (before, after)))
    return np.array(found)


def _delays_at(track: Track, evidence: Evidence, k: int) -> IntArray:
    """How far each answer lies from a segment's line, in units of :data:`SAME_SAMPLES`."""
    return np.rint((evidence.lag - track.lines.at(evidence.at, k)) / SAME_SAMPLES).astype(np.int64)


def _leak_delays(track: Track, evidence: Evidence) -> IntArray:
    """Delays at which other voices leak in, by the answers that lie within one segment."""
    rows, found = track.rows, [np.empty(0, dtype=np.int64)]
    for k in range(len(track.lines.level)):
        mine = rows.cell[track.segment == k]
        inside = (
            (evidence.cell >= mine.min()) & (evidence.cell <= mine.max()) & (evidence.height > CLEAR_PEAK)
        )
        delay = _delays_at(track, evidence, k)[inside]
        late = (delay * SAME_SAMPLES > LEAK_SAMPLES[0]) & (delay * SAME_SAMPLES < LEAK_SAMPLES[1])
        found.append(delay[late])
    delay, count = np.unique(np.concatenate(found), return_counts=True)
    return np.asarray(delay[count >= OFTEN], dtype=np.int64)


def _narrowed(
    cells: tuple[int, int], evidence: Evidence, before: IntArray, after: IntArray, delays: IntArray
) -> tuple[int, int]:
    """The pause between two cells of own voice, narrowed by leaked voices to the two cells about the step."""
    pause = (evidence.cell > cells[0]) & (evidence.cell < cells[1]) & (evidence.height > CLEAR_PEAK)
    if cells[1] - cells[0] < PAUSE_CELLS or not np.any(pause):
        return cells
    old, new = (_any_near(d[pause], delays) for d in (before, after))
    cell, vote = evidence.cell[pause], old.astype(int) - new.astype(int)
    if not np.any(vote):
        return cells
    # All votes up to the step should be for the lag before it, all others for the lag after it.
    total = np.concatenate(([0], np.cumsum(vote)))
    best = int(np.argmax(total))
    left, right = cell[:best][vote[:best] > 0], cell[best:][vote[best:] < 0]
    return int(left[-1]) if len(left) else cells[0], int(right[0]) if len(right) else cells[1]


def _any_near(delay: IntArray, delays: IntArray) -> BoolArray:
    """Whether each delay is one of `delays`, or next to it."""
    return np.isin(delay, np.concatenate((delays - 1, delays, delays + 1)))


def _turning_point(part: Samples, mix: Samples, stretch: tuple[int, int], lags: tuple[int, int]) -> float:
    """Samples from the stretch's start after which the second lag fits better than the first."""
    start, n = stretch[0], stretch[1] - stretch[0]
    own = np.diff(correlation.read(part, np.array([start]), n + 1)[0]).reshape(-1, CHUNK)
    there = correlation.read(mix, start + np.array(lags), n + 1)
    before, after = (_alike(own, np.diff(row).reshape(-1, CHUNK)) for row in there)
    vote = np.sign(before - after) * (np.abs(before - after) > ALIKE)
    total = np.r_[0.0, np.cumsum(vote)]
    # Over silence the sum is flat: then the middle of the longest flat.
    best = np.flatnonzero(total == total.max())
    flats = np.split(best, np.flatnonzero(np.diff(best) > 1) + 1)
    return float(np.mean(max(flats, key=len))) * CHUNK


def _alike(a: Float32Array, b: Float32Array) -> FloatArray:
    """Correlation of each row of `a` with the same row of `b`, −1 to 1."""
    power = np.einsum("ij,ij->i", a, a) * np.einsum("ij,ij->i", b, b)
    return np.asarray(np.einsum("ij,ij->i", a, b) / np.sqrt(power + 1.0), dtype=np.float64)
