"""The path of a part's lag through its evidence: which answers belong together, and where it steps.

::

    lag    ×   ×        ×                 × leaked voices, echoes, chance
           ●●●●● ●●●                      ● the path
                    ×    ●●● ●●●●●●
                       ↑ a step: paid for once, by all that follows

Viterbi's search with a beam: a hypothesis is a level; a cell may follow it, leave it alone, or, at a
price, step away from it. Levels are of lags whose common slope has been taken out.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

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
