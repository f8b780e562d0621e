"""Fit straight lines to a part's lag: one slope for its clock, one level for each segment.

The fit is iteratively reweighted least squares with Cauchy's weights (c = 2.385: 95 % efficient; Holland &
Welsch 1977), from the windows' own standard deviations. No weight ever becomes zero, so no segment starves.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recall_audio.core.alignment import correlation
from recall_audio.typing import Float32Array, FloatArray, IntArray, Samples
from recall_audio.units import RATE_HZ

CAUCHY = 2.385
"""Cauchy's constant c: how many scales off a window's weight is one half."""

MAD_SIGMA = 1.4826
"""Standard deviations of a normal distribution in one median absolute deviation."""

LEAST_SIGMA = 0.01
"""Smallest standard deviation of one window's lag, samples: codecs move delays by so much."""

SLOPE_PPM = 300
"""Largest slope that is looked for, each way, ppm."""

NEAREST_PAIR = 24_000
FARTHEST_PAIR = 480_000
"""Distance of two windows from which one slope is read, samples: 1.5 to 30 s."""

PAIRED_WINDOWS = 32
"""Following windows that each window is paired with."""

MOST_TURNS = 40
SETTLED = 1e-4
"""The fit ends when no weight changes by more than this, or after so many turns."""

LEAST_SCALE = 0.3
"""Smallest scale of the residuals, in the windows' own standard deviations."""

SHORTEST_LEVER = 4000
"""Samples by which some window must lie off its segment's centre for a slope to be fitted: 0.25 s."""

FEW_WINDOWS = 30
PRIOR_FREEDOM = 4.0
"""With fewer windows, their claimed deviations count as so many degrees of freedom more."""


BACKGROUND = RATE_HZ
BACKGROUND_WINDOWS = 128
"""Samples of a window in which a background is looked for, 1 s, and the number of them in a row.

Lines are summed pair by pair: the number is a power of two."""

FEWEST_BACKGROUND_WINDOWS = 20
"""A shorter part's background says nothing."""

MOST_BACKGROUND = 2.0
"""Root mean squares at which a correlation is cut off: voices are far above, backgrounds below."""

BACKGROUND_PEAK = 7.5
BACKGROUND_RATIO = 1.2
"""Height in root mean squares of a background that is in the mix, and its ratio to other peaks.

In the tracks of 15 listeners it was 7 to 22, and 1.26 to 4 times as high as leaked voices."""

BACKGROUND_SIGMA = 8.0
"""Half width of the interval of a place by the background, samples, beside its drift's: 0.5 ms."""

BACKGROUND_APART = 32
MOST_BACKGROUND_APART = 1600
"""Samples about a background's peak that are its own, 2 ms, and over which equal ones may lie, 0.1 s."""


PAUSE = RATE_HZ // 4
MOST_PAUSES = 512
PAUSE_SHARE = 0.1
"""Samples of the pieces of a part, 0.25 s, how many are looked at, and the quietest share: the pauses."""

PAUSE_REACH = 400
"""Samples to both sides of a line from which it is known what chance gives."""

LEAST_PAUSE_PEAK = 3.0
"""Height in root mean squares of what holds in pauses: backgrounds had 2.6 to 11, leaks 2.4 at most."""


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """Parallel straight lines: ``lag(t) = level[k] + slope · (t − centre[k])``, in samples.

    Attributes:
        slope: samples a sample; ·1e6 is parts per million.
        slope_sigma: standard deviation of the slope; inf where no slope could be fitted.
        level: shape (k,), lag of each segment at its centre.
        level_sigma: shape (k,), standard deviation of the level.
        centre: shape (k,), weighted mean time of each segment's windows, samples.
        weight: shape (n,), 0 to 1: what became of each window in the robust fit.
        residual: shape (n,), samples.
        freedom: degrees of freedom: windows by weight, less the levels and the slope; 1 at least.
    """

    slope: float
    slope_sigma: float
    level: FloatArray
    level_sigma: FloatArray
    centre: FloatArray
    weight: FloatArray
    residual: FloatArray
    freedom: float

    @property
    def sigmas_95(self) -> float:
        """Return how many standard deviations hold 95 %.

        They are Student's t, to 3 % from three degrees of freedom on.
        """
        return 1.96 * (1.0 + 1.5 / self.freedom)

    def at(self, t: npt.ArrayLike, k: int | IntArray) -> FloatArray:
        """Return the lag of segment `k` at times `t`, all in samples."""
        return np.asarray(self.level[k] + self.slope * (np.asarray(t, dtype=np.float64) - self.centre[k]))


