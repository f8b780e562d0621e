"""The straight lines of a part's lag: one slope for all (one clock), one level for each segment.

Iteratively reweighted least squares with Cauchy's weights (c = 2.385: 95 % efficient; Holland & Welsch
1977), from the windows' own standard deviations. No weight ever becomes zero, so no segment starves.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recall_audio.typing import FloatArray, IntArray

CAUCHY = 2.385
"""Scales at which a window's weight is one half."""

LEAST_SIGMA = 0.01
"""Samples: no window is trusted further than codecs are."""

SLOPE_PPM = 300
"""Slopes are looked for up to this, each way."""

PAIR_SAMPLES = (24_000, 480_000)
"""Windows from which one slope is read lie between 1.5 and 30 s apart."""


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
        spare: windows more than the lines need, by weight: the degrees of freedom.
    """

    slope: float
    slope_sigma: float
    level: FloatArray
    level_sigma: FloatArray
    centre: FloatArray
    weight: FloatArray
    residual: FloatArray
    spare: float

    @property
    def sigmas_95(self) -> float:
        """Standard deviations that hold 95 %: Student's t, to 3 % from three degrees of freedom on."""
        return 1.96 * (1.0 + 1.5 / self.spare)

    def at(self, t: npt.ArrayLike, k: int | IntArray) -> FloatArray:
        """Lag of a segment's line at a time in samples."""
        return np.asarray(self.level[k] + self.slope * (np.asarray(t, dtype=np.float64) - self.centre[k]))


def common_slope(at: FloatArray, lag: FloatArray, weight: FloatArray) -> float:
    """The slope that most pairs of neighbouring windows share, to about 1 ppm; 0 where there is no pair.

    Leaked voices run by the same clock and steps lie between few pairs, so neither moves the mode.
    """
    n_bins = 2 * SLOPE_PPM + 1
    votes = np.zeros(n_bins)
    for ahead in range(1, 33):
        if ahead >= len(at):
            break
        apart = at[ahead:] - at[:-ahead]
        used = (apart > PAIR_SAMPLES[0]) & (apart < PAIR_SAMPLES[1])
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
    """Robust parallel lines through windows, all arrays of shape (n,), n ≥ 1; `slope` None fits it.

    Raises:
        ValueError: no window at all.
    """
    if len(at) == 0:
        raise ValueError("a line needs at least one window")
    spread = np.hypot(sigma, LEAST_SIGMA)
    n_levels = int(segment.max()) + 1
    weight, scale = np.ones(len(at)), 1.0
    for turn in range(40):
        w = weight / spread**2
        total = np.bincount(segment, w, n_levels) + 1e-300
        centre = np.bincount(segment, w * at, n_levels) / total
        level = np.bincount(segment, w * lag, n_levels) / total
        t, y = at - centre[segment], lag - level[segment]
        bend = float(np.sum(w * t * t))
        seen = (
            slope is None
            and bend > 1e-6 * float(np.sum(w))
            and bool(np.max(np.abs(t[weight > 0.1]), initial=0) > 4000)
        )
        fitted = float(np.sum(w * t * y)) / bend if seen else (slope or 0.0)
        residual = y - fitted * t
        relative = np.abs(residual) / spread
        scale = max(float(np.median(relative)) * 1.4826, 0.3)
        before, weight = weight, 1.0 / (1.0 + (relative / (CAUCHY * scale)) ** 2)
        if turn > 2 and np.max(np.abs(weight - before)) < 1e-4:
            break
    # With few windows the scale itself is uncertain: then never below what the windows claim.
    n_used = float(np.sum(weight))
    spare = max(n_used - n_levels - (1 if seen else 0), 1.0)
    scale2 = float(np.sum(w * residual**2)) / spare
    scale2 = (scale2 * spare + 4.0) / (spare + 4.0) if n_used < 30 else scale2
    slope_sigma = float(np.sqrt(scale2 / bend)) if seen else (0.0 if slope is not None else np.inf)
    return Lines(fitted, slope_sigma, level, np.sqrt(scale2 / total), centre, weight, residual, spare)
