"""Convert units: time on one clock of integer samples, levels in decibels."""

import math

RATE_HZ = 16_000
"""Samples a second of the working files, and of the clock every time is counted on."""

FRAME_SAMPLES = RATE_HZ // 100
"""Samples of the 10 ms analysis frame (Heldner & Edlund 2010)."""


def to_samples(time_s: float) -> int:
    """Return the nearest sample on the 16 kHz clock to a time in seconds, negative or not."""
    return round(time_s * RATE_HZ)


def to_seconds(n_samples: int) -> float:
    """Return the seconds of a count of samples on the 16 kHz clock, exact to the microsecond."""
    return round(n_samples / RATE_HZ, 6)


def db_to_gain(level_db: float) -> float:
    """Return the amplitude factor of a level in dB, 0 for −inf."""
    return float(10.0 ** (level_db / 20.0))


def gain_to_db(gain: float) -> float:
    """Return the level in dB of an amplitude factor, −inf for 0."""
    return 20.0 * math.log10(gain) if gain > 0.0 else -math.inf
