"""Level one participant's track: gate it, choose its gain, limit its peaks."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from recall_audio.core.stems.dynamics import gate, limit, margin_samples
from recall_audio.core.stems.gain import AGREE_LU, Gain, Level, choose_gain, measure_level
from recall_audio.core.stems.meters import EnergyMeter, PeakMeter
from recall_audio.model.options import StemOptions
from recall_audio.pipeline.stems.track_reader import RenderCache, StemTrack
from recall_audio.typing import Float32Array
from recall_audio.units import db_to_gain, gain_to_db

BLOCK_S = 60
"""Length of the blocks that tracks are rendered and written in, seconds."""

TARGET_REACHED_LU = 0.02
"""A limited track reads the target when it is this near."""

MOST_TURNS = 8
"""Gains that are tried with the limiter before the last one is kept."""

LEAST_SLOPE = 0.2
"""Loudness gained a dB of gain below which all is at the ceiling, LU: no gain makes it louder."""

OnBlock = Callable[[], None]
"""Callback after each block."""


def blocks(n_samples: int, rate_hz: int) -> Iterator[tuple[int, int]]:
    """Yield the blocks [start, stop) of a track."""
    size = BLOCK_S * rate_hz
    return ((start, min(start + size, n_samples)) for start in range(0, n_samples, size))


@dataclass(slots=True, eq=False)
class LevelledTrack:
    """A track and what is done to it before it is written.

    Attributes:
        track: the track.
        cache: keeps what was rendered of it, where that pays.
        gated: mute what is not speech.
        gain_db: linear gain.
        ceiling_dbtp: true peak that the limiter lets through; None for no limiter.
        least_gain: smallest gain of the limiter so far, 0 to 1.
    """

    track: StemTrack
    cache: RenderCache
    gated: bool = False
    gain_db: float = 0.0
    ceiling_dbtp: float | None = None
    least_gain: float = 1.0

    def read(self, start: int, stop: int) -> Float32Array:
        """Return samples [start, stop) as written, shape (stop - start,)."""
        if self.ceiling_dbtp is None:
            return self._before_limiter(start, stop)
        rate_hz = self.track.rate_hz
        margin = margin_samples(rate_hz)
        wide = self._before_limiter(start - margin, stop + margin)
        ceiling = db_to_gain(self.ceiling_dbtp)
        # A second at a time: most of them have no peak to hold.
        for first in range(0, stop - start, rate_hz):
            end = min(first + rate_hz, stop - start)
            wide[first:end], least_gain = limit(wide[first : end + 2 * margin], ceiling, rate_hz)
            self.least_gain = min(self.least_gain, least_gain)
        return wide[: stop - start]

    def _before_limiter(self, start: int, stop: int) -> Float32Array:
        """Return samples gated and with the gain applied."""
        block = self._rendered(start, stop)
        if self.gated and self.track.speech is not None:
            block *= gate(self.track.speech, start, stop, self.track.rate_hz)
        if self.gain_db != 0.0:
            block *= np.float32(db_to_gain(self.gain_db))
        return block

    def _rendered(self, start: int, stop: int) -> Float32Array:
        """Return samples as placed, from the cache where rendering them again costs more."""
        if not self.track.between_samples:
            return self.track.read(start, stop)
        block = self.cache.block(start, stop)
        if block is None:
            block = self.track.read(start, stop)
            self.cache.keep(start, block)
        return block

    def measure(self, on_block: OnBlock) -> Level:
        """Measure loudness and true peak as written, calling `on_block` after each block."""
        rate_hz = self.track.rate_hz
        energy, peak = EnergyMeter(rate_hz), PeakMeter(rate_hz)
        for start, stop in blocks(self.track.n_samples, rate_hz):
            block = self.read(start, stop)
            energy.add(block)
            peak.add(block)
            on_block()
        return measure_level(energy.energies(), peak.dbtp, self.track.speech, rate_hz)


@dataclass(frozen=True, slots=True, eq=False)
class LevelResult:
    """A levelled track and its levels before and after.

    Attributes:
        levelled: the track and what is done to it.
        gain: the decision.
        before: its level without any gain.
        lufs: integrated loudness as written.
        speech_lufs: loudness of its speech as written.
        peak_dbtp: true peak as written.
        limited_db: most that the limiter takes away.
    """

    levelled: LevelledTrack
    gain: Gain
    before: Level
    lufs: float
    speech_lufs: float
    peak_dbtp: float
    limited_db: float = 0.0


def level_track(track: StemTrack, cache: RenderCache, options: StemOptions, on_block: OnBlock) -> LevelResult:
    """Measure a track and decide its gain.

    Args:
        track: the track.
        cache: keeps what was rendered of it.
        options: target, ceiling, cap, gate and limiter.
        on_block: called after each block of the first measurement.
    """
    before = LevelledTrack(track, cache, options.gate).measure(on_block)
    gain = choose_gain(before, options)
    peak_dbtp = before.peak_dbtp + gain.gain_db
    if options.limit and gain.measured_over is not None and peak_dbtp > options.peak_dbtp:
        return _level_limited(track, cache, options, before, gain)
    levelled = LevelledTrack(track, cache, options.gate, gain.gain_db)
    lufs, speech_lufs = before.lufs(gain.gain_db), before.speech_lufs(gain.gain_db)
    return LevelResult(levelled, gain, before, lufs, speech_lufs, peak_dbtp)


def _level_limited(
    track: StemTrack, cache: RenderCache, options: StemOptions, before: Level, gain: Gain
) -> LevelResult:
    """Raise the gain until the limited track reads the target.

    The limiter takes loudness away.
    By secants: beyond the ceiling, a dB of gain gives a part of a dB of loudness.
    """
    slope, last, measured_over = 1.0, None, gain.measured_over
    for _ in range(MOST_TURNS):
        levelled = LevelledTrack(track, cache, options.gate, gain.gain_db, options.peak_dbtp)
        after = levelled.measure(lambda: None)
        lufs, speech_lufs = after.lufs(), after.speech_lufs()
        if track.speech is not None and abs(lufs - speech_lufs) > AGREE_LU:
            measured_over = "speech"  # what was limited brought the pauses up
        read = lufs if measured_over == "file" else speech_lufs
        if abs(options.lufs - read) < TARGET_REACHED_LU or (gain.set_by == "cap" and read < options.lufs):
            break
        if last is not None and gain.gain_db != last[0]:
            slope = min((read - last[1]) / (gain.gain_db - last[0]), 1.0)
            if slope < LEAST_SLOPE:
                gain = replace(gain, set_by="peak")
                break
        last = gain.gain_db, read
        wanted_db = gain.gain_db + (options.lufs - read) / slope
        gain = replace(gain, gain_db=min(wanted_db, options.max_gain_db))
        gain = replace(gain, set_by="cap" if wanted_db > options.max_gain_db else "target")
    final = LevelledTrack(track, cache, options.gate, levelled.gain_db, options.peak_dbtp)
    gain = replace(gain, gain_db=levelled.gain_db, measured_over=measured_over)
    limited_db = -gain_to_db(levelled.least_gain)
    return LevelResult(final, gain, before, lufs, speech_lufs, after.peak_dbtp, limited_db)
