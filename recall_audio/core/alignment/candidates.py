"""Measure a part's cells of 0.5 s: their levels, and candidate lags of the loud ones.

::

    level        ▁▁▂▁▆█▇▅▁▁▁▂▁▁▇▆█▅▁▁      cells of 0.5 s
    loud             ▔▔▔▔      ▔▔▔▔        above the part's own floor
    candidates       ●●×●      ●×●●        lags of each of them

A cell may hold the part's own voice, another's leaked into it, both or neither. So it keeps its best peaks,
and the path through all cells (:mod:`~recall_audio.core.alignment.lag_path`) decides which of them counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np

from recall_audio.core.alignment import correlation
from recall_audio.typing import BoolArray, FloatArray, IntArray, Samples
from recall_audio.units import RATE_HZ

CELL = RATE_HZ // 2
"""Samples of a cell: 0.5 s, a few syllables; the window in which one lag is measured."""

BLOCK_CELLS = 16
"""Cells read at once: 8 s, 0.5 MB as floats, which stay in the processor's cache."""

QUIET_DB = -70.0
"""Level below which a cell never counts as loud, dB of full scale."""

SILENCE_DB = -90.0
"""Level that digital silence counts as, dB of full scale: a gated microphone's background."""

FLOOR_PERCENTILE = 10
"""Percentile of a part's levels that is its floor."""

ABOVE_FLOOR_DB = 6.0
"""A loud cell stands out from the part's floor by this much, ..."""

BELOW_TOP_DB = 12.0
"""... or is this near the loudest cell: a part may hold nothing but speech."""

REACH = 2560
"""Samples tried on each side of a cell's expected lag: 160 ms, more than any leaked voice is late."""

PEAKS_A_CELL = 3
"""Highest peaks kept of each cell."""

PEAKS_APART = 12
"""Samples within which two peaks of a cell are one: 0.75 ms."""

LEAST_CANDIDATE_PEAK = 5.0
"""Least height of a peak that is kept, in root mean squares."""

BATCH = 32
"""Cells transformed at once: arrays of a MB or two, which stay in the processor's cache."""

LOW_PEAK = 4.0
HIGH_PEAK = 18.0
"""Heights of a peak, in root mean squares, from which its score rises from 0 to 1."""

BELOW_OWN_FULL_DB = 8.0
BELOW_OWN_NONE_DB = 18.0
"""Distances below the part's own gain at which a candidate counts in full, and not at all."""

BELOW_COMPETING_FULL_DB = 4.0
BELOW_COMPETING_NONE_DB = 8.0
"""The same for a candidate below another track's gain at that moment of the mix."""

CLEAR_PEAK = 9.0
CLEAR_COHERENCE = 0.3
"""Height and coherence of a candidate from which gains are measured."""

STRONGEST_PART = 10
STRONGEST_COUNT = 5
"""A part's own gain is the median of the strongest tenth of its clear candidates, five at least."""

WHISPER_DB = 12.0
"""A part whose strongest voice is this far below the other parts' (median) holds none of its own."""

MOST_WEIGHT = 30
"""Clear candidates, 15 s of speech, from which on a part weighs in full among the gains."""

MOMENT = RATE_HZ // 4
"""Samples of one cell of the grid on which tracks are compared: 0.25 s of the mix."""

NEARLY_AS_LOUD_DB = 10.0
"""A voice that is at most this much fainter than in its own track is held rather than leaked."""

FEWEST_MOMENTS = 8
"""Moments, 2 s, for which a participant must be heard to be compared."""

LONG_CELLS = 4
"""Cells of an anchor's window: 2 s."""

MOST_ABOVE_FLOOR_DB = 40.0
"""Levels above a part's floor count up to this for how much speech a window holds."""

