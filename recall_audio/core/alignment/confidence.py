"""How sure a part's place is: whether it belongs to this mix at all, and how wrong its map may be."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recall_audio.core.alignment.candidates import CLEAR_PEAK, REACH
from recall_audio.core.alignment.lag_lines import Lines
from recall_audio.core.alignment.lag_path import Track
from recall_audio.core.alignment.search import PartFit
from recall_audio.typing import IntArray
from recall_audio.units import RATE_HZ

WIDTH_DB = 12.0
"""Range of levels, from 6 dB below the path's median, over which a cell's say grows from none to full."""

RECUR_SAMPLES = 4
"""Samples within which answers count as the same: a quarter of a millisecond."""

STRETCHES = 8
"""Equal shares of a part's strong cells, for how far the path spreads."""

SEEN_SIGMA_PPM = 0.25
"""A slope is seen where it is known this well, ..."""

SEEN_TIMES = 2.0
"""... or where it is so many times its 95 % interval's half width: chance alone is not."""

LEAST_SPARE = 1.5
"""Windows (by weight) beyond those that a line needs anyway."""

WORST_CLOCK_PPM = 100.0
"""No sound card is worse."""

CODEC_MS = 0.0011
"""Delays between codecs that no correlation sees: Opus is 0.001 ms early against MP3 and PCM (measured)."""

UNSEEN_WANDER = 1.2
"""Where a part wanders between its windows, it stays within its levels' range times this (measured)."""

WANDER_STEPS = 4
"""From so many steps on, a part is one that wanders."""


def explained(fit: PartFit, track: Track) -> float:
    """Share of what is loud in the part (as loud as what is on the path) that is somewhere in the mix."""
    level = fit.cells.level_db
    loudness = np.where(fit.cells.loud, level, -np.inf) - np.median(level[track.rows.cell])
    say = np.clip(loudness + 0.5 * WIDTH_DB, 0.0, WIDTH_DB)
    there = np.zeros(len(level), dtype=np.bool_)
    there[fit.evidence.cell[fit.evidence.height > CLEAR_PEAK]] = True
    there[track.rows.cell] = True
    there[_recurring(fit, track.lines.slope)] = True
    total = float(np.sum(say))
    return float(np.sum(say[there])) / total if total > 0.0 else 1.0


def _recurring(fit: PartFit, slope: float) -> IntArray:
    """Cells with an answer that more cells share than chance allows: a voice through a room, always faint."""
    evidence = fit.evidence
    lag = np.floor((evidence.lag - slope * evidence.at) / RECUR_SAMPLES).astype(np.int64)
    _, place, count = np.unique(lag, return_inverse=True, return_counts=True)
    by_chance = len(evidence) / max(float(np.ptp(lag)) + 1.0, 2.0 * REACH / RECUR_SAMPLES)
    often = count[place] > by_chance + 5.0 * np.sqrt(by_chance) + 2.0
    return np.asarray(evidence.cell[often], dtype=np.int64)


def spread(fit: PartFit, track: Track) -> float:
    """Share of equal stretches of the part's strong cells that the path visits."""
    level = fit.cells.level_db
    strong = np.flatnonzero(fit.cells.loud & (level >= np.median(level[track.rows.cell]) - 0.5 * WIDTH_DB))
    place = np.searchsorted(strong, track.rows.cell) * STRETCHES // max(len(strong), 1)
    return len(np.unique(np.clip(place, 0, STRETCHES - 1))) / min(STRETCHES, max(len(strong), 1))


def confidence(track: Track, share: float) -> float:
    """0 to 1, that a part belongs where its path puts it: enough evidence, and little that is unexplained."""
    return round((1.0 - float(np.exp(-np.sum(track.worth) / 1.5))) * min(share / 0.8, 1.0), 4)


def drift_is_seen(lines: Lines) -> bool:
    """Whether the slope says something about the clock: never by windows that no further one confirms."""
    if lines.spare < LEAST_SPARE:
        return False
    sigma_ppm = lines.slope_sigma * 1e6
    return bool(
        sigma_ppm < SEEN_SIGMA_PPM or abs(lines.slope) * 1e6 > SEEN_TIMES * lines.sigmas_95 * sigma_ppm
    )


def drift_bound_ppm(lines: Lines, around_ppm: float = 0.0) -> float:
    """How far the drift may be from `around_ppm` (95 %), by the part's own windows."""
    if not np.isfinite(lines.slope_sigma):
        return WORST_CLOCK_PPM
    off_ppm = abs(lines.slope * 1e6 - around_ppm) + lines.sigmas_95 * lines.slope_sigma * 1e6
    return min(off_ppm, WORST_CLOCK_PPM)


def uncertainty_ms(lines: Lines, n_samples: int, drift_ppm: float) -> float:
    """Half width of the 95 % interval of the worst error over a part, the places of single steps apart.

    Args:
        lines: what the map was made from.
        n_samples: the part's length.
        drift_ppm: half width of the drift's own 95 % interval.
    """
    far = max(abs(n_samples - lines.centre[-1]), abs(lines.centre[0]))
    level_ms = lines.sigmas_95 * float(np.max(lines.level_sigma)) / RATE_HZ * 1e3
    drift_ms = drift_ppm * 1e-6 * far / RATE_HZ * 1e3
    straight_ms = float(np.sqrt(level_ms**2 + drift_ms**2 + CODEC_MS**2))
    if len(lines.level) <= WANDER_STEPS:
        return straight_ms
    at_zero = lines.level - lines.slope * lines.centre
    return max(straight_ms, UNSEEN_WANDER * float(np.ptp(at_zero)) / RATE_HZ * 1e3)


AGREE_PPM = 1.0
"""Parts of one device agree within this: clocks creep with temperature."""

CONTRADICTS = 1.5
"""Own evidence this many half widths of its interval from the others' drift forbids to borrow it."""


@dataclass(frozen=True, slots=True)
class Loan:
    """A drift that was borrowed.

    Attributes:
        part_id: whose it is.
        drift_ppm: how much.
        bound_ppm: half width of its 95 % interval.
    """

    part_id: str
    drift_ppm: float
    bound_ppm: float


def borrow(own: Lines, donors: Sequence[tuple[str, Lines]]) -> Loan | None:
    """Drift for a part that shows none, from the participant's parts that do; None where they disagree."""
    if not donors:
        return None
    ppm = np.array([lines.slope * 1e6 for _, lines in donors])
    sigma = np.array([lines.sigmas_95 * lines.slope_sigma * 1e6 for _, lines in donors])
    if np.ptp(ppm) > AGREE_PPM + 2.0 * float(np.max(sigma)):
        return None
    best = int(np.argmin(sigma))
    off_ppm = abs(own.slope * 1e6 - ppm[best])
    if (
        np.isfinite(own.slope_sigma)
        and off_ppm > CONTRADICTS * own.sigmas_95 * own.slope_sigma * 1e6 + AGREE_PPM
    ):
        return None
    # A single other part may have been another device: then only the part's own windows bound it.
    bound_ppm = AGREE_PPM if len(donors) > 1 else drift_bound_ppm(own, float(ppm[best]))
    return Loan(donors[best][0], float(ppm[best]), float(bound_ppm))
