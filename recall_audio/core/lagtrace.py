"""A part's lag through time: the path through its evidence, and the lines through the path."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from recall_audio.core.evidence import Evidence
from recall_audio.core.lagline import Lines, common_slope, fit_lines
from recall_audio.core.lagpath import PathRules, best_path

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

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
