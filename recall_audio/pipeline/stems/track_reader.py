"""Read one participant's track as blocks of samples on the mix's clock, at any rate."""

import contextlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np

from recall_audio.core.stems.placement import Source, Stretch, plan, render
from recall_audio.errors import ItemError
from recall_audio.files import disk_error, temporary_beside
from recall_audio.media.decode import decode
from recall_audio.media.pcm_file import open_work
from recall_audio.media.probe import probe
from recall_audio.model.alignment import Track
from recall_audio.model.options import DecodeOptions
from recall_audio.typing import Float32Array, Samples, Spans
from recall_audio.units import RATE_HZ


@dataclass(frozen=True, slots=True)
class SourceFile:
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
    """What stems can use beside the decoded tracks, all of which may be missing.

    Attributes:
        mix: the mixed recording, int16, 16 kHz: for the residual check.
        files: part id to the file it was decoded from: for other rates than 16 kHz.
        work: folder for working files of those rates; the stems' own where None.
    """

    mix: Samples | None = None
    files: Mapping[str, SourceFile] = field(default_factory=dict)
    work: Path | None = None


@dataclass(frozen=True, slots=True, eq=False)
class StemTrack:
    """One participant's track, placed but not yet rendered.

    Attributes:
        label: the participant's label.
        rate_hz: rate it is rendered at.
        n_samples: length at that rate, the mix's.
        sources: the parts.
        stretches: which of them plays when.
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
        """Return whether any of it is read between its samples, which costs much."""
        return any(s.step != 1.0 or not s.at.is_integer() for s in self.stretches)

    def read(self, start: int, stop: int) -> Float32Array:
        """Return samples [start, stop), shape (stop - start,), full scale 1."""
        return render(self.stretches, self.sources, start, stop)


@contextlib.contextmanager
def open_track(
    track: Track, speech: Spans | None, n_samples: int, rate_hz: int, sources: StemSources
) -> Iterator[StemTrack]:
    """Open a track at `rate_hz`.

    At other rates than 16 kHz its files are decoded again.

    Args:
        track: the participant's parts on the mix's clock.
        speech: the participant's speech, or None.
        n_samples: length of the mix at 16 kHz.
        rate_hz: rate of the samples.
        sources: the files to decode.

    Raises:
        ItemError: another rate is wanted, and a part's downloaded file is missing.
    """
    n_out = length_at_rate(n_samples, rate_hz)
    with contextlib.ExitStack() as stack:
        parts = []
        for part in track.parts:
            if rate_hz == RATE_HZ:
                samples = part.samples
            else:
                samples = stack.enter_context(_decoded_at(rate_hz, part.part_id, sources))
            parts.append(Source(samples, part.time_map))
            del samples
        yield StemTrack(track.label, rate_hz, n_out, tuple(parts), plan(parts, n_out, rate_hz), speech)
        parts.clear()


@contextlib.contextmanager
def _decoded_at(rate_hz: int, part_id: str, sources: StemSources) -> Iterator[Samples]:
    """Decode a part's file at another rate into a working file, removed when the block ends."""
    file = sources.files.get(part_id)
    if file is None or sources.work is None or not file.path.is_file():
        raise ItemError(
            f"Stems at {rate_hz} Hz need the downloaded file of part {part_id}, which is missing.",
            "Fetch the recording again, or write stems at 16000 Hz.",
            code="missing_file",
        )
    work = temporary_beside(sources.work / f"{part_id}.{rate_hz}")
    try:
        decoded = decode(file.path, work, file.format, file.duration_s, DecodeOptions(rate_hz=rate_hz))
        yield open_work(decoded.path)
    finally:
        with contextlib.suppress(OSError):  # Windows removes no file that is mapped; it is swept later
            work.unlink(missing_ok=True)


def length_at_rate(n_samples: int, rate_hz: int) -> int:
    """Return a length at 16 kHz in samples of another rate."""
    return round(n_samples * rate_hz / RATE_HZ)


def native_rate(track: Track, files: Mapping[str, SourceFile]) -> int:
    """Return the highest rate of a track's files, Hz, 16 kHz where there is none."""
    found = (files[p.part_id] for p in track.parts if p.part_id in files)
    rates = (probe(f.path, f.format, f.duration_s).rate_hz for f in found)
    return max(rates, default=RATE_HZ)


class RenderCache:
    """Rendered blocks of one track in a temporary file, removed when the ``with`` block ends.

    With 16-bit stems a block is kept as int16 with an exponent of its own, else as float32.

    Attributes:
        path: its file.
    """

    def __init__(self, beside: Path, bits: str) -> None:
        self.path = temporary_beside(beside)
        self._kind = np.dtype(np.int16 if bits == "16" else np.float32)
        self._blocks: dict[int, tuple[int, int, int]] = {}
        self._stream: IO[bytes] | None = None

    def __enter__(self) -> "RenderCache":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stream is not None:
            self._stream.close()
        self.path.unlink(missing_ok=True)

    def keep(self, start: int, block: Float32Array) -> None:
        """Keep the block from sample `start` on, shape (n,).

        Raises:
            MachineError: no space on the disk.
        """
        try:
            if self._stream is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._stream = self.path.open("w+b")
            place = self._stream.seek(0, 2)
            peak = max(float(block.max(initial=0.0)), -float(block.min(initial=0.0)))
            exponent = 15 - math.frexp(peak)[1] if self._kind == np.int16 and peak else 0
            exponent -= math.ldexp(peak, exponent) >= 32767.5
            scaled = block if self._kind != np.int16 else np.rint(block * np.float32(2.0**exponent))
            self._stream.write(scaled.astype(self._kind).data)
        except OSError as problem:
            failure = disk_error(problem, self.path)
        else:
            self._blocks[start] = (place, len(block), exponent)
            return
        raise failure

    def block(self, start: int, stop: int) -> Float32Array | None:
        """Return the block kept for [start, stop), None where there is none of that length."""
        place, n_samples, exponent = self._blocks.get(start, (0, -1, 0))
        if n_samples != stop - start or self._stream is None:
            return None
        self._stream.seek(place)
        kept = np.frombuffer(self._stream.read(n_samples * self._kind.itemsize), dtype=self._kind)
        return kept.astype(np.float32) * np.float32(2.0**-exponent)
