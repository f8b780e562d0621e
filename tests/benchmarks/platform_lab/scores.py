"""Score speech found against the truth: frame error, share of talk, overlap, people who never speak."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from recall_audio.core import spans as sp
from recall_audio.typing import Spans
from recall_audio.units import RATE_HZ

COLLAR_FRAMES = 10
"""Frames of 10 ms on both sides of a true boundary that do not count."""

_FRAME = 160


@dataclass(frozen=True)
class Score:
    """One meeting's figures.

    Attributes:
        missed: frames of speech not found, % of the truth.
        false: frames found that are none, % of the truth.
        share: the worst error of a share of talk, points.
        overlap_s: true time with two or more.
        found_overlap_s: the same as found.
        never_s: most seconds of a person who never speaks.
        shares: error of everybody's share of talk, points.
    """

    missed: float
    false: float
    share: float
    overlap_s: float
    found_overlap_s: float
    never_s: float
    shares: Mapping[str, float]

    @property
    def error(self) -> float:
        """Frame error in % of the truth."""
        return self.missed + self.false


def score(found: Mapping[str, Spans], truth: Mapping[str, Spans], duration_s: float) -> Score:
    """Return the figures of one meeting."""
    n = int(duration_s * 100)
    missed = false = total = 0
    never_s = 0.0
    for label, spans in truth.items():
        right, got = sp.to_mask(spans, _FRAME, n), sp.to_mask(found[label], _FRAME, n)
        away = np.ones(n, dtype=bool)
        for edge in np.flatnonzero(np.diff(right.astype(np.int8))) + 1:
            away[max(0, edge - COLLAR_FRAMES) : edge + COLLAR_FRAMES] = False
        missed += int(np.count_nonzero(right & ~got & away))
        false += int(np.count_nonzero(~right & got & away))
        total += int(np.count_nonzero(right))
        if not right.any():
            never_s = max(never_s, sp.total(found[label]) / RATE_HZ)
    share = {k: 100 * (a - b) for k, a, b in _shares(found, truth)}
    overlap_s, got_s = (sum(sp.counts(list(x.values()), 0, n * _FRAME)[2:]) / RATE_HZ for x in (truth, found))
    scale = 100 / max(total, 1)
    worst = max((abs(s) for s in share.values()), default=0.0)
    return Score(missed * scale, false * scale, worst, overlap_s, got_s, never_s, share)


def _shares(found: Mapping[str, Spans], truth: Mapping[str, Spans]) -> list[tuple[str, float, float]]:
    said = {k: sp.total(found[k]) for k in truth}
    talk = {k: sp.total(v) for k, v in truth.items()}
    all_said, all_talk = max(sum(said.values()), 1), max(sum(talk.values()), 1)
    return [(k, said[k] / all_said, talk[k] / all_talk) for k in truth]
