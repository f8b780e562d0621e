"""Looking farther: where a part goes on after a long step, and parts whose nominal start says nothing.

::

    part   ─────────╴╴╴╴╴─────────      paused here: 18 s are missing
    mix    ─────────╴╴╴╴╴╴╴╴╴╴╴╴╴╴─────────
                    └── room: what the part can have lost and still end within the mix ──┘
"""

import numpy as np
import numpy.typing as npt

from recall_audio.core.anchors import LONG, SLACK_S, Anchors, anchor_windows, look_for, trusted
from recall_audio.core.windows import Cells
from recall_audio.model.tracks import Samples
from recall_audio.units import RATE_HZ

IntArray = npt.NDArray[np.int64]

REPEATED_S = 20.0
"""Longest stretch that may be repeated inside a part."""

LOST_S = 600.0
"""Longest stretch that may be lost inside a part."""

QUIETER_DB = 12.0
"""A window this much quieter than those that were found is not missed."""

RUNS = 3
"""Stretches of a part that are looked for anew."""

WHOLE_WINDOWS = 6
"""Windows that are looked for over the whole mix."""


def after_steps(part: Samples, mix: Samples, cells: Cells, known: Anchors) -> Anchors:
    """`known`, and anchors where speech that should have been found beside them was not.

    What was lost inside a part moves all that follows to later in the mix, at most so far that the part
    still ends with the mix; what was repeated moves it back.
    """
    at, speech = anchor_windows(cells, 10 + 2 * (len(part) // (60 * RATE_HZ)))
    missing = ~np.isin(at, known.at) & (speech >= np.median(speech[np.isin(at, known.at)]) - QUIETER_DB)
    for run in _runs(at, missing, known.at)[:RUNS]:
        beside = int(known.lag[max(int(np.searchsorted(known.at, at[run[0]])) - 1, 0)])
        room = int(np.clip(len(mix) - len(part) - beside, 0, LOST_S * RATE_HZ)) + 2 * RATE_HZ
        back = int(REPEATED_S * RATE_HZ)
        probe = run[np.argsort(-speech[run], kind="stable")[:2]]
        first = np.full(len(probe), beside - back)
        there = trusted(look_for(part, mix, at[probe], speech[probe], (first, back + room)))
        if len(there.at) == 0:
            continue
        rest = run[~np.isin(run, probe)]
        near = int(SLACK_S * RATE_HZ)
        first = np.full(len(rest), int(there.lag[np.argmax(there.height)]) - near)
        more = look_for(part, mix, at[rest], speech[rest], (first, 2 * near))
        found = trusted(there.join(more))
        known = known.join(found.take(~np.isin(found.at, known.at)))
    return known


def _runs(at: IntArray, missing: npt.NDArray[np.bool_], known: IntArray) -> list[IntArray]:
    """Indices of missing windows between two known ones, at least two in a run, longest run first."""
    index = np.flatnonzero(missing)
    place = np.searchsorted(known, at[index])
    runs = [index[place == p] for p in np.unique(place)]
    return sorted((r for r in runs if len(r) > 1), key=len, reverse=True)


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
