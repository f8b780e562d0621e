"""Tracks as blocks of samples on the mix's clock, ready to be measured and written."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from recall_audio.core.gain import Level, level_of
from recall_audio.core.loudness import EnergyMeter
from recall_audio.core.placement import plan
from recall_audio.core.spans import Spans
from recall_audio.core.stretch import Signal, Source, Stretch, render
from recall_audio.core.truepeak import PeakMeter
from recall_audio.model.tracks import Track
from recall_audio.units import RATE_HZ

BLOCK_S = 15
"""Length of the blocks that tracks are rendered and written in, seconds."""

Tick = Callable[[], None]


@dataclass(frozen=True, slots=True, eq=False)
class Voice:
    """One participant's track, placed but not yet rendered.

    Attributes:
        label: whose.
        rate_hz: rate it is rendered at.
        n_samples: length at that rate, the mix's.
        sources: the parts.
        stretches: what of them is heard when.
        speech: the participant's speech on the 16 kHz clock, or None.
    """

    label: str
    rate_hz: int
    n_samples: int
    sources: tuple[Source, ...]
    stretches: tuple[Stretch, ...]
    speech: Spans | None

    def read(self, start: int, stop: int) -> Signal:
        """Samples [start, stop) before any gain, shape (stop - start,)."""
        return render(self.stretches, self.sources, start, stop)


def voice_of(track: Track, speech: Spans | None, n_samples: int) -> Voice:
    """A track at 16 kHz, on a mix of `n_samples`."""
    sources = tuple(Source(p.samples, p.time_map) for p in track.parts)
    return Voice(track.label, RATE_HZ, n_samples, sources, plan(sources, n_samples, RATE_HZ), speech)


def blocks(n_samples: int, rate_hz: int) -> Iterator[tuple[int, int]]:
    """Blocks [start, stop) of a track."""
    size = BLOCK_S * rate_hz
    return ((a, min(a + size, n_samples)) for a in range(0, n_samples, size))


def measure(voice: Voice, tick: Tick) -> Level:
    """Loudness and true peak of a track before any gain; `tick` is called after each block."""
    energy, peak = EnergyMeter(voice.rate_hz), PeakMeter(voice.rate_hz)
    for start, stop in blocks(voice.n_samples, voice.rate_hz):
        block = voice.read(start, stop)
        energy.add(block)
        peak.add(block)
        tick()
    return level_of(energy.energies(), peak.dbtp, voice.speech, voice.rate_hz)
