"""Measure how sure a part's place is, how wrong its map may be, and where other parts expect it.

The parts of one recorder share an error of their nominal starts. What is placed by itself tells where a part
is to be expected that is too short or too quiet for that::

    nominal starts     |─a─|      |b|   |c|     |───d───|
    placed alone           |─a─|                    |───d───|       both 0.3 s late
    expected                          |b|   |c|                     0.3 s late too, within their spread
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recall_audio.core.alignment.candidates import CLEAR_PEAK, REACH
from recall_audio.core.alignment.lag_lines import Lines
from recall_audio.core.alignment.lag_path import LagPath
from recall_audio.core.alignment.search import PartSearch
from recall_audio.model.alignment import PlacedBy
from recall_audio.typing import FloatArray, IntArray
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

EXPLAINED_SHARE_WHERE_SPREAD = 0.3
LEAST_SPREAD = 0.75
"""What is in the mix may be a smaller share where it is spread over the whole part at one lag.

Then the rest is noise of its own."""

LEAP = RATE_HZ // 2
"""A step longer than this, samples, is longer than a window: then the part is not at one lag."""

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


NEAREST_PARTS = 12
"""Parts of a participant, nearest in time, that tell where one more is to be expected."""

SAME_OFFSET_S = 0.08
"""Offsets of one recorder's parts differ by less, seconds: four times the jitter of nominal starts."""

JITTER_S = 0.02
JITTER_FREEDOM = 2.0
"""Standard deviation of a recorder's offsets before any is known, seconds, and the freedom it counts for."""

APART_S = 0.3
FEWEST_PEOPLE = 3
"""The same between participants, and how many of them must be placed to tell of another one."""

LATEST_LEAK_S = 1.0
"""A leaked voice arrives within this: a loudspeaker plays a voice that travelled for up to a second."""

LEAK_AGREEMENT = 0.5
"""Confidence of a place that rests on a leak's word."""


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


def at_one_lag(search: PartSearch, path: LagPath, share: float) -> bool:
    """Return whether the path visits most of a part at nearly one lag."""
    spread = path_spread(search, path)
    return share >= EXPLAINED_SHARE_WHERE_SPREAD and spread >= LEAST_SPREAD and n_leaps(path) == 0


def n_leaps(path: LagPath) -> int:
    """Return the number of steps of a path that are longer than a window."""
    return int(np.count_nonzero(np.abs(np.diff(path.lines.level)) > LEAP))


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


@dataclass(frozen=True, slots=True)
class Expected:
    """A place at which a part is to be expected.

    Attributes:
        start_s: on the mix's clock.
        half_width_s: half width of its 95 % interval.
        source: what tells it, see :attr:`~recall_audio.model.alignment.PartAlignment.placed_by`.
        agreement: 0 to 1, how sure it is; of parts, the share that agrees on it, with one more that does not.
        opposite: most of these parts have a polarity opposite to the mix's.
        drift_ppm: of its clock, where it is known.
        tells: the nominal start lies outside the interval.
    """

    start_s: float
    half_width_s: float
    source: PlacedBy
    agreement: float
    opposite: bool = False
    drift_ppm: float | None = None
    tells: bool = True


@dataclass(frozen=True, slots=True)
class Placed:
    """A part that was placed by itself.

    Attributes:
        participant_id: whose.
        nominal_s: its nominal start.
        offset_s: its start less the nominal one.
        opposite: its polarity is opposite to the mix's.
    """

    participant_id: int
    nominal_s: float
    offset_s: float
    opposite: bool = False


def expected_places(participant_id: int, nominal_s: float, placed: Sequence[Placed]) -> list[Expected]:
    """Return where a part is to be expected, the likeliest first.

    Args:
        participant_id: whose it is.
        nominal_s: its nominal start.
        placed: all parts that were placed by themselves, itself not among them.

    Returns:
        Places by the participant's other parts; without any, the place by all others'. It is empty where too
        few parts agree.
    """
    own = sorted(
        (p for p in placed if p.participant_id == participant_id), key=lambda p: abs(p.nominal_s - nominal_s)
    )
    if own:
        return _by_own_parts(nominal_s, own[:NEAREST_PARTS])
    people = {p.participant_id for p in placed}
    if len(people) < FEWEST_PEOPLE:
        return []
    offsets = [
        float(np.median([p.offset_s for p in placed if p.participant_id == i])) for i in sorted(people)
    ]
    opposite = sum(p.opposite for p in placed) * 2 > len(placed)
    centre_s, half_s, n_agree = _centre(np.array(offsets), float(np.median(offsets)), 3 * APART_S, APART_S)
    if 2 * n_agree <= len(offsets):
        return []
    agreement = n_agree / (len(offsets) + 1)
    tells = abs(centre_s) > half_s
    return [Expected(nominal_s + centre_s, half_s, "all", agreement, opposite, tells=tells)]


def _by_own_parts(nominal_s: float, own: Sequence[Placed]) -> list[Expected]:
    """Return the places by a participant's other parts, the nearest first.

    A recorder that begins anew may have another offset: several groups of offsets may hold, each of two parts
    at least.
    """
    offsets = np.array([p.offset_s for p in own])
    left = np.ones(len(own), dtype=np.bool_)
    found: list[Expected] = []
    while np.any(left):
        first = int(np.argmax(left))
        near = np.abs(offsets - offsets[first]) <= SAME_OFFSET_S
        group = near & left
        left &= ~near
        if len(own) > 1 and np.count_nonzero(group) < 2:
            continue
        centre_s, half_s, n_agree = _centre(
            offsets[group], float(np.median(offsets[group])), SAME_OFFSET_S, JITTER_S
        )
        turned = np.array([p.opposite for p in own])[group]
        opposite = bool(2 * np.count_nonzero(turned) > len(turned))
        agreement = n_agree / (len(own) + 1)
        found.append(Expected(nominal_s + centre_s, half_s, "participant", agreement, opposite))
    return found


def _centre(offsets: FloatArray, about_s: float, within_s: float, prior_s: float) -> tuple[float, float, int]:
    """Return mean, half width (95 %, of one more value) and number of the offsets near `about_s`.

    The spread is that of the values, together with `prior_s`, which counts for a few.
    """
    kept = offsets[np.abs(offsets - about_s) <= within_s]
    mean_s = float(np.mean(kept))
    freedom = len(kept) - 1 + JITTER_FREEDOM
    spread_s = np.sqrt((float(np.sum((kept - mean_s) ** 2)) + JITTER_FREEDOM * prior_s**2) / freedom)
    half_s = 1.96 * (1.0 + 1.5 / freedom) * spread_s * np.sqrt(1.0 + 1.0 / len(kept))
    return mean_s, float(half_s), len(kept)


def place_by_leak(early_s: float, expected_s: float) -> Expected:
    """Return the place of a part that would begin at `early_s` if others' voices in it had come at once.

    They came late, by nothing to a second: the part begins no earlier than they say. Within that, what else
    is expected holds.
    """
    start_s = float(np.clip(expected_s, early_s, early_s + LATEST_LEAK_S))
    half_s = max(start_s - early_s, early_s + LATEST_LEAK_S - start_s)
    return Expected(start_s, half_s, "leak", LEAK_AGREEMENT)
