"""Looking farther: where a part goes on after a long step, and parts whose nominal start says nothing.

::

    part   ─────────╴╴╴╴╴─────────      paused here: 18 s are missing
    mix    ─────────╴╴╴╴╴╴╴╴╴╴╴╴╴╴─────────
                    └── room: what the part can have lost and still end within the mix ──┘
"""

import numpy as np
import numpy.typing as npt

from recall_audio.core.anchors import LONG, anchor_windows, look_for, trusted
from recall_audio.core.evidence import REACH
from recall_audio.core.windows import Cells
from recall_audio.model.tracks import Samples
from recall_audio.units import RATE_HZ

IntArray = npt.NDArray[np.int64]

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
