"""Measure how sure a part's place is, and how wrong its map may be."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recall_audio.core.alignment.candidates import CLEAR_PEAK, REACH
from recall_audio.core.alignment.lag_lines import Lines
from recall_audio.core.alignment.lag_path import LagPath
from recall_audio.core.alignment.search import PartSearch
from recall_audio.typing import IntArray
from recall_audio.units import RATE_HZ

LOUDNESS_RANGE_DB = 12.0
"""Range of levels, from 6 dB below the path's median, over which a cell's weight grows from none to full."""

SAME_LAG_SAMPLES = 4
"""Samples within which lags count as the same: a quarter of a millisecond."""

CHANCE_SIGMAS = 5.0
CHANCE_COUNT = 2.0
"""Candidates beyond chance's mean, in its standard deviations and besides, from which a lag recurs."""

SPREAD_SHARES = 8
"""Equal shares of a part's strong cells, for how far the path spreads."""

SURE_SCORE = 1.5
"""Sum of scores at which the confidence has come to 1 − 1/e."""

FULL_SHARE = 0.8
"""Share of a part's loud cells from which what is unexplained takes no confidence away."""

OBSERVABLE_SIGMA_PPM = 0.25
"""A drift is observable where its standard deviation is below this, ..."""

OBSERVABLE_HALF_WIDTHS = 2.0
"""... or where it is so many half widths of its 95 % interval: chance alone is not."""

LEAST_FREEDOM = 1.5
"""Degrees of freedom of the lines from which a drift may be observable."""

WORST_CLOCK_PPM = 100.0
"""Largest drift of a sound card's clock."""

CODEC_MS = 0.0011
"""Delay between codecs that no correlation shows: Opus is 0.001 ms early against MP3 and PCM (measured)."""

UNSEEN_WANDER = 1.2
"""Where a part wanders between its windows, it stays within its levels' range times this (measured)."""

WANDER_STEPS = 4
"""Steps from which on a part's lag wanders."""

AGREE_PPM = 1.0
"""Parts of one device agree within this: clocks creep with temperature."""

CONTRADICTING_HALF_WIDTHS = 1.5
"""A part's own drift this many half widths of its interval from the others' forbids to share theirs."""


def explained_share(search: PartSearch, path: LagPath) -> float:
    """Return the share of what is loud in a part that is somewhere in the mix, 0 to 1.

    Cells count by their level beside the path's median: nothing from 6 dB below it, in full from 6 dB above.
    """
    level_db = search.cells.level_db
    loud_db = np.where(search.cells.loud, level_db, -np.inf) - np.median(level_db[path.rows.cell])
    weight = np.clip(loud_db + 0.5 * LOUDNESS_RANGE_DB, 0.0, LOUDNESS_RANGE_DB)
    in_mix = np.zeros(len(level_db), dtype=np.bool_)
    in_mix[search.candidates.cell[search.candidates.height > CLEAR_PEAK]] = True
    in_mix[path.rows.cell] = True
    in_mix[_recurring_cells(search, path.lines.slope)] = True
    total = float(np.sum(weight))
    return float(np.sum(weight[in_mix])) / total if total > 0.0 else 1.0


def _recurring_cells(search: PartSearch, slope: float) -> IntArray:
    """Return cells with a lag that more cells share than chance allows.

    They hold a voice that comes through a room: always faint.
    """
    candidates = search.candidates
    lag = np.floor((candidates.lag - slope * candidates.at) / SAME_LAG_SAMPLES).astype(np.int64)
    _, place, count = np.unique(lag, return_inverse=True, return_counts=True)
    by_chance = len(candidates) / max(float(np.ptp(lag)) + 1.0, 2.0 * REACH / SAME_LAG_SAMPLES)
    often = count[place] > by_chance + CHANCE_SIGMAS * np.sqrt(by_chance) + CHANCE_COUNT
    return np.asarray(candidates.cell[often], dtype=np.int64)


def path_spread(search: PartSearch, path: LagPath) -> float:
    """Return the share of the part's strong stretches that the path visits, 0 to 1."""
    level_db = search.cells.level_db
    least_db = np.median(level_db[path.rows.cell]) - 0.5 * LOUDNESS_RANGE_DB
    strong = np.flatnonzero(search.cells.loud & (level_db >= least_db))
    place = np.searchsorted(strong, path.rows.cell) * SPREAD_SHARES // max(len(strong), 1)
    n_visited = len(np.unique(np.clip(place, 0, SPREAD_SHARES - 1)))
    return n_visited / min(SPREAD_SHARES, max(len(strong), 1))


