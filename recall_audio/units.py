"""Convert units: seconds to samples of the one clock or to dates, decibels to amplitude factors."""

import math
from datetime import UTC, datetime

RATE_HZ = 16_000
"""Samples a second of the working files, and of the clock every time is counted on."""

FRAME_SAMPLES = RATE_HZ // 100
"""Samples of the 10 ms analysis frame (Heldner & Edlund 2010)."""


def to_samples(time_s: float) -> int:
    """Return the sample of the 16 kHz clock nearest to a time in seconds; it may be negative."""
    return round(time_s * RATE_HZ)


def to_seconds(n_samples: int) -> float:
    """Return the seconds of a count of samples of the 16 kHz clock, rounded to the microsecond."""
    return round(n_samples / RATE_HZ, 6)


def db_to_gain(level_db: float) -> float:
    """Return the amplitude factor of a level in dB; −inf gives 0."""
    return float(10.0 ** (level_db / 20.0))


def gain_to_db(gain: float) -> float:
    """Return the level in dB of an amplitude factor; 0 gives −inf."""
    return 20.0 * math.log10(gain) if gain > 0.0 else -math.inf


def to_iso(time_s: float) -> str:
    """Return seconds since the epoch as ISO 8601."""
    return datetime.fromtimestamp(time_s, UTC).isoformat(timespec="seconds")


def from_iso(text: str | None) -> float:
    """Return an ISO 8601 time as seconds since the epoch, or 0 where it is none."""
    try:
        return 0.0 if text is None else datetime.fromisoformat(text).timestamp()
    except ValueError:
        return 0.0
