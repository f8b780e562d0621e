"""One part on the mix: anchors, evidence, path and lines put together."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recall_audio.core.anchors import Anchors, find_anchors, trusted
from recall_audio.core.evidence import Evidence, gather, no_evidence
from recall_audio.core.lagline import Lines, common_slope, fit_lines
from recall_audio.core.lagpath import best_path
from recall_audio.core.windows import CELL, Cells, measure_cells
from recall_audio.model.options import AlignOptions
from recall_audio.model.tracks import PartAudio, Samples
from recall_audio.units import RATE_HZ

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

ONE_BASE = 2000
"""Anchors whose lags differ by less, in samples, share one expected lag: leaked voices lie nearer."""

GAIN_BELOW_DB = (8.0, 18.0)
"""An answer this far below the part's own gain counts in full, and not at all: leaked voices are weak."""


@dataclass(frozen=True, slots=True, eq=False)
class PartFit:
    """What one part says about its place, before the others were heard.

    Attributes:
        n_loud: cells that may hold speech.
        evidence: all answers of these cells.
        anchors_found: anchors that stood out.
        anchors_tried: anchors looked for.
    """

    n_loud: int
    evidence: Evidence
    anchors_found: int
    anchors_tried: int


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """A part's lag through time.

    Attributes:
        rows: the answers on the path.
        segment: shape (n,), which straight stretch each belongs to.
        worth: shape (n,), evidence of each.
        lines: the straight lines through them.
        own_gain_db: the gain of the part's own voice.
    """

    rows: Evidence
    segment: IntArray
    worth: FloatArray
    lines: Lines
    own_gain_db: float


def fit_part(mix: Samples, part: PartAudio, options: AlignOptions) -> PartFit:
    """Gather a part's evidence."""
    cells = measure_cells(part.samples)
    nominal = round(part.nominal_start_s * RATE_HZ)
    anchors = find_anchors(part.samples, mix, cells, nominal, options.search_s)
    known = trusted(anchors)
    evidence = _evidence(mix, part.samples, cells, known) if len(known.at) else no_evidence()
    return PartFit(int(np.sum(cells.loud)), evidence, len(known.at), len(anchors.at))


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


def own_gain(evidence: Evidence) -> float:
    """Gain of the part's own voice: the strongest that several clear answers share, dB."""
    clear = evidence.gain_db[(evidence.height > 9.0) & (evidence.coherence > 0.3)]
    if len(clear) == 0:
        clear = evidence.gain_db
    strongest = np.sort(clear)[::-1]
    return float(np.median(strongest[: max(5, len(clear) // 10)])) if len(clear) else -np.inf


def worth_of(evidence: Evidence, own_gain_db: float) -> FloatArray:
    """What each answer is worth, 0 to 1: its peak, and whether it is strong enough to be the own voice."""
    full, none = GAIN_BELOW_DB
    own = np.clip((evidence.gain_db - own_gain_db + none) / (none - full), 0.0, 1.0)
    return np.asarray(np.clip((evidence.height - 4.0) / 14.0, 0.0, 1.0) * own)


def trace(evidence: Evidence, worth: FloatArray) -> Track | None:
    """Path and lines through the evidence; None where there is none."""
    kept = worth > 0.02
    rows, worth = evidence.take(kept), worth[kept]
    if len(rows) == 0:
        return None
    slope = common_slope(rows.at, rows.lag, worth)
    chosen, segment = best_path(rows.cell, rows.at, rows.lag - slope * rows.at, worth)
    if len(chosen) == 0:
        return None
    rows, worth = rows.take(chosen), worth[chosen]
    lines = fit_lines(rows.at, rows.lag, rows.sigma, segment)
    return Track(rows, segment, worth, lines, own_gain(rows))