def confidence(path: LagPath, share: float) -> float:
    """Return the confidence that a part belongs where its path puts it, 0 to 1.

    It takes enough candidates, and little in the part that is unexplained::

        (1 − exp(−sum of scores / 1.5)) · min(share / 0.8, 1)

    Args:
        path: the part's lag through time.
        share: what :func:`explained_share` gives.
    """
    enough = 1.0 - float(np.exp(-np.sum(path.score) / SURE_SCORE))
    return round(enough * min(share / FULL_SHARE, 1.0), 4)


def drift_is_observable(lines: Lines) -> bool:
    """Return whether the slope shows the clock's drift.

    It never does by windows that no further one confirms.
    """
    if lines.freedom < LEAST_FREEDOM:
        return False
    sigma_ppm = lines.slope_sigma * 1e6
    half_width_ppm = OBSERVABLE_HALF_WIDTHS * lines.sigmas_95 * sigma_ppm
    return bool(sigma_ppm < OBSERVABLE_SIGMA_PPM or abs(lines.slope) * 1e6 > half_width_ppm)


def drift_bound_ppm(lines: Lines, around_ppm: float = 0.0) -> float:
    """Return how far the drift may be from `around_ppm` (95 %), ppm.

    Only the part's own windows bound it.
    """
    if not np.isfinite(lines.slope_sigma):
        return WORST_CLOCK_PPM
    off_ppm = abs(lines.slope * 1e6 - around_ppm) + lines.sigmas_95 * lines.slope_sigma * 1e6
    return min(off_ppm, WORST_CLOCK_PPM)


def uncertainty_ms(lines: Lines, n_samples: int, drift_ppm: float) -> float:
    """Return the half width of the 95 % interval of the worst error over a part, ms.

    The places of single steps are not part of it.

    Args:
        lines: what the map was made from.
        n_samples: the part's length.
        drift_ppm: half width of the drift's own 95 % interval.
    """
    farthest = max(abs(n_samples - lines.centre[-1]), abs(lines.centre[0]))
    level_ms = lines.sigmas_95 * float(np.max(lines.level_sigma)) / RATE_HZ * 1e3
    drift_ms = drift_ppm * 1e-6 * farthest / RATE_HZ * 1e3
    straight_ms = float(np.sqrt(level_ms**2 + drift_ms**2 + CODEC_MS**2))
    if len(lines.level) <= WANDER_STEPS:
        return straight_ms
    lag_at_zero = lines.level - lines.slope * lines.centre
    return max(straight_ms, UNSEEN_WANDER * float(np.ptp(lag_at_zero)) / RATE_HZ * 1e3)


@dataclass(frozen=True, slots=True)
class SharedDrift:
    """A drift that another part of the same participant gives to one that shows none.

    Attributes:
        part_id: the part that gives it.
        drift_ppm: the drift, ppm.
        bound_ppm: half width of its 95 % interval, ppm.
    """

    part_id: str
    drift_ppm: float
    bound_ppm: float


def share_drift(own: Lines, others: Sequence[tuple[str, Lines]]) -> SharedDrift | None:
    """Return the drift that the participant's other parts give to one that shows none.

    Where two or more parts agree, the device's clock is known to 1 ppm. A single other part may have been
    another device: then only the part's own windows bound the drift.

    Args:
        own: lines of the part whose drift is not observable.
        others: id and lines of the participant's parts whose drift is.

    Returns:
        The best known drift; None where the others, or the part's own windows, contradict it.
    """
    if not others:
        return None
    ppm = np.array([lines.slope * 1e6 for _, lines in others])
    half_width_ppm = np.array([lines.sigmas_95 * lines.slope_sigma * 1e6 for _, lines in others])
    if np.ptp(ppm) > AGREE_PPM + 2.0 * float(np.max(half_width_ppm)):
        return None
    best = int(np.argmin(half_width_ppm))
    off_ppm = abs(own.slope * 1e6 - ppm[best])
    own_half_width_ppm = own.sigmas_95 * own.slope_sigma * 1e6
    if np.isfinite(own.slope_sigma) and off_ppm > CONTRADICTING_HALF_WIDTHS * own_half_width_ppm + AGREE_PPM:
        return None
    bound_ppm = AGREE_PPM if len(others) > 1 else drift_bound_ppm(own, float(ppm[best]))
    return SharedDrift(others[best][0], float(ppm[best]), float(bound_ppm))