LEAST_GAIN_DB = -200.0
"""Stands for a gain of −inf where one is subtracted."""


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Levels of a part's consecutive cells.

    Attributes:
        level_db: shape (n,), mean power of each cell after a first difference, dB of full scale; −inf is
            digital silence.
        floor_db: level of the part's background; digital silence counts as :data:`SILENCE_DB`.
    """

    level_db: FloatArray
    floor_db: float

    @property
    def loud(self) -> BoolArray:
        """Return which cells stand out from the floor, shape (n,)."""
        top_db = float(np.max(self.level_db, initial=SILENCE_DB))
        least_db = min(self.floor_db + ABOVE_FLOOR_DB, top_db - BELOW_TOP_DB)
        return np.asarray(self.level_db > max(least_db, QUIET_DB))

    @property
    def range_db(self) -> float:
        """Return how far the loudest cell stands out from the floor, dB."""
        return float(np.max(self.level_db, initial=SILENCE_DB)) - self.floor_db


def measure_cells(samples: Samples) -> Cells:
    """Measure the levels of the whole cells of a part.

    Power is taken of a first difference, so that hum and rumble do not pass for speech.

    Args:
        samples: shape (n,), int16; read in blocks.
    """
    n = len(samples) // CELL
    level_db = np.full(n, -np.inf)
    for first in range(0, n, BLOCK_CELLS):
        last = min(first + BLOCK_CELLS, n)
        x = np.asarray(samples[first * CELL : last * CELL], dtype=np.float32).reshape(last - first, CELL)
        d = np.diff(x, axis=1)
        power = np.einsum("ij,ij->i", d, d) / (CELL * 32768.0**2)
        with np.errstate(divide="ignore"):
            level_db[first:last] = 10.0 * np.log10(power)
    floor_db = float(np.percentile(np.maximum(level_db, SILENCE_DB), FLOOR_PERCENTILE)) if n else SILENCE_DB
    return Cells(level_db, floor_db)


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Candidate lags in order of time, several of which may share a cell.

    All arrays have shape (n,).

    Attributes:
        cell: index of the 0.5 s cell.
        at: where in the part the common energy lies, samples.
        lag: samples to the mix's clock, to a fraction.
        sigma: standard deviation of `lag`, samples.
        height: the peak, in root mean squares of the cell's correlation.
        gain_db: level in the part of what it shares with the mix there, dB against the mix.
        coherence: 0 to 1, share of the cell that the mix explains.
    """

    cell: IntArray
    at: FloatArray
    lag: FloatArray
    sigma: FloatArray
    height: FloatArray
    gain_db: FloatArray
    coherence: FloatArray

    def take(self, which: BoolArray | IntArray) -> "Candidates":
        """Return the chosen rows."""
        return Candidates(*(getattr(self, f.name)[which] for f in fields(self)))

    def __len__(self) -> int:
        return len(self.cell)

    @staticmethod
    def join(several: "list[Candidates]") -> "Candidates":
        """Return all rows in order of cells, without the same peak twice."""
        columns = [np.concatenate([getattr(c, f.name) for c in several]) for f in fields(Candidates)]
        joined = Candidates(*columns)
        joined = joined.take(np.lexsort((joined.lag, joined.cell)))
        again = (np.diff(joined.cell) == 0) & (np.diff(joined.lag) < 1.0)
        return joined.take(np.r_[True, ~again]) if len(joined) else joined


def no_candidates() -> Candidates:
    """Return an empty table of candidates."""
    return Candidates(np.empty(0, dtype=np.int64), *(np.empty(0) for _ in range(6)))


def gather_candidates(part: Samples, mix: Samples, cell: IntArray, expected: IntArray) -> Candidates:
    """Find the candidates of cells about their expected lags.

    Args:
        part: the part.
        mix: the mix.
        cell: indices of the cells, shape (n,).
        expected: lag about which each is looked for, shape (n,), samples.
    """
    batches = [
        _batch(part, mix, cell[k : k + BATCH], expected[k : k + BATCH]) for k in range(0, len(cell), BATCH)
    ]
    return Candidates.join([no_candidates(), *batches])


