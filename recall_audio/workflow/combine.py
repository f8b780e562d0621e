"""Files made of all stems together: their sum, and one multichannel file. Both read the stems as written."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from recall_audio.core.loudness import EnergyMeter, block_energies, gated_lufs
from recall_audio.core.stretch import Signal
from recall_audio.core.truepeak import PeakMeter
from recall_audio.media.wav import StemWriter, read_block
from recall_audio.model.stems import Mixdown
from recall_audio.units import db_to_gain
from recall_audio.workflow.finish import Tick, blocks

_AT_ONCE = 4_000_000
"""Samples of all channels together that are held at once."""


def write_sum(
    stems: Sequence[Path], target: StemWriter, n_samples: int, peak_dbtp: float, tick: Tick
) -> Mixdown:
    """Write the sum of stems of one rate, lowered where its true peak would pass `peak_dbtp`."""
    rate_hz = target.kind.rate_hz
    energy, peak = EnergyMeter(rate_hz), PeakMeter(rate_hz)
    for start, stop in blocks(n_samples, rate_hz):
        block = _sum(stems, start, stop, rate_hz)
        energy.add(block)
        peak.add(block)
        tick()
    gain_db = min(0.0, peak_dbtp - peak.dbtp)
    factor = np.float32(db_to_gain(gain_db))
    with target:
        for start, stop in blocks(n_samples, rate_hz):
            target.write(_sum(stems, start, stop, rate_hz) * factor)
            tick()
    lufs = gated_lufs(block_energies(energy.energies()), gain_db)
    file = f"{target.path.parent.name}/{target.path.name}"
    return Mixdown(file, gain_db, lufs, peak.dbtp + gain_db)


def write_poly(stems: Sequence[Path], target: StemWriter, n_samples: int, tick: Tick) -> str:
    """Write stems of one rate as the channels of one file, in order; gives its name."""
    rate_hz = target.kind.rate_hz
    size = max(_AT_ONCE // len(stems), rate_hz // 10)
    with target:
        for start, stop in blocks(n_samples, rate_hz):
            for a in range(start, stop, size):
                b = min(a + size, stop)
                target.write(np.stack([_stem(p, a, b, rate_hz) for p in stems], axis=1))
            tick()
    return f"{target.path.parent.name}/{target.path.name}"


def _sum(stems: Sequence[Path], start: int, stop: int, rate_hz: int) -> Signal:
    total = np.zeros(stop - start, dtype=np.float32)
    for path in stems:
        total += _stem(path, start, stop, rate_hz)
    return total


def _stem(path: Path, start: int, stop: int, rate_hz: int) -> Signal:
    return read_block(path, start / rate_hz, stop / rate_hz)[0]
