"""What one part says about its place on the mix: cells, anchors and evidence put together."""

from dataclasses import dataclass

import numpy as np

from recall_audio.core.alignment.candidates import CLEAR_COHERENCE, CLEAR_PEAK, Evidence, gather, no_evidence
from recall_audio.core.alignment.search import Anchors, anywhere, beyond_steps, find_anchors
from recall_audio.core.alignment.windows import CELL, Cells, measure_cells
from recall_audio.model.alignment import PartAudio
from recall_audio.model.options import AlignOptions
from recall_audio.typing import IntArray, Samples
from recall_audio.units import RATE_HZ

TURNS = 3
"""How often what is still unexplained is looked for farther away: once a long step."""

QUIETER_DB = 6.0
"""Cells this much quieter than those that were found are not missed."""

ONE_BASE = 2000
"""Anchors whose lags differ by less, in samples, share one expected lag: leaked voices lie nearer."""


@dataclass(frozen=True, slots=True, eq=False)
class PartFit:
    """What one part says about its place, before the others were heard.

    Attributes:
        cells: levels of its cells.
        evidence: all answers of the loud ones; none where no anchor was found.
    """

    cells: Cells
    evidence: Evidence


def fit_part(mix: Samples, part: PartAudio, options: AlignOptions) -> PartFit:
    """Gather a part's evidence."""
    cells = measure_cells(part.samples)
    nominal: int | None = round(part.nominal_start_s * RATE_HZ)
    if options.whole_mix:
        nominal = anywhere(part.samples, mix, cells)
    if nominal is None or not np.any(cells.loud):
        return PartFit(cells, no_evidence())
    known = find_anchors(part.samples, mix, cells, nominal, options.search_s)
    if len(known.at) == 0:
        return PartFit(cells, no_evidence())
    evidence = _evidence(mix, part.samples, cells, known)
    for _ in range(TURNS):
        lost, beside = _unexplained(cells, evidence)
        cell, expected = beyond_steps(part.samples, mix, cells, lost, beside)
        if len(cell) == 0:
            break
        evidence = Evidence.join([evidence, gather(part.samples, mix, cell, expected)])
    return PartFit(cells, evidence)


def _unexplained(cells: Cells, evidence: Evidence) -> tuple[IntArray, IntArray]:
    """Strong cells that no clear answer explains, and for every cell the clear lag nearest before it."""
    clear = evidence.take((evidence.height > CLEAR_PEAK) & (evidence.coherence > CLEAR_COHERENCE))
    if len(clear) == 0:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    strong = cells.loud & (cells.level_db >= np.median(cells.level_db[clear.cell]) - QUIETER_DB)
    strong[evidence.cell[evidence.height > CLEAR_PEAK]] = False
    every = np.arange(len(cells.level_db))
    before = np.clip(np.searchsorted(clear.cell, every, side="right") - 1, 0, None)
    return np.flatnonzero(strong), np.rint(clear.lag[before]).astype(np.int64)


def _evidence(mix: Samples, part: Samples, cells: Cells, anchors: Anchors) -> Evidence:
    """Evidence of all loud cells about the lags that the anchors before and after them expect."""
    cell = np.flatnonzero(cells.loud).astype(np.int64)
    middle = cell * CELL + CELL // 2
    after = np.searchsorted(anchors.at, middle)
    before, after = np.maximum(after - 1, 0), np.minimum(after, len(anchors.at) - 1)
    low, high = anchors.lag[before], anchors.lag[after]
    apart = np.maximum(anchors.at[after] - anchors.at[before], 1)
    share = np.clip((middle - anchors.at[before]) / apart, 0.0, 1.0)
    between = np.rint(low + (high - low) * share).astype(np.int64)
    split = np.abs(high - low) > ONE_BASE
    first = gather(part, mix, cell, np.where(split, low, between))
    if not np.any(split):
        return first
    return Evidence.join([first, gather(part, mix, cell[split], high[split])])
