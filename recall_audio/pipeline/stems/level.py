"""A voice as it is written: gated, levelled, limited, as the options say."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from recall_audio.core.stems.dynamics import gate, limit, margin_samples
from recall_audio.core.stems.gain import AGREE_LU, Gain, Level, choose_gain, level_of
from recall_audio.core.stems.meters import EnergyMeter, PeakMeter
from recall_audio.model.options import StemOptions
from recall_audio.pipeline.stems.track_reader import Spool, Voice
from recall_audio.typing import Float32Array
from recall_audio.units import db_to_gain, gain_to_db

BLOCK_S = 60
"""Length of the blocks that tracks are rendered and written in, seconds."""

Tick = Callable[[], None]

_NEAR_LU = 0.02
_ROUNDS = 8
_LEAST_SLOPE = 0.2


def blocks(n_samples: int, rate_hz: int) -> Iterator[tuple[int, int]]:
    """Blocks [start, stop) of a track."""
    size = BLOCK_S * rate_hz
    return ((a, min(a + size, n_samples)) for a in range(0, n_samples, size))


@dataclass(slots=True, eq=False)
class Finish:
    """A voice and what is done to it.

    Attributes:
        voice: whose.
        spool: keeps what was rendered of it, where that pays.
        gated: mute what is not speech.
        gain_db: linear gain.
        ceiling_dbtp: true peak that the limiter lets through; None for no limiter.
        least: smallest gain of the limiter so far.
    """

    voice: Voice
    spool: Spool
    gated: bool = False
    gain_db: float = 0.0
    ceiling_dbtp: float | None = None
    least: float = 1.0

    def read(self, start: int, stop: int) -> Float32Array:
        """Samples [start, stop) as written, shape (stop - start,)."""
        if self.ceiling_dbtp is None:
            return self._levelled(start, stop)
        rate_hz = self.voice.rate_hz
        margin = margin_samples(rate_hz)
        wide = self._levelled(start - margin, stop + margin)
        ceiling = db_to_gain(self.ceiling_dbtp)
        # A second at a time: most of them have no peak to hold.
        for a in range(0, stop - start, rate_hz):
            b = min(a + rate_hz, stop - start)
            wide[a:b], least = limit(wide[a : b + 2 * margin], ceiling, rate_hz)
            self.least = min(self.least, least)
        return wide[: stop - start]

    def _levelled(self, start: int, stop: int) -> Float32Array:
        block = self._rendered(start, stop)
        if self.gated and self.voice.speech is not None:
            block *= gate(self.voice.speech, start, stop, self.voice.rate_hz)
        if self.gain_db != 0.0:
            block *= np.float32(db_to_gain(self.gain_db))
        return block

    def _rendered(self, start: int, stop: int) -> Float32Array:
        if not self.voice.between_samples:
            return self.voice.read(start, stop)
        block = self.spool.block(start, stop)
        if block is None:
            block = self.voice.read(start, stop)
            self.spool.keep(start, block)
        return block

    def measure(self, tick: Tick) -> Level:
        """Loudness and true peak as written; `tick` is called after each block."""
        rate_hz = self.voice.rate_hz
        energy, peak = EnergyMeter(rate_hz), PeakMeter(rate_hz)
        for start, stop in blocks(self.voice.n_samples, rate_hz):
            block = self.read(start, stop)
            energy.add(block)
            peak.add(block)
            tick()
        return level_of(energy.energies(), peak.dbtp, self.voice.speech, rate_hz)


@dataclass(frozen=True, slots=True, eq=False)
class Levelled:
    """A voice that can be written, and all that is to be said of its level.

    Attributes:
        finish: the voice and what is done to it.
        gain: the decision.
        before: its level without any gain.
        lufs: integrated loudness as written.
        speech_lufs: loudness of its speech as written.
        peak_dbtp: true peak as written.
        limited_db: most that the limiter takes away.
    """

    finish: Finish
    gain: Gain
    before: Level
    lufs: float
    speech_lufs: float
    peak_dbtp: float
    limited_db: float = 0.0


def level(voice: Voice, spool: Spool, options: StemOptions, tick: Tick) -> Levelled:
    """Measure a voice and decide its gain."""
    before = Finish(voice, spool, options.gate).measure(tick)
    gain = choose_gain(before, options)
    peak_dbtp = before.peak_dbtp + gain.gain_db
    if options.limit and gain.measured_over is not None and peak_dbtp > options.peak_dbtp:
        return _limited(voice, spool, options, before, gain)
    lufs, speech_lufs = before.lufs(gain.gain_db), before.speech_lufs(gain.gain_db)
    return Levelled(
        Finish(voice, spool, options.gate, gain.gain_db), gain, before, lufs, speech_lufs, peak_dbtp
    )


def _limited(voice: Voice, spool: Spool, options: StemOptions, before: Level, gain: Gain) -> Levelled:
    """Raise the gain until the limited voice reads the target, since the limiter takes loudness away.

    By secants: beyond the ceiling, a dB of gain is worth a part of a dB of loudness.
    """
    slope, last, over = 1.0, None, gain.measured_over
    for _ in range(_ROUNDS):
        finish = Finish(voice, spool, options.gate, gain.gain_db, options.peak_dbtp)
        after = finish.measure(lambda: None)
        lufs, speech_lufs = after.lufs(), after.speech_lufs()
        if voice.speech is not None and abs(lufs - speech_lufs) > AGREE_LU:
            over = "speech"  # what was limited brought the pauses up
        read = lufs if over == "file" else speech_lufs
        if abs(options.lufs - read) < _NEAR_LU or (gain.set_by == "cap" and read < options.lufs):
            break
        if last is not None and gain.gain_db != last[0]:
            slope = min((read - last[1]) / (gain.gain_db - last[0]), 1.0)
            if slope < _LEAST_SLOPE:  # all is at the ceiling: no gain makes it louder
                gain = replace(gain, set_by="peak")
                break
        last = gain.gain_db, read
        wanted = gain.gain_db + (options.lufs - read) / slope
        gain = replace(gain, gain_db=min(wanted, options.max_gain_db))
        gain = replace(gain, set_by="cap" if wanted > options.max_gain_db else "target")
    final = Finish(voice, spool, options.gate, finish.gain_db, options.peak_dbtp)
    gain = replace(gain, gain_db=finish.gain_db, measured_over=over)
    return Levelled(final, gain, before, lufs, speech_lufs, after.peak_dbtp, -gain_to_db(finish.least))
