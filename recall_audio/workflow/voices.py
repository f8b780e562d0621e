"""Tracks as blocks of samples on the mix's clock, ready to be levelled and written."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from recall_audio.core.placement import plan
from recall_audio.core.spans import Spans
from recall_audio.core.stretch import Signal, Source, Stretch, render
from recall_audio.errors import ItemError
from recall_audio.files import temporary_beside
from recall_audio.media.decode import decode
from recall_audio.media.pages import open_work
from recall_audio.media.source import probe
from recall_audio.model.options import DecodeOptions
from recall_audio.model.tracks import Samples, Track
from recall_audio.units import RATE_HZ


@dataclass(frozen=True, slots=True)
class Original:
    """A part's file as downloaded.

    Attributes:
        path: where it is.
        format: what the API called it; ``raw`` for headerless samples.
        duration_s: what the API said of its length.
    """

    path: Path
    format: str | None = None
    duration_s: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class StemSources:
    """What stems can use beside the decoded tracks; all of it may be missing.

    Attributes:
        mix: the mixed recording, int16, 16 kHz: for the residual check.
        originals: part id to the file it was decoded from: for other rates than 16 kHz.
        work: folder for working files of those rates; the stems' own where None.
        names: label to the name as people write it: for editors.
        recording_id: likewise.
        started_at: time of day of mix time 0: editors place files by it.
    """

    mix: Samples | None = None
    originals: Mapping[str, Original] = field(default_factory=dict)
    work: Path | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    recording_id: str = ""
    started_at: datetime | None = None


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
    speech: Spans | None = None

    @property
    def between_samples(self) -> bool:
        """Whether any of it is read between its samples, which is dear."""
        return any(s.step != 1.0 or not s.at.is_integer() for s in self.stretches)

    def read(self, start: int, stop: int) -> Signal:
        """Samples [start, stop), shape (stop - start,)."""
        return render(self.stretches, self.sources, start, stop)


def length_at(n_samples: int, rate_hz: int) -> int:
    """A length at 16 kHz in samples of another rate."""
    return round(n_samples * rate_hz / RATE_HZ)


def native_rate(track: Track, originals: Mapping[str, Original]) -> int:
    """The highest rate of a track's files; 16 kHz where there is none."""
    rates = (probe(o.path, o.format).rate_hz for p in track.parts if (o := originals.get(p.part_id)))
    return max(rates, default=RATE_HZ)


@contextlib.contextmanager
def opened(
    track: Track, speech: Spans | None, n_samples: int, rate_hz: int, sources: StemSources
) -> Iterator[Voice]:
    """A track at `rate_hz` on a mix of `n_samples` at 16 kHz; other rates are decoded again.

    Raises:
        ItemError: another rate is wanted, and a part's downloaded file is not there.
    """
    n_out = length_at(n_samples, rate_hz)
    with contextlib.ExitStack() as stack:
        parts = []
        for part in track.parts:
            same = rate_hz == RATE_HZ
            samples = part.samples if same else stack.enter_context(_again(part.part_id, rate_hz, sources))
            parts.append(Source(samples, part.time_map))
            del samples
        yield Voice(track.label, rate_hz, n_out, tuple(parts), plan(parts, n_out, rate_hz), speech)
        parts.clear()


@contextlib.contextmanager
def _again(part_id: str, rate_hz: int, sources: StemSources) -> Iterator[Samples]:
    original = sources.originals.get(part_id)
    if original is None or sources.work is None or not original.path.is_file():
        raise ItemError(
            f"Stems at {rate_hz} Hz need the downloaded file of part {part_id}, which is not there.",
            "Fetch the recording again, or write stems at 16000 Hz.",
            code="missing_file",
        )
    work = temporary_beside(sources.work / f"{part_id}.{rate_hz}")
    options = DecodeOptions(rate_hz=rate_hz)
    try:
        decoded = decode(original.path, work, original.format, original.duration_s, options)
        yield open_work(decoded.path)
    finally:
        with contextlib.suppress(OSError):  # Windows removes no file that is mapped; it is swept later
            work.unlink(missing_ok=True)