def common_slope(at: FloatArray, lag: FloatArray, weight: FloatArray) -> float:
    """Return the slope that most pairs of windows share, to about 1 ppm.

    Without a pair it is 0.
    Leaked voices run by the same clock and steps lie between few pairs, so neither moves the mode.
    """
    n_bins = 2 * SLOPE_PPM + 1
    votes = np.zeros(n_bins)
    for ahead in range(1, PAIRED_WINDOWS + 1):
        if ahead >= len(at):
            break
        apart = at[ahead:] - at[:-ahead]
        used = (apart > NEAREST_PAIR) & (apart < FARTHEST_PAIR)
        ppm = (lag[ahead:] - lag[:-ahead])[used] / apart[used] * 1e6
        inside = np.abs(ppm) <= SLOPE_PPM
        # A pair that is farther apart says more about a slope.
        value = np.minimum(weight[ahead:], weight[:-ahead])[used][inside] * np.sqrt(apart[used][inside])
        votes += np.bincount(np.rint(ppm[inside]).astype(int) + SLOPE_PPM, value, n_bins)
    smooth = np.convolve(votes, np.array([0.5, 1.0, 1.0, 1.0, 0.5]), mode="same")
    return float(np.argmax(smooth) - SLOPE_PPM) * 1e-6 if smooth.max() > 0 else 0.0


def fit_lines(
    at: FloatArray, lag: FloatArray, sigma: FloatArray, segment: IntArray, slope: float | None = None
) -> Lines:
    """Fit robust parallel lines to windows.

    Args:
        at: times, samples, shape (n,), n ≥ 1.
        lag: shape (n,), samples.
        sigma: standard deviation of each lag, shape (n,), samples.
        segment: number of each window's segment, shape (n,), from 0 on.
        slope: slope that is to hold, samples a sample; None fits it.

    Raises:
        ValueError: there is no window.
    """
    if len(at) == 0:
        raise ValueError("lines need at least one window, and there is none")
    spread = np.hypot(sigma, LEAST_SIGMA)
    n_levels = int(segment.max()) + 1
    weight, scale = np.ones(len(at)), 1.0
    for turn in range(MOST_TURNS):
        w = weight / spread**2
        total = np.bincount(segment, w, n_levels) + 1e-300
        centre = np.bincount(segment, w * at, n_levels) / total
        level = np.bincount(segment, w * lag, n_levels) / total
        t, y = at - centre[segment], lag - level[segment]
        bend = float(np.sum(w * t * t))
        fits_slope = (
            slope is None
            and bend > 1e-6 * float(np.sum(w))
            and bool(np.max(np.abs(t[weight > 0.1]), initial=0) > SHORTEST_LEVER)
        )
        fitted = float(np.sum(w * t * y)) / bend if fits_slope else (slope or 0.0)
        residual = y - fitted * t
        relative = np.abs(residual) / spread
        scale = max(float(np.median(relative)) * MAD_SIGMA, LEAST_SCALE)
        before, weight = weight, 1.0 / (1.0 + (relative / (CAUCHY * scale)) ** 2)
        if turn > 2 and np.max(np.abs(weight - before)) < SETTLED:
            break
    # With few windows the scale itself is uncertain: then never below what the windows claim.
    n_used = float(np.sum(weight))
    freedom = max(n_used - n_levels - (1 if fits_slope else 0), 1.0)
    scale2 = float(np.sum(w * residual**2)) / freedom
    if n_used < FEW_WINDOWS:
        scale2 = (scale2 * freedom + PRIOR_FREEDOM) / (freedom + PRIOR_FREEDOM)
    slope_sigma = float(np.sqrt(scale2 / bend)) if fits_slope else (0.0 if slope is not None else np.inf)
    return Lines(fitted, slope_sigma, level, np.sqrt(scale2 / total), centre, weight, residual, freedom)


@dataclass(frozen=True, slots=True)
class Background:
    """The straight line on which a part's own background lies in the mix.

    Attributes:
        lag: at the part's first sample, samples.
        half_width: half width of its 95 % interval over the part, samples.
        slope: samples a sample.
        sure: 0 to 1, by how much it stands out from other lines.
    """

    lag: float
    half_width: float
    slope: float
    sure: float


