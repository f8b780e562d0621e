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

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

STEP_PRICE = 2.5
"""Evidence that a step costs: as many good cells."""

TOLERANCE = 4.0
"""Samples by which a lag may differ from its level."""

CREEP_PPM = 15.0
"""Slope left in the lags after the common one was taken out."""

BEAM = 32
"""Hypotheses kept."""


@dataclass(slots=True)
class _Node:
    """One accepted answer, and what it follows."""

    row: int
    before: "_Node | None"
    stepped: bool


@dataclass(slots=True)
class _Hypothesis:
    level: float
    at: float
    score: float
    node: _Node | None


def best_path(
    cell: IntArray, at: FloatArray, level: FloatArray, worth: FloatArray
) -> tuple[IntArray, IntArray]:
    """Rows on the best path, and for each of them the number of its segment (0, 1, ...).

    Args:
        cell: shape (n,), non-decreasing; at most one row of a cell is chosen.
        at: shape (n,), time in samples.
        level: shape (n,), lag without the common slope, samples.
        worth: shape (n,), evidence, about 0 to 1; rows of worth 0 are never chosen.
    """
    beam: list[_Hypothesis] = []
    edges = np.flatnonzero(np.diff(cell, prepend=-1))
    for a, b in zip(edges, np.r_[edges[1:], len(cell)], strict=True):
        grown = [h for row in range(a, b) if worth[row] > 0 and (h := _extend(beam, row, at, level, worth))]
        beam = _prune(beam + grown)
    if not beam:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    rows, steps = [], []
    node = max(beam, key=lambda h: h.score).node
    while node is not None:
        rows.append(node.row)
        steps.append(node.stepped)
        node = node.before
    return np.array(rows[::-1], dtype=np.int64), np.cumsum(steps[::-1]).astype(np.int64)


def _extend(
    beam: list[_Hypothesis], row: int, at: FloatArray, level: FloatArray, worth: FloatArray
) -> _Hypothesis | None:
    """The best hypothesis that ends in `row`."""
    here, now, gained = float(level[row]), float(at[row]), float(worth[row])
    best = _Hypothesis(here, now, gained, _Node(row, None, stepped=False))
    for h in beam:
        room = TOLERANCE + (now - h.at) * CREEP_PPM * 1e-6
        off = abs(here - h.level)
        score = (
            h.score + gained * (1.0 - 0.5 * (off / room) ** 2)
            if off <= room
            else h.score + gained - STEP_PRICE
        )
        if score > best.score:
            # The level follows slowly: one poor cell doesn't carry it away.
            kept = h.level + 0.3 * (here - h.level) if off <= room else here
            best = _Hypothesis(kept, now, score, _Node(row, h.node, stepped=off > room))
    return best


def _prune(beam: list[_Hypothesis]) -> list[_Hypothesis]:
    """The best hypotheses, one a level."""
    kept: list[_Hypothesis] = []
    for h in sorted(beam, key=lambda h: -h.score):
        if len(kept) >= BEAM:
            break
        if all(abs(h.level - k.level) > 0.5 * TOLERANCE for k in kept):
            kept.append(h)
    return kept
