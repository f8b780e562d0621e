"""What each answer is worth: how clear its peak is, and whether it is the part's own voice.

A voice that leaks into a listener's track is in the mix as well, and gives a clear peak at its own lag.
But it is weak there, and its owner's track holds the same stretch of the mix much more strongly::

    gain    owner's track     ▂▂▇▇▇▇▂▂▂▂▂▂
            listener's track  ▂▂▃▃▃▃▂▂▇▇▇▂     ▃ leaked: 10 dB or more below the owner at that moment
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from recall_audio.core.evidence import Evidence
from recall_audio.units import RATE_HZ

FloatArray = npt.NDArray[np.float64]

PEAK_RANGE = (4.0, 18.0)
"""Heights that are worth nothing, and everything."""

BELOW_OWN_DB = (8.0, 18.0)
"""An answer this far below the part's own gain counts in full, and not at all."""

BELOW_RIVAL_DB = (4.0, 8.0)
"""The same for an answer below another track's gain at that moment of the mix."""

CLEAR_PEAK, CLEAR_COHERENCE = 9.0, 0.3
"""An answer by which gains are judged."""

MOMENT = RATE_HZ // 4
"""Grid of the mix on which tracks are compared, samples."""


def own_gain(evidence: Evidence, rivals_db: FloatArray) -> float:
    """Gain of the part's own voice: the strongest that several clear answers share, dB; −inf without any."""
    own = (evidence.height > CLEAR_PEAK) & (evidence.gain_db > rivals_db - BELOW_RIVAL_DB[0])
    clear = evidence.gain_db[own & (evidence.coherence > CLEAR_COHERENCE)]
    if len(clear) == 0:
        clear = evidence.gain_db[own]
    strongest = np.sort(clear)[::-1]
    return float(np.median(strongest[: max(5, len(clear) // 10)])) if len(clear) else -np.inf


def rivals(evidence: Sequence[Evidence], participants: Sequence[int], n_mix: int) -> list[FloatArray]:
    """For each answer of each part, the strongest gain of other participants' tracks at its moment, dB."""
    n_moments = n_mix // MOMENT + 2
    people = sorted(set(participants))
    strongest = np.full((len(people), n_moments), -np.inf)
    moments = [np.clip(((e.at + e.lag) / MOMENT).astype(np.int64), 0, n_moments - 1) for e in evidence]
    for e, who, moment in zip(evidence, participants, moments, strict=True):
        clear = e.height > CLEAR_PEAK
        np.maximum.at(strongest[people.index(who)], moment[clear], e.gain_db[clear])
    # Two tracks' cells don't begin together: a neighbour on the grid is the same moment.
    wide = np.maximum(strongest, np.maximum(np.roll(strongest, 1, axis=1), np.roll(strongest, -1, axis=1)))
    found = []
    for who, moment in zip(participants, moments, strict=True):
        others = np.delete(wide, people.index(who), axis=0)
        found.append(np.max(others, axis=0, initial=-np.inf)[moment])
    return found


def worth_of(evidence: Evidence, own_gain_db: float, rivals_db: FloatArray) -> FloatArray:
    """What each answer is worth, 0 to 1."""
    low, high = PEAK_RANGE
    clear = np.clip((evidence.height - low) / (high - low), 0.0, 1.0)
    own = _above(evidence.gain_db, np.full(len(evidence), own_gain_db), BELOW_OWN_DB)
    return np.asarray(clear * own * _above(evidence.gain_db, rivals_db, BELOW_RIVAL_DB))


def _above(gain_db: FloatArray, reference_db: FloatArray, below_db: tuple[float, float]) -> FloatArray:
    """1 down to `below_db[0]` under the reference, 0 from `below_db[1]` under it on."""
    full, none = below_db
    return np.clip((gain_db - np.maximum(reference_db, -200.0) + none) / (none - full), 0.0, 1.0)