def find_background(samples: Samples, mix: Samples, start_s: tuple[float, float]) -> Background | None:
    """Return the place at which a part's own background is in the mix, None where it is not found.

    A microphone that only hears others has a background of its own. Where the mix is the sum of all tracks,
    it is in there too: far below the voices, but at one lag all the time, so that it adds up::

        one window       .,.▂.,.|.▂▂█▂,.▂.       voices, late by the way through a loudspeaker
        cut off          .,.▂.,.▂.▂▂▂▂,.▂.       no window counts for much
        128 of them      ...,...█...,.,...       what is always there

    Args:
        samples: the part.
        mix: the mix.
        start_s: between which moments of the mix it may begin.
    """
    n_windows = min(len(samples) // BACKGROUND, BACKGROUND_WINDOWS)
    if n_windows < FEWEST_BACKGROUND_WINDOWS:
        return None
    first, last = (round(s * RATE_HZ) for s in start_s)
    begin = (len(samples) // BACKGROUND - n_windows) // 2 * BACKGROUND
    at = begin + np.arange(n_windows, dtype=np.int64) * BACKGROUND
    spare = 2 * BACKGROUND_WINDOWS
    rows = np.zeros((BACKGROUND_WINDOWS, last - first + 1 + 2 * spare), dtype=np.float32)
    for row, start in zip(rows, at, strict=False):
        where = np.array([start + first - spare])
        stretch = correlation.read_windows(mix, where, BACKGROUND + rows.shape[1] - 1)
        own = correlation.read_windows(samples, np.array([start]), BACKGROUND)
        np.clip(correlation.correlations(own, stretch)[0], -MOST_BACKGROUND, MOST_BACKGROUND, out=row)
    total, per_window = _steepest(rows, spare)
    total[:spare], total[len(total) - spare :] = 0.0, 0.0
    found = _latest_peak(total)
    if found is None:
        return None
    column, early, ratio = found
    slope = per_window / BACKGROUND
    lag = first - spare + column - slope * begin
    if not _holds_in_pauses(samples, mix, lag, slope):
        return None
    far = max(float(at[0]), len(samples) - float(at[-1]))
    off = BACKGROUND_SIGMA + early + far / BACKGROUND / BACKGROUND_WINDOWS
    return Background(lag, off, slope, 1.0 - ratio)


def _holds_in_pauses(samples: Samples, mix: Samples, lag: float, slope: float) -> bool:
    """Return whether a part and the mix share something on a line where no voice is.

    A voice that always comes equally late lies on a line, too, but its pauses are empty.
    """
    n_pauses = min(len(samples) // PAUSE, MOST_PAUSES)
    begin = (len(samples) - n_pauses * PAUSE) // 2
    at = begin + np.arange(n_pauses, dtype=np.int64) * PAUSE
    where = at + np.rint(lag + slope * at).astype(np.int64)
    level = [float(np.mean(np.diff(correlation.read_windows(mix, w[None], PAUSE)[0]) ** 2)) for w in where]
    quiet = np.argsort(level, kind="stable")[: max(round(PAUSE_SHARE * n_pauses), 1)]
    own = correlation.read_windows(samples, at[quiet], PAUSE)
    r = correlation.correlations(
        own, correlation.read_windows(mix, where[quiet] - PAUSE_REACH, PAUSE + 2 * PAUSE_REACH)
    )
    total = np.clip(r, -MOST_BACKGROUND, MOST_BACKGROUND).sum(axis=0)
    height = float(np.max(total[PAUSE_REACH - 1 : PAUSE_REACH + 2]))
    return height >= LEAST_PAUSE_PEAK * float(np.sqrt(np.mean(total**2)))


def _steepest(rows: Float32Array, most: int) -> tuple[Float32Array, float]:
    """Return the sum of rows along the straight line that gives the highest peak, and its slope.

    The slope is in columns a row, −2 to 2. Lines are summed pair by pair, then pairs of pairs (Taylor 1974).
    """
    best, slope = np.zeros(rows.shape[1], dtype=np.float32), 0.0
    n = len(rows)
    for base in (-2, -1, 0, 1):
        sheared = np.zeros_like(rows)
        for k, (row, out) in enumerate(zip(rows, sheared, strict=True)):
            by = base * k
            out[max(-by, 0) : len(out) - max(by, 0)] = row[max(by, 0) : len(row) - max(-by, 0)]
        sums = _line_sums(sheared)[:, most:-most]
        k = int(np.argmax(sums)) // sums.shape[1]
        if sums[k].max() > best.max():
            best, slope = np.pad(sums[k], most), base + k / (n - 1)
    return best, slope


def _line_sums(rows: Float32Array) -> Float32Array:
    """Return sums along lines that move by 0 to n − 1 columns over all n rows, one row a line."""
    sums = rows[:, None, :]
    while len(sums) > 1:
        early, late = sums[::2], sums[1::2]
        n_lines, width = 2 * sums.shape[1], sums.shape[2]
        sums = np.empty((len(early), n_lines, width), dtype=np.float32)
        for k in range(n_lines):
            by = (k + 1) // 2
            sums[:, k] = early[:, k // 2]
            sums[:, k, : width - by] += late[:, k // 2, by:]
    return np.asarray(sums[0])


def _latest_peak(total: Float32Array) -> tuple[int, int, float] | None:
    """Return the latest of the peaks that nearly equal the highest, None where none stands out.

    What leaks comes late, so its lags are early: the latest of equal peaks is the track itself.

    Returns:
        Its column, how many columns the earliest of these peaks lies before it, and the ratio of the highest
        other peak to the highest one.
    """
    left, level = total.copy(), float(np.sqrt(np.mean(total**2)))
    best = float(np.max(left))
    if level == 0.0 or best < BACKGROUND_PEAK * level:
        return None
    columns: list[int] = []
    while (high := float(np.max(left))) * BACKGROUND_RATIO >= best:
        column = int(np.argmax(left))
        columns.append(column)
        left[max(column - BACKGROUND_APART, 0) : column + BACKGROUND_APART + 1] = 0.0
    if max(columns) - min(columns) > MOST_BACKGROUND_APART:
        return None
    return max(columns), max(columns) - min(columns), high / best
