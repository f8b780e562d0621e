"""Fit straight lines to a part's lag: one slope for its clock, one level for each segment.

The fit is iteratively reweighted least squares with Cauchy's weights (c = 2.385: 95 % efficient; Holland &
Welsch 1977), from the windows' own standard deviations. No weight ever becomes zero, so no segment starves.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recall_audio.typing import FloatArray, IntArray

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
