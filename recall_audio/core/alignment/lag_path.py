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

from recall_audio.core.alignment.candidates import Evidence
from recall_audio.core.alignment.lag_lines import Lines, common_slope, fit_lines
from recall_audio.typing import FloatArray, IntArray

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