def _batch(part: Samples, mix: Samples, cell: IntArray, expected: IntArray) -> Candidates:
    start = cell * CELL
    own = correlation.read_windows(part, start, CELL)
    stretch = correlation.read_windows(mix, start + expected - REACH, CELL + 2 * REACH)
    column, height = correlation.find_peaks(correlation.correlations(own, stretch), PEAKS_A_CELL, PEAKS_APART)
    row, rank = np.nonzero(height >= LEAST_CANDIDATE_PEAK)
    if len(row) == 0:
        return no_candidates()
    lag = (expected[row] - REACH + column[row, rank]).astype(np.int64)
    # The same samples once more, now at each candidate's own lag.
    fine = correlation.refine_lags(own[row], correlation.read_windows(mix, start[row] + lag, CELL))
    return Candidates(
        cell=cell[row],
        at=start[row] + fine.centre,
        lag=lag + fine.shift,
        sigma=fine.sigma,
        height=height[row, rank].astype(np.float64),
        gain_db=fine.gain_db,
        coherence=fine.coherence,
    )


def own_gain(candidates: Candidates, competing_db: FloatArray) -> tuple[float, int]:
    """Return the gain of the part's own voice in dB, −inf without any clear candidate, and from how many.

    It is the strongest gain that several clear candidates share.
    """
    own = (candidates.height > CLEAR_PEAK) & (candidates.gain_db > competing_db - BELOW_COMPETING_FULL_DB)
    clear = candidates.gain_db[own & (candidates.coherence > CLEAR_COHERENCE)]
    if len(clear) == 0:
        clear = candidates.gain_db[own]
    if len(clear) == 0:
        return -np.inf, 0
    strongest = np.sort(clear)[::-1]
    return float(np.median(strongest[: max(STRONGEST_COUNT, len(clear) // STRONGEST_PART)])), len(clear)


def own_gains(gains_db: Sequence[tuple[float, int]]) -> list[float]:
    """Return the own voices' gains, raised where only leaked voices can have set them.

    No part's own voice is far below the other parts'. A part below that gets a gain at which none of its
    candidates counts. Parts weigh by what is said in them: of a crowd that listens, most have no voice.

    Args:
        gains_db: what :func:`own_gain` gives of each part.
    """
    known = sorted((g, min(n, MOST_WEIGHT)) for g, n in gains_db if np.isfinite(g))
    least_db = -np.inf
    if len(known) > 1:
        weight = np.cumsum([n for _, n in known])
        least_db = known[int(np.searchsorted(weight, weight[-1] / 2.0))][0] - WHISPER_DB
    return [max(g, least_db) + (BELOW_OWN_NONE_DB if g < least_db else 0.0) for g, _ in gains_db]


def competing_gains(
    candidates: Sequence[Candidates], participants: Sequence[int], n_mix: int
) -> list[FloatArray]:
    """Return the strongest gain of other participants' tracks at each candidate.

    Args:
        candidates: those of each part.
        participants: whose each part is.
        n_mix: length of the mix, samples.

    Returns:
        One array a part, dB, as long as its candidates; −inf where no other track has a voice.
    """
    people, strongest = _strongest_gains(candidates, participants, n_mix)
    competing = []
    for found, participant in zip(candidates, participants, strict=True):
        others = np.delete(strongest, people.index(participant), axis=0)
        competing.append(np.max(others, axis=0, initial=-np.inf)[_moments(found, n_mix)])
    return competing


def _moments(candidates: Candidates, n_mix: int) -> IntArray:
    """Return the cell of the mix's grid in which each candidate lies."""
    return np.clip(((candidates.at + candidates.lag) / MOMENT).astype(np.int64), 0, n_mix // MOMENT + 1)


def _strongest_gains(
    candidates: Sequence[Candidates], participants: Sequence[int], n_mix: int
) -> tuple[list[int], FloatArray]:
    """Return the participants, and the strongest clear gain of each at each moment of the mix, dB."""
    people = sorted(set(participants))
    strongest = np.full((len(people), n_mix // MOMENT + 2), -np.inf)
    for found, participant in zip(candidates, participants, strict=True):
        clear = found.height > CLEAR_PEAK
        np.maximum.at(
            strongest[people.index(participant)], _moments(found, n_mix)[clear], found.gain_db[clear]
        )
    # Two tracks' cells don't begin together: a neighbour on the grid is the same moment.
    return people, np.maximum(
        strongest, np.maximum(np.roll(strongest, 1, axis=1), np.roll(strongest, -1, axis=1))
    )


def shares_of_others(
    rows: Candidates, index: int, candidates: Sequence[Candidates], participants: Sequence[int], n_mix: int
) -> list[float]:
    """Return the share of what each other participant says that lies on one part's path, nearly as loud.

    Args:
        rows: the candidates on the part's path.
        index: which part it is.
        candidates: those of each part.
        participants: whose each part is.
        n_mix: length of the mix, samples.

    Returns:
        One share for each other participant who is heard for 2 s or more, 0 to 1.
    """
    others = [i for i, p in enumerate(participants) if p != participants[index]]
    if not others:
        return []
    _, heard = _strongest_gains([candidates[i] for i in others], [participants[i] for i in others], n_mix)
    _, held = _strongest_gains([rows], [participants[index]], n_mix)
    foremost = np.isfinite(heard) & (heard >= np.max(heard, axis=0) - 1.0)
    both = foremost & (held[0] > heard - NEARLY_AS_LOUD_DB)
    n_heard = np.count_nonzero(foremost, axis=1)
    enough = n_heard >= FEWEST_MOMENTS
    return [float(s) for s in np.count_nonzero(both, axis=1)[enough] / n_heard[enough]]


def candidate_scores(candidates: Candidates, own_gain_db: float, competing_db: FloatArray) -> FloatArray:
    """Return the score of each candidate, 0 to 1: its height, and its gain beside all others."""
    clear = np.clip((candidates.height - LOW_PEAK) / (HIGH_PEAK - LOW_PEAK), 0.0, 1.0)
    own_db = np.full(len(candidates), own_gain_db)
    own = _above(candidates.gain_db, own_db, BELOW_OWN_FULL_DB, BELOW_OWN_NONE_DB)
    above = _above(candidates.gain_db, competing_db, BELOW_COMPETING_FULL_DB, BELOW_COMPETING_NONE_DB)
    return np.asarray(clear * own * above)


def _above(gain_db: FloatArray, reference_db: FloatArray, full_db: float, none_db: float) -> FloatArray:
    """Return 1 down to `full_db` under the reference, falling to 0 at `none_db` under it."""
    above_db = gain_db - np.maximum(reference_db, LEAST_GAIN_DB)
    return np.clip((above_db + none_db) / (none_db - full_db), 0.0, 1.0)


def choose_anchor_windows(cells: Cells, wanted: int) -> IntArray:
    """Return the first samples of up to `wanted` windows that seem to hold most speech."""
    above_db = np.nan_to_num(cells.level_db - cells.floor_db, neginf=0.0)
    above_db = np.clip(above_db, 0.0, MOST_ABOVE_FLOOR_DB) * cells.loud
    if len(above_db) < LONG_CELLS:
        above_db = np.pad(above_db, (0, LONG_CELLS - len(above_db)))
    speech = np.convolve(above_db, np.full(LONG_CELLS, 1.0 / LONG_CELLS), mode="valid")
    return choose_spread(speech, wanted, LONG_CELLS) * CELL


def choose_spread(score: FloatArray, wanted: int, apart: int) -> IntArray:
    """Choose indices of high scores, apart from one another and spread over the whole.

    Half of them are the best of all, half the best of equal stretches: a voice that is heard once in an hour
    is found, and so is a clock that drifts over that hour.

    Args:
        score: shape (n,); indices of scores ≤ 0 are never chosen.
        wanted: largest number of indices.
        apart: least distance of two indices.

    Returns:
        Sorted indices.
    """
    best = np.argsort(-score, kind="stable")
    edges = np.linspace(0, len(score), max(wanted // 2, 1) + 1).astype(int)
    local = [a + int(np.argmax(score[a:b])) for a, b in pairwise(edges) if b > a]
    local.sort(key=lambda i: -score[i])
    chosen: list[int] = []
    for limit, order in ((wanted // 2, best), (wanted, np.array(local, dtype=np.int64)), (wanted, best)):
        for i in order[: 8 * wanted].tolist():
            if len(chosen) >= limit:
                break
            if score[i] > 0 and all(abs(i - j) >= apart for j in chosen):
                chosen.append(i)
    return np.array(sorted(chosen), dtype=np.int64)
